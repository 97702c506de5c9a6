--- One call: serialize, find the endpoint, sign, send, parse, and retry, within one
-- deadline.
--
-- The deadline is the call's, not the attempt's: a silent region costs it once, and
-- the breaker spares the calls that follow. What may be sent twice is decided here:
-- a call that may have been carried out and is not safe to repeat is never sent
-- again; its error says that it is in doubt.
local crypto = require "native.crypto"
local http = require "native.http"
local targets = require "aws.target"
local task = require "task"

local call = {}

local CONNECT_TIMEOUT = 3
local READ_DEADLINE, WRITE_DEADLINE, STREAM_DEADLINE = 10, 30, 300
local FIRST_SHARE = 0.6 -- of the deadline, for a read's first attempt

-- Operations that take long to answer by their nature.
local SLOW = {
  ["lambda.Invoke"] = 900, ["stepfunctions.StartSyncExecution"] = 330,
  ["stepfunctions.GetActivityTask"] = 75, ["swf.PollForActivityTask"] = 75,
  ["swf.PollForDecisionTask"] = 75, ["sqs.ReceiveMessage"] = 30,
  ["rds-data.ExecuteStatement"] = 60, ["rds-data.BatchExecuteStatement"] = 60,
  ["s3.CopyObject"] = 300, ["s3.UploadPartCopy"] = 300, ["s3.CompleteMultipartUpload"] = 300,
  ["route53.TestDNSAnswer"] = 20,
}

--- Seconds that a call has by default.
function call.deadline(service, op, effect_class)
  if op.slow == nil then op.slow = SLOW[service .. "." .. op.name] or false end
  if op.slow then return op.slow end
  if op.streaming then return STREAM_DEADLINE end
  return effect_class == "read" and READ_DEADLINE or WRITE_DEADLINE
end

-- Headers that all calls to a target have.
local function fixed_headers(c, host)
  local list = { { "Host", host }, { "User-Agent", c.client.user_agent } }
  for _, pair in ipairs(c.target.headers or {}) do table.insert(list, pair) end
  return list
end

-- The table of the request that native.http takes: kept per target, since all but a
-- few fields of it stay the same, and read at once.
local function wire_of(c)
  local target, client = c.target, c.client
  local s3 = target.signing_name == "s3" or target.signing_name == "s3express"
    or target.no_double_encoding
  target.wire = { headers = fixed_headers(c, target.host), header_text = true,
    ca_file = client.ca_file or nil,
    verify = client.verify }
  if target.auth == "sigv4" or target.auth == "sigv4a" then
    target.sign = { region = target.signing_region, service = target.signing_name,
      normalize_path = not s3,
      double_encode = not s3, asymmetric = target.auth == "sigv4a", always_hashed = s3 or nil }
  end
  return target.wire
end

-- Keys of a directory bucket's session go without the header that other tokens have.
local function session_keys(c)
  c.express = require("aws.express").session(c.client, c.input.Bucket)
  local set = c.express:get()
  c.request.headers["x-amz-s3session-token"] = set.session_token
  return set, { access_key_id = set.access_key_id, secret_access_key = set.secret_access_key }
end

-- S3 wants the hash of the body as a header; others take it, and where there is no
-- body it spares them a guess at what was hashed. A body from a file goes unhashed.
local function sign(c, wire, body)
  local target, sign_with = c.target, c.target.sign
  if target.auth == "none" then return end
  if not sign_with then
    c.request.headers.Authorization = "Bearer " .. c.client:bearer_token()
    return
  end
  if target.express then
    c.credentials, sign_with.credentials = session_keys(c)
  else
    c.credentials = c.client.credentials:get()
    sign_with.credentials = c.credentials
  end
  c.skew = c.client.clock.skew or 0
  sign_with.time = c.client.clock.now() + c.skew
  sign_with.sign_body_header = sign_with.always_hashed or body == nil or body == ""
  sign_with.payload_hash = type(body) == "table"
    and (c.request.headers["x-amz-content-sha256"] or "UNSIGNED-PAYLOAD") or nil
  wire.sign = sign_with
end

