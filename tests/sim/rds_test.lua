local client = require "client"
local errors = require "errors"
local pq = require "native.pq"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local PASSWORD = "a-good-password"

local function started(world)
  local s = sim.start { world = world, speed = 2000 }
  t.cleanup(function() s:stop() end)
  return s
end

local function one(extra)
  local instance = { id = "shop", user = "shop", password = PASSWORD, db = "shop" }
  for k, v in pairs(extra or {}) do instance[k] = v end
  return { instances = { instance } }
end

-- Connects as a client would: through the endpoint, as the master user.
local function connect(shape, password)
  return task.await(pq.connect { host = shape.Endpoint.Address, port = shape.Endpoint.Port,
    user = "shop",
    password = password or PASSWORD, dbname = "shop", timeout = 3 })
end

local function query(shape, sql, password)
  local conn = errors.check("connect", connect(shape, password))
  local result, message, kind, detail = task.await(conn:exec(sql))
  conn:close()
  return errors.check("query", result, message, kind, detail)
end

local function describe(s, id, region)
  return client.ok(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = id },
    { region = region }).DBInstances[1]
end

t.test("create: through creating and backing-up to a database that takes connections", function()
  local s = started()
  local made = client.ok(s, "rds", "CreateDBInstance",
    { DBInstanceIdentifier = "Shop", DBInstanceClass = "db.t3.micro",
    Engine = "postgres", MasterUsername = "shop", MasterUserPassword = PASSWORD, DBName = "shop",
    AllocatedStorage = 30, BackupRetentionPeriod = 3 }).DBInstance
  t.equal(made.DBInstanceIdentifier, "shop")
  t.equal(made.DBInstanceStatus, "creating")
  t.equal(made.Endpoint, nil)
  local shape = client.instance(s, "shop")
  t.equal(shape.BackupRetentionPeriod, 3)
  t.equal(shape.DBParameterGroups[1].ParameterApplyStatus, "in-sync")
  t.equal(query(shape, "SELECT current_user::text, current_database()::text").rows[1],
    { "shop", "shop" })
  t.equal(query(shape, "SELECT rolsuper FROM pg_roles WHERE rolname = 'shop'").rows[1][1], false)
  t.equal(query(shape, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").rows[1][1], true)
  local snapshots = client.ok(s, "rds", "DescribeDBSnapshots",
    { SnapshotType = "automated" }).DBSnapshots
  t.equal(#snapshots, 1)
  t.matches(snapshots[1].DBSnapshotIdentifier, "^rds:shop%-")
end)

t.test("create refuses what RDS refuses", function()
  local s = started(one())
  local function refused(code, input)
    local all = { DBInstanceIdentifier = "other", DBInstanceClass = "db.t3.micro",
      Engine = "postgres",
      MasterUsername = "shop", MasterUserPassword = PASSWORD }
    for k, v in pairs(input) do all[k] = v end
    return client.fails(s, code, "rds", "CreateDBInstance", all)
  end
  t.equal(refused("DBInstanceAlreadyExists", { DBInstanceIdentifier = "shop" }).message,
    "DB instance already exists")
  refused("InvalidParameterValue", { DBInstanceIdentifier = "a--b" })
  refused("InvalidParameterValue", { MasterUserPassword = "short" })
  refused("InvalidParameterValue", { Engine = "mysql" })
  refused("InvalidParameterValue", { BackupRetentionPeriod = 36 })
  refused("InvalidParameterValue", { MasterUsername = "rdsadmin" })
  refused("DBParameterGroupNotFound", { DBParameterGroupName = "none" })
  refused("DBSubnetGroupNotFoundFault", { DBSubnetGroupName = "none" })
end)

t.test("describe: filters, pages, ARN, not found", function()
  local s = started()
  local function add(i)
    local shape = { DBInstanceIdentifier = ("db-%02d"):format(i), DBInstanceStatus = "available",
      Engine = "postgres",
      DBParameterGroups = {} }
    local instances = require "sim.services.rds.instance"
    s:open_service("rds")
    local store = s.state:store("123456789012", "us-east-1", "rds")
    store.instances[shape.DBInstanceIdentifier] = instances.new(s, "123456789012", "us-east-1",
      shape)
  end
  for i = 1, 45 do add(i) end
  local seen, marker = {}, nil
  repeat
    local page = client.ok(s, "rds", "DescribeDBInstances", { MaxRecords = 20, Marker = marker })
    for _, shape in ipairs(page.DBInstances) do table.insert(seen, shape.DBInstanceIdentifier) end
    marker = page.Marker
  until not marker
  t.equal(#seen, 45)
  t.equal(seen[45], "db-45")
  local filtered = client.ok(s, "rds", "DescribeDBInstances",
    { Filters = { { Name = "db-instance-id",
    Values = { "db-07", "arn:aws:rds:us-east-1:123456789012:db:db-09" } } } })
  t.equal(#filtered.DBInstances, 2)
  t.equal(#client.ok(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier =
    "arn:aws:rds:us-east-1:123456789012:db:db-03" }).DBInstances, 1)
  client.fails(s, "InvalidParameterValue", "rds", "DescribeDBInstances", { MaxRecords = 5 })
  client.fails(s, "InvalidParameterValue", "rds", "DescribeDBInstances", {
    Filters = { { Name = "x", Values = { "y" } } } })
  t.equal(client.fails(s, "DBInstanceNotFound", "rds", "DescribeDBInstances",
    { DBInstanceIdentifier = "zz" }).message,
    "DBInstance zz not found.")
end)

t.test("snapshot and restore bring the rows back, with default groups", function()
  local world = one { sql = "CREATE TABLE t (i int); INSERT INTO t VALUES (1), (2)",
    security_groups = { "sg-own" },
    parameter_group = "own" }
  world.parameter_groups = { { name = "own", values = { work_mem = "9MB" } } }
  local s = started(world)
  local taken = client.ok(s, "rds", "CreateDBSnapshot",
    { DBSnapshotIdentifier = "before", DBInstanceIdentifier =
    "shop" }).DBSnapshot
  t.equal(taken.Status, "creating")
  client.fails(s, "InvalidDBInstanceState", "rds", "CreateDBSnapshot",
    { DBSnapshotIdentifier = "again",
    DBInstanceIdentifier = "shop" })
  client.until_true("the snapshot", function()
    return client.ok(s, "rds", "DescribeDBSnapshots",
      { DBSnapshotIdentifier = "before" }).DBSnapshots[1].Status
      == "available"
  end)
  query(client.instance(s, "shop"), "INSERT INTO t VALUES (3)")
  client.fails(s, "DBSnapshotAlreadyExists", "rds", "CreateDBSnapshot",
    { DBSnapshotIdentifier = "before",
    DBInstanceIdentifier = "shop" })
  client.ok(s, "rds", "RestoreDBInstanceFromDBSnapshot", { DBInstanceIdentifier = "restored",
    DBSnapshotIdentifier = "before" })
  local shape = client.instance(s, "restored")
  t.equal(query(shape, "SELECT count(*) FROM t").rows[1][1], 2)
  t.ok(shape.VpcSecurityGroups[1].VpcSecurityGroupId ~= "sg-own",
    "the default security group expected")
  t.matches(shape.DBParameterGroups[1].DBParameterGroupName, "^default%.postgres%d+$")
  t.ok(shape.Endpoint.Address ~= describe(s, "shop").Endpoint.Address)
  client.ok(s, "rds", "DeleteDBSnapshot", { DBSnapshotIdentifier = "before" })
  client.fails(s, "DBSnapshotNotFound", "rds", "DescribeDBSnapshots",
    { DBSnapshotIdentifier = "before" })
end)

t.test("a restore to a point in time is exact to the row", function()
  local s = started(one { sql = "CREATE TABLE t (i int); INSERT INTO t VALUES (1)" })
  task.sleep(1.1)
  local moment = math.floor(s.clock:now())
  task.sleep(1.1)
  query(describe(s, "shop"), "INSERT INTO t VALUES (2)")
  client.until_true("the log to arrive",
    function() return describe(s, "shop").LatestRestorableTime > moment end)
  client.ok(s, "rds", "RestoreDBInstanceToPointInTime", { SourceDBInstanceIdentifier = "shop",
    TargetDBInstanceIdentifier = "past", RestoreTime = moment })
  client.ok(s, "rds", "RestoreDBInstanceToPointInTime", { SourceDBInstanceIdentifier = "shop",
    TargetDBInstanceIdentifier = "latest", UseLatestRestorableTime = true })
  t.equal(query(client.instance(s, "past"), "SELECT count(*) FROM t").rows[1][1], 1)
  query(client.instance(s, "past"), "INSERT INTO t VALUES (9)")
  client.instance(s, "latest")
end)

t.test("a point in time outside the window, both or neither moment, "
  .. "and no backups are refused", function()
  local s = started(one())
  local function refused(code, input)
    input.SourceDBInstanceIdentifier, input.TargetDBInstanceIdentifier =
      input.SourceDBInstanceIdentifier or "shop", "x"
    return client.fails(s, code, "rds", "RestoreDBInstanceToPointInTime", input)
  end
  t.contains(refused("InvalidParameterValue", { RestoreTime = s.clock:now() + 100 }).message,
    "later than")
  t.contains(refused("InvalidParameterValue", { RestoreTime = s.clock:now() - 1000 }).message,
    "earlier than")
  refused("InvalidParameterCombination", {})
  refused("InvalidParameterCombination",
    { UseLatestRestorableTime = true, RestoreTime = s.clock:now() })
  s:load { instances = { { id = "bare", user = "shop", password = PASSWORD, retention = 0 } } }
  refused("PointInTimeRestoreNotEnabled",
    { SourceDBInstanceIdentifier = "bare", UseLatestRestorableTime = true })
end)

t.test("a cross-region replica streams, is read-only, and promotes into a primary", function()
  local world = one { sql = "CREATE TABLE t (i int)" }
  world.replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } }
  local s = started(world)
  local west = { region = "us-west-2" }
  local replica = describe(s, "shop-dr", "us-west-2")
  t.equal(replica.ReadReplicaSourceDBInstanceIdentifier,
    "arn:aws:rds:us-east-1:123456789012:db:shop")
  t.equal(replica.StatusInfos[1],
    { StatusType = "read replication", Status = "replicating", Normal = true })
  t.equal(describe(s, "shop").ReadReplicaDBInstanceIdentifiers,
    { "arn:aws:rds:us-west-2:123456789012:db:shop-dr" })
  query(describe(s, "shop"), "INSERT INTO t VALUES (1)")
  client.until_true("the row",
    function() return query(replica, "SELECT count(*) FROM t").rows[1][1] == 1 end)
  t.raises("read%-only", query, replica, "INSERT INTO t VALUES (2)")
  client.fails(s, "InvalidDBInstanceState", "rds", "PromoteReadReplica",
    { DBInstanceIdentifier = "shop" })
  local asked = client.ok(s, "rds", "PromoteReadReplica", { DBInstanceIdentifier = "shop-dr" },
    west).DBInstance
  t.equal(asked.DBInstanceStatus, "available")
  local promoted = client.instance(s, "shop-dr", "available", west)
  t.equal(promoted.ReadReplicaSourceDBInstanceIdentifier, nil)
  t.equal(promoted.BackupRetentionPeriod, 1)
  query(promoted, "INSERT INTO t VALUES (2)")
  t.equal(describe(s, "shop").ReadReplicaDBInstanceIdentifiers, {})
  client.ok(s, "rds", "ModifyDBInstance", { DBInstanceIdentifier = "shop-dr",
    BackupRetentionPeriod = 0,
    ApplyImmediately = true }, west)
  client.instance(s, "shop-dr", nil, west)
  client.fails(s, "InvalidDBInstanceState", "rds", "CreateDBInstanceReadReplica",
    { DBInstanceIdentifier = "next",
    SourceDBInstanceIdentifier = "shop-dr" }, west)
  client.ok(s, "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "shop-dr", BackupRetentionPeriod = 7,
    ApplyImmediately = true }, west)
  t.equal(client.instance(s, "shop-dr", "available", west).BackupRetentionPeriod, 7)
  client.ok(s, "rds", "CreateDBInstanceReadReplica",
    { DBInstanceIdentifier = "next", SourceDBInstanceIdentifier =
    "shop-dr" }, west)
  local second = client.instance(s, "next", "available", west)
  t.equal(second.ReadReplicaSourceDBInstanceIdentifier, "shop-dr")
end)

