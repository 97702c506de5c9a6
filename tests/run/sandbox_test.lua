-- run.sandbox: what playbooks have in the place of Lua's own.
local t = require "harness"
local control = require "run.control"
local fs = require "native.fs"
local program = require "program"
local sandbox = require "run.sandbox"

-- What a chunk returns, loaded as a playbook is.
local function play(text)
  local path = program.directory() .. "/a.lua"
  assert(fs.write(path, text))
  return sandbox.new():load(path, function() control.misuse("an effect") end)
end

-- The keys in the order of the sandbox's pairs, of a table that `text` makes.
local function keys(text)
  return play(("local t = %s local list = {} for k in pairs(t) do "
    .. "list[#list + 1] = k end return list"):format(text))
end

t.test("pairs goes through a table in the order of its keys", function()
  for text, expected in pairs {
    ["{}"] = {}, ["{ 1, 2, 3 }"] = { 1, 2, 3 }, ["{ b = 1, a = 2, c = 3 }"] = { "a", "b", "c" },
    ["{ [3] = 1, [1] = 1, [2.5] = 1, [-1] = 1 }"] = { -1, 1, 2.5, 3 },
    ["{ 'x', 'y', b = 1, [true] = 1, a = 1, [false] = 1, [10] = 1 }"] = { 1, 2, 10, "a", "b", false,
      true },
  } do
    t.equal(keys(text), expected, text)
  end
  t.equal(#keys("{ a = 1, [{}] = 1, [print] = 1 }"), 3)
end)

t.test("while pairs goes on, values may change and entries may go", function()
  t.equal(play [[
    local t, seen = { a = 1, b = 2, c = 3, d = 4 }, {}
    for k, v in pairs(t) do
      seen[#seen + 1] = k .. v
      t[k], t.b = nil, nil
      if k == "a" then t.d = 9 end
    end
    return { seen = seen, left = t }
  ]], { seen = { "a1", "c3", "d9" }, left = {} })
end)

t.test("pairs of what has __pairs, and of what is no table", function()
  t.equal(play [[
    local list = {}
    for k, v in pairs(setmetatable({ 9 }, { __pairs = function() return next,
      { z = 1 } end })) do list[1] = k .. v end
    return list
  ]], { "z1" })
  for text, got in pairs { ["nil"] = "nil", ["1"] = "number" } do
    local e = t.raises("bad argument #1 to 'pairs' %(table expected, got " .. got, play,
      "local v = " .. text
      .. "\nfor _ in pairs(v) do end return {}")
    t.matches(e.where, "a%.lua:2$")
  end
  -- The iterator can be driven by hand.
  t.equal(play "local f, s, k = pairs { b = 2, a = 1 } return { f(s, k), (select(2, f(s, 'a'))) }",
    { "a", 2 })
end)

t.test("a step that goes through pairs is resumed after kill -9", function()
  local names = { "api", "web", "worker", "cron", "mail", "auth" }
  local w = program.workspace { ["a.lua"] = program.playbook([[
    dr.parallel {
      function()
        dr.step("Deploy", function()
          for name in pairs { ]] .. table.concat(names, " = 1, ") .. [[ = 1 } do
            probe.opaque(name, { repeatable = true })
          end
        end)
      end,
      function()
        dr.step("Tell", { done = function() return os.getenv("QUIET") ~= nil end }, function()
          for i = 1, 500 do dr.note("tick") probe.block(0.02) end
        end)
      end,
    }]]) }
  assert(fs.write(w.world .. ".hang", ""))
  local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(_, proc)
    if #w.effects() == 1 then proc:kill("KILL") end
  end })
  t.equal(r.signal, "KILL")
  fs.remove(w.world .. ".hang")
  r = w.run({ "resume", "last" }, { env = { QUIET = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  table.sort(names)
  local expected = { "opaque " .. names[1] }
  for _, name in ipairs(names) do table.insert(expected, "opaque " .. name) end
  t.equal(w.effects(), expected)
end)

t.test("math.random gives a run the same numbers again, and another run others", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    local function draw() return ("%d-%.9f"):format(math.random(2 ^ 40 // 1), math.random()) end
    local outside = draw()
    math.randomseed(1)
    dr.parallel {
      function() dr.step("Left", function() probe.opaque("left " .. draw() .. " " .. draw()) end) end,
      function() dr.step("Right", function() probe.opaque("right " .. draw()) end) end }
    dr.step("Use", { repeatable = true }, function()
      probe.opaque(outside .. " " .. draw())
      dr.fail "later"
    end)]] }
  for _ = 1, 2 do
    t.equal(w.run({ "a.lua" }).code, 1)
    local r = w.run { "resume", "last" }
    t.equal(r.code, 1)
    t.contains(r.out, "later")
  end
  local seen = {}
  for _, effect in ipairs(w.effects()) do
    for number in effect:gmatch "%d+%-[%d.]+" do
      t.ok(not seen[number], "drawn twice: " .. number)
      seen[number] = true
    end
  end
  t.equal(#w.effects(), 6)
end)

t.test("a call with a random number in its input is settled after kill -9", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Draw", { repeatable = true }, function()
      probe.opaque("n " .. math.random(1, 2 ^ 40 // 1))
      dr.note("half way")
      probe.opaque("second " .. math.random(1, 2 ^ 40 // 1))
    end)]] }
  for n = 3, 9 do
    w.run({ "a.lua" }, { env = { DRLUA_REHEARSAL = "1", DRLUA_KILL_WRITE = "after:" .. n } })
    local r = w.run { "resume", "last" }
    t.ok(r.code == 0 or r.err:find("has succeeded", 1, true), r.out .. r.err)
  end
end)

t.test("math.random refuses what Lua refuses", function()
  t.ok(not pcall(play, "return math.random(2, 1)"))
end)
