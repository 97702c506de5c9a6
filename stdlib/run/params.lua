--- Parameters: what a playbook declares, and what the operator gives.
--
-- A declaration is { "name", type =, default =, required =, secret =, env =, help =,
-- choices =, pattern = }. Values come, the first that is there: from the command line,
-- from the variable DRLUA_PARAM_NAME or the one named by `env`, from the environment
-- file, from the default. `--no-NAME`, or `false` in an environment file, takes a
-- parameter away: it then has no value, not even its default. All faults are reported in
-- one message, before anything starts.
local errors = require "errors"
local nearest = require "nearest"
local secrets = require "run.secrets"
local sys = require "native.sys"
local types = require "run.types"
local value = require "run.value"

local params = {}

local fields = { "choices", "default", "env", "help", "optional", "pattern", "required", "secret",
  "type" }
local reserved = { env = true, set = true, yes = true, output = true, state = true, trace = true,
  help = true, version = true, run = true }

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
    if not known then
      fault("unknown field %s%s", tostring(key), nearest.hint(tostring(key), fields))
    end
  end
  if given.type ~= nil and not types[given.type] then
    fault("unknown type %s%s (types: %s)", tostring(given.type), nearest.hint(tostring(given.type),
      type_names),
      table.concat(type_names, " "))
  end
  if given.type == "enum" and type(given.choices) ~= "table" then
    fault("an enum needs its choices")
  end
  if given.default ~= nil and given.required then
    fault("it is required, so a default has no use")
  end
end

--- Checks the declarations; faults: list to add sentences to. Returns them by order
-- and by name, each with `name`, `type` and `required` filled in.
function params.declare(list, faults)
  local declared = { by_name = {} }
  for i, given in ipairs(list) do
    if type(given) ~= "table" then
      table.insert(faults, ("parameter %d is a %s, not a table { \"name\", ... }"):format(i,
        type(given)))
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
  return type(given) == "string" and ('"%s"'):format(given) or type(given) == "table" and "a table"
    or tostring(given)
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

local function option(name)
  return "--" .. name:gsub("_", "-")
end

-- The value of a parameter, or nil and what is wrong with what `from` gave.
local function convert(p, given, from)
  local v, expected = types[p.type](given)
  if v == nil then
    local away = given == "" and not p.required
      and (", or %s to take it away"):format(option("no_" .. p.name)) or ""
    return nil, ("%s: %s expected%s, not %s (%s)"):format(p.name, expected, away,
      shown(p, given), from)
  end
  if p.choices and not choice(p, v) then
    return nil, ("%s: %s is none of %s (%s)%s"):format(p.name, shown(p, given), listed(p.choices),
      from,
      type(v) == "string" and not p.secret and nearest.hint(v, p.choices) or "")
  end
  if p.pattern and type(v) == "string" and not v:find(p.pattern) then
    return nil, ("%s: %s does not have the form %s (%s)"):format(p.name, shown(p, given), p.pattern,
      from)
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

-- What is ours alone goes first, whatever else the operator's shell holds. Returns the
-- text and where it came from.
local function from_process(p)
  local given = p.secret and handed_over()[p.name]
  if given ~= nil and given ~= false then return given, "from the standard input" end
  for _, name in ipairs { "DRLUA_PARAM_" .. p.name:upper(), p.env } do
    local text = nonempty(sys.getenv(name) or "")
    if text then return text, "from the variable " .. name end
  end
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

local function missing(p, environment_name)
  local ways = { option(p.name) }
  if p.env then table.insert(ways, 1, "the variable " .. p.env) end
  local help = p.help and (" (%s)"):format(p.help) or ""
  return ("%s is missing%s: give %s%s"):format(p.name, help, table.concat(ways, " or "),
    environment_name and (", or put it into environment %s"):format(environment_name) or "")
end

local function names_of(declared)
  local names = {}
  for _, p in ipairs(declared) do table.insert(names, p.name) end
  return names
end

