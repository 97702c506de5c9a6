--- RDS: read replicas, in the source's region and across regions; promotion.
local crypto = require "native.crypto"
local checks = require "sim.services.rds.checks"
local defaults = require "sim.services.rds.defaults"
local lookup = require "sim.services.rds.lookup"
local own = require "sim.services.rds.instances"

local service = {}

-- The source: by name in this region, or by ARN from another.
local function find_source(ctx, name)
  local region = lookup.region(name)
  if not region or region == ctx.region then return lookup.instance(ctx, name) end
  local store = ctx.sim.state:store(ctx.account, region, "rds")
  local source = store.instances and store.instances[lookup.name(name)]
  if not source or ctx.sim.dead_regions[region] then
    ctx:fail("DBInstanceNotFound", ("The source instance could not be found: %s"):format(name))
  end
  return source
end

local function check_source(ctx, source)
  if not source:available() then
    ctx:fail("InvalidDBInstanceState", ("Instance %s is not in available state."):format(source.id))
  end
  if not source.backup and (source.shape.BackupRetentionPeriod or 0) == 0 then
    ctx:fail("InvalidDBInstanceState",
      "Automated backups are not enabled for this database instance. To enable "
      .. "automated backups, use ModifyDBInstance to set the backup retention "
      .. "period to a non-zero value.")
  end
end

function service.create_db_instance_read_replica(ctx, input)
  ctx:need(input, "DBInstanceIdentifier", "SourceDBInstanceIdentifier")
  local id = lookup.new_instance(ctx, input.DBInstanceIdentifier)
  local source = find_source(ctx, input.SourceDBInstanceIdentifier)
  check_source(ctx, source)
  checks.retention(ctx, input.BackupRetentionPeriod)
  checks.class(ctx, input.DBInstanceClass)
  checks.references(ctx, input)
  if source.region ~= ctx.region and source.shape.StorageEncrypted and not input.KmsKeyId then
    ctx:fail("InvalidParameterCombination",
      "Cannot create a cross region read replica from encrypted source without "
      .. "an encrypted destination: specify KmsKeyId.")
  end
  local shape = defaults.inherit(source.shape)
  shape.DBInstanceIdentifier = id
  shape.BackupRetentionPeriod = input.BackupRetentionPeriod or 0
  shape.ReplicaMode = nil
  shape.DbInstancePort = source.port
  defaults.take(shape, input)
  defaults.fill(ctx, shape, input)
  local replica = own.enter(ctx, shape)
  replica.password, replica.source = source.password, source
  source.replicas = source.replicas or {}
  table.insert(source.replicas, replica)
  replica:transition("create replica", replica:takes "rds.replica_create", function()
    if not source.cluster.replication_password then
      source.cluster:allow_replicas(crypto.hex(crypto.random(16)))
    end
    replica:launch_replica(source)
    replica:event("Replication for the Read Replica resumed", { "read replica" })
  end)
  return { DBInstance = replica:refresh() }
end

function service.promote_read_replica(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local replica = lookup.available(ctx, input.DBInstanceIdentifier)
  if not replica.source and not replica.source_gone then
    ctx:fail("InvalidDBInstanceState", "DB Instance is not a read replica.")
  end
  checks.retention(ctx, input.BackupRetentionPeriod)
  replica:begin("modifying", true)
  replica:transition("promote", 0, function()
    replica:pause(replica:takes "rds.promote" - replica:takes "rds.promote_reboot")
    replica.cluster:promote()
    replica:detach()
    replica.source_gone = nil
    replica:status("rebooting")
    replica:restart(replica:takes "rds.promote_reboot")
    replica.shape.BackupRetentionPeriod = input.BackupRetentionPeriod or 1
    replica.shape.PreferredBackupWindow = input.PreferredBackupWindow
      or replica.shape.PreferredBackupWindow
    replica:event("Promoted Read Replica instance to stand-alone database instance",
      { "read replica", "recovery" })
    replica:settle_backups()
  end)
  return { DBInstance = replica:refresh() }
end

return service
