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
