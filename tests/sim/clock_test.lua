local clock = require "sim.clock"
local t = require "harness"
local task = require "task"

t.test("timers fire in the order they are due, not in which they were set", function()
  local c, fired = clock.new(1000), {}
  c:after(30, function() table.insert(fired, "b") end)
  c:after(10, function() table.insert(fired, "a") end)
  c:after(30, function() table.insert(fired, "c") end)
  c:sleep(40)
  t.equal(fired, { "a", "b", "c" })
  c:close()
end)

t.test("a sleeper that is cancelled leaves no timer", function()
  local c = clock.new(1)
  local sleeper = task.spawn(function() c:sleep(1000) end)
  task.yield()
  sleeper:cancel()
  t.raises("cancelled", sleeper.wait, sleeper)
  t.equal(#c.timers, 0)
  c:close()
end)

t.test("advance fires what it passes; a timer set while firing waits for its own time", function()
  local c, fired = clock.new(1), {}
  c:after(100, function()
    table.insert(fired, 1)
    c:after(100, function() table.insert(fired, 2) end)
  end)
  c:advance(101)
  t.equal(fired, { 1 })
  c:advance(100)
  t.equal(fired, { 1, 2 })
  c:close()
end)

t.test("a forgotten timer does not fire, and speed can change", function()
  local c, fired = clock.new(1), 0
  local timer = c:after(50, function() fired = fired + 1 end)
  c:forget(timer)
  c:after(60, function() fired = fired + 10 end)
  c:set_speed(10000)
  c:sleep(100)
  t.equal(fired, 10)
  c:close()
end)
