-- Round trips over real models: what a client writes a server reads back equal, and
-- the other way round, with random values from a seed.
local codec = require "native.model"
local json = require "native.json"
local t = require "harness"
local values = require "values"

local SERVICES = { "rds", "route53", "backup", "ecs", "cloudwatch", "sts", "dynamodb", "s3",
  "ec2", "lambda" }

local function same(a, b)
  if type(a) == "number" and type(b) == "number" then
    return math.abs(a - b) < 1e-6 * math.max(1, math.abs(a))
  end
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function show(value) return (json.encode(value, { sort = true })) or tostring(value) end

local function expect(what, want, got)
  if not same(want, got) then
    error(("%s: sent %s, read %s"):format(what, show(want), show(got)), 0)
  end
end

--- XML cannot say an empty map or list apart from an absent flattened one, and a
-- request of the query protocol has no empty structures: such are taken out.
local function pruned(value)
  if type(value) ~= "table" then return value end
  local result, is_list = {}, #value > 0
  for key, item in pairs(value) do
    local kept = pruned(item)
    if is_list or type(kept) ~= "table" or next(kept) ~= nil then result[key] = kept end
  end
  return result
end

-- A stream that was not sent is read as one without bytes.
local function without_empty_streams(sent, read)
  for key, value in pairs(read) do
    if value == "" and sent[key] == nil then read[key] = nil end
  end
end

-- A checksum algorithm must be one that exists.
local function sane(input)
  if input.ChecksumAlgorithm then input.ChecksumAlgorithm = "SHA256" end
  return input
end

