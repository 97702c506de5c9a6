-- What the models demand of inputs: in the words of DynamoDB, Backup and others.
local t = require "harness"
local constraints = require "aws.constraints"
local model = require "aws.model"

local function faults(service, operation, input)
  local m = model.open(service)
  local valid, message, kind, list = m:validate(operation, input, { constraints = true })
  if valid then return {}, nil end
  t.equal(kind, "invalid")
  return list, message
end

t.test("an input that meets all constraints is valid", function()
  for operation, input in pairs {
    DescribeTable = { TableName = "orders" },
    PutItem = { TableName = "orders", Item = { id = { S = "1" } } },
  } do t.equal(#faults("dynamodb", operation, input), 0, operation) end
end)

t.test("each kind of constraint, in AWS's words", function()
  for _, row in ipairs {
    { "dynamodb", "CreateTable",
      { TableName = "a", KeySchema = { { AttributeName = "id", KeyType = "ROUND" } } },
      "keySchema.1.member.keyType", "ROUND", "Member must satisfy enum value set: [HASH, RANGE]" },
    { "dynamodb", "CreateTable", { TableName = "a", BillingMode = "FREE" }, "billingMode", "FREE",
      "Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]" },
    { "dynamodb", "CreateTable", { TableName = "a",
      ProvisionedThroughput = { ReadCapacityUnits = 0, WriteCapacityUnits = 1 } },
      "provisionedThroughput.readCapacityUnits", 0,
      "Member must have value greater than or equal to 1" },
    { "dynamodb", "ListTables", { Limit = 101 }, "limit", 101,
      "Member must have value less than or equal to 100" },
    { "dynamodb", "ListTables", { ExclusiveStartTableName = "a!b" }, "exclusiveStartTableName",
      "a!b",
      "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+" },
    { "dynamodb", "DescribeTable", {}, "tableName", nil, "Member must not be null" },
    { "backup", "CreateBackupVault", { BackupVaultName = "!!" }, "backupVaultName", "!!",
      "Member must satisfy "
      .. "regular expression pattern: ^[a-zA-Z0-9\\-\\_]{2,50}$" },
    { "sts", "AssumeRole",
      { RoleArn = "arn:aws:iam::123456789012:role/r", RoleSessionName = ("x"):rep(65) },
      "roleSessionName", ("x"):rep(65), "Member must have length less than or equal to 64" },
    { "lambda", "TagResource", { Resource = "arn:aws:lambda:us-east-1:123456789012:function:f" },
      "tags", nil,
      "Member must not be null" },
    { "logs", "PutRetentionPolicy", { logGroupName = "" , retentionInDays = 7 }, "logGroupName", "",
      "Member must have length greater than or equal to 1" },
  } do
    local found = false
    for _, fault in ipairs((faults(row[1], row[2], row[3]))) do
      if fault.path == row[4] and fault.constraint == row[6] then
        found = true
        t.equal(fault.value, row[5])
      end
    end
    t.ok(found, ("%s.%s: %s"):format(row[1], row[2], row[6]))
  end
end)

t.test("all faults are in one sentence, a long value cut", function()
  local list, message = faults("dynamodb", "ListTables",
    { ExclusiveStartTableName = ("!"):rep(300) })
  t.equal(#list, 2)
  t.matches(message, "^2 validation errors detected: Value '" .. ("!"):rep(199)
    .. "...' at 'exclusiveStartTableName' "
    .. "failed to satisfy constraint: Member must have length less than or equal to 255; Value '")
  t.equal(constraints.sentence { { path = "a", constraint = "Member must not be null" } },
    "1 validation error detected: Value null at 'a' failed to satisfy "
      .. "constraint: Member must not be null")
end)

t.test("an input that has not the model's form is refused as ever, without a list", function()
  local list, message = faults("dynamodb", "DescribeTable", { TableName = "a", Nme = 1 })
  t.equal(list, nil)
  t.contains(message, "unknown member")
  t.equal(model.open("dynamodb"):validate("DescribeTable", { TableName = "a!b" }), true,
    "a client does not ask")
end)

t.test("shapes that contain themselves, maps, bytes and characters", function()
  local m = model.from_table { metadata = { protocol = "json", jsonVersion = "1.0",
    targetPrefix = "T" },
    operations = { Do = { name = "Do", input = { shape = "In" } } },
    shapes = {
      In = { type = "structure",
        members = { Tree = { shape = "Tree" }, Map = { shape = "Map" }, Text = { shape = "S" },
        Bytes = { shape = "B" }, Loop = { shape = "Loop" }, Ratio = { shape = "D" } } },
      Tree = { type = "structure",
        members = { Kids = { shape = "Trees" }, Name = { shape = "S" } } },
      Trees = { type = "list", member = { shape = "Tree" }, max = 2 },
      Loop = { type = "structure", members = { Loop = { shape = "Loop" } } },
      Map = { type = "map", key = { shape = "S" }, value = { shape = "S" }, max = 2 },
      S = { type = "string", max = 3 }, B = { type = "blob", max = 3 },
      D = { type = "double", min = 0, max = 1 } } }
  local function check(input)
    local _, message = m:validate("Do", input, { constraints = true })
    return message and message:gsub("^.-: Value ", "")
  end
  t.equal(check { Text = "äöü", Map = { a = "b" }, Bytes = "abc", Loop = { Loop = {} }, Ratio = 0 },
    nil)
  t.matches(check { Bytes = "äö" }, "at 'bytes'")
  t.matches(check { Text = "äöüß" }, "at 'text' .* length less")
  t.matches(check { Tree = { Kids = { {}, { Kids = { { Name = "long" } } } } } },
    "'long' at 'tree.kids.2.member.kids.1.member.name'")
  t.matches(check { Map = { long = "b" } }, "'long' at 'map'")
  t.matches(check { Map = { k = "long" } }, "'long' at 'map.k.member'")
  t.matches(check { Map = { a = "", b = "", c = "" } },
    "at 'map' .* length less than or equal to 2")
  t.matches(check { Ratio = -0.5 }, "'%-0.5' at 'ratio' .* greater than or equal to 0")
  t.matches(check { Ratio = 1.5 }, "'1.5' at 'ratio' .* less than or equal to 1")
end)

t.test("every pattern of every model is understood", function()
  local regex = require "regex"
  local patterns, bad = {}, {}
  for _, service in ipairs(model.services()) do
    for _, shape in ipairs((model.open(service):constraints() or {}).shapes or {}) do
      if shape.p and not patterns[shape.p] then
        patterns[shape.p] = true
        local matcher, why = regex.compile(shape.p)
        if not matcher then table.insert(bad, ("%s: %s: %s"):format(service, shape.p, why)) end
      end
    end
  end
  t.equal(bad, {})
  t.ok(next(patterns), "patterns were looked at")
end)