t.test("with status_lag a promoted replica looks available and unpromoted for a while", function()
  local world = one()
  world.replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } }
  world.status_lag = 200
  local s = started(world)
  s.clock:set_speed(400)
  local west = { region = "us-west-2" }
  client.ok(s, "rds", "PromoteReadReplica",
    { DBInstanceIdentifier = "shop-dr", BackupRetentionPeriod = 1 }, west)
  local shape = describe(s, "shop-dr", "us-west-2")
  t.equal({ shape.DBInstanceStatus, shape.ReadReplicaSourceDBInstanceIdentifier ~= nil },
    { "available", true })
  client.fails(s, "InvalidDBInstanceState", "rds", "PromoteReadReplica",
    { DBInstanceIdentifier = "shop-dr" }, west)
  client.instance(s, "shop-dr", "modifying", west)
  t.equal(client.instance(s, "shop-dr", "available", west).ReadReplicaSourceDBInstanceIdentifier,
    nil)
  local backups = client.ok(s, "rds", "DescribeDBInstanceAutomatedBackups", {},
    west).DBInstanceAutomatedBackups
  t.equal({ #backups, backups[1].Status, backups[1].BackupRetentionPeriod }, { 1, "active", 1 })
end)

t.test("a rename: the new name is available with the old endpoint, then unreachable, then moved",
  function()
  local world = one()
  world.durations = { ["rds.status_lag"] = 100, ["rds.rename"] = 800, ["rds.rename_gap"] = 100 }
  local s = started(world)
  s.clock:set_speed(1)
  local before = describe(s, "shop").Endpoint
  local asked = client.ok(s, "rds", "ModifyDBInstance", { DBInstanceIdentifier = "shop",
    NewDBInstanceIdentifier = "shop-old", ApplyImmediately = true }).DBInstance
  t.equal({ asked.DBInstanceIdentifier, asked.DBInstanceStatus }, { "shop", "available" })
  t.equal(asked.PendingModifiedValues.DBInstanceIdentifier, "shop-old")
  s.clock:advance(110)
  local early = client.until_true("the new name", function()
    return client.call(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = "shop-old" })
  end).DBInstances[1]
  t.equal({ early.DBInstanceStatus, early.Endpoint.Address }, { "available", before.Address })
  client.fails(s, "DBInstanceNotFound", "rds", "DescribeDBInstances",
    { DBInstanceIdentifier = "shop" })
  t.ok(not connect({ Endpoint = before }), "the old endpoint must be gone")
  client.fails(s, "InvalidDBInstanceState", "rds", "RebootDBInstance", {
    DBInstanceIdentifier = "shop-old" })
  s.clock:advance(100)
  client.instance(s, "shop-old", "renaming")
  s.clock:advance(500)
  local rebooting = client.instance(s, "shop-old", "rebooting")
  t.ok(rebooting.Endpoint.Address ~= before.Address, "a new endpoint expected")
  t.ok(not connect(rebooting), "no connection before the reboot's end")
  s.clock:set_speed(1000)
  t.equal(query(client.instance(s, "shop-old"), "SELECT 1").rows[1][1], 1)
end)

