-- run.step: from its start to its end, and what a replay gets of it.
local t = require "harness"
local clock = require "native.clock"
local dr = require "drlua"
local live = require "live"
local task = require "task"

local test = live.test

test("a finished step hands back what it returned, and is not run again", function(start)
  local runs, got, broken = 0, nil, true
  local run = start(function()
    local a, b, c = dr.step("A", function()
      runs = runs + 1
      return { x = { 1, 2 } }, nil, "three"
    end)
    got = { a, c, b == nil }
    if broken then dr.fail "later" end
  end)
  t.equal(run:begin().outcome, "failed")
  broken = false
  t.equal(run:resume().outcome, "succeeded")
  t.equal({ runs, got }, { 1, { { x = { 1, 2 } }, "three", true } })
end)

test("retries: so many more attempts, with the pause; mistakes are not tried again", function(start)
  local at = {}
  local function failing(retries, raise)
    at = {}
    return start(function()
      dr.step("S", { retries = retries }, function()
        table.insert(at, clock.monotonic())
        raise()
      end)
    end):begin()
  end
  local function fails() dr.fail "no" end
  t.equal(failing({ times = 2, every = "40s" }, fails).outcome, "failed")
  t.equal(#at, 3)
  t.ok(at[2] - at[1] >= 40 and at[3] - at[2] >= 40 and at[3] - at[1] < 90)
  failing(3, fails)
  t.equal(#at, 4)
  -- 1 s, 2 s, 4 s without an own pause
  t.ok(at[4] - at[1] >= 7 and at[4] - at[1] < 8)
  failing(3, function() local x = nil; return x.y end)
  t.equal(#at, 1)
  failing(3, function() dr.step("", function() end) end)
  t.equal(#at, 1)
end)

test("timeout: the attempt ends then, and with it what it waits for", function(start)
  local w, ended = live.world(), nil
  local run = start(function()
    dr.step("S", { timeout = "1m", retries = 1 }, function()
      w:change "a"
      ended = false
      task.sleep(600)
      ended = true
    end)
  end)
  local result = run:begin()
  t.equal(result.outcome, "failed")
  t.contains(result.message, "not done within its timeout of 1m")
  t.equal(ended, false)
  t.equal(w.sent, { "a" })
end)

test("a call that the timeout cut off is in doubt", function(start)
  local w = live.world()
  local hang = true
  local run = start(function()
    dr.step("S", { timeout = "1m" }, function()
      local effect = require "effect"
      effect.perform({ kind = "http", operation = "POST", what = "a", input = {} }, function()
        table.insert(w.sent, "a")
        if hang then task.sleep(600) end
      end)
    end)
  end)
  t.equal(run:begin().outcome, "failed")
  hang = false
  t.equal(run:resume().outcome, "paused")
  t.equal(run:resume { settle = { "done" } }.outcome, "succeeded")
  t.equal(w.sent, { "a" })
end)

test("done: a probe that holds skips the step with its values", function(start)
  for what, probe in pairs {
    yes = function() return true, "x" end, value = function() return "x" end,
  } do
    local got
    local run = start(function()
      got = dr.step("S", { done = probe }, function() dr.fail "not skipped" end)
    end)
    t.equal(run:begin().outcome, "succeeded", what)
    t.equal(got, "x")
    t.equal(run:history().steps.S.status, "skipped")
  end
  local result = start(function()
    return dr.step("S", { done = function() return false end }, function() dr.fail "it ran" end)
  end):begin()
  t.contains(result.message, "it ran")
end)

test("goal: asked before, waited for after, its value is the step's; it settles doubt",
  function(start)
  local w, reached, got = live.world { a = { "lost" } }, nil, nil
  local run = start(function()
    got = dr.step("S", { goal = function() return reached end, within = "10m" }, function()
      task.spawn(function()
        task.sleep(120)
        reached = "endpoint"
      end)
      dr.try(w.change, w, "a")
    end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal({ got, w.sent }, { "endpoint", { "a" } })
  t.equal(#run:history():doubts(), 0)
  -- Reached before: nothing is done.
  t.equal(start(function()
    got = dr.step("S", { goal = function() return "there" end }, function() dr.fail "it ran" end)
  end):begin().outcome, "succeeded")
  t.equal(got, "there")
  -- Never reached: the step fails when `within` is over.
  t.contains(start(function()
    dr.step("S", { goal = function() return nil end, within = "5m" }, function() end)
  end):begin().message, "not so within 5m")
end)

test("a goal that is not reached says that a call in doubt took no effect", function(start)
  local w, reached = live.world { a = { "lost" } }, false
  local run = start(function()
    dr.step("S", { goal = function() return reached end, within = "1m" }, function()
      w:change "a"
      reached = true
    end)
  end)
  t.equal(run:begin().outcome, "failed")
  t.equal(run:resume().outcome, "succeeded")
  t.equal(w.sent, { "a", "a" })
  t.equal(w.tokens[1], w.tokens[2])
end)

test("when: a condition that does not hold skips the step", function(start)
  local ran = {}
  local run = start(function()
    dr.step("No", { when = false }, function() table.insert(ran, "No") end)
    dr.step("Nor", { when = function() return nil end }, function() table.insert(ran, "Nor") end)
    dr.step("Yes", { when = function() return true end }, function() table.insert(ran, "Yes") end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal(ran, { "Yes" })
end)

test("an optional step's failure lets the run go on, and is handed back on a resume",
  function(start)
  local runs, seen, broken = 0, {}, true
  local run = start(function()
    local result, e = dr.step("S", { optional = true }, function()
      runs = runs + 1
      dr.fail "no matter"
    end)
    table.insert(seen, { result, e.message })
    if broken then dr.fail "later" end
  end)
  run:begin()
  broken = false
  t.equal(run:resume().outcome, "succeeded")
  t.equal({ runs, seen }, { 1, { { nil, "no matter" }, { nil, "no matter" } } })
end)

test("dr.skip ends the innermost step, with the reason", function(start)
  local after
  local run = start(function()
    dr.step("Outer", function()
      dr.step("Inner", function() dr.skip "no need" end)
      after = true
    end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  local steps = run:history().steps
  t.equal({ after, steps["Outer/Inner"].status, steps.Outer.status }, { true, "skipped",
    "succeeded" })
  t.equal(run:told("step_skipped", "reason"), { "no need" })
end)

test("at a terminal: retry, skip", function(start)
  local w = live.world { a = { "refused", "refused" } }
  local asked = {}
  local operator = { forget = function() end, ask_failure = function(_, st, e)
    table.insert(asked, st.name .. ": " .. e.message)
    return #asked == 1 and "retry" or "skip", "skipped by the operator: enough"
  end }
  local run = start(function()
    dr.step("S", function() w:change "a" end)
    dr.step("T", function() w:change "b" end)
  end)
  t.equal(run:begin({ operator = operator }).outcome, "succeeded")
  t.equal({ asked, w.sent }, { { "S: refused", "S: refused" }, { "a", "a", "b" } })
  t.equal(run:history().steps.S.unfinished, true)
end)

test("another playbook than the run had is refused before it does anything", function(start)
  local w, name, broken = live.world(), "B", true
  local run = start(function()
    dr.step("A", function() w:change "a" end)
    dr.step(name, function() w:change(name) end)
    if broken then dr.fail "later" end
  end)
  run:begin()
  name, broken = "C", false
  local result = run:resume()
  t.contains(result.message, 'now comes to step "C" where the run had "B"')
  t.equal(w.sent, { "a", "B" })
  t.equal(run:resume { accept_changes = true }.outcome, "succeeded")
  t.equal(w.sent, { "a", "B", "C" })
end)

test("options that are none, or wrong, are refused with what is right", function(start)
  local function refused(pattern, options, fn)
    local result = start(function() dr.step("S", options, fn or function() end) end):begin()
    t.equal(result.outcome, "failed")
    t.matches(result.message, pattern)
  end
  refused('unknown option timout; did you mean timeout', { timout = "1m" })
  refused("option timeout", { timeout = "soon" })
  refused("option done is a function, not a boolean", { done = true })
  refused("retries is a number", { retries = -1 })
  refused("retries is a number", { retries = "many" })
  refused("risk is", { risk = "high" })
  refused("takes `goal` or `done`", { goal = function() end, done = function() end })
  refused("within belongs to `goal`", { within = "1m" })
  refused("undo is a function", { undo = true })
  refused("partial says", { partial = true })
  refused("its options are a table", "x")
  refused("is a function, and only plain data", {}, function() return print end)
end)
