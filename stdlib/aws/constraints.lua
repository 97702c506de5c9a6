--- What AWS's models demand of an input beyond its form: required members, least and
-- greatest lengths and values, patterns, enumerations. A client does not ask for them
-- (models are sometimes stricter or laxer than the service, and then the service's word
-- counts); the simulator does, as the services themselves do.
--
-- `collect` runs when a model is compiled; `faults` when an input is checked. Between
-- them stands { roots = { operation = number }, shapes = { ... } }; of a shape:
--   a, z      least and greatest length, or value of a number
--   p, e      pattern; the list of an enumeration's values
--   b         true where bytes are counted, not characters
--   m, r      of a structure: its members' shapes by name, names of those required
--   l         of a list: its elements' shape; k, v: of a map's keys and values
local confidential = require "confidential"
local json = require "native.json"
local regex = require "regex"

local constraints = {}

-- Collecting ----------------------------------------------------------------------

local SIZED = { string = true, list = true, map = true, blob = true }
local NUMBERS = { integer = true, long = true, short = true, byte = true, float = true,
  double = true }

local function own(shape)
  local entry = { p = shape.pattern, r = shape.required and #shape.required > 0 and shape.required
    or nil }
  if SIZED[shape.type] or NUMBERS[shape.type] then
    entry.a, entry.z = tonumber(shape.min), tonumber(shape.max)
    if entry.a == 0 and SIZED[shape.type] then entry.a = nil end -- no length is less
  end
  if shape.enum and #shape.enum > 0 then entry.e = shape.enum end
  if shape.type == "blob" and next(entry) then entry.b = true end
  return entry
end

local function references(shape)
  local list = {}
  for name, ref in pairs(shape.members or {}) do table.insert(list, { "m", name, ref.shape }) end
  for key, name in pairs { l = shape.type == "list" and "member" or "", k = "key", v = "value" } do
    if shape[name] then table.insert(list, { key, nil, shape[name].shape }) end
  end
  return list
end

-- Whether a shape or one within it demands something; shapes may refer to themselves, so
-- what is known grows until nothing is added.
local function demanding(shapes, reached)
  local found, grown = {}, true
  for name in pairs(reached) do found[name] = next(own(shapes[name])) ~= nil or nil end
  while grown do
    grown = false
    for name in pairs(reached) do
      for _, ref in ipairs(found[name] and {} or references(shapes[name])) do
        if found[ref[3]] then found[name], grown = true, true end
      end
    end
  end
  return found
end

local function reach(shapes, name, reached)
  if reached[name] then return end
  reached[name] = true
  for _, ref in ipairs(references(shapes[name])) do reach(shapes, ref[3], reached) end
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do table.insert(list, name) end
  table.sort(list)
  return list
end

local function entry_of(shapes, name, numbers)
  local entry = own(shapes[name])
  for _, ref in ipairs(references(shapes[name])) do
    local number = numbers[ref[3]]
    if number and ref[1] == "m" then
      entry.m = entry.m or {}
      entry.m[ref[2]] = number
    elseif number then
      entry[ref[1]] = number
    end
  end
  return entry
end

--- The constraints on a decoded model's inputs; nil when there are none.
function constraints.collect(model)
  local shapes, reached, numbers = model.shapes or {}, {}, {}
  for _, op in pairs(model.operations or {}) do
    if op.input and shapes[op.input.shape] then reach(shapes, op.input.shape, reached) end
  end
  local names = sorted(demanding(shapes, reached))
  for i, name in ipairs(names) do numbers[name] = i end
  local roots, list = {}, {}
  for key, op in pairs(model.operations or {}) do
    local name = type(key) == "string" and key or op.name
    if op.input then roots[name] = numbers[op.input.shape] end
  end
  if not next(roots) then return nil end
  for i, name in ipairs(names) do list[i] = entry_of(shapes, name, numbers) end
  return { roots = roots, shapes = list }
end

-- Checking ------------------------------------------------------------------------

local compiled = {} -- pattern -> matcher, or false

-- nil where a pattern is not understood, or a match takes too long: then the text passes.
local function matches(pattern, text)
  if compiled[pattern] == nil then compiled[pattern] = regex.compile(pattern) or false end
  return compiled[pattern] and compiled[pattern](text)
