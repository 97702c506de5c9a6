-- aws.model over small models of our own, and over real ones: validation, errors,
-- bindings, limits.
local json = require "native.json"
local codec = require "native.model"
local model = require "aws.model"
local t = require "harness"

local null = json.null

local function make(protocol, input, output, http, more)
  local shapes = { S = { type = "string" }, I = { type = "integer" }, L = { type = "long" },
    D = { type = "double" }, T = { type = "timestamp" }, B = { type = "blob" },
    Y = { type = "boolean" }, List = { type = "list", member = { shape = "S" } },
    Map = { type = "map", key = { shape = "S" }, value = { shape = "S" } },
    Tree = { type = "structure", members = { kids = { shape = "Trees" }, name = { shape = "S" } } },
    Trees = { type = "list", member = { shape = "Tree" } } }
  for name, shape in pairs(more or {}) do shapes[name] = shape end
  shapes.In, shapes.Out = input, output
  return model.from_table {
    metadata = { protocol = protocol, apiVersion = "2020-01-01", targetPrefix = "Thing",
      jsonVersion = "1.1", endpointPrefix = "thing" },
    operations = { DoIt = { name = "DoIt", http = http or { method = "POST", requestUri = "/" },
      input = input and { shape = "In" }, output = output
      and { shape = "Out", resultWrapper = "DoItResult" },
      errors = { { shape = "Gone" } } } },
    shapes = (function()
      shapes.Gone = { type = "structure", exception = true,
        error = { code = "ThingGone", httpStatusCode = 404, senderFault = true },
        members = { message = { shape = "S" }, Which = { shape = "S" } } }
      return shapes
    end)(),
  }
end

local function structure(members, required)
  return { type = "structure", members = members, required = required }
end

local PROTOCOLS = { "query", "ec2", "json", "rest-json", "rest-xml", "smithy-rpc-v2-cbor" }

t.test("unknown members are refused with the nearest name", function()
  local rds = model.open("rds")
  local e = t.raises(nil, rds.serialize, rds, "PromoteReadReplica",
    { DBInstanceIdentifier = "x", BackupRetentionPerod = 7 })
  t.equal(e.kind, "invalid")
  t.equal(tostring(e),
    'rds.promote_read_replica: unknown member "BackupRetentionPerod"; did you '
      .. 'mean "BackupRetentionPeriod"?')
end)

t.test("all faults of an input are told in one message, with their paths", function()
  local rds = model.open("rds")
  local e = t.raises(nil, rds.serialize, rds, "CreateDBInstance", { AllocatedStorage = "20",
    Tags = { { Key = 5 }, { Valeu = "x" } }, VpcSecurityGroupIds = { "a", extra = 1 },
    DBInstanceClass = "c" })
  for _, part in ipairs { "rds.create_db_instance:", "AllocatedStorage: an "
    .. "integer expected, got string",
    "Tags[1].Key: a string expected, got number",
    'Tags[2]: unknown member "Valeu"; did you mean "Value"?',
    "VpcSecurityGroupIds: a list is expected, got a table with other keys",
    'missing required member "DBInstanceIdentifier"', 'missing required member "Engine"' } do
    t.contains(e, part)
  end
end)

t.test("an unknown operation and an input where none is taken are refused", function()
  local m = make("json")
  t.raises("thing has no operation Nothing", m.serialize, m, "Nothing", {})
  t.raises("takes no input", m.serialize, m, "DoIt", { x = 1 })
  t.ok(m:serialize("DoIt"))
end)

t.test("lengths, least values, unions and times are checked before sending", function()
  local m = make("json", structure { n = { shape = "N" }, s = { shape = "Short" },
    u = { shape = "U" }, t = { shape = "T" } }, nil, nil, { N = { type = "integer", min = 5 },
    Short = { type = "string", min = 3 },
      U = { type = "structure", union = true,
        members = { a = { shape = "S" }, b = { shape = "S" } } } })
  local e = t.raises(nil, m.serialize, m, "DoIt", { n = 4, s = "é", u = { a = "1", b = "2" },
    t = "yesterday" })
  local other = t.raises(nil, m.serialize, m, "DoIt", { s = "ab\xff" })
  t.contains(other, "s: text in UTF-8 is expected")
  t.contains(e, "n: it is below the least value 5")
  t.contains(e, "s: its length is 1, at least 3 is needed")
  t.contains(e, "u: exactly one member must be set")
  t.contains(e, "t: a time is expected")
  t.ok(m:serialize("DoIt", { n = 5, s = "日本語", u = { a = "1" }, t = "2020-01-01T00:00:00Z" }))
end)

