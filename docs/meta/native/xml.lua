---@meta native.xml

-- XML by expat. Failures: nil, message, kind.

local xml = {}

--- { name =, attrs =, [1..n] = child or text }.
---@param text string
---@return table?
---@return string? message
---@return string? kind
function xml.parse(text) end

--- Text for use in XML.
---@param text string
---@return string
function xml.escape(text) end

return xml
