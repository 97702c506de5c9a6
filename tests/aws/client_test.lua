-- What a client offers beyond sending calls: its names, find and try, the colon.
local t = require "harness"
local absence = require "absence"
local aws = require "aws"
local effect = require "effect"
local errors = require "errors"
local fake = require "fake"
local lane = require "aws.lane"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }

local function start(service, script)
  lane.reset()
  local server = fake.start(script)
  t.cleanup(function() server:close() end)
  return aws[service] { region = "us-west-2", endpoint_url = server.url, credentials = KEYS,
    max_attempts = 1 }, server
end

local function xml_error(code, message)
  return ("<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"
    .. "<RequestId>req-9</RequestId></ErrorResponse>"):format(code, message or "no")
end

local INSTANCES = "<DescribeDBInstancesResponse>"
  .. "<DescribeDBInstancesResult><DBInstances><DBInstance>"
  .. "<DBInstanceIdentifier>shop-dr</DBInstanceIdentifier></DBInstance></DBInstances>"
  .. "</DescribeDBInstancesResult></DescribeDBInstancesResponse>"

t.test("a method that is called with a dot is refused with the "
  .. "right form, and nothing is sent", function()
  local rds, server = start("rds", { body = INSTANCES })
  for _, name in ipairs { "describe_db_instances", "wait", "each", "all", "pages", "call", "try",
    "find",
      "auth_token" } do
    local e = t.raises(("rds%%.%s: call it with a colon, rds:%s%%("):format(name, name), function()
      rds[name] { DBInstanceIdentifier = "shop-dr" }
    end)
    t.equal(e.kind, "misuse")
    t.matches(e.where, "client_test")
    t.raises("call it with a colon", function() rds[name]() end)
  end
  t.equal(#server.requests, 0)
  for _, found in ipairs { rds:describe_db_instances({}).DBInstances,
    rds:all("describe_db_instances") } do
    t.equal(found[1].DBInstanceIdentifier, "shop-dr")
  end
end)

t.test("a service's name with a dash is a variable in the message", function()
  local client = aws.application_autoscaling { region = "us-west-2", credentials = KEYS }
  t.raises("application_autoscaling:describe_scalable_targets%(",
    function() client.describe_scalable_targets {} end)
end)

t.test("an operation is called by AWS's own name, also where "
  .. "botocore spells it otherwise", function()
  local cloudwatch, server = start("cloudwatch",
    { body = "{}", headers = { { "x-amzn-RequestId", "r" } } })
  for _, name in ipairs { "GetOTelEnrichment", "get_otel_enrichment" } do
    cloudwatch:call(name, {})
    t.equal(type(cloudwatch[name]), "function", name)
  end
  t.equal(#server.requests, 2)
end)

t.test("find is the output, or nil where AWS says that there is no such thing", function()
  local rds = start("rds",
    { { body = INSTANCES }, { status = 404, body = xml_error "DBInstanceNotFound" },
    { status = 403, body = xml_error "AccessDenied" } })
  t.equal(rds:find("describe_db_instances").DBInstances[1].DBInstanceIdentifier, "shop-dr")
  t.equal(rds:find("DescribeDBInstances", { DBInstanceIdentifier = "gone" }), nil)
  local e = t.raises("AccessDenied", function() rds:find("describe_db_instances", {}) end)
  t.equal(e.code, "AccessDenied")
  t.raises("find is for operations that change nothing", function()
    rds:find("delete_db_instance", { DBInstanceIdentifier = "x" })
  end)
  t.raises("unknown member", function() rds:find("describe_db_instances", { Nme = "x" }) end)
end)

t.test("try is the output, or nil and the error; misuse is raised", function()
  local rds = start("rds",
    { { body = INSTANCES }, { status = 404, body = xml_error "DBInstanceNotFound" } })
  t.equal(rds:try("describe_db_instances").DBInstances[1].DBInstanceIdentifier, "shop-dr")
  local output, e = rds:try("describe_db_instances", {})
  t.equal({ output, e.code, errors.is(e) }, { nil, "DBInstanceNotFound", true })
  t.raises("no operation", function() rds:try "describe_nothing" end)
end)

t.test("find and try go through the run's handler, and let through what stops a run", function()
  local rds = start("rds", { body = INSTANCES })
  local seen = {}
  local former = effect.install(function(e, fn)
    table.insert(seen, e.operation)
    if #seen > 2 then errors.raise { kind = "control", control = "pause", message = "paused" } end
    return fn()
  end)
  t.cleanup(function() effect.install(former) end)
  rds:find("describe_db_instances")
  rds:try("describe_db_instances")
  t.equal(seen, { "DescribeDBInstances", "DescribeDBInstances" })
  for _, method in ipairs { "find", "try" } do
    t.raises("paused", function() rds[method](rds, "describe_db_instances") end)
  end
end)

t.test("what says that a thing is absent, in each service's way", function()
  for _, e in ipairs { { code = "DBInstanceNotFound" }, { code = "NoSuchHostedZone" },
    { code = "404" },
      { code = "ResourceNotFoundException" }, { code = "AWS.SimpleQueueService.NonExistentQueue" },
      { code = "InvalidVpcID.NotFound" }, { code = "StateMachineDoesNotExist" },
      { code = "WAFNonexistentItemException" }, { code = "UnknownResourceException" },
      { service = "cloudformation", code = "ValidationError",
        answer = "Stack with id x does not exist" } } do
    t.ok(absence.says(e), e.code)
  end
  for _, e in ipairs { { code = "AccessDenied" }, { code = "KMSNotFoundException" },
    { code = "Throttling" },
      { code = "UnknownOperationException" }, { code = "MissingParameter" }, { kind = "timeout" },
      { service = "cloudformation", code = "ValidationError", answer = "bad name" },
      { service = "rds", code = "ValidationError", answer = "x does not exist" } } do
    t.ok(not absence.says(e), e.code or e.kind)
  end
  t.equal({ absence.says(nil), absence.says "text" }, { false, false })
end)

t.test("a ContentLength that is not the body's is refused", function()
  local s3, server = start("s3", {})
  local input = { Bucket = "b", Key = "k", Body = "0123456789", ContentLength = 4 }
  t.raises("ContentLength is 4, but the body has 10 bytes", function() s3:put_object(input) end)
  input.ContentLength = 11
  t.raises("ContentLength is 11", function() s3:put_object(input) end)
  local path = os.tmpname()
  t.cleanup(function() os.remove(path) end)
  require("files").write(path, "abc")
  input.Body = { file = path }
  t.raises("the body has 3 bytes", function() s3:put_object(input) end)
  t.equal(#server.requests, 0)
  for body, length in pairs { [{ file = path }] = 3, [{ file = path, offset = 1 }] = 2,
      [{ file = path, length = 2 }] = 2, ["abcd"] = 4 } do
    input.Body, input.ContentLength = body, length
    s3:put_object(input)
    t.equal(#server.requests[#server.requests].body, length)
  end
end)
