-- The least that everything else stands on.
local t = require "harness"
local clock = require "native.clock"
local embed = require "native.embed"
local errors = require "errors"
local sys = require "native.sys"
local task = require "task"

t.test("the standard library is in the binary", function()
  t.ok(embed.read("stdlib/task.lua"):find("scheduler", 1, true))
  t.equal(embed.read("stdlib/nothing.lua"), nil)
end)

t.test("tasks wait together", function()
  local results = task.all {
    function() task.sleep(0.02) return "a" end,
    function() task.sleep(0.01) return "b" end,
  }
  t.equal(results, { "a", "b" })
end)

t.test("a timeout cancels what it ran", function()
  local ended
  local e = t.raises("no end within", task.timeout, 0.01, function()
    local ok, raised = pcall(task.sleep, 60)
    ended = not ok and raised.kind
    error(raised, 0)
  end)
  t.equal(e.kind, "timeout")
  t.equal(ended, "cancelled")
end)

t.test("the first error by position is raised after all have ended", function()
  local finished = 0
  local e = t.raises("one", task.all, {
    function() task.sleep(0.01) finished = finished + 1 error("one", 0) end,
    function() finished = finished + 1 error("two", 0) end,
    function() task.sleep(0.02) finished = finished + 1 end,
  })
  t.equal(e.message, "one")
  t.equal(finished, 3)
end)

t.test("times are parsed and written", function()
  for _, text in ipairs { "1994-11-06T08:49:37Z", "1994-11-06T09:49:37+01:00", "19941106T084937Z",
    "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06 08:49:37Z" } do
    t.equal(clock.parse(text), 784111777.0, text)
  end
  t.equal(clock.format(784111777, "rfc3339"), "1994-11-06T08:49:37Z")
  t.equal(clock.format(784111777.25), "1994-11-06T08:49:37.250Z")
  t.equal(clock.format(784111777, "http"), "Sun, 06 Nov 1994 08:49:37 GMT")
  t.equal(clock.format(784111777, "compact"), "19941106T084937Z")
  for _, text in ipairs { "", "yesterday", "2024-02-30T00:00:00Z", "2024-01-01T25:00:00Z",
    "2024-01-01T00:00:00" } do
    local at, message, kind = clock.parse(text)
    t.equal(at, nil, text)
    t.contains(message, "is not a time")
    t.equal(kind, "invalid")
  end
end)

t.test("an undefined global is an error with its name", function()
  -- luacheck: ignore
  local e = t.raises("undefined global \"nowhere\"", function() return nowhere end)
  t.ok(errors.is(e))
  t.contains(e.where, "smoke_test.lua")
end)

t.test("a process knows itself", function()
  t.ok(sys.alive(sys.pid()))
  t.equal(sys.alive(2 ^ 22 // 1 | 0), false)
  t.ok(sys.start_time(sys.pid()))
end)
