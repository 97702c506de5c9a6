---@meta native.pulse

-- Interrupts Lua code that computes without ever waiting. Failures: nil, message, kind.

local pulse = {}

--- Calls fn(source) in the running coroutine after each so many seconds of processor time;
--- source: of the function under way. It returns true, or false to be asked again a little
--- later; it may raise, not yield. A second start replaces fn.
---@param seconds number
---@param fn fun(source: string): boolean
---@return boolean?
---@return string? message
---@return string? kind
function pulse.start(seconds, fn) end

--- Nothing is interrupted any more.
function pulse.stop() end

--- Which coroutine runs from here on; nil: none that may be interrupted.
---@param co thread?
function pulse.running(co) end

return pulse
