-- The same questions by boto3 and by our client, to moto and to our simulator: the
-- answers must be the same.
local t = require "harness"
local aws = require "aws"
local errors = require "errors"
local fs = require "native.fs"
local json = require "native.json"
local fake = require "fake"
local moto = require "moto"
local process = require "native.process"
local sys = require "native.sys"
local task = require "task"

fake.own_settings()

local PYTHON = (sys.getenv "DRLUA_VENV" or "build/venv") .. "/bin/python"
local KEYS = { access_key_id = "test", secret_access_key = "test" }

local function boto3(url, calls)
  local env = { PATH = sys.getenv "PATH", HOME = "/nonexistent",
    AWS_ACCESS_KEY_ID = KEYS.access_key_id, AWS_SECRET_ACCESS_KEY = KEYS.secret_access_key,
    AWS_EC2_METADATA_DISABLED = "true" }
  local child <close> = errors.check("start python",
    process.start { argv = { PYTHON, "tests/peers/calls.py", url },
    env = env, stdin = "pipe", stdout = "pipe", stderr = "inherit" })
  task.await(child:write(json.encode(calls)))
  child:close_stdin()
  local parts = {}
  while true do
    local data = task.await(child:read("stdout", 65536))
    if not data then break end
    table.insert(parts, data)
  end
  t.equal(task.await(child:wait()).code, 0, "the Python script")
  return json.decode(table.concat(parts))
end

local function ours(url, calls)
  local answers = {}
  for i, call in ipairs(calls) do
    local service, region, operation, input = table.unpack(call)
    local client = aws[service] { region = region, endpoint_url = url, credentials = KEYS,
      max_attempts = 1 }
    local answer, e = client:try(operation, input)
    answers[i] = answer or { error = e.code }
  end
  return answers
end

-- Times of the moment of asking (LatestRestorableTime) differ by what lies between.
local clock_runs = 1 -- seconds of the server for one of ours

local function same_number(a, b)
  return math.abs(a - b) < (a > 1e9 and 120 * clock_runs or 1e-9)
end

-- boto3 gives an empty list where the answer has no element; we give nothing.
local function empty(value)
  return value == nil or value == json.null or type(value) == "table" and next(value) == nil
end

local function differ(a, b, path)
  if empty(a) and empty(b) then return nil end
  if type(a) ~= "table" or type(b) ~= "table" then
    if a == b or type(a) == "number" and type(b) == "number" and same_number(a, b) then
      return nil
    end
    return ("%s: %s by us, %s by boto3"):format(path, t.show(a), t.show(b))
  end
  for k, v in pairs(a) do
    local found = differ(v, b[k], path .. "." .. tostring(k))
    if found then return found end
  end
  for k, v in pairs(b) do
    if a[k] == nil and not empty(v) then
      return ("%s.%s: only by boto3"):format(path, tostring(k))
    end
  end
  return nil
end

local function compare(url, calls)
  local mine, theirs = ours(url, calls), boto3(url, calls)
  for i, call in ipairs(calls) do
    local found = differ(mine[i], theirs[i], call[1] .. "." .. call[3])
    if found then error(found, 0) end
  end
  return mine
end

local function present()
  if not fs.stat(PYTHON) then t.skip "boto3 is not installed (scripts/setup --tests)" end
end

