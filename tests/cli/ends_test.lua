-- How runs end: what the screen, the report and the JSON say of it, and what never costs
-- a good run its end.
local fs = require "native.fs"
local program = require "program"
local t = require "harness"

local playbook, typed = program.playbook, program.typed

local function last_event(r)
  local events = program.events(r.out)
  return events[#events]
end

-- Runs the playbook twice: as text and as JSON, each in a new workspace.
local function ended(text, arguments, options)
  local plain, data = program.workspace { ["a.lua"] = text }, program.workspace { ["a.lua"] = text }
  local words = table.move(arguments or {}, 1, #(arguments or {}), 2, { "a.lua" })
  local screen = plain.run(words, options)
  table.insert(words, "--output")
  table.insert(words, "json")
  local r = data.run(words, options)
  return { code = screen.code, out = screen.out, err = screen.err, last = last_event(r), json = r,
    workspace = plain, report = plain.run({ "report", "last" }).out,
    show = plain.run({ "show", "last" }).out,
    shown = program.events(plain.run({ "show", "last", "--output", "json" }).out)[1] }
end

t.test("whatever `run` returns, a run that came to its end has succeeded", function()
  for _, what in ipairs { "true", "false", "5", '"text"', "function() end", "{ kind = 'control' }",
    "nil, 'second'", "{ message = 'x' }", "coroutine.create(print)" } do
    local r = ended(playbook('dr.step("One", function() probe.opaque("one") end) do return ' .. what
      .. " end"))
    t.equal(r.code, 0, what .. ": " .. r.out .. r.err)
    t.equal(r.last.event, "run_succeeded", what)
    t.contains(r.report, "# Test: succeeded")
    t.contains(r.workspace.run({ "resume", "last" }).err, "has succeeded")
  end
end)

t.test("a measurement takes numbers as text, and refuses nonsense with file and line", function()
  local function measured(fields)
    return ended(playbook('dr.step("One", function() probe.opaque("one") end)\ndr.measure("rpo", '
      .. fields .. ")"))
  end
  for fields, wanted in pairs { ['{ seconds = "300.000000" }'] = 300.0, ["{ seconds = 0.5 }"] = 0.5,
    ['{ seconds = "1e2", rows = "3" }'] = 100.0 } do
    local r = measured(fields)
    t.equal(r.code, 0, fields .. r.err)
    t.equal(r.last.rpo, wanted, fields)
    t.contains(r.report, "| RPO |")
  end
  for fields, sentence in pairs {
    ["{ seconds = {} }"] = "dr.measure: seconds is a number of seconds from 0 on, not a table",
    ["{ seconds = 'soon' }"] = 'dr.measure: seconds is a number of seconds from 0 on, not "soon"',
    ["{ seconds = 0/0 }"] = "dr.measure: seconds is a number of seconds from 0 on, not",
    ["{ seconds = -1 }"] = "dr.measure: seconds is a number of seconds from 0 on, not -1",
    ["{ rows = true }"] = "dr.measure: rows is a number of rows from 0 on, not a boolean",
    ["{ rows = math.huge }"] = "dr.measure: rows is a number of rows from 0 on, not inf",
    ["{ detail = {} }"] = "dr.measure: detail is a text, a number or a boolean, not a table",
    ["{ value = print }"] =
      "dr.measure: value is a text, a number or a boolean, not a function" } do
    local r = measured(fields)
    t.equal(r.code, 1, fields)
    t.contains(r.out, "a.lua:6: " .. sentence)
    t.contains(r.report, "# Test: failed")
  end
end)

t.test("half a row, and measurements of any name, are printed", function()
  local r = ended(playbook [[dr.measure("rpo", { rows = 2.5 }) dr.measure("size", { value = "12 GB" })
    dr.measure("more", { rows = 7 }) dr.measure("none", {})]])
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "RPO not measured, 2.5 rows lost")
  t.contains(r.report, "size: 12 GB")
  t.contains(r.report, "more: 7")
end)

t.test("targets of an environment that are none are refused before anything starts", function()
  for targets, sentence in pairs { ["{ rto = {} }"] = "targets.rto: a table is no duration",
    ['"1h"'] = "targets is a string, not a table",
    ["{ rto = 'soon' }"] = 'targets.rto: "soon" is no duration',
    ["{ api = { rto = 'x' } }"] = 'targets.api.rto: "x" is no duration' } do
    local w = program.workspace {
      ["a.lua"] = playbook('dr.step("One", function() probe.opaque("one") end)'),
      ["env/x.lua"] = "return { targets = " .. targets .. " }" }
    for _, verb in ipairs { "run", "plan" } do
      local r = w.run { verb, "a.lua", "--env", "x" }
      t.equal(r.code, 2, targets)
      t.contains(r.err, "x.lua: " .. sentence)
    end
    t.equal(fs.stat(w.env.DRLUA_STATE), nil)
    t.equal(w.effects(), {})
  end
  local r = ended(playbook('dr.step("One", function() end)', 'targets = { rto = { api = "1h" } },'))
  t.equal(r.code, 2)
end)

t.test("a failure after the recovery does not take the RTO back", function()
  local r = ended(playbook([[dr.recovered()
    dr.step("Tell", function() dr.fail("mail is down") end)]], 'targets = { rto = "1h" },'))
  t.equal(r.code, 1)
  t.matches(r.out, "\nRTO [%d.]+s  %(target 1h%)\n")
  t.matches(r.report, "| RTO | [%d.]+s | 1h | met |")
  t.ok(r.last.rto and not r.last.elapsed, "rto in the last event")
  t.ok(r.shown.rto)
  -- Before the recovery there is none, in no place.
  r = ended(playbook([[dr.step("Tell", function() dr.fail("mail is down") end) dr.recovered()]],
    'targets = { rto = "1h" },'))
  t.matches(r.out, "RTO not recovered yet, [%d.]+s so far  %(target 1h%)")
  t.contains(r.report, "| RTO | not measured | 1h | |")
  t.ok(r.last.elapsed and not r.last.rto and not r.shown.rto)
end)

t.test("the end of a good run names what failed on the way, what was skipped and why", function()
  local r = ended(playbook [[
    for i = 1, 3 do
      dr.step("Tell user " .. i, { optional = true }, function() if i ~= 2 then dr.fail("refused " .. i) end end)
    end
    dr.step("Off", { when = false }, function() end)
    dr.step("Off too", { when = false }, function() end)
    dr.step("Later", function() dr.skip("no zone is given") end)
    dr.step("Check", function() dr.check("Sound", function() dr.skip("no ears") end) end)]])
  t.equal(r.code, 0, r.err)
  for _, text in ipairs { "2 optional steps failed", "Tell user 1: refused 1",
    "Tell user 3: refused 3", "Skipped (its condition does not hold): Off, Off too",
    "Skipped (no zone is given): Later",
    "Check skipped: Sound: no ears" } do
    t.contains(r.out, text)
    t.contains(r.report, text)
  end
  t.ok(not r.out:find("Tell user 2"))
  t.matches(r.out, "\nTo run the failed optional steps again: drlua resume %S+ %-%-optional\n$")
  t.equal(#r.last.left.optional_failed, 2)
  t.equal(r.last.left.optional_failed[1], { step = "Tell user 1", reason = "refused 1" })
  t.equal(r.last.left.skipped[3], { step = "Later", reason = "no zone is given" })
end)

t.test("the last line of a stopped run is the command that helps", function()
  local failing = 'dr.step("One", function() dr.fail("no") end)'
  local r = ended(playbook(failing))
  t.matches(r.out, "\nTo continue, once the cause is mended: drlua resume %S+\n$")
  t.matches(r.show, "\nTo continue, once the cause is mended: drlua resume %S+\n$")
  local asks = playbook [[dr.step("Burn it's", { approve = "the bridge burns" }, function() end)]]
  r = ended(asks)
  t.equal(r.code, 4)
  t.matches(r.out,
    "\nTo approve: drlua approve %S+ 'Burn it'\\''s'\nTo continue: drlua resume %S+\n$")
  t.contains(r.show, "waits for approval: Burn it's (0 of 1 given): the bridge burns")
  local w = program.workspace { ["a.lua"] = playbook(failing) }
  local named = w.directory .. "/other state"
  r = w.run { "a.lua", "--state", named }
  t.matches(r.out, "drlua resume %S+ %-%-state '[^\n]*/other state'\n$")
end)

t.test("the commands of the last lines do what they say", function()
  local w = program.workspace { ["a.lua"] = playbook
    [[dr.step("Burn it's", { approve = "the bridge burns" },
      function() probe.opaque("burn") end)]] }
  local r = w.run { "a.lua" }
  for command in r.out:gmatch(": drlua ([^\n]+)") do
    local words = {}
    -- As a shell would split it.
    local pipe = io.popen("for w in " .. command .. "; do echo \"$w\"; done")
    for word in pipe:lines() do table.insert(words, word) end
    pipe:close()
    r = w.run(words)
  end
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque burn" })
end)

t.test("times on the screen and in the report are UTC, and say so", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("One", function() dr.note("hello") end)' }
  local r = w.run({ "a.lua" }, { env = { TZ = "Asia/Tokyo" } })
  local hour = os.date("!%H")
  for line in r.err:gmatch("[^\n]+") do
    if line:find("^%d") then t.matches(line, "^%d%d:%d%d:%d%dZ ") end
  end
  local seen = r.err:match("(%d%d):%d%d:%d%dZ note")
  t.ok(seen == hour or tonumber(seen) == (tonumber(hour) + 1) % 24
    or (tonumber(seen) + 1) % 24 == tonumber(hour), seen)
  t.matches(w.run({ "report", "last" }).out, "| %d%d:%d%d:%d%dZ | One | done |")
end)

t.test("end of file at any question pauses the run: nothing is answered by it", function()
  local asked = {
    approval = { 'dr.step("S", { approve = "sure?" }, function() probe.opaque("s") end)',
      "Type yes" },
    operator = { 'dr.step("S", function() probe.opaque("s") dr.fail("half") end)',
      "retry, skip, or stop" },
  }
  for reason, case in pairs(asked) do
    local w = program.workspace { ["a.lua"] = playbook(case[1]) }
    local text, code = typed(w, { "a.lua" }, { { case[2], "raw:\4" } })
    t.equal(code, 4, reason .. ": " .. text)
    t.contains(text, "the terminal was closed before anybody answered")
    t.contains(w.run({ "runs" }).out, "paused")
    t.equal(#w.effects(), reason == "approval" and 0 or 1)
  end
  -- The reason for a skip is a question, too.
  local w = program.workspace { ["a.lua"] = playbook(asked.operator[1]) }
  local text, code = typed(w, { "a.lua" },
    { { "retry, skip, or stop", "skip" }, { "Why may", "raw:\4" } })
  t.equal(code, 4, text)
end)

t.test("end of file at the question about a call in doubt sends nothing", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("S", function() probe.opaque("x") end)' }
  fs.write(w.world .. ".hang", "")
  w.run({ "a.lua" }, { on_error_line = function(_, proc)
    while #w.effects() == 0 do require("task").sleep(0.02) end
    proc:kill("KILL")
  end })
  fs.remove(w.world .. ".hang")
  t.equal(#w.effects(), 1)
  local text, code = typed(w, { "resume", "last" }, { { "type done", "raw:\4" } })
  t.equal(code, 4, text)
  t.equal(#w.effects(), 1)
  t.contains(w.run({ "show", "last" }).out, '"S": call in doubt: run x')
  -- The last lines are the two answers that there are.
  t.matches(text, "to send it again: drlua resume %S+ %-%-settle S/process=again%s*$")
  t.matches(text, "if the call took effect: drlua resume %S+ %-%-settle S/process=done")
  text, code = typed(w, { "resume", "last" }, { { "type done", "done" } })
  t.equal(code, 0, text)
  t.equal(#w.effects(), 1)
end)

t.test("the operator's stop ends the run, whatever catches errors around the step", function()
  for _, around in ipairs { "dr.try(dr.step, name, {}, fn)", "pcall(dr.step, name, {}, fn)",
    "dr.step(name, {}, fn)", "xpcall(dr.step, print, name, {}, fn)",
    "dr.try(function() pcall(dr.step, name, {}, fn) end)" } do
    local w = program.workspace { ["a.lua"] = playbook([[for i = 1, 3 do
      local name = "Tell " .. i
      local function fn() probe.opaque(name) if i == 2 then dr.fail "full" end end
      ]] .. around .. " end") }
    local text, code = typed(w, { "a.lua" }, { { "retry, skip, or stop", "stop" } })
    t.equal(code, 1, around .. text)
    t.equal(w.effects(), { "opaque Tell 1", "opaque Tell 2" }, around)
    t.contains(text, 'step "Tell 2" failed: full; stopped by the operator')
  end
end)

t.test("so does undo, which is followed by a stop", function()
  local w = program.workspace { ["a.lua"] = playbook [[for i = 1, 3 do
    pcall(dr.step, "Make " .. i, { undo = { function() probe.opaque("undo " .. i) end, partial = true } }, function()
      probe.opaque("make " .. i)
      if i == 2 then dr.fail("half way") end
    end)
  end]] }
  local text, code = typed(w, { "a.lua" }, { { "retry, skip, undo it, or stop", "undo" } })
  t.equal(code, 1, text)
  t.equal(w.effects(), { "opaque make 1", "opaque make 2", "opaque undo 2" })
  t.contains(text, "stopped by the operator")
end)

t.test("secrets of the environment file are found again on resume and rollback", function()
  local w = program.workspace { ["a.lua"] = playbook([[
    dr.step("One", { undo = function() probe.opaque("undo " .. #p.db_password) end },
      function() probe.opaque("one") end)
    dr.step("Two", function() if not require("files").exists(os.getenv("PROBE_WORLD") .. ".ok") then dr.fail("no") end
      probe.opaque("two " .. #p.db_password) end)]],
    'params = { { "db_password", secret = true }, { "zone", required = false } },'),
    ["env/x.lua"] =
      'return { params = { db_password = os.getenv("PW"), zone = os.getenv("ZONE") } }' }
  local env = { PW = "abcdefgh" }
  t.equal(w.run({ "a.lua", "--env", "x" }, { env = env }).code, 1)
  t.contains(w.run({ "resume", "last" }).err, "db_password is missing")
  fs.write(w.world .. ".ok", "")
  local r = w.run({ "resume", "last" }, { env = { PW = "abcdefgh", ZONE = "Z9" } })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(program.events(w.run({ "show", "last", "--output", "json" }).out)[1].params, {})
  r = w.run({ "rollback", "last" }, { env = env })
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, 'To do by hand: "Two": run two 8')
  t.equal(w.effects(), { "opaque one", "opaque two 8", "opaque undo 8" })
end)

t.test("resume --optional runs the failed optional steps again, and nothing else", function()
  local w = program.workspace { ["a.lua"] = playbook([[
    local files = require "files"
    local function fixed() return files.exists(os.getenv("PROBE_WORLD") .. ".ok") end
    dr.step("Before", function() probe.opaque("before") end)
    for i = 1, 3 do
      dr.step("Tell " .. i, { optional = true }, function()
        probe.opaque("tell " .. i)
        if i ~= 2 and not fixed() then dr.fail("refused") end
      end)
    end
    dr.step("Outer", function()
      probe.opaque("outer")
      dr.step("Inner", { optional = true }, function()
        if not fixed() then dr.fail("no") end
        probe.opaque("inner")
      end)
    end)
    dr.parallel { function()
      dr.step("Beside", { optional = true }, function()
        if not fixed() then dr.fail("no") end
        probe.opaque("beside")
      end)
    end }
    dr.step("After", function() probe.opaque("after") end)]], 'targets = { rto = "1h" },') }
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "4 optional steps failed")
  local before = w.effects()
  t.equal(before,
    { "opaque before", "opaque tell 1", "opaque tell 2", "opaque tell 3", "opaque outer",
    "opaque after" })
  local rto = program.events(w.run({ "show", "last", "--output", "json" }).out)[1].rto
  -- They may fail once more.
  r = w.run { "resume", "last", "--optional" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "4 optional steps failed")
  t.equal(w.effects(), before)
  fs.write(w.world .. ".ok", "")
  r = w.run { "resume", "last", "--optional" }
  t.equal(r.code, 0, r.out .. r.err)
  t.ok(not r.out:find("optional"), r.out)
  table.insert(before, "opaque inner")
  table.insert(before, "opaque beside")
  t.equal(w.effects(), before)
  t.equal(program.events(w.run({ "show", "last", "--output", "json" }).out)[1].rto, rto)
  for _, words in ipairs { { "resume", "last", "--optional" }, { "resume", "last" } } do
    r = w.run(words)
    t.equal(r.code, 2)
    t.contains(r.err, words[3] and "has no optional step that failed" or "has succeeded")
  end
  t.contains(w.run({ "runs" }).out, "succeeded")
end)

t.test("an approval once asked for, and its text, survive resume --optional", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("Burn", { approve = function() return "at " .. probe.count() end }, function() probe.opaque("burn") end)
    dr.step("Tell", { optional = true }, function() dr.fail("no") end)]] }
  t.equal(w.run({ "a.lua", "--yes" }).code, 0)
  local r = w.run { "resume", "last", "--optional" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, 'Accepted at "Burn" by ')
  t.contains(r.out, ": at 0")
  t.equal(#w.effects(), 1)
end)

t.test("a rollback says what was undone and what is left, and its hint continues it", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    local files = require "files"
    dr.step("Bare", function() probe.opaque("bare") end)
    for i = 1, 2 do
      dr.step("Make " .. i, { undo = function()
        if i == 1 and not files.exists(os.getenv("PROBE_WORLD") .. ".ok") then dr.fail("stuck") end
        probe.opaque("undo " .. i)
      end }, function() probe.opaque("make " .. i) end)
    end
    dr.step("Fail", function() dr.fail("no") end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run { "rollback", "last" }
  t.equal(r.code, 1)
  t.contains(r.out, 'Undone: "Make 2"')
  t.matches(r.out, "\nTo continue the rollback: drlua resume %S+\n$")
  t.matches(w.run({ "show", "last" }).out, "\nTo continue the rollback: drlua resume %S+\n$")
  fs.write(w.world .. ".ok", "")
  r = w.run { "resume", r.out:match("drlua resume (%S+)") }
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, "partly rolled back")
  t.contains(r.out, 'Undone: "Make 2", "Make 1"')
  t.contains(r.out, 'To do by hand: "Bare": run bare (no undo is defined for this step)')
  t.equal(w.effects(),
    { "opaque bare", "opaque make 1", "opaque make 2", "opaque undo 2", "opaque undo 1" })
  local report = w.run({ "report", "last" }).out
  t.contains(report, "## Rollback")
  t.contains(report, '"Make 1": undone')
  t.contains(report, 'To do by hand: "Bare": run bare')
end)

t.test("the steps that were undone are named by their paths, wherever they stood", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    local function make(name)
      dr.step(name, { undo = function() probe.opaque("undo " .. name) end },
        function() probe.opaque(name) end)
    end
    dr.parallel { function() make("left") end, function() dr.step("in", function() make("deep") end) end }
    for _ = 1, 2 do make("twice") end
    make("a/b#2")
    make("two\nlines")
    dr.fail("no")]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run { "rollback", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  for _, path in ipairs { "parallel.1/left", "parallel.2/in/deep", "twice", "twice#2",
    "a%2Fb%232", "two%0Alines" } do
    t.contains(r.out, '"' .. path .. '"')
    t.contains(w.run({ "report", "last" }).out, '"' .. path .. '": undone')
  end
end)

t.test("an undo that cannot succeed is skipped, and then is work to do by hand", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("Older", { undo = function() probe.opaque("undo older") end },
      function() probe.opaque("older") end)
    dr.step("Stuck", { undo = function() dr.fail("for ever") end },
      function() probe.opaque("stuck") end)
    dr.fail("no")]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  t.equal(w.run({ "rollback", "last" }).code, 1)
  for _, wrong in ipairs { "Stuck", "Undo: Nothing" } do
    local r = w.run { "resume", "last", "--skip", wrong, "--because", "x" }
    t.equal(r.code, 2)
    t.contains(r.err, "none of the undos that it came to")
  end
  local r = w.run { "resume", "last", "--skip", "Undo: Stuck", "--because", "done in the console" }
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, "partly rolled back")
  t.contains(r.out, 'Undone: "Older"')
  t.contains(r.out, 'Skipped (skipped by the operator: done in the console): Undo: Stuck')
  t.contains(r.out, 'To do by hand: "Stuck": run stuck (its undo was skipped by the operator)')
  t.equal(w.effects(), { "opaque older", "opaque stuck", "opaque undo older" })
end)
