-- Clocks that jump and machines that sleep, in the middle of a run. The simulator's
-- clock, which checks the signatures, stays right.
local t = require "harness"
local clock = require "native.clock"
local clocks = require "clocks"
local fs = require "native.fs"
local http_server = require "native.server"
local program = require "program"
local sim = require "sim"
local task = require "task"

local WORLD = {
  ecs = { { cluster = "c", region = "us-west-2", services = { { name = "api", desired = 1 } } } },
  zones = { { id = "Z1", name = "x.example", records = {} } },
}

local HEAD = clocks.JUMP .. [[
local aws, dr = require "aws", require "drlua"
local r53 = aws.route53 {}
local function upsert(name)
  r53:change_resource_record_sets { HostedZoneId = "Z1", ChangeBatch = { Changes = { { Action = "UPSERT",
    ResourceRecordSet = { Name = name .. ".x.example", Type = "A", TTL = 60,
      ResourceRecords = { { Value = "192.0.2.1" } } } } } } }
end
local function told() return require("files").exists(os.getenv "PROBE_WORLD") end
return dr.playbook { title = "Clocks", targets = { rto = "1m" }, run = function()
]]

-- A simulator, and a workspace whose drlua has clocks that `set` moves.
local function place(body)
  local s = sim.start { world = WORLD, speed = 240, log = function() end }
  t.cleanup(function() s:stop() end)
  local w = program.workspace { ["a.lua"] = HEAD .. body .. "\nend }\n" }
  local env, set = clocks.of(w.directory)
  for name, value in pairs(env) do w.env[name] = value end
  for name, value in pairs { DRLUA_STDLIB = "", AWS_ENDPOINT_URL = s.url,
    AWS_ACCESS_KEY_ID = "test", AWS_SECRET_ACCESS_KEY = "test", AWS_REGION = "us-west-2",
    AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null" } do w.env[name] = value end
  return w, s, set
end

local function run(w, ...)
  return w.run { "run", "a.lua", "--yes", "--output", "json", ... }
end

-- The events by their kind; none is earlier than the one before, no time is below zero.
local function events_of(r)
  local found, last = {}, nil
  for _, e in ipairs(program.events(r.out)) do
    local at = assert(clock.parse(e.time))
    t.ok(not last or at >= last, "the time of " .. e.event .. " goes back")
    last = at
    for _, name in ipairs { "seconds", "waited", "rto" } do
      t.ok(not e[name] or e[name] >= 0, name .. " of " .. e.event .. " is below zero")
    end
    t.ok(not e.overrun, "an overrun: " .. tostring(e.text))
    found[e.event] = e
  end
  return found
end

-- A run that succeeds: its events, and how long it took by a clock that nobody moves.
local function succeed(w)
  local began = clock.monotonic()
  local r = run(w)
  local passed = clock.monotonic() - began
  t.equal(r.code, 0, r.out .. r.err)
  return events_of(r), passed
end

local function done(s, operation)
  local n = 0
  for _, call in ipairs(s.calls:list { operation = operation }) do
    if call.done then n = n + 1 end
  end
  return n
end

t.test("a real clock that jumps: calls are made once, budgets and "
  .. "timeouts hold, times are right", function()
  local w, s = place [[
    dr.step("Calls", { budget = "5m", timeout = "10m" }, function()
      upsert "a"
      for i, hours in ipairs { 6, -6, 0 } do
        jump(hours * 3600)
        dr.parallel { function() upsert("b" .. i) end, function() upsert("c" .. i) end,
          function() aws.sts {}:get_caller_identity {} end }
      end
    end)
    dr.step("Waits", { budget = "5m" }, function()
      local ecs = aws.ecs {}
      ecs:update_service { cluster = "c", service = "api", desiredCount = 2 }
      jump(-21600)
      ecs:wait("services_stable", { cluster = "c", services = { "api" } })
      local polls, began = 0, dr.now()
      local ok, e = dr.try(dr.wait_until, "never", { every = "100ms", timeout = "1s" }, function()
        polls = polls + 1
        jump(polls % 2 == 0 and 21600 or -21600)
      end)
      if ok or e.kind ~= "timeout" then dr.fail("the wait ended otherwise: " .. tostring(e)) end
      if dr.now() - began < 1 then dr.fail("it ended early") end
      jump(21600)
      dr.sleep("300ms")
      jump(-21600)
    end)]]
  local events, passed = succeed(w)
  t.ok(events.run_succeeded.rto <= passed, "the RTO is " .. events.run_succeeded.rto)
  t.equal(done(s, "ChangeResourceRecordSets"), 7)
  t.equal(done(s, "UpdateService"), 1)
  t.contains(assert(fs.read(events.run_succeeded.report)), "| RTO |")
end)

t.test("a clock that is wrong from the start, with many calls at once", function()
  for _, hours in ipairs { 6, -6 } do
    local w, s, set = place [[
      dr.step("Calls", function()
        local list = {}
        for i = 1, 8 do list[i] = i end
        dr.each(list, { limit = 8 }, function(i) upsert("n" .. i) end)
      end)]]
    set(hours * 3600)
    local r = run(w)
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(done(s, "ChangeResourceRecordSets"), 8)
  end
end)

local ROLE = 'local role = aws.sts { role_arn = "arn:aws:iam::123456789012:role/dr" }\n'

t.test("a role's credentials serve through a jump, and are "
  .. "renewed when they have run out", function()
  local w, s = place(ROLE .. [[
    dr.step("Role", function()
      for _, hours in ipairs { 0, 6, -6, 6 } do
        jump(hours * 3600)
        role:get_caller_identity {}
      end
      dr.note "run out"
      dr.wait_until("the new ones", { every = "50ms", timeout = "1m" }, function()
        role:get_caller_identity {}
        return told()
      end)
      jump(-21600)
      role:get_caller_identity {}
    end)]])
  local issued
  local r = w.run({ "run", "a.lua", "--yes", "--output", "json" }, { on_line = function(line)
    if not line:find("run out", 1, true) then return end
    for _, key in pairs(s.keys.keys) do
      if key.expires then key.expires, issued = clock.now() - 1, (issued or 0) + 1 end
    end
    task.spawn(function()
      while done(s, "AssumeRole") < 2 do task.sleep(0.02) end
      fs.write(w.world, "go")
    end)
  end })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(issued, 1, "one set before it ran out")
  t.equal(done(s, "AssumeRole"), 2)
end)

t.test("a role is assumed by a clock that is wrong from the start", function()
  for _, hours in ipairs { 6, -6 } do
    local w, s, set = place(ROLE .. [[
      dr.step("Role", function() for _ = 1, 3 do role:get_caller_identity {} end end)]])
    set(hours * 3600)
    local r = run(w)
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(done(s, "AssumeRole"), 1)
  end
end)

t.test("a clock set back between two sessions of a run: no time is "
  .. "negative, no sleep begins again", function()
  local w, _, set = place [[
    dr.step("One", function() end)
    dr.step("Sleep", function() dr.sleep("3s") dr.fail "later" end)
    dr.step("Two", function() end)]]
  set(21600)
  local r = run(w)
  t.equal(r.code, 1, r.out .. r.err)
  local first = events_of(r)
  set(0)
  w.write("a.lua", (fs.read(w.directory .. "/a.lua"):gsub('dr.fail "later"', "")))
  local began = clock.monotonic()
  r = w.run { "resume", "last", "--accept-changes", "--output", "json" }
  t.equal(r.code, 0, r.out .. r.err)
  t.ok(clock.monotonic() - began < 60)
  local second = events_of(r)
  t.ok(clock.parse(second.run_started.time) >= clock.parse(first.run_failed.time))
  t.ok(second.run_succeeded.rto < 600)
end)

t.test("a machine that slept: its time counts, waits are over, and nothing storms", function()
  local w, s = place [[
    local polls = 0
    dr.step("Wait", function()
      local ok, e = dr.try(dr.wait_until, "never", { every = "2s", timeout = "1h" }, function()
        polls = polls + 1
        if polls == 2 then jump(7200, 7200) end
      end)
      if ok or e.kind ~= "timeout" then dr.fail("the wait ended otherwise: " .. tostring(e)) end
      if polls > 3 then dr.fail(polls .. " polls") end
      upsert "after"
    end)
    dr.step("Sleep", function()
      dr.parallel { function() dr.sleep("1h") end, function() jump(14400, 14400) end }
    end)]]
  local events, passed = succeed(w)
  t.ok(events.run_succeeded.rto >= 14400 and events.run_succeeded.rto <= 14400 + passed)
  t.contains(assert(fs.read(events.run_succeeded.report)), "**missed**")
  t.equal(done(s, "ChangeResourceRecordSets"), 1)
end)

t.test("a budget that was slept through is over, and said so once", function()
  local w = place [[
    dr.step("Slept", { budget = "30m" }, function()
      jump(7200, 7200)
      dr.wait_until("the remark", { every = "50ms", timeout = "5h" }, told)
    end)]]
  local overruns = 0
  local r = w.run({ "run", "a.lua", "--output", "json" }, { on_line = function(line)
    if not line:find('"overrun":true', 1, true) then return end
    overruns = overruns + 1
    fs.write(w.world, "go")
  end })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(overruns, 1)
end)

t.test("a connection that died while the machine slept is not used again", function()
  local server = assert(http_server.listen {})
  local seen, held = {}, {}
  local answering = task.spawn(function()
    while true do
      local request = task.await(server:accept())
      if not request then return end
      -- To a client that comes by the old connection there is no way any more.
      if seen[request.remote] then
        table.insert(held, request)
      else
        seen[request.remote] = true
        request:respond { status = 200,
          body = "<GetCallerIdentityResponse><GetCallerIdentityResult/>"
          .. "</GetCallerIdentityResponse>" }
      end
    end
  end)
  t.cleanup(function()
    answering:cancel()
    pcall(answering.wait, answering)
    for _, request in ipairs(held) do pcall(request.reset, request) end
    server:close()
  end)
  local w = place(([[
    local sts = aws.sts { endpoint_url = "http://127.0.0.1:%d", timeout = "20s" }
    dr.step("Calls", function()
      for _, slept in ipairs { 0, 7200, 14400 } do
        jump(slept, slept)
        sts:get_caller_identity {}
      end
    end)]]):format(server.port))
  local r = run(w)
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(#held, 0)
end)

t.test("a living owner keeps its lock, whatever the clock says", function()
  local w, _, set = place [[
    dr.step("Hold", function()
      dr.note "held"
      dr.wait_until("the end", { every = "50ms", timeout = "1m" }, told)
    end)]]
  local second
  local r = w.run({ "run", "a.lua", "--yes", "--output", "json" }, { on_line = function(line)
    if not line:find('"held"', 1, true) then return end
    task.spawn(function()
      second = {}
      for i, hours in ipairs { 6, -6 } do
        set(hours * 3600)
        second[i] = run(w).code
      end
      fs.write(w.world, "go")
    end)
  end })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(second, { 5, 5 })
end)
