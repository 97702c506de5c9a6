--- One call: serialize, find the endpoint, sign, send, parse, and retry, within one
-- deadline.
--
-- The deadline is the call's, not the attempt's: a silent region costs it once, and
-- the breaker spares the calls that follow. What may be sent twice is decided here:
-- a call that may have been carried out and is not safe to repeat is never sent
-- again; its error says that it is in doubt.
local errors = require "errors"
local crypto = require "native.crypto"
local failure = require "aws.failure"
local http = require "native.http"
local observer = require "aws.observer"
local retry = require "aws.retry"
local sigv4 = require "aws.sigv4"
local targets = require "aws.target"
local task = require "task"

local call = {}

local CONNECT_TIMEOUT = 3
local READ_DEADLINE, WRITE_DEADLINE, STREAM_DEADLINE = 10, 30, 300
local FIRST_SHARE = 0.6 -- of the deadline, for a read's first attempt
local PROBE_TIMEOUT = 5
local SKEW_TOLERANCE = 240

-- Operations that take long to answer by their nature.
local SLOW = {
  ["lambda.Invoke"] = 900, ["stepfunctions.StartSyncExecution"] = 330, ["stepfunctions.GetActivityTask"] = 75,
  ["swf.PollForActivityTask"] = 75, ["swf.PollForDecisionTask"] = 75, ["sqs.ReceiveMessage"] = 30,
  ["rds-data.ExecuteStatement"] = 60, ["rds-data.BatchExecuteStatement"] = 60, ["s3.CopyObject"] = 300,
  ["s3.UploadPartCopy"] = 300, ["s3.CompleteMultipartUpload"] = 300, ["route53.TestDNSAnswer"] = 20,
}

--- Seconds that a call has by default.
function call.deadline(service, op, effect_class)
  local slow = SLOW[service .. "." .. op.name]
  if slow then return slow end
  if op.streaming then return STREAM_DEADLINE end
  return effect_class == "read" and READ_DEADLINE or WRITE_DEADLINE
end

local function header(answer, name)
  for _, pair in ipairs(answer.headers) do
    if pair[1]:lower() == name then return pair[2] end
  end
  return nil
end

-- What is kept about one call while it is under way.
local function begin(client, op, input, options, class, token)
  local now = client.clock.monotonic()
  local timeout = options and options.timeout or client.timeout or call.deadline(client.service, op, class)
  return { client = client, op = op, input = input, options = options, class = class, token = token,
    started = now, deadline = now + timeout, timeout = timeout, attempt = 0,
    max_attempts = retry.max_attempts(client.service, client.max_attempts) }
end

-- The error's fields that every failure of the call bears.
local function fields(c, more)
  more.service, more.operation = c.client.service, c.op.name
  more.region = c.target and c.target.region or c.client.region or nil
  more.resource, more.attempts = failure.resource(c.input), c.attempt
  return more
end

local function headers_of(c)
  local target, request = c.target, c.request
  local list = { { "Host", c.host }, { "User-Agent", c.client.user_agent } }
  local n = 2
  for name, value in pairs(request.headers) do
    n = n + 1
    list[n] = { name, value }
  end
  for _, pair in ipairs(target.headers or {}) do
    n = n + 1
    list[n] = pair
  end
  list[n + 1] = { "amz-sdk-invocation-id", c.id }
  list[n + 2] = { "amz-sdk-request", ("attempt=%d; max=%d"):format(c.attempt, c.max_attempts) }
  return list
end

-- S3 wants the hash of the body as a header; others take it, and where there is no
-- body it spares them a guess at what was hashed. A body from a file goes unhashed
-- where that is allowed.
local function sign_body(request, target, body)
  if target.signing_name == "s3" or target.signing_name == "s3express" or target.no_double_encoding then
    request.normalize_path, request.double_encode, request.sign_body_header = false, false, true
  elseif body == nil or body == "" then
    request.sign_body_header = true
  end
  if type(body) == "table" then request.payload_hash = "UNSIGNED-PAYLOAD" end
end

-- The request signed for this attempt: uri and headers as they will be sent.
local function sign(c, request, body)
  local target = c.target
  if target.auth == "none" then return request end
  local credentials = c.client:credentials_for(c.op)
  c.credentials = credentials
  if target.auth == "bearer" then
    table.insert(request.headers, { "Authorization", "Bearer " .. credentials.token })
    return request
  end
  request.credentials = credentials
  request.region, request.service = target.signing_region, target.signing_name
  request.time = c.client.clock.now() + c.lane.skew
  sign_body(request, target, body)
  if target.auth == "sigv4a" then request.asymmetric = true end
  return sigv4.apply(request)
