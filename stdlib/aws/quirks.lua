--- What the models do not say: each service's departure from its own model, in one
-- place. Sources are AWS's API references and what botocore's handlers.py does.
--
-- quirks.of(service, operation) gives nil or a table of up to four functions:
--   input(input, client)      the input to serialize (a copy where it differs), and what
--                             `request` needs to know
--   request(request, known, client, op)   the serialized request, before signing
--   answer(answer)            the HTTP answer, before it is parsed
--   output(output, answer)    the parsed output
local crypto = require "native.crypto"
local http = require "native.http"
local json = require "native.json"

local quirks = {}

local function copy_with(input, changes)
  local copy = {}
  for k, v in pairs(input) do copy[k] = v end
  for k, v in pairs(changes) do copy[k] = v end
  return copy
end

local function percent(text, keep)
  return (text:gsub("[^%w%-%._~" .. (keep or "") .. "]",
    function(c) return ("%%%02X"):format(c:byte()) end))
end

local function unpercent(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)",
    function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Route 53 --------------------------------------------------------------------
-- Ids come as "/hostedzone/Z1" and go in as "Z1" (Route 53 API reference, Id).

local ROUTE53_IDS = { "Id", "HostedZoneId", "DelegationSetId", "ResourceId",
  "TrafficPolicyInstanceId" }

local function bare_id(id)
  return type(id) == "string" and id:match("^/?%l+/([%w]+)$") or nil
end

local function route53_input(input)
  local changes
  for _, name in ipairs(ROUTE53_IDS) do
    local bare = bare_id(input[name])
    if bare then
      changes = changes or {}
      changes[name] = bare
    end
  end
  return changes and copy_with(input, changes) or input
end

-- Cross-region copies ---------------------------------------------------------
-- RDS, Neptune and DocumentDB want PreSignedUrl, a request to the source region
-- signed for it ("PreSignedUrl" in CopyDBSnapshot, CreateDBInstanceReadReplica...);
-- SourceRegion is the SDKs' way to ask for that and does not go over the wire. EC2's
-- CopySnapshot wants PresignedUrl and DestinationRegion, SourceRegion stays.

local function presigned(client, op, request, source_region)
  return require("aws.presign").query(client, op, request, source_region,
    { DestinationRegion = client.region })
end

local function source_region_input(input, client)
  local source = input.SourceRegion
  if source == nil then return input end
  local copy = copy_with(input, {})
  copy.SourceRegion = nil
  if input.PreSignedUrl or source == client.region then return copy end
  return copy, source
end

local function add_form(request, name, value)
  request.body = request.body .. "&" .. name .. "=" .. percent(value)
end

local function source_region_request(request, source, client, op)
  if source then add_form(request, "PreSignedUrl", presigned(client, op, request, source)) end
end

local function ec2_copy_input(input, client)
  if input.PresignedUrl or not input.SourceRegion or input.SourceRegion == client.region then
    return input
  end
  return copy_with(input, { DestinationRegion = input.DestinationRegion or client.region }),
    input.SourceRegion
end

local function ec2_copy_request(request, source, client, op)
  if source then
    add_form(request, "PresignedUrl", require("aws.presign").query(client, op, request, source, {}))
  end
end

local CROSS_REGION = { input = source_region_input, request = source_region_request }

-- Texts that travel as base64 -------------------------------------------------

local function user_data(input)
  if type(input.UserData) ~= "string" then return input end
  return copy_with(input, { UserData = crypto.base64(input.UserData) })
end

local function console_output(output)
  local text = output.Output and crypto.unbase64(output.Output)
  if text then output.Output = text end
  return output
end

-- IAM: policy documents come percent-encoded inside strings -------------------

local function decode_policies(value, depth)
  if type(value) ~= "table" or depth > 6 then return value end
  for name, each in pairs(value) do
    if type(each) == "string" and (name == "PolicyDocument" or name == "AssumeRolePolicyDocument"
        or name == "Document") and (each:find("^%%7[Bb]") or each:find("^%s*{")) then
      local text = each:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
      local ok, document = pcall(json.decode, text)
      value[name] = ok and document or text
    else
      decode_policies(each, depth + 1)
    end
  end
  return value
