--- Compiles one decoded AWS service model to the compact form that native.model maps.
--
-- The form is described in docs/models.md; its reader is engine/model/. A model is a
-- pool of texts, shapes in blocks of eight, operations sorted by name, and parts that
-- are packed (CBOR in zlib) because they are wanted rarely: waiters, paginators,
-- endpoint rules, the names of shapes. Shapes that encode alike are stored once, so
-- a model holds its handful of plain strings and numbers and not one for each name.
-- What the codec never needs is left out (documentation), or packed (constraints).
local codec = require "native.model"
local constraints = require "aws.constraints"

local compiler = {}

local VERSION = 2
local PROTOCOLS = { query = 0, ec2 = 1, json = 2, ["rest-json"] = 3, ["rest-xml"] = 4,
  ["smithy-rpc-v2-cbor"] = 5 }
-- The order in which botocore chooses among the protocols that a service offers.
local PREFERRED = { "json", "rest-json", "rest-xml", "smithy-rpc-v2-cbor", "query", "ec2" }
local TYPES = { structure = 0, list = 1, map = 2, string = 3, character = 3, blob = 4,
  boolean = 5, integer = 6, short = 6, byte = 6, long = 7, bigInteger = 7, float = 8,
  double = 9, bigDecimal = 9, timestamp = 10 }
local LOCATIONS = { uri = 1, querystring = 2, header = 3, headers = 4, statusCode = 5 }
local TIMES = { iso8601 = 1, rfc822 = 2, unixTimestamp = 3, unixtimestamp = 3 }
local SLOT = { required = 1, wire_lower = 2, wire = 4, form = 8, location = 16,
  namespace = 32, time = 64, flattened = 128, attribute = 256, token = 512,
  streaming = 1024, json_value = 2048, host_label = 4096, event_payload = 8192,
  event_header = 16384, deprecated = 32768 }
local SHAPE = { union = 1, document = 2, event_stream = 4, event = 8, sparse = 16,
  exception = 32, sender_fault = 64, min = 128, payload = 256, named = 512,
  streaming = 1024, throttling = 2048, retryable = 4096, sensitive = 8192 }
local OP = { readonly = 1, idempotent = 2, checksum_required = 4, compressed = 8,
  unsigned = 16, deprecated = 32, result_wrapper = 64, host_prefix = 128,
  input_name = 256, extra = 512, checksum = 1024 }

-- The root elements of S3's responses, which its model leaves out (S3 API reference);
-- those of other services are the names of their outputs' shapes.
local S3_ROOTS = {
  CompleteMultipartUploadOutput = "CompleteMultipartUploadResult",
  CreateMultipartUploadOutput = "InitiateMultipartUploadResult",
  CreateSessionOutput = "CreateSessionResult", DeleteObjectsOutput = "DeleteResult",
  GetBucketAccelerateConfigurationOutput = "AccelerateConfiguration",
  GetBucketAclOutput = "AccessControlPolicy", GetObjectAclOutput = "AccessControlPolicy",
  GetBucketCorsOutput = "CORSConfiguration", GetBucketLifecycleOutput = "LifecycleConfiguration",
  GetBucketLifecycleConfigurationOutput = "LifecycleConfiguration",
  GetBucketLocationOutput = "LocationConstraint",
  GetBucketLoggingOutput = "BucketLoggingStatus",
  NotificationConfigurationDeprecated = "NotificationConfiguration",
  GetBucketRequestPaymentOutput = "RequestPaymentConfiguration", GetBucketTaggingOutput = "Tagging",
  GetObjectTaggingOutput = "Tagging", GetBucketVersioningOutput = "VersioningConfiguration",
  GetBucketWebsiteOutput = "WebsiteConfiguration",
  GetObjectAttributesOutput = "GetObjectAttributesResponse",
  ListBucketAnalyticsConfigurationsOutput = "ListBucketAnalyticsConfigurationResult",
  ListBucketInventoryConfigurationsOutput = "ListInventoryConfigurationsResult",
  ListBucketMetricsConfigurationsOutput = "ListMetricsConfigurationsResult",
  ListBucketsOutput = "ListAllMyBucketsResult",
  ListDirectoryBucketsOutput = "ListAllMyDirectoryBucketsResult",
  ListMultipartUploadsOutput = "ListMultipartUploadsResult",
  ListObjectVersionsOutput = "ListVersionsResult",
  ListObjectsOutput = "ListBucketResult", ListObjectsV2Output = "ListBucketResult",
  ListPartsOutput = "ListPartsResult",
}

