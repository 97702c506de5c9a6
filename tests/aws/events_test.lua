-- Event streams in requests: frames, read back by the reader of responses, and signatures,
-- by AWS's own vectors.
local t = require "harness"
local aws = require "aws"
local clock = require "native.clock"
local crypto = require "native.crypto"
local events = require "aws.events"
local fake = require "fake"
local lane = require "aws.lane"
local model = require "aws.model"
local sigv4 = require "aws.sigv4"

fake.own_settings()

t.test("a frame is written byte for byte", function()
  t.equal(crypto.hex(events.frame("", "{'foo':'bar'}")),
    "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936")
  t.equal(crypto.hex(events.frame("", "")), "000000100000000005c248eb7d98c8ff")
end)

local function signature_of(frame)
  local headers = string.unpack(">I4", frame, 5)
  local name, kind, _, again, type_of, signature = string.unpack(">s1Bi8s1Bs2", frame, 13)
  t.equal({ name, kind, again, type_of, headers },
    { ":date", 8, ":chunk-signature", 6, #frame:sub(13, 12 + headers) })
  return crypto.hex(signature), frame:sub(13 + headers, -5)
end

t.test("an event is signed as the AWS SDKs sign theirs", function()
  local inner = events.frame(string.pack(">s1Bs2", "some-header", 7, "value"), "test payload")
  local body = events.sign(inner, { secret_access_key = "fake secret key", region = "us-east-1",
    service = "testservice", seconds = 123456789,
    signature = crypto.hex(crypto.sha256("last message sts")) })
  local frames = {}
  for frame in events.frames(body) do table.insert(frames, frame) end
  t.equal(#frames, 2, "the event, and an empty one at the end")
  local signature, payload = signature_of(frames[1])
  t.equal(signature, "1ea04a4f6becd85ae3e38e379ffaf4bb95042603f209512476cc6416868b31ee")
  t.equal(payload, inner)
  local last, empty = signature_of(frames[2])
  t.equal(empty, "")
  t.ok(last ~= signature)
end)

local function make(protocol)
  local shapes = { S = { type = "string" }, I = { type = "integer" }, L = { type = "long" },
    T = { type = "timestamp" }, B = { type = "blob" }, Y = { type = "boolean" },
    Plain = { type = "structure", members = { text = { shape = "S" }, number = { shape = "I" } } },
    Bytes = { type = "structure", members = { data = { shape = "B", eventpayload = true },
      kind = { shape = "S", eventheader = true } } },
    Words = { type = "structure", members = { words = { shape = "S", eventpayload = true } } },
    Nested = { type = "structure", members = { inner = { shape = "Plain", eventpayload = true } } },
    Heads = { type = "structure", members = { s = { shape = "S", eventheader = true },
      i = { shape = "I", eventheader = true }, l = { shape = "L", eventheader = true },
      t = { shape = "T", eventheader = true }, b = { shape = "B", eventheader = true },
      y = { shape = "Y", eventheader = true }, n = { shape = "Y", eventheader = true } } },
    Empty = { type = "structure", members = {} },
    Stream = { type = "structure", eventstream = true, members = { plain = { shape = "Plain" },
      bytes = { shape = "Bytes" }, words = { shape = "Words" }, nested = { shape = "Nested" },
      heads = { shape = "Heads" }, empty = { shape = "Empty" } } },
    In = { type = "structure", payload = "stream", required = { "stream" },
      members = { stream = { shape = "Stream" },
        id = { shape = "S", location = "header", locationName = "x-id" } } },
    Out = { type = "structure", payload = "stream", members = { stream = { shape = "Stream" } } } }
  for name, shape in pairs(shapes) do
    if shape.members and name ~= "Stream" and name:find "^[PBWNHE]" then shape.event = true end
  end
  return model.from_table { metadata = { protocol = protocol, apiVersion = "1",
    endpointPrefix = "x" }, shapes = shapes,
    operations = { Do = { name = "Do", http = { method = "POST", requestUri = "/do" },
      input = { shape = "In" },
      output = { shape = "Out" } } } }
end

local ALL = {
  { plain = { text = "a\"<é", number = 7 } }, { plain = {} },
  { bytes = { data = "\0\1\255", kind = "audio" } },
  { bytes = { kind = "none" } }, { words = { words = "plain text" } },
  { nested = { inner = { text = "x" } } },
  { heads = { s = "héad", i = -5, l = 1 << 40, t = 1577934245.5, b = "\0", y = true, n = false } },
  { heads = {} }, { empty = {} },
}

-- What a reader makes of members that were not sent.
local function read_form(event)
  if event.bytes and not event.bytes.data then
    return { bytes = { data = "", kind = event.bytes.kind } }
  end
  return event
end

for _, protocol in ipairs { "rest-json", "rest-xml" } do
  t.test("every kind of event is read back as it was written: " .. protocol, function()
    local m = make(protocol)
    local expected = {}
    for i, event in ipairs(ALL) do expected[i] = read_form(event) end
    local request = m:serialize("Do", { stream = ALL, id = "one" })
    t.equal({ request.event_stream, request.headers["Content-Type"], request.headers["x-id"] },
      { true, "application/vnd.amazon.eventstream", "one" })
    t.equal(m:parse("Do", { status = 200, headers = {}, body = request.body }),
      { stream = expected })
    local answer = m:serialize_response("Do", { stream = ALL })
    t.equal(m:parse("Do", answer), { stream = expected }, "a simulator's too")
    t.equal(m:serialize("Do", { stream = {} }).body, "")
  end)
end

t.test("what is no stream is refused before it is sent", function()
  local m = make "rest-json"
  for _, row in ipairs {
    { {}, 'missing required member "stream"' },
    { { stream = { plain = {} } }, "stream: a list of events is expected" },
    { { stream = { "x" } }, "stream[1]: a table expected, got string" },
    { { stream = { { plain = {}, empty = {} } } }, "stream[1]: exactly one member must be set" },
    { { stream = { {} } }, "stream[1]: exactly one member must be set" },
    { { stream = { { plain = {} }, { plan = {} } } },
      'stream[2]: unknown member "plan"; did you mean "plain"?' },
    { { stream = { { plain = { text = 5 } } } }, "stream[1].plain.text: a string expected" },
    { { stream = { { heads = { s = ("x"):rep(40000) } } } }, "32767 bytes at most" },
  } do
    local e = t.raises(nil, m.serialize, m, "Do", row[1])
    t.contains(e, row[2])
  end
end)

t.test("every operation of AWS that takes a stream is written and read back", function()
  local checked = 0
  for _, service in ipairs { "lexv2-runtime", "polly", "bedrock-runtime", "qbusiness",
    "connecthealth" } do
    local m = model.open(service)
    for _, name in ipairs(m:operations()) do
      local op = m:operation(name)
      local member = op.payload and op.input and (function()
        for _, each in ipairs(m:shape(op.input).members) do
          if each.name == op.payload then return each end
        end
      end)()
      local stream = member and m:shape(member.shape)
      if stream and stream.event_stream then
        local input = require("values").new(m, 5):value(op.input)
        input[member.name] = {}
        for _, each in ipairs(stream.members) do
          table.insert(input[member.name],
            { [each.name] = require("values").new(m, 5):value(each.shape) })
        end
        local request = m:serialize(name, input)
        local n = 0
        for _ in events.frames(request.body) do n = n + 1 end
        t.equal(n, #stream.members, name)
        checked = checked + 1
      end
    end
  end
  t.ok(checked >= 4, checked .. " operations")
end)

t.test("on the wire: the request is signed for a stream, and "
  .. "its events in a chain from it", function()
  lane.reset()
  local server = fake.start { { reset = true }, { headers = { { "x-amzn-RequestId", "r" } } } }
  t.cleanup(function() server:close() end)
  local polly = aws.polly { region = "us-east-1", endpoint_url = server.url, credentials = {
    access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", session_token = "token" } }
  local stream = { { TextEvent = { Text = "hello" } }, { CloseStreamEvent = {} } }
  local input = { VoiceId = "Joanna", OutputFormat = "mp3", Engine = "generative",
    ActionStream = stream }
  local _, e = polly:try("start_speech_synthesis_stream", input)
  t.equal({ e.status, e.doubtful }, { nil, true })
  polly:start_speech_synthesis_stream(input)
  local request = server.requests[2]
  t.equal(fake.header(request, "x-amz-content-sha256"), events.PAYLOAD)
  t.equal(fake.header(request, "content-type"), "application/vnd.amazon.eventstream")
  t.equal(fake.header(request, "x-amz-security-token"), "token")
  local at = fake.header(request, "x-amz-date")
  local again = sigv4.sign { method = request.method, uri = request.target, body = "",
    payload_hash = events.PAYLOAD,
    headers = (function()
      local signed, list = fake.header(request, "authorization"):match("SignedHeaders=([^,]+)"), {}
      for name in signed:gmatch "[^;]+" do
        table.insert(list, { name, fake.header(request, name) })
      end
      return list
    end)(), region = "us-east-1", service = "polly", time = at,
    credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret",
      session_token = "token" } }
  t.contains(fake.header(request, "authorization"), "Signature=" .. again.signature)
  local plain = polly:serialize(polly:operation "StartSpeechSynthesisStream", input).body
  t.equal(request.body,
    events.sign(plain, { secret_access_key = "secret", region = "us-east-1", service = "polly",
    seconds = math.floor(clock.parse(at)), signature = again.signature }))
end)
