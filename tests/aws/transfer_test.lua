-- Downloads and uploads of S3 against a small S3 of the test's own.
local t = require "harness"
local aws = require "aws"
local clock = require "native.clock"
local crypto = require "native.crypto"
local effect = require "effect"
local fake = require "fake"
local fs = require "native.fs"
local lane = require "aws.lane"
local task = require "task"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }

local function bytes(count)
  local parts = {}
  for i = 1, count // 16 + 1 do parts[i] = ("%015d\n"):format(i * 7919) end
  return table.concat(parts):sub(1, count)
end

local function folder()
  local path = assert(fs.tempdir("drlua-test"))
  t.cleanup(function()
    for _, name in ipairs(fs.list(path) or {}) do fs.remove(path .. "/" .. (name.name or name)) end
    fs.remove(path)
  end)
  return path
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local data = file:read("a")
  file:close()
  return data
end

-- An object as S3 gives it: HEAD, ranges, If-Match. store: { data, etag, headers }.
local function object(store, request)
  local match = fake.header(request, "if-match")
  if match and match ~= store.etag then
    return { status = 412, body = "<Error><Code>PreconditionFailed</Code><Message>At "
      .. "least one</Message></Error>" }
  end
  local headers = { { "ETag", store.etag }, { "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT" } }
  for _, pair in ipairs(store.headers or {}) do table.insert(headers, pair) end
  local part = request.target:match("partNumber=(%d+)")
  if request.method == "HEAD" then
    -- The server sends the length of this body, and no body.
    return { headers = headers, body = part and store.data:sub(1, store.part_bytes) or store.data }
  end
  local first, last = fake.header(request, "range"):match("bytes=(%d+)-(%d+)")
  return { status = 206, headers = headers, body = store.data:sub(first + 1, last + 1) }
end

local function start(script)
  lane.reset()
  local server = fake.start(script)
  t.cleanup(function() server:close() end)
  local time = { now = clock.now, monotonic = clock.monotonic, parse = clock.parse,
    random = math.random,
    sleep = function() task.yield() end }
  return aws.s3 { region = "us-west-2", endpoint_url = server.url, credentials = KEYS,
    clock = time }, server
end

local function plain(data, headers)
  return { data = data, etag = '"' .. crypto.hex(crypto.md5(data)) .. '"', headers = headers }
end

