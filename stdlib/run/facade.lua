--- What a playbook sees of the standard library: its words, not its insides.
--
-- A module is handed out as a read-only view, so that no playbook can put a function
-- of its own into the library, where it would be called outside of any step. A client
-- of AWS is handed out without the fields and methods by which it makes calls past
-- the gate.
local control = require "run.control"

local facade = {}

local function read_only(name)
  return function(_, key)
    control.misuse("%s.%s cannot be set: the library is the same for all", name, tostring(key))
  end
end

--- A view of a module through which nothing of it can be changed.
function facade.module(name, module)
  if type(module) ~= "table" then return module end
  return setmetatable({}, { __index = module, __newindex = read_only(name), __metatable = false,
    __call = getmetatable(module) and getmetatable(module).__call,
    __pairs = function() return next, module, nil end })
end

-- Plain facts of a client, and its methods that are no operations.
local facts = { service = true, region = true, account = true }
local withheld = { direct = true, try_direct = true, execute = true, serialize = true,
  operation = true, check = true,
  credentials_for = true, renew_credentials = true }

-- An operation and its like are found by name; what a client keeps for itself is not
-- shown (but for methods that it has looked for before).
local function method_of(real, key, view)
  if type(key) ~= "string" or withheld[key] then return nil end
  local own = rawget(real, key)
  if own ~= nil and type(own) ~= "function" then return nil end
  local method = real[key]
  if type(method) ~= "function" then return nil end
  return function(who, ...)
    if who ~= view then
      local variable = real.service:gsub("[^%w]", "_")
      control.misuse("%s.%s: call it with a colon, %s:%s(...)", variable, key, variable, key)
    end
    return method(real, ...)
  end
end

--- A client as playbooks have it.
function facade.client(real)
  local methods, view = {}, {}
  return setmetatable(view, {
    __index = function(_, key)
      if facts[key] then return real[key] end
      methods[key] = methods[key] or method_of(real, key, view)
      return methods[key]
    end,
    __newindex = read_only("aws." .. real.service), __metatable = false,
    __tostring = function() return tostring(real) end,
  })
end

local function shown(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(meta) == "table" and meta.__name == "aws.client" and facade.client(value) or value
end

--- `aws` as playbooks have it: its makers give clients without their insides.
function facade.aws(aws)
  local makers = {}
  local function maker_of(key)
    local found = aws[key]
    if type(found) == "table" then return facade.module("aws." .. tostring(key), found) end
    if type(found) ~= "function" then return found end
    return function(...) return shown(found(...)) end
  end
  return setmetatable({}, {
    __index = function(_, key)
      if makers[key] == nil then makers[key] = maker_of(key) end
      return makers[key]
    end,
    __newindex = read_only "aws", __metatable = false,
  })
end

return facade
