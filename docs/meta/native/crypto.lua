---@meta native.crypto

-- Hashes, encodings, randomness, by OpenSSL. Failures: nil, message, kind.

local crypto = {}

--- SHA-256.
---@param data string
---@return string raw bytes
function crypto.sha256(data) end

--- SHA-1.
---@param data string
---@return string raw bytes
function crypto.sha1(data) end

--- MD5.
---@param data string
---@return string raw bytes
function crypto.md5(data) end

--- SHA-512.
---@param data string
---@return string raw bytes
function crypto.sha512(data) end

--- HMAC-SHA-256.
---@param key string
---@param data string
---@return string raw bytes
function crypto.hmac_sha256(key, data) end

--- Checksum; `earlier` goes on from another.
---@param data string
---@param earlier? integer
---@return integer
function crypto.crc32(data, earlier) end

--- Checksum; `earlier` goes on from another.
---@param data string
---@param earlier? integer
---@return integer
function crypto.crc32c(data, earlier) end

--- Checksum; `earlier` goes on from another.
---@param data string
---@param earlier? integer
---@return integer
function crypto.crc32c_portable(data, earlier) end

--- Checksum; `earlier` goes on from another.
---@param data string
---@param earlier? integer
---@return integer
function crypto.crc64nvme(data, earlier) end

--- A hash fed piece by piece: h:update(data), h:final().
---@param name string
---@return table
function crypto.hasher(name) end

--- The hash of a file or a part of it.
---@param name string
---@param path string
---@param offset? integer
---@param length? integer
---@return string? raw bytes
---@return string? message
---@return string? kind
function crypto.hash_file(name, path, offset, length) end

--- Base64.
---@param data string
---@return string
function crypto.base64(data) end

--- Its reverse.
---@param text string
---@return string?
---@return string? message
---@return string? kind
function crypto.unbase64(text) end

--- Hexadecimal.
---@param data string
---@return string
function crypto.hex(data) end

--- Its reverse.
---@param text string
---@return string?
---@return string? message
---@return string? kind
function crypto.unhex(text) end

--- Random bytes.
---@param n integer
---@return string
function crypto.random(n) end

--- A random UUID.
---@return string
function crypto.uuid() end

--- Compares in constant time.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

--- Signs with an EC key in PEM.
---@param pem string
---@param text string
---@return string signature
---@return string x
---@return string y
function crypto.es256(pem, text) end

--- Seals a text with AES-256-GCM. A nonce may be used once with a key.
---@param key string 32 bytes
---@param nonce string 12 bytes
---@param text string
---@param bound? string text that is authenticated with it
---@return string sealed
function crypto.seal(key, nonce, text, bound) end

--- Its reverse; "invalid" when key, nonce, sealed text or bound text is another.
---@param key string
---@param nonce string
---@param sealed string
---@param bound? string
---@return string?
---@return string? message
---@return string? kind
function crypto.open(key, nonce, sealed, bound) end

return crypto
