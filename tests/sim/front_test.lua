local client = require "client"
local http = require "native.http"
local json = require "native.json"
local sigv4 = require "native.sigv4"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local function started(options)
  local s = sim.start(options)
  t.cleanup(function() s:stop() end)
  return s
end

t.test("test/test is accepted in account 123456789012", function()
  local s = started()
  local me = client.ok(s, "sts", "GetCallerIdentity")
  t.equal(me.Account, "123456789012")
  t.equal(me.Arn, "arn:aws:iam::123456789012:user/test")
end)

t.test("another secret is SignatureDoesNotMatch, in every protocol", function()
  local s = started()
  for _, call in ipairs { { "sts", "GetCallerIdentity" }, { "rds", "DescribeDBInstances" },
    { "route53", "ListHostedZones" }, { "ecs", "ListClusters" }, { "backup", "ListBackupVaults" },
    { "cloudwatch", "DescribeAlarms" } } do
    local e = client.fails(s, "SignatureDoesNotMatch", call[1], call[2], {}, { secret = "wrong" })
    t.equal(e.status, 403)
  end
end)

t.test("an unknown key is InvalidClientTokenId; no signature at all "
  .. "MissingAuthenticationToken", function()
  local s = started()
  client.fails(s, "InvalidClientTokenId", "sts", "GetCallerIdentity", {}, { key = "nobody" })
  local answer = task.await(http.request { method = "POST", url = s.url .. "/",
    body = "Action=GetCallerIdentity&Version=2011-06-15" })
  t.equal(answer.status, 403)
  t.contains(answer.body, "MissingAuthenticationToken")
end)

t.test("a world's keys replace test/test, each in its account", function()
  local s = started {
    world = { keys = { { access_key_id = "ops", secret_access_key = "hush", account =
    "111122223333" } } } }
  t.equal(client.ok(s, "sts", "GetCallerIdentity", {}, { key = "ops", secret = "hush" }).Account,
    "111122223333")
  client.fails(s, "InvalidClientTokenId", "sts", "GetCallerIdentity")
end)

t.test("assumed credentials work, need their token, and expire", function()
  local s = started()
  local c = client.ok(s, "sts", "AssumeRole", { RoleArn = "arn:aws:iam::111122223333:role/recovery",
    RoleSessionName = "night" }).Credentials
  local options = { key = c.AccessKeyId, secret = c.SecretAccessKey, token = c.SessionToken }
  local me = client.ok(s, "sts", "GetCallerIdentity", {}, options)
  t.equal(me.Arn, "arn:aws:sts::111122223333:assumed-role/recovery/night")
  client.fails(s, "InvalidClientTokenId", "sts", "GetCallerIdentity", {}, { key = c.AccessKeyId,
    secret = c.SecretAccessKey })
  s.keys.keys[c.AccessKeyId].expires = 0
  client.fails(s, "ExpiredToken", "sts", "GetCallerIdentity", {}, options)
end)

