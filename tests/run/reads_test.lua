-- run.reads: which reads are made again, and which are handed back.
local t = require "harness"
local dr = require "drlua"
local effect = require "effect"
local errors = require "errors"
local live = require "live"

local test = live.test

test("in a step: what was read before its first change stays, what comes after is read again",
  function(start)
  local w, seen, broken = live.world(), {}, true
  local run = start(function()
    dr.step("S", { retries = 1 }, function()
      local before = w:read()
      w:change "a"
      table.insert(seen, { before, w:read() })
      if broken then dr.fail "later" end
    end)
  end)
  run:begin()
  broken = false
  t.equal(run:resume().outcome, "succeeded")
  t.equal(seen, { { 1, 2 }, { 1, 3 }, { 1, 4 } })
end)

test("in a step that changed nothing every attempt reads for itself", function(start)
  local w, seen, broken = live.world(), {}, true
  local run = start(function()
    dr.step("S", function()
      table.insert(seen, w:read())
      if broken then dr.fail "later" end
      w:change "a"
    end)
  end)
  run:begin()
  broken = false
  run:resume()
  t.equal(seen, { 1, 2 })
end)

test("what was read stays what it was, whatever the playbook does with it", function(start)
  local broken, seen, state = true, nil, { list = { "x" } }
  local w = live.world()
  local run = start(function()
    dr.step("S", function()
      local found = effect.perform({ kind = "http", operation = "GET", read = true, input = {} },
        function() return state end)
      table.insert(found.list, "of the playbook")
      w:change "a"
      seen = #found.list
      if broken then dr.fail "later" end
    end)
  end)
  run:begin()
  broken = false
  run:resume()
  t.equal({ seen, #state.list }, { 2, 2 })
end)

test("killed at every write, a step goes on with what it read before its change", function(start)
  for write = 1, 10 do
    local w, seen = live.world(), {}
    local run = start(function()
      dr.step("S", function()
        local before = w:read()
        w:change("a", { repeatable = true })
        table.insert(seen, before)
        dr.step("Inner", function() w:change("b", { repeatable = true }) end)
      end)
    end)
    local changed = false
    local first = run:begin { kill = { moment = "after", write = write },
      on_write = function(kind) changed = changed or kind == "intent" end }
    if first.outcome == "succeeded" then break end
    t.equal(run:resume().outcome, "succeeded")
    t.equal(seen[#seen], changed and 1 or w.reads, "killed after write " .. write)
  end
end)

test("outside of steps the first answer is the answer for good", function(start)
  local w, seen, broken = live.world(), {}, true
  local run = start(function()
    table.insert(seen, w:read())
    dr.step("S", function() if broken then dr.fail "later" end end)
  end)
  run:begin()
  broken = false
  run:resume()
  t.equal(seen, { 1, 1 })
end)

test("outside of steps a failure that the playbook caught is handed back, another asked again",
  function(start)
  for _, caught in ipairs { true, false } do
    local asked, outcome, broken = 0, nil, true
    local run = start(function()
      local function read()
        return effect.perform({ kind = "http", operation = "GET", read = true, input = {} },
          function()
          asked = asked + 1
          if asked == 1 then errors.raise { kind = "timeout", message = "no response" } end
          return "there"
        end)
      end
      if caught then outcome = dr.try(read) or "caught" else outcome = read() end
      dr.step("S", function() if broken then dr.fail "later" end end)
    end)
    t.equal(run:begin().outcome, "failed")
    broken = false
    t.equal(run:resume().outcome, "succeeded")
    t.equal({ outcome, asked }, { caught and "caught" or "there", caught and 1 or 2 })
  end
end)

test("a probe asks how things stand now", function(start)
  local w, n = live.world(), nil
  local run = start(function()
    dr.step("S", { done = function()
      n = w:read()
      return n >= 3
    end }, function() dr.fail "not yet" end)
  end)
  run:begin()
  run:resume()
  t.equal(run:resume().outcome, "succeeded")
  t.equal(n, 3)
end)

test("a handle cannot be kept: it is made again", function(start)
  local w, opened, broken = live.world(), 0, true
  local run = start(function()
    dr.step("S", function()
      local handle = effect.perform({ kind = "sql", read = true, input = {} }, function()
        opened = opened + 1
        return setmetatable({}, { __index = { close = function() end } })
      end)
      handle:close()
      w:change "a"
      if broken then dr.fail "later" end
    end)
  end)
  run:begin()
  broken = false
  t.equal(run:resume().outcome, "succeeded")
  t.equal(opened, 2)
end)

test("more than can be kept is read again", function(start)
  local w, asked, broken = live.world(), 0, true
  local run = start(function()
    dr.step("S", function()
      for _ = 1, 6 do
        effect.perform({ kind = "http", operation = "GET", read = true, input = {} }, function()
          asked = asked + 1
          return ("x"):rep(1 << 20)
        end)
      end
      w:change "a"
      if broken then dr.fail "later" end
    end)
  end)
  run:begin()
  broken = false
  t.equal(run:resume().outcome, "succeeded")
  t.ok(asked > 6 and asked < 12, "read " .. asked .. " times")
end)

test("the kept reads of a step are its undo's, by order and by name", function(start)
  local w, got = live.world(), nil
  local run = start(function()
    dr.step("S", { undo = { function(_, reads) got = reads end, partial = true } }, function()
      w:read()
      w:read()
      w:change "a"
      dr.fail "half"
    end)
  end)
  run:begin()
  run:rollback()
  t.equal({ got[1], got[2], got["http.GET"] }, { 1, 2, 1 })
end)
