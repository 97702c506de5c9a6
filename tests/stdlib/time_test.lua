local t = require "harness"
local time = require "time"

t.test("instants and durations", function()
  t.equal(time.parse "1994-11-06T08:49:37Z", 784111777.0)
  t.equal(time.parse(5), 5)
  t.equal(t.raises("is not a time", time.parse, "soon").kind, "invalid")
  t.equal(time.format(784111777), "1994-11-06T08:49:37Z")
  t.equal(time.format(time.add("1994-11-06T08:49:37Z", "1h")), "1994-11-06T09:49:37Z")
  t.equal(time.format(time.subtract(784111777, "7d")), "1994-10-30T08:49:37Z")
  t.ok(time.since(time.now() - 10) >= 10)
  t.ok(time.left(time.now() + 10) <= 10)
  t.equal(time.seconds "90s", 90)
  t.equal(time.duration(80), "1m 20s")
  local e = t.raises("is no duration", function() return (time.add(0, "soon")) end)
  t.equal(e.kind, "misuse")
  t.contains(e.where, "time_test.lua")
end)
