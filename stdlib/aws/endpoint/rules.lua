--- Endpoint rule sets, compiled to closures.
--
-- rules.compile(set) -> function(params) -> { url, properties, headers } or nil and
-- the message of the error rule that was reached. A rule set is the decoded JSON
-- that comes with each service model. Variables live in one table per evaluation:
-- a name is assigned before it is read on every path, since rule sets may not use
-- one outside the rule that assigned it.
--
-- Source: Smithy 2.0, "Rules engine specification".
local errors = require "errors"
local functions = require "aws.endpoint.functions"

local rules = {}

local compile_value

--- "{Region}", "{arn#resourceId[0]}"; doubled braces are braces.
local function compile_template(text)
  if not text:find("[{}]") then return function() return text end end
  local parts = {}
  local at = 1
  while at <= #text do
    local literal, after = text:match("^([^{}]+)()", at)
    if literal then
      table.insert(parts, function() return literal end)
    elseif text:find("^{{", at) or text:find("^}}", at) then
      local brace = text:sub(at, at)
      table.insert(parts, function() return brace end)
      after = at + 2
    else
      local name, path
      name, path, after = text:match("^{([^{}#]+)#?([^{}]*)}()", at)
      if not name then
        errors.raise { kind = "invalid", message = "endpoint rules: malformed template " .. text }
      end
      table.insert(parts, function(scope)
        local v = scope[name]
        if path ~= "" and v ~= nil then v = functions.getAttr(v, path) end
        return v == nil and "" or tostring(v)
      end)
    end
    at = after
  end
  return function(scope)
    local out = {}
    for i, part in ipairs(parts) do out[i] = part(scope) end
    return table.concat(out)
  end
end

local function compile_call(call)
  local fn = functions[call.fn]
  if not fn then
    errors.raise { kind = "invalid", message = "endpoint rules: unknown function "
      .. tostring(call.fn) }
  end
  local arguments, count = {}, #call.argv
  for i, argument in ipairs(call.argv) do arguments[i] = compile_value(argument) end
  local first, second = arguments[1], arguments[2]
  if count == 1 then return function(scope) return fn(first(scope)) end end
  if count == 2 then return function(scope) return fn((first(scope)), (second(scope))) end end
  return function(scope)
    local values = {}
    for i = 1, count do values[i] = arguments[i](scope) end
    return fn(table.unpack(values, 1, count))
  end
end

local function compile_table(t)
  local parts = {}
  for key, v in pairs(t) do parts[key] = compile_value(v) end
  return function(scope)
    local out = {}
    for key, part in pairs(parts) do out[key] = part(scope) end
    return out
  end
end

function compile_value(v)
  if type(v) == "string" then return compile_template(v) end
  if type(v) ~= "table" then return function() return v end end
  if v.ref then
    local name = v.ref
    return function(scope) return scope[name] end
  end
  if v.fn then return compile_call(v) end
  return compile_table(v)
end

local function compile_conditions(list)
  local tests = {}
  for i, condition in ipairs(list or {}) do
    local test, name = compile_call(condition), condition.assign
    tests[i] = name and function(scope)
      local v = test(scope)
      scope[name] = v
      return v
    end or test
  end
  return function(scope)
    for i = 1, #tests do
      if not tests[i](scope) then return false end
    end
    return true
  end
end

local compile_rule

-- A rule gives: true and the endpoint, or false and an error's text, or nothing
-- when its conditions do not hold.
local function compile_tree(rule)
  local inner = {}
  for i, each in ipairs(rule.rules) do inner[i] = compile_rule(each) end
  return function(scope)
    for i = 1, #inner do
      local good, result = inner[i](scope)
      if good ~= nil then return good, result end
    end
  end
end

local function compile_endpoint(rule)
  local endpoint = rule.endpoint
  local url = compile_value(endpoint.url)
  local properties, headers = compile_value(endpoint.properties or {}),
    compile_value(endpoint.headers or {})
  return function(scope)
    return true, { url = url(scope), properties = properties(scope), headers = headers(scope) }
  end
end

local function compile_error(rule)
  local text = compile_value(rule.error)
  return function(scope) return false, text(scope) end
end

local kinds = { tree = compile_tree, endpoint = compile_endpoint, error = compile_error }

function compile_rule(rule)
  local kind = kinds[rule.type]
  if not kind then
    errors.raise { kind = "invalid", message = "endpoint rules: unknown kind of rule "
      .. tostring(rule.type) }
  end
  local conditions, body = compile_conditions(rule.conditions), kind(rule)
  return function(scope)
    if conditions(scope) then return body(scope) end
  end
end

local types = { string = "string", boolean = "boolean", stringarray = "table" }

--- The scope that a set of parameters begins with; raises what is wrong with them.
local function first_scope(parameters, given)
  local scope = {}
  for name, declared in pairs(parameters) do
    local v = given[name]
    if v == nil then v = declared.default end
    if v == nil and declared.required then
      return nil, ("the endpoint needs a value for %s"):format(name)
    end
    local wanted = types[declared.type:lower()]
    if v ~= nil and type(v) ~= wanted then
      errors.misuse(4, "endpoint parameter %s: %s expected, got %s", name, declared.type:lower(),
        type(v))
    end
    scope[name] = v
  end
  return scope
end

--- Compiles a decoded rule set. Parameters that it does not declare are ignored.
function rules.compile(set)
  local parameters, tree = set.parameters or {}, compile_tree(set)
  return function(params)
    local scope, message = first_scope(parameters, params)
    if not scope then return nil, message end
    local good, result = tree(scope)
    if good then return result end
    return nil, good == false and result or "no endpoint rule applies"
  end
end

return rules
