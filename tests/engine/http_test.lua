-- native.http against native.server, raw sockets and openssl's own server.
local t = require "harness"
local fs = require "native.fs"
local http = require "native.http"
local process = require "native.process"
local server = require "native.server"
local sys = require "native.sys"
local task = require "task"

-- A server whose requests fn answers, each in a task of its own.
local function serve(fn, options)
  local srv = assert(server.listen(options or {}))
  local handlers = {}
  local acceptor = task.spawn(function()
    while true do
      local req = task.await(srv:accept())
      if not req then return end
      table.insert(handlers, task.spawn(fn, req))
    end
  end)
  t.cleanup(function()
    srv:close()
    acceptor:wait()
    for _, handler in ipairs(handlers) do
      handler:cancel()
      pcall(handler.wait, handler)
    end
  end)
  return ("http://127.0.0.1:%d"):format(srv.port), srv
end

local function request(options) return task.await(http.request(options)) end

local function header(answer, name)
  for _, pair in ipairs(answer.headers) do
    if pair[1]:lower() == name:lower() then return pair[2] end
  end
end

local function directory()
  local dir = assert(fs.tempdir("drlua-http."))
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  return dir
end

t.test("a request leaves as it was written", function()
  local seen
  local base = serve(function(req)
    seen = { method = req.method, target = req.target, headers = req.headers, body = req.body }
    req:respond { status = 207, headers = { { "X-A", "1" }, { "X-A", " 2" } }, body = "a\0b" }
  end)
  local answer = request { method = "PUT", url = base .. "/a/../%2f?x=%20&y", body = "in\0put",
    headers = { { "X-One", "1" }, { "X-Empty", "" }, { "Host", "example.com" } } }
  t.equal(seen.method, "PUT")
  t.equal(seen.target, "/a/../%2f?x=%20&y")
  t.equal(seen.body, "in\0put")
  t.equal(seen.headers, { { "Host", "example.com" }, { "Accept", "*/*" }, { "X-One", "1" },
    { "X-Empty", "" }, { "Content-Length", "6" } })
  t.equal(answer.status, 207)
  t.equal(answer.body, "a\0b")
  t.equal(header(answer, "content-length"), "3")
  t.ok(answer.seconds > 0)
end)

t.test("every method, with and without a body", function()
  local base = serve(function(req)
    req:respond { body = ("%s %s %s"):format(req.method, req.body, req:header("Content-Length")
      or "-") }
  end)
  for method, expected in pairs { GET = "GET  -", DELETE = "DELETE  -", OPTIONS = "OPTIONS  -",
    POST = "POST  0", PUT = "PUT  0", PATCH = "PATCH  0" } do
    t.equal(request { method = method, url = base }.body, expected)
  end
  for _, method in ipairs { "GET", "DELETE", "POST", "PUT", "PATCH" } do
    t.equal(request { method = method, url = base, body = "x" }.body, method .. " x 1")
  end
  local head = request { method = "HEAD", url = base }
  t.equal({ head.status, head.body, header(head, "Content-Length") }, { 200, "", "7" })
end)

t.test("connections are used again, and pooled transfers carry nothing over", function()
  local remotes = {}
  local base = serve(function(req)
    remotes[req.remote] = true
    req:respond { body = req.method .. (req:header("X-Extra") or "") .. req.body }
  end)
  for i = 1, 20 do
    local headers = { { "X-Extra", "e" } }
    t.equal(request { method = "POST", url = base, body = "b" .. i, headers = headers }.body,
      "POSTeb" .. i)
    t.equal(request { url = base }.body, "GET")
  end
  local count = 0
  for _ in pairs(remotes) do count = count + 1 end
  t.equal(count, 1)
end)

t.test("a handle used again forgets what the last request was", function()
  local base = serve(function(req)
    req:respond { body = ("%s %s %s %s"):format(req.method, req.body, req:header("Content-Type")
      or "-",
      req:header("Expect") or "-") }
  end)
  local path = directory() .. "/body"
  assert(fs.write(path, "file"))
  local form = { { "Content-Type", "application/x-www-form-urlencoded" } }
  local sent = {
    { { method = "POST", body = "a=b", headers = form },
      "POST a=b application/x-www-form-urlencoded -" },
    { {}, "GET  - -" },
    { { headers = form }, "GET  application/x-www-form-urlencoded -" },
    { { method = "HEAD" }, "" },
    { { method = "PUT", body = { file = path } }, "PUT file - -" },
    { { method = "POST", body = "c" }, "POST c - -" },
    { { method = "DELETE" }, "DELETE  - -" },
    { { method = "POST", body = ("x"):rep(3 << 20) }, "POST " .. ("x"):rep(3 << 20) .. " - -" },
  }
  for _ = 1, 2 do
    for i, pair in ipairs(sent) do
      local options = { url = base }
      for name, value in pairs(pair[1]) do options[name] = value end
      t.ok(request(options).body == pair[2], "request " .. i)
    end
  end
end)

