-- What a run promises on ways other than kill -9: retries in the same process, calls
-- without a response, settling one call at a time, rollback from anywhere.
local fs = require "native.fs"
local program = require "program"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local HEAD = [[
local dr, aws, http, process, files = require "drlua", require "aws", require "http", require "process", require "files"
local function backup() return aws.backup { region = "us-east-1" }:start_backup_job { BackupVaultName = "nightly",
  ResourceArn = "arn:aws:rds:us-east-1:123456789012:db:shop", IamRoleArn = "arn:aws:iam::123456789012:role/x" } end
local function snapshot(name) return aws.rds { region = "us-east-1" }:create_db_snapshot {
  DBInstanceIdentifier = "shop", DBSnapshotIdentifier = name } end
return dr.playbook { title = "t", run = function(p)
]]

local function playbook(body) return HEAD .. body .. "\nend }\n" end

local WORLD = { instances = { { id = "shop", user = "shop", password = "secret-word", db = "shop",
  retention = 7 } },
  vaults = { { name = "nightly" } },
  ecs = { { cluster = "shop", services = { { name = "web", desired = 3, image = "web:1" } } } } }

local function place(body, faults)
  local s = sim.start { world = WORLD, speed = 200, log = function() end }
  t.cleanup(function() s:stop() end)
  for _, fault in ipairs(faults or {}) do s:fault(fault) end
  local w = program.workspace { ["a.lua"] = playbook(body) }
  for name, value in pairs { DRLUA_STDLIB = "", AWS_ENDPOINT_URL = s.url,
    AWS_ACCESS_KEY_ID = "test", AWS_SECRET_ACCESS_KEY = "test", AWS_REGION = "us-east-1",
    AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null" } do w.env[name] = value end
  return w, s
end

local function count(s, operation)
  local n = 0
  for _, call in ipairs(s.calls:list()) do
    if call.operation == operation and call.done then n = n + 1 end
  end
  return n
end

-- The idempotency tokens of the intents in the newest run's journal.
local function tokens(w)
  local list = {}
  for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/journal.db")) do
    local j = require("run.journal").open(path, { readonly = true })
    for _, event in ipairs(j:of_kind("intent")) do
      list[require("run.value").decode(event.data).token] = true
    end
    j:close()
  end
  return list
end

local function size(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

t.test("a retry in the same process does not make an answered call again", function()
  local w, s = place [[
    dr.step("Backup", { retries = { times = 1, every = "10ms" } }, function()
      backup()
      if not files.exists("ok") then files.write("ok", "1") dr.fail "second half broke" end
    end)]]
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(count(s, "StartBackupJob"), 1)
end)

t.test("a retry finds the snapshot that the first attempt "
  .. "made, and so does every resume", function()
  local w, s = place [[
    dr.step("Snapshot", { retries = { times = 1, every = "10ms" } }, function()
      snapshot "pre-dr"
      if not files.exists("ok") then files.write("ok", "1") dr.fail "second half broke" end
    end)]]
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(count(s, "CreateDBSnapshot"), 1)
end)

t.test("a call without a response keeps its token through "
  .. "step timeout, retry and resume", function()
  local retry = ', retries = { times = 1, every = "10ms" }'
  for _, case in ipairs { { retries = retry }, { retries = "", resume = true } } do
    local w = place(([[
      dr.step("Backup", { timeout = "1s" %s }, function() return backup().BackupJobId end)]]):format(case.retries),
      { { kind = "hang", operation = "StartBackupJob", count = 1, when = "after" } })
    local r = w.run { "a.lua" }
    if case.resume then
      t.equal(r.code, 1, r.out .. r.err)
      r = w.run { "resume", "last" }
    end
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(size(tokens(w)), 1)
  end
end)

t.test("a 5xx after the effect is settled under the same token", function()
  local w = place([[dr.step("Backup", function() return backup().BackupJobId end)]],
    { { kind = "error", effect = true, operation = "StartBackupJob", count = 3 } })
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(size(tokens(w)), 1)
end)

t.test("a namesake that was there before is not taken for the call's own effect", function()
  local w, s = place [[dr.step("Snapshot", function() snapshot "pre-dr" end)]]
  t.equal(w.run({ "a.lua" }).code, 0)
  s:fault { kind = "reset", operation = "CreateDBSnapshot", count = 1, when = "before" }
  local r = w.run { "a.lua" }
  t.equal(r.code, 1, r.out .. r.err)
end)

t.test("one answer settles one call", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.parallel {
      function()
        dr.step("Charge A", function() process.run { "sh", "-c", "echo A >> charged; sleep 9" } end)
      end,
      function()
        dr.step("Charge B", function() process.run { "sh", "-c", "touch begun; sleep 9; echo B >> charged" } end)
      end }]] }
  local killed
  w.run({ "a.lua", "--output", "json" }, { on_line = function(_, proc)
    if killed then return end
    killed = true
    task.spawn(function()
      local function there(name) return fs.stat(w.directory .. "/" .. name) end
      while not (there "charged" and there "begun") do task.sleep(0.02) end
      proc:kill("KILL")
    end)
  end })
  local r = w.run { "resume", "last" }
  t.equal(r.code, 4, r.out .. r.err)
  t.contains(r.out, "parallel.1/Charge A/process.sh=done")
  t.contains(r.out, "parallel.2/Charge B/process.sh=done")
  t.equal(w.run({ "resume", "last", "--settle", "done" }).code, 2)
  r = w.run { "resume", "last", "--settle", "parallel.1/Charge A/process.sh=done" }
  t.equal(r.code, 4, r.out .. r.err)
  r = w.run { "resume", "last", "--settle", "Charge B=done" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(fs.read(w.directory .. "/charged"), "A\n")
end)

t.test("names with slashes and numbers are different steps", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("deploy", function() dr.step("api", function() process.run { "touch", "inner" } return "inner" end) end)
    dr.note("got " .. dr.step("deploy/api", function() process.run { "touch", "outer" } return "outer" end))
    dr.step("x", function() return 1 end) dr.step("x", function() return 2 end)
    dr.note("got " .. dr.step("x#2", function() return 3 end))
    dr.parallel { function() dr.step("y", function() process.run { "touch", "py" } end) end }
    dr.step("parallel.1", function() dr.step("y", function() process.run { "touch", "oy" } end) end)]] }
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "got outer")
  t.contains(r.err, "got 3")
  for _, name in ipairs { "inner", "outer", "py", "oy" } do
    t.ok(fs.stat(w.directory .. "/" .. name), name)
  end
