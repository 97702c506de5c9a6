---@meta native.timer

-- Timers. Failures: nil, message, kind.

local timer = {}

--- Until so many seconds have passed.
---@param seconds number
---@return native.op
function timer.after(seconds) end

return timer
