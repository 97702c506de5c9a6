-- Rehearsals: a world, a run against it, expectations, faults, the sweep.
local t = require "harness"
local fs = require "native.fs"
local program = require "program"
local stage = require "cli.stage"
local task = require "task"
local value = require "run.value"

local PLAYBOOK = [[
local aws, dr = require "aws", require "drlua"
return dr.playbook { title = "Move",
  params = { { "region", type = "region", default = "us-west-2" }, { "cluster" }, { "pw", secret = true } },
  run = function(p)
    local ecs = aws.ecs { region = p.region }
    local before = dr.step("Note", { risk = "read" }, function()
      return ecs:describe_services { cluster = p.cluster, services = { "api" } }.services[1].desiredCount
    end)
    dr.step("Scale", { budget = "2m", risk = "irreversible" }, function()
      ecs:update_service { cluster = p.cluster, service = "api", desiredCount = before + 2 }
      ecs:wait("services_stable", { cluster = p.cluster, services = { "api" } })
    end)
    dr.step("DNS", function()
      local change = aws.route53 {}:change_resource_record_sets { HostedZoneId = "Z1", ChangeBatch = { Changes = {
        { Action = "UPSERT", ResourceRecordSet = { Name = "api.x.example", Type = "CNAME", TTL = 60,
          ResourceRecords = { { Value = "b.example" } } } } } } }
      dr.wait_until("the change", { every = "1s", timeout = "1m" }, function()
        local s = aws.route53 {}:get_change { Id = change.ChangeInfo.Id }.ChangeInfo.Status
        return s == "INSYNC", s
      end)
    end)
  end,
  rehearsal = "rehearsals/move.lua" }
]]

local REHEARSAL = [[
return { title = "small", speed = 240, secrets = { pw = "canary-rehearsal" }, params = { cluster = "c" },
  world = { ecs = { { cluster = "c", region = "us-west-2", services = { { name = "api", desired = 1 } } } },
    zones = { { id = "Z1", name = "x.example", records = {
      { Name = "api.x.example", Type = "CNAME", TTL = 60, values = { "a.example" } } } } } },
  %s
  expect = function(state)
    state.expect("scaled", state.count("ecs", "UpdateService") >= 1)
    state.expect("as wished", %s)
  end }
]]

local function workspace(extra, wish)
  local w = program.workspace { ["move.lua"] = PLAYBOOK }
  w.write("rehearsals/move.lua", REHEARSAL:format(extra or "", wish or "true"))
  w.env.DRLUA_STDLIB = ""
  return w
end

t.test("a rehearsal plays the run in the simulator and judges its end", function()
  local w = workspace()
  local r = w.run { "rehearse", "move.lua", "--seed", "7" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "ok    scaled")
  t.contains(r.out, "Rehearsal passed. Seed 7.")
  local path = r.out:match("Report: ([^\n]+)\n$")
  local report = assert(fs.read(path))
  t.contains(report, "## Rehearsal")
  t.contains(report, "ecs.update_service of api in us-west-2")
  local pipe = io.popen("grep -rl canary-rehearsal " .. w.directory .. "/state; true")
  t.equal(pipe:read("a"), "")
  pipe:close()
end)

t.test("an expectation that does not hold fails it, with the seed", function()
  local w = workspace(nil, "false, 'the moon is full'")
  local r = w.run { "rehearse", "move.lua" }
  t.equal(r.code, 1)
  t.contains(r.out, "FAIL  as wished: the moon is full")
  t.matches(r.out, "Rehearsal failed%. Seed %d+%.")
end)

t.test("an answer that is lost does not do anything twice", function()
  local w = workspace(nil,
    'state.count("ecs", "UpdateService") == 1 or state.count("ecs", "UpdateService") == 2')
  local r = w.run { "rehearse", "move.lua", "--fault", "lost:operation=UpdateService,count=1" }
  t.equal(r.code, 0, r.out .. r.err)
end)

