-- run.control: errors are placed in the playbook, and say something.
local program = require "program"
local t = require "harness"

-- How a step with this body fails: the sentence, and its file and line.
local function failure(body)
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local databases, http, process = require "toolbox.databases", require "http", require "process"
    dr.step("One", function()
]] .. body .. "\n    end)") }
  local r = w.run { "a.lua", "--output", "json" }
  t.equal(r.code, 1, r.out)
  for _, e in ipairs(program.events(r.out)) do
    if e.event == "step_failed" then return e.error, e.at end
  end
end

t.test("an error of the library is placed at the playbook's line that called it", function()
  for body, sentence in pairs {
    ["databases.with(nil, {}, print)"] =
      "attempt to index a nil value (local 'instance') (in toolbox.databases)",
    ["process.run {}"] = "process.run: a program's name as the first element expected",
    ["http.get(nil)"] = "http.request: a url expected, got nil",
    ["pcall(databases.with, nil) databases.with(nil)"] = "(in toolbox.databases)",
    ["local ok, e = pcall(databases.with, nil) error(e, 0)"] = "(in toolbox.databases)",
    ["dr.try(databases.with) error(select(2, dr.try(databases.with)), 0)"] =
      "(in toolbox.databases)",
    ["dr.wait_until('x', function() databases.with(nil) end)"] = "(in toolbox.databases)",
    ["dr.check('x', 1 == 2)"] = "dr.check: argument 2 must be a function, not a boolean",
    ["dr.each({}, {}, 5)"] = "dr.each: argument 3 must be a function, not a number",
    ["dr.incident_started({})"] = "dr.incident_started takes seconds since the epoch, not a table",
    ["dr.incident_started(0/0)"] = "dr.incident_started takes seconds since the epoch",
    ["local a; a.b()"] = "attempt to index a nil value (local 'a')" } do
    local said, at = failure(body)
    t.equal(at, "a.lua:7", body .. said)
    t.contains(said, sentence)
    t.ok(not said:find("stdlib/", 1, true), said)
  end
end)

t.test("whatever is raised becomes a sentence", function()
  for raised, sentence in pairs { ['{ message = "own table" }'] = "own table",
    ["{}"] = "a table was raised as an error",
    ["setmetatable({}, { __tostring = function() return 'as text' end })"] = "as text",
    ["nil"] = "nil",
    ["'db.example:5432: refused', 0"] = "db.example:5432: refused", ["42"] = "42" } do
    local said, at = failure("error(" .. raised .. ")")
    t.contains(said, sentence)
    t.ok(not said:find("table: 0x", 1, true), said)
    t.equal(at, "a.lua:7", raised)
  end
end)

t.test("a file may begin with a byte order mark or a #! line; lines keep their numbers", function()
  for begin, line in pairs { ["\239\187\191"] = 7, ["#!/usr/bin/env drlua\n"] = 8,
    ["\239\187\191#!/usr/bin/env drlua\n"] = 8 } do
    local w = program.workspace { ["a.lua"] = begin .. program.playbook(
      'local none\n dr.step("One", function()\n return none.x end)') }
    local r = w.run { "a.lua" }
    t.contains(r.out, ("a.lua:%d: "):format(line))
    t.contains(r.out, "attempt to index a nil value")
  end
end)

t.test("an environment without a name", function()
  local w = program.workspace { ["a.lua"] = program.playbook "" }
  local r = w.run { "a.lua", "--env", "" }
  t.equal(r.code, 2)
  t.contains(r.err, "--env needs the name of an environment")
end)
