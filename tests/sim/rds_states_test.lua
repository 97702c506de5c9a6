-- What AWS shows while RDS instances change, step by step on the virtual clock.
local client = require "client"
local durations = require "sim.durations"
local sim = require "sim"
local t = require "harness"

local PASSWORD = "a-good-password"

local DURATIONS = { ["rds.status_lag"] = 100, ["rds.modify"] = 300, ["rds.promote"] = 400,
  ["rds.promote_reboot"] = 200, ["rds.first_backup"] = 500, ["rds.reboot"] = 200,
  ["rds.security_group"] = 1000, ["rds.parameter_group_applying"] = 1000,
  ["rds.storage_grow"] = 100,
  ["rds.storage_optimization"] = 5000, ["rds.modify_class"] = 300,
  ["rds.modify_class_outage"] = 100 }

local function started(extra)
  local instance = { id = "shop", user = "shop", password = PASSWORD, db = "shop" }
  for k, v in pairs(extra or {}) do instance[k] = v end
  local s = sim.start { speed = 1, durations = DURATIONS, world = { instances = { instance },
    parameter_groups = { { name = "own", values = { work_mem = "9MB" } } },
    replicas = extra == nil and { { id = "shop-dr", region = "us-west-2", source = "shop" } }
    or nil } }
  t.cleanup(function() s:stop() end)
  return s
end

local function modify(s, input)
  input.DBInstanceIdentifier, input.ApplyImmediately = "shop", input.ApplyImmediately == nil or nil
  return client.ok(s, "rds", "ModifyDBInstance", input).DBInstance
end

local function describe(s, id, region)
  return client.ok(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = id or "shop" },
    { region = region }).DBInstances[1]
end

-- Goes on in small steps of AWS's time until the status is seen.
local function reach(s, status, id, region)
  return client.until_true(("%s to be %s"):format(id or "shop", status), function()
    local shape = describe(s, id, region)
    if shape.DBInstanceStatus == status then return shape end
    s.clock:advance(20)
  end)
end

t.test("a modification answers available, is modifying later, and available at its end", function()
  local s = started {}
  local asked = modify(s, { BackupRetentionPeriod = 9 })
  t.equal({ asked.DBInstanceStatus, asked.PendingModifiedValues.BackupRetentionPeriod }, {
    "available", 9 })
  t.equal(describe(s).DBInstanceStatus, "available")
  local e = client.fails(s, "InvalidDBInstanceState", "rds", "ModifyDBInstance", {
    DBInstanceIdentifier = "shop",
    BackupRetentionPeriod = 3, ApplyImmediately = true })
  t.equal(e.message, "Database instance is not in available state.")
  reach(s, "modifying")
  local done = reach(s, "available")
  t.equal({ done.BackupRetentionPeriod, next(done.PendingModifiedValues) }, { 9, nil })
end)

t.test("a promotion is available, modifying, rebooting, backing-up, "
  .. "available; it serves in backing-up", function()
  local s = started()
  local west = { region = "us-west-2" }
  local asked = client.ok(s, "rds", "PromoteReadReplica", { DBInstanceIdentifier = "shop-dr" },
    west).DBInstance
  t.equal({ asked.DBInstanceStatus, asked.ReadReplicaSourceDBInstanceIdentifier ~= nil }, {
    "available", true })
  reach(s, "modifying", "shop-dr", "us-west-2")
  reach(s, "rebooting", "shop-dr", "us-west-2")
  t.equal(describe(s, "shop-dr", "us-west-2").ReadReplicaSourceDBInstanceIdentifier, nil)
  reach(s, "backing-up", "shop-dr", "us-west-2")
  t.equal(s:sql("shop-dr", "CREATE TABLE t (i int)", { region = "us-west-2" }).command,
    "CREATE TABLE")
  local words = {
    RebootDBInstance =
      "Instance cannot currently reboot due to an in-progress management operation.",
    StopDBInstance = "Instance shop-dr is not in available state.",
    PromoteReadReplica = "Instance shop-dr is not in available state.",
  }
  for operation, text in pairs(words) do
    local e = client.fails(s, "InvalidDBInstanceState", "rds", operation, {
      DBInstanceIdentifier = "shop-dr" }, west)
    t.equal(e.message, text)
  end
  t.equal(reach(s, "available", "shop-dr", "us-west-2").BackupRetentionPeriod, 1)
end)

