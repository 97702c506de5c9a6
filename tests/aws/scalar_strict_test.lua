-- What a service refuses to read, in each place of a request; and that a client still reads
-- the same from a response.
local t = require "harness"
local codec = require "native.model"
local model = require "aws.model"

local SCALARS = { S = { type = "string" }, I = { type = "integer" }, L = { type = "long" },
  D = { type = "double" }, T = { type = "timestamp" }, B = { type = "blob" },
  Y = { type = "boolean" },
  Iso = { type = "timestamp", timestampFormat = "iso8601" }, Http = { type = "timestamp",
    timestampFormat = "rfc822" },
  Unix = { type = "timestamp", timestampFormat = "unixTimestamp" } }

local function make(protocol, location)
  local shapes, members = {}, {}
  for name, shape in pairs(SCALARS) do
    shapes[name] = shape
    members[name] = { shape = name, location = location, locationName = location and name }
  end
  shapes.List, shapes.Map = { type = "list", member = { shape = "S" } },
    { type = "map", key = { shape = "S" }, value = { shape = "S" } }
  shapes.Sparse = { type = "list", member = { shape = "S" }, sparse = true }
  shapes.Times = { type = "list", member = { shape = "T" } }
  if not location then
    members.List, members.Map, members.Sparse = { shape = "List" }, { shape = "Map" },
      { shape = "Sparse" }
  else
    members.Times = { shape = "Times", location = location, locationName = "Times" }
  end
  shapes.In = { type = "structure", members = members }
  shapes.Out = { type = "structure", members = location and {} or members }
  local metadata = { protocol = protocol, apiVersion = "1", targetPrefix = "X",
    jsonVersion = "1.1" }
  return model.from_table { metadata = metadata, shapes = shapes, operations = { Do = { name = "Do",
    input = { shape = "In" },
      output = { shape = "Out", resultWrapper = protocol == "query" and "DoResult" or nil },
      http = { method = "POST", requestUri = "/" } } } }
end

local function read(m, request)
  request.method, request.target = "POST", request.target or "/"
  request.headers, request.body = request.headers or {}, request.body or ""
  return m:parse_request("Do", request)
end

local ISO, HTTP = "2020-01-02T03:04:05Z", "Thu, 02 Jan 2020 03:04:05 GMT"
local AT = 1577934245

-- Member, text, value; nil: refused.
local TEXTS = {
  { "Y", "true", true }, { "Y", "false", false }, { "Y", "yes" }, { "Y", "On" }, { "Y", "0" },
  { "Y", "1" }, { "Y", "" }, { "I", "42", 42 }, { "I", "-1", -1 },
  { "I", "2147483647", 2147483647 }, { "I", "2147483648" },
  { "I", "-2147483649" }, { "I", "0x42" }, { "I", "4.0" }, { "I", "1e3" }, { "I", "2ABC" },
  { "I", "" }, { "I", "+1" }, { "I", "NaN" },
  { "L", "9223372036854775807", math.maxinteger }, { "L", "9223372036854775808" },
  { "L", "-9223372036854775809" }, { "D", "1.5", 1.5 }, { "D", "-1e-3", -0.001 },
  { "D", "Infinity", math.huge }, { "D", "0x1p3" }, { "D", "inf" },
  { "D", "nan" }, { "D", "1.2.3" }, { "D", "." }, { "D", "1e" }, { "D", "true" },
  { "B", "YWI=", "ab" }, { "B", "", "" }, { "B", "xyz" }, { "B", "YWI" }, { "B", "YW I=" },
  { "B", "YW-_" }, { "Iso", ISO, AT }, { "Iso", HTTP }, { "Iso", tostring(AT) },
  { "Iso", "yesterday" }, { "Iso", "2020-13-01T00:00:00Z" },
  { "Http", HTTP, AT }, { "Http", ISO }, { "Http", tostring(AT) },
  { "Unix", tostring(AT), AT }, { "Unix", AT .. ".5", AT + 0.5 }, { "Unix", ISO }, { "Unix", HTTP },
  { "Unix", "0x10" },
}