local function prepare(url)
  local function client(service)
    return aws[service] { region = "us-east-1", endpoint_url = url, credentials = KEYS }
  end
  client("rds"):create_db_instance { DBInstanceIdentifier = "app", DBInstanceClass = "db.t3.micro",
    Engine = "postgres", AllocatedStorage = 20, MasterUsername = "postgres",
    MasterUserPassword = "password-1", MultiAZ = true,
    Tags = { { Key = "team", Value = "platform & co <x>" } } }
  client("rds"):create_db_snapshot { DBInstanceIdentifier = "app", DBSnapshotIdentifier = "before" }
  local zone = client("route53"):create_hosted_zone { Name = "example.com.", CallerReference = "1" }
  client("route53"):change_resource_record_sets { HostedZoneId = zone.HostedZone.Id,
    ChangeBatch = { Changes = { {
    Action = "CREATE", ResourceRecordSet = { Name = "app.example.com.", Type = "CNAME", TTL = 60,
      SetIdentifier = "a", Weight = 0, ResourceRecords = { { Value = "db.example.com" } } } } } } }
  client("dynamodb"):create_table { TableName = "orders", BillingMode = "PAY_PER_REQUEST",
    AttributeDefinitions = { { AttributeName = "id", AttributeType = "S" } },
    KeySchema = { { AttributeName = "id", KeyType = "HASH" } } }
  client("dynamodb"):put_item { TableName = "orders",
    Item = { id = { S = "ö" }, n = { N = "12345678901234567890" },
    map = { M = { list = { L = { { BOOL = true }, { NULL = true } } } } },
    set = { SS = { "a", "b" } } } }
  client("s3"):create_bucket { Bucket = "dumps" }
  client("s3"):put_object { Bucket = "dumps", Key = "daily one.gz", Body = "data",
    Metadata = { sha256 = "abc" }, ContentType = "application/gzip" }
  client("ecs"):create_cluster { clusterName = "app", tags = { { key = "a", value = "b" } } }
  client("ecs"):register_task_definition { family = "web",
    containerDefinitions = { { name = "web", image = "web:1",
    memory = 128, environment = { { name = "A", value = "" } },
    portMappings = { { containerPort = 80 } } } } }
  client("cloudwatch"):put_metric_alarm { AlarmName = "errors", MetricName = "e", Namespace = "n",
    Statistic = "Sum", Period = 60, EvaluationPeriods = 1, Threshold = 1.5,
    ComparisonOperator = "GreaterThanThreshold" }
  client("iam"):create_role { RoleName = "r", AssumeRolePolicyDocument =
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
      .. '"Principal":{"Service":"ec2.amazonaws.com"},'
    .. '"Action":"sts:AssumeRole"}]}' }
  client("autoscaling"):create_launch_configuration { LaunchConfigurationName = "lc",
    ImageId = "ami-12c6146b", InstanceType = "t3.micro" }
  client("autoscaling"):create_auto_scaling_group { AutoScalingGroupName = "web",
    LaunchConfigurationName = "lc", MinSize = 0, MaxSize = 2, AvailabilityZones = { "us-east-1a" } }
  client("logs"):create_log_group { logGroupName = "/app" }
  client("sns"):create_topic { Name = "alerts" }
  client("secretsmanager"):create_secret { Name = "db", SecretString = "{}" }
  return zone.HostedZone.Id:match("[^/]+$")
end

local E = "us-east-1"

