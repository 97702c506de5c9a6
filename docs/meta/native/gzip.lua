---@meta native.gzip

-- gzip and zlib. Failures: nil, message, kind.

local gzip = {}

---
---@param data string
---@param level? integer
---@return string
function gzip.compress(data, level) end

---
---@param data string
---@param max_bytes? integer
---@return string?
---@return string? message
---@return string? kind
function gzip.decompress(data, max_bytes) end

return gzip