t.test("the answer's headers as one text", function()
  local base = serve(function(req)
    req:respond { headers = { { "X-One", " 1 " }, { "x-two", "a" }, { "X-Two", "b:c" } },
      body = "" }
  end)
  local text = request { url = base, header_text = true }.headers
  t.equal({ http.header(text, "x-one"), http.header(text, "X-TWO"), http.header(text, "b") },
    { "1", "a" })
  t.equal({ http.header("", "x"), http.header("no colon\r\nX:\r\n", "x") }, { nil, "" })
end)

t.test("a fresh request uses no kept connection, and keeps none", function()
  local base = serve(function(req) req:respond { body = req.remote } end)
  local first = request { url = base }.body
  local fresh = request { url = base, fresh = true }.body
  t.ok(fresh ~= first)
  t.equal(request { url = base }.body, first)
end)

t.test("many at once, out of order", function()
  local base = serve(function(req)
    local n = tonumber(req.target:sub(2))
    task.sleep((50 - n) / 2000)
    req:respond { body = "r" .. n }
  end)
  local calls = {}
  for i = 1, 50 do calls[i] = function() return request { url = base .. "/" .. i }.body end end
  local results = task.all(calls)
  for i = 1, 50 do t.equal(results[i], "r" .. i) end
end)

t.test("files: an answer to one, a part of one as body", function()
  local dir = directory()
  local base = serve(function(req)
    if req.target == "/missing" then return req:respond { status = 404, body = "no such key" } end
    req:respond { body = req.method == "GET" and ("0123456789"):rep(100000) or req.body }
  end)
  local answer = request { url = base, sink = { file = dir .. "/out" } }
  t.equal({ answer.body, answer.sink_bytes }, { "", 1000000 })
  t.ok(fs.read(dir .. "/out") == ("0123456789"):rep(100000))
  answer = request { url = base .. "/missing", sink = { file = dir .. "/none" } }
  t.equal({ answer.status, answer.body, answer.sink_bytes }, { 404, "no such key", 0 })
  local function upload(method, offset, length)
    local body = { file = dir .. "/out", offset = offset, length = length }
    return request { method = method, url = base, body = body }.body
  end
  t.equal(upload("POST", 5, 7), "5678901")
  t.equal(upload("PUT", 999998), "89")
  t.equal(upload("PUT", 1000000), "")
  assert(request { url = base, sink = { file = dir .. "/out", append = true } })
  t.equal(fs.stat(dir .. "/out").size, 2000000)
  t.equal(select(3, request { method = "PUT", url = base, body = { file = dir .. "/nowhere" } }),
    "missing")
  t.equal(select(3, request { url = base, sink = { file = dir .. "/no/where" } }), "missing")
  t.raises("statuses: integers from 200 to 299", http.request,
    { url = base, sink = { file = dir .. "/none", statuses = { 404 } } })
  t.ok(not fs.stat(dir .. "/none") and not fs.stat(dir .. "/none.part"))
  t.raises("fewer than asked for", http.request,
    { url = base, body = { file = dir .. "/out", length = 3000000 } })
end)

t.test("failures have a kind and name the place", function()
  local port
  do
    local srv = assert(server.listen {})
    port = srv.port
    srv:close()
  end
  local base = serve(function(req)
    if req.target == "/reset" then return req:reset() end
    if req.target == "/cut" then
      return req:respond { body = ("x"):rep(100), cut_after_bytes = 50 }
    end
    if req.target == "/slow" then
      task.sleep(0.5)
      return req:respond {}
    end
    req:respond { body = ("x"):rep(1000) }
  end)
  local place = base:match("//(.*)")
  local function fails(options, kind, text)
    local answer, message, got = request(options)
    t.equal(answer, nil)
    t.equal(message, text)
    t.equal(got, kind)
  end
  fails({ url = ("http://127.0.0.1:%d/"):format(port) }, "refused",
    ("127.0.0.1:%d refuses connections"):format(port))
  fails({ url = "http://no-such-host.invalid/" }, "resolve",
    "the name of no-such-host.invalid does not resolve")
  fails({ url = base .. "/slow", timeout = 0.05 }, "timeout", place
    .. " sent no complete response within 0.05 s")
  fails({ url = base .. "/cut" }, "closed", place .. " closed the connection in "
    .. "the middle of its response")
  fails({ url = base, max_body_bytes = 999 }, "full",
    ("the response of %s is larger than the 999 bytes allowed"):format(place))
  local answer, message, kind = request { url = base .. "/reset" }
  t.equal(answer, nil)
  t.matches(message, "^" .. place:gsub("%p", "%%%0") .. " %a+ the connection without a response$")
  t.ok(kind == "reset" or kind == "closed", kind)
  fails({ url = "ftp://x/" }, "invalid", "\"ftp://x/\" is not an http or https URL")
  fails({ url = "http://a b/" }, "invalid", "\"http://a b/\" is not an http or https URL")
  fails({ url = "ftp://" .. ("x"):rep(300) }, "invalid",
    "a text of 306 bytes is not an http or https URL")
  t.equal(request { url = base, max_body_bytes = 1000 }.status, 200)
end)

