---@meta native.signal

-- Signals. Failures: nil, message, kind.

local signal = {}

--- The name of the next of these signals; they are blocked for the process meanwhile.
---@param names string[]
---@return native.op
function signal.next(names) end

--- Gives the signals back to what they did.
function signal.reset() end

return signal
