--- Unknown values: what an effect would have answered, had it not been stopped.
--
-- Under `plan` a stopped effect yields one. It flows on: its fields, its calls, sums and
-- concatenations with it are unknown again, and a comparison is false. As a list it has
-- one unknown item, by whatever way it is looked at: `#`, pairs, ipairs, unpack. It prints
-- as (known after run); a text made with it shows that in its place.
local unknown = {}

local TEXT = "(known after run)"
local meta = { __name = "unknown" }

-- What those made of text show: "replica of (known after run)".
local texts = setmetatable({}, { __mode = "k" })

-- What a value stands for ("the answer of rds.CreateDBSnapshot"), for messages.
local origins = setmetatable({}, { __mode = "k" })

local touched

--- Makes an unknown value. origin: text for a person, or nil. text: what it prints as.
function unknown.new(origin, text)
  local value = setmetatable({}, meta)
  origins[value], texts[value] = origin, text
  return value
end

--- Installs fn(left), called whenever something is done with an unknown value; none for
-- nil. left: true when what comes of it is a plain value (a comparison's, a length), in
-- which the unknown cannot be seen any more. Returns the former one.
function unknown.watch(fn)
  local former = touched
  touched = fn
  return former
end

--- Says that something was done with an unknown value: for functions that take one.
function unknown.touch(left)
  if touched then touched(left or false) end
end

local touch = unknown.touch

--- True for an unknown value.
function unknown.is(value)
  return getmetatable(value) == meta
end

--- What the value stands for, or nil.
function unknown.origin(value)
  return origins[value]
end

local function either(a, b)
  touch()
  return unknown.new(origins[a] or origins[b])
end

for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor",
  "bxor", "shl", "shr", "bnot" } do
  meta["__" .. event] = either
end

function meta.__concat(a, b)
  touch()
  return unknown.new(origins[a] or origins[b], tostring(a) .. tostring(b))
end

function meta.__index(value, key)
  local ends = math.type(key) == "integer" and key ~= 1
  touch(ends)
  if ends then return nil end
  return unknown.new(origins[value])
end

function meta.__call(value)
  touch()
  return unknown.new(origins[value])
end

local function no()
  touch(true)
  return false
end

meta.__eq, meta.__lt, meta.__le = no, no, no

function meta.__newindex() end

function meta.__len()
  touch(true)
  return 1
end

--- The iteration over an unknown list, as `next` does it: one pair.
function unknown.next(value, key)
  touch(true)
  if key == nil then return 1, unknown.new(origins[value]) end
end

function meta.__pairs(value) return unknown.next, value, nil end
function meta.__close() end
function meta.__tostring(value) return texts[value] or TEXT end

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
