--- Checks what a person or a program hands to the simulator (faults, worlds, requests
-- under /_sim/): each field known and of its kind, before anything is changed.
local errors = require "errors"

local fields = {}

local UNITS = { s = 1, m = 60, h = 3600, d = 86400 }
local LONGEST_SECONDS = 100 * 365 * 86400

local function finite(value)
  return type(value) == "number" and value == value and value > -math.huge and value < math.huge
end

local function seconds(value)
  return finite(value) and value >= 0 and value <= LONGEST_SECONDS and value or nil
end

--- Seconds of a number or of text such as "26h"; nil for anything else.
function fields.duration(value)
  if type(value) ~= "string" then return seconds(value) end
  local number, unit = value:match("^(%d+%.?%d*)([smhd])$")
  return number and seconds(tonumber(number) * UNITS[unit])
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  return n == #value
end

local function all(value, kind)
  if not is_list(value) then return false end
  for _, one in ipairs(value) do
    if type(one) ~= kind then return false end
  end
  return true
end

local function whole(value, least, most)
  return finite(value) and math.tointeger(value) ~= nil and value >= least and value <= most
end

-- kind -> test, and what it wants in words
local kinds = {
  text = { function(v) return type(v) == "string" and v ~= "" and not v:find("%z") end, "text" },
  flag = { function(v) return type(v) == "boolean" end, "true or false" },
  number = { finite, "a number" },
  positive = { function(v) return finite(v) and v > 0 and v <= 1e6 end,
  "a number above 0, at most 1000000" },
  count = { function(v) return whole(v, 0, 1 << 53) end, "a whole number, 0 or more" },
  port = { function(v) return whole(v, 0, 65535) end, "a port (0 to 65535)" },
  share = { function(v) return finite(v) and v >= 0 and v <= 1 end, "a number from 0 to 1" },
  seconds = { seconds, "seconds, 0 or more" },
  duration = { fields.duration, "seconds, 0 or more, or text such as \"26h\"" },
  names = { function(v) return type(v) == "string" or all(v, "string") end,
  "a name or a list of names" },
  texts = { function(v) return all(v, "string") end, "a list of texts" },
  list = { is_list, "a list" },
  items = { function(v) return all(v, "table") end, "a list of tables" },
  table = { function(v) return type(v) == "table" end, "a table" },
  any = { function() return true end, "" },
}

local function shown(value)
  if type(value) == "string" then return ("%q"):format(#value > 40 and value:sub(1, 40) .. "..."
    or value) end
  if type(value) == "table" then return is_list(value) and "a list" or "a table" end
  if type(value) == "userdata" then return "null" end
  return tostring(value)
end

local function refuse(text, ...)
  errors.raise { kind = "invalid", message = text:format(...) }
end

--- The names of a table's keys, sorted, for messages.
function fields.names(set)
  local list = {}
  for name in pairs(set) do table.insert(list, tostring(name)) end
  table.sort(list)
  return table.concat(list, ", ")
end

--- Raises kind "invalid" unless `value` is of the kind; what: names it in the message.
function fields.expect(what, value, kind)
  if not kinds[kind][1](value) then refuse("%s must be %s, not %s", what, kinds[kind][2],
    shown(value)) end
end

--- Checks a table against `known` (name -> kind, "kind!" for a field that must be there).
-- what: names the table in messages ("a writer", "world: instances[2]").
function fields.check(what, value, known)
  if type(value) ~= "table" then refuse("%s must be a table, not %s", what, shown(value)) end
  for name, given in pairs(value) do
    local kind = known[name]
    if not kind then refuse("%s has no field \"%s\"; known: %s", what, tostring(name),
      fields.names(known)) end
    fields.expect(("%s: %s"):format(what, name), given, (kind:gsub("!", "")))
  end
  for name, kind in pairs(known) do
    if kind:sub(-1) == "!" and value[name] == nil then refuse("%s needs the field \"%s\"", what,
      name) end
  end
end

return fields