t.test("two renames cannot take the same name", function()
  local world = one()
  table.insert(world.instances, { id = "other", user = "shop", password = PASSWORD, db = "shop" })
  local s = started(world)
  client.fails(s, "DBInstanceAlreadyExists", "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "shop",
    NewDBInstanceIdentifier = "other", ApplyImmediately = true })
  client.ok(s, "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "shop", NewDBInstanceIdentifier = "third",
    ApplyImmediately = true })
  client.fails(s, "DBInstanceAlreadyExists", "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "other",
    NewDBInstanceIdentifier = "third", ApplyImmediately = true })
  client.instance(s, "third")
end)

t.test("modify: pending until applied; groups, protection and password take effect", function()
  local world = one()
  world.parameter_groups = { { name = "own", values = { work_mem = "9MB" } } }
  local s = started(world)
  local later = client.ok(s, "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "shop", DBInstanceClass =
    "db.r5.large" }).DBInstance
  t.equal(later.PendingModifiedValues.DBInstanceClass, "db.r5.large")
  t.equal(later.DBInstanceClass, "db.t3.medium")
  client.ok(s, "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "shop", DBParameterGroupName = "own",
    VpcSecurityGroupIds = { "sg-1", "sg-2" }, MasterUserPassword = "another-password",
    DeletionProtection = true,
    ApplyImmediately = true })
  local shape = client.instance(s, "shop")
  t.equal(shape.DBInstanceClass, "db.r5.large")
  t.equal(#shape.VpcSecurityGroups, 2)
  t.equal(shape.DBParameterGroups[1],
    { DBParameterGroupName = "own", ParameterApplyStatus = "pending-reboot" })
  t.ok(not connect(shape), "the old password must be refused")
  t.equal(query(shape, "SHOW work_mem", "another-password").rows[1][1], "4MB")
  client.ok(s, "rds", "RebootDBInstance", { DBInstanceIdentifier = "shop" })
  shape = client.instance(s, "shop")
  t.equal(shape.DBParameterGroups[1].ParameterApplyStatus, "in-sync")
  t.equal(query(shape, "SHOW work_mem", "another-password").rows[1][1], "9MB")
  t.contains(client.fails(s, "InvalidParameterCombination", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "shop",
    SkipFinalSnapshot = true }).message, "deletion protection")
