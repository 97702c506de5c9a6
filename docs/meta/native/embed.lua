---@meta native.embed

-- The files compiled into the program. Failures: nil, message, kind.

local embed = {}

---
---@param name string
---@return string?
function embed.read(name) end

---
---@param prefix? string
---@return string[]
function embed.list(prefix) end

return embed