t.test("the call log has every call in order, with what it was", function()
  local s = started()
  client.ok(s, "sts", "GetCallerIdentity", {}, { region = "eu-west-1" })
  client.fails(s, "DBInstanceNotFound", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "gone" })
  local calls = client.admin(s, "GET", "calls")
  t.equal(#calls, 2)
  t.matches(calls[1].time, "^%d%d%d%d%-%d%d%-%d%dT.*Z$")
  calls[1].time, calls[2].time = nil, nil
  t.equal(calls[1], { account = "123456789012", region = "eu-west-1", service = "sts",
    operation = "GetCallerIdentity", mutating = false, status = 200, error = json.null })
  t.equal(calls[2], { account = "123456789012", region = "us-east-1", service = "rds",
    operation = "DeleteDBInstance",
    mutating = true, status = 404, error = "DBInstanceNotFound" })
  t.equal(#client.admin(s, "GET", "calls?mutating=true"), 1)
  client.admin(s, "DELETE", "calls")
  t.equal(client.admin(s, "GET", "calls"), {})
end)

t.test("a service or an operation that is not there says so", function()
  local s = started()
  client.fails(s, "NotImplemented", "rds", "StartActivityStream",
    { ResourceArn = "x", Mode = "sync", KmsKeyId = "k" })
  client.fails(s, "NotImplemented", "sqs", "ListQueues")
end)

t.test("a request that fits no operation is refused in the service's own form", function()
  local s = started()
  for service, form in pairs { backup = '"message"', route53 = "<Error>" } do
    local signed = sigv4.sign { method = "GET", uri = "/no/such/thing",
      headers = { { "Host", "127.0.0.1:" .. s.port } }, region = "us-east-1", service = service,
      credentials = { access_key_id = "test", secret_access_key = "test" } }
    local answer = task.await(http.request { method = "GET", url = s.url .. "/no/such/thing",
      headers = signed.headers })
    t.equal(answer.status, 400)
    t.contains(answer.body, "InvalidAction")
    t.contains(answer.body, form)
  end
end)

t.test("an unknown path and bad JSON under /_sim/ are refused in words", function()
  local s = started()
  local body, status = client.admin(s, "GET", "nothing")
  t.equal(status, 404)
  t.contains(body.error, "/_sim/nothing")
  t.equal(client.raw(s, "POST", "world", client.headers(s), "{").status, 400)
  body, status = client.admin(s, "POST", "world", { instance = {} })
  t.equal(status, 400)
  t.contains(body.error, "no section \"instance\"")
end)

t.test("a port that is taken and a listen text that is none are refused", function()
  local s = started()
  local e = t.raises("listen on", sim.start, { listen = "127.0.0.1:" .. s.port })
  t.equal(e.kind, "busy")
  t.raises("HOST:PORT", sim.start, { listen = "nonsense" })
  t.raises("no option \"sped\"", sim.start, { sped = 1 })
end)

t.test("policies decide on actions, deny before allow", function()
  local s = started { world = { policies = { { Statement = {
    { Effect = "Allow", Action = { "rds:Describe*", "route53:*" } },
    { Effect = "Deny", Action = "route53:Delete*" } } } } } }
  client.ok(s, "rds", "DescribeDBInstances")
  client.ok(s, "route53", "ListHostedZones")
  local e = client.fails(s, "AccessDenied", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "x" })
  t.contains(e.message, "is not authorized to perform: rds:DeleteDBInstance")
  t.contains(client.fails(s, "AccessDenied", "route53", "DeleteHostedZone", { Id = "Z1" }).message,
    "explicit deny")
  client.ok(s, "sts", "GetCallerIdentity")
end)

t.test("policies decide on resources, and a role that is handed over must be passable", function()
  local role = "arn:aws:iam::123456789012:role/backup"
  local s = started { world = { vaults = { { name = "nightly" } }, policies = { { Statement = {
    { Effect = "Allow", Action = "backup:StartBackupJob", Resource = "*:backup-vault:nightly" },
    { Effect = "Allow", Action = "rds:DescribeDBInstances",
      Resource = "arn:aws:rds:*:*:db:shop" } } } } } }
  local job = { BackupVaultName = "nightly", IamRoleArn = role,
    ResourceArn = "arn:aws:rds:us-east-1:123456789012:db:shop" }
  t.contains(client.fails(s, "AccessDenied", "backup", "StartBackupJob", job).message,
    "iam:PassRole on resource: " .. role)
  table.insert(s.policies[1].Statement,
    { Effect = "Allow", Action = "iam:PassRole", Resource = role })
  client.fails(s, "ResourceNotFoundException", "backup", "StartBackupJob", job)
  job.BackupVaultName = "other"
  client.fails(s, "AccessDenied", "backup", "StartBackupJob", job)
  client.fails(s, "DBInstanceNotFound", "rds", "DescribeDBInstances",
    { DBInstanceIdentifier = "shop" })
  client.fails(s, "AccessDenied", "rds", "DescribeDBInstances", { DBInstanceIdentifier = "other" })
  client.fails(s, "AccessDenied", "rds", "DescribeDBInstances")
end)

t.test("sinks keep what is posted", function()
  local s = started()
  client.admin(s, "POST", "sink/slack", { text = "down" })
  local seen = client.admin(s, "GET", "sink/slack")
  t.equal(#seen, 1)
  t.contains(seen[1].body, "down")
end)