local function request_round(m, name, protocol, seed)
  local op = assert(m:operation(name))
  local input = sane(op.input and values.new(m, seed):value(op.input) or {})
  local request = assert(m:serialize(name, input,
    { protocol = protocol, compress_from_bytes = false }))
  local routed, spoken = m:route(request.method, request.uri, request.headers, request.body)
  local read = assert(m:parse_request(name, { method = request.method, target = request.uri,
    headers = request.headers, body = request.body }, { protocol = protocol }))
  if op.idempotency_token and not input[op.idempotency_token] then
    t.ok(#read[op.idempotency_token] == 36, name .. " lacks its token")
    read[op.idempotency_token] = nil
  end
  -- Headers that the codec adds are members too.
  for _, extra in ipairs { "ChecksumAlgorithm", "ChecksumCRC32", "ChecksumSHA256", "ChecksumMode",
    "ContentMD5",
    "ContentType" } do
    if input[extra] == nil then read[extra] = nil end
  end
  without_empty_streams(input, read)
  expect(name .. " request", pruned(input), pruned(read))
  return routed, spoken
end

local function response_round(m, name, protocol, seed)
  local op = assert(m:operation(name))
  local output = op.output and values.new(m, seed):value(op.output) or {}
  for key in pairs(output) do -- a random checksum would be found wrong
    if key:find("^Checksum%w+") then output[key] = nil end
  end
  local answer = assert(m:serialize_response(name, output,
    { protocol = protocol, request_id = "r-1" }))
  local read, err = m:parse(name, answer, { protocol = protocol })
  if not read then error(name .. ": " .. show(err), 0) end
  without_empty_streams(output, read)
  expect(name .. " response", pruned(output), pruned(read))
end

local function streams(m, name)
  local op = m:operation(name)
  for _, id in ipairs { op.input or -1, op.output or -1 } do
    for _, member in ipairs(id >= 0 and m:shape(id).members or {}) do
      if m:shape(member.shape).event_stream then return true end
    end
  end
end

-- Two members of theirs go by one name in XML.
local AMBIGUOUS = { GetBucketNotification = true, PutBucketNotification = true }

-- Operations of one method and path, told apart by what the random input may lack.
local ALIKE = { ListObjects = true, CopyObject = true, UploadPartCopy = true, PutObject = true,
  UploadPart = true, GetBucketLifecycle = true,
  PutBucketLifecycle = true, GetBucketLifecycleConfiguration = true,
  PutBucketLifecycleConfiguration = true, GetBucketNotificationConfiguration = true,
  PutBucketNotificationConfiguration = true,
  InvokeAsync = true, ListBuckets = true, ListDirectoryBuckets = true }

for _, service in ipairs(SERVICES) do
  local m = assert(codec.open(service))
  for _, protocol in ipairs(m:metadata().protocols) do
    t.test(("%s in %s: requests and "
      .. "answers come back as they went"):format(service, protocol), function()
      for i, name in ipairs(m:operations()) do
        if not streams(m, name) and not AMBIGUOUS[name] then
          for round = 1, 3 do
            local routed, spoken = request_round(m, name, protocol, i * 7 + round)
            if not ALIKE[name] then t.equal(routed, name) end
            t.equal(spoken, protocol)
            response_round(m, name, protocol, i * 13 + round)
          end
        end
      end
    end)
  end
end

t.test("every service of the archive opens, and all its parts decode", function()
  local count = 0
  for _, service in ipairs(codec.services()) do
    local m = assert(codec.open(service))
    assert(m:waiters())
    assert(m:paginators())
    assert(m:endpoint_rules())
    for _, name in ipairs(m:operations()) do
      local op = assert(m:operation(name))
      if op.input then assert(m:shape(op.input)) end
      if op.output then assert(m:shape(op.output)) end
      count = count + 1
    end
  end
  t.ok(count > 19000, "only " .. count .. " operations")
end)

t.test("method names follow botocore's rule", function()
  for name, snake in pairs {
    DescribeDBInstances = "describe_db_instances", ListHITs = "list_hits", ListARNs = "list_arns",
    GetObject = "get_object", CreateCachediSCSIVolume = "create_cached_iscsi_volume",
    ExecutePartiQLStatement = "execute_partiql_statement",
    CreateOAuth2Token = "create_oauth2_token", ListObjectsV2 = "list_objects_v2",
    GetEBSVolumeRecommendations = "get_ebs_volume_recommendations",
    DescribeIpv6Pools = "describe_ipv6_pools",
    AssociateVPCWithHostedZone = "associate_vpc_with_hosted_zone",
  } do t.equal(codec.snake(name), snake) end
  t.equal(codec.open("rds"):find("describe_db_instances"), "DescribeDBInstances")
  t.equal(codec.open("rds"):find("describe_db_instance"), nil)
end)

-- The models as AWS publishes them, which the build has compiled.
local function published(service)
  local found = {}
  for path in assert(io.popen("find -L build/botocore/data/" .. service
    .. " -name 'service-2.json*'")):lines() do
    table.insert(found, path)
  end
  table.sort(found)
  local data = assert(require("native.fs").read(found[#found]))
  return json.decode(found[#found]:find("%.gz$")
    and require("native.gzip").decompress(data, 1 << 29) or data)
end

local function body_members(shape)
  for _, ref in pairs(shape.members) do
    if not ref.location then return true end
  end
end

t.test("responses of rest-xml have the root element that AWS's "
  .. "have: the output shape's name", function()
  if not io.open("build/botocore/data/route53") then return t.skip "no published models here" end
  local checked = 0
  for _, service in ipairs { "route53", "cloudfront", "s3control" } do
    local text, m = published(service), codec.open(service)
    for name, op in pairs(text.operations) do
      local shape = op.output and text.shapes[op.output.shape]
      if shape and not shape.payload and body_members(shape) then
        local output = values.new(m, 3):value(m:operation(name).output)
        local answer = assert(m:serialize_response(name, output))
        local root = answer.body:match("^<%?xml.-%?>%s*<([%w:]+)")
        t.equal(root, shape.locationName or op.output.shape, service .. "." .. name)
        checked = checked + 1
      end
    end
  end
  t.ok(checked > 100, checked .. " operations")
  local s3 = codec.open "s3"
  for name, root in pairs { ListBuckets = "ListAllMyBucketsResult",
    ListObjectsV2 = "ListBucketResult",
      GetObjectTagging = "Tagging", CompleteMultipartUpload = "CompleteMultipartUploadResult" } do
    t.contains(s3:serialize_response(name, {}).body, "<" .. root)
  end
end)
