--- The few AWS calls that lead to credentials (STS, SSO, SSO OIDC), made without a
-- client: a client needs credentials first. Through the same models, endpoint
-- rules, settings and signer; three attempts.
local clock = require "native.clock"
local confidential = require "confidential"
local endpoint = require "aws.endpoint"
local errors = require "errors"
local instants = require "aws.instants"
local model = require "aws.model"
local retry = require "aws.retry"
local settings = require "aws.settings"
local sigv4 = require "aws.sigv4"
local task = require "task"

local call = {}

local ATTEMPTS = 3
local CONNECT_TIMEOUT, TIMEOUT = 3, 10 -- seconds an attempt

--- The way out when a context has none of its own.
local function send_native(request)
  local http = require "native.http"
  return task.await(http.request(request))
end

--- Sends { method, url, headers, body, connect_timeout, timeout }: { status, headers,
-- body }, or nil, a message and a kind.
function call.send(context, request)
  return (context.http or send_native)(request)
end

--- Waits before attempt n + 1: 50 ms doubled each time, anything up to that.
function call.back_off(n)
  task.sleep(math.random() * 0.05 * 2 ^ (n - 1))
end

local function endpoint_params(m, operation, set)
  local params = settings.endpoint_params(set)
  for name, static in pairs(m:operation(operation).staticContextParams or {}) do
    params[name] = static.value
  end
  return params
end

local function prepare(service, operation, region, context)
  local m = model.open(service)
  local metadata = m:metadata()
  local set = settings.load { config = context.config, service_id = metadata.service_id,
    region = region }
  local resolved = endpoint.resolve {
    service = service, rules = m:endpoint_rules(), region = set.region or "aws-global",
    fips = set.fips, dualstack = set.dualstack, endpoint = set.endpoint_url,
    params = endpoint_params(m, operation, set),
  }
  return m, resolved, set
end

local function build(m, operation, input, resolved, more)
  local request = m:serialize(operation, input)
  local host, base_path = resolved.url:match("^%w+://([^/]+)(.*)$")
  local headers = { { "Host", host } }
  for name, value in pairs(request.headers) do table.insert(headers, { name, value }) end
  for _, pair in ipairs(more or {}) do table.insert(headers, pair) end
  return {
    method = request.method, uri = base_path:gsub("/$", "") .. request.uri, headers = headers,
    body = request.body,
  }
end

local function attempt(request, resolved, context, ca_bundle)
  if request.credentials then
    request.skew = instants.skew
    request.time = instants.of()
    sigv4.apply(request)
  end
  return call.send(context, {
    method = request.method, url = resolved.url:match("^%w+://[^/]+") .. request.uri,
    headers = request.headers, body = request.body ~= "" and request.body or nil,
    connect_timeout = CONNECT_TIMEOUT, timeout = TIMEOUT,
    ca_file = ca_bundle,
  })
end

-- A refusal because of our clock: true when that is right now.
local function corrected(request, failure, headers)
  if not request.skew or not retry.may_be_skew(failure) then return false end
  for _, pair in ipairs(headers or {}) do
    if pair[1]:lower() == "date" then return instants.correct(instants, pair[2], request.skew) end
  end
  return false
end

--- Makes a call. spec: service, operation, input, region, credentials (nil: unsigned),
-- headers (function(endpoint's URL) -> further ones). Returns the output; raises kind
-- "credentials" with service, operation, code, status.
function call.perform(context, spec)
  local m, resolved, set = prepare(spec.service, spec.operation, spec.region, context)
  local request = build(m, spec.operation, spec.input, resolved,
    spec.headers and spec.headers(resolved.url))
  request.region, request.service = resolved.signing_region, resolved.signing_name
  request.credentials = confidential.keys(spec.credentials)
  local failure, set_right
  local n = 1
  while true do
    local answer, message, kind = attempt(request, resolved, context, set.ca_bundle)
    if answer then
      local output, problem = m:parse(spec.operation, answer)
      if output then return output end
      failure = problem
      failure.status = failure.status or answer.status
    else
      failure = { message = message, kind = kind }
    end
    if answer and not set_right and corrected(request, failure, answer.headers) then
      set_right = true
    elseif n == ATTEMPTS or not retry.class(failure, spec.service) then
      break
    else
      call.back_off(n)
      n = n + 1
    end
  end
  errors.raise {
    kind = "credentials", service = spec.service, operation = spec.operation,
    code = failure.code, status = failure.status, fields = failure.fields,
    unsent = failure.status == nil,
    message = ("%s.%s at %s: %s%s"):format(spec.service, spec.operation, resolved.url,
      failure.code and failure.code .. ": " or "", failure.message or "failed"),
  }
end

--- The time of a text as AWS writes it, in seconds since the epoch; nil when it is
-- none.
function call.time(text)
  if type(text) == "number" then return math.floor(text) end
  local at = text and clock.parse((text:gsub("UTC$", "Z")))
  return at and math.floor(at)
end

return call