end)

t.test("forced failover works on Multi-AZ only, and swaps the zones", function()
  local s = started(one { sql = "CREATE TABLE t (i int); INSERT INTO t VALUES (1)" })
  client.fails(s, "InvalidParameterCombination", "rds", "RebootDBInstance",
    { DBInstanceIdentifier = "shop",
    ForceFailover = true })
  client.ok(s, "rds", "ModifyDBInstance",
    { DBInstanceIdentifier = "shop", MultiAZ = true, ApplyImmediately = true })
  local before = client.instance(s, "shop")
  t.equal(before.SecondaryAvailabilityZone, "us-east-1b")
  client.ok(s, "rds", "RebootDBInstance", { DBInstanceIdentifier = "shop", ForceFailover = true })
  local after = client.instance(s, "shop")
  t.equal(after.AvailabilityZone, "us-east-1b")
  t.equal(after.SecondaryAvailabilityZone, "us-east-1a")
  t.equal(query(after, "SELECT count(*) FROM t").rows[1][1], 1)
  local events = client.ok(s, "rds", "DescribeEvents",
    { SourceIdentifier = "shop", SourceType = "db-instance" }).Events
  t.contains(t.show(events), "failover completed")
end)

t.test("stop and start; a stopped instance refuses", function()
  local s = started(one())
  client.ok(s, "rds", "StopDBInstance", { DBInstanceIdentifier = "shop" })
  local shape = client.instance(s, "shop", "stopped")
  t.ok(not connect(shape), "a stopped instance must refuse")
  client.fails(s, "InvalidDBInstanceState", "rds", "RebootDBInstance",
    { DBInstanceIdentifier = "shop" })
  client.ok(s, "rds", "StartDBInstance", { DBInstanceIdentifier = "shop" })
  t.equal(query(client.instance(s, "shop"), "SELECT 1").rows[1][1], 1)
end)

