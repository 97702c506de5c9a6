--- Unknown values: what an effect would have answered, had it not been stopped.
--
-- Under `plan` a stopped effect yields one. It flows on: its fields, its calls,
-- sums and concatenations with it are unknown again. A comparison is false and its
-- length is 0. It has a first element and no second, so that a loop over an
-- unknown list looks at one unknown item. It prints as (known after run).
local unknown = {}

local TEXT = "(known after run)"
local meta = { __name = "unknown" }

-- What a value stands for ("the answer of rds.CreateDBSnapshot"), for messages.
local origins = setmetatable({}, { __mode = "k" })

--- Makes an unknown value. origin: text for a person, or nil.
function unknown.new(origin)
  local value = setmetatable({}, meta)
  origins[value] = origin
  return value
end

--- True for an unknown value.
function unknown.is(value)
  return getmetatable(value) == meta
end

--- What the value stands for, or nil.
function unknown.origin(value)
  return origins[value]
end

local function either(a, b)
  return unknown.new(origins[a] or origins[b])
end

for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor",
  "bxor", "shl", "shr", "bnot", "concat" } do
  meta["__" .. event] = either
end

function meta.__index(value, key)
  if math.type(key) == "integer" and key ~= 1 then return nil end
  return unknown.new(origins[value])
end

function meta.__call(value) return unknown.new(origins[value]) end
function meta.__newindex() end
function meta.__len() return 0 end
function meta.__eq() return false end
function meta.__lt() return false end
function meta.__le() return false end
function meta.__pairs() return function() end end
function meta.__tostring() return TEXT end

local function search(value, seen)
  if unknown.is(value) then return value end
  if type(value) ~= "table" or seen[value] then return nil end
  seen[value] = true
  for k, v in next, value do
    local found = search(k, seen) or search(v, seen)
    if found then return found end
  end
  return nil
end

--- The first unknown value inside `value` (tables are searched), or nil.
function unknown.within(value)
  return search(value, {})
end

return unknown
