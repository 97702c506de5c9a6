-- native.server: what arrives, what is answered, and every way to end badly.
local t = require "harness"
local raw = require "raw"
local server = require "native.server"
local task = require "task"

local function listen(options)
  local srv = assert(server.listen(options or {}))
  t.cleanup(function() srv:close() end)
  return srv
end

local function client(srv)
  local connection = raw.connect(srv.port)
  t.cleanup(function() connection:close() end)
  return connection
end

t.test("a request arrives exactly as it was sent", function()
  local srv = listen()
  local c = client(srv)
  c:send("PUT /a%2Fb%20c/../d;x=1?q=%41&empty&a=b+c%20d&a=2 HTTP/1.1\r\nHost: h\r\nX-Twice: 1\r\n"
    .. "x-twice:  two \r\nAuthorization: AWS4-HMAC-SHA256 a=b, "
    .. "c=d\r\nContent-Length: 5\r\n\r\nab\0cd")
  local req = task.await(srv:accept())
  t.equal(req.method, "PUT")
  t.equal(req.target, "/a%2Fb%20c/../d;x=1?q=%41&empty&a=b+c%20d&a=2")
  t.equal(req.body, "ab\0cd")
  t.equal(req.headers, { { "Host", "h" }, { "X-Twice", "1" }, { "x-twice", "two" },
    { "Authorization", "AWS4-HMAC-SHA256 a=b, c=d" }, { "Content-Length", "5" } })
  t.equal(req:header("authorization"), "AWS4-HMAC-SHA256 a=b, c=d")
  t.equal(req:header("X-TWICE"), "1")
  t.equal(req:header("none"), nil)
  t.matches(req.remote, "^127%.0%.0%.1:%d+$")
  t.equal(req.closed, false)
  t.equal(tostring(req), "request PUT " .. req.target)
  t.ok(req:respond { status = 201, headers = { { "X-A", "1" }, { "X-A", "2" }, { "X-Empty", "" } },
    body = "done" })
  local answer = c:read_until("done")
  t.matches(answer, "^HTTP/1%.1 201 Created\r\n")
  t.contains(answer, "\r\nX-A: 1\r\nX-A: 2\r\n")
  t.contains(answer, "\r\nContent-Length: 4\r\n")
  t.equal(req.headers[1], { "Host", "h" }, "the text of a request outlives its answer")
  t.equal(req.method, "PUT")
end)

t.test("one connection, many requests: kept alive and pipelined", function()
  local srv = listen()
  local c = client(srv)
  c:send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nPOST "
    .. "/3 HTTP/1.1\r\nHost: h\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
  for i = 1, 3 do
    local req = task.await(srv:accept())
    t.equal(req.target, "/" .. i)
    if i == 3 then t.equal(req.body, "abcdefg") end
    req:respond { body = "answer " .. i }
    t.ok(c:read_until("answer " .. i))
  end
  c:send("GET /4 HTTP/1.0\r\n\r\n")
  task.await(srv:accept()):respond { body = "last" }
  t.matches(c:read_all(), "\r\n\r\nlast$")
end)

t.test("many clients wait while Lua answers in its own order", function()
  local srv = listen()
  local clients, requests = {}, {}
  for i = 1, 8 do
    clients[i] = client(srv)
    clients[i]:send(("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"):format(i))
  end
  for _ = 1, 8 do
    local req = task.await(srv:accept())
    requests[tonumber(req.target:sub(2))] = req
  end
  for i = 8, 1, -1 do requests[i]:respond { body = ("<%d>"):format(i) } end
  for i = 1, 8 do t.ok(clients[i]:read_until(("<%d>"):format(i))) end
end)

t.test("HEAD has the length of what GET would give, and no body", function()
  local srv = listen()
  local c = client(srv)
  c:send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nHEAD /y HTTP/1.1\r\nHost: h\r\n\r\n")
  task.await(srv:accept()):respond { body = "12345" }
  t.contains(c:read_until("\r\n\r\n"), "\r\nContent-Length: 5\r\n")
  task.await(srv:accept()):respond { headers = { { "Content-Length", "5000000000" } } }
  t.contains(c:read_until("\r\n\r\n"), "\r\nContent-Length: 5000000000\r\n")
end)

