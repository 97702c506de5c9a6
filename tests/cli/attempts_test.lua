-- One step, many ways into it: what a retry, a resume and the operator find on record.
local fs = require "native.fs"
local program = require "program"
local server = require "native.server"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local HEAD = [[
local dr, aws, http, process, files = require "drlua", require "aws", require "http", require "process",
  require "files"
local URL = os.getenv "URL"
local function there(name) return files.exists(name) end
return dr.playbook { title = "t", %s run = function(p)
]]

local function playbook(body, more) return HEAD:format(more or "") .. body .. "\nend }\n" end

-- A server that keeps the idempotency key of every request; answer(n, request) answers the
-- n-th, or leaves it without a response.
local function receiver(answer)
  local srv = assert(server.listen {})
  local seen = { url = ("http://127.0.0.1:%d"):format(srv.port) }
  local accepting = task.spawn(function()
    pcall(function()
      while true do
        local request = task.await(srv:accept())
        if not request then return end
        table.insert(seen, request:header("idempotency-key") or "none")
        answer(#seen, request)
      end
    end)
  end)
  t.cleanup(function()
    accepting:cancel()
    srv:close()
  end)
  return seen
end

local function well(_, request) request:respond { body = "fine" } end
local function silent(first)
  return function(n, request)
    if n <= first then return end
    request:respond { body = "fine" }
  end
end
local function broken(first)
  return function(n, request) request:respond { status = n <= first and 500 or 200, body = "x" } end
end

local function place(body, answer, more)
  local seen = answer and receiver(answer)
  local w = program.workspace { ["a.lua"] = playbook(body, more) }
  w.env.DRLUA_STDLIB, w.env.URL = "", seen and seen.url
  return w, seen
end

local PAY = [[dr.step("Pay", { %s }, function()
  http.post(URL .. "/pay", { timeout = "300ms", %s })
  if not there "ok" then dr.fail "later" end
end)]]

t.test("a request without a response is put to the operator, by every way into the step", function()
  for _, case in ipairs { { "no response", silent(1) }, { "5xx", broken(1) } } do
    for _, options in ipairs { "", 'retries = { times = 2, every = "10ms" }' } do
      local w, seen = place(PAY:format(options, ""), case[2])
      fs.write(w.directory .. "/ok", "")
      local r = w.run { "a.lua" }
      if options == "" then
        t.equal(r.code, 1, r.out)
        r = w.run { "resume", "last" }
      end
      t.equal(r.code, 4, r.out .. r.err)
      t.equal(#seen, 1, case[1])
      t.equal(w.run({ "resume", "last" }).code, 4)
      r = w.run { "resume", "last", "--settle", "Pay=again" }
      t.equal(r.code, 0, r.out .. r.err)
      t.equal(#seen, 2)
      t.equal(seen[1], seen[2], "one key for ever")
    end
  end
end)

t.test("the operator's word: done is not sent again", function()
  local w, seen = place(PAY:format("", ""), silent(9))
  fs.write(w.directory .. "/ok", "")
  t.equal(w.run({ "a.lua" }).code, 1)
  t.equal(w.run({ "resume", "last", "--settle", "Pay/http.POST=done" }).code, 0)
  t.equal(#seen, 1)
end)

t.test("an answered request is not sent again when its step fails later", function()
  for _, way in ipairs { "resume", "retry" } do
    local w, seen = place(PAY:format(way == "retry" and 'retries = { times = 1, every = "10ms" }'
      or "", ""), well)
    local r = w.run { "a.lua" }
    t.equal(r.code, 1, r.out)
    fs.write(w.directory .. "/ok", "")
    r = w.run { "resume", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(#seen, 1)
  end
end)

t.test("the author's words: repeatable, fresh_calls, a goal", function()
  local w, seen = place(PAY:format("", "repeatable = true"), silent(1))
  fs.write(w.directory .. "/ok", "")
  t.equal(w.run({ "a.lua" }).code, 1)
  t.equal(w.run({ "resume", "last" }).code, 0)
  t.equal(#seen, 2)
  t.equal(seen[1], seen[2])

  w, seen = place(PAY:format("fresh_calls = true", ""), well)
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.directory .. "/ok", "")
  t.equal(w.run({ "resume", "last" }).code, 0)
  t.equal(#seen, 2)
  t.ok(seen[1] ~= seen[2], "another call has another key")

  local goal = [[dr.step("Pay", { goal = function() return there "paid" and "receipt" end, within = "2s" }, function()
    http.post(URL .. "/pay", { timeout = "300ms" })
  end)
  dr.step("After", function() return 1 end)]]
  w, seen = place(goal, silent(1))
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.directory .. "/paid", "")
  local r = w.run { "resume", "last", "--output", "json" }
  t.equal(r.code, 0, r.out)
  t.contains(r.out, '"result":"receipt"')
  t.equal(#seen, 1)
  t.ok(not w.run({ "show", "last" }).out:find("in doubt", 1, true))

  local directory
  w, seen = place(goal, function(n, request)
    if n == 1 then return end
    request:respond { body = "fine" }
    fs.write(directory .. "/paid", "")
  end)
  directory = w.directory
  t.equal(w.run({ "a.lua" }).code, 1)
  r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "the step's goal is not reached; sent again")
  t.equal(#seen, 2)
end)

t.test("a goal is asked before and after, and its value is the step's", function()
  local body = [[
    local got = dr.step("Make", { goal = function() return there "made" and "it" end, within = "1s" }, function()
      if not there "lazy" then files.write("made", "x") end
      return "not this"
    end)
    dr.note("got " .. got)]]
  local w = place(body)
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out)
  t.contains(r.err, "got it")
  r = w.run { "a.lua" }
  t.contains(r.err, "it is done already")
  w = place(body)
  fs.write(w.directory .. "/lazy", "")
  r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, 'the goal of step "Make": not so within 1s')
  local plan = w.run { "plan", "a.lua" }
  t.equal(plan.code, 0, plan.err)
end)

t.test("a failure without a response that the playbook catches is "
  .. "settled before its next change", function()
  local body = [[dr.step("Pay", function()
    local _, e = dr.try(http.post, URL .. "/pay", { timeout = "300ms" %s })
    dr.note("caught " .. tostring(e))
    process.run { "touch", "next" }
  end)]]
  local w, seen = place(body:format(""), silent(9))
  local r = w.run { "a.lua" }
  t.equal(r.code, 4, r.out .. r.err)
  t.equal(fs.stat(w.directory .. "/next"), nil)
  r = w.run { "resume", "last", "--settle", "Pay/http.POST=done" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(#seen, 1)
  t.ok(fs.stat(w.directory .. "/next"))
  -- A message may be sent twice: nobody is kept from the next change by it.
  w, seen = place(body:format(", repeatable = true"), silent(9))
  t.equal(w.run({ "a.lua" }).code, 0)
  t.equal(#seen, 1)
end)

t.test("a program that is stopped by its timeout, and one that a "
  .. "signal ended, are in doubt", function()
  for _, command in ipairs { '{ "sh", "-c", "echo x >> effect; sleep 5", timeout = "300ms" }',
    '{ "sh", "-c", "echo x >> effect; kill -9 $$" }' } do
    local w = place(
      ('dr.step("S", { retries = { times = 1, every = "10ms" } }, function() process.run %s end)')
      :format(command))
    local r = w.run { "a.lua" }
    t.equal(r.code, 4, r.out .. r.err)
    t.equal(fs.read(w.directory .. "/effect"), "x\n")
  end
end)

t.test("a call that AWS refused is sent again, under its token; one that "
  .. "failed later is made as another", function()
  local s = sim.start { speed = 500, log = function() end,
    world = { vaults = { { name = "nightly" } },
    instances = { { id = "shop", user = "shop", password = "secret-word", db = "shop",
      retention = 7 } } } }
  t.cleanup(function() s:stop() end)
  s:fault { kind = "outcome", operation = "StartBackupJob", status = "FAILED", count = 1 }
  local w = place [[
    dr.step("Backup", { retries = { times = 2, every = "10ms" } }, function()
      local backup = aws.backup { region = "us-east-1" }
      local id = backup:start_backup_job { BackupVaultName = "nightly",
        ResourceArn = "arn:aws:rds:us-east-1:123456789012:db:shop",
        IamRoleArn = "arn:aws:iam::123456789012:role/x" }.BackupJobId
      local job = dr.wait_until("the job", { every = "100ms", timeout = "20s" }, function()
        local job = backup:describe_backup_job { BackupJobId = id }
        return (job.State == "COMPLETED" or job.State == "FAILED") and job
      end)
      if job.State == "FAILED" then dr.fail "the job failed" end
    end)]]
  for name, value in pairs { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test",
    AWS_REGION = "us-east-1", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null" } do
    w.env[name] = value
  end
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "what it made no longer stands: it is done again")
end)

t.test("a failover in doubt waits for the cluster's decision", function()
  local s = sim.start { speed = 5, log = function() end,
    world = { clusters = { { id = "c", region = "us-west-2",
    user = "u", password = "secret-word", db = "d", members = { "a", "b", "d" } } } } }
  t.cleanup(function() s:stop() end)
  s:fault { kind = "lost", operation = "FailoverDBCluster", count = 1 }
  local w = place [[dr.step("Fail over", function()
    aws.rds { region = "us-west-2" }:failover_db_cluster { DBClusterIdentifier = "c",
      TargetDBInstanceIdentifier = "b" }
  end)]]
  for name, value in pairs { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test",
    AWS_REGION = "us-west-2", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null" } do
    w.env[name] = value
  end
  local r = w.run { "a.lua" }
  if r.code ~= 0 then r = w.run { "resume", "last" } end
  t.equal(r.code, 0, r.out .. r.err)
  local n = 0
  for _, call in ipairs(s.calls:list()) do
    if call.operation == "FailoverDBCluster" then n = n + 1 end
  end
  t.equal(n, 1)
end)

t.test("a read that moves before a change is the same again after a kill", function()
  local w = place [[
    dr.step("Set", function()
      local now = files.read("moving")
      process.run { "sh", "-c", "echo $0 >> set", now }
      if not there "go" then dr.note "set" dr.sleep "9s" end
      return now .. files.read("moving")
    end)]]
  fs.write(w.directory .. "/moving", "1")
  w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"text":"set"', 1, true) then proc:kill("KILL") end
  end })
  fs.write(w.directory .. "/moving", "2")
  fs.write(w.directory .. "/go", "")
  local r = w.run { "resume", "last", "--output", "json" }
  t.equal(r.code, 0, r.out)
  t.contains(r.out, '"result":"12"')
  t.equal(fs.read(w.directory .. "/set"), "1\n")
end)

t.test("skipped, then done again with --from: no later resume finds another order", function()
  local w = place [[
    dr.step("A", { when = function() return there "goA" end }, function() process.run { "touch", "a" } end)
    dr.step("B", function() if not there "goB" then dr.fail "b" end end)
    dr.step("C", function() if not there "goC" then dr.fail "c" end end)]]
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.directory .. "/goA", "")
  fs.write(w.directory .. "/goB", "")
  t.contains(w.run({ "resume", "last", "--from", "A" }).out, 'step "C" failed')
  fs.write(w.directory .. "/goC", "")
  local r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.ok(fs.stat(w.directory .. "/a"))
end)

t.test("--from makes new calls, and asks again what was read and checked since", function()
  local w, seen = place([[
    dr.step("One", function() http.post(URL .. "/one") end)
    local n = #files.read("text")
    dr.check("short", function() return n < 5 end)
    dr.step("Outer", function() dr.step("Inner", function() http.post(URL .. "/two") end) end)
    dr.note("length " .. n)
    if not there "go" then dr.fail "no" end]], well)
  fs.write(w.directory .. "/text", "abc")
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.directory .. "/text", "a")
  fs.write(w.directory .. "/go", "")
  local r = w.run { "resume", "last", "--from", "One" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "length 1")
  t.equal(#seen, 4)
  t.ok(seen[1] ~= seen[3] and seen[2] ~= seen[4])

  w, seen = place([[
    dr.step("Outer", function() dr.step("Inner", function() http.post(URL .. "/two") end) end)
    if not there "go" then dr.fail "no" end]], well)
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.directory .. "/go", "")
  t.equal(w.run({ "resume", "last", "--from", "Inner" }).code, 0)
  t.equal(#seen, 2)
end)

t.test("a wait outside of steps is not waited out again, and may only read", function()
  local w = place [[
    dr.step("A", function() process.run { "true" } end)
    dr.wait_until("the file", { every = "20ms", timeout = "2s" }, function() return there "file" end)
    dr.step("B", function() if not there "go" then dr.fail "b" end end)]]
  fs.write(w.directory .. "/file", "")
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.remove(w.directory .. "/file")
  fs.write(w.directory .. "/go", "")
  local r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  w = place [[dr.step("A", function()
    dr.wait_until("x", function() process.run { "touch", "made" } return true end) end)]]
  r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, "a probe (done, goal, when, wait_until) may only read")
  t.equal(fs.stat(w.directory .. "/made"), nil)
end)

t.test("a read outside of steps at which the run ended is made again", function()
  local w = place [[
    dr.step("A", function() process.run { "true" } end)
    dr.note("read " .. files.read("text"))
    local _, e = dr.try(files.read, "never")
    dr.step("B", function() if not there "go" then dr.fail "b" end return tostring(e ~= nil) end)]]
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.directory .. "/text", "abc")
  t.contains(w.run({ "resume", "last" }).err, "read abc")
  fs.write(w.directory .. "/never", "there now")
  fs.write(w.directory .. "/go", "")
  local r = w.run { "resume", "last", "--output", "json" }
  t.equal(r.code, 0, r.out)
  t.contains(r.out, '"result":"true"')
end)

t.test("an escalation goes on when its step ends, and the run waits for it", function()
  local w = place([[dr.step("Slow", { budget = "50ms" }, function() dr.sleep "200ms" end)]], nil,
    'escalate = function() process.run { "sh", "-c", "sleep 1; touch told" } end,')
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.ok(fs.stat(w.directory .. "/told"))
  t.ok(not r.err:find("escalation failed", 1, true), r.err)
end)

t.test("what is nested too deep for the journal is refused when it is written", function()
  local w = place [[dr.step("Deep", function()
    local deep = { 1 }
    for _ = 1, 1500 do deep = { deep } end
    return deep
  end)]]
  local r = w.run { "a.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, "nested too deep")
  t.equal(w.run({ "report", "last" }).code, 0)
end)

t.test("with --accept-changes the steps that will be done under another name are listed", function()
  local text = playbook [[
    dr.step("Old", function() process.run { "sh", "-c", "echo x >> effect" } end)
    dr.step("Last", function() if not there "go" then dr.fail "no" end end)]]
  local w = place ""
  w.write("a.lua", text)
  t.equal(w.run({ "a.lua" }).code, 1)
  w.write("a.lua", (text:gsub('"Old"', '"New"')))
  fs.write(w.directory .. "/go", "")
  local r = w.run { "resume", "last", "--accept-changes" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, 'comes to step "New", which is not on record and will be run')
  t.contains(r.err, '"Old" (succeeded)')
end)

t.test("a file that a failed attempt wrote stands; one that is gone is written again", function()
  for _, gone in ipairs { false, true } do
    local w = place [[
      dr.step("Write", { retries = { times = 1, every = "10ms" } }, function()
        files.write("made", "x")
        if not there "ok" then files.write("ok", "") dr.fail "once" end
      end)
      dr.step("Again", function()
        files.write("second", "x")
        if not there "go" then dr.fail "twice" end
      end)]]
    t.equal(w.run({ "a.lua" }).code, 1)
    if gone then fs.remove(w.directory .. "/second") end
    fs.write(w.directory .. "/go", "")
    local r = w.run { "resume", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    t.ok(fs.stat(w.directory .. "/made") and fs.stat(w.directory .. "/second"))
  end
end)
