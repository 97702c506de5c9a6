--- Errors of AWS calls: one sentence that says what failed, on which resource, what
-- AWS answered, and what to do next where that is known.
local errors = require "errors"

local failure = {}

-- What an operator does next, by the code of the answer.
local ADVICE = {
  AccessDenied = "the identity in use lacks the permission: check its policies, boundaries and the "
    .. "organization's SCPs, or use another profile or role_arn",
  SignatureDoesNotMatch =
    "the secret access key does not belong to the access key id, or a proxy changed the request",
  InvalidClientTokenId =
    "the access key id is unknown to AWS: a deleted key, another partition, or a missing "
    .. "session token",
  ExpiredToken = "the session's credentials have run out: sign in again (aws sso login, "
    .. "or renew the session token)",
  RequestTimeTooSkewed = "this machine's clock is wrong by minutes: set it (chronyc makestep)",
  OptInRequired =
    "the account is not subscribed to the service, or the region is not enabled for it",
  Throttling = "too many calls for this account and region: other tools may be calling "
    .. "too; raise timeout= or wait",
  InvalidResponse =
    "something on the way may have responded in AWS's place (a proxy, a captive portal): check the "
    .. "network and endpoint_url",
  ServiceUnavailable =
    "the service is overloaded or failing in this region: see health.aws.amazon.com",
  UnrecognizedClientException =
    "the access key is unknown to AWS: a deleted key, another partition, or a "
    .. "region that is not enabled for the account",
  DBInstanceNotFound =
    "list what is there with rds:each(\"describe_db_instances\"); a rename takes minutes to show",
  DBInstanceAlreadyExists =
    "choose another identifier, or delete or rename the instance that has it",
  InvalidDBInstanceState =
    "wait until the instance is available (rds:wait(\"db_instance_available\")), then repeat",
  InvalidDBClusterStateFault =
    "wait until the cluster is available (rds:wait(\"db_cluster_available\")), then repeat",
  DBSnapshotNotFound =
    "snapshots live in one region and account: check both, and that a copy has finished",
  StorageQuotaExceeded =
    "ask for a higher RDS storage quota (Service Quotas), or delete what is not needed",
  InstanceQuotaExceeded =
    "ask for a higher RDS instance quota (Service Quotas), or delete what is not needed",
  InsufficientDBInstanceCapacity =
    "the zone has no capacity for this class: choose another class or zone",
  InsufficientInstanceCapacity =
    "the zone has no capacity for this type: choose another type or zone",
  KMSKeyNotAccessibleFault =
    "the KMS key is disabled, deleted, in another region, or its policy does not admit this "
    .. "identity",
  NoSuchHostedZone = "check the zone's id; zones of another account are not seen",
  InvalidChangeBatch =
    "compare with the zone's present records (route53:each(\"list_resource_record_sets\"))",
  PriorRequestNotComplete = "another change to this zone is still under way: repeat it in a moment",
  NoSuchBucket = "check the bucket's name and its region",
  NoSuchKey = "list the prefix: the key differs, or was deleted",
  PermanentRedirect = "the bucket is in another region: name that region",
  WAFOptimisticLockException = "somebody changed the set meanwhile: read it again and merge",
  ConditionalCheckFailedException = "the item is not in the state that the condition asks for",
  ResourceInUseException = "it is being changed by another operation: wait for that to end",
  ClusterNotFoundException = "check the cluster's name and region",
  ServiceNotFoundException = "check the service's name, and the cluster it runs in",
}

local SAME = {
  AccessDeniedException = "AccessDenied", UnauthorizedOperation = "AccessDenied",
  AuthorizationError = "AccessDenied", Forbidden = "AccessDenied",
  AccessDeniedFault = "AccessDenied", ExpiredTokenException = "ExpiredToken",
  RequestExpired = "ExpiredToken", InvalidSignatureException = "SignatureDoesNotMatch",
  AuthFailure = "InvalidClientTokenId", ThrottlingException = "Throttling",
  RequestLimitExceeded = "Throttling", TooManyRequestsException = "Throttling",
  SlowDown = "Throttling", ServiceUnavailableException = "ServiceUnavailable",
  SubscriptionRequiredException = "OptInRequired",
  DBInstanceNotFoundFault = "DBInstanceNotFound",
  InvalidDBInstanceStateFault = "InvalidDBInstanceState",
  DBInstanceAlreadyExistsFault = "DBInstanceAlreadyExists",
  DBSnapshotNotFoundFault = "DBSnapshotNotFound",
}

--- What to do next about an answer with this code, or nil.
function failure.advice(code)
  return ADVICE[SAME[code] or code]
end

