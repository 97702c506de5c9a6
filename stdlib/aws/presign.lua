--- Presigned requests: URLs that somebody else sends.
local instants = require "aws.instants"
local quirks = require "aws.quirks"
local sigv4 = require "aws.sigv4"
local target = require "aws.target"

local presign = {}

local LIFE = 3600 -- seconds; what the SDKs use for cross-region copies

--- A query request of the client's as a URL for another region, which AWS itself calls.
-- op: its record; request: serialized; more: further members of the form.
function presign.query(client, op, request, region, more)
  local source = setmetatable({ region = region, targets = {} }, { __index = client })
  local found = target.of(source, op, {})
  local query = request.body:gsub("+", "%%20") -- a form's space; in a query a plus is a plus
  for name, value in pairs(more) do query = query .. "&" .. name .. "=" .. quirks.percent(value) end
  local signed = sigv4.apply { method = "GET", uri = found.path .. "/?" .. query, body = "",
    headers = { { "Host", found.host } }, region = found.signing_region,
    service = found.signing_name,
    credentials = client:credentials_for(op), time = instants.of(client.clock), expires = LIFE }
  return found.origin .. signed.uri
end

--- The host of another service as a client's settings give it.
function presign.host_of(client, service, operation)
  local aws = require "aws"
  local other = aws[service] { region = client.region or nil,
    credentials = client.credentials:get() }
  return other:target(other:operation(operation), {}).host
end

return presign
