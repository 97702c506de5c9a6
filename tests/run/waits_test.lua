-- run.waits: dr.wait_until, dr.sleep and dr.now, live and on a replay.
local t = require "harness"
local clock = require "native.clock"
local dr = require "drlua"
local live = require "live"

local test = live.test

test("a wait hands back what its function answered; quick looks first, then the pace",
  function(start)
  local at, got = {}, nil
  local run = start(function()
    got = table.pack(dr.wait_until("it is so", { every = "10s" }, function()
      table.insert(at, clock.monotonic())
      if #at == 10 then return "x", nil, 3 end
      return false, "at " .. #at
    end))
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal(got, { "x", nil, 3, n = 3 })
  t.ok(at[2] - at[1] < 1, "the second look comes soon")
  for i = 2, 10 do t.ok(at[i] - at[i - 1] < 10.1, "no look is later than the pace") end
  t.ok(at[10] - at[9] > 9.9, "the pace is reached")
end)

test("its timeout: an error that says for what, how long, and what was seen last",
  function(start)
  for _, case in ipairs { { "3m", nil, "the replica: not so within 3m" },
    { "90s", "lag 7s", "the replica: not so within 1m 30s (last seen: lag 7s)" } } do
    local began, ended, e
    local run = start(function()
      dr.step("S", function()
        began = clock.monotonic()
        e = select(2, dr.try(dr.wait_until, "the replica", { timeout = case[1] },
          function() return false, case[2] end))
        ended = clock.monotonic()
      end)
    end)
    t.equal(run:begin().outcome, "succeeded")
    t.equal({ e.kind, e.message }, { "timeout", case[3] })
    local late = ended - began - dr.seconds(case[1])
    t.ok(late >= 0 and late < 1, "ended " .. late .. " s after its timeout")
  end
end)

test("each new progress is reported once, and the end of the wait clears it", function(start)
  local n, said, left = 0, { "a", "a", "b", "b", "a" }, nil
  local run = start(function()
    dr.step("S", function()
      dr.wait_until("it is so", function()
        n = n + 1
        return n > #said, said[n]
      end)
      left = next(require "run.scope".current().session.waits)
    end)
  end)
  run:begin()
  t.equal(run:told("step_waiting", "progress"), { "a", "b", "a" })
  t.equal(left, nil)
end)

test("what a wait, a sleep and the clock gave is given again by a resume, by place",
  function(start)
  for what, around in pairs { run = function(fn) return fn() end,
    step = function(fn) return dr.step("Outer", fn) end } do
    local looks, broken, seen = 0, true, nil
    local run = start(function()
      seen = around(function()
        local first = dr.now()
        local found = dr.wait_until("it is so", function()
          looks = looks + 1
          return looks
        end)
        dr.sleep "1h"
        local second = dr.now()
        dr.step("S", function() if broken then dr.fail "not yet" end end)
        return { first, found, second }
      end)
    end)
    t.equal(run:begin().outcome, "failed")
    local before = clock.monotonic()
    broken = false
    t.equal(run:resume().outcome, "succeeded", what)
    t.ok(seen[3] - seen[1] >= 3600, "two readings of one clock, two values")
    if what == "run" then
      t.equal({ looks, seen[2] }, { 1, 1 })
      t.ok(clock.monotonic() - before < 60, "the hour is not waited for again")
    end
  end
end)

test("a sleep that was cut short is waited for to its end, no longer", function(start)
  local ended
  local run = start(function()
    dr.sleep "1h"
    ended = clock.monotonic()
  end)
  local began = clock.monotonic()
  local result = run:begin { on_session = function(s)
    require "task".spawn(function()
      require "task".sleep(600)
      s:interrupt()
    end)
  end }
  t.equal({ result.outcome, ended }, { "interrupted", nil })
  t.equal(run:resume().outcome, "succeeded")
  t.ok(math.abs(ended - began - 3600) < 1, "ended after " .. ended - began .. " s")
end)

test("a rollback's replay neither waits nor looks; it ends at a wait that did not end",
  function(start)
  local w, looks, log, beyond = live.world(), 0, {}, 0
  local run = start(function()
    dr.step("A", { undo = function() table.insert(log, "A") end }, function() w:change "a" end)
    dr.wait_until("it is so", function()
      looks = looks + 1
      return true
    end)
    dr.sleep "1h"
    dr.wait_until("it never is", { timeout = "1m" }, function() return false end)
    beyond = beyond + 1
  end)
  t.equal(run:begin().outcome, "failed")
  local before = clock.monotonic()
  t.equal(run:rollback().outcome, "rolled back")
  t.equal({ log, looks, beyond }, { { "A" }, 1, 0 })
  t.ok(clock.monotonic() - before < 30, "nothing is waited for")
end)
