-- aws.sensitive: the secret members of operations, by AWS's models and by name.
local t = require "harness"
local confidential = require "confidential"
local model = require "aws.model"
local secrets = require "run.secrets"
local sensitive = require "aws.sensitive"

local models = {}
local function members(service, operation)
  models[service] = models[service] or assert(model.open(service))
  return sensitive.of(models[service], operation)
end

-- The value with each secret member named, and the names in order.
local function found(root, value)
  local names = {}
  local copy = sensitive.replace(root, value, function(_, name)
    table.insert(names, tostring(name))
    return "<" .. tostring(name) .. ">"
  end)
  table.sort(names)
  return table.concat(names, " "), copy
end

t.test("members that AWS's models mark", function()
  for _, case in ipairs {
    { "rds", "ModifyDBInstance", "input",
      { DBInstanceIdentifier = "shop", MasterUserPassword = "x" },
      "MasterUserPassword" },
    { "rds", "CreateDBInstance", "input", { MasterUserPassword = "x", TdeCredentialPassword = "y" },
      "MasterUserPassword TdeCredentialPassword" },
    { "secretsmanager", "PutSecretValue", "input",
      { SecretId = "a", SecretString = "x", SecretBinary = "y" },
      "SecretBinary SecretString" },
    { "secretsmanager", "GetSecretValue", "output", { ARN = "a", SecretString = "x" },
      "SecretString" },
    { "secretsmanager", "GetRandomPassword", "output", { RandomPassword = "x" }, "RandomPassword" },
    { "lambda", "UpdateFunctionConfiguration", "input",
      { Environment = { Variables = { A = "b" } } },
      "Variables" },
    { "lambda", "GetFunctionConfiguration", "output",
      { FunctionName = "f", Environment = { Variables = { A = "b" } } },
      "Variables" },
    { "lambda", "ListFunctions", "output",
      { Functions = { { Environment = { Variables = { A = "b" } } }, { } } },
      "Variables" },
    { "ssm", "GetParameters", "output", { Parameters = { { Name = "n", Value = "v" } } }, "Value" },
    { "kms", "GenerateDataKey", "output", { Plaintext = "x", KeyId = "k" }, "Plaintext" },
    { "sts", "AssumeRole", "output",
      { Credentials = { AccessKeyId = "k", SecretAccessKey = "x", SessionToken = "t" } },
      "SecretAccessKey SessionToken" },
    -- Not marked there.
    { "docdb", "ModifyDBCluster", "input", { MasterUserPassword = "x" }, "MasterUserPassword" },
    { "elasticache", "ModifyReplicationGroup", "input", { AuthToken = "x" }, "AuthToken" },
    { "ecr", "GetAuthorizationToken", "output",
      { authorizationData = { { authorizationToken = "x" } } },
      "authorizationToken" },
    { "mq", "UpdateUser", "input", { Password = "x", Username = "u" }, "Password" },
  } do
    local names, copy = found(members(case[1], case[2])[case[3]], case[4])
    t.equal(names, case[5], case[1] .. "." .. case[2])
    t.ok(copy ~= case[4], "the value itself was changed")
  end
end)

t.test("an operation without any costs nothing, and its values stay themselves", function()
  local value = { DBInstanceIdentifier = "shop" }
  t.equal(members("rds", "DescribeEvents"), {})
  t.equal(members("rds", "PromoteReadReplica").input, nil)
  t.ok(sensitive.replace(nil, value, error) == value)
  local root = members("rds", "ModifyDBInstance").input
  t.ok(sensitive.replace(root, value, error) == value)
  t.equal(members("rds", "NoSuchOperation"), {})
  t.ok(members("rds", "ModifyDBInstance") == members("rds", "ModifyDBInstance"), "not kept")
end)

t.test("shapes that hold themselves, and values that do", function()
  local root = members("dynamodb", "PutItem").input
  local value = { Item = { a = { L = { { M = { b = { S = "x" } } } } } } }
  t.ok(sensitive.replace(root, value, error) == value)
  local m = model.from_table { metadata = { protocol = "json", apiVersion = "1",
    endpointPrefix = "x" },
    operations = { Do = { name = "Do", input = { shape = "Tree" } } },
    shapes = { Tree = { type = "structure",
      members = { kids = { shape = "Trees" }, pin = { shape = "Pin" } } },
      Trees = { type = "list", member = { shape = "Tree" } },
      Pin = { type = "string", sensitive = true } } }
  local tree = sensitive.of(m, "Do").input
  t.equal(select(2,
    found(tree, { pin = "1", kids = { { pin = "2" }, { kids = { { pin = "3" } } } } })),
    { pin = "<pin>", kids = { { pin = "<pin>" }, { kids = { { pin = "<pin>" } } } } })
  local loop = {}
  loop.kids = { loop }
  sensitive.replace(tree, loop, error)
end)

t.test("registered: what is likely a secret, fields of a JSON text, "
  .. "entries of a map by their names", function()
  local registry = secrets.new()
  local former = confidential.install(registry)
  t.cleanup(function() confidential.install(former) end)
  sensitive.register(members("secretsmanager", "GetSecretValue").output,
    { ARN = "arn:aws:x", SecretString = '{"username":"shopuser","password":"json-4711"}' })
  sensitive.register(members("lambda", "GetFunctionConfiguration").output,
    { FunctionName = "orders-api",
    Environment = { Variables = { DB_PASSWORD = "lambda-4711", MODE = "production",
      URL = "http://internal/4711",
      REGION = "eu-west-1" } } })
  sensitive.register(members("rds", "ModifyDBInstance").input,
    { DBInstanceIdentifier = "shop-instance",
    MasterUserPassword = "master-4711" })
  t.equal(registry:mask "json-4711 lambda-4711 master-4711 http://internal/4711", "*** *** *** ***")
  t.equal(registry:mask "shopuser production eu-west-1 orders-api shop-instance",
    "shopuser production eu-west-1 orders-api shop-instance")
  sensitive.register(members("backup", "StartBackupJob").input,
    { RecoveryPointTags = { run = "20260101-abcd",
    token = "tagged-4711" } })
  t.equal(registry:mask "20260101-abcd tagged-4711", "20260101-abcd ***")
  t.equal(registry:within "http://internal/4711", nil)
  t.ok(registry:within "lambda-4711")
end)