t.test("a place that does not answer costs the connect timeout", function()
  -- A listening socket whose queue is full answers no further connection.
  local hold <close> = assert(process.start { argv = { "python3", "-c", [[
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
held = []
for i in range(3):
    c = socket.socket(); c.setblocking(False)
    c.connect_ex(s.getsockname()); held.append(c)
print(s.getsockname()[1], flush=True); sys.stdin.read()]] }, stdin = "pipe" })
  local port = tonumber((task.await(hold:read("stdout"))))
  local answer, message, kind = request { url = ("http://127.0.0.1:%d/"):format(port),
    connect_timeout = 0.2 }
  t.equal({ answer, message, kind }, { nil, ("no connection "
    .. "to 127.0.0.1:%d within 0.2 s"):format(port), "connect" })
end)

t.test("a POST on a dead connection is not sent twice behind our back", function()
  local count = 0
  local base = serve(function(req)
    count = count + 1
    if req.target == "/first" then return req:respond {} end
    req:reset()
  end)
  for _, method in ipairs { "POST", "PATCH" } do
    t.equal(request { method = method, url = base .. "/first" }.status, 200)
    count = 0
    local answer, _, kind = request { method = method, url = base .. "/second", body = "x" }
    t.equal(answer, nil)
    t.ok(kind == "reset" or kind == "closed", kind)
    t.equal(count, 1)
  end
end)

t.test("cancelled in the middle, the next one works", function()
  local base = serve(function(req)
    if req.target == "/slow" then task.sleep(0.2) end
    req:respond { body = "fine" }
  end)
  t.raises("no end within", task.timeout, 0.02, function() request { url = base .. "/slow" } end)
  t.equal(request { url = base }.body, "fine")
  for _ = 1, 20 do http.request { url = base .. "/slow" } end
  collectgarbage()
  collectgarbage()
  t.equal(request { url = base }.body, "fine")
end)

t.test("redirects are followed when asked for only", function()
  local base = serve(function(req)
    if req.target == "/new" then return req:respond { body = "here" } end
    req:respond { status = 302, headers = { { "Location", "/new" } } }
  end)
  t.equal(request { url = base }.status, 302)
  t.equal(request { url = base, follow = true }.body, "here")
end)

t.test("a proxy of the environment is used, but not for loopback", function()
  local proxied = serve(function(req) req:respond { body = "proxy " .. req.target } end)
  local direct = serve(function(req) req:respond { body = "direct " .. req.target } end)
  sys.setenv("http_proxy", proxied)
  t.cleanup(function() sys.setenv("http_proxy", nil) end)
  t.equal(request { url = direct .. "/a" }.body, "direct /a")
  t.equal(request { url = "http://elsewhere.invalid/a" }.body, "proxy http://elsewhere.invalid/a")
end)

local function certificate(dir)
  local proc <close> = assert(process.start { argv = { "openssl", "req", "-x509", "-newkey",
    "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", dir .. "/key",
    "-out", dir .. "/cert" }, stderr = "null" })
  t.equal(task.await(proc:wait()), { code = 0 })
end

t.test("TLS is verified, by the authority that is named", function()
  local dir = directory()
  certificate(dir)
  local proc <close> = assert(process.start { argv = { "openssl", "s_server", "-accept",
    "127.0.0.1:0", "-cert", dir .. "/cert", "-key", dir .. "/key", "-www" }, stdin = "pipe",
    stderr = "null" })
  local port
  repeat
    local text = task.await(proc:read("stdout"))
    port = text:match("ACCEPT [^\n]*:(%d+)")
  until port
  local url = ("https://127.0.0.1:%d/"):format(port)
  local answer, message, kind = request { url = url }
  t.equal(answer, nil)
  t.equal(kind, "tls")
  t.contains(message, "no secure connection to 127.0.0.1:" .. port)
  t.equal(request { url = url, ca_file = dir .. "/cert" }.status, 200)
  t.equal(request { url = url, verify = false }.status, 200)
  t.equal(request { url = url }, nil) -- what was not verified once is verified the next time
  t.equal(select(3, request { url = url }), "tls")
end)

t.test("misuse raises", function()
  t.raises("option \"url\"", http.request, {})
  t.raises("unknown option \"uri\" %(known: method, url", http.request, { uri = "http://x/" })
  t.raises("forbidden character", http.request,
    { url = "http://x/", headers = { { "A", "1\r\nB: 2" } } })
  t.raises("forbidden character", http.request, { url = "http://x/", headers = { { "A:", "1" } } })
  t.raises("a list of {name, value}", http.request, { url = "http://x/", headers = { { "A" } } })
  t.raises("option \"timeout\"", http.request, { url = "http://x/", timeout = -1 })
  t.raises("option \"body\"", http.request, { url = "http://x/", body = {} })
end)
