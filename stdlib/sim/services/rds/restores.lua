--- RDS: restores, from a snapshot and to a point in time. A restored instance is
-- an instance of its own with the default security group and parameter group
-- unless the call names others: a trap for those who forget to carry them over.
local clock = require "native.clock"
local checks = require "sim.services.rds.checks"
local defaults = require "sim.services.rds.defaults"
local lookup = require "sim.services.rds.lookup"
local own = require "sim.services.rds.instances"

local service = {}

local function restored_shape(ctx, source, id, input)
  checks.zone(ctx, input)
  checks.references(ctx, input)
  checks.class(ctx, input.DBInstanceClass)
  checks.retention(ctx, input.BackupRetentionPeriod)
  local shape = defaults.inherit(source)
  shape.DBInstanceIdentifier = id
  shape.BackupRetentionPeriod = input.BackupRetentionPeriod or source.BackupRetentionPeriod or 0
  shape.DbInstancePort = input.Port or source.Port or source.Endpoint and source.Endpoint.Port
  defaults.take(shape, input)
  defaults.fill(ctx, shape, input)
  if not input.Tags then shape.TagList = input.without_tags and {} or source.TagList or {} end
  shape.OptionGroupMemberships[1].Status = "pending-apply"
  return shape
end

--- Enters an instance that is restored from copied files. from: { path, password,
-- replication_password }, recover: as Instance:launch_copy wants it.
function service.begin_restore(ctx, shape, from, recover)
  local instance = own.enter(ctx, shape)
  instance.password = from.password
  instance.failure_status = "restore-error"
  local work = instance:transition("restore", 0, function()
    local began = ctx.sim.clock:elapsed()
    instance:launch_copy(from.path, recover, from.replication_password)
    local duration = instance:takes(recover and "rds.pitr" or "rds.restore_snapshot")
    instance:pause(duration - (ctx.sim.clock:elapsed() - began))
    instance:event("Restored from " .. from.what, { "restoration" })
    instance:settle_backups()
    instance.failure_status = nil
  end)
  return instance, work
end

--- Restores a snapshot record under the identifiers in `input`.
function service.from_snapshot(ctx, snapshot, input)
  local id = lookup.new_instance(ctx, input.DBInstanceIdentifier)
  if snapshot.shape.Status ~= "available" then
    ctx:fail("InvalidDBSnapshotState",
      "Cannot restore from a snapshot that is not in the available state.")
  end
  local shape = restored_shape(ctx, snapshot.shape, id, input)
  shape.DBName = snapshot.dbname
  shape.DBInstanceClass = input.DBInstanceClass or snapshot.setup.DBInstanceClass
  return service.begin_restore(ctx, shape,
    { path = snapshot.path, password = snapshot.password, what =
    "snapshot " .. snapshot.id, replication_password = snapshot.replication_password })
end

function service.restore_db_instance_from_db_snapshot(ctx, input)
  ctx:need(input, "DBInstanceIdentifier", "DBSnapshotIdentifier")
  local snapshot = lookup.snapshot(ctx, input.DBSnapshotIdentifier)
  return { DBInstance = service.from_snapshot(ctx, snapshot, input):refresh() }
end

local function find_source(ctx, input)
  if input.SourceDBInstanceIdentifier then
    return lookup.instance(ctx, input.SourceDBInstanceIdentifier)
  end
  for _, instance in pairs(ctx.store.instances) do
    if instance.shape.DbiResourceId == input.SourceDbiResourceId then return instance end
  end
  return ctx:need({}, "SourceDBInstanceIdentifier")
end

-- The moment to restore to, as PostgreSQL writes it; nil: the latest.
local function target_time(ctx, source, input)
  if (input.RestoreTime == nil) == not input.UseLatestRestorableTime then
    ctx:fail("InvalidParameterCombination",
      "Either RestoreTime or UseLatestRestorableTime must be specified, "
      .. "not both.")
  end
  local latest = source:latest_restorable()
  if not latest then
    ctx:fail("PointInTimeRestoreNotEnabled",
      ("Automated backups are not enabled for DB instance %s; it cannot be "
      .. "restored to a point in time."):format(source.id))
  end
  local wanted = input.RestoreTime or latest
  if wanted > latest or wanted < math.floor(source.backup.time) then
    ctx:fail("InvalidParameterValue",
      ("The specified instance cannot be restored to a time %s than %s.")
      :format(wanted > latest and "later" or "earlier",
        clock.format(wanted > latest and latest or source.backup.time, "rfc3339")))
  end
  return os.date("!%Y-%m-%d %H:%M:%S", math.floor(wanted)) .. "+00"
end

function service.restore_db_instance_to_point_in_time(ctx, input)
  ctx:need(input, "TargetDBInstanceIdentifier")
  local source = find_source(ctx, input)
  local id = lookup.new_instance(ctx, input.TargetDBInstanceIdentifier)
  local target = target_time(ctx, source, input)
  local shape = restored_shape(ctx, source.shape, id, input)
  if source.cluster:running() then source.cluster:switch_wal() end
  local archives = { source.backup.archive, source.cluster.data .. "/pg_wal" }
  local instance = service.begin_restore(ctx, shape,
    { path = source.backup.path, password = source.password,
    what = "DB instance " .. source.id,
    replication_password = source.cluster.replication_password },
    { archives = archives, target = target })
  return { DBInstance = instance:refresh() }
end

return service
