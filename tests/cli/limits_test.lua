-- Limits at the command line: what a plan says of them, and what is refused before it begins.
local fs = require "native.fs"
local program = require "program"
local t = require "harness"

local playbook = program.playbook

local DELETING = [[
  local process = require "process"
  for i = 1, 3 do
    dr.step("Delete " .. i, function() process.run { "kubectl", "delete", "pod", "web-" .. i } end)
  end
  dr.step("Make", function() probe.create("db") end)]]

t.test("a plan shows what it would delete, and says which limits it would exceed", function()
  local w = program.workspace { ["a.lua"] = playbook(DELETING, "limits = { deletes = 5, regions = 'us-west-2' },"),
    ["env/strict.lua"] = "return { limits = function(p) return { deletes = 2 } end }",
    ["none.lua"] = playbook(DELETING), ["far.lua"] = playbook(DELETING, "limits = { regions = { 'eu-west-1' } },"),
    ["clean.lua"] = playbook('dr.step("One", function() end)') }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "Deletes: 3  (limits: 5 at most; in us-west-2)")
  t.ok(not r.out:find("LIMIT"))
  r = w.run { "plan", "a.lua", "--env", "strict" }
  t.contains(r.out, "LIMIT EXCEEDED, it would be refused: it would delete 3 things, and this run may delete "
    .. "2 things at most")
  r = w.run { "plan", "far.lua" }
  t.contains(r.out, "LIMIT  create db: this run may change things in eu-west-1 only, and this call goes to us-west-2")
  t.contains(r.out, "LIMIT EXCEEDED, it would be refused: create db")
  t.contains(w.run({ "plan", "none.lua" }).out, "Deletes: 3\n")
  t.ok(not w.run({ "plan", "clean.lua" }).out:find("Deletes"))
  local events = program.events(w.run({ "plan", "a.lua", "--env", "strict", "--output", "json" }).out)
  local found = events[#events].result.limits
  t.equal({ found.deletes, found.limit, #found.faults }, { 3, 2, 1 })
end)

t.test("limits that are none, or leave nothing, are refused before anything starts", function()
  for limits, sentence in pairs { ["{ delets = 1 }"] = "limits: unknown field delets; did you mean deletes?",
    ["5"] = "limits is a table or a function", ["function() return { deletes = -1 } end"] = "limits.deletes is a whole",
    ["{ regions = { 'us-east-1' } }"] = "so nothing could be changed" } do
    local w = program.workspace {
      ["a.lua"] = playbook('dr.step("One", function() probe.opaque("one") end)', "limits = " .. limits .. ","),
      ["env/x.lua"] = "return { limits = { regions = { 'us-west-2' } } }" }
    for _, verb in ipairs { "run", "plan" } do
      local r = w.run { verb, "a.lua", "--env", "x" }
      t.equal(r.code, 2, limits .. r.out)
      t.contains(r.err, sentence)
    end
    t.equal(fs.stat(w.env.DRLUA_STATE), nil)
  end
end)
