--- Parameters: what a playbook declares, and what the operator gives.
--
-- A declaration is { "name", type =, default =, required =, secret =, env =, help =,
-- choices =, pattern = }. Values come, the first that is there: from the command line,
-- from the variable DRLUA_PARAM_NAME or the one named by `env`, from the environment
-- file, from the default. All faults are told in one message, before anything starts.
local clock = require "native.clock"
local duration = require "duration"
local errors = require "errors"
local nearest = require "nearest"
local secrets = require "run.secrets"
local sys = require "native.sys"
local value = require "run.value"

local params = {}

local fields = { "choices", "default", "env", "help", "optional", "pattern", "required", "secret", "type" }
local reserved = { env = true, set = true, yes = true, output = true, state = true, trace = true, help = true,
  version = true, run = true }

-- Each type: function(given) -> value, or nil and what was expected.
local types = {}

function types.string(given)
  if type(given) == "string" then return given end
  if type(given) == "number" then return tostring(given) end
  return nil, "a text"
end

function types.int(given)
  local n = math.tointeger(given)
  if n == nil and type(given) == "string" and given:find("^%s*[+-]?%d+%s*$") then
    n = math.tointeger(tonumber(given))
  end
  if n then return n end
  return nil, "a whole number"
end

function types.number(given)
  local n = tonumber(given)
  if n and n == n and n ~= math.huge and n ~= -math.huge then return n end
  return nil, "a number"
end

local truths = { ["true"] = true, yes = true, on = true, ["1"] = true,
  ["false"] = false, no = false, off = false, ["0"] = false }

function types.bool(given)
  if type(given) == "boolean" then return given end
  local truth = type(given) == "string" and truths[given:lower()]
  if type(truth) == "boolean" then return truth end
  return nil, "yes or no"
end

function types.duration(given)
  local seconds = duration.parse(given)
  if seconds == nil and type(given) == "string" and tonumber(given) then seconds = duration.parse(tonumber(given)) end
  if seconds then return seconds end
  return nil, 'a duration such as "90s", "30m", "4h" or "7d"'
end

-- A time needs its zone: a local clock is not UTC.
function types.time(given)
  if type(given) == "number" then return given end
  if type(given) == "string" then
    local at = clock.parse(given)
    if at then return at end
    if given:find("^%d%d%d%d%d%d%d%d%d+$") then return tonumber(given) end
  end
  return nil, "a time with its zone, such as 2026-11-21T03:10:00Z"
end

function types.region(given)
  if type(given) == "string" and given:find("^%l%l%l?%-[%l-]+%-%d+$") then return given end
  return nil, "an AWS region such as us-west-2"
end

function types.arn(given)
  if type(given) == "string" and given:find("^arn:[%w-]+:[%w-]+:[%w-]*:%d*:.+$") then return given end
  return nil, "an ARN (arn:aws:service:region:account:resource)"
end

function types.url(given)
  if type(given) == "string" and given:find("^%a[%w+.-]*://[^%s]+$") then return given end
  return nil, "a URL (https://...)"
end

types.enum = types.string

function types.list(given)
  if type(given) == "table" then return given end
  if type(given) ~= "string" then return nil, "a list" end
  if given:find("^%s*[%[{]") then
    local ok, list = pcall(value.decode, given)
    if ok and type(list) == "table" then return list end
    return nil, "a list: a,b,c or JSON"
  end
  local list = {}
  for item in given:gmatch("[^,]+") do table.insert(list, (item:match("^%s*(.-)%s*$"))) end
  return list
end

local type_names = {}
for name in pairs(types) do table.insert(type_names, name) end
table.sort(type_names)

local function check_one(given, faults)
  local name = given[1]
  local function fault(text, ...)
    table.insert(faults, ("parameter %s: "):format(tostring(name)) .. text:format(...))
  end
  if type(name) ~= "string" or not name:find("^%a[%w_]*$") then
    return fault("a name of letters, digits and _ comes first: { \"name\", type = ... }")
  end
  if reserved[name] then fault("this name is an option of drlua itself") end
  for key in pairs(given) do
    local known = key == 1
    for _, field in ipairs(fields) do known = known or key == field end
    if not known then fault("unknown field %s%s", tostring(key), nearest.hint(tostring(key), fields)) end
  end
  if given.type ~= nil and not types[given.type] then
    fault("unknown type %s%s (types: %s)", tostring(given.type), nearest.hint(tostring(given.type), type_names),
      table.concat(type_names, " "))
  end
  if given.type == "enum" and type(given.choices) ~= "table" then fault("an enum needs its choices") end
  if given.default ~= nil and given.required then fault("it is required, so a default has no use") end
end

--- Checks the declarations; faults: list to add sentences to. Returns them by order
-- and by name, each with `name`, `type` and `required` filled in.
function params.declare(list, faults)
  local declared = { by_name = {} }
  for i, given in ipairs(list) do
    if type(given) ~= "table" then
      table.insert(faults, ("parameter %d is a %s, not a table { \"name\", ... }"):format(i, type(given)))
    else
      check_one(given, faults)
      local p = {}
      for k, v in pairs(given) do p[k] = v end
      p.name, p.type = given[1], given.type or "string"
      p.required = given.required ~= false and not given.optional and given.default == nil
      if type(p.name) == "string" and declared.by_name[p.name] then
        table.insert(faults, ("parameter %s is declared twice"):format(p.name))
      end
      table.insert(declared, p)
      declared.by_name[tostring(p.name)] = p
    end
  end
  return declared
end

local function shown(p, given)
  if p.secret then return "this value" end
  return type(given) == "string" and ('"%s"'):format(given) or type(given) == "table" and "a table" or tostring(given)
