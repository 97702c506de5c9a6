--- JSON, exact: integers stay integers (all 64 bits), floats floats, an empty array
-- stays an array, null is json.null (a field that is null is there; one that is
-- absent is nil).
local errors = require "errors"
local native = require "native.json"

local json = {}

--- What JSON's null is decoded to, and what is encoded as null.
json.null = native.null

--- The value of a JSON text; raises kind "invalid" with the place of the fault.
function json.decode(text)
  if type(text) ~= "string" then
    errors.misuse(2, "json.decode: a string expected, got %s", type(text))
  end
  local value, message, kind = native.decode(text)
  if message then errors.raise { kind = kind, message = message } end
  return value
end

--- The JSON text of a value. options: `indent` (blanks a level), `sort` (members by
-- name). Raises kind "invalid" for what JSON cannot hold: a function, a cycle, NaN, a
-- table that is neither a list nor has only texts as keys.
function json.encode(value, options)
  local text, message, kind = native.encode(value, options)
  if not text then errors.raise { kind = kind or "invalid", message = message } end
  return text
end

--- Marks a table (default: a new one) as an array, also when it is empty.
json.array = native.array

--- True for a table that is written as an array.
json.is_array = native.is_array

--- The values of a text with one JSON value a line (a log, a watch); empty lines are
-- passed over.
function json.lines(text)
  local values = {}
  for line in text:gmatch("[^\r\n]+") do
    if line:find("%S") then table.insert(values, json.decode(line)) end
  end
  return values
end

return json
