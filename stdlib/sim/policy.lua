--- Identity policies, where a world has any: the subset of IAM that decides on
-- actions and, where the call's resource is known here, on resources. A world without
-- policies lets every signed call through. Conditions are not looked at.
--
-- Which resource an action works on follows AWS's Service Authorization Reference: a
-- backup job, say, on the vault and not on the database.
local policy = {}

-- "rds:Describe*" -> a Lua pattern.
local function pattern(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- IAM allows a single string or statement where a list is meant.
local function list(value)
  if type(value) ~= "table" or value.Effect then return { value } end
  return value
end

local function any(globs, text)
  for _, glob in ipairs(list(globs)) do
    if text:find(pattern(glob)) then return true end
  end
  return false
end

local function lower(globs)
  local lowered = {}
  for i, glob in ipairs(list(globs)) do lowered[i] = glob:lower() end
  return lowered
end

local function covers(statement, action, resource)
  local named
  if statement.NotAction then
    named = not any(lower(statement.NotAction), action:lower())
  else
    named = any(lower(statement.Action or {}), action:lower())
  end
  if not named or not resource or not statement.Resource then return named end
  return any(statement.Resource, resource)
end

-- Needs no permission.
local free = { ["sts:GetCallerIdentity"] = true, ["sts:GetSessionToken"] = true }

local function member(name)
  return function(_, input) return input[name] end
end

local function named(service, kind, name)
  return function(call, input)
    local id = input[name]
    if not id then return "*" end
    if id:find("^arn:") then return id end
    return ("arn:aws:%s:%s:%s:%s%s"):format(service, call.region, call.account, kind, id)
  end
end

local vault, point = named("backup", "backup-vault:", "BackupVaultName"), member "RecoveryPointArn"
local instance = named("rds", "db:", "DBInstanceIdentifier")
local function all() return "*" end

local function last(text) return text:match("[^/:]+$") end

local function ecs_service(call, input)
  if not input.service then return "*" end
  return ("arn:aws:ecs:%s:%s:service/%s/%s"):format(call.region, call.account,
    last(input.cluster or "default"),
    last(input.service))
end

local function route53(kind, name)
  return function(_, input)
    return input[name] and ("arn:aws:route53:::%s/%s"):format(kind, last(input[name])) or "*"
  end
end

local zone, check = route53("hostedzone", "HostedZoneId"), route53("healthcheck", "HealthCheckId")

-- The resource of an action, for those whose resource is not simply any.
local resources = {
  ["backup:StartBackupJob"] = vault, ["backup:ListRecoveryPointsByBackupVault"] = vault,
  ["backup:DescribeBackupVault"] = vault, ["backup:StartRestoreJob"] = point,
  ["backup:StartCopyJob"] = point, ["backup:DescribeRecoveryPoint"] = point,
  ["backup:GetRecoveryPointRestoreMetadata"] = point,
  ["backup:DeleteRecoveryPoint"] = point, ["backup:ListRecoveryPointsByResource"] = all,
  ["rds:DescribeDBInstances"] = instance, ["rds:ModifyDBInstance"] = instance,
  ["rds:RebootDBInstance"] = instance, ["rds:DeleteDBInstance"] = instance,
  ["rds:PromoteReadReplica"] = instance, ["rds:StartDBInstance"] = instance,
  ["rds:StopDBInstance"] = instance, ["sts:AssumeRole"] = member "RoleArn",
  ["ecs:UpdateService"] = ecs_service, ["ecs:DeleteService"] = ecs_service,
  ["route53:ChangeResourceRecordSets"] = zone, ["route53:ListResourceRecordSets"] = zone,
  ["route53:UpdateHealthCheck"] = check, ["route53:GetHealthCheck"] = check,
  ["route53:DeleteHealthCheck"] = check,
}

local function denial(key, action, resource, explicit)
  local why = explicit and "of an explicit deny in an identity-based policy"
    or "no identity-based policy allows the " .. action .. " action"
  return { status = 403, code = "AccessDenied",
    message = ("User: %s is not authorized to perform: %s%s because %s"):format(key.arn, action,
      resource and " on resource: " .. resource or "", why) }
end

local function decide(policies, key, action, resource)
  local allowed, denied = false, false
  for _, one in ipairs(policies) do
    for _, statement in ipairs(one.principal and one.principal ~= key.arn and {}
      or list(one.Statement)) do
      if covers(statement, action, resource) then
        if statement.Effect == "Deny" then denied = true else allowed = true end
      end
    end
  end
  if allowed and not denied then return nil end
  return denial(key, action, resource, denied)
end

--- nil when the call { service, operation, region, account } with this input is
-- allowed to the key's identity; else the error to answer with. policies: a list of
-- { Statement = {...}, principal = arn? }. A call that hands a role over needs
-- iam:PassRole on it, too.
function policy.denies(policies, key, call, input)
  if not policies or #policies == 0 then return nil end
  local action = call.service .. ":" .. call.operation
  if free[action] then return nil end
  local resource = resources[action] and resources[action](call, input)
  local denied = decide(policies, key, action, resource)
  if denied or type(input.IamRoleArn) ~= "string" then return denied end
  return decide(policies, key, "iam:PassRole", input.IamRoleArn)
end

return policy