t.test("numbers keep every digit in every protocol", function()
  for _, protocol in ipairs(PROTOCOLS) do
    local shape = structure { i = { shape = "L" }, d = { shape = "D" }, when = { shape = "T" } }
    local m = make(protocol, shape, shape)
    local sent = { i = math.mininteger, d = 0.1, when = 1700000000.123456 }
    local request = m:serialize("DoIt", sent)
    local read = assert(m:parse_request("DoIt", { method = request.method, target = request.uri,
      headers = request.headers, body = request.body }))
    t.equal(read.i, sent.i, protocol)
    t.equal(read.d, sent.d, protocol)
    t.ok(math.abs(read.when - sent.when) < 1e-6, protocol)
    local answer = assert(m:serialize_response("DoIt",
      { i = math.maxinteger, d = -1e300, when = 0 }))
    t.equal(m:parse("DoIt", answer), { i = math.maxinteger, d = -1e300, when = 0 }, protocol)
  end
end)

t.test("errors go and come in every protocol with their modeled fields", function()
  for _, protocol in ipairs(PROTOCOLS) do
    local m = make(protocol, structure {}, structure {})
    local answer = assert(m:serialize_error("DoIt",
      { code = "Gone", message = "it <went>", request_id = "id-7",
      fields = { Which = "this & that" } }))
    t.equal(answer.status, 404, protocol)
    local output, err = m:parse("DoIt", answer)
    t.equal(output, nil)
    t.ok(err.code == "ThingGone" or err.code == "Gone", protocol .. err.code)
    t.equal(err.message, "it <went>", protocol)
    t.equal(err.request_id, "id-7", protocol)
    t.equal(err.type, "client", protocol)
    t.equal(err.fields.Which, "this & that", protocol)
  end
end)

t.test("errors without a body, with HTML, or damaged still name their status", function()
  for _, protocol in ipairs(PROTOCOLS) do
    local m = make(protocol, nil, structure {})
    for _, body in ipairs { "", "<html><b>Http/1.1 Service Unavailable</b>", "{\"a\":",
      "\xff\xfe" } do
      local _, err = m:parse("DoIt", { status = 503, headers = {}, body = body })
      t.equal(err.code, "503", protocol)
      t.equal(err.message, "Service Unavailable", protocol)
      t.equal(err.type, "server", protocol)
    end
  end
end)

t.test("an answer that cannot be read is an error, not a half-read table", function()
  for protocol, body in pairs { query = "<a><b></a>", json = '{"s": tru', ["rest-json"] = "[1]",
    ["rest-xml"] = "<a", ["smithy-rpc-v2-cbor"] = "\xa1\x61" } do
    local m = make(protocol, nil, structure { s = { shape = "S" } })
    local output, err = m:parse("DoIt", { status = 200, headers = {}, body = body })
    t.equal(output, nil, protocol)
    t.equal(err.code, "InvalidResponse", protocol)
  end
end)

