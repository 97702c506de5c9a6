-- The policy of `plan --iam` for the playbooks of the tree: the rehearsal passes with
-- the simulator enforcing it, and fails, on just that action, with any one taken out.
local fs = require "native.fs"
local json = require "native.json"
local program = require "program"
local recovery = require "recovery"
local stage = require "cli.stage"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

-- A rehearsal waits more than it works.
local AT_ONCE = 3
-- The sanitized build is several times slower, and what it looks for shows with one.
local SANITIZED = sys.exe():find("asan", 1, true) ~= nil

-- What plan --iam prints for the rehearsal's own parameters, with its stderr.
local function planned(playbook, state)
  local name = playbook:match("([^/]*)$")
  local s = stage.set(stage.read("playbooks/rehearsals/" .. name),
    { seed = 1, state = state, log = function() end })
  t.cleanup(function() s:strike() end)
  local arguments = s:arguments(playbook, { params = {} })
  arguments[1] = "plan"
  table.insert(arguments, "--iam")
  local r = program.run(arguments,
    { env = recovery.environment(s.url, state, s.plan.secrets.db_password) })
  t.equal(r.code, 0, r.out .. r.err)
  local policy = json.decode(r.out)
  t.equal(policy and policy.Version, "2012-10-17", "the policy stands alone on stdout: " .. r.out)
  return policy, r.err
end

local function actions_of(policy)
  local list = {}
  for _, statement in ipairs(policy.Statement) do
    table.move(statement.Action, 1, #statement.Action, #list + 1, list)
  end
  table.sort(list)
  return list
end

local function without(policy, left_out)
  local rest = { Version = policy.Version, Statement = {} }
  for _, statement in ipairs(policy.Statement) do
    local kept = {}
    for _, action in ipairs(statement.Action) do
      if action ~= left_out then table.insert(kept, action) end
    end
    if #kept > 0 then
      table.insert(rest.Statement,
        { Effect = "Allow", Action = kept, Resource = statement.Resource })
    end
  end
  return rest
end

local function rehearse(playbook, state, policy)
  local arguments = { "rehearse", playbook, "--state", state, "--speed", "480" }
  if policy then
    local path = program.directory() .. "/policy.json"
    assert(fs.write(path, json.encode(policy)))
    table.move({ "--policy", path }, 1, 2, #arguments + 1, arguments)
  end
  return program.run(arguments)
end

local function is_enough(playbook, policy)
  local r = rehearse(playbook, program.directory(), policy)
  t.equal(r.code, 0, r.out .. r.err)
end

local function is_needed(playbook, policy, action)
  local r = rehearse(playbook, program.directory(), without(policy, action))
  t.equal(r.code, 1, ("without %s: %s%s"):format(action, r.out, r.err))
  t.contains(r.out .. r.err, "is not authorized to perform: " .. action)
end

-- Runs the whole of the policy, then less each of the actions.
local function prove(playbook, policy, actions)
  local tries = { function() is_enough(playbook, policy) end }
  for _, action in ipairs(actions) do
    table.insert(tries, function() is_needed(playbook, policy, action) end)
  end
  task.all(tries, { limit = AT_ONCE })
end

local PARTIAL = "this policy comes from the plan alone"

t.test("region failover: the plan's policy is enough, and each of its actions is needed", function()
  local playbook = "playbooks/region_failover.lua"
  local policy, said = planned(playbook, program.directory())
  t.contains(said, PARTIAL)
  local actions = actions_of(policy)
  t.equal(actions, { "ecs:DescribeServices", "ecs:UpdateService", "rds:DescribeDBInstances",
    "rds:PromoteReadReplica", "route53-recovery-cluster:GetRoutingControlState",
    "route53-recovery-cluster:UpdateRoutingControlStates" })
  prove(playbook, policy, SANITIZED and { "rds:PromoteReadReplica" } or actions)
end)

t.test("database corruption: after a rehearsal the policy is enough, and "
  .. "each of its actions is needed", function()
  local playbook, state = "playbooks/database_corruption.lua", program.directory()
  local alone, said = planned(playbook, state)
  t.contains(said, PARTIAL)
  t.contains(said, ("`drlua rehearse %s --state %s` first"):format(playbook, state))
  local r = rehearse(playbook, state)
  t.equal(r.code, 0, r.out .. r.err)
  -- A rehearsal that failed came to little, and takes nothing away from one that passed.
  r = rehearse(playbook, state, { Statement = {} })
  t.equal(r.code, 1, r.out .. r.err)
  local policy
  policy, said = planned(playbook, state)
  t.ok(not said:find(PARTIAL, 1, true), said)
  local actions, few = actions_of(policy), table.concat(actions_of(alone), " ")
  t.ok(not few:find("rds:RebootDBInstance", 1, true), "the plan alone cannot know of the reboot: "
    .. few)
  t.contains(table.concat(actions, " "), "rds:RebootDBInstance")
  prove(playbook, policy, SANITIZED and { "rds:RebootDBInstance", "iam:PassRole" } or actions)
end)
