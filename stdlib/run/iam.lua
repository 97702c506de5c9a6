--- The least-privilege IAM policy of a run: from the actions seen in its plan and in
-- its last rehearsal.
--
-- An action is { service, operation, region, input }. Names of actions follow AWS's
-- Service Authorization Reference: mostly prefix:Operation, with the exceptions below.
-- Resources are narrowed where the input names an ARN.
local value = require "run.value"

local iam = {}

-- The prefix of a service where it is not the service's own name.
local prefixes = {
  cloudwatch = "cloudwatch", ["application-autoscaling"] = "application-autoscaling",
  application_autoscaling = "application-autoscaling", elbv2 = "elasticloadbalancing", elb = "elasticloadbalancing",
  efs = "elasticfilesystem", emr = "elasticmapreduce", ses = "ses", sesv2 = "ses", stepfunctions = "states",
  opensearch = "es", events = "events", ["cognito-idp"] = "cognito-idp", ["resource-groups-tagging-api"] = "tag",
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
  ["dynamodb.RestoreTableFromBackup"] = { "dynamodb:RestoreTableFromBackup", "dynamodb:BatchWriteItem",
    "dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query",
    "dynamodb:Scan" },
  ["dynamodb.RestoreTableToPointInTime"] = { "dynamodb:RestoreTableToPointInTime", "dynamodb:BatchWriteItem",
    "dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query",
    "dynamodb:Scan" },
  ["sts.GetCallerIdentity"] = {}, -- needs no permission
}

--- The IAM actions of one operation.
function iam.actions(service, operation)
  local special = actions[service .. "." .. operation]
  if special then return special end
  return { ("%s:%s"):format(prefixes[service] or service, operation) }
end

-- ARNs in an input: at its first level, and those that a list there holds.
local function arns_of(input)
  local found = {}
  for key, v in pairs(type(input) == "table" and input or {}) do
    if type(key) == "string" and key:find("[Aa][Rr][Nn]s?$") then
      for _, one in pairs(type(v) == "table" and v or { v }) do
        if type(one) == "string" and one:find("^arn:") then table.insert(found, one) end
      end
    end
  end
  return found
end

local function sorted_keys(set)
  local list = {}
  for key in pairs(set) do table.insert(list, key) end
  table.sort(list)
  return list
end

local function role_of(input)
  for _, arn in ipairs(arns_of(input)) do if arn:find("^arn:[%w-]+:iam::") then return arn end end
end

-- Adds action `name` on a resource; one call with no ARN opens the action to all.
local function allow(rows, name, resource)
  rows[name] = rows[name] or {}
  rows[name][resource] = true
end

local function add_action(rows, action)
  for _, name in ipairs(iam.actions(action.service, action.operation)) do
    if name == "iam:PassRole" then
      allow(rows, name, role_of(action.input) or "*")
    else
      local own = {}
      for _, arn in ipairs(arns_of(action.input)) do
        -- A role handed over is not what the action works on.
        if not arn:find("^arn:[%w-]+:iam::") or action.service == "iam" then table.insert(own, arn) end
      end
      -- More than one ARN, or none: which is the action's resource cannot be told.
      allow(rows, name, #own == 1 and own[1] or "*")
    end
  end
end

--- The policy document for a list of actions.
function iam.policy(list)
  local rows = {}
  for _, action in ipairs(list) do add_action(rows, action) end
  local by_resources, order = {}, {}
  for _, name in ipairs(sorted_keys(rows)) do
    local resources = rows[name]["*"] and { "*" } or sorted_keys(rows[name])
    local key = table.concat(resources, "\n")
    if not by_resources[key] then
      by_resources[key] = { actions = {}, resources = resources }
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
