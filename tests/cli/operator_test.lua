-- The operator's part: approvals, locks, parallel branches, rollback, pause, plan, check.
local t = require "harness"
local approval = require "run.approval"
local fs = require "native.fs"
local identity = require "run.identity"
local journal = require "run.journal"
local program = require "program"
local task = require "task"

local playbook, typed = program.playbook, program.typed

local irreversible = playbook [[
    dr.step("Look", function() return probe.count() end)
    dr.step("Burn", { risk = "irreversible", approve = "the bridge burns for good" },
      function() probe.opaque("burn") end)]]

t.test("without a terminal an approval pauses the run: exit 4, approve, resume", function()
  local w = program.workspace { ["a.lua"] = irreversible }
  local r = w.run { "a.lua", "--output", "json" }
  t.equal(r.code, 4)
  t.equal(w.effects(), {})
  local events = program.events(r.out)
  t.equal(events[#events].event, "run_paused")
  t.equal(events[#events].reason, "approval")
  t.equal(program.names(r.out, "approval_needed"), { "Burn" })
  local id = events[1].run
  -- Not yet approved: it pauses again.
  t.equal(w.run({ "resume", id }).code, 4)
  t.contains(w.run({ "approve", id, "Bern" }).err, 'it asks for: "Burn"')
  local given = w.run { "approve", id, "Burn" }
  t.equal(given.code, 0)
  t.contains(given.out, 'approved "Burn" of run ' .. id .. ": the bridge burns for good")
  t.contains(given.out, "To continue: drlua resume " .. id)
  r = w.run { "resume", id }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque burn" })
  t.contains(w.run({ "report", id }).out, "approved by ")
end)

t.test("--yes approves; a refusal fails the run with who refused", function()
  local w = program.workspace { ["a.lua"] = irreversible }
  t.equal(w.run({ "a.lua", "--yes" }).code, 0)
  t.equal(#w.effects(), 1)
  local r = w.run { "a.lua", "--output", "json" }
  local id = program.events(r.out)[1].run
  t.equal(w.run({ "approve", id, "--no" }).code, 0)
  r = w.run { "resume", id }
  t.equal(#w.effects(), 1)
  t.ok(r.code == 1 or r.code == 4, "refused: " .. r.code)
end)

-- Writes an approval as another account's process would.
local function approve_as(w, id, path, account)
  local j = journal.open(("%s/runs/%s/journal.db"):format(w.env.DRLUA_STATE, id))
  approval.give(j, path, { by = account, account = account, host = "elsewhere" })
  j:close()
end

t.test("two people must agree where the step says so, by two accounts", function()
  local w = program.workspace { ["a.lua"] = playbook
    [[dr.step("Burn", { approve = { text = "both keys", people = 2 } },
      function() probe.opaque("burn") end)]] }
  local id = program.events(w.run({ "a.lua", "--output", "json", "--yes" }).out)[1].run
  local r = w.run { "approve", id, "Burn", "--as", "ann" }
  t.contains(r.out, 'approved "Burn" of run ' .. id .. ": both keys")
  t.contains(r.out, "1 of 2 people have agreed; each by a different account")
  local account = identity.account()
  for _, name in ipairs { "bob", account .. " ", " " .. account } do
    w.run { "approve", id, "Burn", "--as", name }
  end
  w.run { "approve", id, "Burn" }
  for _, words in ipairs { { "resume", id }, { "resume", id, "--yes" } } do
    r = w.run(words)
    t.equal(r.code, 4, r.out .. r.err)
    t.contains(r.out, "1 of 2 people have agreed")
  end
  for _, name in ipairs { "", " ", "\t" } do
    r = w.run { "approve", id, "Burn", "--as", name }
    t.equal(r.code, 2)
    t.contains(r.err, "--as needs a name")
  end
  t.contains(w.run({ "show", id }).out, "waits for approval: Burn (1 of 2 given, by " .. account)
  approve_as(w, id, "Burn", "bob")
  t.equal(w.run({ "resume", id }).code, 0)
  t.equal(#w.effects(), 1)
  local report = w.run({ "report", id }).out
  t.contains(report, '"Burn": asked: both keys')
  t.contains(report, '"Burn": approved by ann on ')
  t.contains(report, "drlua approve, typed by ")
  t.contains(report, '"Burn": approved by bob on elsewhere')
end)

t.test("at a terminal: yes is typed in full, no stops", function()
  local w = program.workspace { ["a.lua"] = irreversible }
  local text, code = typed(w, { "a.lua" }, { { "Type yes", "y" }, { "Type yes", "yes" } })
  t.equal(code, 0, text)
  t.contains(text, "the bridge burns for good")
  t.equal(#w.effects(), 1)
  text, code = typed(w, { "a.lua" }, { { "Type yes", "no" } })
  t.equal(code, 1, text)
  t.equal(#w.effects(), 1)
end)

t.test("at a terminal a failed step is tried again, skipped with a reason, or stopped", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("Try", function() return probe.flaky("x") end)' }
  fs.write(w.world .. ".fail", "1")
  local text, code = typed(w, { "a.lua" }, { { "retry, skip, or stop?", "retry" } })
  t.equal(code, 0, text)
  fs.write(w.world .. ".fail", "1")
  text, code = typed(w, { "a.lua" },
    { { "retry, skip, or stop?", "skip" }, { "Why", "done by hand" } })
  t.equal(code, 0, text)
  t.contains(w.run({ "report", "last" }).out, "done by hand")
end)

t.test("a second run is refused beside a living one: exit 5, who holds it", function()
  local w = program.workspace { ["a.lua"] = playbook(
    'dr.step("Hold", function() for i = 1, 500 do dr.note("tick") probe.block(0.02) end end)',
    'lock = function() return "the-database" end,') }
  local refused
  local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"tick"', 1, true) and not refused then
      refused = w.run { "a.lua" }
      proc:kill("KILL")
    end
  end })
  t.equal(r.signal, "KILL")
  t.equal(refused.code, 5)
  t.contains(refused.err, "the-database is locked: run " .. program.events(r.out)[1].run
    .. " holds it")
  t.contains(refused.err, "to take over, end that process")
  -- The owner is dead: its lock is there to take, and its run is named.
  local next_run = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"tick"', 1, true) then proc:kill("KILL") end
  end })
  t.contains(next_run.out, "was left unfinished by a process that died")
end)

t.test("parallel: the first failure lets siblings finish their step, then all stop", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.parallel {
      function()
        dr.step("Fails", function() probe.block(0.05) dr.fail("broken") end)
      end,
      function()
        dr.step("Long", function() probe.block(0.2) probe.opaque("long") end)
        dr.step("Never", function() probe.opaque("never") end)
      end,
    }
    dr.step("After", function() end)]] }
  local r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.equal(w.effects(), { "opaque long" })
  t.contains(r.out, 'step "Fails" failed: broken')
end)

t.test("each: bounded, results in order, nested, resumed in the middle", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    local all = dr.each({ 3, 1, 2 }, { limit = 2 }, function(n, i)
      local parts = { dr.parallel {
        function() return dr.step("a", function() probe.block(n / 100) return n end) end,
        function() return dr.step("b", function()
          if n == 2 and not os.getenv("GO") then dr.fail("two") end
          return probe.opaque(tostring(n))
        end) end,
      } }
      return parts[1] * 10 + i
    end)
    dr.step("Sum", function() return all end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run({ "resume", "last", "--output", "json" }, { env = { GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  local results = {}
  for _, e in ipairs(program.events(r.out)) do
    if e.step == "Sum" and e.result then results = e.result end
  end
  t.equal(results, { 31, 12, 23 })
  local effects = w.effects()
  table.sort(effects)
  t.equal(effects, { "opaque 1", "opaque 2", "opaque 3" })
end)

t.test("rollback: newest first, with results, resumable, and what is left by hand", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    for _, name in ipairs { "One", "Two", "Three" } do
      dr.step(name, { undo = function(result)
        if result == "Two!" and not os.getenv("FIX") then dr.fail("cannot undo two") end
        probe.opaque("undo " .. result)
      end }, function()
        probe.opaque("do " .. name)
        return name .. "!"
      end)
    end
    dr.step("Fail", function() dr.fail("no") end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run { "rollback", "last" }
  t.equal(r.code, 1)
  t.contains(r.err, 'left to do by hand: "Two", "One"')
  r = w.run({ "rollback", "last" }, { env = { FIX = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque do One", "opaque do Two", "opaque do Three", "opaque undo Three!",
    "opaque undo Two!", "opaque undo One!" })
  t.contains(w.run({ "runs" }).out, "rolled back")
  t.contains(w.run({ "resume", "last" }).err, "was rolled back")
end)

t.test("a living run is paused from another terminal before its next step", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    for i = 1, 500 do dr.step("Step " .. i, function() probe.block(0.01) end) end]] }
  local asked
  local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(line)
    if line:find('"Step 3"', 1, true) and not asked then
      asked = w.run { "pause", "last" }
    end
  end })
  t.equal(asked.code, 0, asked.err)
  t.equal(r.code, 4)
  t.contains(r.out, '"reason":"operator"')
end)

t.test("plan changes nothing, flows on, and shows the steps in order", function()
  local w = program.workspace { ["a.lua"] = playbook([[
    local n = probe.count()
    local made = dr.step("Create", { risk = "irreversible", budget = "10m" }, function()
      return probe.create("db-" .. n).DBInstance
    end)
    dr.step("Use", { budget = "5m" }, function()
      for _, x in ipairs(made.List) do probe.opaque("item " .. x.Name) end
      if made.Port > 5 then probe.opaque("never") end
      probe.create(made.DBInstanceIdentifier .. "-copy")
      dr.wait_until("it is there", { timeout = "1h" }, function() return probe.count() > 100 end)
      return ("%s:%d"):format(made.Address, made.Port)
    end)
    dr.step("Off", { when = false }, function() probe.opaque("off") end)
    dr.step("Now", function() dr.fail("the region answers") end)]], 'targets = { rto = "10m" },') }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 0, r.err)
  t.equal(w.effects(), {})
  t.contains(r.out, "1. Create  [irreversible, approval, budget 10m]")
  t.contains(r.out, "change rds.CreateDBInstance (us-west-2)  DBInstanceIdentifier=db-0")
  t.contains(r.out, "wait   it is there")
  t.contains(r.out, "(known after run)")
  t.contains(r.out, "skipped: its condition does not hold")
  t.contains(r.out, "it would stop here: the region answers")
  t.contains(r.out, "Expected: at least 15m, target RTO 10m — MISSED")
  t.equal(fs.stat(w.directory .. "/state"), nil)
  local last = program.events(w.run({ "plan", "a.lua", "--output", "json" }).out)
  t.equal(last[#last].result.steps, 4)
end)

t.test("plan fails on a mistake in the playbook, with its line", function()
  local w = program.workspace {
    ["a.lua"] = playbook 'dr.step("x", function() local a = nil; return a.b end)' }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.err, "a.lua:5:")
end)

t.test("check: ready is 0, not ready is 3, and nothing is changed", function()
  local w = program.workspace { ["a.lua"] = playbook("", [[
    params = { { "want", type = "int" } },
    ready = function(p)
      dr.check("Enough", function() return probe.count() >= p.want, "too few" end)
      dr.check("Other", function() probe.opaque("x") end)
    end,]]) }
  local r = w.run { "check", "a.lua", "--want", "0" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "Test: ready")
  r = w.run { "check", "a.lua", "--want", "1" }
  t.equal(r.code, 3)
  t.contains(r.out, "FAIL  Enough: too few")
  t.contains(r.out, "ok    Other")
  t.equal(w.effects(), {})
  t.equal(w.run({ "check", "a.lua" }).code, 2)
end)

t.test("Ctrl-C once: what is under way is said, exit 130, resumable; calls end first", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("Quick", function() probe.opaque("quick") end)
    dr.step("Wait", { done = function() return os.getenv("GO") ~= nil end }, function()
      dr.note("waiting now")
      dr.wait_until("the moon to rise", { every = "10s" }, function() return false, "below the horizon" end)
    end)]] }
  local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"step_waiting"', 1, true) then proc:kill("INT") end
  end })
  t.equal(r.code, 130, r.err)
  t.contains(r.out, '"reason":"interrupt"')
  t.contains(r.err, 'step "Wait": waiting for the moon to rise (below the horizon)')
  t.contains(w.run({ "runs" }).out, "interrupted")
  r = w.run({ "resume", "last" }, { env = { GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque quick" })
end)

t.test("Ctrl-C during a change waits for its answer; twice stops at once", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.parallel {
      function() dr.step("Change", function() return probe.opaque("x") end) end,
      function() dr.step("Tick", function() for i = 1, 500 do dr.note("tick") probe.block(0.02) end end) end,
    }]] }
  fs.write(w.world .. ".hang", "")
  local interrupted
  local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if interrupted or not line:find('"tick"', 1, true) then return end
    interrupted = true
    proc:kill("INT")
    task.spawn(function()
      task.sleep(0.2)
      fs.remove(w.world .. ".hang")
    end)
  end })
  t.equal(r.code, 130, r.err)
  t.contains(w.run({ "report", "last" }).out, "run x | done")
  fs.write(w.world .. ".hang", "")
  local signals = 0
  r = w.run({ "a.lua", "--output", "json" },
    { on_error_line = function() end, on_line = function(line, proc)
    if line:find('"tick"', 1, true) and signals < 1 then
      signals = 1
      proc:kill("INT")
      task.spawn(function()
        task.sleep(0.1)
        proc:kill("INT")
      end)
    end
  end })
  t.equal(r.code, 130)
  t.contains(r.err, "stopped at once")
  t.contains(w.run({ "show", "last" }).out, "call in doubt: run x")
