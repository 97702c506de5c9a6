local client = require "client"
local errors = require "errors"
local pq = require "native.pq"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local PASSWORD = "a-good-password"

local function started()
  local s = sim.start { speed = 2000,
    world = { clusters = { { id = "social", user = "social", password = PASSWORD,
    db = "social", members = { "social-1", "social-2" },
    sql = "CREATE TABLE t (i int); INSERT INTO t VALUES (1)" } } } }
  t.cleanup(function() s:stop() end)
  return s
end

local function query(address, sql)
  local conn = errors.check("connect",
    task.await(pq.connect { host = address, port = 5432, user = "social",
    password = PASSWORD, dbname = "social", timeout = 3 }))
  local result, message, kind, detail = task.await(conn:exec(sql))
  conn:close()
  return errors.check("query", result, message, kind, detail).rows[1]
end

local function cluster(s, id, status)
  return client.until_true(id .. " " .. (status or "available"), function()
    local output = client.call(s, "rds", "DescribeDBClusters", { DBClusterIdentifier = id })
    local shape = output and output.DBClusters[1]
    return shape and shape.Status == (status or "available") and shape
  end)
end

t.test("aurora: writer and reader endpoints; failover moves "
  .. "the writer and loses nothing", function()
  local s = started()
  local before = cluster(s, "social")
  t.equal({ before.DBClusterMembers[1].DBInstanceIdentifier,
    before.DBClusterMembers[1].IsClusterWriter },
    { "social-1", true })
  query(before.Endpoint, "INSERT INTO t VALUES (2) RETURNING i")
  client.until_true("the reader",
    function() return query(before.ReaderEndpoint, "SELECT count(*) FROM t")[1] == 2 end)
  t.raises("read%-only", query, before.ReaderEndpoint, "INSERT INTO t VALUES (3)")
  client.fails(s, "InvalidDBInstanceState", "rds", "FailoverDBCluster",
    { DBClusterIdentifier = "social",
    TargetDBInstanceIdentifier = "social-1" })
  client.ok(s, "rds", "FailoverDBCluster",
    { DBClusterIdentifier = "social", TargetDBInstanceIdentifier = "social-2" })
  local after = cluster(s, "social")
  t.equal(after.DBClusterMembers[1].DBInstanceIdentifier, "social-2")
  t.equal(after.Endpoint, before.Endpoint)
  query(after.Endpoint, "INSERT INTO t VALUES (3) RETURNING i")
  t.equal(query(after.Endpoint, "SELECT count(*) FROM t")[1], 3)
  client.until_true("the former writer to follow", function()
    return s:sql("social-1", "SELECT pg_is_in_recovery() AND count(*) = 3 FROM t").rows[1][1]
  end)
end)

t.test("aurora: the writer is killed; the reader takes over", function()
  local s = started()
  s:fault { kind = "instance_down", instance = "social-1" }
  client.ok(s, "rds", "FailoverDBCluster", { DBClusterIdentifier = "social" })
  local after = cluster(s, "social")
  t.equal(query(after.Endpoint, "SELECT count(*) FROM t")[1], 1)
  t.equal(query(after.Endpoint, "INSERT INTO t VALUES (2) RETURNING i")[1], 2)
end)

t.test("aurora: restored to a time, a cluster is empty of "
  .. "instances until one is created", function()
  local s = started()
  task.sleep(1.1)
  local moment = math.floor(s.clock:now())
  task.sleep(1.1)
  query(cluster(s, "social").Endpoint, "INSERT INTO t VALUES (2) RETURNING i")
  client.until_true("the log",
    function() return cluster(s, "social").LatestRestorableTime >= moment end)
  client.ok(s, "rds", "RestoreDBClusterToPointInTime",
    { DBClusterIdentifier = "past", SourceDBClusterIdentifier =
    "social", RestoreToTime = moment })
  client.fails(s, "InvalidDBClusterStateFault", "rds", "CreateDBInstance",
    { DBInstanceIdentifier = "past-1",
    DBClusterIdentifier = "past", DBInstanceClass = "db.r6g.large", Engine = "aurora-postgresql" })
  local shape = cluster(s, "past")
  t.equal(shape.DBClusterMembers, {})
  client.fails(s, "InvalidParameterCombination", "rds", "CreateDBInstance",
    { DBInstanceIdentifier = "past-1",
    DBClusterIdentifier = "past", DBInstanceClass = "db.r6g.large", Engine = "postgres" })
  client.ok(s, "rds", "CreateDBInstance",
    { DBInstanceIdentifier = "past-1", DBClusterIdentifier = "past",
    DBInstanceClass = "db.r6g.large", Engine = "aurora-postgresql" })
  client.instance(s, "past-1")
  t.equal(query(cluster(s, "past").Endpoint, "SELECT count(*) FROM t")[1], 1)
end)

