local client = require "client"
local http = require "native.http"
local model = require "native.model"
local refusals = require "sim.refusals"
local services = require "sim.services"
local sigv4 = require "native.sigv4"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local function started(options)
  local s = sim.start(options)
  t.cleanup(function() s:stop() end)
  return s
end

-- A call with an input that our own client would not let through: written into a request
-- of a complete one by hand where the protocol is JSON or query.
local function send(s, signing_name, headers, body, uri, method)
  table.insert(headers, { "Host", ("127.0.0.1:%d"):format(s.port) })
  local signed = sigv4.sign { method = method or "POST", uri = uri or "/", headers = headers,
    body = body,
    region = "us-east-1", service = signing_name,
    credentials = { access_key_id = "test", secret_access_key = "test" } }
  return assert(task.await(http.request { method = method or "POST", url = s.url .. (uri or "/"),
    headers = signed.headers, body = body, timeout = 20 }))
end

local function form(s, service, operation, more)
  local version = model.open(service):metadata().api_version
  return send(s, service, { { "Content-Type", "application/x-www-form-urlencoded" } },
    ("Action=%s&Version=%s%s"):format(operation, version, more or ""))
end

local function json(s, service, operation, body)
  local metadata = model.open(service):metadata()
  return send(s, metadata.signing_name or metadata.endpoint_prefix, {
    { "Content-Type", "application/x-amz-json-" .. (metadata.json_version or "1.1") },
    { "X-Amz-Target", ("%s.%s"):format(metadata.target_prefix, operation) } }, body or "{}")
end

local CONSTRAINT = "1 validation error detected: Value null at '%s' failed to satisfy constraint: "
  .. "Member must not be null"

t.test("each service names a missing member in its own words", function()
  for _, case in ipairs {
    { "rds", "delete_db_instance", {}, "MissingParameter",
      "The request must contain the parameter DBInstanceIdentifier." },
    { "cloudwatch", "get_metric_statistics", {}, "MissingParameter",
    "The parameter EndTime is required." },
    { "ecs", "register_task_definition", { containerDefinitions = { {} } },
    "InvalidParameterException", "family should not be null or empty." },
    { "application-autoscaling", "put_scaling_policy", { PolicyName = "a" }, "ValidationException",
      CONSTRAINT:format "resourceId" },
    { "route53", "change_resource_record_sets", { HostedZoneId = "Z1", ChangeBatch = { Changes = {
      { Action = "CREATE" } } } }, "InvalidInput",
        "The input is not complete: ResourceRecordSet is missing." },
    { "sts", "assume_role", {}, "ValidationError",
      CONSTRAINT:format "roleArn" },
    { "backup", "start_backup_job", {}, "MissingParameterValueException",
      "The required parameter BackupVaultName is missing." },
  } do
    local m = model.open(case[1])
    local valid, report = m:validate(m:find(case[2]), case[3])
    t.equal(valid, nil)
    local e = refusals.invalid(case[1], report)
    t.equal({ e.status, e.code, e.message }, { 400, case[4], case[5] })
  end
end)

t.test("a path of a missing member is written as AWS writes it", function()
  local m = model.open "application-autoscaling"
  local _, report = m:validate("PutScalingPolicy", { PolicyName = "a", ServiceNamespace = "ecs",
    ResourceId = "r",
    ScalableDimension = "ecs:service:DesiredCount", StepScalingPolicyConfiguration = {
    StepAdjustments = { {} } } })
  t.contains(refusals.invalid("application-autoscaling", report).message,
    "'stepScalingPolicyConfiguration.stepAdjustments.1.member.scalingAdjustment'")
end)

-- Operations that the services have, asked for with nothing in them: whatever they say, it
-- is no failure inside.
t.test("no operation fails inside when it is called with nothing", function()
  local said = {}
  local s = started { log = function(text) table.insert(said, text) end }
  for _, name in ipairs(services.names) do
    local service = services.find(s, name == "cloudwatch" and "monitoring" or name)
    for operation in pairs(service.handlers) do
      local answer
      if service.protocol == "query" then
        answer = form(s, name, operation)
      elseif service.protocol == "json" then
        answer = json(s, name, operation)
      end
      local where = ("%s %s: %s"):format(name, operation, answer and answer.body or "")
      t.ok(not answer or answer.status == 200 or answer.status >= 400 and answer.status < 500,
        where)
      t.ok(not answer or not answer.body:find("%.lua:%d"), where)
    end
  end
  t.equal(said, {})
end)

