--- The least-privilege IAM policy of a run: from the actions seen in its plan and in
-- its last rehearsal.
--
-- An action is { service, operation, region, input }. Names of actions follow AWS's
-- Service Authorization Reference: mostly prefix:Operation, with the exceptions below.
-- Resources are narrowed where the input says which.
local value = require "run.value"

local iam = {}

-- The prefix of a service where it is not the service's own name.
local prefixes = {
  cloudwatch = "cloudwatch", ["application-autoscaling"] = "application-autoscaling",
  application_autoscaling = "application-autoscaling", elbv2 = "elasticloadbalancing",
  elb = "elasticloadbalancing", efs = "elasticfilesystem", emr = "elasticmapreduce", ses = "ses",
  sesv2 = "ses", stepfunctions = "states", opensearch = "es", events = "events",
  ["cognito-idp"] = "cognito-idp", ["resource-groups-tagging-api"] = "tag",
  resourcegroupstaggingapi = "tag", logs = "logs", ["autoscaling-plans"] = "autoscaling-plans",
  ["route53-recovery-cluster"] = "route53-recovery-cluster", docdb = "rds", neptune = "rds",
}

-- Operations whose action has another name, and those that need further actions.
local actions = {
  ["s3.ListObjects"] = { "s3:ListBucket" },
  ["s3.ListObjectsV2"] = { "s3:ListBucket" },
  ["s3.HeadObject"] = { "s3:GetObject" },
  ["s3.HeadBucket"] = { "s3:ListBucket" },
  ["s3.ListBuckets"] = { "s3:ListAllMyBuckets" },
  ["s3.CopyObject"] = { "s3:GetObject", "s3:PutObject" },
  ["s3.CreateMultipartUpload"] = { "s3:PutObject" },
  ["s3.UploadPart"] = { "s3:PutObject" },
  ["s3.CompleteMultipartUpload"] = { "s3:PutObject" },
  ["s3.DeleteObjects"] = { "s3:DeleteObject" },
  ["lambda.Invoke"] = { "lambda:InvokeFunction" },
  ["backup.StartRestoreJob"] = { "backup:StartRestoreJob", "iam:PassRole" },
  ["backup.StartBackupJob"] = { "backup:StartBackupJob", "iam:PassRole" },
  ["dynamodb.RestoreTableFromBackup"] = { "dynamodb:RestoreTableFromBackup",
    "dynamodb:BatchWriteItem", "dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:DeleteItem",
    "dynamodb:GetItem", "dynamodb:Query",
    "dynamodb:Scan" },
  ["dynamodb.RestoreTableToPointInTime"] = { "dynamodb:RestoreTableToPointInTime",
    "dynamodb:BatchWriteItem", "dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:DeleteItem",
    "dynamodb:GetItem", "dynamodb:Query",
    "dynamodb:Scan" },
  ["sts.GetCallerIdentity"] = {}, -- needs no permission
}

--- The IAM actions of one operation.
function iam.actions(service, operation)
  local special = actions[service .. "." .. operation]
  if special then return special end
  return { ("%s:%s"):format(prefixes[service] or service, operation) }
end

-- ARNs by the names in an input, where an operation works on just these: templates
-- with fields of the input in braces.
local resources = {
  ["ecs.UpdateService"] = "arn:aws:ecs:{region}:*:service/{cluster}/{service}",
  ["route53.ChangeResourceRecordSets"] = "arn:aws:route53:::hostedzone/{HostedZoneId}",
  ["route53.ListResourceRecordSets"] = "arn:aws:route53:::hostedzone/{HostedZoneId}",
  ["route53.UpdateHealthCheck"] = "arn:aws:route53:::healthcheck/{HealthCheckId}",
  ["rds.PromoteReadReplica"] = "arn:aws:rds:{region}:*:db:{DBInstanceIdentifier}",
  ["rds.RebootDBInstance"] = "arn:aws:rds:{region}:*:db:{DBInstanceIdentifier}",
  ["dynamodb.DescribeTable"] = "arn:aws:dynamodb:{region}:*:table/{TableName}",
  ["dynamodb.UpdateTable"] = "arn:aws:dynamodb:{region}:*:table/{TableName}",
  ["dynamodb.UpdateContinuousBackups"] = "arn:aws:dynamodb:{region}:*:table/{TableName}",
  ["lambda.UpdateFunctionConfiguration"] = "arn:aws:lambda:{region}:*:function:{FunctionName}",
  ["backup.ListRecoveryPointsByBackupVault"] =
    "arn:aws:backup:{region}:*:backup-vault:{BackupVaultName}",
  ["s3.GetObject"] = "arn:aws:s3:::{Bucket}/{Key}",
  ["s3.PutObject"] = "arn:aws:s3:::{Bucket}/{Key}",
  ["s3.ListObjectsV2"] = "arn:aws:s3:::{Bucket}",
}