local function send(c, timeout)
  local target, request = c.target, c.request
  local wire, headers, body = target.wire or wire_of(c), request.headers, request.body
  if c.attempt > 1 then
    headers["amz-sdk-request"] = ("attempt=%d; max=%d"):format(c.attempt, c.max_attempts)
  end
  wire.method, wire.more_headers, wire.body, wire.timeout = request.method, headers, body, timeout
  wire.url = c.origin .. target.path .. request.uri
  wire.connect_timeout = timeout < CONNECT_TIMEOUT and timeout or CONNECT_TIMEOUT
  wire.sink = c.options and c.options.sink
  local common = wire.headers
  if c.host ~= target.host then wire.headers = fixed_headers(c, c.host) end
  sign(c, wire, body)
  if request.event_stream and wire.sign then
    require("aws.events").prepare(wire, target.path .. request.uri)
  end
  local op, message, kind = http.request(wire)
  wire.headers, wire.body, wire.sink = common, nil, nil
  if not op then return nil, message, kind end
  return task.await(op)
end

local function succeeded(c)
  local lane = c.lane
  lane.quota:release(c.taken)
  if c.client.retry_mode == "adaptive" then
    local now = c.client.clock.monotonic()
    lane:limit(now):answered(false, now)
  end
end

-- One attempt: the output; or nil and the failure.
local function attempt(c)
  local clock, lane = c.client.clock, c.lane
  c.attempt = c.attempt + 1
  local left = c.deadline - clock.monotonic()
  local share = left
  if c.attempt == 1 and c.class == "read" and c.max_attempts > 1 then share = left * FIRST_SHARE end
  local answer, message, kind = send(c, share)
  if not answer then return nil, require("aws.fault").unanswered(c, message, kind) end
  lane.breaker:answered()
  lane.answered_at = clock.monotonic()
  if c.op.fix_answer then answer = c.op.fix_answer(answer) end
  -- The body is in a file, not here: to the codec it is a part, whose checksum is unknown.
  if answer.sink_bytes and answer.status == 200 then answer.status = 206 end
  local output, err = c.client.model:parse(c.op.name, answer)
  if output ~= nil then
    if c.op.fix_output then output = c.op.fix_output(output, answer, c.known) end
    return output
  end
  return nil, require("aws.fault").answered(c, answer, err)
end

local function hold_back(c)
  local clock = c.client.clock
  local hold = c.lane:hold(c.client.retry_mode, clock.monotonic(), clock.random)
  if hold <= 0 then return end
  clock.sleep(math.min(hold, (c.deadline - clock.monotonic()) / 2))
end

local function attempts(c)
  while true do
    local lane = c.lane
    if lane.paused_until > 0 or c.client.retry_mode == "adaptive" then hold_back(c) end
    if c.attempt > 0 and c.effect and c.effect.again then c.effect.again() end
    local output, problem = attempt(c)
    if output ~= nil then
      succeeded(c)
      return output
    end
    require("aws.fault").settle(c, problem)
  end
end

--- Carries out one call; returns the output or raises. op: the client's record of
-- the operation; class: "read", "repeatable" or "once"; token: for its idempotency
-- member, or nil; e: the effect that it is to a run (stdlib/effect.lua), or nil.
function call.execute(client, op, input, options, class, token, e)
  if op.token_member and not token and input[op.token_member] == nil then token = crypto.uuid() end
  local now, sent, known = client.clock.monotonic(), input, nil
  local timeout = options and options.timeout or client.timeout
    or call.deadline(client.service, op, class)
  if op.fix_input then sent, known = op.fix_input(input, client) end
  local request = client:serialize(op, sent, token, known)
  local target = client:target(op, sent, request)
  local origin, host = target.origin, target.host
  if request.host_prefix then origin, host = targets.prefixed(target, request.host_prefix) end
  -- What is kept about the call while it is under way.
  local c = { client = client, op = op, input = input, options = options, class = class,
    known = known, token = op.token_member and (token or input[op.token_member]), request = request,
    target = target, lane = target.lane, origin = origin, host = host, started = now,
    deadline = now + timeout, attempt = 0,
    max_attempts = client.attempts, effect = e }
  if c.lane.breaker.reason then require("aws.fault").pass_breaker(c) end
  local ok, result = pcall(attempts, c)
  if ok then return result end
  if c.probe then c.lane.breaker:abandon() end
  error(result, 0)
end

return call
