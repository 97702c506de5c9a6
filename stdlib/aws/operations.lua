--- What an operation does to the world: reads it, may be repeated, or neither.
--
-- The models do not say which operations change something, so this file does: by
-- the first word of the name, with a table of exceptions. An operation that is not
-- known to be a read counts as one that changes something. `plan` and `check`
-- stand on this, and so does the decision to send a call again whose answer was
-- lost.
local operations = {}

-- First words (or two) of operations that change nothing.
local READ = {}
for word in ([[Describe Get List Head Lookup Search Scan Query Select Filter Count Check Validate
  Simulate Discover Preview Estimate Calculate Download View Is Compare TransactGet BatchGet
  BatchDescribe BatchList BatchCheck BatchIs BatchDetect Detect Evaluate Predict Infer Recognize
  Classify Analyze Render]]):gmatch("%w+") do READ[word] = true end

-- First words of operations that change something, where doing it twice leaves the
-- world as doing it once does.
local REPEATABLE = {}
for word in ([[Put Update Modify Set Tag Untag Delete Stop Cancel Enable Disable Add Remove Associate
  Disassociate Register Deregister Terminate Abort Suspend Resume Pause Change Configure Replace
  Authorize Revoke Attach Detach Upsert Subscribe Unsubscribe Unassign Release Reset Abandon
  Deactivate Activate Untag Assume]]):gmatch("%w+") do REPEATABLE[word] = true end

local function dry_run(input) return input.DryRun == true end

local function selects(input)
  local statement = input.Statement
  return type(statement) == "string" and (statement:match("^%s*(%a+)") or ""):upper() == "SELECT"
end

-- A record that is created or deleted twice is refused the second time.
local function upserts_only(input)
  for _, change in ipairs(type(input.ChangeBatch) == "table" and input.ChangeBatch.Changes or {}) do
    if change.Action ~= "UPSERT" then return false end
  end
  return true
end

-- A counter raised twice is wrong; an attribute set twice is not.
local function sets_only(input)
  local text = input.UpdateExpression or ""
  for _, update in pairs(input.AttributeUpdates or {}) do
    if type(update) == "table" and update.Action == "ADD" then return false end
  end
  return not (text:upper():find("%f[%w]ADD%f[%W]") or text:find("[+-]")
    or text:find("list_append", 1, true))
end

-- Exceptions, by service and operation: "read", "repeatable", "once"; or a
-- function of the input returning one of them.
local EXCEPTIONS = {
  ["cognito-identity"] = { GetId = "once", GetOpenIdToken = "once",
    GetOpenIdTokenForDeveloperIdentity = "once" },
  ["cognito-idp"] = { GetUserAttributeVerificationCode = "once" },
  stepfunctions = { GetActivityTask = "once", ValidateStateMachineDefinition = "read" },
  redshift = { GetClusterCredentials = "once", GetClusterCredentialsWithIAM = "once" },
  ["redshift-serverless"] = { GetCredentials = "once" },
  ["license-manager"] = { CheckInLicense = "once" },
  ["endusermessaging"] = { ValidateNotifyCodeVerification = "once" },
  cloudformation = { DetectStackDrift = "once", DetectStackResourceDrift = "once",
    DetectStackSetDrift = "once" },
  sts = { AssumeRole = "read", AssumeRoleWithSAML = "read", AssumeRoleWithWebIdentity = "read",
    AssumeRoot = "read",
    DecodeAuthorizationMessage = "read" },
  kms = { Decrypt = "read", Encrypt = "read", Sign = "read", Verify = "read", VerifyMac = "read",
    GenerateMac = "read", GenerateRandom = "read", GenerateDataKey = "read",
    GenerateDataKeyWithoutPlaintext = "read", GenerateDataKeyPair = "read",
    GenerateDataKeyPairWithoutPlaintext = "read", DeriveSharedSecret = "read",
    ReEncrypt = "read" },
  logs = { StartQuery = "read", StopQuery = "read", TestMetricFilter = "read",
    TestTransformer = "read",
    PutLogEvents = "once" },
  route53 = { TestDNSAnswer = "read",
    ChangeResourceRecordSets = function(input)
      return upserts_only(input) and "repeatable" or "once"
    end },
  events = { TestEventPattern = "read", PutEvents = "once" },
  cloudwatch = { PutMetricData = "once" },
  kinesis = { PutRecord = "once", PutRecords = "once" },
  firehose = { PutRecord = "once", PutRecordBatch = "once" },
  dynamodb = {
    ExecuteStatement = function(input) return selects(input) and "read" or "once" end,
    UpdateItem = function(input) return sets_only(input) and "repeatable" or "once" end,
    BatchWriteItem = "repeatable",
    TransactWriteItems = "repeatable", -- its token makes it so
  },
  lambda = { Invoke = function(input)
    return input.InvocationType == "DryRun" and "read" or "once"
  end,
    UpdateFunctionCode = function(input) return dry_run(input) and "read" or "repeatable" end },
  s3 = { CompleteMultipartUpload = "repeatable", CreateMultipartUpload = "repeatable",
    UploadPart = "repeatable", UploadPartCopy = "repeatable", CopyObject = "repeatable",
    RestoreObject = "repeatable", WriteGetObjectResponse = "once" },
  sqs = { ReceiveMessage = "once", ChangeMessageVisibility = "repeatable" },
  ["eks-auth"] = { AssumeRoleForPodIdentity = "read" },
}

local function by_name(name, method)
  local first = name:match("^%u[%l%d]*") or name
  local two = name:match("^%u[%l%d]*%u[%l%d]*")
  if READ[first] or READ[two] then return "read" end
  if REPEATABLE[first] or method == "PUT" or method == "DELETE" then return "repeatable" end
  return "once"
end

--- The rule of an operation: "read", "repeatable", "once", or a function of the
-- input that returns one of them. service: its name in the models; method: of HTTP.
function operations.rule(service, name, method)
  local listed = EXCEPTIONS[service] and EXCEPTIONS[service][name]
  if listed then return listed end
  local rule = by_name(name, method)
  if service == "ec2" and rule ~= "read" then
    return function(input) return dry_run(input) and "read" or rule end
  end
  return rule
end

--- "read", "repeatable" or "once" for one call.
function operations.effect(service, name, input, method)
  local rule = operations.rule(service, name, method)
  if type(rule) == "function" then return rule(input or {}) end
  return rule
end

return operations
