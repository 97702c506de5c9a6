---@meta native.clock

-- Clocks, in seconds. Failures: nil, message, kind.

local clock = {}

--- The real time, since the epoch.
---@return number
function clock.now() end

--- Does not go on in sleep.
---@return number
function clock.monotonic() end

--- Goes on in sleep.
---@return number
function clock.boottime() end

--- Text in UTC.
---@param at number
---@param style "rfc3339"|"http"|"compact"
---@return string
function clock.format(at, style) end

--- RFC 3339, RFC 7231, RFC 822.
---@param text string
---@return number?
---@return string? message
---@return string? kind
function clock.parse(text) end

return clock
