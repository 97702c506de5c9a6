---@meta native.loop

-- The event loop: ask, wait, tell. Failures: nil, message, kind.

--- What blocks: every native function that waits answers one. task.await(op) gives its result.
---@class native.op
---@field done fun(self): boolean
---@field result fun(self): any, string?, string?
---@field cancel fun(self)

local loop = {}

--- One turn of the loop.
---@param seconds number waits at most so long; 0: polls
---@return native.op[] finished
function loop.wait(seconds) end

--- The number of operations under way.
---@return integer
function loop.pending() end

return loop
