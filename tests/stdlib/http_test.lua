local t = require "harness"
local effect = require "effect"
local files = require "files"
local fs = require "native.fs"
local http = require "http"
local json = require "json"
local server = require "native.server"
local task = require "task"

local function serve(fn)
  local srv = assert(server.listen {})
  local acceptor = task.spawn(function()
    while true do
      local req = task.await(srv:accept())
      if not req then return end
      fn(req)
    end
  end)
  t.cleanup(function()
    srv:close()
    acceptor:wait()
  end)
  return ("http://127.0.0.1:%d"):format(srv.port)
end

local function echo(req)
  local body = json.encode { method = req.method, target = req.target, body = req.body,
    type = req:header "Content-Type", token = req:header "X-Token" }
  req:respond { headers = { { "Content-Type", "application/json" }, { "X-A", "1" },
    { "X-A", "2" } }, body = body }
end

t.test("an answer: status, headers, body, json", function()
  local base = serve(echo)
  local answer = http.get(base .. "/a?x=1",
    { query = { b = "c d", a = { 1, 2 } }, headers = { ["X-Token"] = "t" } })
  t.equal(answer.status, 200)
  t.equal(answer.headers["x-a"], "1, 2")
  t.equal(answer:json(),
    { method = "GET", target = "/a?x=1&a=1&a=2&b=c%20d", body = "", token = "t" })
  t.equal(http.head(base).status, 200)
  t.equal(http.delete(base):json().method, "DELETE")
end)

t.test("an answer that is no JSON says what it is", function()
  local base = serve(function(req) req:respond { body = "<html>Bad gateway" } end)
  local answer = http.get(base)
  local e = t.raises("the response is not JSON .*: <html>Bad gateway", answer.json, answer)
  t.equal(e.kind, "invalid")
end)

t.test("bodies: json, form, text", function()
  local base = serve(echo)
  local seen = http.post(base, { json = { a = json.array {} } }):json()
  t.equal({ seen.body, seen.type }, { '{"a":[]}', "application/json" })
  seen = http.post(base, { form = { a = "1&2", b = "ü" } }):json()
  t.equal({ seen.body, seen.type }, { "a=1%262&b=%C3%BC", "application/x-www-form-urlencoded" })
  seen = http.put(base, { body = "x", headers = { ["Content-Type"] = "text/plain" } }):json()
  t.equal({ seen.method, seen.body, seen.type }, { "PUT", "x", "text/plain" })
end)

t.test("a status that is not expected is an error", function()
  local base = serve(function(req)
    req:respond { status = tonumber(req.target:match("%d+")), body = "no  such\nthing" }
  end)
  local function fails(status)
    return t.raises(nil, http.get, ("%s/%d"):format(base, status))
  end
  local e = fails(404)
  t.equal({ e.kind, e.status, e.body, e.retryable }, { "missing", 404, "no  such\nthing", false })
  t.equal(e.message, ("GET to %s returned 404: no such thing"):format(base:match("//(.*)")))
  t.equal({ fails(503).kind, fails(503).retryable, fails(500).retryable }, { "busy", true, true })
  t.equal(fails(403).kind, "denied")
  t.equal(http.get(base .. "/404", { expect = 404 }).status, 404)
  t.equal(http.get(base .. "/404", { expect = { "2xx", "4xx" } }).status, 404)
  t.equal(http.get(base .. "/500", { expect = false }).status, 500)
  t.raises("returned 200", http.get, base .. "/200", { expect = 204 })
end)

t.test("what may have had its effect is not to be tried again", function()
  local base = serve(function(req) req:reset() end)
  t.equal(t.raises("without a response", http.get, base).retryable, true)
  t.equal(t.raises("without a response", http.post, base).retryable, false)
  t.equal(t.raises("without a response", http.post, base, { repeatable = true }).retryable, true)
end)

