---@meta native.json

-- JSON, exact. Failures: nil, message, kind.

local json = {}

---@type lightuserdata
json.null = nil

--- The value of a text.
---@param text string
---@return any
---@return string? message
---@return string? kind
function json.decode(text) end

--- The text of a value.
---@param value any
---@param options? { indent: integer?, sort: boolean? }
---@return string?
---@return string? message
---@return string? kind
function json.encode(value, options) end

--- Marks a table as an array.
---@param t? table
---@return table
function json.array(t) end

--- True for a table that is written as an array.
---@param value any
---@return boolean
function json.is_array(value) end

return json
