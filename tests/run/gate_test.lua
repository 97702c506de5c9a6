-- run.gate: what passes, and what is refused before it touches anything.
local t = require "harness"
local dr = require "drlua"
local effect = require "effect"
local gate = require "run.gate"
local live = require "live"
local process = require "process"

local test = live.test

-- Runs the body; returns its end and the world.
local function run(start, body)
  local w = live.world()
  return start(function() body(w) end):begin(), w
end

test("a change outside of a step is refused", function(start)
  for _, body in ipairs {
    function(w) w:change "a" end,
    function(w) dr.parallel { function() w:change "a" end } end,
    function(w) dr.each({ 1 }, function() w:change "a" end) end,
  } do
    local result, w = run(start, body)
    t.equal(result.outcome, "failed")
    t.contains(result.message, "a changes something outside of a step: put it into a dr.step")
    t.equal(w.sent, {})
  end
end)

test("a probe may only read, whatever is around it", function(start)
  for what, body in pairs {
    done = function(w) dr.step("S", { done = function() w:change "a" end }, function() end) end,
    goal = function(w) dr.step("S", { goal = function() w:change "a" end }, function() end) end,
    when = function(w) dr.step("S", { when = function() w:change "a" end }, function() end) end,
    wait = function(w) dr.step("S", function() dr.wait_until("x",
      function() w:change "a" end) end) end,
    each = function(w)
      dr.step("S", { done = function() dr.each({ 1 }, function() w:change "a" end) end },
        function() end)
    end,
  } do
    local result, w = run(start, body)
    t.equal(result.outcome, "failed", what)
    t.contains(result.message, "a probe (done, goal, when, wait_until) may only read")
    t.equal(w.sent, {})
  end
end)

test('a step with risk = "read" changes nothing', function(start)
  local result, w = run(start, function(w)
    dr.step("S", { risk = "read" }, function()
      w:read()
      w:change "a"
    end)
  end)
  t.contains(result.message, 'step "S" has risk = "read", and a changes something')
  t.equal({ w.sent, w.reads }, { {}, 1 })
end)

test("a secret among a program's arguments is refused, wherever it stands", function(start)
  for _, argument in ipairs { "hunter2000", "--password=hunter2000" } do
    local made = start(function()
      dr.step("S", function() process.run { "true", argument } end)
    end)
    local result = made:begin { on_session = function(s) s.secrets:add("password",
      "hunter2000") end }
    t.equal(result.outcome, "failed")
    t.contains(result.message, "the secret password is among the arguments")
    t.ok(not result.message:find("hunter2000", 1, true))
    t.equal(made:history().steps.S.calls, {})
  end
end)

test("the intent is on record before a call leaves, the result before the playbook has it",
  function(start)
  local kinds, at_send, at_answer = {}, nil, nil
  local made = start(function()
    dr.step("S", function()
      effect.perform({ kind = "http", operation = "POST", what = "a", input = {} }, function()
        at_send = kinds[#kinds]
        return "x"
      end)
      at_answer = kinds[#kinds]
    end)
  end)
  made:begin { on_write = function(kind) table.insert(kinds, kind) end }
  t.equal({ at_send, at_answer }, { "intent", "result" })
end)

test("nothing is sent when its intent cannot be written", function(start)
  local made
  local w = live.world()
  made = start(function()
    dr.step("S", function()
      dr.try(w.change, w, "a")
      w:change "b"
    end)
  end)
  made:begin { kill = function(moment, kind) return moment == "before" and kind == "intent" end }
  t.equal(w.sent, {})
end)

test("an effect is named by its service and operation", function()
  t.equal(gate.name { kind = "aws", service = "rds", operation = "CreateDBInstance" },
    "rds.CreateDBInstance")
  t.equal(gate.name { kind = "http", operation = "POST" }, "http.POST")
  t.equal(gate.name { kind = "sql" }, "sql")
  t.equal(gate.describe({ kind = "sql", read = true }).mutating, false)
  t.equal(gate.describe({ kind = "sql" }).mutating, true)
end)

test("while a playbook is loaded nothing passes", function()
  local e = t.raises("at the top level of a file", gate.load, nil, nil, { kind = "http",
    what = "POST x" })
  t.contains(tostring(e), "POST x")
end)