end)

t.test("a step over its budget is handed to the playbook's escalation, once", function()
  local w = program.workspace { ["a.lua"] = playbook([[
    dr.step("Slow", { budget = "0.05s" }, function() probe.block(0.4) end)]], [[
    escalate = function(p, what) probe.opaque("page for " .. what.step) end,]]) }
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque page for Slow" })
end)

t.test("at a terminal the answer may come from another one", function()
  local w = program.workspace { ["a.lua"] = irreversible }
  local given
  local text, code = typed(w, { "a.lua" }, { { "Type yes", function()
    given = w.run { "approve", "last", "Burn", "--as", "ann" }
  end } })
  t.equal(given.code, 0, given.err)
  t.equal(code, 0, text)
  t.equal(w.effects(), { "opaque burn" })
  t.contains(w.run({ "report", "last" }).out, "approved by ann")
  -- The question is taken from the screen before anything else is written.
  t.ok(not text:find('%("Burn"%): [^\r]*%d%d:%d%d'), text)
end)

t.test("at a terminal long lines are broken between words", function()
  local words = ("confirmed "):rep(30)
  local w = program.workspace { ["a.lua"] = playbook('dr.note("' .. words
    .. '") dr.step("s", function() end)') }
  local text, code = typed(w, { "a.lua" }, {})
  t.equal(code, 0, text)
  for line in text:gsub("\27%[[%d;]*%a", ""):gmatch("[^\r\n]+") do
    t.ok(#line <= 80 or not line:find("confirmed"), line)
  end
  local _, whole = text:gsub("confirmed", "")
  t.equal(whole, 30)
  t.contains(w.run({ "a.lua" }).err, words)
end)

t.test("an approval is for what was shown: done again, or "
  .. "changed, it is asked for again", function()
  local text = irreversible:gsub('probe.opaque%("burn"%)',
    '%0 if not os.getenv("GO") then dr.fail("wet wood") end')
  local w = program.workspace { ["a.lua"] = text }
  local id = program.events(w.run({ "a.lua", "--output", "json" }).out)[1].run
  w.run { "approve", id, "Burn" }
  t.equal(w.run({ "resume", id }).code, 1)
  t.equal(#w.effects(), 1)
  -- A new attempt of the same step needs no new yes; an edited playbook does.
  w.write("a.lua", text .. "-- edited\n")
  t.equal(w.run({ "resume", id, "--accept-changes" }, { env = { GO = "1" } }).code, 4)
  t.equal(#w.effects(), 1)
  w.run { "approve", id, "Burn" }
  t.equal(w.run({ "resume", id }, { env = { GO = "1" } }).code, 0)
end)

t.test("a run has one process at a time, whatever its playbook locks", function()
  local w = program.workspace { ["a.lua"] = playbook(
    'dr.step("Hold", function() for i = 1, 500 do dr.note("tick") probe.block(0.02) end end)',
    "lock = function() return {} end,") }
  local second
  w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"tick"', 1, true) and not second then
      second = w.run { "resume", "last" }
      proc:kill("KILL")
    end
  end })
  t.equal(second.code, 5, second.out .. second.err)
end)
