--- Writes a recorded response as AWS sent it, from AWS's published model alone: the bytes
-- that the client has to read. Nothing of drlua's codec is used here.
local crypto = require "native.crypto"
local json = require "native.json"
local recorded = require "recorded"

local wire = {}

-- Root elements that the published model does not name (Amazon S3 API reference).
local S3_ROOT = {
  ListBuckets = "ListAllMyBucketsResult", ListObjects = "ListBucketResult",
  ListObjectsV2 = "ListBucketResult", ListObjectVersions = "ListVersionsResult",
  GetBucketAcl = "AccessControlPolicy", GetObjectAcl = "AccessControlPolicy",
  GetBucketLogging = "BucketLoggingStatus", GetBucketTagging = "Tagging",
  GetObjectTagging = "Tagging", GetBucketVersioning = "VersioningConfiguration",
  GetBucketNotificationConfiguration = "NotificationConfiguration",
  GetBucketWebsite = "WebsiteConfiguration", GetBucketCors = "CORSConfiguration",
  GetBucketLifecycle = "LifecycleConfiguration",
  GetBucketLifecycleConfiguration = "LifecycleConfiguration",
  GetBucketRequestPayment = "RequestPaymentConfiguration",
  GetBucketAccelerateConfiguration = "AccelerateConfiguration",
  ListMultipartUploads = "ListMultipartUploadsResult", ListParts = "ListPartsResult",
  CreateMultipartUpload = "InitiateMultipartUploadResult",
  CompleteMultipartUpload = "CompleteMultipartUploadResult", DeleteObjects = "DeleteResult",
  ListBucketInventoryConfigurations = "ListInventoryConfigurationsResult",
  ListBucketMetricsConfigurations = "ListMetricsConfigurationsResult",
  ListBucketAnalyticsConfigurations = "ListBucketAnalyticsConfigurationsResult",
}

local ESCAPES = { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ['"'] = "&quot;",
  ["\r"] = "&#xD;" }
local function escaped(text) return (text:gsub('[<>&"\r]', ESCAPES)) end

local function percent(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function number(value)
  return math.type(value) == "integer" and ("%d"):format(value) or ("%.17g"):format(value)
end

local function time(value, format)
  if format == "iso8601" then return tostring(value) end
  local seconds = type(value) == "number" and value or recorded.seconds(value)
  if format == "rfc822" then
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(seconds))
  end
  return (("%.3f"):format(seconds):gsub("%.?0+$", ""))
end

local function listed(value) return type(value) == "table" and value ~= json.null end

local Writer = {}
Writer.__index = Writer

function Writer:shape(ref) return self.shapes[ref.shape] end

function Writer:scalar(ref, value, default)
  local shape = self:shape(ref)
  if shape.type == "timestamp" then
    return time(value, ref.timestampFormat or shape.timestampFormat or default)
  elseif shape.type == "blob" then
    return crypto.base64(value)
  elseif type(value) == "number" then
    return number(value)
  elseif listed(value) then -- a document that travels as text; IAM's percent-encoded
    local text = json.encode(value)
    return self.service == "iam" and percent(text) or text
  end
  return tostring(value)
end

-- XML

local function item_name(member, otherwise) return member.locationName or otherwise end

function Writer:xml_list(name, ref, shape, value)
  local parts = {}
  local flat = ref.flattened or shape.flattened
  local item = flat and item_name(shape.member, name) or item_name(shape.member, "member")
  for _, each in ipairs(value) do table.insert(parts, self:xml(item, shape.member, each)) end
  if flat then return table.concat(parts) end
  return ("<%s>%s</%s>"):format(name, table.concat(parts), name)
end

function Writer:xml_map(name, ref, shape, value)
  local parts = {}
  local flat = ref.flattened or shape.flattened
  local entry = flat and name or "entry"
  for key, each in pairs(value) do
    table.insert(parts, ("<%s>%s%s</%s>"):format(entry,
      self:xml(item_name(shape.key, "key"), shape.key, key),
      self:xml(item_name(shape.value, "value"), shape.value, each), entry))
  end
  if flat then return table.concat(parts) end
  return ("<%s>%s</%s>"):format(name, table.concat(parts), name)
end

--- The content of a structure, and its attributes.
function Writer:xml_members(shape, value)
  local parts, attributes = {}, {}
  for name, each in pairs(value) do
    local ref = shape.members[name]
    if not ref then
      table.insert(parts, ("<%s>%s</%s>"):format(name, escaped(tostring(each)), name))
    elseif ref.xmlAttribute then
      table.insert(attributes, (' %s="%s"'):format(ref.locationName, escaped(each)))
    elseif not ref.location and each ~= json.null then
      table.insert(parts, self:xml(ref.locationName or name, ref, each))
    end
  end
  return table.concat(parts), table.concat(attributes)
end

