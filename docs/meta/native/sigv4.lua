---@meta native.sigv4

-- Signature Version 4 and 4A; see aws.sigv4. Failures: nil, message, kind.

local sigv4 = {}

--- Signs a request.
---@param request table
---@return table
function sigv4.sign(request) end

--- Signs in place.
---@param request table
---@return table
function sigv4.apply(request) end

--- Checks a signature as a server.
---@param request table
---@param lookup function
---@param now? number
---@return string? region
---@return string? service
---@return string? access_key_id
---@return string? token
function sigv4.verify(request, lookup, now) end

--- Of the key pair that 4A derives.
---@param access_key_id string
---@param secret_access_key string
---@return string x
---@return string y
function sigv4.public_key(access_key_id, secret_access_key) end

--- Checks a 4A signature (in hexadecimal).
---@param access_key_id string
---@param secret_access_key string
---@param text string
---@param signature string
---@return boolean
function sigv4.check_asymmetric(access_key_id, secret_access_key, text, signature) end

--- Of the request signed last.
---@return string canonical_request
---@return string string_to_sign
function sigv4.last() end

return sigv4
