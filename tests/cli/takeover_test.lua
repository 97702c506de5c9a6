-- One owner at a time: a process that slept while its run was resumed elsewhere makes no
-- call after it wakes; two resumes at once; others who write while a run runs.
local t = require "harness"
local fake = require "fake"
local fs = require "native.fs"
local journal = require "run.journal"
local program = require "program"
local task = require "task"
local value = require "run.value"

-- A step that ends once world.go is there, and before it and after it a change.
local BODY = [[
    dr.step("Before", function() probe.opaque("before") end)
    %s
    dr.step("After", function() probe.opaque("after") end)
    dr.step("Last", function() probe.opaque("last") end)]]

local GO = 'require("files").exists(os.getenv("PROBE_WORLD") .. ".go")'

-- Where the process is asleep: the text of the playbook around it, and the line after
-- which it is stopped.
local places = {
  { "in a wait", ([[dr.step("Wait", function()
      dr.wait_until("the word", { every = "0.02s" }, function() return %s end)
    end)]]):format(GO), '"event":"step_waiting"' },
  { "in the function of a step", ([[dr.step("Wait", function()
      while not %s do probe.block(0.02) end
      probe.opaque("waited")
    end)]]):format(GO), '"step":"Wait"' },
  { "in parallel branches", ([[dr.parallel {
      function() dr.step("Wait", function()
        while not %s do probe.block(0.02) end
        probe.opaque("waited")
      end) end,
      function() for i = 1, 3 do dr.step("Tick " .. i, function()
        while not %s do probe.block(0.02) end
        probe.opaque("tick " .. i)
      end) end end,
    }]]):format(GO, GO), '"step":"Tick 1"' },
  { "in dr.sleep between steps", [[dr.step("Wait", function() end) dr.sleep("1s")]],
    '"step_succeeded"[^\n]*Wait',
    "seen", "" },
}

local function remove_locks(w)
  local state = w.env.DRLUA_STATE
  for _, name in ipairs(fs.list(state .. "/locks")) do fs.remove(state .. "/locks/" .. name) end
  local run = fs.list(state .. "/runs")[1]
  for _, name in ipairs { "lock", "lock.owner" } do
    fs.remove(("%s/runs/%s/%s"):format(state, run, name))
  end
end

-- Until an entry of this kind stands: a process that is stopped while it writes one holds
-- the database, and nobody can take over.
local function until_written(w, kind, path)
  local id = fs.list(w.env.DRLUA_STATE .. "/runs")[1]
  local j = journal.open(("%s/runs/%s/journal.db"):format(w.env.DRLUA_STATE, id),
    { readonly = true })
  local found = not kind
  while not found do
    for _, event in ipairs(j:of_kind(kind)) do found = found or event.path == path end
    if not found then task.sleep(0.01) end
  end
  j:close()
end

local function locks_of(w)
  local found = {}
  local state = w.env.DRLUA_STATE
  for _, name in ipairs(fs.list(state .. "/locks")) do
    found[name] = fs.read(state .. "/locks/" .. name)
  end
  local run = fs.list(state .. "/runs")[1]
  found.own = fs.read(("%s/runs/%s/lock.owner"):format(state, run))
  found.report = fs.read(("%s/runs/%s/report.md"):format(state, run))
  return found
end

for _, place in ipairs(places) do
  t.test("asleep " .. place[1] .. " while its run is resumed to its "
    .. "end: no call after it wakes", function()
    local w = program.workspace { ["a.lua"] = program.playbook(BODY:format(place[2])) }
    local after, locks
    local first = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
      if after or not line:find(place[3]) then return end
      until_written(w, place[4], place[5])
      proc:kill("STOP")
      local r = w.run { "resume", "last" }
      t.equal(r.code, 5, r.out .. r.err)
      t.contains(r.err, ("end that process (kill %d)"):format(proc.pid))
      t.equal(w.run({ "resume", "last", "--takeover" }).code, 5)
      remove_locks(w)
      fs.write(w.world .. ".go", "")
      r = w.run { "resume", "last" }
      t.equal(r.code, 0, r.out .. r.err)
      after, locks = w.effects(), locks_of(w)
      proc:kill("CONT")
    end })
    t.ok(after, "it was never stopped: " .. first.out .. first.err)
    t.equal(first.code, 1, first.out .. first.err)
    t.equal(w.effects(), after)
    t.contains(first.out, "the run was taken over: process ")
    t.contains(first.out, '"outcome":"taken over"')
    t.equal(locks_of(w), locks)
    local r = w.run { "runs" }
    t.contains(r.out, "succeeded")
    t.equal(w.run({ "verify", "last" }).code, 0)
  end)
end