-- Operations whose only ARN in the input is the resource they work on.
local by_arn = { ["sns.Publish"] = true, ["secretsmanager.GetSecretValue"] = true,
  ["states.StartExecution"] = true,
  ["elbv2.DescribeTargetHealth"] = false }

local function sorted_keys(set)
  local list = {}
  for key in pairs(set) do table.insert(list, key) end
  table.sort(list)
  return list
end

local function known(text)
  return type(text) == "string" and text ~= "" and not text:find("known after run", 1, true)
end

-- The role that an input hands over, for iam:PassRole.
local function role_of(input)
  for _, v in pairs(type(input) == "table" and input or {}) do
    if known(v) and v:find("^arn:[%w-]+:iam::[^:]*:role/") then return v end
  end
end

local function filled(template, action)
  local complete = true
  local arn = template:gsub("{(%w+)}", function(field)
    local v = field == "region" and action.region
      or (type(action.input) == "table" and action.input[field])
    if not known(v) then complete = false end
    return known(v) and (v:match("^arn:.*[/:]([^/:]+)$") or v) or "*"
  end)
  return complete and arn or nil
end

local function only_arn(input)
  local found
  for key, v in pairs(type(input) == "table" and input or {}) do
    if known(v) and tostring(key):find("[Aa][Rr][Nn]$") and v:find("^arn:") then
      if found then return nil end
      found = v
    end
  end
  return found
end

-- What an action works on: an ARN, or "*" where that is not known.
local function resource_of(action)
  local name = action.service .. "." .. action.operation
  if resources[name] then return filled(resources[name], action) or "*" end
  return by_arn[name] and only_arn(action.input) or "*"
end

local function allow(rows, name, resource)
  rows[name] = rows[name] or {}
  rows[name][resource] = true
end

local function add_action(rows, action)
  for _, name in ipairs(iam.actions(action.service, action.operation)) do
    local role = name == "iam:PassRole" and (role_of(action.input) or "*")
    allow(rows, name, role or resource_of(action))
  end
end

--- The actions of a plan together with those that a rehearsal made: of these only the
-- ones that the plan has not seen, since a plan knows the inputs.
function iam.together(planned, rehearsed)
  local seen, list = {}, {}
  for _, action in ipairs(planned) do
    seen[action.service .. "." .. action.operation] = true
    table.insert(list, action)
  end
  for _, action in ipairs(rehearsed or {}) do
    if action.operation and not seen[action.service .. "." .. action.operation] then
      table.insert(list, action)
    end
  end
  return list
end

--- The policy document for a list of actions.
function iam.policy(list)
  local rows = {}
  for _, action in ipairs(list) do add_action(rows, action) end
  local by_resources, order = {}, {}
  for _, name in ipairs(sorted_keys(rows)) do
    local list_of = rows[name]["*"] and { "*" } or sorted_keys(rows[name])
    local key = table.concat(list_of, "\n")
    if not by_resources[key] then
      by_resources[key] = { actions = {}, resources = list_of }
      table.insert(order, key)
    end
    table.insert(by_resources[key].actions, name)
  end
  local statements = {}
  for _, key in ipairs(order) do
    table.insert(statements, { Effect = "Allow", Action = by_resources[key].actions,
      Resource = by_resources[key].resources })
  end
  return { Version = "2012-10-17", Statement = statements }
end

--- The policy as JSON text, indented.
function iam.json(policy)
  local lines = { "{", '  "Version": "2012-10-17",', '  "Statement": [' }
  for i, s in ipairs(policy.Statement) do
    table.insert(lines, "    {")
    table.insert(lines, '      "Effect": "Allow",')
    for _, field in ipairs { "Action", "Resource" } do
      local items = {}
      for n, item in ipairs(s[field]) do items[n] = "        " .. value.quote(item) end
      table.insert(lines, ('      "%s": [\n%s\n      ]%s'):format(field, table.concat(items, ",\n"),
        field == "Action" and "," or ""))
    end
    table.insert(lines, i < #policy.Statement and "    }," or "    }")
  end
  table.insert(lines, "  ]")
  table.insert(lines, "}")
  return table.concat(lines, "\n")
end

return iam