function Writer:xml(name, ref, value)
  local shape = self:shape(ref)
  if shape.type == "list" then return self:xml_list(name, ref, shape, value) end
  if shape.type == "map" then return self:xml_map(name, ref, shape, value) end
  if shape.type ~= "structure" then
    return ("<%s>%s</%s>"):format(name, escaped(self:scalar(ref, value, "iso8601")), name)
  end
  local content, attributes = self:xml_members(shape, value)
  local space = ref.xmlNamespace or shape.xmlNamespace
  if space and space.prefix then
    attributes = (' xmlns:%s="%s"'):format(space.prefix, space.uri) .. attributes
  end
  return ("<%s%s>%s</%s>"):format(name, attributes, content, name)
end

-- JSON

local to_json = {}

function to_json.list(self, _, shape, value)
  local list = json.array({})
  for i, each in ipairs(value) do list[i] = self:json(shape.member, each) end
  return list
end

function to_json.map(self, _, shape, value)
  local map = {}
  for key, each in pairs(value) do map[key] = self:json(shape.value, each) end
  return map
end

function to_json.structure(self, _, shape, value)
  local object = {}
  if shape.document then return value end
  for name, each in pairs(value) do
    local ref = shape.members[name]
    if not ref then
      object[name] = each
    elseif not ref.location then
      object[ref.locationName or name] = self:json(ref, each)
    end
  end
  return object
end

function to_json.timestamp(self, ref, shape, value)
  local format = ref.timestampFormat or shape.timestampFormat or "unixTimestamp"
  local text = self:scalar(ref, value, "unixTimestamp")
  return format == "unixTimestamp" and tonumber(text) or text
end

function to_json.blob(_, _, _, value) return crypto.base64(value) end

function to_json.string(_, _, _, value)
  return listed(value) and json.encode(value) or value
end

function Writer:json(ref, value)
  local shape = self:shape(ref)
  if value == json.null or not to_json[shape.type] then return value end
  return to_json[shape.type](self, ref, shape, value)
end

-- What REST protocols keep out of the body.

local function has(headers, name)
  for given in pairs(headers) do
    if given:lower() == name:lower() then return true end
  end
  return false
end

function Writer:header_text(ref, value)
  local shape = self:shape(ref)
  if shape.type ~= "list" then return self:scalar(ref, value, "rfc822") end
  local parts = {}
  for i, each in ipairs(value) do parts[i] = self:scalar(shape.member, each, "rfc822") end
  return table.concat(parts, ",")
end

function Writer:bind(shape, value, headers)
  for name, each in pairs(value) do
    local ref = shape.members[name]
    if ref and ref.location == "header" then
      if not has(headers, ref.locationName) then
        headers[ref.locationName] = self:header_text(ref, each)
      end
    elseif ref and ref.location == "headers" then
      for key, text in pairs(each) do headers[(ref.locationName or "") .. key] = text end
    end
  end
end

local function in_body(shape)
  for _, ref in pairs(shape.members) do
    if not ref.location then return true end
  end
  return false
end

-- Whole messages

local bodies = {}

function bodies.query(self, record, output)
  local content = ""
  if self.output then
    content = self:xml_members(self.output, output)
    local wrapper = self.operation.output.resultWrapper
    if wrapper then content = ("<%s>%s</%s>"):format(wrapper, content, wrapper) end
  end
  return ('<%sResponse xmlns="%s">%s<ResponseMetadata><RequestId>%s</RequestId>'
    .. "</ResponseMetadata></%sResponse>"):format(record.operation, self.namespace, content,
    record.request_id or "", record.operation)
end

function bodies.ec2(self, record, output)
  local content = self.output and self:xml_members(self.output, output) or ""
  return ('<?xml version="1.0" encoding="UTF-8"?>\n<%sResponse xmlns="%s"><requestId>%s'
    .. "</requestId>%s</%sResponse>"):format(record.operation, self.namespace,
    record.request_id or "", content, record.operation)
end

function bodies.json(self, _, output)
  if not self.output then return "" end
  return (json.encode(self:json(self.operation.output, output)))
end

local function payload_of(self)
  local name = self.output and self.output.payload
  return name, name and self.output.members[name]
end

bodies["rest-json"] = function(self, _, output)
  local name, ref = payload_of(self)
  if not name then return self.output and in_body(self.output) and bodies.json(self, _, output)
    or "" end
  local value = output[name]
  if value == nil then return "" end
  if self:shape(ref).type == "structure" then return (json.encode(self:json(ref, value))) end
  return value
end

bodies["rest-xml"] = function(self, record, output)
  if record.service == "s3" and record.operation == "GetBucketLocation" then
    return ('<?xml version="1.0"?>\n<LocationConstraint xmlns="%s">%s</LocationConstraint>'):format(
      self.namespace, output.LocationConstraint or "")
  end
  local name, ref = payload_of(self)
  if name then
    local value = output[name]
    if value == nil then return "" end
    if self:shape(ref).type ~= "structure" then return value end
    return self:xml(ref.locationName or self:shape(ref).locationName or ref.shape, ref, value)
  end
  if not self.output or not in_body(self.output) then return "" end
  local root = record.service == "s3" and S3_ROOT[record.operation]
    or self.operation.output.locationName or self.operation.output.shape
  local content, attributes = self:xml_members(self.output, output)
  return ('<?xml version="1.0"?>\n<%s xmlns="%s"%s>%s</%s>'):format(root, self.namespace,
    attributes, content, root)
