-- Every operation of the scenarios that moto implements, through our client, judged by
-- moto's own checks of signatures and IAM permissions.
local t = require "harness"
local aws = require "aws"
local fake = require "fake"
local moto = require "moto"

fake.own_settings()

local ROOT = { access_key_id = "root", secret_access_key = "root" } -- before the checks are on

local server, keys, reader

local function with(credentials, more)
  local options = { region = "us-east-1", endpoint_url = server.url, credentials = credentials }
  for k, v in pairs(more or {}) do options[k] = v end
  return options
end

local function user(iam, name, policy)
  iam:create_user { UserName = name }
  iam:put_user_policy { UserName = name, PolicyName = "p", PolicyDocument = policy }
  local key = iam:create_access_key({ UserName = name }).AccessKey
  return { access_key_id = key.AccessKeyId, secret_access_key = key.SecretAccessKey }
end

local ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
local READ = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
  .. '"Action":["rds:Describe*"],"Resource":"*"}]}'

local function start()
  if not moto.present() then t.skip "moto is not installed (scripts/setup --tests)" end
  server = moto.start()
  t.cleanup(server.stop)
  local iam = aws.iam(with(ROOT))
  keys, reader = user(iam, "operator", ALL), user(iam, "reader", READ)
  moto.check_auth(server)
end

local function client(service, more) return aws[service](with(keys, more)) end

local function test(name, fn)
  t.test("moto: " .. name, function()
    start()
    fn()
  end)
end