t.test("failures on the way are errors, to be tried again", function()
  local srv = assert(server.listen {})
  local port = srv.port
  srv:close()
  local e = t.raises("refuses connections", http.get, ("http://127.0.0.1:%d/"):format(port))
  t.equal({ e.kind, e.retryable }, { "refused", true })
  t.raises("is not an http or https URL", http.get, "nonsense")
  t.raises("unknown option \"timout\"; did you mean timeout", http.get, "http://127.0.0.1/",
    { timout = 1 })
  t.raises("unknown option \"read\"", http.post, "http://127.0.0.1/", { read = true })
  t.raises("only one of", http.post, "http://127.0.0.1/", { json = 1, body = "x" })
end)

t.test("the gate: GET and HEAD read, everything else changes; an "
  .. "answer of the journal is one too", function()
  local seen = {}
  local former = effect.install(function(e)
    table.insert(seen, e.operation .. (e.read and " read" or " change"))
    return { status = 200, headers = {}, body = '{"x":1}' }
  end)
  t.cleanup(function() effect.install(former) end)
  t.equal(http.get("http://x/"):json(), { x = 1 })
  http.head "http://x/"
  http.post "http://x/"
  http.get("http://x/", { save_to = "/tmp/x" })
  t.equal(seen, { "GET read", "HEAD read", "POST change", "GET change" })
end)

-- Each is a way in which save_to can fail; the server's side, then the call's options.
local failures = {
  ["a connection that is refused"] = { url = "http://127.0.0.1:1/" },
  ["a name that does not resolve"] = { url = "http://no-such-host.invalid/" },
  ["a status that is not fine"] = { answer = { status = 500, body = "broken" } },
  ["a 2xx that is not expected"] = { answer = { status = 200, body = "other" }, expect = 204 },
  ["a body that is cut"] = { answer = { body = ("new"):rep(1000), cut_after_bytes = 100 } },
  ["a connection that is reset"] = { reset = true },
  ["an answer that does not come"] = { silent = true, timeout = "100ms" },
  ["a task that is cancelled"] = { silent = true, cancelled = true },
  ["a part that cannot be opened"] = { answer = { body = "new" }, blocked = true },
}

local function fail(dir, case)
  local base = case.url or serve(function(req)
    if case.answer then
      req:respond(case.answer)
    elseif case.reset then
      req:reset()
    else
      t.cleanup(function() req:reset() end)
    end
  end)
  if case.blocked then files.mkdir(dir .. "/kept.part") end
  local running = task.spawn(http.get, base,
    { save_to = dir .. "/kept", timeout = case.timeout, expect = case.expect })
  if case.cancelled then
    task.sleep(0.05)
    running:cancel()
  end
  return t.raises(nil, running.wait, running)
end

for what, case in pairs(failures) do
  t.test("save_to leaves the file as it was: " .. what, function()
    files.temporary(function(dir)
      files.write(dir .. "/kept", "old")
      fail(dir, case)
      t.equal(files.read(dir .. "/kept"), "old")
      if case.blocked then files.remove(dir .. "/kept.part") end
      collectgarbage()
      t.equal(files.list(dir), { "kept" })
      files.remove(dir .. "/kept")
      fail(dir, case)
      t.ok(not files.exists(dir .. "/kept"))
    end)
  end)
end

t.test("save_to replaces the contents, not the link, nor the mode, nor a device", function()
  local base = serve(function(req) req:respond { status = 201, body = req.target } end)
  files.temporary(function(dir)
    local owner_and_group = tonumber("640", 8)
    files.write(dir .. "/file", "something longer", { mode = owner_and_group })
    assert(fs.symlink("file", dir .. "/link"))
    http.get(base .. "/new", { save_to = dir .. "/link", expect = 201 })
    t.equal(files.read(dir .. "/file"), "/new")
    t.equal({ fs.lstat(dir .. "/link").type, fs.stat(dir .. "/file").mode },
      { "link", owner_and_group })
    http.get(base .. "/other", { save_to = dir .. "/other" })
    t.equal(files.list(dir), { "file", "link", "other" })
    http.get(base, { save_to = "/dev/null" })
    t.equal(fs.stat("/dev/null").type, "device")
  end)
end)
