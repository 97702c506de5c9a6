local t = require "harness"
local json = require "native.json"
local names = require "aws.names"
local paginator = require "aws.paginator"

local PAGINATORS = {
  DescribeDBInstances = { input_token = "Marker", output_token = "Marker", limit_key = "MaxRecords",
    result_key = "DBInstances" },
  ListResourceRecordSets = { more_results = "IsTruncated", limit_key = "MaxItems",
    result_key = "ResourceRecordSets", input_token = { "StartRecordName", "StartRecordType",
      "StartRecordIdentifier" },
    output_token = { "NextRecordName", "NextRecordType", "NextRecordIdentifier" } },
  ListObjects = { more_results = "IsTruncated", output_token = "NextMarker || Contents[-1].Key",
    input_token = "Marker", result_key = { "Contents", "CommonPrefixes" } },
  Query = { input_token = "ExclusiveStartKey", output_token = "LastEvaluatedKey",
    result_key = { "Items", "Count" } },
  DescribeEngineDefaultParameters = { input_token = "Marker",
    output_token = "EngineDefaults.Marker", result_key = "EngineDefaults.Parameters" },
}

local function fake(pages)
  local self = { service = "rds", region = "us-west-2", asked = {} }
  self.model = { paginators = function() return PAGINATORS end }
  function self.call(_, _, input)
    table.insert(self.asked, input)
    return pages[math.min(#self.asked, #pages)]
  end
  function self.operation(_, name)
    for each in pairs(PAGINATORS) do
      if each == name or names.snake(each) == name then return { name = each } end
    end
    return { name = name }
  end
  return self
end

t.test("each goes through the items of all pages", function()
  local client = fake { { DBInstances = { { id = 1 }, { id = 2 } }, Marker = "m1" },
    { DBInstances = {}, Marker = "m2" }, { DBInstances = { { id = 3 } } } }
  local seen = {}
  for instance in paginator.each(client, "describe_db_instances", { Filters = {} },
    "DBInstances") do
    table.insert(seen, instance.id)
  end
  t.equal(seen, { 1, 2, 3 })
  t.equal(client.asked, { { Filters = {} }, { Filters = {}, Marker = "m1" },
    { Filters = {}, Marker = "m2" } })
end)

t.test("the key is the model's when none is given", function()
  local client = fake { { DBInstances = { "a" }, Marker = "" } }
  t.equal(paginator.all(client, "describe_db_instances"), { "a" })
  t.equal(#client.asked, 1, "an empty token is none")
end)

t.test("route 53 pages by three tokens, and only while truncated", function()
  local client = fake {
    { IsTruncated = true, NextRecordName = "b.", NextRecordType = "A", NextRecordIdentifier = "one",
      ResourceRecordSets = { 1 } },
    { IsTruncated = true, NextRecordName = "c.", NextRecordType = "CNAME",
      ResourceRecordSets = { 2 } },
    { IsTruncated = false, NextRecordName = "ignored.", ResourceRecordSets = { 3 } },
  }
  t.equal(paginator.all(client, "list_resource_record_sets", { HostedZoneId = "Z" }), { 1, 2, 3 })
  t.equal(client.asked[2], { HostedZoneId = "Z", StartRecordName = "b.", StartRecordType = "A",
    StartRecordIdentifier = "one" })
  t.equal(client.asked[3], { HostedZoneId = "Z", StartRecordName = "c.",
    StartRecordType = "CNAME" }, "the identifier of the former page does not stay")
end)

t.test("a token may be an expression, a map, or deep", function()
  local client = fake { { IsTruncated = true, Contents = { { Key = "a" }, { Key = "b" } } },
    { IsTruncated = false, Contents = { { Key = "c" } } } }
  t.equal(#paginator.all(client, "list_objects", { Bucket = "x" }, "Contents[].Key"), 3)
  t.equal(client.asked[2].Marker, "b")
  client = fake { { Items = { 1 }, LastEvaluatedKey = { id = { S = "k" } } }, { Items = { 2 } } }
  t.equal(paginator.all(client, "query", {}), { 1, 2 })
  t.equal(client.asked[2].ExclusiveStartKey, { id = { S = "k" } })
  client = fake { { EngineDefaults = { Marker = "x", Parameters = { 1 } } },
    { EngineDefaults = { Parameters = { 2 } } } }
  t.equal(paginator.all(client, "describe_engine_default_parameters"), { 1, 2 })
end)

t.test("a token that comes again is an error, not an endless loop", function()
  local client = fake { { DBInstances = { 1 }, Marker = "a" },
    { DBInstances = { 2 }, Marker = "b" }, { DBInstances = { 3 }, Marker = "a" } }
  local e = t.raises("gave the same page token twice", paginator.all, client,
    "describe_db_instances")
  t.equal(e.kind, "corrupt")
  t.equal(#client.asked, 3)
end)

t.test("pages gives whole answers; page_size sets the model's member", function()
  local client = fake { { DBInstances = { 1 }, Marker = "a" }, { DBInstances = { 2 } } }
  local count = 0
  for page in paginator.pages(client, "describe_db_instances", {}, { page_size = 20 }) do
    count = count + #page.DBInstances
  end
  t.equal(count, 2)
  t.equal(client.asked[1], { MaxRecords = 20 })
  t.equal(client.asked[2], { MaxRecords = 20, Marker = "a" })
end)

t.test("an operation without a paginator gives its one answer, and wants a key", function()
  local client = fake { { Things = { 1, 2 } } }
  t.equal(paginator.all(client, "GetThings", {}, "Things"), { 1, 2 })
  local e = t.raises("rds.GetThings has no paginator",
    function() paginator.each(client, "GetThings") end)
  t.contains(e.where, "paginator_test.lua")
end)

t.test("a null token and an absent list end it quietly", function()
  local client = fake { { Marker = json.null } }
  t.equal(paginator.all(client, "describe_db_instances"), {})
end)