end

local function iam_output(output) return decode_policies(output, 0) end

-- S3 --------------------------------------------------------------------------

-- CopyObject and others send 200 first and may then report in the body that they failed.
local function error_in_200(answer)
  if answer.status ~= 200 or type(answer.body) ~= "string" or answer.body == "" then
    return answer
  end
  local body = answer.body:gsub("^%s*<%?xml.-%?>%s*", "", 1)
  if body:find("^<Error[%s>]") then
    return setmetatable({ status = 500 }, { __index = answer })
  end
  return answer
end

local function copy_source(input)
  local source = input.CopySource
  if type(source) == "table" then
    local text = percent(tostring(source.Bucket) .. "/" .. tostring(source.Key), "/")
    if source.VersionId then text = text .. "?versionId=" .. source.VersionId end
    return copy_with(input, { CopySource = text })
  elseif type(source) == "string" then
    local path, version = source:match("^(.-)(%?versionId=.*)$")
    return copy_with(input, { CopySource = percent(path or source, "/%%") .. (version or "") })
  end
  return input
end

-- A customer's key goes with its MD5 (S3 user guide, SSE-C).
local function customer_key(input, prefix)
  local key, md5 = prefix .. "Key", prefix .. "KeyMD5"
  if type(input[key]) ~= "string" or input[md5] then return input end
  return copy_with(input,
    { [key] = crypto.base64(input[key]), [md5] = crypto.base64(crypto.md5(input[key])) })
end

local function s3_input(input)
  if input.SSECustomerKey then input = customer_key(input, "SSECustomer") end
  if input.CopySourceSSECustomerKey then input = customer_key(input, "CopySourceSSECustomer") end
  if input.CopySource then input = copy_source(input) end
  return input
end

-- Keys may hold characters that XML cannot: they are asked for percent-encoded.
local LISTED = { "Delimiter", "Marker", "NextMarker", "Prefix", "StartAfter", "KeyMarker",
  "NextKeyMarker" }

local function list_input(input)
  if input.EncodingType then return s3_input(input) end
  return copy_with(s3_input(input), { EncodingType = "url" }), true
end

local function list_output(output, _, known)
  if not known or output.EncodingType ~= "url" then return output end
  for _, name in ipairs(LISTED) do
    if output[name] then output[name] = unpercent(output[name]) end
  end
  for _, list in ipairs { "Contents", "Versions", "DeleteMarkers", "CommonPrefixes", "Uploads" } do
    for _, item in ipairs(output[list] or {}) do
      if item.Key then item.Key = unpercent(item.Key) end
      if item.Prefix then item.Prefix = unpercent(item.Prefix) end
    end
  end
  return output
end

local function bucket_location(output, answer)
  local region = answer.body and answer.body:match("<LocationConstraint[^>]*>([^<]*)<")
  output.LocationConstraint = region and region ~= "" and region or nil
  return output
end

local S3_LIST = { input = list_input, output = list_output, answer = error_in_200 }
local S3_STREAMING = { GetObject = true, SelectObjectContent = true, GetObjectTorrent = true,
  GetBucketPolicy = true }

-- S3 Control -----------------------------------------------------------------
-- The endpoint rules put the account before the host already.

local function account_in_rules(request, _, _, op)
  local static = op.model.staticContextParams or {}
  if static.RequiresAccountId and static.RequiresAccountId.value and op.model.host_prefix
    == "{AccountId}." then
    request.host_prefix = nil
  end
end

-- Others ----------------------------------------------------------------------

-- DynamoDB says the CRC-32 of its body; a damaged one is fetched again.
local function dynamodb_answer(answer)
  local expected = http.header(answer.headers, "x-amz-crc32")
  if expected and not http.header(answer.headers, "content-encoding")
      and crypto.crc32(answer.body or "") ~= tonumber(expected) then
    return { status = 500, headers = answer.headers,
      body = '{"__type":"InternalServerError","message":'
      .. '"the answer was damaged on its way: its CRC-32 differs"}' }
  end
  return answer