t.test("a rollback that was taken over undoes nothing more", function()
  local w = program.workspace { ["a.lua"] = program.playbook(([[
    dr.step("One", { undo = function() probe.opaque("undo one") end }, function() probe.opaque("one") end)
    dr.step("Two", { undo = function()
      probe.opaque("undo two")
      while not %s do probe.block(0.02) end
    end }, function() probe.opaque("two") end)
    dr.step("Three", function() dr.fail("no") end)]]):format(GO)) }
  t.equal(w.run({ "a.lua" }).code, 1)
  local after
  local first = w.run({ "rollback", "last", "--output", "json" }, { on_line = function(line, proc)
    if after or not line:find('"what":"run undo two"', 1, true) then return end
    until_written(w, "result", "Undo: Two")
    proc:kill("STOP")
    remove_locks(w)
    fs.write(w.world .. ".go", "")
    local r = w.run { "rollback", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    after = w.effects()
    proc:kill("CONT")
  end })
  t.ok(after, first.out .. first.err)
  t.equal(first.code, 1, first.out .. first.err)
  t.equal(w.effects(), after)
  t.equal(w.run({ "verify", "last" }).code, 0)
end)

t.test("its lock's file is removed, and nobody has taken over: it "
  .. "stops before its next call", function()
  for _, name in ipairs { "locks/a", "own" } do
    local w = program.workspace { ["a.lua"] = program.playbook(BODY:format(places[2][2])) }
    local done
    local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(line)
      if done or not line:find('"step":"Wait"', 1, true) then return end
      done = true
      local run = fs.list(w.env.DRLUA_STATE .. "/runs")[1]
      assert(fs.remove(("%s/%s"):format(w.env.DRLUA_STATE, name == "own" and "runs/" .. run
        .. "/lock" or name)))
      fs.write(w.world .. ".go", "")
    end })
    t.equal(r.code, 1, r.out .. r.err)
    t.contains(r.out, '"outcome":"stopped"')
    t.contains(r.out, "was removed or replaced while this process held it")
    t.equal(w.effects(), { "opaque before" })
    r = w.run { "resume", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(w.effects(), { "opaque before", "opaque waited", "opaque after", "opaque last" })
  end
end)

t.test("two resumes at once: one goes on, the other names it", function()
  local w = program.workspace { ["a.lua"] = program.playbook(BODY:format(places[2][2])) }
  local killed = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"step":"Wait"', 1, true) then proc:kill("KILL") end
  end })
  t.equal(killed.signal, "KILL")
  for _ = 1, 5 do
    local pids, ended = {}, 0
    local function resume(i)
      local r = w.run({ "resume", "last", "--output", "json" }, { on_line = function(line, proc)
        if not line:find('"event":"run_started"', 1, true) then return end
        -- The winner is kept until the other has ended, and killed for the next round.
        pids[i] = proc.pid
        while ended == 0 do task.sleep(0.02) end
        proc:kill("KILL")
      end })
      ended = ended + 1
      return r
    end
    local results = task.all { function() return resume(1) end, function() return resume(2) end }
    local loser = results[1].code == 5 and 1 or 2
    t.equal(results[loser].code, 5, results[loser].out .. results[loser].err)
    t.equal(results[3 - loser].signal, "KILL")
    t.contains(results[loser].err, ("end that process (kill %d)"):format(pids[3 - loser]))
  end
  fs.write(w.world .. ".go", "")
  t.equal(w.run({ "resume", "last" }).code, 0)
  t.equal(w.effects(), { "opaque before", "opaque waited", "opaque after", "opaque last" })
end)

