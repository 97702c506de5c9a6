--- Leads the simulator through the states of its services and keeps what it answers: a list
-- of { service, operation, input, output } or, of an error, { ..., failure }.
package.path = "tests/sim/?.lua;" .. package.path
local client = require "client"
local sim = require "sim"
local task = require "task"

local drive = {}

local PASSWORD = "a-good-password"
-- AWS's seconds between two looks; real ones for the work behind a change, and at most.
local STEP, PAUSE, LONGEST = 20, 0.01, 120

local WORLD = {
  instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop" } },
  clusters = { { id = "social", user = "social", password = PASSWORD, db = "social",
    members = { "social-1" } } },
  ecs = { { cluster = "shop", services = { { name = "web", desired = 2 } } } },
  zones = { { id = "Z1", name = "shop.example", records = {
    { Name = "db.shop.example", Type = "CNAME", values = { "old.example" } } } } },
  vaults = { { name = "nightly" } },
}

local Drive = {}
Drive.__index = Drive

function Drive:call(service, operation, input)
  local output, failure = client.call(self.sim, service, operation, input)
  table.insert(self.seen, { service = service, operation = operation, input = input or {},
    output = output, failure = failure })
  return output
end

--- Describes in small steps of AWS's time until done(output) holds.
function Drive:follow(service, operation, input, done)
  for _ = 1, LONGEST / PAUSE do
    local output = self:call(service, operation, input)
    if done(output) then return output end
    self.sim.clock:advance(STEP)
    task.sleep(PAUSE)
  end
  error(("%s did not come to its end in the simulator"):format(operation), 0)
end

function Drive:instance(id, status)
  return self:follow("rds", "DescribeDBInstances", { DBInstanceIdentifier = id }, function(output)
    local shape = output and output.DBInstances[1]
    local busy = shape and self.sim:instance(id, { region = "us-east-1" }).busy
    return status == "gone" and not shape
      or shape and shape.DBInstanceStatus == (status or "available") and not busy
  end)
end

local parts = {}

function parts.instances(self)
  local function change(operation, input)
    input.DBInstanceIdentifier = input.DBInstanceIdentifier or "shop"
    self:call("rds", operation, input)
  end
  self:instance("shop")
  change("ModifyDBInstance", { BackupRetentionPeriod = 9, ApplyImmediately = true })
  self:instance("shop")
  for _, days in ipairs { 0, 5 } do
    change("ModifyDBInstance", { BackupRetentionPeriod = days, ApplyImmediately = true })
    self:instance("shop")
  end
  change("RebootDBInstance", {})
  self:instance("shop")
  change("CreateDBSnapshot", { DBSnapshotIdentifier = "one" })
  change("CreateDBSnapshot", { DBSnapshotIdentifier = "one" })
  self:follow("rds", "DescribeDBSnapshots", { DBSnapshotIdentifier = "one" }, function(output)
    return output.DBSnapshots[1].Status == "available"
  end)
  change("RestoreDBInstanceFromDBSnapshot", { DBInstanceIdentifier = "copy",
    DBSnapshotIdentifier = "one" })
  self:instance("copy")
  change("DeleteDBInstance", { DBInstanceIdentifier = "copy", SkipFinalSnapshot = true })
  self:instance("copy", "gone")
  change("StopDBInstance", {})
  self:instance("shop", "stopped")
  change("StartDBInstance", {})
  self:instance("shop")
  self:call("rds", "DescribeDBParameterGroups", { DBParameterGroupName = "none" })
  self:call("rds", "DescribeDBSubnetGroups", {})
end

function parts.clusters(self)
  local function cluster()
    self:follow("rds", "DescribeDBClusters", { DBClusterIdentifier = "social" }, function(output)
      return output.DBClusters[1].Status == "available"
    end)
  end
  cluster()
  self:instance("social-1")
  self:call("rds", "ModifyDBCluster", { DBClusterIdentifier = "social",
    BackupRetentionPeriod = 9, ApplyImmediately = true })
  cluster()
  self:call("rds", "CreateDBClusterSnapshot", { DBClusterIdentifier = "social",
    DBClusterSnapshotIdentifier = "first" })
  self:follow("rds", "DescribeDBClusterSnapshots", { DBClusterSnapshotIdentifier = "first" },
    function(output) return output.DBClusterSnapshots[1].Status == "available" end)
end

function parts.ecs(self)
  local function services(done)
    self:follow("ecs", "DescribeServices", { cluster = "shop", services = { "web" } },
      function(output) return done(output.services[1]) end)
  end
  self:call("ecs", "ListClusters", {})
  self:call("ecs", "DescribeClusters", { clusters = { "shop" } })
  self:call("ecs", "ListServices", { cluster = "shop" })
  local arns = self:call("ecs", "ListTasks", { cluster = "shop", serviceName = "web" }).taskArns
  self:call("ecs", "DescribeTasks", { cluster = "shop", tasks = arns })
  self:call("ecs", "StopTask", { cluster = "shop", task = arns[1] })
  self:follow("ecs", "DescribeTasks", { cluster = "shop", tasks = arns }, function(output)
    for _, one in ipairs(output.tasks) do
      if one.lastStatus == "STOPPED" then return true end
    end
    return #output.tasks < #arns
  end)
  self:call("ecs", "UpdateService", { cluster = "shop", service = "web", desiredCount = 0 })
  services(function(one) return one.runningCount == 0 end)
  self:call("ecs", "DeleteService", { cluster = "shop", service = "web" })
end

function parts.route53(self)
  self:call("route53", "ListHostedZones", {})
  self:call("route53", "ListHealthChecks", {})
  self:call("route53", "ListTagsForResource", { ResourceType = "hostedzone", ResourceId = "Z1" })
end

function parts.others(self)
  self:call("backup", "DescribeBackupVault", { BackupVaultName = "nightly" })
  self:call("sts", "GetCallerIdentity", {})
  self:call("cloudwatch", "PutMetricData", { Namespace = "Shop",
    MetricData = { { MetricName = "Errors", Value = 1.0, Unit = "Count" } } })
  self:call("cloudwatch", "GetMetricStatistics", { Namespace = "Shop", MetricName = "Errors",
    StartTime = self.sim.clock:now() - 3600, EndTime = self.sim.clock:now() + 60, Period = 3600,
    Statistics = { "Sum", "Average" } })
end

--- All that the simulator answered on the way; must be called in a task.
function drive.run()
  local self = setmetatable({ seen = {} }, Drive)
  self.sim = sim.start { speed = 1, world = WORLD, log = function() end }
  local ok, e = pcall(function()
    for _, name in ipairs { "instances", "clusters", "ecs", "route53", "others" } do
      parts[name](self)
    end
  end)
  self.sim:stop()
  if not ok then error(e, 0) end
  return self.seen
end

return drive