t.test("delete: final snapshot rules, and replicas of a deleted source", function()
  local world = one { sql = "CREATE TABLE t (i int)" }
  world.replicas = { { id = "near", source = "shop" },
    { id = "far", region = "us-west-2", source = "shop" } }
  local s = started(world)
  client.fails(s, "InvalidParameterCombination", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "shop" })
  client.fails(s, "InvalidParameterCombination", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "shop",
    SkipFinalSnapshot = true, FinalDBSnapshotIdentifier = "last" })
  client.fails(s, "InvalidDBInstanceState", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "near",
    FinalDBSnapshotIdentifier = "last" })
  client.ok(s, "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "shop", FinalDBSnapshotIdentifier = "last" })
  client.fails(s, "InvalidDBInstanceState", "rds", "DeleteDBInstance",
    { DBInstanceIdentifier = "shop",
    SkipFinalSnapshot = true })
  client.until_true("the deletion", function()
    return not client.call(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = "shop" })
  end)
  local last = client.ok(s, "rds", "DescribeDBSnapshots",
    { DBSnapshotIdentifier = "last" }).DBSnapshots[1]
  t.equal(last.Status, "available")
  query(client.instance(s, "near"), "INSERT INTO t VALUES (1)")
  t.equal(describe(s, "far", "us-west-2").StatusInfos[1].Status, "terminated")