t.test("aurora: cluster snapshots; deletion wants no members left", function()
  local s = started()
  client.ok(s, "rds", "CreateDBClusterSnapshot", { DBClusterIdentifier = "social",
    DBClusterSnapshotIdentifier = "one" })
  client.until_true("the snapshot", function()
    return client.ok(s, "rds", "DescribeDBClusterSnapshots",
      { DBClusterSnapshotIdentifier = "one" })
      .DBClusterSnapshots[1].Status == "available"
  end)
  client.fails(s, "InvalidParameterCombination", "rds", "CreateDBSnapshot",
    { DBInstanceIdentifier = "social-1",
    DBSnapshotIdentifier = "x" })
  client.fails(s, "InvalidDBClusterStateFault", "rds", "DeleteDBCluster",
    { DBClusterIdentifier = "social",
    SkipFinalSnapshot = true })
  for _, id in ipairs { "social-1", "social-2" } do
    client.instance(s, id)
    client.ok(s, "rds", "DeleteDBInstance", { DBInstanceIdentifier = id })
    client.until_true("the deletion", function()
      return not client.call(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = id })
    end)
  end
  client.ok(s, "rds", "DeleteDBCluster",
    { DBClusterIdentifier = "social", SkipFinalSnapshot = true })
  client.until_true("the deletion", function()
    return not client.call(s, "rds", "DescribeDBClusters", { DBClusterIdentifier = "social" })
  end)
  client.ok(s, "rds", "RestoreDBClusterFromSnapshot",
    { DBClusterIdentifier = "again", SnapshotIdentifier = "one",
    Engine = "aurora-postgresql" })
  cluster(s, "again")
  client.ok(s, "rds", "CreateDBInstance",
    { DBInstanceIdentifier = "again-1", DBClusterIdentifier = "again",
    DBInstanceClass = "db.r6g.large", Engine = "aurora-postgresql" })
  client.instance(s, "again-1")
  t.equal(s:sql("again-1", "SELECT count(*) FROM t").rows[1][1], 1)
end)

t.test("a writer that dies is replaced by AWS itself, and nothing is lost", function()
  local s = started()
  local before = cluster(s, "social")
  query(before.Endpoint, "INSERT INTO t VALUES (2) RETURNING i")
  s:fault { kind = "instance_down", instance = "social-1" }
  local after = client.until_true("the failover", function()
    local shape = cluster(s, "social")
    return shape.DBClusterMembers[1].DBInstanceIdentifier == "social-2" and shape
  end)
  t.equal(after.Endpoint, before.Endpoint)
  query(after.Endpoint, "INSERT INTO t VALUES (3) RETURNING i")
  t.equal(query(after.Endpoint, "SELECT count(*) FROM t")[1], 3)
end)

t.test("a reader that dies is started again, and so is a writer without a reader", function()
  local s = started()
  s:load { clusters = { { id = "single", user = "social", password = PASSWORD, db = "social",
    members = { "single-1" } } } }
  for _, id in ipairs { "social-2", "single-1" } do
    s:fault { kind = "instance_down", instance = id }
    client.until_true(id, function() return s:instance(id).cluster:running() end)
  end
  t.equal(cluster(s, "social").DBClusterMembers[1].DBInstanceIdentifier, "social-1")
end)

t.test("security groups of a cluster are adding on its members while all stay available", function()
  local s = started()
  s.clock:set_speed(1)
  local asked = client.ok(s, "rds", "ModifyDBCluster", { DBClusterIdentifier = "social",
    VpcSecurityGroupIds = { "sg-new" }, ApplyImmediately = true }).DBCluster
  t.equal(asked.Status, "available")
  local function member()
    return client.ok(s, "rds", "DescribeDBInstances", {
      DBInstanceIdentifier = "social-1" }).DBInstances[1]
  end
  t.equal({ member().DBInstanceStatus, member().VpcSecurityGroups[1].Status }, { "available",
    "adding" })
  s.clock:advance(s:takes "rds.security_group" + 1)
  t.equal(member().VpcSecurityGroups[1].Status, "active")
end)