t.test("lengths, ranges, patterns and enumerations are refused with each service's code", function()
  local s = started()
  for _, case in ipairs {
    { "ecs", "UpdateService", { service = "a", propagateTags = "x" }, "InvalidParameterException" },
    { "application-autoscaling", "DescribeScalableTargets", { ServiceNamespace = "x" },
    "ValidationException" },
    { "route53", "ChangeResourceRecordSets", { HostedZoneId = "Z1", ChangeBatch = { Changes = { {
    Action = "x",
      ResourceRecordSet = { Name = "a", Type = "A" } } } } }, "InvalidInput" },
    { "sts", "AssumeRole",
      { RoleArn = "arn:aws:iam::123456789012:role/x", RoleSessionName = "a b" },
      "ValidationError" },
    { "backup", "CreateBackupVault", { BackupVaultName = "!!" }, "InvalidParameterValueException" },
    { "cloudwatch", "PutMetricAlarm", { AlarmName = "x", ComparisonOperator = "x",
    EvaluationPeriods = 1 },
      "InvalidParameterValue" },
  } do
    local e = client.fails(s, case[4], case[1], case[2], case[3])
    t.contains(e.message, "validation error")
    t.contains(e.message, "failed to satisfy constraint: Member must")
  end
end)

t.test("members that handlers need and models only require deeper down are refused in words",
  function()
  local s = started()
  local function fails(service, operation, body, code)
    local answer = json(s, service, operation, body)
    t.equal(answer.status, 400, body)
    t.contains(answer.body, code)
  end
  fails("cloudwatch", "GetMetricData",
    [[{"StartTime":1,"EndTime":2,"MetricDataQueries":[{"Id":"a","MetricStat":
    {"Metric":{},"Period":60,"Stat":"Sum"}}]}]], "Metric.Namespace is required")
  fails("cloudwatch", "GetMetricData",
    [[{"StartTime":1,"EndTime":2,"MetricDataQueries":[{"Id":"a","MetricStat":
    {"Metric":{"MetricName":"m","Namespace":"n","Dimensions":[{"Name":"x"}]},
    "Period":60,"Stat":"Sum"}}]}]],
    "The parameter Value is required")
  fails("ecs", "UpdateService", [[{"desiredCount":1}]], "InvalidParameterException")
  fails("ecs", "UpdateService", [[{"service":{}}]], "SerializationException")
end)

t.test("a request that is not in its protocol's form is refused as the protocol does", function()
  local s = started()
  t.contains(json(s, "ecs", "ListClusters", "{").body, "SerializationException")
  local answer = form(s, "rds", "DescribeDBInstances", "&MaxRecords=many")
  t.equal(answer.status, 400)
  t.contains(answer.body, "<Code>MalformedInput</Code>")
end)

t.test("a compressed request is read, and one that is not gzip is refused", function()
  local s = started()
  local data = {}
  for i = 1, 400 do data[i] = { MetricName = "m" .. i, Value = i, Unit = "Count" } end
  client.ok(s, "cloudwatch", "PutMetricData", { Namespace = "n", MetricData = data })
  t.equal(#client.ok(s, "cloudwatch", "ListMetrics", { Namespace = "n" }).Metrics, 400)
  local answer = send(s, "monitoring", { { "Content-Type", "application/x-amz-json-1.0" },
    { "Content-Encoding", "gzip" }, { "X-Amz-Target",
    "GraniteServiceVersion20100801.ListMetrics" } }, "not gzip")
  t.equal(answer.status, 400)
  t.contains(answer.body, "not gzip")
end)

t.test("a service or an operation that is not there is answered in its own protocol", function()
  local s = started()
  local answer = send(s, "lambda", {}, nil, "/2015-03-31/functions", "GET")
  t.equal(answer.status, 501)
  t.equal(answer.body:sub(1, 1), "{")
  t.contains(answer.body, "NotImplemented")
  t.contains(form(s, "sqs", "NoSuchThing").body, "InvalidAction")
  for _, case in ipairs { { "lambda", "ListFunctions", false }, { "ec2", "DescribeRegions", false },
    { "ec2", "RunInstances", true }, { "elbv2", "DescribeTargetHealth", false },
    { "docdb", "ListTagsForResource", false } } do
    s.calls:clear()
    local m = model.open(case[1])
    local input = case[2] == "RunInstances" and { MinCount = 1, MaxCount = 1 }
      or case[2] == "DescribeTargetHealth" and { TargetGroupArn = "a" }
      or case[2] == "ListTagsForResource" and { ResourceName = "a" } or {}
    t.ok(m)
    client.call(s, case[1], case[2], input)
    local call = s.calls:list()[1]
    t.equal({ call.operation, call.mutating }, { case[2], case[3] }, case[1])
  end
end)

t.test("a dead region is silent for services that the simulator does not have, too", function()
  local s = started()
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse" }
  for _, call in ipairs { { "ec2", "DescribeRegions" }, { "rds", "DescribeDBInstances" }, {
    "lambda", "ListFunctions" },
    { "rds", "DescribeDBClusterBacktracks", { DBClusterIdentifier = "a" } } } do
    local _, e = client.call(s, call[1], call[2], call[3] or {})
    t.ok(e.code ~= "NotImplemented" and e.status == nil, call[1] .. " " .. tostring(e.code))
  end
  t.equal(select(2, client.call(s, "ec2", "DescribeRegions", {}, { region = "us-west-2" })).code,
    "NotImplemented")
  t.equal(s.calls:list()[1].operation, "DescribeRegions")
end)
