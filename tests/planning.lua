--- Plans in this process, over effects with fixed answers.
local dr = require "drlua"
local effect = require "effect"
local errors = require "errors"
local gate = require "run.gate"
local planner = require "run.planner"
local secrets = require "run.secrets"
local t = require "harness"

local planning = {}

--- The changes of a step, in words.
function planning.changes(step)
  local list = {}
  for _, row in ipairs(step and step.changes or {}) do table.insert(list, row.what) end
  return list
end

--- Plans run() in this process: the plan, and its steps by name.
function planning.look(run, fields)
  local former = effect.install(nil)
  t.cleanup(function() effect.install(former) end)
  gate.install()
  local s = planner.new { id = "plan", playbook = { title = "Test", run = run }, params = {},
    user = "u", host = "h",
    secrets = secrets.new(), out = function() end }
  for k, v in pairs(fields or {}) do s[k] = v end
  local found, e = s:plan()
  if not found then return nil, e end
  local steps = {}
  for _, one in ipairs(found.steps) do steps[one.step] = one end
  return found, steps
end

--- An effect with a fixed answer: a value, or an error to raise.
function planning.perform(e, answer)
  e.what = e.what or ((e.operation or e.kind) .. " of " .. tostring(e.input and (e.input.path
    or e.input.Id)))
  return effect.perform(e, function()
    if errors.is(answer) then error(answer, 0) end
    return answer
  end)
end

function planning.aws(operation, input, answer, service)
  return planning.perform({ kind = "aws", service = service or "rds", operation = operation,
    region = "eu-west-1", input = input,
    read = operation:find("^Describe") ~= nil or operation:find("^Get") ~= nil }, answer)
end

function planning.absent(code)
  return errors.new { kind = "aws", code = code or "DBInstanceNotFound", message = "not found" }
end

function planning.change(n) return planning.perform({ kind = "process", what = "change " .. n,
  input = { argv = { "x" .. n } } }) end

--- What each row's second step comes to after its first has stopped a change: "would",
-- "may", or how many changes it shows.
function planning.verdict(first, second)
  local _, steps = planning.look(function()
    local result = dr.step("First", first)
    dr.step("Second", function() return second(result) end)
  end)
  local step = steps.Second
  return step.stop and (step.unsure and "may" or "would") or #(step.changes or {})
end

return planning
