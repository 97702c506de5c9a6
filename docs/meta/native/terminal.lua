---@meta native.terminal

-- The terminal. Failures: nil, message, kind.

local terminal = {}

--- Until something can be read from the descriptor.
---@param fd integer
---@return native.op
function terminal.readable(fd) end

--- A line typed at the process's terminal without being shown. Kinds of failures: "busy",
-- "closed" (the input ended), "full" (too long), or those of opening /dev/tty.
---@param prompt string
---@return native.op
function terminal.secret(prompt) end

return terminal