local function varint(n)
  if n < 128 then return string.char(n) end
  local out = {}
  while n >= 128 do
    out[#out + 1] = string.char(n % 128 + 128)
    n = n // 128
  end
  out[#out + 1] = string.char(n)
  return table.concat(out)
end

local function new_pool()
  -- Offset 0 is the empty text.
  return { parts = { "\0" }, size = 1, at = { [""] = 0 } }
end

local function pool_offset(pool, text)
  local at = pool.at[text]
  if not at then
    local entry = varint(#text) .. text
    at = pool.size
    pool.at[text] = at
    pool.parts[#pool.parts + 1] = entry
    pool.size = at + #entry
  end
  return at
end

local function text_of(state, text) return varint(pool_offset(state.pool, text or "")) end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- A trait of a slot: of the reference, else of the shape that it refers to.
local function trait(state, ref, name)
  local value = ref[name]
  if value == nil then
    local shape = state.shapes[ref.shape]
    value = shape and shape[name]
  end
  return value
end

local function namespace_of(value)
  if type(value) == "string" then return value, "" end
  if type(value) == "table" then return value.uri, value.prefix or "" end
end

local function is_flattened(state, ref)
  local shape = state.shapes[ref.shape] or {}
  return (shape.type == "list" or shape.type == "map") and trait(state, ref, "flattened")
end

--- Name of the slot in a message. A structure's own name is for the root only.
local function wire_name(state, name, ref)
  local shape = state.shapes[ref.shape]
  if ref.locationName or shape.type == "structure" then return ref.locationName or name end
  return shape.locationName or name
end

--- Its name in a query request, where that is another: a flattened list without a name
-- of its own goes by the name of its elements.
local function form_name(state, ref)
  local query_name = trait(state, ref, "queryName")
  if query_name then return query_name end
  local shape = state.shapes[ref.shape]
  local own = ref.locationName or shape.locationName
  if not own and shape.type == "list" and is_flattened(state, ref) then
    return shape.member.locationName
  end
end

local function lower_first(text) return (text:gsub("^%u", string.lower)) end

local function add_when(condition, bit) return condition and bit or 0 end

local function name_traits(state, name, wire)
  if not wire or wire == name then return 0, "" end
  if name and wire == lower_first(name) then return SLOT.wire_lower, "" end
  return SLOT.wire, text_of(state, wire)
end

local shape_id

--- One place for a value: see struct slot in engine/model/model.h.
local function encode_slot(state, name, ref, required)
  local id = shape_id(state, ref.shape)
  local wire = name and wire_name(state, name, ref) or ref.locationName
  local bits, tail = name_traits(state, name, wire)
  if state.payloads[ref.shape] and ref.locationName and bits == 0 and not wire:find("^%l") then
    -- The payload's element is named by its member, else by its shape: say which.
    -- A small letter is only Smithy repeating the member's name.
    bits, tail = SLOT.wire, text_of(state, ref.locationName)
  end
  local target = state.shapes[ref.shape]
  local form = form_name(state, ref)
  if form and name then
    bits = bits + SLOT.form
    tail = tail .. text_of(state, form)
  end
  local location = LOCATIONS[ref.location]
  if location then
    bits = bits + SLOT.location
    tail = tail .. string.char(location)
  end
  local uri, prefix = namespace_of(trait(state, ref, "xmlNamespace"))
  if uri then
    bits = bits + SLOT.namespace
    tail = tail .. text_of(state, uri) .. text_of(state, prefix)
  end
  local time = TIMES[trait(state, ref, "timestampFormat")]
  if time and target.type == "timestamp" then
    bits = bits + SLOT.time
    tail = tail .. string.char(time)
  end
  bits = bits + add_when(required, SLOT.required)
    + add_when(is_flattened(state, ref), SLOT.flattened)
    + add_when(trait(state, ref, "xmlAttribute"), SLOT.attribute)
    + add_when(trait(state, ref, "idempotencyToken"), SLOT.token)
    + add_when(trait(state, ref, "streaming"), SLOT.streaming)
    + add_when(trait(state, ref, "jsonvalue"), SLOT.json_value)
    + add_when(ref.hostLabel, SLOT.host_label)
    + add_when(ref.eventpayload, SLOT.event_payload)
    + add_when(ref.eventheader, SLOT.event_header)
    + add_when(ref.deprecated, SLOT.deprecated)
  local head = name and text_of(state, name) or ""
  return head .. varint(id) .. varint(bits) .. tail
end

--- The order that the model asks for in XML, then by name.
local function member_order(shape)
  local order, listed = {}, {}
  for _, name in ipairs(shape.xmlOrder or {}) do
    if shape.members[name] and not listed[name] then
      listed[name] = true
      order[#order + 1] = name
    end
  end
  for _, name in ipairs(sorted_keys(shape.members or {})) do
    if not listed[name] then order[#order + 1] = name end
  end
  return order
end

local function encode_members(state, shape)
  local required, parts, payload = {}, {}, nil
  for _, name in ipairs(shape.required or {}) do required[name] = true end
  local names = member_order(shape)
  for i, name in ipairs(names) do
    if name == shape.payload then payload = i - 1 end
    parts[i] = encode_slot(state, name, shape.members[name], required[name])
  end
  return varint(#names) .. table.concat(parts), payload
end

local function shape_traits(shape)
  local retry = shape.retryable
  return add_when(shape.union, SHAPE.union) + add_when(shape.document, SHAPE.document)
    + add_when(shape.eventstream, SHAPE.event_stream) + add_when(shape.event, SHAPE.event)
    + add_when(shape.sparse, SHAPE.sparse) + add_when(shape.streaming, SHAPE.streaming)
    + add_when(shape.sensitive, SHAPE.sensitive) + add_when(retry, SHAPE.retryable)
    + add_when(type(retry) == "table" and retry.throttling, SHAPE.throttling)
end

local function is_exception(shape) return shape.exception or shape.error or shape.fault end

local function encode_exception(state, name, shape)
  local fault = shape.error or {}
  return add_when(fault.senderFault, SHAPE.sender_fault),
    text_of(state, name) .. text_of(state, fault.code or name)
      .. varint(fault.httpStatusCode or 0)
end

--- botocore checks least lengths and values, no others.
local function least(shape)
  local min = math.tointeger(shape.min)
  if not min or math.abs(min) >= 1 << 30 or (min == 0 and not TYPES[shape.type]) then return end
  local sized = shape.type == "string" or shape.type == "list"
  local number = shape.type == "integer" or shape.type == "long" or shape.type == "float"
    or shape.type == "double"
  if number or (sized and min > 0) then return min end
end

local function encode_shape(state, name, shape)
  local kind = TYPES[shape.type]
  if not kind then
    error(("shape %s has the unknown type %q"):format(name, tostring(shape.type)), 0)
  end
  local bits, head, tail = shape_traits(shape), "", ""
  local min = least(shape)
  if min then
    bits = bits + SHAPE.min
    head = varint(min < 0 and -min * 2 - 1 or min * 2)
  end
  if is_exception(shape) then
    local more, text = encode_exception(state, name, shape)
    bits = bits + SHAPE.exception + more
    head = head .. text
  elseif state.payloads[name] or state.outputs[name] then
    bits = bits + SHAPE.named
    head = head .. text_of(state, shape.locationName or state.roots[name] or name)
  end
  if shape.type == "structure" then
    local members, payload = encode_members(state, shape)
    if payload then
      bits = bits + SHAPE.payload
      head = head .. varint(payload)
    end
    tail = members
  elseif shape.type == "list" then
    tail = encode_slot(state, nil, shape.member)
  elseif shape.type == "map" then
    tail = encode_slot(state, nil, shape.key) .. encode_slot(state, nil, shape.value)
  end
  return string.char(kind) .. varint(bits) .. head .. tail
end

--- Number of a shape. Scalars that encode alike share one; others are numbered when
-- first met, before they are encoded, since shapes may refer to themselves.
function shape_id(state, name)
  local known = state.ids[name]
  if known then return known end
  local shape = state.shapes[name]
  if not shape then error(("the model has no shape %q"):format(tostring(name)), 0) end
  local scalar = shape.type ~= "structure" and shape.type ~= "list" and shape.type ~= "map"
  local record = scalar and encode_shape(state, name, shape)
  local id = record and state.scalars[record]
  if not id then
    id = state.count
    state.count = id + 1
    if record then
      state.scalars[record] = id
      state.records[id] = record
    else
      state.pending[#state.pending + 1] = name
    end
  end
  state.ids[name] = id
  return id
end

local function encode_pending(state)
  while #state.pending > 0 do
    local name = table.remove(state.pending)
    state.records[state.ids[name]] = encode_shape(state, name, state.shapes[name])
  end
end

--- Traits of an operation that the codec's callers want as they are.
local function extra_of(state, op)
  local extra, params = {}, {}
  for _, key in ipairs { "httpChecksum", "staticContextParams", "operationContextParams",
    "requestcompression", "auth", "authtype", "endpointdiscovery", "deprecatedMessage" } do
    extra[key] = op[key]
  end
  local input = op.input and state.shapes[op.input.shape]
  for name, ref in pairs(input and input.members or {}) do
    if ref.contextParam then params[ref.contextParam.name] = name end
  end
  if next(params) then extra.contextParams = params end
  if op.http and op.http.authPath then extra.authPath = op.http.authPath end
  if next(extra) then return codec.cbor(extra) end
end

local function root(state, ref)
  if not (ref and ref.shape) then return varint(0) end
  return varint(shape_id(state, ref.shape) + 1)
end

local function operation_flags(state, op)
  local http = op.httpChecksum or {}
  return add_when(op.readonly, OP.readonly) + add_when(op.idempotent, OP.idempotent)
    + add_when(op.httpChecksumRequired or http.requestChecksumRequired, OP.checksum_required)
    + add_when(op.requestcompression, OP.compressed)
    + add_when(op.unsignedPayload or op.authtype == "v4-unsigned-body", OP.unsigned)
    + add_when(op.deprecated, OP.deprecated)
    + add_when(op.output and trait(state, op.output, "resultWrapper"), OP.result_wrapper)
end

local function encode_operation(state, name, op)
  local http = op.http or {}
  local bits, tail = operation_flags(state, op), ""
  if op.endpoint and op.endpoint.hostPrefix then
    bits = bits + OP.host_prefix
    tail = text_of(state, op.endpoint.hostPrefix)
  end
  local input = op.input or {}
  local uri, prefix = namespace_of(op.input and trait(state, input, "xmlNamespace"))
  local input_name = op.input and state.rest_xml
    and (trait(state, input, "locationName") or input.shape)
  if input_name or uri then
    bits = bits + OP.input_name
    tail = tail .. text_of(state, input_name) .. text_of(state, uri) .. text_of(state, prefix)
  end
  if op.httpChecksum then
    bits = bits + OP.checksum
    tail = tail .. text_of(state, op.httpChecksum.requestAlgorithmMember)
      .. text_of(state, op.httpChecksum.requestValidationModeMember)
  end
  local extra = extra_of(state, op)
  if extra then
    bits = bits + OP.extra
    tail = tail .. varint(#extra) .. extra
  end
  local errors = {}
  for i, ref in ipairs(op.errors or {}) do errors[i] = varint(shape_id(state, ref.shape)) end
  return text_of(state, name) .. text_of(state, http.method or "POST")
    .. text_of(state, http.requestUri or "/") .. varint(bits) .. varint(http.responseCode or 200)
    .. root(state, op.input) .. root(state, op.output) .. tail
    .. varint(#errors) .. table.concat(errors)
end

local function choose_protocol(metadata)
  local offered, mask = metadata.protocols, 0
  if not offered or #offered == 0 then offered = { metadata.protocol } end
  for _, name in ipairs(offered) do
    if PROTOCOLS[name] then mask = mask | 1 << PROTOCOLS[name] end
  end
  for _, name in ipairs(PREFERRED) do
    local number = PROTOCOLS[name]
    if mask & 1 << number ~= 0 then return number, mask end
  end
  error(("no protocol of the model is known: %s"):format(tostring(metadata.protocol)), 0)
end

--- Structures that are the payload of some message: their own name matters in XML.
local function payload_shapes(model)
  local found = {}
  for _, shape in pairs(model.shapes) do
    local ref = shape.payload and shape.members and shape.members[shape.payload]
    if ref then found[ref.shape] = true end
  end
  return found
end

--- Structures that are the output of some operation: theirs is the name of the response's
-- root element.
local function output_shapes(model)
  local found = {}
  for _, op in pairs(model.operations or {}) do
    if op.output then found[op.output.shape] = true end
  end
  return found
end

local function index_operations(state, operations)
  local names, seen = {}, {}
  for key, op in pairs(operations) do
    local name = type(key) == "string" and key or op.name
    if not seen[name] then
      seen[name] = op
      names[#names + 1] = name
    end
  end
  table.sort(names)
  local parts, index, at = {}, {}, 0
  for i, name in ipairs(names) do
    parts[i] = encode_operation(state, name, seen[name])
    index[i] = string.pack("<I4", at)
    at = at + #parts[i]
  end
  return table.concat(parts), table.concat(index), #names
end

local function index_shapes(state)
  local parts, index, at = {}, {}, 0
  for id = 0, state.count - 1 do
    if id % 8 == 0 then index[#index + 1] = string.pack("<I4", at) end
    local record = state.records[id]
    local entry = varint(#record) .. record
    parts[#parts + 1] = entry
    at = at + #entry
  end
  return table.concat(parts), table.concat(index)
end

local function exceptions_of(state)
  local ids, count = {}, 0
  for _, name in ipairs(sorted_keys(state.shapes)) do
    if is_exception(state.shapes[name]) then
      count = count + 1
      ids[count] = varint(shape_id(state, name))
    end
  end
  return table.concat(ids), count
end

--- Packed names of structures, for documentation.
local function names_of(state)
  local names = {}
  for name, id in pairs(state.ids) do
    if state.shapes[name].type == "structure" then names[name] = id end
  end
  return next(names) and codec.pack(names) or ""
end

local function packed(value)
  if type(value) ~= "table" or not next(value) then return "" end
  return codec.pack(value)
end

local function assemble(sections, counts, head)
  local at, table_of, blob = 148, {}, {}
  for i, section in ipairs(sections) do
    table_of[i] = string.pack("<I4I4", at, #section)
    blob[i] = section
    at = at + #section
  end
  local body = string.pack("<I4", VERSION) .. table.concat(table_of) .. counts .. head
    .. table.concat(blob)
  return "DRM1" .. string.pack("<I4I4", #body + 12, codec.crc32(body)) .. body
end

local function head_of(state, metadata, service)
  local protocol, mask = choose_protocol(metadata)
  local namespace = metadata.xmlNamespace
  return string.pack("<BBBB", protocol, mask, metadata.awsQueryCompatible and 1 or 0, 0)
    .. string.pack("<I4I4I4I4I4",
      pool_offset(state.pool, service or metadata.endpointPrefix or ""),
      pool_offset(state.pool, metadata.apiVersion or ""),
      pool_offset(state.pool, metadata.targetPrefix or ""),
      pool_offset(state.pool, metadata.jsonVersion or "1.0"),
      pool_offset(state.pool, namespace_of(namespace) or ""))
end

--- Compiles a model.
-- @param model decoded service model (metadata, operations, shapes)
-- @param parts optional tables `waiters`, `paginators`, `endpoint_rules`, and the
--   `service` name by which messages call it
-- @return the compiled model, a string; raises on a model that contradicts itself
function compiler.compile(model, parts)
  parts = parts or {}
  local metadata = model.metadata or {}
  local state = { shapes = model.shapes or {}, pool = new_pool(), ids = {}, scalars = {},
    records = {}, pending = {}, count = 0 }
  state.payloads = metadata.protocol == "rest-xml" and payload_shapes { shapes = state.shapes }
    or {}
  state.rest_xml = metadata.protocol == "rest-xml"
  state.outputs = state.rest_xml and output_shapes(model) or {}
  state.roots = metadata.serviceId == "S3" and S3_ROOTS or {}
  local head = head_of(state, metadata, parts.service)
  local operations, operation_index, operation_count = index_operations(state,
    model.operations or {})
  local exceptions, exception_count = exceptions_of(state)
  encode_pending(state)
  local shapes, shape_index = index_shapes(state)
  local names = names_of(state)
  local counts = string.pack("<I4I4I4", state.count, operation_count, exception_count)
  return assemble({ table.concat(state.pool.parts), shapes, shape_index, operations,
    operation_index, codec.cbor(metadata), exceptions, packed(parts.waiters),
    packed(parts.paginators), packed(parts.endpoint_rules), names,
    packed(constraints.collect(model)) }, counts, head)
end

return compiler