end)

-- Rollback from wherever a run ended.
local undo = ', { undo = function() process.run { "touch", "undo_%s" } end }, function() '
  .. 'process.run { "true" } end)'
local function step(name) return ('dr.step("%s"' .. undo):format(name, name) end

local rollbacks = {
  { "a failed branch beside it", [[dr.parallel {
      function() dr.step("p1", function() dr.sleep "300ms" dr.fail "p1 broke" end) end,
      function() ]] .. step "p2" .. [[ end }]],
    undone = { "p2" } },
  { "dr.fail outside of steps", step "A" .. ' dr.fail "no traffic"', undone = { "A" } },
  { "a failed check", step "A" .. ' dr.check("c", function() return false, "bad" end)',
    undone = { "A" } },
  { "a Lua error", step "A" .. ' local x = nil; x.y = 1', undone = { "A" } },
  { "a read that fails", step "A" .. ' files.read("not there")', undone = { "A" } },
  { "a wait that ends",
    step "A" .. ' dr.wait_until("x", { every = "10ms", timeout = "50ms" }, function() end)',
    undone = { "A" } },
  { "a nested step", [[dr.step("Outer", function() ]] .. step "Inner" .. [[ end)
      dr.step("F", function() dr.fail "x" end)]],
    undone = { "Inner" } },
  { "a nested step in a failed one", [[dr.step("Outer", function() ]] .. step "Inner"
    .. [[ dr.fail "x" end)]],
    undone = { "Inner" } },
  { "reads, waits and sleeps between", [[files.list(".") dr.sleep "10ms" ]] .. step "A" ..
    [[ dr.wait_until("x", function() return true end)
       dr.step("O", function() local n = #files.list(".") dr.sleep "10ms" ]] .. step "B" ..
    [[ dr.wait_until("y", function() return true end) files.list(".") ]] .. step "C" ..
    [[ end) dr.fail "x"]],
    undone = { "A", "B", "C" } },
  { "each", [[dr.each({ 1, 2, 3 }, function(i)
      dr.step("E" .. i, { undo = function() process.run { "touch", "undo_E" .. i } end },
        function() process.run { "true" } end) if i == 2 then dr.sleep "200ms" dr.fail "two" end end)]],
    undone = { "E1", "E2", "E3" } },
  { "a failed step with a partial undo", [[dr.step("Stop", { partial = true, undo = function(result, reads)
      if result ~= nil then dr.fail "a result" end
      process.run { "touch", "undo_Stop" .. reads["file.look at"].size } end },
      function() files.stat("a.lua") process.run { "true" } dr.fail "half way" end)]],
    undone = {}, glob = "undo_Stop*" },
  { "a failed step without", [[dr.step("Stop", { undo = function() process.run { "touch", "undo_Stop" } end },
      function() process.run { "true" } dr.fail "half way" end)]], undone = {}, code = 1,
    says = 'run true (step "Stop")' },
  { "undo = false", step "A"
    .. [[ dr.step("B", { undo = false }, function() process.run { "true" } end) dr.fail "x"]],
    undone = { "A" } },
  { "a step that changed nothing", [[dr.step("A", { undo = function() process.run { "touch", "undo_A" } end },
      function() end) dr.fail "x"]], undone = {}, not_undone = "undo_A" },
  { "a message", step "A" .. [[ dr.step("Tell", function()
      http.post("http://127.0.0.1:1/", { message = true, timeout = "1s" }) end)]], undone = { "A" } },
  { "a slash in a name", [[dr.step("a/b", { undo = function() process.run { "touch", "undo_ab" } end },
      function() process.run { "true" } end) dr.fail "x"]], undone = { "ab" } },
}

for _, case in ipairs(rollbacks) do
  t.test("rollback after " .. case[1], function()
    local w = program.workspace { ["a.lua"] = playbook(case[2]) }
    local r = w.run { "a.lua" }
    t.equal(r.code, 1, r.out .. r.err)
    r = w.run { "rollback", "last" }
    t.equal(r.code, case.code or 0, r.out .. r.err)
    for _, name in ipairs(case.undone) do
      t.ok(fs.stat(w.directory .. "/undo_" .. name), name .. "\n" .. r.out .. r.err)
    end
    if case.glob then t.equal(#fs.glob(w.directory .. "/" .. case.glob), 1, r.err) end
    if case.says then t.contains(r.out, case.says) end
    if case.not_undone then t.equal(fs.stat(w.directory .. "/" .. case.not_undone), nil) end
  end)
end

t.test("a playbook looks after a rollback whether the old state is back", function()
  local text = playbook(step "A" .. ' dr.fail "x"'):gsub('title = "t",',
    'title = "t", after_rollback = function() dr.check("As before", function() return '
      .. 'files.exists("undo_A") end) end,')
  local w = program.workspace { ["a.lua"] = text }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run { "rollback", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "As before")
  w = program.workspace { ["a.lua"] = (text:gsub('exists%("undo_A', 'exists("never')) }
  t.equal(w.run({ "a.lua" }).code, 1)
  r = w.run { "rollback", "last" }
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, 'check "As before" failed')
end)

t.test("a rollback that stopped half-way goes on as a rollback", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    for _, n in ipairs { "One", "Two", "Three" } do
      dr.step(n, { undo = function() if n == "Two" and not files.exists("fix") then dr.fail "cannot" end
        process.run { "touch", "undo_" .. n } end }, function() process.run { "true" } end)
    end
    dr.step("Fail", function() dr.fail "x" end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  t.equal(w.run({ "rollback", "last" }).code, 1)
  t.contains(w.run({ "runs" }).out, "rolling back")
  t.equal(w.run({ "resume", "last" }).code, 1)
  fs.write(w.directory .. "/fix", "")
  local r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  for _, n in ipairs { "One", "Two", "Three" } do t.ok(fs.stat(w.directory .. "/undo_" .. n), n) end
  t.contains(w.run({ "runs" }).out, "rolled back")
end)

t.test("an undo call in doubt is settled by name, and the rollback goes on", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("One", { undo = function()
        process.run { "sh", "-c", "echo undone >> effect; test -e fast || sleep 9" }
      end }, function() process.run { "true" } end)
    dr.fail "x"]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local killed
  w.run({ "rollback", "last", "--output", "json" }, { on_line = function(_, proc)
    if killed then return end
    killed = true
    task.spawn(function()
      while not fs.stat(w.directory .. "/effect") do task.sleep(0.02) end
      proc:kill("KILL")
    end)
  end })
  local r = w.run { "rollback", "last" }
  t.equal(r.code, 4, r.out .. r.err)
  t.contains(r.out, "Undo: One/process.sh=done")
  r = w.run { "resume", "last", "--settle", "Undo: One/process.sh=done" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(fs.read(w.directory .. "/effect"), "undone\n")
end)

t.test("undo restores what was there before, also after a crash between change and end", function()
  local w, s = place [[
    local services, ecs = require "toolbox.services", aws.ecs { region = "us-east-1" }
    dr.step("Stop", { undo = function(n) services.scale(ecs, "shop", "web", n) end }, function()
      local n = services.desired_counts(ecs, "shop", { "web" }).web
      services.scale(ecs, "shop", "web", 0)
      if not files.exists("go") then dr.note "stopped" dr.sleep "9s" end
      return n
    end)
    dr.fail "x"]]
  w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"stopped"', 1, true) then proc:kill("KILL") end
  end })
  fs.write(w.directory .. "/go", "")
  local r = w.run { "resume", "last" }
  t.equal(r.code, 1, r.out .. r.err)
  r = w.run { "rollback", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  local last
  for _, call in ipairs(s.calls:list()) do
    if call.operation == "UpdateService" then last = call end
  end
  t.ok(last)
  local found
  for line in require("run.value").encode(s:inspect()):gmatch('"desiredCount":(%d+)') do
    found = tonumber(line)
  end
  t.equal(found, 3)
end)
