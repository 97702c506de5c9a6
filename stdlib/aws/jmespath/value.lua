--- JMESPath's view of Lua values.
--
-- null is nil, or json.null inside tables. A table is a list when native.json marked
-- it as one or when it has a first element; other tables are objects. An unmarked
-- empty table may be either (the members of AWS answers that are lists are not
-- all marked): it counts as a list wherever a list is wanted, and as an object
-- elsewhere. What the functions here make is marked.
local json = require "native.json"

local value = {}

local null = json.null
local list_mark = getmetatable(json.array {})

value.list = json.array

--- True for what may be used as a list.
function value.is_list(v)
  return type(v) == "table" and (v[1] ~= nil or getmetatable(v) == list_mark or next(v) == nil)
end

--- True for what may be used as an object.
function value.is_object(v)
  return type(v) == "table" and v[1] == nil and getmetatable(v) ~= list_mark
end

--- JMESPath's name of a value's type.
function value.type(v)
  local t = type(v)
  if v == nil or v == null then return "null" end
  if t == "table" then return value.is_object(v) and "object" or "array" end
  return t
end

--- A member or an element, with null as nil.
function value.get(v, key)
  local found = v[key]
  if found ~= null then return found end
end

--- False are null, false, and what is empty.
function value.truth(v)
  if v == nil or v == false or v == "" or v == null then return false end
  return type(v) ~= "table" or next(v) ~= nil
end

function value.equal(a, b)
  if a == null then a = nil end
  if b == null then b = nil end
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if (a[1] == nil) ~= (b[1] == nil) then return false end
  for k, v in pairs(a) do
    if not value.equal(v, b[k]) then return false end
  end
  for k, v in pairs(b) do
    if a[k] == nil and v ~= null then return false end
  end
  return true
end

--- The keys of an object, sorted, so that results do not change from run to run.
function value.keys(v)
  local keys = value.list {}
  for k in pairs(v) do
    if type(k) == "string" then keys[#keys + 1] = k end
  end
  table.sort(keys)
  return keys
end

--- For storing: nil becomes null.
function value.stored(v)
  if v == nil then return null end
  return v
end

return value