t.test("others who write while a run runs keep the chain whole", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Promote", { risk = "irreversible" }, function() end)
    for i = 1, 40 do dr.step("Step " .. i, function() probe.opaque("e" .. i) end) end
    dr.step("End", function() dr.wait_until("the pause", { every = "0.02s" }, function()
      return require("files").exists(os.getenv("PROBE_WORLD") .. ".go")
    end) end)
    dr.step("Never", function() probe.opaque("never") end)]] }
  local other
  t.cleanup(function() if other then other:close() end end)
  local n = 0
  local r = w.run({ "a.lua", "--yes", "--output", "json" }, { on_line = function(line)
    local id = fs.list(w.env.DRLUA_STATE .. "/runs")[1]
    other = other or journal.open(("%s/runs/%s/journal.db"):format(w.env.DRLUA_STATE, id))
    other:add("lesson", "", { text = "from outside" })
    n = n + 1
    if n % 30 == 0 then t.equal(w.run({ "approve", "last", "Promote" }).code, 0) end
    if line:find('"event":"step_waiting"', 1, true) then
      t.equal(w.run({ "pause", "last" }).code, 0)
      fs.write(w.world .. ".go", "")
    end
  end })
  t.equal(r.code, 4, r.out .. r.err)
  t.equal(#w.effects(), 40)
  t.ok(n > 80)
  t.equal(#other:of_kind "lesson", n)
  t.equal(#other:of_kind "approved", 1 + n // 30)
  other:close()
  other = nil
  r = w.run { "verify", "last" }
  t.equal(r.code, 0, r.out)
end)

t.test("kill -9 at every write: a whole journal at each, resumed to the same end", function()
  local text = program.playbook [[
    dr.step("One", function() return probe.create("db").DBInstance.Port end)
    dr.step("Two", function() probe.start("job") end)]]
  for _, moment in ipairs { "before", "within", "after" } do
    local n, killed = 0, true
    while killed do
      n = n + 1
      local w = program.workspace { ["a.lua"] = text }
      local r = w.run({ "a.lua" },
        { env = { DRLUA_REHEARSAL = "1", AWS_ENDPOINT_URL = "http://127.0.0.1:1",
        DRLUA_KILL_WRITE = moment .. ":" .. n } })
      killed = r.signal == "KILL"
      if killed then
        t.equal(w.run({ "verify", "last" }).code, 0, moment .. n)
        r = w.run { "resume", "last" }
        local over = r.code == 2 and r.err:find("has succeeded", 1, true)
        t.ok(r.code == 0 or over, moment .. n .. r.out .. r.err)
      end
      local effects = w.effects()
      t.equal(#effects, 2, moment .. n)
      t.equal(effects[1], "create db")
      t.equal(w.run({ "verify", "last" }).code, 0, moment .. n)
    end
    t.ok(n >= 9, moment .. n)
  end
end)

t.test("asleep between two tries of one call: it is not tried again after it wakes", function()
  local function served(status, name)
    return { status = status, body = status == 200 and '{"ReportJobId":"job"}' or "",
      headers = { { "content-type", "application/json" }, name and { "x-amzn-ErrorType", name } } }
  end
  local w = program.workspace { ["a.lua"] = program.playbook [[
    local aws = require "aws"
    dr.step("Report", function()
      return aws.backup { region = "us-east-1" }:start_report_job { ReportPlanName = "plan" }.ReportJobId
    end)]] }
  local first, woken
  local server
  server = fake.start(function(_, n)
    if n > 1 then return served(200) end
    first:kill("STOP")
    return served(503, "ServiceUnavailableException")
  end)
  t.cleanup(function() server:close() end)
  for name, v in pairs { AWS_ENDPOINT_URL = server.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test",
    AWS_EC2_METADATA_DISABLED = "true" } do w.env[name] = v end
  local watcher = task.spawn(function()
    while #server.requests == 0 do task.sleep(0.01) end
    remove_locks(w)
    local r = w.run { "resume", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    woken = #server.requests
    first:kill("CONT")
  end)
  local r = w.run({ "a.lua", "--output", "json" },
    { on_line = function(_, proc) first = first or proc end })
  watcher:wait()
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, '"outcome":"taken over"')
  t.equal(woken, 2)
  t.equal(#server.requests, woken)
end)

t.test("a run whose owner is on another machine is taken over "
  .. "only when that is asked for", function()
  local w = program.workspace { ["a.lua"] = program.playbook(BODY:format(places[2][2])) }
  local after
  local first = w.run({ "a.lua", "--output", "json" }, { on_line = function(line)
    if after or not line:find('"step":"Wait"', 1, true) then return end
    local state = w.env.DRLUA_STATE
    local run = fs.list(state .. "/runs")[1]
    for _, path in ipairs { state .. "/locks/a.owner",
      ("%s/runs/%s/lock.owner"):format(state, run) } do
      local owner = value.decode(fs.read(path))
      owner.machine, owner.host = "another", "far"
      assert(fs.write(path, value.encode(owner)))
    end
    for _, words in ipairs { { "a.lua" }, { "resume", "last" } } do
      local r = w.run(words)
      t.equal(r.code, 5, r.out .. r.err)
      t.contains(r.err, ("if far is lost: drlua resume %s --takeover"):format(run))
    end
    local r = w.run({ "resume", "last", "--takeover", "--output", "json" },
      { on_line = function(told)
      if told:find('"event":"run_started"', 1, true) then fs.write(w.world .. ".go", "") end
    end })
    t.equal(r.code, 0, r.out .. r.err)
    t.contains(r.out, "taken over by ")
    after = w.effects()
  end })
  t.equal(first.code, 1, first.out .. first.err)
  t.contains(first.out, "the run was taken over: process ")
  t.equal(w.effects()[1], "opaque before")
  t.equal(#w.effects(), 4)
  t.equal(w.run({ "verify", "last" }).code, 0)
end)
