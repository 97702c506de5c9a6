--- Bodies in signed or checksummed chunks (Content-Encoding: aws-chunked), both ways.
--
-- Four forms, named by the request's x-amz-content-sha256:
--   STREAMING-AWS4-HMAC-SHA256-PAYLOAD           each chunk signed, a chain that starts at
--                                                the request's own signature
--   STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER   the same, with signed trailing headers
--   STREAMING-UNSIGNED-PAYLOAD-TRAILER           chunks unsigned, trailing headers
-- A chunk on the wire is its size in hexadecimal, perhaps ";chunk-signature=...", CRLF, the
-- bytes, CRLF; one of size 0 ends them.
--
-- Source: Amazon S3 API Reference, "Signature calculations: transferring payload in
-- multiple chunks" and "... including trailing headers".
local crypto = require "native.crypto"
local errors = require "errors"

local chunked = {}

chunked.SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
chunked.SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
chunked.UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

local SMALLEST = 8192 -- bytes of a chunk but the last, by S3's rules
local SIGNATURE = #";chunk-signature=" + 64
local TRAILER_SIGNATURE = #"x-amz-trailer-signature:\r\n" + 64

local function hash(s) return crypto.hex(crypto.sha256(s)) end
local EMPTY = hash("")

--- The signing key of a scope: secret, date (20130524), region, service.
local function signing_key(secret, date, region, service)
  local key = crypto.hmac_sha256("AWS4" .. secret, date)
  key = crypto.hmac_sha256(crypto.hmac_sha256(key, region), service)
  return crypto.hmac_sha256(key, "aws4_request")
end

--- The chain of signatures after a request's: next_chunk and trailer each give the next.
local Chain = {}
Chain.__index = Chain

--- Begins a chain. of: secret_access_key, region, service, time (20130524T000000Z), and
-- signature, the request's own.
function chunked.chain(of)
  local date = of.time:sub(1, 8)
  return setmetatable({
    key = signing_key(of.secret_access_key, date, of.region, of.service), previous = of.signature,
    head = ("%s\n%s/%s/%s/aws4_request\n"):format(of.time, date, of.region, of.service),
  }, Chain)
end

function Chain:sign(algorithm, rest)
  local text = algorithm .. "\n" .. self.head .. self.previous .. "\n" .. rest
  self.previous = crypto.hex(crypto.hmac_sha256(self.key, text))
  return self.previous
end

function Chain:next_chunk(data)
  return self:sign("AWS4-HMAC-SHA256-PAYLOAD", EMPTY .. "\n" .. hash(data))
end

--- lines: the trailing headers as "name:value\n" each, names in lower case.
function Chain:trailer(lines)
  return self:sign("AWS4-HMAC-SHA256-TRAILER", hash(lines))
end

local function trailer_lines(trailers, ending)
  local lines = {}
  for i, pair in ipairs(trailers or {}) do
    lines[i] = pair[1]:lower() .. ":" .. pair[2] .. ending
  end
  return table.concat(lines)
end

--- One chunk as it goes over the wire. chain: nil for the unsigned form.
function chunked.frame(data, chain)
  local signature = chain and ";chunk-signature=" .. chain:next_chunk(data) or ""
  if data == "" then return "0" .. signature .. "\r\n" end
  return ("%x%s\r\n%s\r\n"):format(#data, signature, data)
end

--- What ends the chunks: the one of size 0, trailing headers ({ { name, value } ... })
-- and, in the signed form with trailers, their signature.
function chunked.ending(trailers, chain)
  local last = chunked.frame("", chain)
  if not trailers or #trailers == 0 then return last .. "\r\n" end
  local lines = trailer_lines(trailers, "\r\n")
  if chain then
    lines = lines .. "x-amz-trailer-signature:" .. chain:trailer(trailer_lines(trailers, "\n"))
      .. "\r\n"
  end
  return last .. lines .. "\r\n"
end

--- The Content-Length of a body of so many bytes in chunks. options: chunk_bytes,
-- signed, trailers (their values as long as they will be).
function chunked.length(bytes, options)
  local size, signature = options.chunk_bytes, options.signed and SIGNATURE or 0
  if size < SMALLEST then errors.misuse(2, "chunk_bytes: at least %d expected", SMALLEST) end
  local whole, rest = bytes // size, bytes % size
  local total = whole * (#("%x"):format(size) + signature + 4 + size)
  if rest > 0 then total = total + #("%x"):format(rest) + signature + 4 + rest end
  local trailers = trailer_lines(options.trailers, "\r\n")
  if trailers ~= "" and options.signed then total = total + TRAILER_SIGNATURE end
  return total + 1 + signature + 2 + #trailers + 2
end

--- A whole body in chunks. options: chunk_bytes (65536), chain (nil: unsigned), trailers.
function chunked.encode(body, options)
  local size, parts = options.chunk_bytes or 65536, {}
  for at = 1, #body, size do
    table.insert(parts, chunked.frame(body:sub(at, at + size - 1), options.chain))
  end
  table.insert(parts, chunked.ending(options.trailers, options.chain))
  return table.concat(parts)
end

local function fault(code, text, ...)
  return nil, text:format(...), code
end

local function matches(given, expected)
  return given ~= nil and crypto.equal(given, expected)
end

--- Reads the trailing headers after the last chunk: a list of pairs and the signature
-- that came with them.
local function read_trailers(text)
  local trailers, signature = {}, nil
  for line in text:gmatch("([^\r\n]+)") do
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if not name then return nil end
    if name:lower() == "x-amz-trailer-signature" then
      signature = value
    else
      table.insert(trailers, { name:lower(), value })
    end
  end
  return trailers, signature
end

--- Takes the chunks apart, checking each signature when a chain is given. Returns the
-- body and the trailing headers ({ { name, value } ... }); or nil, a message and AWS's
-- error code: IncompleteBody, InvalidRequest, SignatureDoesNotMatch.
function chunked.decode(text, chain)
  local parts, at = {}, 1
  while true do
    local size, extension, after = text:match("^(%x+)([^\r\n]*)\r\n()", at)
    if not size or #size > 12 then
      return fault("InvalidRequest", "chunk %d has no size", #parts + 1)
    end
    size = tonumber(size, 16)
    local data = text:sub(after, after + size - 1)
    if #data < size then
      return fault("IncompleteBody", "chunk %d has %d of its %d bytes", #parts + 1, #data, size)
    end
    if chain and not matches(extension:match("^;chunk%-signature=(%x+)$"),
      chain:next_chunk(data)) then
      return fault("SignatureDoesNotMatch", "the signature of chunk %d does not match", #parts + 1)
    end
    at = after + size
    if size == 0 then break end
    if text:sub(at, at + 1) ~= "\r\n" then
      return fault("InvalidRequest", "chunk %d does not end", #parts + 1)
    end
    at = at + 2
    table.insert(parts, data)
  end
  local trailers, signature = read_trailers(text:sub(at))
  if not trailers then return fault("InvalidRequest", "the trailing headers are malformed") end
  if chain and #trailers > 0
    and not matches(signature, chain:trailer(trailer_lines(trailers, "\n"))) then
    return fault("SignatureDoesNotMatch", "the signature of the trailing headers does not match")
  end
  return table.concat(parts), trailers
end

return chunked
