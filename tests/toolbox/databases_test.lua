-- The recovery verbs against an RDS that is busy, late and misleading, as AWS is.
local program = require "program"
local sim = require "sim"
local t = require "harness"

local PASSWORD = "a-good-password"

-- The early name of a rename and the lag of a status are long enough to be seen.
local DURATIONS = { base = "fast", ["rds.status_lag"] = 60, ["rds.rename"] = 300,
  ["rds.rename_gap"] = 60,
  ["rds.promote"] = 120, ["rds.first_backup"] = 3000, ["rds.security_group"] = 100,
  ["rds.parameter_group_applying"] = 120, ["rds.daily_backup"] = 200 }

local function world()
  return {
    instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop", retention = 7 } },
    replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } },
    parameter_groups = { { name = "own", values = { work_mem = "9MB" } } },
  }
end

-- Runs the body of a playbook against a simulator in which AWS takes a minute a second.
local function play(body, prepare)
  local s = sim.start { world = world(), speed = 60, durations = DURATIONS, log = function() end }
  t.cleanup(function() s:stop() end)
  if prepare then prepare(s) end
  local w = program.workspace { ["a.lua"] = program.playbook(([[
    local aws, databases = require "aws", require "toolbox.databases"
    local east, west = aws.rds { region = "us-east-1" }, aws.rds { region = "us-west-2" }
    local login = { dbname = "shop", user = "shop", password = "%s" }
    ]]):format(PASSWORD) .. body) }
  local r = w.run({ "a.lua", "--yes" }, { env = { AWS_ENDPOINT_URL = s.url,
    AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test" } })
  return r, s
end

local function count(s, operation) return #s.calls:list { operation = operation, status = 200 } end

t.test("a backup in the daily window is waited out before the promotion, which is asked for once",
  function()
  local r, s = play([[dr.step("Promote", function()
    databases.promote(west, "shop-dr", { retention = 7 })
    local shop = databases.wait_promoted(west, "shop-dr", {})
    dr.note("served in " .. shop.DBInstanceStatus)
    databases.wait_connectable(shop, login)
    databases.with(shop, login, databases.prove_writable)
  end)]], function(s) s:fault { kind = "instance_status", instance = "shop-dr" } end)
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(count(s, "PromoteReadReplica"), 1)
  t.contains(r.out .. r.err, "served in backing-up")
end)

t.test("a refusal that passes is repeated, another one is not", function()
  local function busy(message)
    return function(s)
      s:fault { kind = "error", operation = "RebootDBInstance", status = 400,
        code = "InvalidDBInstanceState",
        message = message, count = 2 }
    end
  end
  local body = [[dr.step("Reboot", function() databases.reboot(east, "shop") end)]]
  local r, s = play(body,
    busy "Instance cannot currently reboot due to an in-progress management operation.")
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(count(s, "RebootDBInstance"), 1)
  r = play(body, busy "The instance cannot be rebooted for ever.")
  t.equal(r.code, 1)
  t.contains(r.out, "cannot be rebooted for ever")
end)

t.test("a rename ends when the new endpoint takes connections, not when the new name is available",
  function()
  local r = play [[dr.step("Rename", function()
    local before = databases.get(east, "shop").Endpoint.Address
    local there = databases.rename(east, "shop", "shop-old")
    if there.Endpoint.Address == before then dr.fail("the old endpoint") end
    databases.wait_connectable(there, login)
    databases.with(there, login, databases.prove_writable)
  end)]]
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out .. r.err, "still at the old endpoint")
end)

t.test("settings are done when groups are active and nothing is pending", function()
  local r, s = play [[dr.step("Change", function()
    databases.change(east, "shop", "the settings", function()
      return east:modify_db_instance { DBInstanceIdentifier = "shop", DBParameterGroupName = "own",
        VpcSecurityGroupIds = { "sg-own" }, BackupRetentionPeriod = 9, ApplyImmediately = true }
    end)
    local shop = databases.wait_modified(east, "shop")
    if shop.BackupRetentionPeriod ~= 9 then dr.fail("retention " .. shop.BackupRetentionPeriod) end
    databases.reboot(east, "shop")
  end)]]
  t.equal(r.code, 0, r.out .. r.err)
  local shape = s:instance("shop").shape
  t.equal({ shape.VpcSecurityGroups[1].Status, shape.DBParameterGroups[1].ParameterApplyStatus },
    { "active", "in-sync" })
  t.equal(s:sql("shop", "SHOW work_mem").rows[1][1], "9MB")
end)

t.test("a terminal status ends every wait at once, with its name", function()
  local r, s = play([[for _, id in ipairs { "restore-error", "insufficient-capacity",
    "incompatible-network" } do
    for _, verb in ipairs { "wait_available", "wait_serving", "wait_modified", "wait_rebooted",
      "reboot" } do
      local _, e = dr.try(databases[verb], east, id)
      dr.note(("%s: %s"):format(verb, e.message))
    end
  end]], function(s)
    local store = s.state:store("123456789012", "us-east-1", "rds")
    for _, status in ipairs { "restore-error", "insufficient-capacity", "incompatible-network" } do
      store.instances[status] = { id = status, refresh = function()
        return { DBInstanceIdentifier = status, DBInstanceStatus = status }
      end, destroy = function() end }
    end
  end)
  t.equal(r.code, 0, r.out .. r.err)
  for _, status in ipairs { "restore-error", "insufficient-capacity", "incompatible-network" } do
    for _, verb in ipairs { "wait_available", "wait_serving", "wait_modified", "wait_rebooted",
      "reboot" } do
      t.contains(r.out .. r.err,
        ("%s: %s in us-east-1 is %s, which does not pass by itself"):format(verb, status, status))
    end
  end
  t.equal(#s.calls:list { operation = "RebootDBInstance" }, 0)
end)
