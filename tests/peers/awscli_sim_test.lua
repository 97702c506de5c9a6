-- The AWS CLI and boto3, which we did not write, against the simulator. For RDS in
-- us-east-1 the CLI puts rds.amazonaws.com in the place of AWS_ENDPOINT_URL, so it is
-- given --endpoint-url.
local errors = require "errors"
local fs = require "native.fs"
local json = require "native.json"
local process = require "native.process"
local sim = require "sim"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

local PASSWORD = "a-good-password"
local WEST, EAST = "us-west-2", "us-east-1"

local function find(name)
  local venv = (sys.getenv "DRLUA_VENV" or "build/venv") .. "/bin/"
  if fs.stat(venv .. name) then return venv .. name end
  for dir in (sys.getenv "PATH" or ""):gmatch("[^:]+") do
    if name == "aws" and fs.stat(dir .. "/aws") then return dir .. "/aws" end
  end
  t.skip(name .. " is not installed (scripts/setup --tests)")
end

local function drain(proc, stream)
  local text = ""
  while true do
    local data = task.await(proc:read(stream, 65536))
    if not data then return text end
    text = text .. data
  end
end

local function run(s, argv, env)
  local all = { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test", AWS_PAGER = "",
    AWS_EC2_METADATA_DISABLED = "true", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null", AWS_MAX_ATTEMPTS = "1" }
  for k, v in pairs(env or {}) do all[k] = v end
  local proc <close> = errors.check("start " .. argv[1],
    process.start { argv = argv, env = all, stdin = "null",
    stdout = "pipe", stderr = "pipe" })
  local texts = task.all { function() return drain(proc, "stdout") end,
    function() return drain(proc, "stderr") end }
  return task.await(proc:wait()).code, texts[1], texts[2]
end

-- One call of the CLI: its decoded output; a failure raises.
local function aws(s, region, ...)
  local code, out, err = run(s, { find "aws", "--endpoint-url", s.url, "--output", "json",
    "--region", region, ... })
  if code ~= 0 then
    error(errors.new { kind = "aws", message = table.concat({ ... }, " ") .. ": " .. err }, 0)
  end
  return out ~= "" and json.decode(out) or nil
end

local function started()
  find "aws"
  local s = sim.start { speed = 2000, world = {
    instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop",
      sql = "CREATE TABLE orders (i int); INSERT INTO orders VALUES (1)" } },
    replicas = { { id = "shop-dr", region = WEST, source = "shop" } },
    zones = { { id = "Z1", name = "shop.example", records = {
      { Name = "db.shop.example", Type = "CNAME", values = { "endpoint:shop" } } } } } } }
  t.cleanup(function() s:stop() end)
  return s
end

t.test("aws: a wrong secret is refused with SignatureDoesNotMatch", function()
  local s = started()
  local aws_program = find "aws"
  for _, words in ipairs { { "sts", "get-caller-identity" }, { "rds", "describe-db-instances" },
    { "ecs", "list-clusters" } } do
    local code, _, err = run(s, { aws_program, "--endpoint-url", s.url, "--region", EAST, words[1],
      words[2] }, { AWS_SECRET_ACCESS_KEY = "no" })
    t.ok(code ~= 0)
    t.contains(err, "SignatureDoesNotMatch")
  end
end)

