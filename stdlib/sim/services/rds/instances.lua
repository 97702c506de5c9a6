--- RDS: DB instances, their life from creation to deletion.
local checks = require "sim.services.rds.checks"
local clusters = require "sim.services.rds.clusters"
local defaults = require "sim.services.rds.defaults"
local instances = require "sim.services.rds.instance"
local lookup = require "sim.services.rds.lookup"

local service = {}

local filters = {
  ["db-instance-id"] = "DBInstanceIdentifier", engine = "Engine",
  ["dbi-resource-id"] = "DbiResourceId", ["db-cluster-id"] = "DBClusterIdentifier",
  domain = "Domain",
}

function service.describe_db_instances(ctx, input)
  if input.DBInstanceIdentifier then
    return { DBInstances = { lookup.instance(ctx, input.DBInstanceIdentifier):refresh() } }
  end
  local shapes = {}
  for _, instance in ipairs(lookup.ordered(ctx.store.instances)) do
    local shape = instance:refresh()
    if not instance.hidden and lookup.passes(ctx, input.Filters, shape, filters) then
      table.insert(shapes, shape)
    end
  end
  return lookup.page(ctx, input, shapes, "DBInstanceIdentifier", "DBInstances")
end

--- Enters a new instance into the store.
local function enter(ctx, shape)
  local count = 0
  for _ in pairs(ctx.store.instances) do count = count + 1 end
  checks.quota(ctx, "instances", count)
  local instance = instances.new(ctx.sim, ctx.account, ctx.region, shape)
  ctx.store.instances[instance.id] = instance
  instance:event("DB instance created", { "creation" })
  return instance
end

function service.create_db_instance(ctx, input)
  ctx:need(input, "DBInstanceIdentifier", "DBInstanceClass", "Engine")
  checks.class(ctx, input.DBInstanceClass)
  if input.DBClusterIdentifier then return clusters.create_member(ctx, input, service.enter) end
  local id = lookup.new_instance(ctx, input.DBInstanceIdentifier)
  if input.Engine == "aurora-postgresql" then
    ctx:fail("InvalidParameterCombination",
      "The engine aurora-postgresql requires a DBClusterIdentifier.")
  end
  if input.Engine ~= "postgres" then
    ctx:fail("InvalidParameterValue",
      ("Invalid DB engine: %s (the simulator has real PostgreSQL behind each "
      .. "instance: engine postgres)"):format(input.Engine))
  end
  ctx:need(input, "MasterUsername", "MasterUserPassword")
  checks.password(ctx, input.MasterUserPassword)
  checks.retention(ctx, input.BackupRetentionPeriod)
  checks.zone(ctx, input)
  checks.references(ctx, input)
  checks.master(ctx, input.MasterUsername)
  local shape = { DBInstanceIdentifier = id, Engine = "postgres",
    MasterUsername = input.MasterUsername, DBName = input.DBName,
    EngineVersion = input.EngineVersion or ctx.sim:postgres_version(),
    BackupRetentionPeriod = input.BackupRetentionPeriod or 1 }
  defaults.take(shape, input)
  defaults.fill(ctx, shape, input)
  local instance = enter(ctx, shape)
  instance.password = input.MasterUserPassword
  shape.PendingModifiedValues.MasterUserPassword = "****"
  instance:transition("create", instance:takes "rds.create", function()
    instance:launch()
    instance:settle_backups()
  end)
  return { DBInstance = instance:refresh() }
end

-- Parameters of the instance's group take effect at a reboot.
local function settle_parameters(instance)
  instance.cluster.parameters = instance:settings()
  instance.shape.DBParameterGroups[1].ParameterApplyStatus = "in-sync"
end

local function swap_zones(shape)
  shape.AvailabilityZone, shape.SecondaryAvailabilityZone = shape.SecondaryAvailabilityZone,
    shape.AvailabilityZone
end

