-- run.branch: dr.parallel and dr.each.
local t = require "harness"
local dr = require "drlua"
local live = require "live"
local task = require "task"

local test = live.test

-- Runs the body as a run; returns its end, and what the body returned.
local function run(start, body)
  local values
  local made = start(function() values = table.pack(body()) end)
  return made:begin(), values, made
end

test("the first values in order, whoever ends first", function(start)
  local result, values = run(start, function()
    return dr.parallel {
      function() task.sleep(3) return "a", "ignored" end,
      function() return nil end,
      function() task.sleep(1) return "c" end,
    }
  end)
  t.equal(result.outcome, "succeeded")
  t.equal({ values[1], values[2], values[3], values.n }, { "a", nil, "c", 3 })
end)

test("each: item and index, at most `limit` at a time, results in order", function(start)
  local now, most = 0, 0
  local result, values = run(start, function()
    return dr.each({ "a", "b", "c", "d", "e" }, { limit = 2 }, function(item, i)
      now = now + 1
      most = math.max(most, now)
      task.sleep(6 - i)
      now = now - 1
      return item .. i
    end)
  end)
  t.equal(result.outcome, "succeeded")
  t.equal(values[1], { "a1", "b2", "c3", "d4", "e5" })
  t.equal(most, 2)
  t.equal(select(2, run(start, function() return dr.each({}, function() end) end))[1], {})
end)

test("paths name the branch, nested and repeated ones as well", function(start)
  local _, _, made = run(start, function()
    dr.parallel { function() dr.step("S", function() end) end }
    dr.parallel {
      function() dr.step("S", function() end) end,
      function()
        dr.each({ 1, 2 }, function() dr.step("S", function() end) end)
      end,
    }
  end)
  local paths = made:history():paths()
  table.sort(paths)
  t.equal(paths, { "parallel#2.1/S", "parallel#2.2/each[1]/S", "parallel#2.2/each[2]/S",
    "parallel.1/S" })
end)

test("a failure lets the others finish the step they are in, and begin no other", function(start)
  local w = live.world()
  local result, _, made = run(start, function()
    dr.parallel {
      function() dr.step("Fails", function() task.sleep(1) dr.fail "no" end) end,
      function()
        dr.step("Long", function() task.sleep(5) w:change "long" end)
        dr.step("Next", function() w:change "next" end)
      end,
    }
  end)
  t.equal(result.outcome, "failed")
  t.contains(result.message, 'step "Fails" failed: no')
  t.equal(w.sent, { "long" })
  t.equal(made:history().steps["parallel.2/Next"], nil)
  -- With limit, branches that have not begun do not begin.
  local began = {}
  result = run(start, function()
    dr.each({ 1, 2, 3 }, { limit = 1 }, function(item)
      table.insert(began, item)
      if item == 2 then dr.fail "no" end
    end)
  end)
  t.equal({ result.outcome, #began }, { "failed", 2 })
end)

test("a failure weighs more than a question, whichever comes first", function(start)
  for _, first in ipairs { "failure", "question" } do
    local w = live.world { a = { "lost" } }
    local asks = function()
      dr.step("Asks", function()
        dr.try(w.change, w, "a")
        if first == "failure" then task.sleep(10) end
      end)
    end
    local fails = function()
      dr.step("Fails", function()
        if first == "question" then task.sleep(5) end
        dr.fail "no"
      end)
    end
    local result = run(start, function() dr.parallel { fails, asks } end)
    t.equal(result.outcome, "failed", first)
    t.contains(result.message, "no")
  end
  local w = live.world { a = { "lost" } }
  local result = run(start, function()
    dr.parallel { function() dr.step("A", function() dr.try(w.change, w, "a") end) end,
      function() end }
  end)
  t.equal(result.outcome, "paused")
end)

test("killed at every write, a resume gives the same results and sends nothing twice",
  function(start)
  for write = 1, 20 do
    local w, values = live.world(), nil
    local made = start(function()
      values = table.pack(dr.parallel {
        function() return dr.step("S", function() return w:change("a",
          { repeatable = true }) end) end,
        function() return dr.step("S", function() return w:change("b",
          { repeatable = true }) end) end,
      })
    end)
    local first = made:begin { kill = { moment = "after", write = write } }
    if first.outcome == "succeeded" then break end
    t.equal(made:resume().outcome, "succeeded")
    t.equal({ values[1]:sub(1, 1), values[2]:sub(1, 1) }, { "a", "b" })
    t.equal(#w.sent, 2, "killed after write " .. write)
  end
end)

test("what is no function, no list, no limit is refused", function(start)
  local function refused(pattern, body)
    local result = run(start, body)
    t.equal(result.outcome, "failed")
    t.matches(result.message, pattern)
  end
  refused("number 2 is a string", function() dr.parallel { function() end, "x" } end)
  refused("takes one table", function() dr.parallel({}, function() end) end)
  refused("limit", function() dr.each({}, { limit = 0 }, function() end) end)
end)