local ENDINGS = { { "Identifier$", 8 }, { "Arn$", 7 }, { "ARN$", 7 }, { "^Bucket$", 6 },
  { "^[Nn]ame$", 6 },
  { "Name$", 5 }, { "Id$", 4 }, { "^[sS]ervice$", 3 }, { "^[cC]luster$", 2 } }

-- Arns and ids of what a call makes use of: the role that it acts in, the topic that it
-- reports to, the key that it encrypts with. They name the resource only of a call that
-- names nothing else.
local AIDES = { "Role", "Topic", "Key", "Certificate", "Policy", "Credential" }

local function is_aide(name)
  for _, word in ipairs(AIDES) do
    if name:find(word .. "A[rR][nN]$") or name:find(word .. "Id$")
      or name:find(word .. "Identifier$") then
      return true
    end
  end
  return false
end

local function weight(name)
  if is_aide(name) then return 1 end
  for _, ending in ipairs(ENDINGS) do
    if name:find(ending[1]) then return ending[2] end
  end
  return 0
end

--- The resource that an input names ("app-dr"), or nil: the member that looks most
-- like an identifier, the longest-named of those being the most particular.
function failure.resource(input)
  local best, best_weight
  for name, value in pairs(input or {}) do
    if type(name) == "string" and type(value) == "string" and #value <= 300 then
      local w = weight(name)
      if w > 0 and (not best or w > best_weight or (w == best_weight and name < best)) then
        best, best_weight = name, w
      end
    end
  end
  local inside = best == "Bucket" and (input.Key or input.Prefix)
  if type(inside) == "string" then return input.Bucket .. "/" .. inside end
  return best and input[best]
end

--- " in us-west-2", or nothing for a service that is the same everywhere.
function failure.place(region)
  return region == "aws-global" and "" or " in " .. (region or "no region")
end

local function subject(e)
  local resource = e.resource and (" of %s"):format(e.resource) or ""
  return ("%s.%s%s%s"):format(e.service, e.operation, resource, failure.place(e.region))
end

local function sentence_end(text)
  return text:find("[.!?]%s*$") and text or text .. "."
end

--- The sentence for a person. e: the error's fields (see failure.answered).
function failure.sentence(e)
  local parts = { subject(e), " failed: " }
  local text = e.answer and e.answer ~= "" and e.answer
    or ("HTTP status %s"):format(e.status or "?")
  table.insert(parts, sentence_end(text))
  local marks = {}
  if e.code then table.insert(marks, e.code) end
  if e.request_id then table.insert(marks, "request " .. e.request_id) end
  if #marks > 0 then table.insert(parts, " (" .. table.concat(marks, ", ") .. ")") end
  if e.attempts and e.attempts > 1 then
    table.insert(parts, (" after %d attempts"):format(e.attempts))
  end
  if e.in_doubt then
    table.insert(parts,
      ". It may have been carried out all the same: look at the resource before repeating it")
  elseif e.retried_in_doubt then
    table.insert(parts,
      ". An earlier attempt got no answer and may have succeeded: look at the resource first")
  end
  local advice = failure.advice(e.code)
  if advice then table.insert(parts, ". Next: " .. advice) end
  return table.concat(parts)
end

--- The error object of an answer. e: service, operation, region, resource, status,
-- code, answer (AWS's own text), request_id, fields, type, retryable, attempts.
function failure.answered(e)
  e.kind = "aws"
  e.message = failure.sentence(e)
  return errors.new(e)
end

local WIRE_WORDS = {
  timeout = "does not answer", connect = "does not answer", refused = "refuses connections",
  resolve = "does not answer", tls = "cannot be trusted", reset = "drops connections",
  closed = "drops connections",
}

--- Why no answer came: "region us-east-1 does not answer (rds at HOST: timed out)".
function failure.silence(service, region, host, kind, message)
  local where = region and region ~= "aws-global" and "region " .. region or service
  local detail = message or kind
  -- The wire's own sentence begins with the place too: once is enough.
  if detail:sub(1, #host + 1) == host .. " " then detail = detail:sub(#host + 2) end
  return ("%s %s (%s at %s: %s)"):format(where, WIRE_WORDS[kind] or "does not answer", service,
    host, detail)
end

--- The error object of a call that got no answer. e: service, operation, region,
-- resource, kind, reason, attempts; in_doubt: it may have been carried out.
function failure.unanswered(e)
  local parts = { subject(e), " failed: ", e.reason }
  if e.attempts and e.attempts > 1 then
    table.insert(parts, (", after %d attempts"):format(e.attempts))
  end
  if e.in_doubt then
    table.insert(parts,
      ". It may have been carried out all the same: look at the resource before repeating it")
  end
  e.retryable = true
  e.message = table.concat(parts)
  return errors.new(e)
end

return failure
