-- run.iam: the policy that a list of calls needs.
local t = require "harness"
local iam = require "run.iam"
local value = require "run.value"

local function statements(actions)
  local found = {}
  for _, s in ipairs(iam.policy(actions).Statement) do
    for _, action in ipairs(s.Action) do found[action] = table.concat(s.Resource, " ") end
  end
  return found
end

t.test("names of actions where they are not service:Operation", function()
  t.equal(iam.actions("s3", "ListObjectsV2"), { "s3:ListBucket" })
  t.equal(iam.actions("elbv2", "DescribeTargetHealth"),
    { "elasticloadbalancing:DescribeTargetHealth" })
  t.equal(iam.actions("lambda", "Invoke"), { "lambda:InvokeFunction" })
  t.equal(iam.actions("sts", "GetCallerIdentity"), {})
  t.equal(iam.actions("rds", "DescribeDBInstances"), { "rds:DescribeDBInstances" })
end)

t.test("resources are narrowed where the input says which, and "
  .. "opened by one call that does not", function()
  local narrow = { service = "rds", operation = "PromoteReadReplica", region = "us-west-2",
    input = { DBInstanceIdentifier = "r" } }
  t.equal(statements { narrow }, { ["rds:PromoteReadReplica"] = "arn:aws:rds:us-west-2:*:db:r" })
  local unknown = { service = "rds", operation = "PromoteReadReplica", region = "us-west-2",
    input = { DBInstanceIdentifier = "(known after run)" } }
  t.equal(statements { narrow, unknown }, { ["rds:PromoteReadReplica"] = "*" })
end)

t.test("a role that is handed over needs PassRole on just that role", function()
  local found = statements { { service = "backup", operation = "StartRestoreJob",
    region = "us-east-1",
    input = { IamRoleArn = "arn:aws:iam::123456789012:role/backup" } } }
  t.equal(found["iam:PassRole"], "arn:aws:iam::123456789012:role/backup")
end)

t.test("a rehearsal adds what the plan did not see, and widens nothing", function()
  local planned = { { service = "ecs", operation = "UpdateService", region = "us-east-1",
    input = { cluster = "c", service = "s" } } }
  local found = statements(iam.together(planned, { { service = "ecs", operation = "UpdateService" },
    { service = "rds", operation = "RebootDBInstance" } }))
  t.equal(found["ecs:UpdateService"], "arn:aws:ecs:us-east-1:*:service/c/s")
  t.equal(found["rds:RebootDBInstance"], "*")
end)

t.test("the text is JSON", function()
  local policy = iam.policy { { service = "rds", operation = "DescribeDBInstances" } }
  t.equal(value.decode(iam.json(policy)), policy)
end)
