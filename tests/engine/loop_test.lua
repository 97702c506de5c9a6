-- native.loop and native.timer: operations as Lua sees them.
local t = require "harness"
local clock = require "native.clock"
local loop = require "native.loop"
local task = require "task"
local timer = require "native.timer"

t.test("an operation is done, taken once, and knows it", function()
  local op = timer.after(0)
  t.equal(loop.pending(), 1)
  t.matches(tostring(op), "operation timer %(pending%)")
  t.raises("is pending", op.result, op)
  t.equal(task.await(op), true)
  t.raises("is taken", op.result, op)
  t.equal(loop.pending(), 0)
  op:cancel()
end)

t.test("a cancelled operation answers so, as often as asked", function()
  local op = timer.after(60)
  op:cancel()
  op:cancel()
  t.equal({ op:result() }, { nil, "cancelled", "cancelled" })
  t.equal({ op:result() }, { nil, "cancelled", "cancelled" })
  t.equal(loop.pending(), 0)
end)

t.test("one that nobody takes does not keep the loop awake", function()
  local op = timer.after(0)
  task.sleep(0.001)
  t.ok(op:done())
  local before = os.clock()
  task.sleep(0.2)
  t.ok(os.clock() - before < 0.1, "the processor was kept busy")
  t.equal(task.await(op), true)
end)

t.test("one collected while pending or done is gone from the loop", function()
  for _ = 1, 100 do timer.after(60) timer.after(0) end
  task.sleep(0)
  collectgarbage()
  collectgarbage()
  t.equal(loop.pending(), 0)
  t.equal(task.await(timer.after(0)), true)
end)

t.test("one that only a dead task awaits is collected with it", function()
  do
    local cycle = {}
    cycle.op, cycle.self = timer.after(60), cycle
    setmetatable(cycle, { __index = cycle.op })
  end
  collectgarbage()
  collectgarbage()
  t.equal(loop.pending(), 0)
end)

t.test("a coroutine that is killed while it waits ends its operation", function()
  local co = coroutine.create(function()
    local op <close> = timer.after(60)
    coroutine.yield(op)
  end)
  coroutine.resume(co)
  t.equal(loop.pending(), 1)
  coroutine.close(co)
  t.equal(loop.pending(), 0)
end)

t.test("live handles in a cycle are collected, whatever they do", function()
  local fs, http, process = require "native.fs", require "native.http", require "native.process"
  local relay, server, sqlite = require "native.relay", require "native.server",
    require "native.sqlite"
  local dir = assert(fs.tempdir "drlua-loop.")
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  for _ = 1, 3 do
    local knot = {}
    knot.self = knot
    knot.server = assert(server.listen {})
    knot.accept = knot.server:accept()
    knot.relay = assert(relay.listen {})
    knot.relay:target("127.0.0.1", knot.server.port)
    knot.request = http.request { url = ("http://127.0.0.1:%d/"):format(knot.relay.port) }
    knot.process = assert(process.start { argv = { "cat" }, stdin = "pipe" })
    knot.read, knot.wait = knot.process:read "stdout", knot.process:wait()
    knot.write = knot.process:write(("x"):rep(1000000))
    knot.db = assert(sqlite.open(dir .. "/db"))
    knot.lock = assert(fs.lock(dir .. "/lock"))
    knot.closure = function() return knot end
    loop.wait(0)
    loop.wait(0.01)
    knot = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end
  t.equal(loop.pending(), 0)
end)

t.test("the state may end with everything alive", function()
  local fs, process, sys = require "native.fs", require "native.process", require "native.sys"
  local dir = assert(fs.tempdir "drlua-loop.")
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  assert(fs.write(dir .. "/child.lua", [[
    local http, process = require "native.http", require "native.process"
    local relay, server, signal = require "native.relay", require "native.server", require "native.signal"
    local pq, sqlite, task, timer = require "native.pq", require "native.sqlite", require "task", require "native.timer"
    local srv = assert(server.listen {})
    local keep = { srv, srv:accept(), timer.after(60), signal.next { "TERM" }, sqlite.open ":memory:" }
    local r = assert(relay.listen {})
    r:target("127.0.0.1", srv.port)
    table.insert(keep, r)
    table.insert(keep, http.request { url = ("http://127.0.0.1:%d/"):format(r.port) })
    local req = task.await(keep[2])
    req:start {}
    table.insert(keep, srv:accept())
    table.insert(keep, req)
    table.insert(keep, pq.connect { host = "127.0.0.1", port = r.port })
    local proc = assert(process.start { argv = { "sleep", "60" } })
    table.insert(keep, proc)
    table.insert(keep, proc:read "stdout")
    table.insert(keep, proc:wait())
    task.spawn(function() task.sleep(60) end)
    task.sleep(0.01)
    print(proc.pid)
  ]]))
  local child <close> = assert(process.start { argv = { sys.exe(), "script", dir .. "/child.lua" },
    stderr = "inherit" })
  local pid = tonumber((task.await(child:read "stdout")))
  t.equal(task.await(child:wait()), { code = 0 })
  t.ok(not sys.alive(pid))
end)

t.test("thousands at once", function()
  local list = {}
  for i = 1, 3000 do list[i] = function() task.sleep((i % 7) / 1000) return i end end
  local before = clock.monotonic()
  t.equal(#task.all(list), 3000)
  t.ok(clock.monotonic() >= before)
end)

t.test("misuse of a timer", function()
  t.raises("not negative", timer.after, -1)
  t.raises("not negative", timer.after, 0 / 0)
  t.raises("number expected", timer.after, {})
end)