t.test("XML of every form is read, and what could exhaust memory is refused", function()
  local output_shape = structure { s = { shape = "S" }, list = { shape = "List" } }
  output_shape.locationName = "r"
  local m = make("rest-xml", nil, output_shape)
  local function read(body)
    local output, err = m:parse("DoIt", { status = 200, headers = {}, body = body })
    return output or err.message
  end
  for _, body in ipairs { "<r><s>a&lt;é</s></r>", "<r><s>a&lt;&#xe9;</s></r>",
    "<r><!-- c --><s>a&lt;é</s></r>", "<r><s><![CDATA[a<é]]></s></r>",
    "<?xml version='1.0' encoding='ISO-8859-1'?><r><s>a&lt;\xe9</s></r>",
    "\u{feff}<r><s>a&lt;é</s></r>", "<n:r xmlns:n='u'>\r\n <n:s>a&lt;é</n:s>\t</n:r>\n",
    "<r><?p?><s a='1'>a&lt;é</s></r>",
    "<r><zzz><s>not this</s></zzz><s>a&lt;é</s></r>" } do
    t.equal(read(body), { s = "a<é" }, body)
  end
  t.equal(read("<r><list><member>a</member><member/><member>  </member></list></r>"),
    { list = { "a", "", "  " } })
  t.equal(read("<r><s>a\r\nb</s></r>"), { s = "a\nb" })
  for _, body in ipairs { "<r><s>a</r></s>", "<r><s>&nbsp;</s></r>", "<r a='1' a='2'/>", "<r/><r/>",
    "<r>", "text", "<r>\0</r>", "<r><s>\xff</s></r>", "<r><s>]]></s></r>", "<r><1/></r>",
    "<r a=1/>", "<r><s>\x01</s></r>" } do
    t.contains(read(body), "invalid XML", body)
  end
  t.contains(read('<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r><s>&b;</s></r>'),
    "document type")
end)

t.test("an empty answer has nothing of the one before", function()
  local m = make("query", nil, structure {})
  local body = "<DoItResponse><DoItResult/>"
    .. "<ResponseMetadata><RequestId>first</RequestId></ResponseMetadata></DoItResponse>"
  local output, _, id = m:parse("DoIt", { status = 200, headers = {}, body = body })
  t.equal({ output, id }, { {}, "first" })
  for _, blank in ipairs { "", "\n", " " } do
    output, _, id = m:parse("DoIt", { status = 200, headers = {}, body = blank })
    t.equal({ output, id }, { {}, "" })
  end
end)