t.test("aws: describe, snapshot, wait, restore, wait", function()
  local s = started()
  t.equal(aws(s, EAST, "sts", "get-caller-identity").Account, "123456789012")
  t.equal(#aws(s, EAST, "rds", "describe-db-instances").DBInstances, 1)
  aws(s, EAST, "rds", "create-db-snapshot", "--db-instance-identifier", "shop",
    "--db-snapshot-identifier", "before")
  aws(s, EAST, "rds", "wait", "db-snapshot-available", "--db-snapshot-identifier", "before")
  s:sql("shop", "INSERT INTO orders VALUES (2)")
  aws(s, EAST, "rds", "restore-db-instance-from-db-snapshot", "--db-instance-identifier",
    "restored", "--db-snapshot-identifier", "before")
  aws(s, EAST, "rds", "wait", "db-instance-available", "--db-instance-identifier", "restored")
  t.equal(s:sql("restored", "SELECT count(*) FROM orders").rows[1][1], 1)
end)

t.test("aws: promote, move DNS and wait for INSYNC", function()
  local s = started()
  aws(s, WEST, "rds", "promote-read-replica", "--db-instance-identifier", "shop-dr",
    "--backup-retention-period", "7")
  aws(s, WEST, "rds", "wait", "db-instance-available", "--db-instance-identifier", "shop-dr")
  local shape = aws(s, WEST, "rds", "describe-db-instances", "--db-instance-identifier",
    "shop-dr").DBInstances[1]
  t.equal(shape.ReadReplicaSourceDBInstanceIdentifier, nil)
  t.equal(shape.BackupRetentionPeriod, 7)
  s:sql("shop-dr", "INSERT INTO orders VALUES (2)")
  local batch = json.encode { Changes = { { Action = "UPSERT",
    ResourceRecordSet = { Name = "db.shop.example",
    Type = "CNAME", TTL = 60, ResourceRecords = { { Value = shape.Endpoint.Address } } } } } }
  local change = aws(s, EAST, "route53", "change-resource-record-sets", "--hosted-zone-id", "Z1",
    "--change-batch", batch).ChangeInfo
  aws(s, EAST, "route53", "wait", "resource-record-sets-changed", "--id", change.Id)
  local records = aws(s, EAST, "route53", "list-resource-record-sets", "--hosted-zone-id",
    "Z1").ResourceRecordSets
  t.equal(records[3].ResourceRecords[1].Value, shape.Endpoint.Address)
end)

-- boto3 parses every member strictly by type, and its waiters read the states.
local SCRIPT = [=[
import boto3, datetime, sys
east = lambda name: boto3.client(name, region_name="us-east-1")
west = lambda name: boto3.client(name, region_name="us-west-2")
quick = {"Delay": 1, "MaxAttempts": 60}
rds, backup, ecs, cloudwatch = east("rds"), east("backup"), east("ecs"), east("cloudwatch")

shop = rds.describe_db_instances(DBInstanceIdentifier="shop")["DBInstances"][0]
assert shop["InstanceCreateTime"].tzinfo is not None
assert isinstance(shop["LatestRestorableTime"], datetime.datetime)
pages = rds.get_paginator("describe_db_instances").paginate()
assert [i["DBInstanceIdentifier"] for p in pages for i in p["DBInstances"]] == ["shop"]
try:
    rds.describe_db_instances(DBInstanceIdentifier="none")
    sys.exit("no error")
except rds.exceptions.DBInstanceNotFoundFault:
    pass

rds.modify_db_instance(DBInstanceIdentifier="shop", NewDBInstanceIdentifier="shop-old", ApplyImmediately=True)
rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier="shop", WaiterConfig=quick)
import time
for _ in range(60):
    try:
        rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier="shop-old", WaiterConfig=quick)
        break
    except Exception:
        time.sleep(0.2)

backup.create_backup_vault(BackupVaultName="nightly")
arn = rds.describe_db_instances(DBInstanceIdentifier="shop-old")["DBInstances"][0]["DBInstanceArn"]
job = backup.start_backup_job(BackupVaultName="nightly", ResourceArn=arn,
    IamRoleArn="arn:aws:iam::123456789012:role/backup")
for _ in range(200):
    state = backup.describe_backup_job(BackupJobId=job["BackupJobId"])["State"]
    if state == "COMPLETED": break
    time.sleep(0.1)
points = backup.list_recovery_points_by_backup_vault(BackupVaultName="nightly")["RecoveryPoints"]
assert points[0]["Status"] == "COMPLETED", points

ecs.create_cluster(clusterName="c")
ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "b"}])
ecs.create_service(cluster="c", serviceName="web", taskDefinition="f", desiredCount=2)
ecs.get_waiter("services_stable").wait(cluster="c", services=["web"], WaiterConfig=quick)

cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Errors", "Value": 4.0}])
now = datetime.datetime.now(datetime.timezone.utc)
minute = datetime.timedelta(minutes=1)
data = cloudwatch.get_metric_data(StartTime=now - 5 * minute, EndTime=now + minute, MetricDataQueries=[{"Id": "e",
    "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": "Errors"}, "Period": 60, "Stat": "Sum"}}])
assert data["MetricDataResults"][0]["Values"] == [4.0], data

role = east("sts").assume_role(RoleArn="arn:aws:iam::111122223333:role/ops", RoleSessionName="night")["Credentials"]
me = boto3.client("sts", region_name="eu-west-1", aws_access_key_id=role["AccessKeyId"],
    aws_secret_access_key=role["SecretAccessKey"], aws_session_token=role["SessionToken"]).get_caller_identity()
assert me["Account"] == "111122223333", me
url = rds.generate_presigned_url("describe_db_instances", HttpMethod="GET")
import urllib.request
assert b"shop-old" in urllib.request.urlopen(url).read()
print("done")
]=]

t.test("boto3: errors, waiters, pages, jobs, metrics, assumed roles, presigned URLs", function()
  local python = (sys.getenv "DRLUA_VENV" or "build/venv") .. "/bin/python3"
  if not fs.stat(python) then python = "python3" end
  if run({ url = "" }, { python, "-c", "import boto3" }) ~= 0 then
    t.skip "boto3 is not installed (scripts/setup --tests)"
  end
  local s = started()
  local code, out, err = run(s, { python, "-c", SCRIPT })
  t.equal(code, 0, err)
  t.contains(out, "done")
end)
