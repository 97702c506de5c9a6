--- Signing of event streams in requests: each event travels in a frame that has the time
-- and a signature in its headers, a chain that starts at the request's own signature; an
-- empty frame, signed too, ends it.
--
-- The events are known before the call, so the stream is a body like any other: what a
-- service sends back meanwhile is read at the end.
--
-- Source: Amazon Transcribe developer guide, "Event stream encoding"; the AWS SDKs' own
-- test of a signed event.
local crypto = require "native.crypto"
local clock = require "native.clock"
local sigv4 = require "aws.sigv4"

local events = {}

--- What the request's signature has in place of the body's hash.
events.PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-EVENTS"

local DATE, SIGNATURE = ":date", ":chunk-signature"
local OF_BYTES, OF_TIME = 6, 8

local function hash(s) return crypto.hex(crypto.sha256(s)) end

--- One frame: its headers as they are encoded, and its payload.
function events.frame(headers, payload)
  local lengths = string.pack(">I4I4", 12 + #headers + #payload + 4, #headers)
  local head = lengths .. string.pack(">I4", crypto.crc32(lengths)) .. headers .. payload
  return head .. string.pack(">I4", crypto.crc32(head))
end

--- Iterates over the frames in a body.
function events.frames(body)
  local at = 1
  return function()
    if at > #body then return nil end
    local length = string.unpack(">I4", body, at)
    local frame = body:sub(at, at + length - 1)
    at = at + length
    return frame
  end
end

local function signing_key(of, date)
  local key = crypto.hmac_sha256("AWS4" .. of.secret_access_key, date)
  key = crypto.hmac_sha256(crypto.hmac_sha256(key, of.region), of.service)
  return crypto.hmac_sha256(key, "aws4_request")
end

local function signed_frame(of, key, scope, previous, payload)
  local date = string.pack(">s1Bi8", DATE, OF_TIME, of.seconds * 1000)
  local text = table.concat({ "AWS4-HMAC-SHA256-PAYLOAD", of.time, scope, previous, hash(date),
    hash(payload) }, "\n")
  local signature = crypto.hmac_sha256(key, text)
  return events.frame(date .. string.pack(">s1Bs2", SIGNATURE, OF_BYTES, signature), payload),
    crypto.hex(signature)
end

--- The body with each of its frames in a signed one. of: secret_access_key, region,
-- service, seconds (since the epoch, whole), signature (the request's own, in hexadecimal).
function events.sign(body, of)
  of.time = clock.format(of.seconds, "compact")
  local date = of.time:sub(1, 8)
  local key, scope = signing_key(of, date),
    ("%s/%s/%s/aws4_request"):format(date, of.region, of.service)
  local parts, previous = {}, of.signature
  for frame in events.frames(body) do
    parts[#parts + 1], previous = signed_frame(of, key, scope, previous, frame)
  end
  parts[#parts + 1] = signed_frame(of, key, scope, previous, "")
  return table.concat(parts)
end

--- Signs a request and its events in place: wire is what native.http takes, with `sign` as
-- it would use it.
function events.prepare(wire, uri)
  local sign = wire.sign
  local headers = table.move(wire.headers, 1, #wire.headers, 1, {})
  for name, value in pairs(wire.more_headers or {}) do table.insert(headers, { name, value }) end
  table.insert(headers, { "x-amz-content-sha256", events.PAYLOAD })
  local seconds = math.floor(sign.time)
  local signed = sigv4.sign { method = wire.method, uri = uri, headers = headers, body = "",
    payload_hash = events.PAYLOAD, region = sign.region, service = sign.service,
    credentials = sign.credentials,
    time = seconds, normalize_path = sign.normalize_path, double_encode = sign.double_encode }
  wire.body = events.sign(wire.body,
    { secret_access_key = sign.credentials.secret_access_key, region = sign.region,
    service = sign.service, seconds = seconds, signature = signed.signature })
  wire.headers, wire.more_headers, wire.sign = signed.headers, nil, nil
end

return events