t.test("an object is fetched in ranges side by side, verified and renamed", function()
  local store = plain(bytes(100000))
  local s3, server = start(function(request) return object(store, request) end)
  local path = folder() .. "/dump.gz"
  local events = {}
  local done = s3:download { Bucket = "dumps", Key = "a/b.gz", path = path, part_bytes = 16384,
    together = 4,
    on_progress = function(event) table.insert(events, event.done_bytes) end }
  t.equal(read(path), store.data)
  t.equal(done.bytes, 100000)
  t.equal(done.verified, "ETag (MD5)")
  t.equal(events[1], 0)
  t.equal(events[#events], 100000)
  t.equal(#server.requests, 8, "a HEAD and seven ranges")
  t.equal(fs.stat(path .. ".part"), nil)
  t.equal(fs.stat(path .. ".state"), nil)
end)

t.test("a cut costs a part, and a later call goes on where the first one ended", function()
  local store, broken, gets = plain(bytes(100000)), true, 0
  local s3, server = start(function(request)
    if request.method == "GET" then
      gets = gets + 1
      if broken and gets > 3 then return { reset = true } end
    end
    return object(store, request)
  end)
  local path = folder() .. "/dump.gz"
  local request = { Bucket = "dumps", Key = "x", path = path, part_bytes = 16384, together = 1 }
  local e = t.raises("drops connections", s3.download, s3, request)
  t.equal(e.retryable, true)
  t.equal(fs.stat(path), nil)
  broken = false
  local before = #server.requests
  local done = s3:download(request)
  t.equal(read(path), store.data)
  t.equal(done.resumed_bytes, 3 * 16384)
  t.equal(#server.requests - before, 1 + 4, "a HEAD and the four missing ranges")
end)

t.test("another version of the object starts anew", function()
  local store = plain(bytes(50000))
  local stop_after, gets = 2, 0
  local s3 = start(function(request)
    if request.method == "GET" then
      gets = gets + 1
      if gets > stop_after then
        return { status = 403, body = "<Error><Code>AccessDenied</Code></Error>" }
      end
    end
    return object(store, request)
  end)
  local path = folder() .. "/dump.gz"
  local request = { Bucket = "dumps", Key = "x", path = path, part_bytes = 16384, together = 1 }
  t.raises("AccessDenied", s3.download, s3, request)
  store, stop_after = plain(bytes(50000):reverse()), 100
  t.equal(s3:download(request).resumed_bytes, 0)
  t.equal(read(path), store.data)
end)

t.test("an object that is replaced meanwhile is told, not mixed", function()
  local store, gets = plain(bytes(50000)), 0
  local s3 = start(function(request)
    if request.method == "GET" then
      gets = gets + 1
      if gets == 2 then store = plain(bytes(50000):reverse()) end
    end
    return object(store, request)
  end)
  local path = folder() .. "/dump.gz"
  t.raises("was replaced while it was being downloaded", s3.download, s3,
    { Bucket = "dumps", Key = "x", path = path, part_bytes = 16384, together = 1 })
  t.equal(fs.stat(path), nil)
end)

t.test("damage is found by whatever S3 knows of the object", function()
  local data = bytes(40000)
  local wrong = crypto.hex(crypto.sha256("other"))
  for what, store in pairs {
    ["sha256"] = { data = data, etag = '"x-1"', headers = { { "x-amz-meta-sha256", wrong } } },
    ["ETag (MD5)"] = { data = data, etag = '"' .. crypto.hex(crypto.md5("other")) .. '"' },
    ["crc32"] = { data = data, etag = '"x-1"',
      headers = { { "x-amz-checksum-crc32", crypto.base64("\0\0\0\0") },
      { "x-amz-checksum-type", "FULL_OBJECT" } } },
  } do
    local s3 = start(function(request) return object(store, request) end)
    local path = folder() .. "/dump"
    local e = t.raises("does not match its", s3.download, s3,
      { Bucket = "b", Key = "k", path = path })
    t.equal(e.kind, "corrupt")
    t.contains(e.message, what)
    t.equal(fs.stat(path), nil)
  end
end)

t.test("and what is whole is known to be", function()
  local data = bytes(40000)
  local crc = (">I4"):pack(crypto.crc32(data))
  local half = crypto.md5(data:sub(1, 20000)) .. crypto.md5(data:sub(20001))
  for what, store in pairs {
    ["sha256"] = { data = data, etag = '"x"',
      headers = { { "x-amz-meta-sha256", crypto.hex(crypto.sha256(data)) } } },
    ["crc32"] = { data = data, etag = '"x"',
      headers = { { "x-amz-checksum-crc32", crypto.base64(crc) },
      { "x-amz-checksum-type", "FULL_OBJECT" } } },
    ["ETag (MD5 of parts)"] = { data = data, etag = '"' .. crypto.hex(crypto.md5(half)) .. '-2"',
      part_bytes = 20000 },
    ["length only"] = { data = data, etag = '"' .. crypto.hex(crypto.md5("other")) .. '"',
      headers = { { "x-amz-server-side-encryption", "aws:kms" } } },
  } do
    local s3 = start(function(request) return object(store, request) end)
    t.equal(s3:download({ Bucket = "b", Key = "k", path = folder() .. "/dump" }).verified, what)
  end
end)

t.test("an empty object makes an empty file", function()
  local store = plain("")
  local s3 = start(function(request) return object(store, request) end)
  local path = folder() .. "/empty"
  t.equal(s3:download({ Bucket = "b", Key = "k", path = path }).bytes, 0)
  t.equal(read(path), "")
end)

t.test("an object that is not there", function()
  local s3 = start { status = 404 }
  t.raises("s3.HeadObject of b/k in us%-west%-2 failed", s3.download, s3,
    { Bucket = "b", Key = "k", path = folder() .. "/x" })
  t.equal(s3:head("b", "k"), nil)
  t.raises("s3:download needs path", s3.download, s3, { Bucket = "b", Key = "k" })
  t.raises("unknown option pth; did you mean path%?", s3.download, s3,
    { Bucket = "b", Key = "k", path = "x", pth = "y" })
end)

t.test("under a handler a download is one effect that plan can stop", function()
  local s3, server = start { status = 500 }
  local seen
  local former = effect.install(function(e) seen = e return "stopped" end)
  t.cleanup(function() effect.install(former) end)
  t.equal(s3:download { Bucket = "b", Key = "k", path = "/nonexistent/x" }, "stopped")
  t.equal(seen.read, false)
  t.equal(seen.what, "download s3://b/k to /nonexistent/x")
  t.equal(#server.requests, 0)
end)

t.test("a handler hears how far a download is", function()
  local store = plain(bytes(40000))
  local s3 = start(function(request) return object(store, request) end)
  local heard = {}
  local former = effect.install(function(e, fn)
    e.progress = function(text) table.insert(heard, text) end
    return fn()
  end)
  t.cleanup(function() effect.install(former) end)
  s3:download { Bucket = "b", Key = "k", path = folder() .. "/x", part_bytes = 10000, together = 1 }
  t.equal(heard, { "0% of 39.1 KiB", "25% of 39.1 KiB", "50% of 39.1 KiB", "75% of 39.1 KiB",
    "100% of 39.1 KiB" })
end)

-- Uploads

local function receiver()
  local parts = {}
  local state = { parts = parts }
  return state, function(request)
    local number = request.target:match("partNumber=(%d+)")
    if request.method == "PUT" and number then
      if state.fail_at == tonumber(number) then
        return { status = 403, body = "<Error><Code>AccessDenied</Code></Error>" }
      end
      parts[tonumber(number)] = request.body
      state.checksum = fake.header(request, "x-amz-checksum-crc32")
      return { headers = { { "ETag", '"' .. number .. '"' } } }
    elseif request.method == "PUT" then
      state.whole, state.headers = request.body, request.headers
      return { headers = { { "ETag", '"w"' } } }
    elseif request.method == "DELETE" then
      state.aborted = true
      return { status = 204 }
    elseif request.target:find("uploads", 1, true) then
      return { body = "<InitiateMultipartUploadResult><UploadId>u-1</UploadId>"
        .. "</InitiateMultipartUploadResult>" }
    end
    state.completed = request.body
    return { body = '<CompleteMultipartUploadResult><ETag>"done-2"</ETag>'
      .. '</CompleteMultipartUploadResult>' }
  end
end

local function file_of(data)
  local path = folder() .. "/source"
  assert(fs.write(path, data))
  return path
end

t.test("a small file is one request with its checksum", function()
  local state, script = receiver()
  local s3 = start(script)
  local data = bytes(5000)
  local done = s3:upload { Bucket = "b", Key = "k", path = file_of(data),
    Metadata = { sha256 = "abc" } }
  t.equal(state.whole, data)
  t.equal(done.parts, 1)
  t.equal(done.etag, '"w"')
  local headers = {}
  for _, pair in ipairs(state.headers) do headers[pair[1]:lower()] = pair[2] end
  t.equal(headers["x-amz-meta-sha256"], "abc")
  t.equal(headers["x-amz-checksum-crc32"], crypto.base64((">I4"):pack(crypto.crc32(data))))
end)

t.test("a large file goes in parts, put together in order", function()
  local state, script = receiver()
  local s3 = start(script)
  local data = bytes(50000)
  local done = s3:upload { Bucket = "b", Key = "k", path = file_of(data), part_bytes = 16384 }
  t.equal(table.concat(state.parts), data)
  t.equal(done.parts, 4)
  t.equal(done.etag, '"done-2"')
  local order = {}
  for number in state.completed:gmatch("<PartNumber>(%d+)") do
    table.insert(order, tonumber(number))
  end
  t.equal(order, { 1, 2, 3, 4 })
  t.ok(state.checksum)
end)

t.test("a failed upload leaves no parts behind", function()
  local state, script = receiver()
  state.fail_at = 2
  local s3 = start(script)
  t.raises("AccessDenied", s3.upload, s3, { Bucket = "b", Key = "k", path = file_of(bytes(50000)),
    part_bytes = 16384 })
  t.equal(state.aborted, true)
  t.equal(state.completed, nil)
end)

t.test("a file that is not there is an error before anything is sent", function()
  local s3, server = start { status = 500 }
  t.raises("/nonexistent/x", s3.upload, s3, { Bucket = "b", Key = "k", path = "/nonexistent/x" })
  t.equal(#server.requests, 0)
end)