local function unknown_names(declared, given, faults)
  local names = names_of(declared)
  for name in pairs(given) do
    if not declared.by_name[name] then
      local near = nearest.to(name, names)
      table.insert(faults, ("unknown parameter %s%s"):format(option(name),
        near and ("; did you mean %s?"):format(option(near))
        or #names == 0 and "; this playbook has none" or "; `drlua help PLAYBOOK` lists them"))
    end
  end
end

-- The command line's words with --no-NAME as NAME = false.
local function without_taken_away(declared, given, switches, faults)
  local texts = {}
  for name, text in pairs(given) do
    local taken = not declared.by_name[name] and name:match("^no_(.+)$")
    if not taken or not declared.by_name[taken] then
      texts[name] = text
    elseif not switches[name] then
      table.insert(faults, ("%s takes no value: it takes %s away"):format(option(name), taken))
    elseif given[taken] ~= nil then
      table.insert(faults, ("give %s or %s, not both"):format(option(taken), option(name)))
    else
      texts[taken] = false
    end
  end
  return texts
end

-- A switch (--NAME without a value) is for a bool only.
local function bare_switches(declared, texts, switches, faults)
  for name in pairs(switches) do
    local p = declared.by_name[name]
    if p and p.type ~= "bool" and texts[name] then
      table.insert(faults, ("%s needs a value"):format(option(name)))
      texts[name] = nil
    end
  end
end

-- What was given for a parameter and where, or nil.
local function source_of(p, texts, environment, environment_name)
  if texts[p.name] ~= nil then return texts[p.name], "given on the command line" end
  local text, from = from_process(p)
  if text ~= nil then return text, from end
  local kept = environment and environment[p.name]
  if kept ~= nil then
    return kept, environment_name and "from environment " .. environment_name
      or "from the environment file"
  end
  if p.default ~= nil then return p.default, "its default" end
end

-- Nothing but a bool is ever false: the parameter is taken away.
local function is_taken_away(p, given)
  return p.type ~= "bool" and (given == false or given == value.null)
end

local function resolve_one(p, given, from, environment_name)
  if given == nil then return nil, p.required and missing(p, environment_name) or nil end
  if not is_taken_away(p, given) then return convert(p, given, from) end
  return nil, p.required and ("%s is required: it cannot be taken away (%s)"):format(p.name, from)
    or nil
end

local function refuse(faults)
  if #faults == 0 then return end
  table.sort(faults)
  errors.raise { kind = "usage", message = table.concat(faults, "; "), faults = faults }
end

--- The values of a run. given: from the command line, name -> text;
-- environment: the environment's `params`, or nil; switches: name -> true for those
-- that the command line named without a value, as only a bool may be. Raises one error of kind
-- "usage"
-- that names every fault. Returns values, and the names of secrets given in argv.
function params.resolve(declared, given, environment, environment_name, switches)
  local faults, values, exposed = {}, {}, {}
  switches = switches or {}
  handed_over()
  local texts = without_taken_away(declared, given, switches, faults)
  unknown_names(declared, texts, faults)
  bare_switches(declared, texts, switches, faults)
  for _, p in ipairs(declared) do
    if p.secret and texts[p.name] then table.insert(exposed, p.name) end
    if texts[p.name] ~= nil or not (switches[p.name] and p.type ~= "bool") then
      local given_here, from = source_of(p, texts, environment, environment_name)
      local v, why = resolve_one(p, given_here, from, environment_name)
      if why then table.insert(faults, why) end
      values[p.name] = v
    end
  end
  for _, p in ipairs(declared) do if p.secret then forget_in_process(p, values[p.name]) end end
  refuse(faults)
  return values, exposed
end

-- The declarations that are (or are not) secret, as params.declare gives them.
local function only(declared, secret)
  local list = { by_name = {} }
  for _, p in ipairs(declared) do
    if (p.secret or false) == secret then
      table.insert(list, p)
      list.by_name[p.name] = p
    end
  end
  return list
end

--- The values of a run that is resumed: those it began with, as params.without_secrets
-- kept them. Secrets are read again from where they came: `given` (name -> text), the
-- variables, the environment's `params`. Otherwise as params.resolve.
function params.again(declared, kept, given, environment, environment_name)
  for name in pairs(given) do
    local p = declared.by_name[name]
    if not (p and p.secret) then
      errors.raise { kind = "usage",
        message = ("%s: a run keeps the parameters it began with; only secrets are "
        .. "given again"):format(option(name)) }
    end
  end
  local values = {}
  for _, p in ipairs(only(declared, false)) do
    local before = kept[p.name]
    if before == nil then before = p.default end
    local v, why = resolve_one(p, before, "as the run began", environment_name)
    if why then errors.raise { kind = "usage", message = why } end
    values[p.name] = v
  end
  local secret, exposed = params.resolve(only(declared, true), given, environment, environment_name)
  for name, v in pairs(secret) do values[name] = v end
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
    if p.secret and v ~= nil and type(v) ~= "table" and secrets.too_short(v) then
      table.insert(names, p.name)
    end
  end
  return names
end

--- The values without the secrets, for the journal. One that was taken away from its
-- default is false, so that a resume does not give it the default again.
function params.without_secrets(declared, values)
  local kept = {}
  for _, p in ipairs(declared) do
    local v = values[p.name]
    if v == nil and p.default ~= nil then v = false end
    if not p.secret then kept[p.name] = v end
  end
  return kept
end

return params
