---@meta native.terminal

-- The terminal. Failures: nil, message, kind.

local terminal = {}

--- Until something can be read from the descriptor.
---@param fd integer
---@return native.op
function terminal.readable(fd) end

return terminal
