local durations = require "sim.durations"
local program = require "program"
local sim = require "sim"
local t = require "harness"

t.test("every row has least, typical and longest seconds in this order, a grade and a source",
  function()
  local n = 0
  for id, row in pairs(durations.rows) do
    n = n + 1
    t.ok(row[1] <= row[2] and row[2] <= row[3], id)
    t.matches(row[4], "^[ABC]")
    t.ok(#row.what > 3 and #row.source > 3, id)
  end
  t.ok(n > 60, n)
end)

t.test("a choice by name, and one with values of its own", function()
  local row = durations.rows["rds.promote"]
  for name, column in pairs { fast = 1, typical = 2, slow = 3 } do
    t.equal(durations.profile(name):seconds "rds.promote", row[column])
  end
  t.equal(durations.profile(nil):seconds "rds.promote", row[2])
  local own = durations.profile { base = "slow", ["rds.promote"] = "15m", ["rds.reboot"] = 5 }
  t.equal({ own:seconds "rds.promote", own:seconds "rds.reboot" }, { 900, 5 })
  t.equal(own:seconds "rds.rename", durations.rows["rds.rename"][3])
end)

t.test("the first backup grows with the size, up to the longest value", function()
  local typical = durations.profile()
  t.equal(typical:seconds("rds.first_backup", 20), 240)
  t.equal(typical:seconds("rds.first_backup", 280), 1800)
  t.equal(typical:seconds("rds.first_backup", 100000), 10800)
  t.equal(durations.profile("slow"):seconds("rds.first_backup", 20), 10800)
end)

t.test("what is no choice is refused in words", function()
  t.raises("none of fast, typical and slow", durations.profile, "quick")
  t.raises("there is no \"rds.promot\"", durations.profile, { ["rds.promot"] = 5 })
  t.raises("rds.promote must be seconds", durations.profile, { ["rds.promote"] = "soon" })
  t.raises("rds.promote must be seconds", durations.profile, { ["rds.promote"] = -1 })
end)

t.test("a world chooses, and who starts the simulator chooses before it", function()
  local world = { durations = { ["rds.reboot"] = 7 } }
  for given, expected in pairs { [false] = 7, slow = durations.rows["rds.reboot"][3] } do
    local s = sim.start { world = world, durations = given or nil }
    t.cleanup(function() s:stop() end)
    t.equal(s:takes "rds.reboot", expected)
  end
end)

t.test("rehearse and sim take --durations, by name or file, and refuse what is neither", function()
  local w = program.workspace {
    ["a.lua"] = 'return require "drlua".playbook { title = "t", run = function() '
      .. 'end, rehearsal = "r.lua" }',
    ["r.lua"] = "return { world = {}, expect = function(state) state.expect('reboot', "
      .. "state.sim:takes 'rds.reboot' == tonumber(os.getenv 'REBOOT')) end }",
    ["d.lua"] = 'return { base = "fast", ["rds.reboot"] = 7 }', ["d.json"] = '{"rds.reboot":"8s"}',
    ["wrong.lua"] = 'return { ["rds.reboots"] = 7 }',
  }
  for given, seconds in pairs { slow = durations.rows["rds.reboot"][3], ["d.lua"] = 7,
    ["d.json"] = 8 } do
    w.write("r.lua", ("return { world = {}, expect = function(state) state.expect('reboot', "
      .. "state.sim:takes 'rds.reboot' == %d) end }"):format(seconds))
    local r = w.run { "rehearse", "a.lua", "--durations", given }
    t.equal(r.code, 0, r.out .. r.err)
    t.contains(r.out, "ok    reboot")
  end
  for given, words in pairs { quick = "there is no file quick", ["wrong.lua"] = "rds.reboots" } do
    for _, verb in ipairs { { "rehearse", "a.lua" }, { "sim", "--listen", "127.0.0.1:0" } } do
      table.move({ "--durations", given }, 1, 2, #verb + 1, verb)
      local r = w.run(verb)
      t.equal(r.code, 2, r.out .. r.err)
      t.contains(r.err, words)
    end
  end
end)
