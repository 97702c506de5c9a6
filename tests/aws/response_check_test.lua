-- A response that is none of the service's is never an output: each protocol against what
-- proxies, captive portals and confused gateways say with a 200.
local t = require "harness"
local aws = require "aws"
local fake = require "fake"
local lane = require "aws.lane"
local model = require "aws.model"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }
local ID = { { "x-amzn-RequestId", "r-1" } }

local PAGES = { "<html>login</html>", "<!DOCTYPE html>\n<html><body>Sign in</body></html>",
  "\n<!-- portal --><HTML></HTML>",
  '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML"><html/>',
  "\u{feff}<html>" }

local function parse(service, operation, body, status, headers)
  return model.open(service):parse(operation, { status = status or 200, headers = headers
    or {}, body = body })
end

local function refused(service, operation, body, status, headers)
  local output, e = parse(service, operation, body, status, headers)
  local what = ("%s.%s: %d %q"):format(service, operation, status or 200, body)
  t.equal(output, nil, what)
  t.equal(e.code, "InvalidResponse", what)
end

local OPERATIONS = { { "rds", "PromoteReadReplica" }, { "rds", "AddTagsToResource" },
  { "ec2", "StartInstances" }, { "ec2", "DeleteVpc" }, { "dynamodb", "DescribeTable" },
  { "dynamodb", "TagResource" }, { "ecs", "UpdateService" },
  { "lambda", "DeleteFunction" }, { "backup", "StartRestoreJob" },
  { "route53", "ChangeResourceRecordSets" }, { "s3", "CopyObject" }, { "s3", "PutBucketPolicy" },
  { "s3", "ListBuckets" }, { "s3", "PutObject" },
  { "cloudfront", "UpdateDistribution" } }

t.test("a web page is no response of any operation", function()
  for _, operation in ipairs(OPERATIONS) do
    for _, page in ipairs(PAGES) do
      refused(operation[1], operation[2], page)
      refused(operation[1], operation[2], page, 200, ID)
    end
  end
  t.equal(parse("s3", "GetObject", PAGES[1]).Body, PAGES[1], "but it is the content of an object")
  t.equal(parse("s3", "GetBucketPolicy", PAGES[1]).Policy, PAGES[1], "and of a text")
end)

t.test("an empty body is refused where the output has members in it", function()
  for _, operation in ipairs { { "rds", "PromoteReadReplica" }, { "ec2", "StartInstances" },
      { "dynamodb", "DescribeTable" }, { "ecs", "UpdateService" }, { "backup", "StartRestoreJob" },
      { "route53", "ChangeResourceRecordSets" }, { "s3", "ListBuckets" },
      { "s3", "CopyObject" } } do
    for _, status in ipairs { 200, 202, 204 } do
      for _, body in ipairs { "", " \n" } do refused(operation[1], operation[2], body, status) end
    end
  end
  for _, operation in ipairs { { "rds", "PromoteReadReplica" }, { "ec2", "StartInstances" },
      { "route53", "ChangeResourceRecordSets" }, { "s3", "ListBuckets" } } do
    refused(operation[1], operation[2], "", 200, ID)
  end
  refused("scheduler", "CreateSchedule", "", 200, ID) -- its ARN is required
end)

t.test("and taken where there is none, or where AWS itself left an empty object out", function()
  for _, operation in ipairs { { "rds", "AddTagsToResource" }, { "ec2", "DeleteVpc" },
    { "dynamodb", "TagResource" },
      { "s3", "PutBucketPolicy" }, { "s3", "PutObject" }, { "lambda", "TagResource" } } do
    for _, status in ipairs { 200, 204 } do
      t.equal(parse(operation[1], operation[2], "", status), {}, operation[2])
    end
  end
  t.equal(parse("ecs", "UpdateService", "", 200, ID), {})
  t.equal(parse("backup", "StartRestoreJob", "", 200, ID), {})
end)

