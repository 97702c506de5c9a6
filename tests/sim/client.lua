--- A bare AWS client for the simulator's tests: native codec, signer and HTTP, one
-- attempt a call, so that each answer is seen as it is.
local errors = require "errors"
local http = require "native.http"
local json = require "native.json"
local model = require "native.model"
local sigv4 = require "native.sigv4"
local task = require "task"

local client = {}

local function signing_name(m, service)
  local metadata = m:metadata()
  return metadata.signing_name or metadata.endpoint_prefix or service
end

local function pairs_of(headers)
  local list = {}
  for name, value in pairs(headers or {}) do
    table.insert(list, type(name) == "number" and value or { name, value })
  end
  return list
end

--- One call: the output, or nil, err (as the codec gives it; err.status is HTTP's),
-- or nil, { code = KIND of the transport's failure }.
-- options: region, key, secret, token, timeout.
function client.call(s, service, operation, input, options)
  options = options or {}
  local m = assert(model.open(service))
  local request = assert(m:serialize(operation, input or {},
    { idempotency_token = options.idempotency_token }))
  local headers = pairs_of(request.headers)
  table.insert(headers, { "Host", ("127.0.0.1:%d"):format(s.port) })
  local signed = sigv4.sign {
    method = request.method, uri = request.uri, headers = headers, body = request.body or "",
    region = options.region or "us-east-1", service = signing_name(m, service), credentials = {
      access_key_id = options.key or "test", secret_access_key = options.secret or "test",
      session_token = options.token },
  }
  local answer, message, kind = task.await(http.request {
    method = request.method, url = s.url .. request.uri, headers = signed.headers,
    body = request.body, timeout = options.timeout or 20, connect_timeout = 3,
  })
  if not answer then return nil, { code = kind, message = message } end
  local output, e = m:parse(operation, answer)
  if output then return output end
  e.status = answer.status
  return nil, e
end

--- The output; an AWS error raises.
function client.ok(s, service, operation, input, options)
  local output, e = client.call(s, service, operation, input, options)
  if output then return output end
  return errors.raise { kind = "aws", message = ("%s: %s: %s"):format(operation, e.code, e.message),
    code = e.code }
end

--- The error that a call must meet.
function client.fails(s, code, service, operation, input, options)
  local output, e = client.call(s, service, operation, input, options)
  if output then
    errors.raise { kind = "assertion", message = operation .. " succeeded, " .. code
      .. " expected" }
  end
  if e.code ~= code then
    errors.raise { kind = "assertion",
      message = ("%s: %s expected, got %s: %s"):format(operation, code,
      tostring(e.code), tostring(e.message)) }
  end
  return e
end

--- The simulator's own interface with these headers and this body as they are: the
-- response.
function client.raw(s, method, path, headers, body)
  return errors.check(path, task.await(http.request {
    method = method, url = s.url .. "/_sim/" .. path, headers = headers, body = body,
    timeout = 60 }))
end

--- The headers of a change under /_sim/.
function client.headers(s)
  return { { "Content-Type", "application/json" }, { "Authorization", "Bearer " .. s.token } }
end

--- The simulator's own interface: the decoded answer and the status.
function client.admin(s, method, path, body)
  local answer = client.raw(s, method, path, method ~= "GET" and client.headers(s) or nil,
    body and json.encode(body))
  return json.decode(answer.body), answer.status
end

--- Calls fn every 10 ms until it returns something true; raises after `seconds`.
function client.until_true(what, fn, seconds)
  for _ = 1, (seconds or 20) * 100 do
    local value = fn()
    if value then return value end
    task.sleep(0.01)
  end
  return errors.raise { kind = "assertion", message = "waited in vain for " .. what }
end

-- Whether a change of the instance is under way, whatever its status says.
local function busy(s, id, options)
  local ok, record = pcall(s.instance, s, id,
    { region = options and options.region or "us-east-1" })
  return not ok or record.busy
end

--- A DB instance's shape once it has the status (default: available, with nothing under
-- way any more).
function client.instance(s, id, status, options)
  return client.until_true(("%s to be %s"):format(id, status or "available"), function()
    local output = client.call(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = id },
      options)
    local shape = output and output.DBInstances[1]
    local there = shape and shape.DBInstanceStatus == (status or "available")
    return there and (status and status ~= "available" or not busy(s, id, options)) and shape
  end)
end

return client