t.test("big bodies both ways, and 100-continue", function()
  local srv = listen()
  local c = client(srv)
  local size = 3000000
  c:send(("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n")
    :format(size))
  t.contains(c:read_until("\r\n\r\n"), "HTTP/1.1 100 Continue")
  c:send(("z"):rep(size))
  local req = task.await(srv:accept())
  t.ok(req.body == ("z"):rep(size))
  req:respond { headers = { { "Connection", "close" } }, body = ("y"):rep(size) }
  local answer = c:read_all()
  t.equal(#answer:match("\r\n\r\n(.*)$"), size)
end)

t.test("a body over the limit is refused, announced or not", function()
  local srv = listen { max_body_bytes = 10 }
  local c = client(srv)
  c:send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n")
  t.matches(c:read_all(), "^HTTP/1%.1 413 ")
  c = client(srv)
  c:send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
    .. "chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n")
  t.matches(c:read_until("\r\n\r\n"), "^HTTP/1%.1 413 ")
  c = client(srv)
  c:send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789")
  t.equal(task.await(srv:accept()).body, "0123456789")
end)

t.test("what is no HTTP is refused, and the server goes on", function()
  local srv = listen()
  for _, bad in ipairs { "\1\2\3\r\n\r\n", "GET\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX: " .. ("x"):rep(100000) .. "\r\n\r\n",
    "GET /" .. ("y"):rep(100000) .. " HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" } do
    local c = client(srv)
    pcall(c.send, c, bad)
    local answer = c:read_all()
    t.ok(answer == "" or answer:find("^HTTP/1%.[01] [45]%d%d "), answer:sub(1, 80))
  end
  local c = client(srv)
  c:send("GET /fine HTTP/1.1\r\nHost: h\r\n\r\n")
  local req = task.await(srv:accept())
  t.equal(req.target, "/fine")
  req:respond {}
  t.ok(c:read_until("\r\n\r\n"))
end)

