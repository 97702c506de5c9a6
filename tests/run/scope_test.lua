-- run.scope: names and places, the same on every replay.
local t = require "harness"
local scope = require "run.scope"
local task = require "task"

local function new(kind, path, parent, session)
  return scope.new(session or {}, kind, path, parent)
end

t.test("names are unique in their scope, in the order they come", function()
  local s = new("run", "")
  t.equal({ s:unique "x", s:unique "y", s:unique "x", s:unique "x" }, { "x", "y", "x#2", "x#3" })
  t.equal({ s:join "x", new("step", "A"):join "x" }, { "x", "A/x" })
  t.equal({ s:step_path "A", s:step_path "A", s:check_path "c" }, { "A", "A#2", "check c" })
end)

t.test("two different names never share a path", function()
  local s = new("run", "")
  local seen = {}
  for _, name in ipairs { "A", "A", "A#2", "A#2", "A/B", "A%2FB", "A%23" .. "2", "parallel.1",
    "each[1]",
    "check A", "Undo: A", "escalation", "parallel", "%", "50 % of it",
    "a\nb", "a%0Ab", "a b" } do
    local path = s:step_path(name)
    t.ok(not seen[path], name .. " has the path of another step: " .. path)
    t.ok(not path:find("[/%c]"), path)
    seen[path] = true
  end
  t.equal(scope.escape "50 % of it", "50 % of it")
end)

t.test("a journal of the first format has the names as they are", function()
  local s = new("run", "", nil, { history = { plain_names = true } })
  t.equal(s:step_path "A/B", "A/B")
end)

t.test("a secret in a name is in the path by its own name", function()
  local s = new("run", "", nil, { secrets = { name_of = function(_, name)
    return (name:gsub("hunter2", "(password)"))
  end } })
  t.equal({ s:step_path "Set hunter2", s:check_path "hunter2" }, { "Set (password)",
    "check (password)" })
end)

t.test("the innermost step, and what is a probe", function()
  local run = new("run", "")
  local step = new("step", "A", run)
  step.step = { name = "A" }
  local branch = new("branch", "A/parallel.1", step)
  local probe, poll = new("probe", "A/done", branch), new("poll", "A/wait", branch)
  local inner = new("step", "A/parallel.1/B", probe)
  inner.step = { name = "B" }
  t.equal(run:innermost_step(), nil)
  t.equal(branch:innermost_step().name, "A")
  t.equal(inner:innermost_step().name, "B")
  t.equal({ run:in_probe(), branch:in_probe(), probe:in_probe(), poll:in_probe(),
    inner:in_probe() },
    { false, false, true, true, false })
  t.equal(new("check", "c", probe):in_probe(), true)
end)

t.test("the current scope goes with a call, through tasks and failures, and back", function()
  local outer, inner = new("run", ""), new("step", "A")
  local function where() return scope.current() end
  t.equal(scope.current(), nil)
  outer:call(function()
    t.ok(where() == outer)
    local _, found = inner:call(function() return task.spawn(where):wait() end, tostring)
    t.ok(found == inner, "a task inherits it")
    t.equal({ inner:call(error, tostring, "no") }, { false, "no" })
    t.ok(where() == outer, "and is outside again after a failure")
  end, tostring)
  t.equal(scope.current(), nil)
end)