end)

t.test("a snapshot copied to another region restores there", function()
  local world = one { sql = "CREATE TABLE t (i int); INSERT INTO t VALUES (7)",
    tags = { app = "shop" },
    copy_tags = true }
  world.timeline = { { instance = "shop", snapshot = "nightly", age = "26h" } }
  local s = started(world)
  local west = { region = "us-west-2" }
  local source = client.ok(s, "rds", "DescribeDBSnapshots",
    { DBSnapshotIdentifier = "nightly" }).DBSnapshots[1]
  t.ok(math.abs(s.clock:now() - 26 * 3600 - source.SnapshotCreateTime) < 60,
    "26 hours of age expected")
  client.fails(s, "DBSnapshotNotFound", "rds", "CopyDBSnapshot",
    { SourceDBSnapshotIdentifier = "nightly",
    TargetDBSnapshotIdentifier = "copied" }, west)
  client.ok(s, "rds", "CopyDBSnapshot",
    { SourceDBSnapshotIdentifier = source.DBSnapshotArn, CopyTags = true,
    TargetDBSnapshotIdentifier = "copied", SourceRegion = "us-east-1" }, west)
  client.until_true("the copy", function()
    return client.ok(s, "rds", "DescribeDBSnapshots", { DBSnapshotIdentifier = "copied" },
      west).DBSnapshots[1].Status
      == "available"
  end)
  s:fault { kind = "region_down", region = "us-east-1" }
  client.ok(s, "rds", "RestoreDBInstanceFromDBSnapshot",
    { DBInstanceIdentifier = "shop", DBSnapshotIdentifier =
    "copied" }, west)
  t.equal(query(client.instance(s, "shop", "available", west), "SELECT i FROM t").rows[1][1], 7)
end)

t.test("tags, logs, parameter groups", function()
  local s = started(one { tags = { team = "a" } })
  local arn = describe(s, "shop").DBInstanceArn
  client.ok(s, "rds", "AddTagsToResource",
    { ResourceName = arn, Tags = { { Key = "team", Value = "b" }, { Key = "run",
    Value = "1" } } })
  client.ok(s, "rds", "RemoveTagsFromResource", { ResourceName = arn, TagKeys = { "run" } })
  t.equal(client.ok(s, "rds", "ListTagsForResource", { ResourceName = arn }).TagList,
    { { Key = "team", Value = "b" } })
  t.raises("nonsense", query, describe(s, "shop"), "SELECT nonsense")
  local logs = client.ok(s, "rds", "DescribeDBLogFiles",
    { DBInstanceIdentifier = "shop" }).DescribeDBLogFiles
  local name = logs[1].LogFileName
  t.contains(client.ok(s, "rds", "DownloadDBLogFilePortion",
    { DBInstanceIdentifier = "shop", LogFileName = name })
    .LogFileData, "nonsense")
  client.ok(s, "rds", "CreateDBParameterGroup",
    { DBParameterGroupName = "own", DBParameterGroupFamily = "postgres15",
    Description = "ours" })
  client.ok(s, "rds", "ModifyDBParameterGroup", { DBParameterGroupName = "own", Parameters = { {
    ParameterName = "work_mem", ParameterValue = "9216", ApplyMethod = "pending-reboot" } } })
  t.equal(client.ok(s, "rds", "DescribeDBParameters",
    { DBParameterGroupName = "own", Source = "user" }).Parameters[1]
    .ParameterValue, "9216")
  client.fails(s, "DBParameterGroupAlreadyExists", "rds", "CreateDBParameterGroup",
    { DBParameterGroupName = "own",
    DBParameterGroupFamily = "postgres15", Description = "ours" })
  client.ok(s, "rds", "DeleteDBParameterGroup", { DBParameterGroupName = "own" })
end)
