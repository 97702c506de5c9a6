--- Which of AWS's errors say that the thing asked for does not exist: one place for
-- `client:find`, and for whoever looks for what a call has left behind.
local absence = {}

-- In a code: DBInstanceNotFound, NoSuchHostedZone, ExecutionDoesNotExist,
-- AWS.SimpleQueueService.NonExistentQueue, InvalidVpcID.NotFound.
local PARTS = { "NotFound", "NoSuch", "DoesNotExist", "NotExists", "Non[eE]xist" }

-- Codes that say it in another way.
local CODES = {}
for code in ([[404 UnknownResourceException UnknownResourceFault UnknownMonitorException
  UnknownSubscriptionException UnknownTopicOrPartitionException ReportNotPresent]]):gmatch("%S+") do
  CODES[code] = true
end

-- The thing is there; what it refers to is not.
local OTHERS = { "^K[mM][sS]", "^KeyVault", "Policy%.NotFound" }

-- Codes that mean many things: then AWS's sentence says which.
local BY_TEXT = {
  ["cloudformation.ValidationError"] = "does not exist",
  ["autoscaling.ValidationError"] = "not found",
  ["elasticbeanstalk.InvalidParameterValue"] = "No .- found",
  ["ssm.InvalidDocument"] = "does not exist",
}

local function any(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

--- True for an error object by which AWS says that the thing asked for does not exist:
-- by its `code`, and where that means many things by `service` and `answer`.
function absence.says(e)
  local code = type(e) == "table" and e.code
  if type(code) ~= "string" then return false end
  if CODES[code] then return true end
  local pattern = BY_TEXT[("%s.%s"):format(tostring(e.service), code)]
  if pattern then return type(e.answer) == "string" and e.answer:find(pattern) ~= nil end
  return any(code, PARTS) and not any(code, OTHERS)
end

return absence
