--- Requests as a stranger sends them to the simulator: checked without harm; and what
-- we sign ourselves verifies.
local chunked = require "aws.chunked"
local sigv4 = require "aws.sigv4"

local NOW = 1440938160
local keys = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret",
  session_token = "token" }

local function lookup(id) return id == keys.access_key_id and keys.secret_access_key or nil end

local function parse(data)
  local head, body = data:match("^(.-)\n\n(.*)$")
  head, body = head or data, body or ""
  local method, uri = head:match("^(%S*) ([^\n]*)")
  local headers, plain = {}, true
  for name, value in head:gmatch("\n([^\n:]*):([^\n]*)") do
    table.insert(headers, { name, value })
    if not name:find("^[%w-]+$") or name:lower() == "x-amz-content-sha256" then plain = false end
  end
  return { method = method or "", uri = uri or "", headers = headers, body = body, lookup = lookup,
    now = NOW }, plain
end

local function round_trip(request, expires, asymmetric)
  local copy = {}
  for k, v in pairs(request) do copy[k] = v end
  copy.region, copy.service, copy.credentials, copy.time = "us-east-1", "service", keys, NOW
  copy.expires, copy.asymmetric = expires, asymmetric
  sigv4.apply(copy)
  local region, message = sigv4.verify(copy)
  if region ~= "us-east-1" then
    error("FUZZ: our own signature is refused: " .. tostring(message))
  end
end

return function(data)
  local request, plain = parse(data)
  sigv4.verify(request)
  chunked.decode(request.body, chunked.chain { secret_access_key = "s", region = "r",
    service = "s3", time = "20150830T123600Z", signature = ("0"):rep(64) })
  if not plain or request.method == "" or request.uri:lower():find("x%-amz")
    or request.uri:find("%%") then
    return
  end
  table.insert(request.headers, { "Host", "example.com" })
  round_trip(request)
  round_trip(request, 60)
  if #data % 16 == 0 then round_trip(request, nil, true) end
end