function service.reboot_db_instance(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local instance = lookup.available(ctx, input.DBInstanceIdentifier,
    "Instance cannot currently reboot due to an in-progress management operation.")
  local forced = input.ForceFailover
  if forced and not instance.shape.MultiAZ then
    ctx:fail("InvalidParameterCombination",
      "Cannot force failover of a DB instance that is not Multi-AZ.")
  end
  instance:begin("rebooting")
  instance:transition("reboot", 0, function()
    settle_parameters(instance)
    -- The standby of a Multi-AZ pair has every block that was committed: what
    -- fails over is the same storage under another server.
    instance:restart(instance:takes(forced and "rds.multi_az_failover" or "rds.reboot"), forced)
    if forced then
      swap_zones(instance.shape)
      instance:event("Multi-AZ instance failover completed", { "failover" })
    end
    instance:event("DB instance restarted", { "availability" })
  end)
  return { DBInstance = instance:refresh() }
end

function service.stop_db_instance(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local instance = lookup.available(ctx, input.DBInstanceIdentifier)
  if instance.source or #(instance.replicas or {}) > 0 then
    ctx:fail("InvalidDBInstanceState", "Cannot stop a DB instance that is or has a read replica.")
  end
  if input.DBSnapshotIdentifier then
    ctx:as { operation = "CreateDBSnapshot" }:need(input, "DBSnapshotIdentifier")
    local path = ctx.sim.host:path("s")
    instance.stop_snapshot = { id = input.DBSnapshotIdentifier:lower(), path = path }
  end
  instance:status("stopping")
  instance:transition("stop", instance:takes "rds.stop", function()
    local snapshot = instance.stop_snapshot
    instance.stop_snapshot = nil
    instance.cluster:stop("INT")
    if snapshot then
      instance.cluster:backup(snapshot.path)
      instance:snapshot_record(snapshot.id, "manual", snapshot.path)
    end
    instance:event("DB instance stopped", { "notification" })
  end, "stopped")
  return { DBInstance = instance:refresh() }
end

function service.start_db_instance(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local instance = lookup.instance(ctx, input.DBInstanceIdentifier)
  if instance.shape.DBInstanceStatus ~= "stopped" then
    ctx:fail("InvalidDBInstanceState",
      ("Instance %s is not stopped; it cannot be started"):format(instance.id))
  end
  instance:status("starting")
  instance:transition("start", instance:takes "rds.start", function()
    instance.cluster:resume()
    instance:event("DB instance started", { "notification" })
  end)
  return { DBInstance = instance:refresh() }
end

local function check_final_snapshot(ctx, instance, input)
  local final = input.FinalDBSnapshotIdentifier
  if final and input.SkipFinalSnapshot then
    ctx:fail("InvalidParameterCombination",
      "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is "
      .. "true.")
  end
  if not final and not input.SkipFinalSnapshot then
    ctx:fail("InvalidParameterCombination",
      "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
  end
  if final and instance.source then
    ctx:fail("InvalidDBInstanceState",
      "A final snapshot cannot be taken of a read replica; specify SkipFinalSnapshot.")
  end
  if final and ctx.store.snapshots[final:lower()] then
    ctx:fail("DBSnapshotAlreadyExists",
      ("Cannot create the snapshot because a snapshot with the identifier %s already "
      .. "exists."):format(final:lower()))
  end
  return final and lookup.new_identifier(ctx, final, "FinalDBSnapshotIdentifier")
end

-- Replicas in the source's own region become instances of their own; elsewhere
-- their replication is terminated.
local function release_replicas(instance)
  for _, replica in ipairs({ table.unpack(instance.replicas or {}) }) do
    replica:detach()
    if replica.region == instance.region then
      replica.cluster:promote()
    else
      replica.source_gone = true
    end
  end
end

function service.delete_db_instance(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local instance = lookup.instance(ctx, input.DBInstanceIdentifier)
  if instance.shape.DBInstanceStatus == "deleting" then
    ctx:fail("InvalidDBInstanceState",
      ("Instance %s is already being deleted."):format(instance.id))
  end
  if instance.shape.DeletionProtection then
    ctx:fail("InvalidParameterCombination",
      "Cannot delete protected DB Instance, please disable deletion protection "
      .. "and try again.")
  end
  local final = not instance.aurora and check_final_snapshot(ctx, instance, input)
  if instance.busy then
    ctx:fail("InvalidDBInstanceState",
      ("Instance %s is not in available state."):format(instance.id))
  end
  instance:status("deleting")
  local output = instance:refresh()
  instance:transition("delete", instance:takes "rds.delete", function()
    if final then
      local path = ctx.sim.host:path("s")
      instance.cluster:backup(path)
      instance:snapshot_record(final, "manual", path)
    end
    release_replicas(instance)
    instance:detach()
    if instance.aurora then instance.aurora:remove(instance) end
    instance:event("DB instance deleted", { "deletion" })
    instance:destroy()
    instance:pause(instance:takes "rds.delete")
    ctx.store.instances[instance.id] = nil
  end, false)
  return { DBInstance = output }
end

service.enter = enter

return service
