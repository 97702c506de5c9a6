-- Sentences of failures, and the resource that they name.
local t = require "harness"
local failure = require "aws.failure"

local ROLE = "arn:aws:iam::123456789012:role/backup"
local DATABASE = "arn:aws:rds:us-east-1:123456789012:db:shop"
local KEY = "arn:aws:kms:us-east-1:123456789012:key/k"
local TOPIC = "arn:aws:sns:us-east-1:123456789012:oncall"

t.test("the resource is what a call is about, not the role, key or topic that it uses", function()
  for want, input in pairs {
    [DATABASE] = { BackupVaultName = "nightly", ResourceArn = DATABASE, IamRoleArn = ROLE },
    ["arn:point"] = { IamRoleArn = ROLE, RecoveryPointArn = "arn:point" },
    ["app-dr"] = { DBInstanceIdentifier = "app-dr", MonitoringRoleArn = ROLE, KmsKeyId = KEY },
    ["stack"] = { StackName = "stack", RoleARN = ROLE },
    ["trail"] = { Name = "trail", KmsKeyId = KEY, SnsTopicARN = TOPIC },
    ["api"] = { cluster = "production", service = "api" },
    [TOPIC] = { TopicArn = TOPIC, Message = "x" },
    [KEY] = { KeyId = KEY },
    ["arn:assumed"] = { RoleArn = "arn:assumed" },
    ["dumps/monday"] = { Bucket = "dumps", Key = "monday" },
  } do t.equal(failure.resource(input), want) end
  t.equal(failure.resource { Filters = {} }, nil)
end)
