--- The HTTP front: one port for every service and region. The credential scope
-- of a request's signature says which service and region are meant.
--
-- A call's course: claim, route, region alive?, faults before, signature, input,
-- policy, handler, faults after, answer. Each ends in one line of the call log.
local auth = require "sim.auth"
local context = require "sim.context"
local crypto = require "native.crypto"
local errors = require "errors"
local guard = require "sim.guard"
local gzip = require "native.gzip"
local json = require "native.json"
local policy = require "sim.policy"
local refusals = require "sim.refusals"
local regions = require "sim.regions"
local services = require "sim.services"
local task = require "task"

local front = {}

local HANG_SECONDS = 600
local MOST_INFLATED_BYTES = 64 << 20

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function escape(text) return (text:gsub("[&<>]", entities)) end

-- An answer for callers whose service or operation is not known: JSON for those who
-- speak it, else the form of query.
local function bare_error(http, status, code, message, protocol)
  local json_spoken = auth.header(http, "x-amz-target") or (protocol or ""):find("json", 1, true)
    or (auth.header(http, "content-type") or ""):find("json", 1, true)
  local body = json_spoken and json.encode { __type = code, message = message }
    or ('<?xml version="1.0"?>\n<ErrorResponse><Error><Type>Sender</Type><Code>'
      .. '%s</Code><Message>%s</Message>'
      .. "</Error><RequestId>%s</RequestId></ErrorResponse>"):format(code, escape(message),
      crypto.uuid())
  return { status = status, body = body, headers = { { "x-amzn-ErrorType", code },
    { "Content-Type", json_spoken and "application/x-amz-json-1.1" or "text/xml" } } }
end

local function error_answer(service, call, e)
  if not service or not call.operation then
    return bare_error(call.http, e.status, e.code, e.message, service and service.protocol)
  end
  return service.model:serialize_error(call.operation, {
    code = e.code, message = e.message, status = e.status, fields = e.fields,
    request_id = crypto.uuid(), type = (e.status or 400) >= 500 and "server" or "client",
  }, { protocol = call.protocol })
end

-- Never answered: the request is kept until the client gives up or we end.
local function hang(request)
  task.sleep(HANG_SECONDS)
  request:reset()
end

local throttles = { query = "Throttling", ["rest-xml"] = "Throttling",
  ec2 = "RequestLimitExceeded" }

-- The error that a fault answers with, or nil for those that do not answer.
local function fault_error(fault, call, service)
  if fault.kind == "throttle" then
    local code = throttles[call.protocol or service.protocol] or "ThrottlingException"
    return { status = 400, code = fault.code or code, message = fault.message or "Rate exceeded" }
  elseif fault.kind == "error" then
    return { status = fault.status or 500, code = fault.code or "InternalFailure",
      message = fault.message or "The request processing has failed because of an unknown error." }
  elseif fault.kind == "unavailable" then
    return { status = 503, code = "ServiceUnavailable", message = "Service Unavailable" }
  elseif fault.kind == "expired" then
    return { status = 403, code = "ExpiredToken",
      message = "The security token included in the request is expired" }
  end
end

-- Applies the faults of one stage. Returns what to do instead of going on: an
-- error, or "reset" or "hang"; and how many bytes to cut the answer to.
local function apply(list, call, service)
  local cut
  for _, fault in ipairs(list) do
    if fault.kind == "slow" then
      task.sleep(fault.seconds or 1)
    elseif fault.kind == "cut" then
      cut = fault.bytes or -1
    elseif fault.kind == "reset" or fault.kind == "lost" then
      return "reset"
    elseif fault.kind == "hang" then
      return "hang"
    else
      return fault_error(fault, call, service)
    end
  end
  return nil, cut
end

local INTERNAL = "The request processing has failed because of an unknown error, exception or "
  .. "failure."

-- What went wrong inside is for the log; the caller gets AWS's words.
local function internal_error(sim, call, e)
  sim:log(("%s %s failed inside: %s\n%s"):format(call.service, call.operation or "?", tostring(e),
    type(e) == "table" and e.traceback or ""))
  return { status = 500, code = "InternalFailure", message = INTERNAL }
end

-- Runs the handler: output, nil, and whether it did anything; or nil and the error to
-- answer with. A handler that answers a repeated idempotency token as it did the first
-- time says so by a second value, "repeated".
local function perform(sim, call, service, key, input)
  local handler = service.handlers[call.operation]
  if not handler then
    return nil, { status = 501, code = "NotImplemented",
      message = ("drlua's simulator does not have %s %s."):format(call.service, call.operation) }
  end
  local ctx = context.new {
    sim = sim, account = key.account, region = call.region, service = call.service,
    operation = call.operation, identity = key,
    store = sim.state:store(key.account, service.global and "global" or call.region, call.service),
  }
  local ok, output, how = xpcall(handler, function(e)
    if errors.is(e) and e.kind == "aws" then return e end
    e = errors.from(e)
    e.traceback = e.traceback or debug.traceback("", 2)
    return e
  end, ctx, input)
  if ok then return output or {}, nil, how ~= "repeated" end
  if output.kind == "aws" then return nil, output end
  return nil, internal_error(sim, call, output)
end

-- Signature, input, policy, handler: what perform returns.
local function answered(sim, call, service, request)
  local key, e = sim.keys:check(request, sim.clock:now())
  if not key then return nil, e end
  call.account = key.account
  local input, message = service.model:parse_request(call.operation, request.decoded,
    { protocol = call.protocol })
  if not input then return nil, refusals.malformed(call.protocol, message) end
  local denied = policy.denies(sim.policies, key, call, input)
  if denied then return nil, denied end
  local wrong = refusals.of_input(service, call.operation, input)
  if wrong then return nil, wrong end
  return perform(sim, call, service, key, input)
