-- run.calls: each changing effect is made once, whichever way the step comes to it again.
local t = require "harness"
local dr = require "drlua"
local live = require "live"

local test = live.test

local function one_token(w)
  for _, token in ipairs(w.tokens) do t.equal(token, w.tokens[1]) end
end

test("an answered call is handed back to every later attempt; a refused one is sent again",
  function(start)
  local w, seen = live.world { b = { "refused" } }, {}
  local run = start(function()
    dr.step("S", { retries = 1 }, function()
      table.insert(seen, w:change "a")
      table.insert(seen, w:change "b")
    end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal(w.sent, { "a", "b", "b" })
  t.equal(w.tokens[2], w.tokens[3])
  t.equal(seen, { "a 1", "a 1", "b 2" })
end)

test("a second call of the same kind in a step is another call, with another token", function(start)
  local w = live.world()
  t.equal(start(function()
    dr.step("S", function() w:change "a" w:change "a" end)
    dr.step("T", function() w:change "a" end)
  end):begin().outcome, "succeeded")
  t.ok(w.tokens[1] ~= w.tokens[2] and w.tokens[2] ~= w.tokens[3] and w.tokens[1] ~= w.tokens[3])
end)

test("a call in doubt pauses; the printed command answers it, and only it", function(start)
  local w = live.world { a = { "lost" }, b = { "lost" } }
  local run = start(function()
    dr.step("S", function() w:change "a" w:change "b" end)
  end)
  t.equal(run:begin().outcome, "failed")
  local paused = run:resume()
  t.equal(paused.outcome, "paused")
  t.contains(paused.message, "--settle 'S/http.POST=done'")
  t.equal(run:resume { settle = { "S/http.POST=done" } }.outcome, "failed")
  t.equal(w.sent, { "a", "b" })
  paused = run:resume()
  t.contains(paused.message, "--settle 'S/http.POST#2=done'")
  t.equal(run:resume { settle = { "S/http.POST#2=again" } }.outcome, "succeeded")
  t.equal(w.sent, { "a", "b", "b" })
  t.equal(w.tokens[2], w.tokens[3])
  t.raises("no call in doubt", run.resume, run, { settle = { "S/http.POST=done" } })
end)

test("what the playbook caught is settled before the step changes anything else", function(start)
  -- The next change is new, was refused before, or is in a step inside.
  local function inside(fn) return function() dr.step("Inner", fn) end end
  local function plain(fn) return fn end
  for what, around in pairs { plain = plain, inside = inside } do
    for _, before in ipairs { false, "refused" } do
      local w = live.world { a = { before, "lost" }, b = { before and "refused" } }
      local run = start(function()
        dr.step("S", { retries = 1 }, function()
          dr.try(w.change, w, "a", { token_member = "Token" })
          around(function() w:change "b" end)()
        end)
      end)
      -- Without the first refusal a is in doubt at once.
      if not before then w.fails.a = { "lost" } end
      t.equal(run:begin().outcome, "succeeded", what)
      local n = #w.sent
      t.equal({ w.sent[n - 2], w.sent[n - 1], w.sent[n] }, { "a", "a", "b" },
        what .. " " .. tostring(before))
    end
  end
end)

test("what the playbook caught is settled at the step's end, also when that is a skip",
  function(start)
  for _, last in ipairs { function() end, function() dr.skip "enough" end } do
    local w = live.world { a = { "lost" } }
    local run = start(function()
      dr.step("S", function()
        dr.try(w.change, w, "a")
        last()
      end)
    end)
    t.equal(run:begin().outcome, "paused")
    t.equal(run:resume { settle = { "S=done" } }.outcome, "succeeded")
    t.equal(w.sent, { "a" })
  end
end)

test("a refusal settles what was caught: the step continues", function(start)
  local w = live.world { a = { "lost", "refused" } }
  local run = start(function()
    dr.step("S", function()
      dr.try(w.change, w, "a", { token_member = "Token" })
      w:change "b"
    end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal(w.sent, { "a", "a", "b" })
end)

test("a refusal of the second sending does not say that the first took no effect", function(start)
  local w = live.world { a = { "lost", "refused" } }
  local run = start(function()
    dr.step("S", function() w:change("a", { token_member = "Token" }) end)
  end)
  t.equal(run:begin().outcome, "failed")
  t.equal(run:resume().outcome, "failed")
  local result = run:rollback()
  t.equal(result.outcome, "partly rolled back")
  t.contains(result.message, "a")
  one_token(w)
end)

test("fresh_calls: a new attempt makes new calls, with new tokens", function(start)
  local w, failed = live.world(), false
  t.equal(start(function()
    dr.step("S", { retries = 1, fresh_calls = true }, function()
      w:change "a"
      if not failed then
        failed = true
        dr.fail "later"
      end
    end)
  end):begin().outcome, "succeeded")
  t.equal(w.sent, { "a", "a" })
  t.ok(w.tokens[1] ~= w.tokens[2])
end)

test("another input: refused while the attempt continues, another call in a new one",
  function(start)
  local w, name, failed = live.world(), "a", false
  local run = start(function()
    dr.step("S", function()
      w:change(name)
      if not failed then
        failed, name = true, "b"
        dr.fail "later"
      end
    end)
  end)
  t.equal(run:begin().outcome, "failed")
  t.equal(run:resume().outcome, "succeeded")
  t.equal(w.sent, { "a", "b" })
  t.ok(w.tokens[1] ~= w.tokens[2])

  w, name = live.world(), "a"
  run = start(function() dr.step("S", function() w:change(name) end) end)
  run:begin { kill = { moment = "after", write = 3 } }
  name = "b"
  t.contains(run:resume().message, "with another input")
  t.equal(w.sent, { "a" })
  t.equal(run:resume { accept_changes = true }.outcome, "succeeded")
  t.equal(w.sent, { "a", "b" })
end)

test("--from begins a new generation: the calls are made again, as others", function(start)
  local w = live.world()
  local run = start(function()
    dr.step("S", function() w:change "a" end)
    dr.step("T", function() w:change "b" end)
    dr.fail "the end"
  end)
  run:begin()
  run:resume { from = "T" }
  t.equal(w.sent, { "a", "b", "b" })
  t.ok(w.tokens[2] ~= w.tokens[3])
end)