t.test("a disaster at a step's moment; the outcome a rehearsal expects", function()
  local w = workspace(
    'outcome = "failed", disaster = { kind = "error", status = 400, code = "AccessDenied", '
    .. 'operation = "ChangeResourceRecordSets", at = { step = "Scale", moment = "started" } },')
  local r = w.run { "rehearse", "move.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "ok    the run failed")
end)

t.test("a sweep over writes and calls: nothing wrong", function()
  local w = workspace()
  local r = w.run { "rehearse", "move.lua", "--sweep", "--limit", "14", "--seed", "11" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "points tried    14")
  t.contains(r.out, "wrong           0")
end)

t.test("a wrong rehearsal file is told before anything starts", function()
  local w = workspace("wrld = 1,")
  local r = w.run { "rehearse", "move.lua" }
  t.equal(r.code, 2)
  t.contains(r.err, "unknown field wrld; did you mean world?")
end)

t.test("the policy of plan --iam is enough, and each of its actions is needed", function()
  local w = workspace()
  local path = w.directory .. "/move.lua"
  local plan = stage.read(w.directory .. "/rehearsals/move.lua")
  local function on_stage(policies, verb, more)
    plan.world.policies = policies
    local s = stage.set(plan, { seed = 1, state = program.directory(), log = function() end })
    local arguments = s:arguments(path, { params = {} })
    arguments[1] = verb
    table.move(more or {}, 1, #(more or {}), #arguments + 1, arguments)
    local run = s:play(arguments, { quiet = true, id = "none" })
    s:strike()
    return run
  end
  local policy = value.decode(on_stage(nil, "plan", { "--iam" }).out:match("%b{}"))
  t.equal(policy.Version, "2012-10-17")
  local actions = {}
  for _, statement in ipairs(policy.Statement) do
    for _, action in ipairs(statement.Action) do table.insert(actions, action) end
  end
  table.sort(actions)
  t.equal(actions,
    { "ecs:DescribeServices", "ecs:UpdateService", "route53:ChangeResourceRecordSets",
    "route53:GetChange" })
  t.equal(on_stage({ { Statement = policy.Statement } }, "run").code, 0)
  for _, left_out in ipairs(actions) do
    local kept = {}
    for _, action in ipairs(actions) do
      if action ~= left_out then table.insert(kept, action) end
    end
    local run = on_stage(
      { { Statement = { { Effect = "Allow", Action = kept, Resource = { "*" } } } } }, "run")
    t.equal(run.code, 1, left_out .. ": " .. run.out)
    t.contains(run.out, "is not authorized to perform: " .. left_out)
  end
end)

t.test("plan --iam says when the policy comes from the plan "
  .. "alone, or from an older playbook", function()
  local w = workspace()
  local env = { AWS_ENDPOINT_URL = "http://127.0.0.1:1", AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test",
    DRLUA_PARAM_PW = "x-word" }
  local function said()
    local r = w.run({ "plan", "move.lua", "--cluster", "c", "--iam" }, { env = env })
    t.equal(r.code, 0, r.err)
    t.equal(value.decode(r.out).Version, "2012-10-17")
    return r.err, r.out
  end
  t.contains(said(), "comes from the plan alone; actions of calls that depend on values known "
    .. "only after the run may be "
    .. "missing. `drlua rehearse move.lua` first, until it passes")
  t.equal(w.run({ "rehearse", "move.lua" }).code, 0)
  local err, policy = said()
  t.equal(err, "")
  t.contains(policy, "route53:GetChange")
  w.write("move.lua", PLAYBOOK .. "\n-- edited\n")
  t.matches(said(),
    "and from a rehearsal before %S+/move.lua was edited; .* `drlua rehearse move.lua` first")
end)

t.test("what is no policy is told before anything starts", function()
  local w = workspace()
  w.write("no.json", "[1, 2")
  for _, path in ipairs { "no.json", "move.lua" } do
    local r = w.run { "rehearse", "move.lua", "--policy", path }
    t.equal(r.code, 2)
    t.contains(r.err, path .. " is no IAM policy: JSON with a Statement is expected")
  end
  local r = w.run { "rehearse", "move.lua", "--policy", "missing.json" }
  t.equal(r.code, 2)
  t.contains(r.err, "the policy missing.json cannot be read")
  t.equal(#(fs.list(w.directory .. "/state/runs") or {}), 0)
end)

t.test("an approval says what the step is about to change", function()
  local w = workspace()
  local r = w.run { "rehearse", "move.lua", "--output", "json" }
  t.equal(r.code, 0, r.out .. r.err)
  local changes
  for line in r.out:gmatch("[^\n]+") do
    local e = value.decode(line)
    if e.event == "approval_needed" then changes = e.changes end
  end
  t.equal(changes, { "ecs.update_service of api in us-west-2, account 123456789012" })
end)

t.test("a rehearsal keeps no real run from its lock, nor another rehearsal", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Wait", function()
      probe.opaque("began")
      while require("files").exists(os.getenv("PROBE_WORLD") .. ".hold") do dr.sleep("0.05s") end
    end)]], ["world.hold"] = "" }
  local rehearsal = { DRLUA_REHEARSAL = "1", AWS_ENDPOINT_URL = "http://127.0.0.1:1" }
  local results = task.all {
    function() return w.run({ "a.lua" }, { env = rehearsal }) end,
    function()
      while #w.effects() < 1 do task.sleep(0.02) end
      local refused = w.run({ "a.lua" }, { env = rehearsal })
      fs.remove(w.directory .. "/world.hold")
      return refused
    end,
    function()
      while #w.effects() < 1 do task.sleep(0.02) end
      return w.run { "a.lua" }
    end,
  }
  t.equal(results[1].code, 0, results[1].err)
  t.equal(results[2].code, 5)
  t.equal(results[3].code, 0, results[3].err)
  local _, marked = w.run({ "runs" }).out:gsub("rehearsal", "")
  t.equal(marked, 1)
end)