end

local function size(value, bytes)
  if type(value) == "string" then return bytes and #value or utf8.len(value) or #value end
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  return n
end

local function number_text(n)
  return math.tointeger(n) and ("%d"):format(math.tointeger(n)) or tostring(n)
end

local function has(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

local function check_limits(state, entry, value, path)
  local of_number = type(value) == "number"
  local amount = of_number and value or size(value, entry.b)
  local what = of_number and "value" or "length"
  if entry.a and amount < entry.a then
    state.fault(path, value,
      ("Member must have %s greater than or equal to %s"):format(what, number_text(entry.a)))
  elseif entry.z and amount > entry.z then
    state.fault(path, value,
      ("Member must have %s less than or equal to %s"):format(what, number_text(entry.z)))
  end
end

local function check_text(state, entry, value, path)
  if entry.e and not has(entry.e, value) then
    state.fault(path, value,
      ("Member must satisfy enum value set: [%s]"):format(table.concat(entry.e, ", ")))
  end
  if entry.p and matches(entry.p, value) == false then
    state.fault(path, value, "Member must satisfy regular expression pattern: " .. entry.p)
  end
end

local function below(path, name)
  name = name:gsub("^%u", string.lower)
  return path == "" and name or path .. "." .. name
end

local function absent(value) return value == nil or value == json.null end

local check

local function check_structure(state, entry, value, path)
  for _, name in ipairs(entry.r or {}) do
    if absent(value[name]) then state.fault(below(path, name), nil, "Member must not be null") end
  end
  for _, name in ipairs(sorted(entry.m or {})) do
    if not absent(value[name]) then check(state, entry.m[name], value[name], below(path, name)) end
  end
end

local function check_map(state, entry, value, path)
  for _, key in ipairs(sorted(value)) do
    if entry.k then check(state, entry.k, key, path) end
    if entry.v and not absent(value[key]) then
      check(state, entry.v, value[key], ("%s.%s.member"):format(path, key))
    end
  end
end

function check(state, number, value, path)
  local entry = state.shapes[number]
  if entry.a or entry.z then
    if type(value) == "number" or type(value) == "string" or type(value) == "table" then
      check_limits(state, entry, value, path)
    end
  end
  if type(value) == "string" then return check_text(state, entry, value, path) end
  if type(value) ~= "table" then return end
  if entry.m or entry.r then return check_structure(state, entry, value, path) end
  if entry.k or entry.v then return check_map(state, entry, value, path) end
  for i, each in ipairs(entry.l and value or {}) do
    if not absent(each) then check(state, entry.l, each, ("%s.%d.member"):format(path, i)) end
  end
end

--- The faults of an input, in the order of its members: { path, value, constraint }, with
-- AWS's way of writing paths ("tags.1.member.key") and constraints ("Member must not be
-- null"). data: what `collect` made, or nil.
function constraints.faults(data, operation, input)
  local list = {}
  local root = data and data.roots and data.roots[operation]
  if not root then return list end
  local state = { shapes = data.shapes }
  function state.fault(path, value, text)
    table.insert(list, { path = path, value = value, constraint = text })
  end
  check(state, root, input, "")
  return list
end

local MOST_TEXT = 200

local function shown(value)
  if value == nil then return "null" end
  local text = type(value) == "table" and json.encode(value, { sort = true }) or tostring(value)
  text = confidential.mask(text)
  if #text > MOST_TEXT then
    text = text:sub(1, (utf8.offset(text, 0, MOST_TEXT) or MOST_TEXT) - 1) .. "..."
  end
  return "'" .. text .. "'"
end

--- The faults as AWS's services report them, in one sentence.
function constraints.sentence(list)
  local parts = {}
  for i, fault in ipairs(list) do
    parts[i] = ("Value %s at '%s' failed to satisfy constraint: %s"):format(shown(fault.value),
      fault.path,
      fault.constraint)
  end
  return ("%d validation error%s detected: %s"):format(#list, #list == 1 and "" or "s",
    table.concat(parts, "; "))
end

return constraints
