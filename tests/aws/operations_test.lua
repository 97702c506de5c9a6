local t = require "harness"
local names = require "aws.names"
local operations = require "aws.operations"

t.test("what the operations of recoveries do", function()
  local expected = {
    rds = { DescribeDBInstances = "read", PromoteReadReplica = "once",
      ModifyDBInstance = "repeatable", RestoreDBInstanceFromDBSnapshot = "once",
      RebootDBInstance = "once", FailoverDBCluster = "once",
      DownloadDBLogFilePortion = "read", DeleteDBInstance = "repeatable" },
    route53 = { ChangeResourceRecordSets = "repeatable", GetChange = "read",
      TestDNSAnswer = "read" },
    backup = { StartRestoreJob = "once", DescribeRestoreJob = "read",
      ListRecoveryPointsByBackupVault = "read" },
    dynamodb = { Query = "read", Scan = "read", BatchGetItem = "read", PutItem = "repeatable",
      TransactGetItems = "read", BatchWriteItem = "repeatable" },
    logs = { StartQuery = "read", FilterLogEvents = "read", PutLogEvents = "once" },
    sts = { GetCallerIdentity = "read", AssumeRole = "read" },
    ["cognito-identity"] = { GetId = "once" },
    iam = { UpdateAccessKey = "repeatable", CreateAccessKey = "once",
      SimulatePrincipalPolicy = "read" },
  }
  for service, list in pairs(expected) do
    for name, effect in pairs(list) do
      t.equal(operations.effect(service, name, {}), effect, service .. "." .. name)
    end
  end
end)

t.test("an input can make the difference", function()
  t.equal(operations.effect("dynamodb", "ExecuteStatement", { Statement = " select * from t" }),
    "read")
  t.equal(operations.effect("dynamodb", "ExecuteStatement", { Statement = "DELETE from t" }),
    "once")
  t.equal(operations.effect("dynamodb", "ExecuteStatement", {}), "once")
  t.equal(operations.effect("dynamodb", "ExecuteStatement", { Statement = "" }), "once")
  t.equal(operations.effect("dynamodb", "UpdateItem", { UpdateExpression = "SET a = :b" }),
    "repeatable")
  t.equal(operations.effect("dynamodb", "UpdateItem", { UpdateExpression = "add n :one" }), "once")
  t.equal(operations.effect("dynamodb", "UpdateItem", { UpdateExpression = "SET n = n + :one" }),
    "once")
  t.equal(operations.effect("dynamodb", "UpdateItem", { UpdateExpression = "SET address = :b" }),
    "repeatable")
  local function changes(...)
    local list = {}
    for i, action in ipairs { ... } do list[i] = { Action = action } end
    return operations.effect("route53", "ChangeResourceRecordSets",
      { ChangeBatch = { Changes = list } })
  end
  t.equal(changes("UPSERT", "UPSERT"), "repeatable")
  t.equal(changes("UPSERT", "CREATE"), "once")
  t.equal(changes("DELETE"), "once")
  t.equal(operations.effect("ec2", "StartInstances", { DryRun = true }), "read")
  t.equal(operations.effect("ec2", "StartInstances", {}), "once")
  t.equal(operations.effect("ec2", "RunInstances", { DryRun = false }), "once")
  t.equal(operations.effect("lambda", "Invoke", { InvocationType = "DryRun" }), "read")
end)

t.test("HTTP's own word counts where the name says nothing", function()
  t.equal(operations.effect("x", "Frobnicate", {}, "PUT"), "repeatable")
  t.equal(operations.effect("x", "Frobnicate", {}, "GET"), "once",
    "unknown verbs are not taken for reads")
end)

t.test("names by botocore's rules", function()
  for aws, snake in pairs {
    DescribeDBInstances = "describe_db_instances", DBInstanceAvailable = "db_instance_available",
    ListHITsForQualificationType = "list_hits_for_qualification_type", GetObject = "get_object",
    DescribeVpcEndpoints = "describe_vpc_endpoints",
    CreateVPCEndpointACLs = "create_vpc_endpoint_acls",
    ListObjectsV2 = "list_objects_v2", describe_x = "describe_x", GetIPSet = "get_ip_set",
  } do t.equal(names.snake(aws), snake) end
end)

t.test("every operation of every service is found by AWS's name "
  .. "and by the one that is shown", function()
  local model = require "aws.model"
  local wrong = {}
  for _, service in ipairs(model.services()) do
    local m = model.open(service)
    for _, name in ipairs(m:operations()) do
      for _, form in ipairs { name, names.snake(name) } do
        if m:find(form) ~= name then table.insert(wrong, service .. "." .. form) end
      end
    end
  end
  t.equal(wrong, {})
end)
