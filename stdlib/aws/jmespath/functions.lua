--- JMESPath's functions, each with the types of its arguments.
--
-- An entry: { argument types..., fn } with `rest = n` when the last type repeats
-- (n of them at least 1). A type is a set of names: number string boolean array
-- object null expression any, and array-number, array-string for lists all of
-- whose elements are of one type.
local json = require "native.json"
local lexer = require "aws.jmespath.lexer"
local value = require "aws.jmespath.value"

local functions = {}

local fault, list, get = lexer.fault, value.list, value.get

local function uniform(v, wanted)
  if not value.is_list(v) then return false end
  for i = 1, #v do
    if value.type(v[i]) ~= wanted then return false end
  end
  return true
end

local checks = {
  any = function() return true end,
  array = value.is_list,
  object = value.is_object,
  number = function(v) return type(v) == "number" end,
  string = function(v) return type(v) == "string" end,
  boolean = function(v) return type(v) == "boolean" end,
  expression = function(v) return type(v) == "function" end,
  ["array-number"] = function(v) return uniform(v, "number") end,
  ["array-string"] = function(v) return uniform(v, "string") end,
}

local function check(name, n, accepted, v)
  for _, each in ipairs(accepted) do
    if checks[each](v) and (type(v) ~= "function" or each == "expression") then return end
  end
  fault("invalid-type", "%s(): argument %d must be %s, not %s", name, n,
    table.concat(accepted, " or "), type(v) == "function" and "an expression" or value.type(v))
end

--- The number of code points; bytes where the text is not UTF-8.
local function code_points(s) return utf8.len(s) or #s end

local function integral(x) return math.tointeger(x) or x end

local function number_of(text)
  if not (text:find("^%-?%d+%.?%d*[eE]?[+-]?%d*$") and not text:find("^%-?0%d")) then return nil end
  return tonumber(text)
end

local function reverse_text(s)
  if not utf8.len(s) then return s:reverse() end
  local characters = {}
  for _, code in utf8.codes(s) do table.insert(characters, 1, utf8.char(code)) end
  return table.concat(characters)
end

local function reverse(v)
  if type(v) == "string" then return reverse_text(v) end
  local out = list {}
  for i = #v, 1, -1 do out[#out + 1] = v[i] end
  return out
end

-- Sorts by keys, all numbers or all strings, equal ones staying in order.
local function sorted(name, v, key_of)
  local rows, kind = {}, nil
  for i = 1, #v do
    local key = key_of(get(v, i))
    local this = value.type(key)
    kind = kind or this
    if (this ~= "number" and this ~= "string") or this ~= kind then
      fault("invalid-type", "%s(): keys must be all numbers or all strings, not %s", name, this)
    end
    rows[i] = { key = key, at = i }
  end
  table.sort(rows, function(a, b)
    if a.key == b.key then return a.at < b.at end
    return a.key < b.key
  end)
  local out = list {}
  for i, row in ipairs(rows) do out[i] = v[row.at] end
  return out
end

local function extreme(name, v, key_of, better)
  local best, best_key
  for i = 1, #v do
    local element = get(v, i)
    local key = key_of(element)
    local this = value.type(key)
    if this ~= "number" and this ~= "string" or best_key ~= nil and this ~= type(best_key) then
      fault("invalid-type", "%s(): keys must be all numbers or all strings, not %s", name, this)
    end
    if best_key == nil or better(key, best_key) then best, best_key = element, key end
  end
  return best
end

local function same(v) return v end
local function less(a, b) return a < b end
local function greater(a, b) return a > b end

local function sum(numbers)
  local total = 0
  for i = 1, #numbers do total = total + numbers[i] end
  return total
end

local function contains(v, wanted)
  if type(v) == "string" then
    return type(wanted) == "string" and v:find(wanted, 1, true) ~= nil
  end
  for i = 1, #v do
    if value.equal(v[i], wanted) then return true end
  end
  return false
end

local function length(v)
  if type(v) == "string" then return code_points(v) end
  if #v > 0 then return #v end
  local n = 0
  for _ in pairs(v) do n = n + 1 end
  return n
end

local function map(reference, v)
  local out = list {}
  for i = 1, #v do out[i] = value.stored(reference(get(v, i))) end
  return out
end

local function merge(...)
  local out = {}
  for i = 1, select("#", ...) do
    for k, v in pairs((select(i, ...))) do out[k] = v end
  end
  return out
end

local function not_null(...)
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if v ~= nil then return v end
  end
end

local function values(v)
  local out = list {}
  for i, key in ipairs(value.keys(v)) do out[i] = v[key] end
  return out
end

local function to_number(v)
  if type(v) == "number" then return v end
  if type(v) == "string" then return number_of(v) end
end

local number, text, array, object, any = { "number" }, { "string" }, { "array" }, { "object" },
  { "any" }
local reference, comparable = { "expression" }, { "array-number", "array-string" }

local all = {
  abs = { number, math.abs },
  avg = { { "array-number" }, function(v) if #v > 0 then return sum(v) / #v end end },
  ceil = { number, function(x) return integral(math.ceil(x)) end },
  contains = { { "array", "string" }, any, contains },
  ends_with = { text, text,
    function(s, tail) return s:sub(math.max(1, #s - #tail + 1)) == tail end },
  floor = { number, function(x) return integral(math.floor(x)) end },
  join = { text, { "array-string" }, function(glue, v) return table.concat(v, glue) end },
  keys = { object, value.keys },
  length = { { "string", "array", "object" }, length },
  map = { reference, array, map },
  max = { comparable, function(v) return extreme("max", v, same, greater) end },
  max_by = { array, reference, function(v, key) return extreme("max_by", v, key, greater) end },
  merge = { object, merge, rest = true },
  min = { comparable, function(v) return extreme("min", v, same, less) end },
  min_by = { array, reference, function(v, key) return extreme("min_by", v, key, less) end },
  not_null = { any, not_null, rest = true },
  reverse = { { "array", "string" }, reverse },
  sort = { comparable, function(v) return sorted("sort", v, same) end },
  sort_by = { array, reference, function(v, key) return sorted("sort_by", v, key) end },
  starts_with = { text, text, function(s, head) return s:sub(1, #head) == head end },
  sum = { { "array-number" }, sum },
  to_array = { any, function(v) return value.is_list(v) and v or list { value.stored(v) } end },
  to_number = { any, to_number },
  to_string = { any,
    function(v) return type(v) == "string" and v or json.encode(value.stored(v)) end },
  type = { any, value.type },
  values = { object, values },
}

--- The function of a name for so many arguments, as fn(...) that checks them.
-- Raises unknown-function and invalid-arity.
function functions.get(name, count)
  local entry = all[name] or fault("unknown-function", "there is no function %s()", name)
  local fn, declared = entry[#entry], #entry - 1
  if entry.rest and count < declared or not entry.rest and count ~= declared then
    fault("invalid-arity", "%s() takes %d argument%s%s, not %d", name, declared, declared == 1
      and "" or "s",
      entry.rest and " or more" or "", count)
  end
  return function(...)
    for i = 1, count do check(name, i, entry[math.min(i, declared)], (select(i, ...))) end
    return fn(...)
  end
end

return functions
