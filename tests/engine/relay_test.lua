-- native.relay between a raw client and a real server.
local t = require "harness"
local http = require "native.http"
local process = require "native.process"
local raw = require "raw"
local relay = require "native.relay"
local server = require "native.server"
local task = require "task"

local function listen()
  local r = assert(relay.listen {})
  t.cleanup(function() r:close() end)
  return r
end

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
  return srv.port
end

local function client(r)
  local c = raw.connect(r.port)
  t.cleanup(function() c:close() end)
  return c
end

local function get(r, options)
  options = options or {}
  options.url = ("http://127.0.0.1:%d/"):format(r.port)
  return task.await(http.request(options))
end

t.test("bytes pass both ways, many and by many", function()
  local r = listen()
  local port = serve(function(req) req:respond { body = req.body:upper() } end)
  t.ok(r:target("127.0.0.1", port))
  local calls = {}
  for i = 1, 20 do
    local text = ("x%dy"):format(i):rep(20000)
    calls[i] = function() return get(r, { method = "POST", body = text }).body == text:upper() end
  end
  for _, same in ipairs(task.all(calls)) do t.ok(same) end
  t.ok(r:count() > 0)
end)

t.test("an end of one side reaches the other after the last byte", function()
  local r = listen()
  r:target("127.0.0.1", serve(function(req)
    req:respond { body = ("z"):rep(500000), headers = { { "Connection", "close" } } }
  end))
  local c = client(r)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.equal(#c:read_all():match("\r\n\r\n(.*)$"), 500000)
end)

t.test("without a target, or with a dead one, connections are reset", function()
  local r = listen()
  t.equal(select(3, get(r)), "reset")
  local dead
  do
    local other = assert(relay.listen {})
    dead = other.port
    other:close()
  end
  r:target("127.0.0.1", dead)
  t.equal(select(3, get(r)), "reset")
  t.equal(select(3, r:target("not an address", 1)), "resolve")
end)

t.test("a cut swallows; the connections that lost bytes are reset when it ends", function()
  local r = listen()
  r:target("127.0.0.1", serve(function(req) req:respond { body = "answer" } end))
  local lost, kept = client(r), client(r)
  for _, c in ipairs { lost, kept } do
    c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    t.ok(c:read_until("answer"))
  end
  r:cut(true)
  t.equal(select(3, get(r, { timeout = 0.1 })), "timeout")
  lost:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.raises("no end within", task.timeout, 0.1, function() lost:read_until("answer") end)
  r:cut(false)
  t.equal(lost:read_until("answer"), nil)
  kept:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.ok(kept:read_until("answer"))
  t.equal(get(r).body, "answer")
end)

-- Ends of connections in processes of their own, which print what they read. The server's
-- prints its port; the client's sends what it is given, and ends its side with its input.
local READ = [[
import socket, sys, threading
def read(c):
    while True:
        data = c.recv(100)
        print("got", data.decode() or "the end", flush=True)
        if not data: return
]]
local SERVER = READ .. [[
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True)
c, _ = s.accept()
read(c)
c.shutdown(socket.SHUT_WR)
]]
local CLIENT = READ .. [[
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
reader = threading.Thread(target=read, args=(c,)); reader.start()
for line in sys.stdin: c.sendall(line.strip().encode())
c.shutdown(socket.SHUT_WR)
reader.join()
]]

local function python(text, ...)
  local proc = assert(process.start { argv = { "python3", "-c", text, ... }, stdin = "pipe" })
  t.cleanup(function() proc:close() end)
  return setmetatable({ proc = proc, text = "" }, raw)
end

for _, case in ipairs { "of a connection from before", "of one that came meanwhile" } do
  t.test("an end that came during a cut is passed on when the cut ends: " .. case, function()
    local before = case == "of a connection from before"
    local r, other = listen(), python(SERVER)
    r:target("127.0.0.1", tonumber(other:read_until("\n")))
    if not before then r:cut(true) end
    local c = python(CLIENT, tostring(r.port))
    if before then
      c:send("hello\n")
      t.equal(other:read_until("\n"), "got hello\n")
      r:cut(true)
    end
    c.proc:close_stdin()
    t.raises("no end within", task.timeout, 0.3, function() other:read_until("\n") end)
    r:cut(false)
    t.equal(task.timeout(30, other.read_until, other, "\n"), "got the end\n")
    t.equal(task.timeout(30, c.read_until, c, "\n"), "got the end\n")
  end)
end

t.test("drop resets every connection, new ones pass", function()
  local r = listen()
  r:target("127.0.0.1", serve(function(req) req:respond { body = "answer" } end))
  local c = client(r)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.ok(c:read_until("answer"))
  r:drop()
  t.equal(c:read_until("more"), nil)
  t.equal(get(r).body, "answer")
end)

t.test("a new target is for new connections", function()
  local r = listen()
  r:target("127.0.0.1", serve(function(req) req:respond { body = "one" } end))
  local c = client(r)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.ok(c:read_until("one"))
  r:target("127.0.0.1", serve(function(req) req:respond { body = "two" } end))
  t.equal(get(r).body, "two")
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.ok(c:read_until("one"))
end)

t.test("a reader that does not read holds its writer back", function()
  local r = listen()
  local sent = 0
  r:target("127.0.0.1", serve(function(req)
    req:start {}
    req:send(("w"):rep(50000000))
    req:finish()
    sent = sent + 1
  end))
  local c = client(r)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  c:read_until("\r\n\r\n")
  task.sleep(0.05)
  t.equal(sent, 1)
  c:close()
end)

t.test("closed with connections in it; closed twice; used after", function()
  local r = listen()
  r:target("127.0.0.1", serve(function(req) req:respond { body = "answer" } end))
  local c = client(r)
  c:send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  t.ok(c:read_until("answer"))
  t.equal(select(3, relay.listen { port = r.port }), "busy")
  r:close()
  r:close()
  t.raises("the relay is closed", r.cut, r, true)
  t.equal(c:read_until("more"), nil)
  do
    local forgotten = assert(relay.listen {})
    forgotten:target("127.0.0.1", 1)
  end
end)
