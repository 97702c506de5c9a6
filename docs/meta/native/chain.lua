---@meta native.chain

-- A hash chain over records { seq, epoch, time, kind, path, data, hash }.

local chain = {}

--- The hash of a record after the one whose hash is `former` (64 hexadecimal digits).
---@param former string
---@param record table
---@return string
function chain.hash(former, record) end

--- How many records, from the first on, follow the one of this number and hash, and then
-- each other.
---@param records table[]
---@param seq integer
---@param hash string
---@return integer
function chain.fits(records, seq, hash) end

return chain