end

local function send(c, timeout)
  local target, options = c.target, c.options
  local body = c.request.body
  local request = sign(c, { method = c.request.method, uri = target.path .. c.request.uri, headers = headers_of(c),
    body = type(body) == "string" and body or nil, payload_hash = c.request.payload_hash }, body)
  return task.await(http.request {
    method = request.method, url = c.origin .. request.uri, headers = request.headers,
    body = body, sink = options and options.sink, timeout = timeout,
    connect_timeout = math.min(CONNECT_TIMEOUT, timeout), ca_file = c.client.ca_file or nil, verify = c.client.verify,
    on_progress = options and options.on_progress,
  })
end

local function answered_failure(c, answer, err)
  local status = answer.status
  return fields(c, { status = status, code = err.code, answer = err.message, request_id = err.request_id,
    fields = err.fields, type = err.type, modeled = err.modeled, modeled_retry = err.retryable,
    retry_after = header(answer, "x-amz-retry-after"), date = header(answer, "date") })
end

local function wire_failure(c, message, kind)
  return fields(c, { kind = kind,
    reason = failure.silence(c.client.service, c.target.region, c.target.host, kind, message) })
end

-- Clock skew: the answer's own Date shows by how much we are wrong.
local function correct_clock(c, problem)
  if c.corrected or not retry.may_be_skew(problem) or not problem.date then return false end
  local server = c.client.clock.parse(problem.date)
  local skew = server and server - c.client.clock.now()
  if not skew or math.abs(skew - c.lane.skew) < SKEW_TOLERANCE then return false end
  c.lane.skew, c.corrected = skew, true
  return true
end

local function renew_credentials(c, problem)
  if c.renewed or not retry.expired(problem) then return false end
  c.renewed = true
  return c.client:renew_credentials(c.credentials)
end

-- Marks that the call may have been carried out without our knowing.
local function note_doubt(c, problem, class)
  if class and not retry.harmless(problem, class) and c.class ~= "read" then c.doubt = true end
end

-- Seconds until the next attempt, or nil when there is to be none.
local function next_attempt(c, problem)
  if correct_clock(c, problem) or renew_credentials(c, problem) then return 0 end
  local class = retry.class(problem, c.client.service)
  problem.class = class
  note_doubt(c, problem, class)
  if not class or (c.class == "once" and not c.token and not retry.harmless(problem, class)) then return nil end
  local clock = c.client.clock
  local delay = retry.delay(c.attempt, class, c.client.service, problem.retry_after, clock.random)
  if class == "throttle" then c.lane:throttled(delay, clock.monotonic()) end
  if c.attempt >= c.max_attempts or clock.monotonic() + delay >= c.deadline then return nil end
  c.taken = c.lane.quota:acquire(class)
  if not c.taken then
    if retry.long_polling(c.client.service, c.op.name) then clock.sleep(delay) end
    return nil
  end
  return delay
end

local SILENT = { timeout = true, connect = true, resolve = true }

local function settle_breaker(c, problem)
  local lane, clock = c.lane, c.client.clock
  if problem.status then return end
  -- Another call's answer since this one began shows that the region lives.
  local quiet = not lane.answered_at or lane.answered_at < c.started
  if SILENT[problem.kind] and quiet and not SLOW[c.client.service .. "." .. c.op.name] and not c.op.streaming then
    lane.breaker:silent(problem.reason, clock.monotonic(), c.probe)
    observer.tell { event = "silent", service = c.client.service, region = c.target.region, reason = problem.reason }
  elseif c.probe then
    lane.breaker:abandon()
  end
end

-- The error object for a failure that ends the call.
local function final(c, problem)
  settle_breaker(c, problem)
  local class = problem.class
  problem.in_doubt = c.doubt and c.class == "once" or nil
  if not problem.status then return failure.unanswered(problem) end
  problem.retryable = class ~= nil
  problem.throttled = class == "throttle" or nil
  if c.doubt and not class then problem.retried_in_doubt = true end
  return failure.answered(problem)
end