end

local function choice(p, v)
  for _, one in ipairs(p.choices) do if one == v then return true end end
  return false
end

local function listed(list)
  local texts = {}
  for i, one in ipairs(list) do texts[i] = tostring(one) end
  return table.concat(texts, ", ")
end

local function convert(p, given)
  local v, expected = types[p.type](given)
  if v == nil then return nil, ("%s: %s expected, not %s"):format(p.name, expected, shown(p, given)) end
  if p.choices and not choice(p, v) then
    return nil, ("%s: %s is none of %s%s"):format(p.name, shown(p, given), listed(p.choices),
      type(v) == "string" and not p.secret and nearest.hint(v, p.choices) or "")
  end
  if p.pattern and type(v) == "string" and not v:find(p.pattern) then
    return nil, ("%s: %s does not have the form %s"):format(p.name, shown(p, given), p.pattern)
  end
  return v
end

local function nonempty(text)
  return text ~= "" and text or nil
end

-- With DRLUA_SECRETS=stdin secrets come as a JSON object on the standard input, which
-- leaves no trace in any environment. So a rehearsal hands over its own.
local handed

local function handed_over()
  if handed then return handed end
  handed = {}
  if sys.getenv("DRLUA_SECRETS") ~= "stdin" then return handed end
  sys.setenv("DRLUA_SECRETS", nil)
  local ok, given = pcall(value.decode, io.read("a") or "")
  if not ok or type(given) ~= "table" then
    errors.raise { kind = "usage",
      message = "DRLUA_SECRETS is stdin, but there is no JSON object on the standard input" }
  end
  handed = given
  return handed
end

-- What is ours alone goes first, whatever else the operator's shell holds.
local function from_process(p)
  local given = p.secret and handed_over()[p.name]
  if given ~= nil and given ~= false then return given end
  local own = sys.getenv("DRLUA_PARAM_" .. p.name:upper())
  return nonempty(own or "") or p.env and nonempty(sys.getenv(p.env) or "") or nil
end

-- A secret that came by the environment is taken out of it, under whatever name the
-- environment file found it: no program that a playbook starts needs it there, and those
-- that do are given it by name. AWS's own variables stay, which such programs need.
local function forget_in_process(p, v)
  sys.setenv("DRLUA_PARAM_" .. p.name:upper(), nil)
  if p.env then sys.setenv(p.env, nil) end
  if type(v) ~= "string" or secrets.too_short(v) then return end
  for name, text in pairs(sys.environ()) do
    if text == v and not name:find("^AWS_") then sys.setenv(name, nil) end
  end
end

local function option(name)
  return "--" .. name:gsub("_", "-")
end

local function missing(p, environment_name)
  local ways = { option(p.name) }
  if p.env then table.insert(ways, 1, "the variable " .. p.env) end
  local help = p.help and (" (%s)"):format(p.help) or ""
  return ("%s is missing%s: give %s%s"):format(p.name, help, table.concat(ways, " or "),
    environment_name and (", or put it into environment %s"):format(environment_name) or "")
end

local function unknown_names(declared, given, faults)
  local names = {}
  for _, p in ipairs(declared) do table.insert(names, p.name) end
  for name in pairs(given) do
    if not declared.by_name[name] then
      local near = nearest.to(name, names)
      table.insert(faults, ("unknown parameter %s%s"):format(option(name),
        near and ("; did you mean %s?"):format(option(near))
        or #names == 0 and "; this playbook has none" or "; `drlua help PLAYBOOK` lists them"))
    end
  end
end

--- The values of a run. given: from the command line, name -> text;
-- environment: the environment's `params`, or nil; switches: name -> true for those
-- that the command line named without a value, as only a bool may be. Raises one error of kind "usage"
-- that names every fault. Returns values, and the names of secrets given in argv.
function params.resolve(declared, given, environment, environment_name, switches)
  local faults, values, exposed = {}, {}, {}
  handed_over()
  unknown_names(declared, given, faults)
  for name in pairs(switches or {}) do
    local p = declared.by_name[name]
    if p and p.type ~= "bool" then table.insert(faults, ("%s needs a value"):format(option(name))) end
  end
  for _, p in ipairs(declared) do
    local source = given[p.name]
    if p.secret and source ~= nil then table.insert(exposed, p.name) end
    if source == nil then source = from_process(p) end
    if source == nil and environment then source = environment[p.name] end
    if source == nil then source = p.default end
    if source == nil then
      if p.required then table.insert(faults, missing(p, environment_name)) end
    else
      local v, why = convert(p, source)
      if v == nil then table.insert(faults, why) else values[p.name] = v end
    end
  end
  for _, p in ipairs(declared) do if p.secret then forget_in_process(p, values[p.name]) end end
  if #faults > 0 then
    table.sort(faults)
    errors.raise { kind = "usage", message = table.concat(faults, "; "), faults = faults }
  end
  return values, exposed
end

--- Registers the values of secret parameters.
function params.register_secrets(declared, values, registry)
  for _, p in ipairs(declared) do
    if p.secret then registry:add(p.name, values[p.name]) end
  end
end

--- The names of the secrets that are too short to be masked.
function params.unmasked(declared, values)
  local names = {}
  for _, p in ipairs(declared) do
    local v = values[p.name]
    if p.secret and v ~= nil and type(v) ~= "table" and secrets.too_short(v) then table.insert(names, p.name) end
  end
  return names
end

--- The values without the secrets, for the journal.
function params.without_secrets(declared, values)
  local kept = {}
  for _, p in ipairs(declared) do
    if not p.secret then kept[p.name] = values[p.name] end
  end
  return kept
end

return params