local function encode(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local PLACES = {
  query = function(name, text)
    return make "query", { body = ("Action=Do&%s=%s"):format(name, encode(text)) }
  end,
  ec2 = function(name, text)
    return make "ec2", { body = ("Action=Do&%s=%s"):format(name, encode(text)) }
  end,
  xml = function(name, text)
    return make "rest-xml", { body = ("<In><%s>%s</%s></In>"):format(name, text, name) }
  end,
  header = function(name, text)
    return make("rest-json", "header"), { headers = { { name, text } } }
  end,
  querystring = function(name, text)
    return make("rest-json", "querystring"), { target = ("/?%s=%s"):format(name, encode(text)) }
  end,
}

for place, request in pairs(PLACES) do
  t.test("texts in the one form that services take: " .. place, function()
    for _, row in ipairs(TEXTS) do
      local m, message = request(row[1], row[2])
      local input, why, kind = read(m, message)
      local what = ("%s = %q"):format(row[1], row[2])
      -- XML and headers trim their values.
      if row[3] == nil then
        t.equal({ input, kind }, { nil, "invalid" }, what)
        t.contains(why, row[1] .. ": ", what)
      else
        t.equal(input and input[row[1]], row[3], what .. ": " .. tostring(why))
      end
    end
  end)
end

t.test("times by their place where the model says nothing", function()
  for place, good in pairs { query = ISO, ec2 = ISO, xml = ISO, header = HTTP,
    querystring = ISO } do
    for _, text in ipairs { ISO, HTTP, tostring(AT) } do
      local input = read(PLACES[place]("T", text))
      t.equal(input and input.T, text == good and AT or nil, place .. " " .. text)
    end
  end
  t.equal(read(make("rest-json", "header"),
    { headers = { { "Times", HTTP .. ", " .. HTTP } } }).Times, { AT, AT })
  t.equal(read(make("rest-json", "header"), { headers = { { "Times", ISO } } }), nil)
  t.equal(read(make("rest-json", "querystring"), { target = "/?Times=" .. encode(ISO) }).Times,
    { AT })
end)

t.test("query and EC2 take true in either case, others do not", function()
  for place, taken in pairs { query = true, ec2 = true, xml = false, header = false,
    querystring = false } do
    for _, text in ipairs { "True", "TRUE", "False" } do
      local input = read(PLACES[place]("Y", text))
      t.equal(input ~= nil, taken, place)
      if taken then t.equal(input.Y, text ~= "False") end
    end
  end
end)

local JSON = {
  { '{"Y":true}', { Y = true } }, { '{"Y":"true"}' }, { '{"Y":1}' }, { '{"Y":"yes"}' },
  { '{"Y":0}' }, { '{"I":42}', { I = 42 } }, { '{"I":"42"}' }, { '{"I":1.5}' },
  { '{"I":2147483648}' }, { '{"I":-2147483649}' },
  { '{"I":true}' }, { '{"I":1e300}' }, { '{"I":{}}' }, { '{"I":[1]}' },
  { '{"L":9223372036854775807}', { L = math.maxinteger } }, { '{"L":9223372036854775808}' },
  { '{"L":"1"}' }, { '{"D":1.5}', { D = 1.5 } }, { '{"D":2}', { D = 2.0 } },
  { '{"D":"Infinity"}', { D = math.huge } }, { '{"D":"1.5"}' },
  { '{"D":true}' },
  { '{"S":"a"}', { S = "a" } }, { '{"S":1}' }, { '{"S":true}' },
  { '{"B":"YWI="}', { B = "ab" } }, { '{"B":"xyz"}' }, { '{"B":"YWI"}' }, { '{"B":1}' },
  { '{"B":[97]}' }, { '{"T":1577934245}', { T = AT } }, { '{"T":1577934245.5}', { T = AT + 0.5 } },
  { '{"T":"2020-01-02T03:04:05Z"}' }, { '{"T":"1577934245"}' }, { '{"T":true}' },
  { '{"Iso":"2020-01-02T03:04:05Z"}', { Iso = AT } }, { '{"Iso":1577934245}' },
  { '{"Iso":"Thu, 02 Jan 2020 03:04:05 GMT"}' },
  { '{"Http":"Thu, 02 Jan 2020 03:04:05 GMT"}', { Http = AT } }, { '{"Http":1577934245}' },
  { '{"List":["a"]}', { List = { "a" } } }, { '{"List":["a",null]}' }, { '{"List":{"a":"b"}}' },
  { '{"List":"a"}' }, { '{"Sparse":["a",null]}', { Sparse = { "a", codec.null } } },
  { '{"Map":{"a":"b"}}', { Map = { a = "b" } } }, { '{"Map":{"a":null}}' }, { '{"Map":["a"]}' },
  { '{"S":null,"List":null}', {} }, { "[]" }, { "null" }, { '{"S":"a"' }, { '{"S":"a"} x' },
}

for _, protocol in ipairs { "json", "rest-json" } do
  t.test("values of JSON in the one form that services take: " .. protocol, function()
    local m = make(protocol)
    for _, row in ipairs(JSON) do
      local input, _, kind = read(m, { body = row[1] })
      t.equal(input, row[2], row[1])
      if not row[2] then t.equal(kind, "invalid", row[1]) end
    end
  end)
end

t.test("values of CBOR likewise", function()
  local m = make "smithy-rpc-v2-cbor"
  for _, row in ipairs {
    { { Y = true }, true }, { { Y = "true" } }, { { Y = 1 } }, { { I = 42 }, true },
    { { I = "42" } }, { { I = 1 << 40 } },
    { { L = 1 << 40 }, true }, { { D = 1.5 }, true }, { { D = "1.5" } }, { { S = "a" }, true },
    { { S = 1 } }, { { T = AT }, true }, { { T = ISO } }, { { List = { "a" } }, true },
    { { List = { "a", codec.null } } }, { { Map = { a = codec.null } } },
    { { Sparse = { "a", codec.null } }, true },
  } do
    local input = read(m, { body = codec.cbor(row[1]) })
    t.equal(input, row[2] and row[1] or nil)
  end
end)

t.test("XML of another root is refused", function()
  local m = make "rest-xml"
  t.equal(read(m, { body = "<In><S>a</S></In>" }), { S = "a" })
  local input, why = read(m, { body = "<Other><S>a</S></Other>" })
  t.equal(input, nil)
  t.contains(why, "the root element is <Other>, not <In>")
end)

t.test("a client reads what services send, in any of these forms", function()
  local function answer(protocol, body)
    return make(protocol):parse("Do", { status = 200, headers = {}, body = body })
  end
  t.equal(answer("json",
    '{"Y":"true","I":"42","D":"1.5","S":1,"T":"2020-01-02T03:04:05Z","Iso":1577934245,'
    .. '"List":["a",null],"Map":{"a":null,"b":"c"},"L":4.0}'),
    { Y = true, I = 42, D = 1.5, S = "1", T = AT, Iso = AT, List = { "a", codec.null },
      Map = { b = "c" }, L = 4 })
  t.equal(answer("query", "<DoResponse><DoResult><Y>TRUE</Y><I> 7 </I><T>1577934245</T><Iso>"
    .. HTTP
    .. "</Iso></DoResult></DoResponse>"), { Y = true, I = 7, T = AT, Iso = AT })
end)
