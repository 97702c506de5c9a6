--- The options of a step: checked where the playbook wrote them.
local approval = require "run.approval"
local control = require "run.control"
local duration = require "duration"
local nearest = require "nearest"
local unknown = require "unknown"

local options_of = {}

local known = { "approve", "budget", "done", "fresh_calls", "goal", "optional", "partial",
  "repeatable",
  "retries", "risk", "timeout", "undo", "when", "within" }
local types = { done = "function", goal = "function", optional = "boolean",
  repeatable = "boolean", fresh_calls = "boolean", partial = "boolean" }
local risks = { read = true, reversible = true, irreversible = true }

local function misuse(name, text, ...)
  control.misuse("step \"%s\": " .. text, name, ...)
end

local is_known = {}
for _, key in ipairs(known) do is_known[key] = true end

local function check_known(name, options)
  for key, v in pairs(options) do
    if not is_known[key] then
      misuse(name, "unknown option %s%s (options: %s)", tostring(key),
        nearest.hint(tostring(key), known),
        table.concat(known, " "))
    end
    if types[key] and type(v) ~= types[key] then
      misuse(name, "option %s is a %s, not a %s", key, types[key], type(v))
    end
  end
end

local function check_duration(name, options, key)
  if options[key] == nil then return nil end
  local seconds, why = duration.parse(options[key])
  if not seconds then misuse(name, "option %s: %s", key, why) end
  return seconds
end

local function check_retries(name, retries)
  if retries == nil or unknown.is(retries) then return { times = 0 } end
  if math.type(retries) == "integer" and retries >= 0 then return { times = retries } end
  if type(retries) == "table" and math.type(retries.times) == "integer"
    and retries.times >= 0 then
    return { times = retries.times, every = check_duration(name, retries, "every") }
  end
  misuse(name, 'option retries is a number, or { times = 3, every = "30s" }')
end

-- undo is a function, { function, partial = true }, or false: nothing needs an undo.
local function check_undo(name, plain)
  local undo = plain.undo
  if type(undo) == "table" then
    plain.undo, plain.partial = undo[1], undo.partial or plain.partial
    undo = plain.undo
  end
  if undo ~= nil and undo ~= false and type(undo) ~= "function" then
    misuse(name, "option undo is a function, { function, partial = true }, or false; not a %s",
      type(undo))
  end
  if plain.partial and not undo then
    misuse(name, "option partial says what `undo` can do; there is no undo")
  end
end

local function check_goal(name, plain)
  if plain.within ~= nil and not plain.goal then
    misuse(name, "option within belongs to `goal`; there is none")
  end
  if plain.goal and plain.done then misuse(name, "takes `goal` or `done`, not both") end
end

--- Checks name, options and function of a step; returns the options in plain form.
function options_of.check(name, options, fn)
  if type(name) ~= "string" or name == "" then
    control.misuse("a step needs a name: dr.step(\"Name\", function)")
  end
  if type(options) ~= "table" then
    misuse(name, "its options are a table, not a %s", type(options))
  end
  if type(fn) ~= "function" then
    misuse(name, "its last argument is the function to run, not a %s", type(fn))
  end
  check_known(name, options)
  if options.risk ~= nil and not risks[options.risk] then
    misuse(name, 'risk is "read", "reversible" or "irreversible", not %s', tostring(options.risk))
  end
  local plain = {}
  for k, v in pairs(options) do plain[k] = v end
  plain.budget = check_duration(name, options, "budget")
  plain.timeout = check_duration(name, options, "timeout")
  plain.within = check_duration(name, options, "within")
  check_undo(name, plain)
  check_goal(name, plain)
  plain.retries = check_retries(name, options.retries)
  plain.approve = approval.wanted(name, options)
  return plain
end

--- What the journal and the events keep of the options.
function options_of.shown(options)
  return { budget = options.budget, timeout = options.timeout, risk = options.risk,
    optional = options.optional, approve = options.approve and true or nil,
    partial = options.partial,
    undo = options.undo and true or options.undo }
end

return options_of