t.test("an operation without output does not look at a body that is no XML", function()
  for _, operation in ipairs { { "s3", "PutBucketPolicy" }, { "rds", "AddTagsToResource" },
    { "ec2", "DeleteVpc" } } do
    for _, body in ipairs { "ok", "{}", "<cut", "<done/>" } do
      t.equal(parse(operation[1], operation[2], body), {}, body)
    end
  end
  local s3 = fake.start { body = "ok" }
  t.cleanup(function() s3:close() end)
  lane.reset()
  local client = aws.s3 { region = "us-west-2", endpoint_url = s3.url, credentials = KEYS }
  client:put_bucket_policy { Bucket = "b", Policy = "{}" }
  t.equal(#s3.requests, 1, "nor is it tried again")
end)

t.test("another operation's response is refused", function()
  for _, row in ipairs {
    { "rds", "PromoteReadReplica",
      "<DescribeDBInstancesResponse><DescribeDBInstancesResult/></DescribeDBInstancesResponse>" },
    { "rds", "PromoteReadReplica", "<PromoteReadReplicaResponse/>" },
    { "rds", "AddTagsToResource", "<DeleteDBInstanceResponse/>" },
    { "rds", "AddTagsToResource", "<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>" },
    { "ec2", "DeleteVpc", "<Response><Errors><Error><Code>X</Code></Error></Errors></Response>" },
    { "ec2", "StartInstances", "<StopInstancesResponse><instancesSet/></StopInstancesResponse>" },
    { "ec2", "DeleteVpc", "<DeleteSubnetResponse><return>true</return></DeleteSubnetResponse>" },
    { "route53", "ChangeResourceRecordSets", "<GetChangeResponse>"
      .. "<ChangeInfo/></GetChangeResponse>" },
    { "s3", "ListBuckets", "<ListBucketResult><Contents/></ListBucketResult>" },
    { "s3", "CopyObject", "<Tagging/>" },
    { "dynamodb", "DescribeTable", "[]" }, { "dynamodb", "DescribeTable", "null" },
    { "ecs", "UpdateService", "ok" }, { "backup", "StartRestoreJob", "<StartRestoreJobResponse/>" },
    { "backup", "StartRestoreJob", "null" },
  } do refused(table.unpack(row)) end
end)

t.test("each service's own way of writing it is taken", function()
  t.equal(parse("rds", "PromoteReadReplica", "<x:PromoteReadReplicaResponse "
    .. "xmlns:x='u'><x:PromoteReadReplicaResult>"
    .. "<x:DBInstance/></x:PromoteReadReplicaResult></x:PromoteReadReplicaResponse>"),
    { DBInstance = {} })
  t.equal(parse("ec2", "StartInstances", "<StartInstancesResponse>"
    .. "<instancesSet/></StartInstancesResponse>"),
    { StartingInstances = {} })
  for _, root in ipairs { "ListAllMyBucketsResult", "ListBucketsResult", "ListBucketsOutput" } do
    t.equal(parse("s3", "ListBuckets", ("<%s><Buckets/></%s>"):format(root, root)),
      { Buckets = {} }, root)
  end
  t.equal(parse("s3", "ListBuckets", "<Store><Buckets/></Store>"), { Buckets = {} },
    "a store that only resembles S3")
  t.equal(parse("s3", "GetBucketVersioning", "<VersioningConfiguration/>"), {})
  t.equal(parse("route53", "GetChange", "<GetChangeResponse><ChangeInfo><Id>C</Id>"
    .. "</ChangeInfo></GetChangeResponse>"),
    { ChangeInfo = { Id = "C" } })
end)

t.test("a change that gets such a response is doubtful; a read is tried again and fails", function()
  lane.reset()
  local server = fake.start { body = PAGES[1] }
  t.cleanup(function() server:close() end)
  local rds = aws.rds { region = "us-west-2", endpoint_url = server.url, credentials = KEYS }
  local _, e = rds:try("promote_read_replica", { DBInstanceIdentifier = "x" })
  t.equal({ e.code, e.doubtful, e.in_doubt, e.status }, { "InvalidResponse", true, true, 200 })
  t.contains(tostring(e), "cannot be read as AWS's: it is a web page")
  t.contains(tostring(e), "It may have been carried out all the same")
  t.contains(tostring(e), "captive portal")
  t.equal(#server.requests, 1, "it is not sent again")
  _, e = rds:try("delete_db_instance", { DBInstanceIdentifier = "x" })
  t.equal({ e.code, e.doubtful }, { "InvalidResponse", true })
  local before = #server.requests
  t.raises("InvalidResponse", function() rds:find("describe_db_instances", {}) end)
  t.equal(#server.requests - before, 3)
  _, e = rds:try("describe_db_instances", {})
  t.equal(e.doubtful, nil)
end)
