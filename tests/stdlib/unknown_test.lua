-- unknown: what flows on under plan.
local t = require "harness"
local unknown = require "unknown"

t.test("everything done with one is unknown again, or false, or nothing", function()
  local u = unknown.new("the answer")
  for _, v in ipairs { u.a.b, u[1], u("x"), u + 1, 1 - u, -u, u .. "x", "x" .. u, u // 2, u & 1 } do
    t.ok(unknown.is(v))
  end
  t.equal(tostring(u.a), "(known after run)")
  t.equal(unknown.origin(u.a[1]), "the answer")
  t.equal({ u == unknown.new(), u < 1, 1 <= u }, { false, false, false })
  t.equal(#u, 0)
  t.equal(u[2], nil)
  local n = 0
  for _, item in ipairs(u) do
    n = n + 1
    t.ok(unknown.is(item))
  end
  t.equal(n, 1)
  for _ in pairs(u) do error("it has no pairs") end
  u.x = 1
end)

t.test("found inside tables, also in loops", function()
  local loop = { 1, { "a" } }
  loop.self = loop
  t.equal(unknown.within(loop), nil)
  loop[2].deep = { unknown.new() }
  t.ok(unknown.is(unknown.within(loop)))
end)
