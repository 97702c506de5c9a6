--- When an attempt fails: what it means, whether another one follows and when, what the
-- breaker learns, and the error that ends the call. Loaded by the first failure.
local errors = require "errors"
local failure = require "aws.failure"
local http = require "native.http"
local instants = require "aws.instants"
local observer = require "aws.observer"
local retry = require "aws.retry"
local task = require "task"

local fault = {}

local CONNECT_TIMEOUT = 3
local PROBE_TIMEOUT = 5

-- The fields that every error of the call has.
local function fields(c, more)
  more.service, more.operation = c.client.service, c.op.name
  more.region = c.target and c.target.region or c.client.region or nil
  more.resource, more.attempts = failure.resource(c.input), c.attempt
  return more
end

--- The failure that a response describes.
function fault.answered(c, answer, err)
  local status = answer.status
  return fields(c,
    { status = status, code = err.code, answer = err.message, request_id = err.request_id,
    fields = err.fields, type = err.type, modeled = err.modeled, modeled_retry = err.retryable,
    retry_after = http.header(answer.headers, "x-amz-retry-after"),
    date = http.header(answer.headers, "date"),
    bucket_region = c.client.service == "s3" and http.header(answer.headers, "x-amz-bucket-region")
    or nil })
end

--- The failure of the wire: no answer, or not a whole one.
function fault.unanswered(c, message, kind)
  if kind == "cancelled" then errors.raise { kind = "cancelled", message = "cancelled" } end
  return fields(c, { kind = kind,
    reason = failure.silence(c.client.service, c.target.region, c.target.host, kind, message) })
end

-- Clock skew: the answer's own Date shows by how much we are wrong.
local function correct_clock(c, problem)
  if c.corrected or not c.skew or not retry.may_be_skew(problem) then return false end
  c.corrected = instants.correct(c.client.clock, problem.date, c.skew)
  return c.corrected
end

local function renew_credentials(c, problem)
  if c.renewed or not retry.expired(problem) then return false end
  c.renewed = true
  if c.express then
    local ok, renewed = pcall(c.express.renew, c.express, c.credentials)
    return ok and renewed
  end
  return c.client:renew_credentials(c.credentials)
end

-- A bucket that is in another region: S3 says in which.
local function follow_bucket(c, problem)
  local region, bucket = problem.bucket_region, c.input.Bucket
  if not region or not bucket or c.moved or region == c.target.signing_region then return false end
  if problem.status ~= 301 and problem.status ~= 400 and problem.status ~= 307 then return false end
  c.moved = true
  if not c.client.bucket_regions then c.client.bucket_regions = {} end
  c.client.bucket_regions[bucket] = region
  c.target = c.client:target(c.op, c.input)
  c.lane, c.origin, c.host = c.target.lane, c.target.origin, c.target.host
  return true
end

-- Marks that the call may have been carried out without our knowing.
local function note_doubt(c, problem, class)
  if class and not retry.harmless(problem, class) and c.class ~= "read" then c.doubt = true end
end

-- Seconds until the next attempt, or nil when there is to be none.
local function next_attempt(c, problem)
  if correct_clock(c, problem) or renew_credentials(c, problem) or follow_bucket(c, problem) then
    return 0
  end
  local class = retry.class(problem, c.client.service)
  problem.class = class
  note_doubt(c, problem, class)
  if not class or (c.class == "once" and not c.token and not retry.harmless(problem, class)) then
    return nil
  end
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
  if SILENT[problem.kind] and quiet and not c.op.slow and not c.op.streaming then
    lane.breaker:silent(problem.reason, clock.monotonic(), c.probe)
    observer.tell { event = "silent", service = c.client.service, region = c.target.region,
      reason = problem.reason }
  elseif c.probe then
    lane.breaker:abandon()
  end
end

-- The error object for a failure that ends the call.
local function final(c, problem)
  settle_breaker(c, problem)
  local class = problem.class
  problem.in_doubt = c.doubt and c.class == "once" or nil
  problem.doubtful = c.doubt -- by which a run knows that it must look
  if not problem.status then return failure.unanswered(problem) end
  problem.retryable = class ~= nil
  problem.throttled = class == "throttle" or nil
  if c.doubt and not class then problem.retried_in_doubt = true end
  return failure.answered(problem)
end

-- A call that is not a read must not be the one that finds out whether a region lives
-- again: an empty request asks first.
local function ping(c)
  local target = c.target
  local answer, message, kind = task.await(http.request { method = "GET",
    url = target.origin .. "/", headers = {}, timeout = PROBE_TIMEOUT,
    connect_timeout = CONNECT_TIMEOUT, ca_file = c.client.ca_file or nil,
    verify = c.client.verify })
  if answer then
    c.lane.breaker:answered()
    c.probe = nil
    return
  end
  c.attempt = 1
  error(final(c, fault.unanswered(c, message, kind)), 0)
end

--- Passes an open breaker as its probe, or raises at once with its reason.
function fault.pass_breaker(c)
  local now = c.client.clock.monotonic()
  local gate = c.lane.breaker:admit(now)
  if gate == "open" then
    error(failure.unanswered(fields(c,
      { kind = "timeout", reason = c.lane.breaker.reason, at_once = true })), 0)
  end
  c.probe = true
  if c.class ~= "read" then return ping(c) end
  c.max_attempts = 1
  c.deadline = math.min(c.deadline, now + PROBE_TIMEOUT)
end

local function tell_retry(c, problem, delay)
  if not observer.watched() then return end
  observer.tell { event = "retry", service = c.client.service, operation = c.op.name,
    region = c.target.region,
    attempt = c.attempt, delay = delay, reason = problem.code or problem.reason }
end

--- After a failed attempt: waits until the next one is due, or raises the error that
-- ends the call.
function fault.settle(c, problem)
  local delay = next_attempt(c, problem)
  local clock = c.client.clock
  if c.client.retry_mode == "adaptive" then
    local now = clock.monotonic()
    c.lane:limit(now):answered(problem.class == "throttle", now)
  end
  if not delay then error(final(c, problem), 0) end
  tell_retry(c, problem, delay)
  if delay > 0 then clock.sleep(delay) end
  if c.lane.breaker.reason and not c.probe then error(final(c, problem), 0) end
end

return fault