end

local function serialize(sim, call, service, output)
  local answer, message = service.model:serialize_response(call.operation, output, {
    request_id = crypto.uuid(), protocol = call.protocol })
  if answer then return answer end
  return nil, internal_error(sim, call, message)
end

-- The call up to its answer: { status, headers, body }, the error's code or nil,
-- what to do with the answer ("reset", "hang", or bytes to cut it to), and whether
-- the operation was carried out, whatever becomes of its answer.
local function course(sim, call, service, request)
  local plan = sim.faults:strike(call)
  if plan then
    local instead = apply(plan.before, call, service)
    if type(instead) == "table" then return error_answer(service, call, instead), instead.code end
    if instead then return nil, instead, instead end
  end
  local output, e, done = answered(sim, call, service, request)
  local answer
  if output then
    answer, e = serialize(sim, call, service, output)
  end
  answer = answer or error_answer(service, call, e)
  if not plan then return answer, e and e.code, nil, done end
  local instead, cut = apply(plan.after, call, service)
  if type(instead) == "table" then
    return error_answer(service, call, instead), instead.code, nil, done
  end
  return answer, e and e.code or instead, instead or cut, done
end

local function send(request, answer, how)
  if how == "hang" then return hang(request) end
  if how == "reset" then return request:reset() end
  if how then
    answer.cut_after_bytes = how >= 0 and how or #answer.body // 2
  end
  request:respond(answer)
end

local function log(sim, index, call, status, code, done)
  sim.calls:close(index, call.account, call.region, call.service, call.operation, status, code,
    done)
end

-- A region that is down: hang, refuse, or 503 for everybody.
local function dead_region(sim, request, index, call, service, mode)
  log(sim, index, call, mode == "503" and 503 or 0, "RegionDown")
  if mode == "503" then
    local e = { status = 503, code = "ServiceUnavailable", message = "Service Unavailable" }
    return request:respond(error_answer(service, call, e))
  end
  return send(request, nil, mode == "refuse" and "reset" or "hang")
end

-- The body without its compression, or nil and why not.
local function inflated(http)
  local encoding = (http:header("content-encoding") or ""):lower()
  if not encoding:find("gzip", 1, true) then return http.body end
  return gzip.decompress(http.body, MOST_INFLATED_BYTES)
end

-- The request as the signature covers it; `decoded`: as the codec reads it.
local function plain(http)
  local target = http.target
  local request = { method = http.method, target = target, uri = target, headers = http.headers,
    body = http.body }
  local body, message = inflated(http)
  request.decoded = body == http.body and request
    or { method = http.method, target = target, uri = target, headers = http.headers, body = body
    or "" }
  return request, not body and message or nil
end

-- Which service and operation a request means: fills call.
local function identify(sim, call, claim, request)
  local service = services.find(sim, claim.service) or services.foreign(claim.service, request)
  if not service then return nil end
  call.service = service.name
  call.operation, call.protocol = service.model:route(request.method, request.target,
    request.headers,
    request.body)
  if not call.operation then call.protocol = nil end
  return service
end

-- The error that ends a call before its course, or nil.
local function early_error(call, service, unreadable)
  if not service then
    return { status = 501, code = "NotImplemented",
      message = ("drlua's simulator does not know the service %s."):format(call.service) }
  elseif unreadable then
    return refusals.malformed(service.protocol, "the body is not gzip: " .. unreadable)
  elseif not call.operation then
    return { status = 400, code = "InvalidAction",
      message = "The action or operation requested is invalid. Verify that the "
        .. "action is typed correctly." }
  end
end

-- One call of an AWS client.
local function serve(sim, http)
  local request, unreadable = plain(http)
  local index = sim.calls:open(sim.clock:now())
  local claim, fault = auth.claim(request)
  if not claim then
    sim.calls:close(index, nil, nil, nil, nil, fault.status, fault.code)
    return http:respond(bare_error(http, fault.status, fault.code, fault.message))
  end
  local known = sim.keys.keys[claim.access_key_id]
  local call = { region = claim.region, service = claim.service, http = http,
    account = known and known.account or auth.default_account }
  local service = identify(sim, call, claim, request.decoded)
  local mode = regions.down(sim, call.region, service)
  if mode then return dead_region(sim, http, index, call, service, mode) end
  local e = early_error(call, service, unreadable)
  if e then
    log(sim, index, call, e.status, e.code)
    return http:respond(error_answer(service, call, e))
  end
  local answer, code, how, done = course(sim, call, service, request)
  log(sim, index, call, answer and how ~= "reset" and how ~= "hang" and answer.status or 0, code,
    done)
  return send(http, answer, how)
end

local function answer_to(sim, http)
  local status, why = guard.from_page(http)
  if status then
    return http:respond { status = status, headers = { { "Content-Type", "application/json" } },
      body = json.encode { error = why } .. "\n" }
  end
  return (http.target:sub(1, 6) == "/_sim/" and sim.admin or serve)(sim, http)
end

--- Answers one request. Whatever goes wrong inside, the caller gets an answer and
-- we a line in the log.
function front.handle(sim, http)
  local me = task.current()
  sim.requests[me] = true
  local ok, e = pcall(answer_to, sim, http)
  sim.requests[me] = nil
  if ok then return end
  if sim.stopping then return pcall(http.reset, http) end
  sim:log("a request failed inside: " .. tostring(e))
  pcall(http.respond, http, bare_error(http, 500, "InternalFailure", INTERNAL))
end

--- Takes requests until the server is closed.
function front.run(sim)
  while true do
    local http = task.await(sim.server:accept())
    if not http then return end
    task.spawn(front.handle, sim, http)
  end
end

return front