test("a wrong key and a forbidden action are refused", function()
  local wrong = { access_key_id = keys.access_key_id, secret_access_key = "wrong" }
  local e = t.raises("SignatureDoesNotMatch",
    function() aws.sts(with(wrong)):get_caller_identity {} end)
  t.equal(e.code, "SignatureDoesNotMatch")
  e = t.raises("InvalidClientTokenId", function()
    aws.sts(with { access_key_id = "AKIAUNKNOWN", secret_access_key = "x" }):get_caller_identity {}
  end)
  t.equal(e.status, 403)
  t.equal(#aws.rds(with(reader)):describe_db_instances({}).DBInstances, 0)
  e = t.raises("AccessDenied", function()
    aws.rds(with(reader)):delete_db_instance { DBInstanceIdentifier = "x",
      SkipFinalSnapshot = true }
  end)
  t.equal(e.status, 403)
  t.contains(e.message, "the identity in use lacks the permission")
end)

test("sts: who am I, and a role of another account", function()
  local sts = client "sts"
  t.equal(sts:get_caller_identity({}).Account, "123456789012")
  t.matches(sts:get_caller_identity({}).Arn, "user/operator$")
  local role = sts:assume_role { RoleArn = "arn:aws:iam::123456789012:role/dr",
    RoleSessionName = "drlua" }
  t.ok(role.Credentials.SessionToken)
  t.ok(role.Credentials.Expiration > 0)
end)

local function instance(rds, id)
  return rds:create_db_instance { DBInstanceIdentifier = id, DBInstanceClass = "db.t3.micro",
    Engine = "postgres", AllocatedStorage = 20, MasterUsername = "postgres",
    MasterUserPassword = "password-1", DBName = "app",
    BackupRetentionPeriod = 7, Tags = { { Key = "team", Value = "platform" } } }
end

test("rds: replica, promotion, snapshots, restore to a time, rename, deletion", function()
  local rds = client "rds"
  instance(rds, "app")
  local found = rds:wait("db_instance_available", { DBInstanceIdentifier = "app" })
  t.equal(found.DBInstances[1].AllocatedStorage, 20)
  t.equal(found.DBInstances[1].TagList[1].Value, "platform")
  rds:create_db_instance_read_replica { DBInstanceIdentifier = "app-replica",
    SourceDBInstanceIdentifier = "app" }
  rds:promote_read_replica { DBInstanceIdentifier = "app-replica", BackupRetentionPeriod = 7 }
  rds:create_db_snapshot { DBInstanceIdentifier = "app", DBSnapshotIdentifier = "before" }
  rds:wait("db_snapshot_available", { DBSnapshotIdentifier = "before" })
  local manual = rds:all("describe_db_snapshots",
    { DBInstanceIdentifier = "app", SnapshotType = "manual" })
  t.equal(manual[1].DBSnapshotIdentifier, "before")
  rds:restore_db_instance_from_db_snapshot { DBInstanceIdentifier = "restored",
    DBSnapshotIdentifier = "before" }
  rds:restore_db_instance_to_point_in_time { SourceDBInstanceIdentifier = "app",
    TargetDBInstanceIdentifier = "in-time", UseLatestRestorableTime = true }
  rds:copy_db_snapshot { SourceDBSnapshotIdentifier = "before",
    TargetDBSnapshotIdentifier = "copied" }
  rds:modify_db_instance { DBInstanceIdentifier = "restored", NewDBInstanceIdentifier = "app-new",
    ApplyImmediately = true }
  rds:wait("db_instance_renamed", { DBInstanceIdentifier = "app-new" })
  rds:reboot_db_instance { DBInstanceIdentifier = "app-new" }
  rds:create_db_parameter_group { DBParameterGroupName = "pg",
    DBParameterGroupFamily = "postgres15", Description = "x" }
  rds:delete_db_instance { DBInstanceIdentifier = "in-time", SkipFinalSnapshot = true }
  local e = t.raises("DBInstanceNotFound",
    function() rds:describe_db_instances { DBInstanceIdentifier = "none" } end)
  t.contains(e.message, "rds.DescribeDBInstances of none in us-east-1 failed")
  t.raises("DBInstanceAlreadyExists", function() instance(rds, "app") end)
  local ids = {}
  for each in rds:each("describe_db_instances", {}, "DBInstances") do
    ids[each.DBInstanceIdentifier] = true
  end
  t.ok(ids.app and ids["app-new"] and ids["app-replica"])
end)

test("rds: Aurora clusters", function()
  local rds = client "rds"
  rds:create_db_cluster { DBClusterIdentifier = "aurora", Engine = "aurora-postgresql",
    MasterUsername = "postgres", MasterUserPassword = "password-1" }
  rds:wait("db_cluster_available", { DBClusterIdentifier = "aurora" })
  for i = 1, 2 do
    rds:create_db_instance { DBInstanceIdentifier = "aurora-" .. i,
      DBInstanceClass = "db.r6g.large", Engine = "aurora-postgresql",
      DBClusterIdentifier = "aurora" }
  end
  rds:create_db_cluster_snapshot { DBClusterIdentifier = "aurora",
    DBClusterSnapshotIdentifier = "c-snap" }
  rds:restore_db_cluster_from_snapshot { DBClusterIdentifier = "aurora-restored",
    SnapshotIdentifier = "c-snap", Engine = "aurora-postgresql" }
  rds:failover_db_cluster { DBClusterIdentifier = "aurora" }
  t.equal(#rds:all("describe_db_clusters", {}), 2)
end)

test("rds: a copy between regions carries a presigned URL", function()
  instance(client "rds", "app")
  client("rds"):create_db_snapshot { DBInstanceIdentifier = "app", DBSnapshotIdentifier = "s" }
  local copied = client("rds", { region = "us-west-2" })
    :copy_db_snapshot { SourceRegion = "us-east-1",
    SourceDBSnapshotIdentifier = "arn:aws:rds:us-east-1:123456789012:snapshot:s",
    TargetDBSnapshotIdentifier = "s2" }
  t.equal(copied.DBSnapshot.DBSnapshotIdentifier, "s2")
end)

test("route 53: zones, records, changes, health checks", function()
  local route53 = client "route53"
  local zone = route53:create_hosted_zone({ Name = "example.com.",
    CallerReference = "1" }).HostedZone
  t.matches(zone.Id, "^/hostedzone/")
  local changes = {}
  for i = 1, 150 do
    changes[i] = { Action = "CREATE",
      ResourceRecordSet = { Name = ("host%03d.example.com."):format(i), Type = "A",
      TTL = 60, ResourceRecords = { { Value = "10.0.0." .. i } } } }
  end
  local change = route53:change_resource_record_sets { HostedZoneId = zone.Id,
    ChangeBatch = { Changes = changes } }
  route53:wait("resource_record_sets_changed", { Id = change.ChangeInfo.Id })
  local count = 0
  for record in route53:each("list_resource_record_sets",
    { HostedZoneId = zone.Id, MaxItems = "40" }) do
    count = count + (record.Type == "A" and 1 or 0)
  end
  t.equal(count, 150)
  local e = t.raises("InvalidChangeBatch", function()
    route53:change_resource_record_sets { HostedZoneId = zone.Id,
      ChangeBatch = { Changes = { changes[1] } } }
  end)
  t.equal(e.status, 400)
  local check = route53:create_health_check({ CallerReference = "2",
    HealthCheckConfig = { Type = "HTTPS", Port = 443,
    FullyQualifiedDomainName = "app.example.com", ResourcePath = "/health" } }).HealthCheck
  route53:update_health_check { HealthCheckId = check.Id, Inverted = true }
  t.equal(route53:get_health_check(
    { HealthCheckId = check.Id }).HealthCheck.HealthCheckConfig.Inverted, true)
  t.equal(#route53:all("list_hosted_zones"), 1)
end)

test("ecs: services to nothing and back", function()
  local ecs = client "ecs"
  ecs:create_cluster { clusterName = "app" }
  ecs:register_task_definition { family = "web",
    containerDefinitions = { { name = "web", image = "web:1", memory = 128,
    environment = { { name = "DB_HOST", value = "old" } } } } }
  ecs:create_service { cluster = "app", serviceName = "web", taskDefinition = "web",
    desiredCount = 3 }
  ecs:update_service { cluster = "app", service = "web", desiredCount = 0 }
  local service = ecs:describe_services({ cluster = "app", services = { "web" } }).services[1]
  t.equal(service.desiredCount, 0)
  t.equal(#ecs:all("list_services", { cluster = "app" }, "serviceArns"), 1)
  local definition = ecs:describe_task_definition({ taskDefinition = "web" }).taskDefinition
  t.equal(definition.containerDefinitions[1].environment[1].value, "old")
end)

test("dynamodb: tables, items, restore to a time, settings carried over", function()
  local dynamodb = client "dynamodb"
  local function create(name)
    dynamodb:create_table { TableName = name, BillingMode = "PAY_PER_REQUEST",
      AttributeDefinitions = { { AttributeName = "id", AttributeType = "S" } },
      KeySchema = { { AttributeName = "id", KeyType = "HASH" } } }
    dynamodb:wait("table_exists", { TableName = name })
  end
  create "orders"
  for i = 1, 30 do
    dynamodb:put_item { TableName = "orders",
      Item = { id = { S = "o" .. i }, total = { N = tostring(i) },
      data = { B = "\0\1\2" }, tags = { L = { { S = "a" }, { NULL = true } } } } }
  end
  local item = dynamodb:get_item({ TableName = "orders", Key = { id = { S = "o7" } } }).Item
  t.equal(item.total.N, "7")
  t.equal(item.data.B, "\0\1\2")
  t.equal(#dynamodb:all("scan", { TableName = "orders", Limit = 7 }, "Items"), 30)
  t.raises("ConditionalCheckFailedException", function()
    dynamodb:put_item { TableName = "orders", Item = { id = { S = "o1" } },
      ConditionExpression = "attribute_not_exists(id)" }
  end)
  dynamodb:update_continuous_backups { TableName = "orders",
    PointInTimeRecoverySpecification = { PointInTimeRecoveryEnabled = true } }
  local status = dynamodb:describe_continuous_backups { TableName = "orders" }
  local recovery = status.ContinuousBackupsDescription.PointInTimeRecoveryDescription
  t.equal(recovery.PointInTimeRecoveryStatus, "ENABLED")
  dynamodb:restore_table_to_point_in_time { SourceTableName = "orders",
    TargetTableName = "orders-2", UseLatestRestorableTime = true }
  local backup = dynamodb:create_backup { TableName = "orders", BackupName = "before" }
  dynamodb:restore_table_from_backup { TargetTableName = "orders-3",
    BackupArn = backup.BackupDetails.BackupArn }
  dynamodb:update_time_to_live { TableName = "orders-2",
    TimeToLiveSpecification = { Enabled = true, AttributeName = "ttl" } }
  t.equal(#dynamodb:all("list_tables", {}, "TableNames"), 3)
end)

test("s3: objects, multipart, conditions, listing", function()
  local s3 = client "s3"
  s3:create_bucket { Bucket = "dumps" }
  for i = 1, 25 do
    s3:put_object { Bucket = "dumps", Key = ("daily/%02d.gz"):format(i), Body = ("x"):rep(i) }
  end
  local keys_seen = {}
  for object in s3:each("list_objects_v2", { Bucket = "dumps", Prefix = "daily", MaxKeys = 10 }) do
    table.insert(keys_seen, object.Key)
  end
  t.equal(#keys_seen, 25)
  t.equal(keys_seen[7], "daily/07.gz")
  local answer = s3:get_object { Bucket = "dumps", Key = "daily/07.gz" }
  t.equal(answer.Body, "xxxxxxx")
  t.equal(answer.ContentLength, 7)
  local e = t.raises("NoSuchKey", function() s3:get_object { Bucket = "dumps", Key = "none" } end)
  t.contains(e.message, "dumps/none")
  t.equal(s3:head("dumps", "none"), nil)
  t.raises("PreconditionFailed", function()
    s3:put_object { Bucket = "dumps", Key = "daily/07.gz", Body = "y", IfNoneMatch = "*" }
  end)
  s3:copy_object { Bucket = "dumps", Key = "copy",
    CopySource = { Bucket = "dumps", Key = "daily/07.gz" } }
  t.equal(s3:get_object({ Bucket = "dumps", Key = "copy" }).Body, "xxxxxxx")
  s3:delete_objects { Bucket = "dumps", Delete = { Objects = { { Key = "copy" } } } }
  t.raises("NoSuchBucket", function() s3:list_objects_v2 { Bucket = "no-such-bucket" } end)
end)

test("cloudwatch, logs, sns", function()
  local cloudwatch, logs, sns = client "cloudwatch", client "logs", client "sns"
  cloudwatch:put_metric_data { Namespace = "app",
    MetricData = { { MetricName = "errors", Value = 3, Timestamp = os.time() } } }
  cloudwatch:put_metric_alarm { AlarmName = "errors", MetricName = "errors", Namespace = "app",
    Statistic = "Sum", Period = 60, EvaluationPeriods = 1, Threshold = 1,
    ComparisonOperator = "GreaterThanThreshold" }
  t.equal(cloudwatch:all("describe_alarms", {}, "MetricAlarms")[1].AlarmName, "errors")
  local figures = cloudwatch:get_metric_statistics { Namespace = "app", MetricName = "errors",
    Period = 60, StartTime = os.time() - 600, EndTime = os.time() + 60, Statistics = { "Sum" } }
  t.equal(figures.Datapoints[1].Sum, 3.0)
  logs:create_log_group { logGroupName = "/app" }
  logs:create_log_stream { logGroupName = "/app", logStreamName = "s" }
  logs:put_log_events { logGroupName = "/app", logStreamName = "s", logEvents = {
    { timestamp = os.time() * 1000, message = "ERROR one" },
    { timestamp = os.time() * 1000, message = "fine" } } }
  t.equal(#logs:all("filter_log_events", { logGroupName = "/app", filterPattern = "ERROR" },
    "events"), 1)
  local topic = sns:create_topic({ Name = "alerts" }).TopicArn
  t.ok(sns:publish({ TopicArn = topic, Subject = "Outage",
    Message = "the database is down" }).MessageId)
end)

test("iam: keys deactivated, policies attached", function()
  local iam = client "iam"
  iam:create_user { UserName = "leaked" }
  local key = iam:create_access_key({ UserName = "leaked" }).AccessKey
  iam:update_access_key { UserName = "leaked", AccessKeyId = key.AccessKeyId, Status = "Inactive" }
  t.equal(iam:all("list_access_keys", { UserName = "leaked" })[1].Status, "Inactive")
  local policy = iam:create_policy({ PolicyName = "deny", PolicyDocument = ALL }).Policy
  iam:attach_user_policy { UserName = "leaked", PolicyArn = policy.Arn }
  t.equal(#iam:all("list_attached_user_policies", { UserName = "leaked" }), 1)
  local read = iam:get_policy_version { PolicyArn = policy.Arn, VersionId = "v1" }
  t.equal(read.PolicyVersion.Document.Statement[1].Effect, "Allow")
end)

test("secretsmanager, kms, ssm", function()
  local secrets, kms, ssm = client "secretsmanager", client "kms", client "ssm"
  secrets:create_secret { Name = "db", SecretString = '{"password":"one"}' }
  secrets:put_secret_value { SecretId = "db", SecretString = '{"password":"two"}' }
  t.contains(secrets:get_secret_value({ SecretId = "db" }).SecretString, "two")
  local key = kms:create_key({}).KeyMetadata.KeyId
  local sealed = kms:encrypt({ KeyId = key, Plaintext = "\0secret\255" }).CiphertextBlob
  t.equal(kms:decrypt({ CiphertextBlob = sealed }).Plaintext, "\0secret\255")
  kms:disable_key { KeyId = key }
  t.equal(kms:describe_key({ KeyId = key }).KeyMetadata.KeyState, "Disabled")
  ssm:put_parameter { Name = "/app/db", Value = "host", Type = "String" }
  t.equal(ssm:all("get_parameters_by_path", { Path = "/app" }, "Parameters")[1].Value, "host")
end)

test("ec2, autoscaling, load balancers", function()
  local ec2, scaling, elb = client "ec2", client "autoscaling", client "elbv2"
  local image = ec2:all("describe_images", {}, "Images")[1].ImageId
  local started = ec2:run_instances { ImageId = image, MinCount = 2, MaxCount = 2,
    InstanceType = "t3.micro", UserData = "#!/bin/sh\ntrue",
    TagSpecifications = { { ResourceType = "instance",
      Tags = { { Key = "app", Value = "web" } } } } }
  local ids = { started.Instances[1].InstanceId, started.Instances[2].InstanceId }
  ec2:wait("instance_running", { InstanceIds = ids })
  t.equal(#ec2:all("describe_instances", { Filters = { { Name = "tag:app", Values = { "web" } } } },
    "Reservations[].Instances[]"), 2)
  scaling:create_launch_configuration { LaunchConfigurationName = "lc", ImageId = image,
    InstanceType = "t3.micro" }
  scaling:create_auto_scaling_group { AutoScalingGroupName = "web", LaunchConfigurationName = "lc",
    MinSize = 1, MaxSize = 4, DesiredCapacity = 1, AvailabilityZones = { "us-east-1a" } }
  scaling:set_desired_capacity { AutoScalingGroupName = "web", DesiredCapacity = 3 }
  scaling:suspend_processes { AutoScalingGroupName = "web", ScalingProcesses = { "AZRebalance" } }
  scaling:wait("group_in_service", { AutoScalingGroupNames = { "web" } }, { timeout = "30s" })
  local subnets = ec2:all("describe_subnets", {}, "Subnets[].SubnetId")
  local balancer = elb:create_load_balancer({ Name = "lb",
    Subnets = { subnets[1], subnets[2] } }).LoadBalancers[1]
  local vpc = ec2:all("describe_vpcs", {}, "Vpcs")[1].VpcId
  local group = elb:create_target_group({ Name = "tg", Protocol = "HTTP", Port = 80,
    VpcId = vpc }).TargetGroups[1]
  elb:register_targets { TargetGroupArn = group.TargetGroupArn, Targets = { { Id = ids[1] } } }
  local health = elb:describe_target_health { TargetGroupArn = group.TargetGroupArn }
  t.ok(health.TargetHealthDescriptions[1].TargetHealth.State)
  elb:wait("load_balancer_available", { LoadBalancerArns = { balancer.LoadBalancerArn } })
  local volume = ec2:create_volume { AvailabilityZone = "us-east-1a", Size = 8 }
  ec2:wait("volume_available", { VolumeIds = { volume.VolumeId } })
  local snapshot = ec2:create_snapshot { VolumeId = volume.VolumeId }
  local copied = client("ec2", { region = "us-west-2" }):copy_snapshot { SourceRegion = "us-east-1",
    SourceSnapshotId = snapshot.SnapshotId }
  t.matches(copied.SnapshotId, "^snap%-")
end)

test("waf: the block list by its lock token", function()
  local waf = client "wafv2"
  local set = waf:create_ip_set({ Name = "blocked", Scope = "REGIONAL", IPAddressVersion = "IPV4",
    Addresses = { "192.0.2.1/32" } }).Summary
  local read = waf:get_ip_set { Name = "blocked", Scope = "REGIONAL", Id = set.Id }
  waf:update_ip_set { Name = "blocked", Scope = "REGIONAL", Id = set.Id, LockToken = read.LockToken,
    Addresses = { "192.0.2.1/32", "198.51.100.0/24" } }
  t.equal(#waf:get_ip_set({ Name = "blocked", Scope = "REGIONAL", Id = set.Id }).IPSet.Addresses, 2)
  local e = t.raises("WAFOptimisticLockException", function()
    waf:update_ip_set { Name = "blocked", Scope = "REGIONAL", Id = set.Id,
      LockToken = read.LockToken, Addresses = {} }
  end)
  t.contains(e.message, "read it again and merge")
end)

test("lambda, eks, application autoscaling, cloudtrail, backup, events", function()
  local lambda, iam, eks = client "lambda", client "iam", client "eks"
  local role = iam:create_role({ RoleName = "fn", AssumeRolePolicyDocument = ALL }).Role.Arn
  local zip = "PK\5\6" .. ("\0"):rep(18)
  lambda:create_function { FunctionName = "breaker", Runtime = "python3.12", Role = role,
    Handler = "x.y", Code = { ZipFile = zip },
    Environment = { Variables = { OPEN = "0", KEEP = "1" } } }
  local variables = lambda:get_function_configuration(
    { FunctionName = "breaker" }).Environment.Variables
  variables.OPEN = "1"
  lambda:update_function_configuration { FunctionName = "breaker",
    Environment = { Variables = variables } }
  lambda:wait("function_updated_v2", { FunctionName = "breaker" })
  t.equal(lambda:get_function_configuration({ FunctionName = "breaker" }).Environment.Variables,
    { OPEN = "1", KEEP = "1" })
  eks:create_cluster { name = "platform", roleArn = role,
    resourcesVpcConfig = { subnetIds = { "subnet-1" } } }
  t.equal(eks:wait("cluster_active", { name = "platform" }).cluster.name, "platform")
  local config = eks:kubeconfig "platform"
  t.contains(config, "k8s-aws-v1.")
  local scaling = client "application-autoscaling"
  client("dynamodb"):create_table { TableName = "t", BillingMode = "PROVISIONED",
    ProvisionedThroughput = { ReadCapacityUnits = 1, WriteCapacityUnits = 1 },
    AttributeDefinitions = { { AttributeName = "id", AttributeType = "S" } },
    KeySchema = { { AttributeName = "id", KeyType = "HASH" } } }
  scaling:register_scalable_target { ServiceNamespace = "dynamodb", ResourceId = "table/t",
    MinCapacity = 1, MaxCapacity = 10, ScalableDimension = "dynamodb:table:ReadCapacityUnits" }
  t.equal(#scaling:all("describe_scalable_targets", { ServiceNamespace = "dynamodb" }), 1)
  local backup = client "backup"
  backup:create_backup_vault { BackupVaultName = "dr" }
  t.equal(backup:all("list_backup_vaults", {}, "BackupVaultList")[1].BackupVaultName, "dr")
  local events = client "events"
  events:put_rule { Name = "nightly", ScheduleExpression = "rate(1 day)" }
  events:disable_rule { Name = "nightly" }
  t.equal(events:describe_rule({ Name = "nightly" }).State, "DISABLED")
end)

test("sqs, stepfunctions, cloudformation, acm, ses", function()
  local sqs = client "sqs"
  local url = sqs:create_queue({ QueueName = "jobs" }).QueueUrl
  sqs:send_message { QueueUrl = url, MessageBody = "one" }
  t.equal(sqs:receive_message({ QueueUrl = url }).Messages[1].Body, "one")
  local cloudformation = client "cloudformation"
  cloudformation:create_stack { StackName = "s", TemplateBody =
    '{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":"from-stack"}}}}' }
  cloudformation:wait("stack_create_complete", { StackName = "s" })
  t.ok(cloudformation:get_template({ StackName = "s" }).TemplateBody.Resources.Q)
  t.equal(#sqs:all("list_queues", {}, "QueueUrls"), 2)
  t.ok(client("acm"):request_certificate({ DomainName = "example.com" }).CertificateArn)
end)
