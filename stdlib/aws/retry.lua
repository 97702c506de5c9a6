--- Retries: which failures earn another attempt, and after how long. The standard mode
-- of all AWS SDKs with the figures they move to in 2026: delays of random(0,1) x
-- min(base x 2^n, 20 s) with base 50 ms after a passing fault (dynamodb 25 ms) and 1 s
-- after a throttle. The budget is in quota.lua.
local retry = {}

local MAX_BACKOFF = 20
local RETRY_AFTER_EXTRA = 5

local THROTTLE = {}
for code in ([[Throttling ThrottlingException ThrottledException RequestThrottledException
  TooManyRequestsException ProvisionedThroughputExceededException TransactionInProgressException
  RequestLimitExceeded BandwidthLimitExceeded LimitExceededException RequestThrottled SlowDown
  PriorRequestNotComplete EC2ThrottledException]]):gmatch("%w+") do THROTTLE[code] = true end

local TRANSIENT = { RequestTimeout = true, RequestTimeoutException = true,
  PriorRequestNotComplete = true }
local TRANSIENT_STATUS = { [500] = true, [502] = true, [503] = true, [504] = true }
-- Failures of the wire. In those of UNSENT the service has not seen the request.
local WIRE = { timeout = true, connect = true, resolve = true, tls = true, reset = true,
  closed = true,
  refused = true, io = true }
local UNSENT = { connect = true, resolve = true, tls = true, refused = true }

local SKEW = { RequestTimeTooSkewed = true, RequestExpired = true, InvalidSignatureException = true,
  SignatureDoesNotMatch = true, AuthFailure = true, RequestInTheFuture = true,
  InvalidSignature = true }
local EXPIRED = { ExpiredToken = true, ExpiredTokenException = true, RequestExpired = true,
  TokenRefreshRequired = true }

local LONG_POLLING = { ["sqs.ReceiveMessage"] = true, ["stepfunctions.GetActivityTask"] = true,
  ["swf.PollForActivityTask"] = true, ["swf.PollForDecisionTask"] = true }

--- What kind of failure it is: "throttle", "transient", or nil (not worth a retry).
-- failure: `{ code, status, kind, retryable }`; kind is the wire's word, retryable the
-- model's ("throttling", true) when the error is a modeled one.
function retry.class(failure, service)
  local code = failure.code
  if THROTTLE[code] then return "throttle" end
  if failure.modeled_retry == "throttling" then return "throttle" end
  if failure.status == 429 and not failure.modeled then return "throttle" end
  if failure.modeled_retry then return "transient" end
  if TRANSIENT[code] or TRANSIENT_STATUS[failure.status] then return "transient" end
  if not failure.status and WIRE[failure.kind] then return "transient" end
  if service == "sts" and code == "IDPCommunicationError" then return "transient" end
  return nil
end

--- True when the service cannot have carried out the request: it was never sent
-- whole, or was refused before anything was done.
function retry.harmless(failure, class)
  if class == "throttle" then return true end
  return not failure.status and UNSENT[failure.kind] == true
end

--- True for failures that a wrong clock produces; the answer's Date tells. (An answer
-- to HEAD has no code.)
function retry.may_be_skew(failure)
  return SKEW[failure.code] == true or failure.status == 403
end

--- True for codes by which AWS says that the credentials have run out.
function retry.expired(failure)
  return EXPIRED[failure.code] == true
end

--- Seconds to wait after the failed attempt (1: the first). retry_after: the text of
-- the x-amz-retry-after header (milliseconds) or nil. random: as math.random.
function retry.delay(attempt, class, service, retry_after, random)
  local base = class == "throttle" and 1 or 0.05
  if class ~= "throttle" and (service == "dynamodb" or service == "dynamodbstreams") then
    base = 0.025
  end
  local delay = random() * math.min(base * 2 ^ (attempt - 1), MAX_BACKOFF)
  local asked = retry_after and tonumber(retry_after:match("^%d+$"))
  if asked then delay = math.max(delay, math.min(asked / 1000, delay + RETRY_AFTER_EXTRA)) end
  return delay
end

--- True for calls that wait at the service: they pause even when no retry is left,
-- since their callers loop.
function retry.long_polling(service, operation)
  return LONG_POLLING[service .. "." .. operation] == true
end

return retry
