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
  u.x = 1
end)

t.test("as a list it has one unknown item, whichever way it is looked at", function()
  local u = unknown.new("the tags")
  local ways = {
    length = function(see) for i = 1, #u do see(u[i]) end end,
    pairs = function(see) for _, item in pairs(u) do see(item) end end,
    ipairs = function(see) for _, item in ipairs(u) do see(item) end end,
    unpack = function(see) for _, item in ipairs { table.unpack(u) } do see(item) end end,
    move = function(see) for _, item in ipairs(table.move(u, 1, #u, 1, {})) do see(item) end end,
    last = function(see) see(u[#u]) end,
  }
  for name, way in pairs(ways) do
    local n = 0
    way(function(item)
      n = n + 1
      t.ok(unknown.is(item), name)
    end)
    t.equal(n, 1, name)
  end
  t.equal(u[2], nil)
end)

t.test("it can be closed, and a text made with it shows what is known", function()
  do
    local u <close> = unknown.new("a connection")
    t.ok(unknown.is(u))
  end
  local text = "go on with " .. unknown.new("id") .. ", now"
  t.ok(unknown.is(text))
  t.equal(tostring(text), "go on with (known after run), now")
  t.equal(unknown.origin(text), "id")
end)

t.test("whoever watches hears of each touch, not of what is only handed on", function()
  local touched = 0
  local former = unknown.watch(function() touched = touched + 1 end)
  t.cleanup(function() unknown.watch(former) end)
  local u = unknown.new()
  local kept = { u }
  t.equal({ unknown.is(kept[1]), touched }, { true, 0 })
  for i, act in ipairs { function() return u.x end, function() return u() end,
    function() return #u end,
    function() return u < 1 end, function() return u == kept end, function() return u .. "x" end,
    function() return u + 1 end, function() return (pairs(u)(u)) end } do
    touched = 0
    act()
    t.ok(touched > 0, "act " .. i)
  end
end)

t.test("found inside tables, also in loops", function()
  local loop = { 1, { "a" } }
  loop.self = loop
  t.equal(unknown.within(loop), nil)
  loop[2].deep = { unknown.new() }
  t.ok(unknown.is(unknown.within(loop)))
end)