end

local function glacier_input(input)
  return input.accountId and input or copy_with(input, { accountId = "-" })
end

-- A header that the service demands, unless the input has set it.
local function default_header(name, value)
  return function(request)
    for given in pairs(request.headers) do
      if given:lower() == name then return end
    end
    request.headers[name] = value
  end
end

-- Glacier wants the SHA-256 of an archive, and the root of the tree of those of its
-- mebibytes (Glacier developer guide, "Computing Checksums").
local MEBIBYTE = 1024 * 1024

local function hash_part(body, offset, length)
  if type(body) == "string" then return crypto.sha256(body:sub(offset + 1, offset + length)) end
  return assert(crypto.hash_file("sha256", body.file, (body.offset or 0) + offset, length))
end

local function body_size(body)
  if type(body) == "string" then return #body end
  return body.length or require("native.fs").stat(body.file).size - (body.offset or 0)
end

local function tree_hash(body)
  local level, size = {}, body_size(body)
  for offset = 0, math.max(size - 1, 0), MEBIBYTE do
    table.insert(level, hash_part(body, offset, math.min(MEBIBYTE, size - offset)))
  end
  while #level > 1 do
    local above = {}
    for i = 1, #level, 2 do
      table.insert(above, level[i + 1] and crypto.sha256(level[i] .. level[i + 1]) or level[i])
    end
    level = above
  end
  return crypto.hex(level[1])
end

local glacier_version = default_header("x-amz-glacier-version", "2012-06-01")

local function glacier_archive(request)
  glacier_version(request)
  local body = request.body or ""
  default_header("x-amz-content-sha256", crypto.hex(hash_part(body, 0, body_size(body))))(request)
  default_header("x-amz-sha256-tree-hash", tree_hash(body))(request)
end

local ARCHIVE = { input = glacier_input, request = glacier_archive }

local function template_body(output)
  local text = output.TemplateBody
  if type(text) == "string" and text:find("^%s*{") then
    local ok, decoded = pcall(json.decode, text)
    if ok then output.TemplateBody = decoded end
  end
  return output
end

local TABLE = {
  route53 = { ["*"] = { input = route53_input } },
  rds = { CopyDBSnapshot = CROSS_REGION, CopyDBClusterSnapshot = CROSS_REGION,
    CreateDBCluster = CROSS_REGION,
    CreateDBInstanceReadReplica = CROSS_REGION,
    StartDBInstanceAutomatedBackupsReplication = CROSS_REGION },
  neptune = { CopyDBClusterSnapshot = CROSS_REGION, CreateDBCluster = CROSS_REGION },
  docdb = { CopyDBClusterSnapshot = CROSS_REGION, CreateDBCluster = CROSS_REGION },
  ec2 = { CopySnapshot = { input = ec2_copy_input, request = ec2_copy_request },
    RunInstances = { input = user_data },
    GetConsoleOutput = { output = console_output } },
  autoscaling = { CreateLaunchConfiguration = { input = user_data } },
  iam = { ["*"] = { output = iam_output } },
  s3 = { ["*"] = { input = s3_input, answer = error_in_200 }, ListObjects = S3_LIST,
    ListObjectsV2 = S3_LIST,
    ListObjectVersions = S3_LIST,
    GetBucketLocation = { input = s3_input, output = bucket_location } },
  s3control = { ["*"] = { request = account_in_rules } },
  dynamodb = { ["*"] = { answer = dynamodb_answer } },
  glacier = { ["*"] = { input = glacier_input, request = glacier_version }, UploadArchive = ARCHIVE,
    UploadMultipartPart = ARCHIVE },
  apigateway = { ["*"] = { request = default_header("accept", "application/json") } },
  cloudformation = { GetTemplate = { output = template_body } },
}

--- What an operation of a service needs beside its model, or nil.
function quirks.of(service, operation)
  local listed = TABLE[service]
  if not listed then return nil end
  if service == "s3" and S3_STREAMING[operation] then return { input = s3_input } end
  return listed[operation] or listed["*"]
end

quirks.percent = percent

return quirks