end

-- Errors

local errors_of = {}

function errors_of.query(self, record, e)
  return ('<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message>'
    .. "</Error><RequestId>%s</RequestId></ErrorResponse>"):format(self.namespace,
    type(e.type) == "string" and e.type or "Sender", escaped(e.code), escaped(e.message),
    record.request_id or "")
end

function errors_of.ec2(_, record, e)
  return ("<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors>"
    .. "<RequestID>%s</RequestID></Response>"):format(escaped(e.code), escaped(e.message),
    record.request_id or "")
end

function errors_of.json(_, _, e)
  return (json.encode { __type = e.code, message = e.message })
end

errors_of["rest-json"] = function(_, _, e, headers)
  if not has(headers, "x-amzn-errortype") then headers["x-amzn-errortype"] = e.code end
  return (json.encode { Type = "User", Message = e.message })
end

errors_of["rest-xml"] = function(self, record, e)
  if record.service ~= "s3" then return errors_of.query(self, record, e) end
  if record.operation:find("^Head") then return "" end
  return ("<Error><Code>%s</Code><Message>%s</Message><RequestId>%s</RequestId></Error>"):format(
    escaped(e.code), escaped(e.message), record.request_id or "")
end

local CONTENT = { query = "xml", ec2 = "xml", ["rest-xml"] = "xml", json = "json",
  ["rest-json"] = "json" }

-- The protocol in which it was recorded, of those that the service offers now.
local function protocol_of(metadata, headers)
  local content = (headers["content-type"] or ""):find("xml") and "xml" or "json"
  if CONTENT[metadata.protocol] == nil or CONTENT[metadata.protocol] ~= content then
    for _, offered in ipairs(metadata.protocols or {}) do
      if CONTENT[offered] == content then return offered end
    end
  end
  return CONTENT[metadata.protocol] and metadata.protocol
end

-- Keys are percent-encoded where the response says so.
local function encoded_keys(output)
  if output.EncodingType ~= "url" then return output end
  local function encode(value)
    if not listed(value) then return value end
    local copy = {}
    for name, each in pairs(value) do
      local is_key = type(each) == "string" and (name == "Key" or name == "Prefix"
        or name == "Marker" or name == "NextMarker" or name == "Delimiter"
        or name == "KeyMarker" or name == "NextKeyMarker" or name == "StartAfter")
      copy[name] = is_key and percent(each):gsub("%%2F", "/") or encode(each)
    end
    return copy
  end
  return encode(output)
end

-- Those of the recording that the body here does not contradict. Placeholders stand in
-- some for the request's id; on AWS header and body have the same.
local ID_HEADERS = { ["x-amzn-requestid"] = true, ["x-amz-request-id"] = true,
  ["x-amzn-request-id"] = true }
local FOR_BODY = { ["content-length"] = true, ["transfer-encoding"] = true,
  ["content-encoding"] = true, ["x-amz-crc32"] = true }

local function headers_of(record)
  local headers = {}
  for name, value in pairs(record.headers) do
    local lower = name:lower()
    if ID_HEADERS[lower] then value = record.request_id or value end
    if not FOR_BODY[lower] then headers[name] = value end
  end
  return headers
end

local function lines_of(headers)
  local lines = {}
  for name, value in pairs(headers) do
    table.insert(lines, ("%s: %s\r\n"):format(name, value))
  end
  table.sort(lines)
  return table.concat(lines)
end

--- The response as AWS sent it: { status, headers, body }, and the protocol; nil and the
-- reason when the recording cannot be written.
function wire.response(model, record)
  local operation = model.operations[record.operation]
  if not operation then return nil, "the service has no operation " .. record.operation end
  local headers = headers_of(record)
  local protocol = protocol_of(model.metadata, record.headers)
  if not protocol then return nil, "its protocol is not written here" end
  local self = setmetatable({ shapes = model.shapes, service = record.service,
    operation = operation,
    output = operation.output and model.shapes[operation.output.shape],
    namespace = model.metadata.xmlNamespace
    or "http://" .. record.service .. ".amazonaws.com/doc/" .. model.metadata.apiVersion .. "/" },
    Writer)
  local body
  if record.error then
    body = errors_of[protocol](self, record, record.error, headers)
  else
    local output = record.service == "s3" and encoded_keys(record.output) or record.output
    if self.output then self:bind(self.output, output, headers) end
    body = bodies[protocol](self, record, output)
  end
  if has(record.headers, "x-amz-crc32") then
    headers["x-amz-crc32"] = tostring(crypto.crc32(body))
  end
  return { status = record.status, headers = lines_of(headers), body = body }, protocol
end

return wire
