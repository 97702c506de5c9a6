-- drlua new, list, help.
local program = require "program"
local t = require "harness"

t.test("a new playbook can be listed, shown, and rehearsed as it is", function()
  local w = program.workspace()
  w.env.DRLUA_STDLIB = ""
  local r = w.run { "new", "cache-rebuild" }
  t.equal(r.code, 0, r.err)
  t.equal(r.out, "playbooks/cache_rebuild.lua\nplaybooks/rehearsals/cache_rebuild.lua\n")
  t.contains(w.run({ "list" }).out, "playbooks/cache_rebuild.lua")
  r = w.run { "help", "cache_rebuild" }
  t.contains(r.out, "--region")
  r = w.run { "rehearse", "cache_rebuild" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "ok    it looked at what is there")
  r = w.run { "new", "cache-rebuild" }
  t.equal(r.code, 2)
  t.contains(r.err, "playbooks/cache_rebuild.lua exists already")
end)

t.test("help has a text for every verb", function()
  for _, verb in ipairs { "run", "plan", "check", "rehearse", "resume", "rollback", "approve",
    "pause", "runs", "show",
    "report", "list", "help", "new", "doc", "sim", "script" } do
    local r = program.run { "help", verb }
    t.equal(r.code, 0, verb .. ": " .. r.err)
    t.contains(r.out, "drlua " .. (verb == "run" and "[run]" or verb))
  end
end)
