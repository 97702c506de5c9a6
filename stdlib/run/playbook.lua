--- What a playbook is: the table that its file returns, checked when it is loaded.
local control = require "run.control"
local duration = require "duration"
local limits = require "run.limits"
local nearest = require "nearest"
local params = require "run.params"

local playbook = {}

local meta = { __name = "drlua.playbook" }

local types = {
  title = "string", summary = "string", description = "string", targets = "table", params = "table",
  lock = "function", ready = "function", run = "function", rehearsal = "string",
  escalate = "function", control_planes = "function", tags = "table", after_rollback = "function",
}

-- limits is a table or a function: limits.lua looks at it.
local other = { limits = true }

local names = {}
for name in pairs(types) do table.insert(names, name) end
for name in pairs(other) do table.insert(names, name) end
table.sort(names)

local function check_fields(t, faults)
  for key, value in pairs(t) do
    local wanted = types[key]
    if not wanted and not other[key] then
      table.insert(faults,
        ("unknown field %s%s"):format(tostring(key), nearest.hint(tostring(key), names)))
    elseif wanted and type(value) ~= wanted then
      table.insert(faults, ("%s is a %s, not a %s"):format(key, wanted, type(value)))
    end
  end
  if t.title == nil then table.insert(faults, "it needs a title") end
  if t.run == nil and t.ready == nil then
    table.insert(faults, "it needs a function run (or ready)")
  end
end

local whole_run = { rto = true, rpo = true }

-- Each target is a duration, or a table of targets by component; rto and rpo of the whole
-- run are durations.
local function check_targets(targets, faults, where)
  for name, value in pairs(targets) do
    if type(value) == "table" and not (where == "targets." and whole_run[name]) then
      check_targets(value, faults, ("%s%s."):format(where, name))
    else
      local seconds, why = duration.parse(value)
      if not seconds then table.insert(faults, ("%s%s: %s"):format(where, tostring(name), why)) end
    end
  end
end

--- Checks a playbook's table and marks it as one. All faults in one message.
function playbook.define(t)
  if type(t) ~= "table" then control.misuse("dr.playbook takes a table, not a %s", type(t)) end
  local faults = {}
  check_fields(t, faults)
  if type(t.targets) == "table" then check_targets(t.targets, faults, "targets.") end
  table.move(limits.faults(t.limits), 1, #limits.faults(t.limits), #faults + 1, faults)
  local declared = {}
  if t.params == nil or type(t.params) == "table" then
    declared = params.declare(t.params or {}, faults)
  end
  if #faults > 0 then
    table.sort(faults)
    control.misuse("this playbook cannot be used: %s", table.concat(faults, "; "))
  end
  local made = {}
  for k, v in pairs(t) do made[k] = v end
  made.params = declared
  return setmetatable(made, meta)
end

--- What is wrong with the targets and limits of an environment file: a list of sentences.
function playbook.environment_faults(environment)
  local faults, targets = limits.faults(environment.limits), environment.targets
  if type(targets) == "table" then
    check_targets(targets, faults, "targets.")
  elseif targets ~= nil then
    table.insert(faults, ("targets is a %s, not a table"):format(type(targets)))
  end
  table.sort(faults)
  return faults
end

--- True for a value that playbook.define made.
function playbook.is(value)
  return getmetatable(value) == meta
end

--- The targets of a run: the playbook's, with the environment's in their place.
-- Seconds; fields rto, rpo, and tables of them by component.
function playbook.targets(t, environment)
  local function seconds(list)
    local found = {}
    for name, value in pairs(list or {}) do
      found[name] = type(value) == "table" and seconds(value) or duration.parse(value)
    end
    return found
  end
  local found = seconds(t.targets)
  for name, value in pairs(seconds(environment and environment.targets)) do found[name] = value end
  return found
end

--- The names of the locks that a run takes: those the playbook gives, else the
-- playbook and its environment.
function playbook.locks(t, values, path, environment_name)
  local given = t.lock and t.lock(values)
  if type(given) == "string" then given = { given } end
  if given == nil then
    local stem = path:match("([^/]*)%.lua$") or path
    return { environment_name and stem .. "@" .. environment_name or stem }
  end
  local names_given = {}
  for _, name in ipairs(type(given) == "table" and given or {}) do
    if type(name) ~= "string" or name == "" then
      control.misuse("lock(p) returns a text or a list of texts")
    end
    table.insert(names_given, name)
  end
  if type(given) ~= "table" then
    control.misuse("lock(p) returns a text or a list of texts, not a %s", type(given))
  end
  return names_given
end

return playbook