t.test("moto's answers are read as boto3 reads them", function()
  if not moto.present() then t.skip "moto is not installed (scripts/setup --tests)" end
  present()
  local server = moto.start()
  t.cleanup(server.stop)
  local zone = prepare(server.url)
  local answers = compare(server.url, {
    { "rds", E, "describe_db_instances", {} },
    { "rds", E, "describe_db_snapshots", { DBInstanceIdentifier = "app" } },
    { "rds", E, "describe_db_instances", { DBInstanceIdentifier = "none" } },
    { "rds", E, "describe_orderable_db_instance_options", { Engine = "postgres" } },
    { "route53", E, "list_hosted_zones", {} }, { "route53", E, "list_resource_record_sets",
      { HostedZoneId = zone } },
    { "route53", E, "get_hosted_zone", { Id = zone } },
    { "route53", E, "get_hosted_zone", { Id = "ZNONE" } },
    { "dynamodb", E, "describe_table", { TableName = "orders" } },
    { "dynamodb", E, "scan", { TableName = "orders" } },
    { "dynamodb", E, "describe_table", { TableName = "none" } },
    { "s3", E, "list_buckets", {} }, { "s3", E, "list_objects_v2", { Bucket = "dumps" } },
    { "s3", E, "head_object", { Bucket = "dumps", Key = "daily one.gz" } },
    { "s3", E, "get_object", { Bucket = "dumps", Key = "daily one.gz" } },
    { "s3", E, "get_bucket_location", { Bucket = "dumps" } },
    { "s3", E, "get_object", { Bucket = "dumps", Key = "none" } },
    { "ecs", E, "describe_clusters", { clusters = { "app" }, include = { "TAGS" } } },
    { "ecs", E, "describe_task_definition", { taskDefinition = "web" } },
    { "cloudwatch", E, "describe_alarms", {} }, { "iam", E, "get_role", { RoleName = "r" } },
    { "iam", E, "list_roles", {} }, { "autoscaling", E, "describe_auto_scaling_groups", {} },
    { "ec2", E, "describe_vpcs", {} }, { "ec2", E, "describe_subnets", {} },
    { "ec2", E, "describe_regions", {} }, { "ec2", E, "describe_images", {} },
    { "ec2", E, "describe_security_groups", {} },
    { "ec2", E, "describe_instances", { InstanceIds = { "i-00000000000000000" } } },
    { "logs", E, "describe_log_groups", {} }, { "sns", E, "list_topics", {} },
    { "sns", E, "get_topic_attributes",
      { TopicArn = "arn:aws:sns:us-east-1:123456789012:alerts" } },
    { "secretsmanager", E, "describe_secret", { SecretId = "db" } },
    { "secretsmanager", E, "get_secret_value", { SecretId = "none" } },
    { "sts", E, "get_caller_identity", {} },
  })
  t.equal(answers[1].DBInstances[1].TagList[1].Value, "platform & co <x>")
  t.equal(answers[3].error, "DBInstanceNotFound")
end)

t.test("the simulator's answers are the same to boto3 and to us", function()
  present()
  local sim = require "sim"
  clock_runs = 1000
  local s = sim.start { speed = clock_runs, world = {
    instances = { { id = "shop", user = "shop", password = "a-good-password", db = "shop" } },
    zones = { { id = "Z1", name = "shop.example", records = {
      { Name = "db.shop.example", Type = "CNAME", values = { "endpoint:shop" } } } } },
    vaults = { { name = "nightly" } },
    alarms = { { AlarmName = "errors", MetricName = "e", Namespace = "n", Statistic = "Sum",
      Period = 60, EvaluationPeriods = 1, Threshold = 1.5,
      ComparisonOperator = "GreaterThanThreshold", state = "ALARM" } },
  } }
  t.cleanup(function() s:stop() end)
  local ecs = aws.ecs { region = E, endpoint_url = s.url, credentials = KEYS }
  ecs:create_cluster { clusterName = "app" }
  local rds = aws.rds { region = E, endpoint_url = s.url, credentials = KEYS }
  rds:create_db_snapshot { DBInstanceIdentifier = "shop", DBSnapshotIdentifier = "before" }
  rds:wait("db_snapshot_available", { DBSnapshotIdentifier = "before" })
  local answers = compare(s.url, {
    { "sts", E, "get_caller_identity", {} }, { "rds", E, "describe_db_instances", {} },
    { "rds", E, "describe_db_instances", { DBInstanceIdentifier = "none" } },
    { "rds", E, "describe_db_snapshots", { DBSnapshotIdentifier = "before" } },
    { "rds", "us-west-2", "describe_db_instances", {} },
    { "route53", E, "list_hosted_zones", {} }, { "route53", E, "list_resource_record_sets",
      { HostedZoneId = "Z1" } },
    { "route53", E, "get_hosted_zone", { Id = "ZNONE" } },
    { "ecs", E, "describe_clusters", { clusters = { "app" } } },
    { "ecs", E, "describe_services", { cluster = "app", services = { "none" } } },
    { "backup", E, "list_backup_vaults", {} },
    { "backup", E, "describe_backup_vault", { BackupVaultName = "none" } },
    { "cloudwatch", E, "describe_alarms", {} },
    { "rds", E, "delete_db_instance", { DBInstanceIdentifier = "none", SkipFinalSnapshot = true } },
  })
  t.equal(answers[2].DBInstances[1].DBInstanceIdentifier, "shop")
  t.equal(answers[3].error, "DBInstanceNotFound")
end)