t.test("S3 errors inside of a 200 are errors", function()
  local s3 = model.open("s3")
  local body = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
    .. "<Message>We encountered an internal error</Message><RequestId>656</RequestId></Error>"
  for _, op in ipairs { "CopyObject", "CompleteMultipartUpload", "UploadPartCopy" } do
    local output, err = s3:parse(op, { status = 200, headers = {}, body = body })
    t.equal(output, nil)
    t.equal(err.code, "InternalError")
    t.equal(err.type, "server")
    t.equal(err.request_id, "656")
  end
  local where = s3:parse("GetBucketLocation", { status = 200, headers = {},
    body = '<LocationConstraint '
      .. 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-west-2</LocationConstraint>' })
  t.equal(where, { LocationConstraint = "us-west-2" })
end)

t.test("a deep input and a deep answer are refused, not followed", function()
  local shape = structure { tree = { shape = "Tree" } }
  for _, protocol in ipairs(PROTOCOLS) do
    local m = make(protocol, shape, shape)
    local deep = { name = "leaf" }
    for _ = 1, 200 do deep = { kids = { deep } } end
    t.raises("deep", m.serialize, m, "DoIt", { tree = deep })
  end
  local m = make("json", nil, shape)
  local body = '{"tree":' .. ('{"kids":['):rep(5000) .. ("]}"):rep(5000) .. "}"
  local _, err = m:parse("DoIt", { status = 200, headers = {}, body = body })
  t.contains(err.message, "deep")
  m = make("query", nil, shape)
  body = "<r><DoItResult>" .. ("<tree>"):rep(100000) .. ("</tree>"):rep(100000)
    .. "</DoItResult></r>"
  _, err = m:parse("DoIt", { status = 200, headers = {}, body = body })
  t.contains(err.message, "deep")
end)

t.test("documents, nulls and sparse maps survive", function()
  local m = make("rest-json", structure { doc = { shape = "Doc" }, map = { shape = "Sparse" } },
    structure { doc = { shape = "Doc" }, map = { shape = "Sparse" }, list = { shape = "List" } },
    nil, { Doc = { type = "structure", document = true, members = {} },
      Sparse = { type = "map", sparse = true, key = { shape = "S" }, value = { shape = "S" } } })
  local request = m:serialize("DoIt", { doc = { 1, { a = null }, "x" }, map = { a = null } })
  t.equal(json.decode(request.body), { doc = { 1, { a = null }, "x" }, map = { a = null } })
  local body = '{"list":["a",null],"map":{"k":null},"doc":{"n":[]}}'
  t.equal(m:parse("DoIt", { status = 200, headers = {}, body = body }),
    { list = { "a", null }, map = { k = null }, doc = { n = {} } })
end)

t.test("headers are found whatever their case, as a map, as pairs or as lines", function()
  local m = make("rest-json", nil,
    structure { tag = { shape = "S", location = "header", locationName = "X-Tag" },
    code = { shape = "I", location = "statusCode" },
    meta = { shape = "Map", location = "headers", locationName = "x-meta-" } })
  local want = { tag = "v", code = 201, meta = { a = "1" } }
  t.equal(m:parse("DoIt", { status = 201, headers = { ["x-tag"] = "v", ["X-Meta-a"] = "1" },
    body = "" }), want)
  t.equal(m:parse("DoIt", { status = 201, headers = { { "X-TAG", "v" }, { "x-meta-a", "1" } },
    body = "" }), want)
  local lines = "x-TAG:v\r\nno colon\r\nX-Meta-a: 1 \r\n\r\n"
  t.equal(m:parse("DoIt", { status = 201, headers = lines, body = "" }), want)
  t.equal(m:parse("DoIt", { status = 201, headers = lines .. "X-Tag: w\r\nx-tag: x\r\n",
    body = "" }).tag, "v, w, x")
end)

t.test("JSON in a header comes and goes as a table, other JSON as its text", function()
  local shape = structure { j = { shape = "S", location = "header", locationName = "X-J",
    jsonvalue = true } }
  local m = make("rest-json", shape, shape)
  for sent, header in pairs { [{ a = { 1 } }] = "eyJhIjpbMV19", ["true"] = "dHJ1ZQ==" } do
    t.equal(m:serialize("DoIt", { j = sent }).headers["X-J"], header)
    t.equal(m:parse("DoIt", { status = 200, headers = { ["X-J"] = header }, body = "" }),
      { j = sent })
  end
end)

t.test("a header that is no time does not spoil the answer", function()
  local output = assert(model.open("s3"):parse("GetObject", { status = 200, body = "x",
    headers = { Expires = "never", ["Last-Modified"] = "Tue, 29 Apr 2014 18:30:38 GMT" } }))
  t.equal({ output.Expires, output.LastModified, output.Body }, { nil, 1398796238, "x" })
end)

t.test("a header or a path cannot be broken out of", function()
  local m = make("rest-json",
    structure { h = { shape = "S", location = "header", locationName = "X-H" },
    p = { shape = "S", location = "uri", locationName = "p" } }, nil, { method = "GET",
    requestUri = "/a/{p}" })
  t.raises("line break", m.serialize, m, "DoIt", { p = "x", h = "a\r\nInjected: b" })
  local maps = make("rest-json",
    structure { h = { shape = "Map", location = "headers", locationName = "x-" } })
  for key, value in pairs { ["a: b\r\nc"] = "v", ["a b"] = "v", a = "v\nc: d" } do
    t.raises("cannot be sent as headers", maps.serialize, maps, "DoIt", { h = { [key] = value } })
  end
  t.equal(m:serialize("DoIt", { p = "../x?y#z" }).uri, "/a/..%2Fx%3Fy%23z")
  t.raises("must not be empty", m.serialize, m, "DoIt", { p = "" })
end)

t.test("a stream from a file goes through untouched, with its checksum", function()
  local s3 = model.open("s3")
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(("x"):rep(100000), "hello")
  file:close()
  t.cleanup(function() os.remove(path) end)
  local request = s3:serialize("PutObject", { Bucket = "b", Key = "k",
    Body = { file = path, offset = 100000, length = 5 } })
  t.equal(request.body.file, path)
  t.equal(request.headers["x-amz-checksum-crc32"], "NhCmhg==") -- of "hello"
  t.raises("cannot read", s3.serialize, s3, "PutObject",
    { Bucket = "b", Key = "k", Body = { file = "/nowhere/x" } })
end)

t.test("idempotency tokens are filled in where absent, and the input is not changed", function()
  local backup, input = model.open("backup"), { RecoveryPointArn = "arn", Metadata = {} }
  t.equal(backup:operation("StartRestoreJob").idempotency_token, "IdempotencyToken")
  local request = backup:serialize("StartRestoreJob", input, { idempotency_token = "token-1" })
  t.equal(json.decode(request.body).IdempotencyToken, "token-1")
  t.equal(input.IdempotencyToken, nil)
  local m = make("json", structure { token = { shape = "S", idempotencyToken = true } })
  t.equal(json.decode(m:serialize("DoIt", {}, { idempotency_token = "T" }).body).token, "T")
  t.equal(#json.decode(m:serialize("DoIt", {}).body).token, 36)
  t.equal(json.decode(m:serialize("DoIt", { token = "mine" },
    { idempotency_token = "T" }).body).token, "mine")
end)

t.test("request compression above a threshold", function()
  local cloudwatch = model.open("cloudwatch")
  local data = {}
  for i = 1, 400 do data[i] = { MetricName = "requests-" .. i, Value = i } end
  local request = cloudwatch:serialize("PutMetricData", { Namespace = "n", MetricData = data })
  t.equal(request.headers["Content-Encoding"], "gzip")
  local plain = require("native.gzip").decompress(request.body)
  t.contains(plain, "requests-400")
  request = cloudwatch:serialize("PutMetricData", { Namespace = "n", MetricData = { data[1] } })
  t.equal(request.headers["Content-Encoding"], nil)
end)

t.test("a service's other protocols are spoken when asked for", function()
  local cloudwatch = model.open("cloudwatch")
  for _, protocol in ipairs { "query", "json", "smithy-rpc-v2-cbor" } do
    local request = cloudwatch:serialize("DescribeAlarms", { AlarmNames = { "a" } },
      { protocol = protocol })
    local operation, spoken = cloudwatch:route(request.method, request.uri, request.headers,
      request.body)
    t.equal({ operation, spoken }, { "DescribeAlarms", protocol })
    t.equal(cloudwatch:parse_request(operation, { method = request.method, target = request.uri,
      headers = request.headers, body = request.body }, { protocol = spoken }),
      { AlarmNames = { "a" } })
  end
  t.raises("does not speak", cloudwatch.serialize, cloudwatch, "DescribeAlarms", {},
    { protocol = "rest-xml" })
end)

t.test("the slash at the end of a path may be missing, as Smithy's clients leave it", function()
  local backup, route53 = model.open("backup"), model.open("route53")
  t.equal(backup:route("GET", "/backup-vaults/v/recovery-points/", {}, ""),
    "ListRecoveryPointsByBackupVault")
  t.equal(backup:route("GET", "/backup-vaults/v/recovery-points", {}, ""),
    "ListRecoveryPointsByBackupVault")
  t.equal(backup:route("GET", "/backup-vaults/v", {}, ""), "DescribeBackupVault")
  t.equal(backup:route("GET", "/backup-vaults", {}, ""), "ListBackupVaults")
  t.equal(route53:route("POST", "/2013-04-01/hostedzone/Z1/rrset", {}, ""),
    "ChangeResourceRecordSets")
  t.equal(route53:parse_request("ListResourceRecordSets",
    { method = "GET", target = "/2013-04-01/hostedzone/Z1/rrset",
    headers = {}, body = "" }), { HostedZoneId = "Z1" })
end)

local function frame(headers, payload)
  local crypto = require "native.crypto"
  local head = {}
  for _, pair in ipairs(headers) do
    head[#head + 1] = string.pack(">s1Bs2", pair[1], 7, pair[2])
  end
  head = table.concat(head)
  local prelude = string.pack(">I4I4", 16 + #head + #payload, #head)
  prelude = prelude .. string.pack(">I4", crypto.crc32(prelude))
  local message = prelude .. head .. payload
  return message .. string.pack(">I4", crypto.crc32(message))
end

t.test("event streams are read, and a damaged one is refused", function()
  local s3 = model.open("s3")
  local body = frame({ { ":message-type", "event" }, { ":event-type", "Records" } }, "a,b\n")
    .. frame({ { ":message-type", "event" }, { ":event-type", "End" } }, "")
  local output = s3:parse("SelectObjectContent", { status = 200, headers = {}, body = body })
  t.equal(output, { Payload = { { Records = { Payload = "a,b\n" } }, { End = {} } } })
  for _, broken in ipairs { body:sub(1, -2), (body:gsub("a,b", "a;b")) } do
    local _, err = s3:parse("SelectObjectContent", { status = 200, headers = {}, body = broken })
    t.contains(err.message, "event stream")
  end
end)

t.test("a damaged compiled model is refused", function()
  local compiler = require "aws.compiler"
  local bytes = compiler.compile({ metadata = { protocol = "json" },
    shapes = { S = { type = "string" }, In = structure { a = { shape = "S" } } },
    operations = { Op = { input = { shape = "In" } } } })
  t.ok(codec.load(bytes))
  for _, wrong in ipairs { "", "DRM1", bytes:sub(1, -2), bytes .. "x", "XXXX" .. bytes:sub(5),
    bytes:sub(1, 150) .. string.char(bytes:byte(151) ~ 1) .. bytes:sub(152) } do
    local m, why, kind = codec.load(wrong)
    t.equal(m, nil)
    t.equal(kind, "corrupt")
    t.ok(#why > 10)
  end
  -- With the checksum made right again, whatever is inside must not be followed.
  for at = 17, #bytes do
    for _, bit in ipairs { 1, 128 } do
      local body = bytes:sub(13, at - 1) .. string.char(bytes:byte(at) ~ bit) .. bytes:sub(at + 1)
      local m = codec.load("DRM1" .. string.pack("<I4I4", #bytes, codec.crc32(body)) .. body)
      for _, name in ipairs(m and m:operations() or {}) do
        m:operation(name)
        m:serialize(name, { a = "x" })
        m:parse(name, { status = 400, headers = {}, body = '{"__type":"x"}' })
      end
    end
  end
end)

t.test("a model that binds a value where it cannot stand makes an error", function()
  for _, ref in ipairs { { shape = "S", location = "headers" },
    { shape = "Map", location = "header" }, { shape = "Tree", location = "querystring" },
    { shape = "Trees", location = "header" } } do
    local m = make("rest-json", structure { v = ref }, structure { v = ref })
    for _, value in ipairs { "x", { a = "x" }, { { name = "x" } }, {} } do
      pcall(m.serialize, m, "DoIt", { v = value })
      m:serialize_response("DoIt", { v = value })
    end
  end
  local m = make("rest-json", { type = "list", member = { shape = "S" } })
  t.raises("damaged", m.serialize, m, "DoIt", { "a" })
end)

t.test("a model that contradicts itself is not compiled", function()
  t.raises("no shape", model.from_table, { metadata = { protocol = "json" },
    operations = { A = { input = { shape = "X" } } } })
  t.raises("unknown type", model.from_table,
    { metadata = { protocol = "json" }, shapes = { X = { type = "wave" } },
    operations = { A = { input = { shape = "X" } } } })
  t.raises("no protocol", model.from_table, { metadata = { protocol = "soap" } })
end)

t.test("a request of another version of the query protocol's API routes nowhere", function()
  local rds = model.open("rds")
  local function route(body) return (rds:route("POST", "/", {}, body)) end
  t.equal(route "Action=DescribeDBInstances&Version=2014-10-31", "DescribeDBInstances")
  t.equal(route "Action=DescribeDBInstances", "DescribeDBInstances")
  t.equal(route "Action=DescribeDBInstances&Version=2010-01-01", nil)
  t.equal(route "Version=2014-10-31", nil)
end)
