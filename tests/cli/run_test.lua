-- Running playbooks: what is refused before anything starts, events, exit codes.
local t = require "harness"
local fs = require "native.fs"
local clock = require "native.clock"
local program = require "program"

local playbook = program.playbook

t.test("a run: steps, events, result, report, exit 0", function()
  local w = program.workspace { ["a.lua"] = playbook([[
    local a = dr.step("First", function() return { n = p.n, text = "x" } end)
    dr.step("Second", { when = false }, function() end)
    dr.check("n is kept", function() return a.n == 7 end)
    dr.measure("rpo", { seconds = 2, rows = 3, detail = "counted" })
  ]], 'targets = { rto = "1h", rpo = "1m" }, params = { { "n", type = "int", default = 1 } },') }
  local r = w.run { "a.lua", "--n", "7", "--output", "json" }
  t.equal(r.code, 0, r.err)
  t.equal(program.names(r.out),
    { "run_started", "step_started", "step_succeeded", "step_skipped", "note", "note",
    "run_succeeded" })
  local events = program.events(r.out)
  t.equal(events[3].result, { n = 7, text = "x" })
  for _, e in ipairs(events) do
    t.matches(e.time, "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*Z$")
    t.equal(e.run, events[1].run)
  end
  local last = events[#events]
  t.equal(last.rpo_rows, 3)
  local report = assert(fs.read(last.report))
  t.contains(report, "# Test: succeeded")
  t.contains(report, "- [x] n is kept")
  t.contains(report, "Rows lost: **3** (counted)")
  t.equal(fs.stat(w.directory .. "/state").mode & 511, 448)
  t.equal(fs.stat(last.report).mode & 511, 384)
  local listed = w.run { "runs", "--output", "json" }
  t.equal(program.events(listed.out)[1].status, "succeeded")
  local shown = program.events(w.run({ "show", "last", "--output", "json" }).out)[1]
  t.equal(#shown.steps, 2)
end)

t.test("text output: live lines on stderr, results on stdout, the report's path last", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("Only", { budget = "1m" }, function() dr.note("hi") end)' }
  local r = w.run { "run", "a.lua" }
  t.equal(r.code, 0)
  t.contains(r.err, "start Only, budget 1m")
  t.contains(r.err, "note  hi")
  t.contains(r.out, "Test: done. Run ")
  t.matches(r.out, "Report: [^\n]+/report%.md\n$")
end)

t.test("all faults of the parameters in one message, nothing started", function()
  local w = program.workspace { ["a.lua"] = playbook('dr.step("x", function() end)', [[params = {
    { "count", type = "int" }, { "dr_region", type = "region" },
    { "size", type = "enum", choices = { "small", "large" } },
    { "mode", required = false, pattern = "^%a+$" },
  },]]) }
  local r = w.run { "a.lua", "--dr-region", "west", "--siz", "small", "--size=huge", "--mode", "9" }
  t.equal(r.code, 2)
  t.contains(r.err, "count is missing: give --count")
  t.contains(r.err, 'dr_region: an AWS region such as us-west-2 expected, not "west"')
  t.contains(r.err, "unknown parameter --siz; did you mean --size?")
  t.contains(r.err, 'size: "huge" is none of small, large')
  t.contains(r.err, 'mode: "9" does not have the form')
  t.equal(fs.stat(w.directory .. "/state"), nil)
end)

local function refused(name, text, message, arguments)
  t.test(name, function()
    local w = program.workspace { ["a.lua"] = text }
    local r = w.run(arguments or { "a.lua" })
    t.equal(r.code, 2, r.err)
    t.contains(r.err, message)
    t.ok(not r.err:find("traceback"), "no traceback without --trace")
    t.equal(#w.effects(), 0)
    t.equal(#(fs.list(w.directory .. "/state/runs") or {}), 0)
  end)
end

refused("a syntax error is told with file and line",
  "local dr =\nreturn dr.playbook {{\n", "a.lua:2: ")
refused("an undefined global is found before anything runs",
  playbook 'dr.step("x", function()\n  pritn(1) end)',
  'a.lua:6: undefined global "pritn"')
refused("a global assignment too",
  playbook 'dr.step("x", function() y = 1 end)', 'a.lua:5: assignment to global "y"')
refused("an unknown field of the playbook is named with the nearest", playbook("", 'sumary = "x",'),
  "unknown field sumary; did you mean summary?")
refused("a file that is no playbook", "return {}", "a.lua is no playbook")
refused("an effect at the top level", 'require "toolbox.probe".opaque("x")\nreturn 1',
  "a.lua:1: run x at the top level of a file")
refused("dr.step at the top level",
  'local dr = require "drlua"\ndr.step("x", function() end)', "a.lua:2: dr.step works inside")
refused("native modules are not for playbooks",
  'local p = require "native.process"', 'a.lua:1: require "native.process"')
refused("compiled Lua is not loaded", string.dump(function() end), "a.lua is compiled Lua")
refused("a missing file", "", "there is no playbook b.lua", { "b.lua" })
refused("an unknown verb", "",
  "no verb and no playbook is named pln; did you mean plan? (`drlua help`",
  { "pln" })
refused("an unknown environment", playbook "",
  "there is no environment prod in ./env/", { "a.lua", "--env", "prod" })

t.test("the ways around the gate are closed", function()
  for _, attempt in ipairs {
    'os.execute("touch " .. p.mark)', 'io.popen("touch " .. p.mark)', 'io.open(p.mark, "w")',
    'os.rename(p.mark, "x")', 'package.loadlib("x", "y")', 'load(string.dump(print), "x", "b")()',
    'setmetatable({}, { __gc = function() end })',
    'require("run.gate")', 'debug.getregistry()',
    'coroutine.wrap(function() probe.opaque("x") end)()',
  } do
    local w = program.workspace { ["a.lua"] = playbook(attempt, 'params = { { "mark" } },') }
    local mark = w.directory .. "/mark"
    for _, verb in ipairs { "plan", "run" } do
      local r = w.run { verb, "a.lua", "--mark", mark }
      t.ok(r.code ~= 0 or verb == "plan", attempt .. " under " .. verb .. " got through: " .. r.err)
      t.equal(fs.stat(mark), nil, attempt)
      t.equal(w.effects(), {}, attempt)
    end
  end
end)

t.test("a state directory that cannot be made: one sentence, exit 2", function()
  local w = program.workspace { ["a.lua"] = playbook 'dr.step("x", function() end)', blocked = "" }
  local r = w.run { "a.lua", "--state", w.directory .. "/blocked/state" }
  t.equal(r.code, 2)
  t.contains(r.err, "the state directory " .. w.directory .. "/blocked/state cannot be made")
end)

t.test("the environment file gives values; the command line comes first", function()
  local w = program.workspace {
    ["a.lua"] = playbook(
      'dr.step("x", function() return { p.a, p.b, p.c, require("env").contacts.dba } end)',
      'params = { { "a" }, { "b" }, { "c", default = "c" } },'),
    ["env/prod.lua"] = 'return { params = { a = "env", b = "env" }, contacts = { dba = "Ann" } }',
  }
  local r = w.run { "a.lua", "--env", "prod", "--set", "b=given", "--output", "json" }
  t.equal(r.code, 0, r.err)
  t.equal(program.events(r.out)[3].result, { "env", "given", "c", "Ann" })
end)

t.test("a failing step: exit 1, file and line, how to resume", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("x", function() dr.fail("the disk is on fire") end)' }
  local r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, 'a.lua:5: step "x" failed: the disk is on fire')
  t.matches(r.out, "\nTo continue, once the cause is mended: drlua resume %S+\n$")
  local json = program.events(w.run({ "a.lua", "--output", "json" }).out)
  t.equal(json[#json].event, "run_failed")
  t.contains(json[#json].error, "the disk is on fire")
  t.ok(w.run({ "a.lua", "--trace" }).err:find("stack traceback"), "--trace shows the traceback")
end)

t.test("a secret is nowhere: outputs, journal, report; and comes back on resume", function()
  local secret = "canary-7f3a \"quoted\""
  local w = program.workspace { ["a.lua"] = playbook([[
    local url = dr.step("Build", function() dr.note("using " .. p.pw) return "pg://u:" .. p.pw .. "@h" end)
    dr.step("Use", function()
      if url ~= "pg://u:" .. p.pw .. "@h" then dr.fail("lost: " .. url) end
      probe.opaque("with " .. p.pw)
      if not os.getenv("GO") then dr.fail("stop with " .. p.pw) end
    end)
  ]], 'params = { { "pw", secret = true, env = "TEST_PW" } },') }
  local seen = {}
  for _, arguments in ipairs { { "a.lua" }, { "a.lua", "--output", "json" },
    { "plan", "a.lua" } } do
    local r = w.run(arguments, { env = { TEST_PW = secret } })
    table.insert(seen, r.out .. r.err)
  end
  local r = w.run({ "resume", "last", "--settle", "done" },
    { env = { TEST_PW = secret, GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  local pipe = io.popen("grep -rl 'canary-7f3a' " .. w.directory .. "/state; true")
  t.equal(pipe:read("a"), "")
  pipe:close()
  t.ok(not table.concat(seen):find("canary-7f3a", 1, true), "secret in an output")
  local without = w.run { "resume", "last" }
  t.equal(without.code, 2)
end)

t.test("a result that is no plain data is refused with the step's name", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("Bad", function() return { fn = print } end)' }
  local r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, 'the result of step "Bad"')
  t.contains(r.out, "is a function, and only plain data can be kept")
end)

t.test("checks: a failing one fails the run, a skipped one does not", function()
  local w = program.workspace {
    ["a.lua"] = playbook [[
      dr.check("skipped", function() dr.skip("no database") end)
      dr.check("nothing returned passes", function() end)
      dr.step("s", function() dr.check("does not hold", function() return false, "3 rows are missing" end) end)]],
    ["b.lua"] = playbook [[dr.step("s", { optional = true },
      function() dr.check("c", function() error("no") end) end)]],
  }
  local r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, 'check "does not hold" failed: 3 rows are missing')
  t.contains(r.out, "Checks: 1 passed, 1 failed, 1 skipped")
  t.equal(w.run({ "b.lua" }).code, 0)
end)

t.test("timeout, retries, and a budget that is over", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    local n = 0
    dr.step("Twice", { retries = { times = 2, every = "0.01s" } }, function()
      n = n + 1
      if n < 2 then error("not yet") end
    end)
    dr.step("Again", { retries = { times = 2, every = "0.01s" } }, function()
      n = n + 1
      if n < 4 then dr.fail("not yet") end
      return n
    end)
    dr.step("Slow", { budget = "0.05s" }, function() probe.block(0.2) end)
    dr.step("Late", { timeout = "0.1s" }, function() probe.block(30) end)]] }
  local r = w.run { "a.lua" }
  t.equal(r.code, 1)
  -- A bug in the playbook is not retried.
  t.contains(r.out, 'a.lua:8: step "Twice" failed: not yet')
  w.write("a.lua",
    (fs.read(w.directory .. "/a.lua"):gsub('error%("not yet"%)', 'dr.fail("not yet")')))
  r = w.run { "a.lua" }
  t.contains(r.err, "Again (attempt 2)")
  t.contains(r.err, 'step "Slow" is over its budget of 0.1s')
  t.contains(r.out, 'step "Late" failed: not done within its timeout of 0.1s')
end)

t.test("a name, an option, an argument that is wrong", function()
  for text, message in pairs {
    ['dr.step("x", { budgt = "1m" }, function() end)'] =
      'step "x": unknown option budgt; did you mean budget?',
    ['dr.step("x", { budget = "soon" }, function() end)'] = 'option budget: "soon" is no duration',
    ['dr.step("x", { risk = "high" }, function() end)'] = "risk is \"read\"",
    ['dr.each({}, { limits = 2 }, function() end)'] =
      "dr.each: unknown option limits; did you mean limit?",
    ['probe.opaque("x")'] = "run x changes something outside of a step",
    ['dr.step("x", { done = function() probe.opaque("y") end }, function() end)'] = "a probe",
  } do
    local w = program.workspace { ["a.lua"] = playbook(text) }
    local r = w.run { "a.lua" }
    t.equal(r.code, 1)
    t.contains(r.out, message)
    t.contains(r.out, "a.lua:5:")
    t.equal(w.effects(), {})
  end
end)

t.test("a step with risk = \"read\" changes nothing: refused under run and plan", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("Look", { risk = "read" }, function() probe.create("db") end)]] }
  for _, verb in ipairs { "plan", "run" } do
    local r = w.run { verb, "a.lua" }
    t.equal(r.code, 1, r.out)
    t.contains(r.out .. r.err, 'step "Look" has risk = "read", and create db changes something')
  end
  t.equal(w.effects(), {})
end)

t.test("DRLUA_PARAM_NAME goes before the variable of `env`", function()
  local w = program.workspace { ["a.lua"] = playbook('dr.note("word " .. p.word)',
    'params = { { "word", env = "WORD" } },') }
  local r = w.run({ "a.lua" }, { env = { WORD = "shell", DRLUA_PARAM_WORD = "own" } })
  t.contains(r.err, "word own")
  t.contains(w.run({ "a.lua" }, { env = { WORD = "shell" } }).err, "word shell")
end)

t.test("the RTO ends when the service serves again, not with the run", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.incident_started(dr.run_started() - 100)
    dr.step("Recover", function() end)
    dr.recovered()
    dr.step("Paperwork", function() dr.sleep("1s") end)]] }
  local r = w.run { "a.lua", "--output", "json" }
  t.equal(r.code, 0, r.err)
  local first, last = 0, 0
  local rto
  for _, event in ipairs(program.events(r.out)) do
    if event.event == "run_started" then first = clock.parse(event.time) end
    if event.event == "run_succeeded" then rto, last = event.rto, clock.parse(event.time) end
  end
  t.ok(rto >= 100 and rto <= 100 + last - first - 0.9,
    ("RTO %s of a run of %s s"):format(rto, last - first))
  t.contains(w.run({ "report", "last" }).out, "| Recovered |")
end)