local function succeeded(c)
  local lane = c.lane
  lane.quota:release(c.taken)
  if c.client.retry_mode == "adaptive" then lane.limiter:answered(false, c.client.clock.monotonic()) end
end

-- One attempt: the output; or nil and the failure.
local function attempt(c)
  local clock, lane = c.client.clock, c.lane
  c.attempt = c.attempt + 1
  local left = c.deadline - clock.monotonic()
  local share = left
  if c.attempt == 1 and c.class == "read" and c.max_attempts > 1 then share = left * FIRST_SHARE end
  local answer, message, kind = send(c, share)
  if not answer then
    if kind == "cancelled" then errors.raise { kind = "cancelled", message = "cancelled" } end
    return nil, wire_failure(c, message, kind)
  end
  lane.breaker:answered()
  lane.answered_at = clock.monotonic()
  if c.op.fix_answer then answer = c.op.fix_answer(answer) end
  local output, err = c.client.model:parse(c.op.name, answer)
  if output ~= nil then
    if c.op.fix_output then output = c.op.fix_output(output, answer, c.known) end
    return output
  end
  return nil, answered_failure(c, answer, err)
end

local function hold_back(c)
  local clock = c.client.clock
  local hold = c.lane:hold(c.client.retry_mode, clock.monotonic(), clock.random)
  if hold <= 0 then return end
  clock.sleep(math.min(hold, (c.deadline - clock.monotonic()) / 2))
end

-- A call that is not a read must not be the one that finds out whether a region lives
-- again: an empty request asks first.
local function ping(c)
  local target = c.target
  local answer, message, kind = task.await(http.request { method = "GET", url = target.origin .. "/", headers = {},
    timeout = PROBE_TIMEOUT, connect_timeout = CONNECT_TIMEOUT, ca_file = c.client.ca_file or nil,
    verify = c.client.verify })
  if answer then
    c.lane.breaker:answered()
    c.probe = nil
    return
  end
  c.attempt = 1
  error(final(c, wire_failure(c, message, kind)), 0)
end

local function pass_breaker(c)
  local now = c.client.clock.monotonic()
  local gate = c.lane.breaker:admit(now)
  if gate == "closed" then return end
  if gate == "open" then
    error(failure.unanswered(fields(c, { kind = "timeout", reason = c.lane.breaker.reason, at_once = true })), 0)
  end
  c.probe = true
  if c.class ~= "read" then return ping(c) end
  c.max_attempts = 1
  c.deadline = math.min(c.deadline, now + PROBE_TIMEOUT)
end

local function tell_retry(c, problem, delay)
  if not observer.watched() then return end
  observer.tell { event = "retry", service = c.client.service, operation = c.op.name, region = c.target.region,
    attempt = c.attempt, delay = delay, reason = problem.code or problem.reason }
end

local function attempts(c)
  while true do
    hold_back(c)
    local output, problem = attempt(c)
    if output ~= nil then
      succeeded(c)
      return output
    end
    local delay = next_attempt(c, problem)
    if c.client.retry_mode == "adaptive" then
      c.lane.limiter:answered(problem.class == "throttle", c.client.clock.monotonic())
    end
    if not delay then error(final(c, problem), 0) end
    tell_retry(c, problem, delay)
    if delay > 0 then c.client.clock.sleep(delay) end
    if c.lane.breaker.reason and not c.probe then error(final(c, problem), 0) end
  end
end

--- Carries out one call; returns the output or raises. op: the client's record of
-- the operation; class: "read", "repeatable" or "once"; token: for its idempotency
-- member, or nil.
function call.execute(client, op, input, options, class, token)
  if op.token_member and not token and input[op.token_member] == nil then token = crypto.uuid() end
  local c = begin(client, op, input, options, class, op.token_member and (token or input[op.token_member]))
  if op.fix_input then input, c.known = op.fix_input(input, client) end
  c.request = client:serialize(op, input, token, c.known)
  c.id = crypto.uuid()
  c.target = client:target(op, input, c.request)
  c.lane = c.target.lane
  c.origin, c.host = c.target.origin, c.target.host
  if c.request.host_prefix then c.origin, c.host = targets.prefixed(c.target, c.request.host_prefix) end
  pass_breaker(c)
  local ok, result = pcall(attempts, c)
  if ok then return result end
  if c.probe then c.lane.breaker:abandon() end
  error(result, 0)
end

return call