t.test("what waits for the maintenance window is queued in every status", function()
  local s = started {}
  client.ok(s, "rds", "CreateDBInstance", { DBInstanceIdentifier = "new",
    DBInstanceClass = "db.t3.micro",
    Engine = "postgres", MasterUsername = "shop", MasterUserPassword = PASSWORD })
  local made = describe(s, "new")
  t.equal({ made.DBInstanceStatus, made.Endpoint, made.InstanceCreateTime,
    made.LatestRestorableTime,
    made.DbInstancePort, made.PendingModifiedValues.MasterUserPassword }, { "creating", nil, nil,
    nil, 0, "****" })
  local queued = client.ok(s, "rds", "ModifyDBInstance", { DBInstanceIdentifier = "new",
    EngineVersion = "15.99" })
  t.equal(queued.DBInstance.PendingModifiedValues.EngineVersion, "15.99")
  client.fails(s, "InvalidDBInstanceState", "rds", "ModifyDBInstance", {
    DBInstanceIdentifier = "new",
    DBInstanceClass = "db.t3.large", ApplyImmediately = true })
end)

t.test("security groups are adding and removing, parameter groups applying, while it is available",
  function()
  local s = started {}
  modify(s, { VpcSecurityGroupIds = { "sg-new" }, DBParameterGroupName = "own" })
  local shape = describe(s)
  local states = {}
  for _, group in ipairs(shape.VpcSecurityGroups) do table.insert(states, group.Status) end
  t.equal({ shape.DBInstanceStatus, states }, { "available", { "removing", "adding" } })
  t.equal(shape.DBParameterGroups[1], { DBParameterGroupName = "own",
    ParameterApplyStatus = "applying" })
  s.clock:advance(1010)
  shape = describe(s)
  t.equal(shape.VpcSecurityGroups, { { VpcSecurityGroupId = "sg-new", Status = "active" } })
  t.equal(shape.DBParameterGroups[1].ParameterApplyStatus, "pending-reboot")
  local asked = client.ok(s, "rds", "RebootDBInstance", {
    DBInstanceIdentifier = "shop" }).DBInstance
  t.equal(asked.DBInstanceStatus, "rebooting")
  t.equal(reach(s, "available").DBParameterGroups[1].ParameterApplyStatus, "in-sync")
end)

t.test("grown storage is optimized for hours: it serves, and takes changes but of the storage",
  function()
  local s = started {}
  modify(s, { AllocatedStorage = 50 })
  t.equal(reach(s, "storage-optimization").AllocatedStorage, 50)
  client.fails(s, "InvalidParameterCombination", "rds", "ModifyDBInstance", {
    DBInstanceIdentifier = "shop",
    AllocatedStorage = 60, ApplyImmediately = true })
  modify(s, { BackupRetentionPeriod = 3 })
  reach(s, "modifying")
end)

t.test("parameters that keep the database from starting leave it incompatible-parameters",
  function()
  local s = started { retention = 0 }
  client.ok(s, "rds", "ModifyDBParameterGroup", { DBParameterGroupName = "own", Parameters = { {
    ParameterName = "shared_memory_type", ParameterValue = "nonsense",
      ApplyMethod = "pending-reboot" } } })
  modify(s, { DBParameterGroupName = "own" })
  client.ok(s, "rds", "RebootDBInstance", { DBInstanceIdentifier = "shop" })
  reach(s, "incompatible-parameters")
end)

t.test("LatestRestorableTime is as old as was recorded", function()
  local s = started {}
  s.clock:advance(10000)
  local known = {}
  for _, age in ipairs(durations.restorable_ages) do known[age] = true end
  local backup = s:instance("shop").backup
  backup.time = backup.time - 5000
  for _ = 1, 5 do
    s.clock:advance(301)
    s:instance("shop").restorable = nil
    local now = s.clock:now()
    local age = math.floor(now) - describe(s).LatestRestorableTime
    t.ok(known[age] or known[age - 1] or known[age + 1], age)
  end
end)
