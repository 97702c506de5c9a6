-- What goes over the wire where a service departs from its model.
local t = require "harness"
local aws = require "aws"
local fake = require "fake"
local lane = require "aws.lane"
local model = require "aws.model"
local values = require "values"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }

local function start(service, script)
  lane.reset()
  local server = fake.start(script)
  t.cleanup(function() server:close() end)
  return aws[service] { region = "us-west-2", endpoint_url = server.url, credentials = KEYS,
    max_attempts = 1 }, server
end

t.test("S3 Control: the account is before the host once, in every operation", function()
  local client = aws.s3control { region = "us-east-1", credentials = KEYS }
  local target = require "aws.target"
  local checked = 0
  for _, name in ipairs(model.open("s3control"):operations()) do
    local op = client:operation(name)
    if op.model.host_prefix then
      local input = values.new(client.model, 7):value(op.model.input)
      input.AccountId, input.Bucket, input.Name = "123456789012", input.Bucket and "bucket",
        input.Name and "name"
      input.OutpostId = nil -- outposts have a host without it
      local request = client:serialize(op, input)
      local ok, found = pcall(client.target, client, op, input)
      if ok then
        local _, host = target.prefixed(found, request.host_prefix)
        t.equal(select(2, host:gsub("123456789012", "")), 1, name .. ": " .. host)
        checked = checked + 1
      end
    end
  end
  t.ok(checked > 80, checked .. " operations")
end)

t.test("API Gateway: one Accept header, the caller's where it gave one", function()
  local client, server = start("apigateway",
    { body = "swagger: '2.0'", headers = { { "x-amzn-requestid", "r" } } })
  local function accepts(request)
    local found = {}
    for _, pair in ipairs(request.headers) do
      if pair[1]:lower() == "accept" then table.insert(found, pair[2]) end
    end
    return found
  end
  client:get_export { restApiId = "a", stageName = "s", exportType = "oas30",
    accepts = "application/yaml" }
  client:get_export { restApiId = "a", stageName = "s", exportType = "oas30" }
  t.equal(accepts(server.requests[1]), { "application/yaml" })
  t.equal(accepts(server.requests[2]), { "application/json" })
end)

t.test("lists in headers are joined by commas alone", function()
  local s3, server = start("s3", { body = "<GetObjectAttributesResponse/>" })
  s3:get_object_attributes { Bucket = "b", Key = "k", ObjectAttributes = { "ETag", "ObjectSize" } }
  t.equal(fake.header(server.requests[1], "x-amz-object-attributes"), "ETag,ObjectSize")
end)

t.test("Route 53's refusal of a batch says why", function()
  local client = start("route53", { status = 400, body = [[<?xml version="1.0"?>
<InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Messages>
<Message>Tried to create resource record set [name='a.', type='A'] but it already exists</Message>
<Message>second</Message></Messages></InvalidChangeBatch>]] })
  local _, e = client:try("change_resource_record_sets",
    { HostedZoneId = "Z1", ChangeBatch = { Changes = {
    { Action = "CREATE", ResourceRecordSet = { Name = "a.", Type = "A" } } } } })
  t.equal({ e.code, e.status }, { "InvalidChangeBatch", 400 })
  t.equal(e.answer, "Tried to create resource record set [name='a.', type='A'] "
    .. "but it already exists second")
  t.contains(tostring(e), "already exists second. (InvalidChangeBatch). "
    .. "Next: compare with the zone's")
end)

t.test("a page size goes as text where the service takes text", function()
  local client, server = start("route53", { body = "<ListHostedZonesResponse><HostedZones/>"
    .. "<IsTruncated>false</IsTruncated><MaxItems>20</MaxItems></ListHostedZonesResponse>" })
  client:pages("list_hosted_zones", {}, { page_size = 20 })()
  t.matches(server.requests[1].target, "maxitems=20")
end)

t.test("Glacier: an archive goes with its SHA-256 and its tree "
  .. "hash, from memory or a file", function()
  local crypto, files = require "native.crypto", require "files"
  local sigv4 = require "aws.sigv4"
  local client, server = start("glacier", { status = 201 })
  local mebibyte = 1024 * 1024
  local sum = crypto.sha256
  local a, b, c = ("a"):rep(mebibyte), ("b"):rep(mebibyte), "c"
  local function check(body, plain, tree)
    client:upload_archive { vaultName = "v", body = body }
    local request = server.requests[#server.requests]
    t.equal(request.body == plain, true)
    t.equal(fake.header(request, "x-amz-content-sha256"), crypto.hex(sum(plain)))
    t.equal(fake.header(request, "x-amz-sha256-tree-hash"), crypto.hex(tree))
    t.equal(fake.header(request, "x-amz-glacier-version"), "2012-06-01")
    local region, why = sigv4.verify { method = request.method, uri = request.target,
      headers = request.headers,
      body = request.body, lookup = function() return KEYS.secret_access_key end }
    t.equal(region, "us-west-2", why)
  end
  check(a .. b .. c, a .. b .. c, sum(sum(sum(a) .. sum(b)) .. sum(c)))
  check("", "", sum "")
  files.temporary(function(directory)
    local path = directory .. "/archive"
    files.write(path, a .. b .. c)
    check({ file = path }, a .. b .. c, sum(sum(sum(a) .. sum(b)) .. sum(c)))
    check({ file = path, offset = mebibyte }, b .. c, sum(sum(b) .. sum(c)))
    check({ file = path, offset = mebibyte, length = 5 }, "bbbbb", sum "bbbbb")
  end)
  client:upload_multipart_part { vaultName = "v", uploadId = "u", range = "bytes 0-0/*", body = "c",
    checksum = "mine" }
  t.equal(fake.header(server.requests[#server.requests], "x-amz-sha256-tree-hash"), "mine")
end)

t.test("services that take only Signature Version 2 are refused by name", function()
  for _, service in ipairs { "sdb", "importexport" } do
    local e = t.raises("takes only Signature Version 2, which drlua does not speak", function()
      return aws[service] { region = "us-east-1", credentials = KEYS }
    end)
    t.equal(e.kind, "misuse")
  end
end)