t.test("a request that says in two ways where its body ends is "
  .. "refused, and its connection closed", function()
  local srv = listen()
  local length, coding = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
  for _, headers in ipairs { length .. "Content-Length: 3\r\n", length .. length,
    "content-LENGTH: 3\r\n" .. length, length .. coding, coding .. length, coding .. coding, length
    .. "X: y\r\n" .. "Content-Length : 3\r\n",
    "Content-Length: 5, 5\r\n", "Content-Length: 5, 3\r\n" } do
    for _, body in ipairs { "01234", "5\r\n01234\r\n0\r\n\r\n" } do
      local c = client(srv)
      c:send("POST / HTTP/1.1\r\nHost: h\r\n" .. headers .. "\r\n" .. body
        .. "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
      t.matches(c:read_all(), "^HTTP/1%.1 400 ")
    end
  end
  local c = client(srv)
  c:send("POST /next HTTP/1.1\r\nHost: h\r\n" .. length .. "\r\n01234")
  local req = task.await(srv:accept())
  t.equal({ req.target, req.body }, { "/next", "01234" }) -- and none of those before
  req:respond {}
end)

t.test("a client that leaves in the middle of its request", function()
  local srv = listen()
  local c = client(srv)
  c:send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf")
  task.sleep(0.01)
  c:close()
  c = client(srv)
  c:send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
  local req = task.await(srv:accept())
  t.equal(req.target, "/next")
  -- And one that leaves while Lua thinks.
  c:close()
  req:respond { body = ("x"):rep(1000000) }
  c = client(srv)
  c:send("GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
  t.equal(task.await(srv:accept()).target, "/last")
end)

t.test("an answer in chunks", function()
  local srv = listen()
  local c = client(srv)
  c:send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n")
  local req = task.await(srv:accept())
  t.ok(req:start { status = 200, headers = { { "Content-Type", "application/json" } } })
  t.contains(c:read_until("\r\n\r\n"), "Transfer-Encoding: chunked")
  for i = 1, 3 do
    t.ok(req:send(("{\"n\":%d}\n"):format(i)))
    t.ok(c:read_until(("{\"n\":%d}\n"):format(i)))
  end
  t.ok(req:send(("z"):rep(200000)))
  req:send("")
  req:finish()
  t.raises("not being streamed", req.send, req, "more")
  c:send("GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
  task.await(srv:accept()):respond { body = "next" }
  local rest = c:read_all()
  t.equal(select(2, rest:gsub("z", "z")), 200000)
  t.matches(rest, "0\r\n\r\nHTTP/1%.1 200")
end)

t.test("a client that leaves a stream is noticed while nothing is sent", function()
  local srv = listen()
  local c = client(srv)
  c:send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n")
  local req = task.await(srv:accept())
  req:start {}
  t.ok(c:read_until("\r\n\r\n"))
  c:close()
  task.timeout(10, function()
    while not req.closed do task.sleep(0.002) end
  end)
  t.equal(select(3, req:send("x")), "closed")
end)

t.test("reset gives no answer, a cut one too little", function()
  local srv = listen()
  local c = client(srv)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  local req = task.await(srv:accept())
  req:reset()
  req = nil -- luacheck: ignore
  t.equal(c:read_all(), "")
  c = client(srv)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  task.await(srv:accept()):respond { body = "0123456789", cut_after_bytes = 4 }
  local answer = c:read_all()
  t.contains(answer, "Content-Length: 10")
  t.matches(answer, "\r\n\r\n0123$")
  c = client(srv)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  req = task.await(srv:accept())
  req:start {}
  req:send("half")
  t.ok(c:read_until("half"))
  req:reset()
  t.equal(c:read_all():find("0\r\n\r\n", 1, true), nil)
end)

t.test("one that Lua forgot is answered 500, a forgotten stream is broken", function()
  local srv = listen()
  local c = client(srv)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  task.await(srv:accept())
  collectgarbage()
  collectgarbage()
  t.matches(c:read_until("\r\n\r\n"), "^HTTP/1%.1 500 ")
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  task.await(srv:accept()):start {}
  collectgarbage()
  collectgarbage()
  t.ok(c:read_all())
end)

t.test("answering twice, wrong options, unknown fields: misuse", function()
  local srv = listen()
  local c = client(srv)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  local req = task.await(srv:accept())
  t.raises("unknown option \"code\"", req.respond, req, { code = 200 })
  t.raises("forbidden character", req.respond, req, { headers = { { "A", "b\r\nC: d" } } })
  t.raises("a list of {name, value}", req.respond, req, { headers = { "A" } })
  t.raises("200 to 999", req.respond, req, { status = 99 })
  t.raises("no field \"uri\"", function() return req.uri end)
  t.raises("not being streamed", req.send, req, "x")
  t.ok(req:respond {})
  t.raises("has been answered", req.respond, req, {})
  t.raises("has been answered", req.reset, req)
  t.matches(c:read_until("\r\n\r\n"), "^HTTP/1%.1 200 OK\r\n")
  t.raises("unknown option \"prot\"", server.listen, { prot = 1 })
  t.equal(select(3, server.listen { port = srv.port }), "busy")
  t.equal(select(3, server.listen { host = "not an address" }), "resolve")
end)

t.test("a cancelled accept loses no request", function()
  local srv = listen()
  local c = client(srv)
  local first = srv:accept()
  c:send("GET /kept HTTP/1.1\r\nHost: h\r\n\r\n")
  while not first:done() do task.sleep(0.001) end
  first:cancel()
  local waiting = { srv:accept(), srv:accept(), srv:accept() }
  waiting[2]:cancel()
  t.equal(task.await(waiting[1]).target, "/kept")
  waiting[3]:cancel()
end)

t.test("closing a server ends its connections, its waiters and its requests", function()
  local srv = listen()
  local c1, c2, c3 = client(srv), client(srv), client(srv)
  c1:send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
  local accepted = task.await(srv:accept())
  c2:send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
  local streaming = task.await(srv:accept())
  streaming:start {}
  t.ok(c2:read_until("\r\n\r\n"))
  c3:send("GET /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
  local waiting = srv:accept()
  srv:close()
  srv:close()
  t.equal({ task.await(waiting) }, { nil, "the server is closed", "closed" })
  t.equal(select(3, srv:accept()), "closed")
  t.equal(accepted.closed, true)
  t.equal(select(3, accepted:respond { body = "too late" }), "closed")
  t.equal(select(3, streaming:send("too late")), "closed")
  t.equal(c1:read_all(), "")
  t.ok(c2:read_all())
  t.equal(c3:read_all(), "")
  t.matches(tostring(srv), "closed")
end)

t.test("a server is collected with requests waiting in it", function()
  local c
  do
    local srv = assert(server.listen {})
    c = client(srv)
    c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    local op = srv:accept()
    while not op:done() do task.sleep(0.001) end
  end
  collectgarbage()
  collectgarbage()
  t.equal(c:read_all(), "")
end)

t.test("IPv6", function()
  local srv = listen { host = "::1" }
  local proc = require "native.process".start {
    argv = { "bash", "-c", "exec 3<>/dev/tcp/::1/$0; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3",
      srv.port } }
  local req = task.await(srv:accept())
  t.matches(req.remote, "^%[::1%]:%d+$")
  req:respond { body = "six" }
  t.matches(task.await(proc:read("stdout")), "six$")
  proc:close()
end)
