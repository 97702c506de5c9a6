--- RDS: Aurora PostgreSQL clusters, their members, failover, snapshots, restores.
local aurora = require "sim.services.rds.aurora"
local clock = require "native.clock"
local defaults = require "sim.services.rds.defaults"
local lookup = require "sim.services.rds.lookup"

local service = {}

local function find(ctx, id)
  local found = ctx.store.clusters[lookup.name(id)]
  if not found then
    ctx:fail("DBClusterNotFoundFault", ("DBCluster %s not found."):format(lookup.name(id)))
  end
  return found
end

local function available(ctx, id)
  local found = find(ctx, id)
  if found.shape.Status ~= "available" then
    ctx:fail("InvalidDBClusterStateFault",
      ("DBCluster %s is not in available state."):format(found.id))
  end
  return found
end

local function new_identifier(ctx, id)
  local text = lookup.new_identifier(ctx, id, "DBClusterIdentifier")
  if ctx.store.clusters[text] then
    ctx:fail("DBClusterAlreadyExistsFault", "DB Cluster already exists")
  end
  return text
end

local function pause(ctx, duration)
  if not ctx.sim.loading then ctx.sim.clock:sleep(duration) end
end

-- Sets the status after so many seconds of AWS's time and the work.
local function transition(ctx, cluster, what, duration, work)
  cluster.work = ctx:background(what .. " " .. cluster.id, function()
    if work then work() end
    pause(ctx, duration)
    cluster.shape.Status = "available"
  end)
  return cluster.work
end

local function new_shape(ctx, id, input, from)
  local version = input.EngineVersion or (from and from.EngineVersion) or ctx.sim:postgres_version()
  local subnets = defaults.subnet_group(ctx, input.DBSubnetGroupName)
  return {
    DBClusterIdentifier = id, Engine = "aurora-postgresql", EngineVersion = version,
    EngineMode = "provisioned", Status = "creating", MasterUsername = input.MasterUsername
    or (from and from.MasterUsername),
    DatabaseName = input.DatabaseName or (from and from.DatabaseName),
    Port = input.Port or (from and from.Port) or 5432,
    BackupRetentionPeriod = input.BackupRetentionPeriod or (from and from.BackupRetentionPeriod)
    or 1,
    PreferredBackupWindow = input.PreferredBackupWindow or "03:00-03:30",
    ClusterCreateTime = ctx:now(), PreferredMaintenanceWindow = input.PreferredMaintenanceWindow
    or "sun:05:00-sun:05:30", AllocatedStorage = 1,
    DBClusterParameterGroup = input.DBClusterParameterGroupName or "default.aurora-postgresql"
    .. version:match("^%d+"),
    DBSubnetGroup = subnets.DBSubnetGroupName, StorageEncrypted = input.StorageEncrypted or false,
    KmsKeyId = input.KmsKeyId, DeletionProtection = input.DeletionProtection or false,
    MultiAZ = false,
    VpcSecurityGroups = defaults.memberships(input.VpcSecurityGroupIds
      or { defaults.security_group(ctx.region, ctx.account) }),
    AvailabilityZones = { ctx.region .. "a", ctx.region .. "b", ctx.region .. "c" },
    DBClusterMembers = {}, DbClusterResourceId = ctx:id("cluster-", 26),
    HostedZoneId = "Z2R2ITUGPM61AM", TagList = input.Tags or {},
    IAMDatabaseAuthenticationEnabled = input.EnableIAMDatabaseAuthentication or false,
    ReadReplicaIdentifiers = {}, CopyTagsToSnapshot = input.CopyTagsToSnapshot or false,
    AssociatedRoles = {}, HttpEndpointEnabled = false,
  }
end

function service.create_db_cluster(ctx, input)
  ctx:need(input, "DBClusterIdentifier", "Engine")
  local id = new_identifier(ctx, input.DBClusterIdentifier)
  if input.Engine ~= "aurora-postgresql" then
    ctx:fail("InvalidParameterValue",
      ("Invalid DB engine: %s (the simulator has aurora-postgresql)"):format(
      input.Engine))
  end
  ctx:need(input, "MasterUsername", "MasterUserPassword")
  local cluster = aurora.new(ctx.sim, ctx.account, ctx.region, new_shape(ctx, id, input))
  cluster.password = input.MasterUserPassword
  ctx.store.clusters[id] = cluster
  transition(ctx, cluster, "create cluster", ctx.sim:takes "aurora.create")
  return { DBCluster = cluster:refresh() }
end

local filters = { ["db-cluster-id"] = "DBClusterIdentifier", engine = "Engine",
  ["db-cluster-resource-id"] = "DbClusterResourceId" }

function service.describe_db_clusters(ctx, input)
  if input.DBClusterIdentifier then
    return { DBClusters = { find(ctx, input.DBClusterIdentifier):refresh() } }
  end
  local shapes = {}
  for _, cluster in ipairs(lookup.ordered(ctx.store.clusters)) do
    local shape = cluster:refresh()
    if lookup.passes(ctx, input.Filters, shape, filters) then table.insert(shapes, shape) end
  end
  return lookup.page(ctx, input, shapes, "DBClusterIdentifier", "DBClusters")
end

--- CreateDBInstance of a cluster's member.
function service.create_member(ctx, input, enter)
  if input.Engine ~= "aurora-postgresql" then
    ctx:fail("InvalidParameterCombination",
      ("The engine name requested for your DB instance (%s) doesn't match the "
      .. "engine name of your DB cluster (aurora-postgresql)."):format(input.Engine))
  end
  local cluster = available(ctx, input.DBClusterIdentifier)
  local of = cluster.shape
  local shape = { DBInstanceIdentifier = lookup.new_instance(ctx, input.DBInstanceIdentifier),
    Engine = of.Engine, EngineVersion = of.EngineVersion, MasterUsername = of.MasterUsername,
    DBName = of.DatabaseName, BackupRetentionPeriod = of.BackupRetentionPeriod,
    DbInstancePort = of.Port, DBClusterIdentifier = cluster.id,
    PromotionTier = input.PromotionTier or 1 }
  defaults.take(shape, input)
  defaults.fill(ctx, shape,
    { DBSubnetGroupName = of.DBSubnetGroup, AvailabilityZone = input.AvailabilityZone })
  shape.VpcSecurityGroups = of.VpcSecurityGroups
  local member = enter(ctx, shape)
  member.aurora = cluster
  table.insert(cluster.members, member)
  cluster:settle()
  member:transition("create", ctx.sim:takes "aurora.member", function()
    local writer = cluster:writer()
    if writer ~= member and writer.work and not writer.cluster then writer.work:wait() end
    cluster:launch(member)
  end)
  return { DBInstance = member:refresh() }
end

-- The new groups are adding, on the members too, while all of them stay available.
local function change_groups(ctx, cluster, ids)
  local shapes = { cluster.shape }
  for _, member in ipairs(cluster.members) do table.insert(shapes, member.shape) end
  local adding = defaults.memberships(ids)
  for _, group in ipairs(adding) do group.Status = "adding" end
  for _, shape in ipairs(shapes) do shape.VpcSecurityGroups = adding end
  ctx.sim.clock:after(ctx.sim:takes "rds.security_group", function()
    for _, shape in ipairs(shapes) do
      if shape.VpcSecurityGroups == adding then
        shape.VpcSecurityGroups = defaults.memberships(ids)
      end
    end
  end)
end

function service.modify_db_cluster(ctx, input)
  ctx:need(input, "DBClusterIdentifier")
  local cluster = available(ctx, input.DBClusterIdentifier)
  for _, name in ipairs { "BackupRetentionPeriod", "DeletionProtection", "PreferredBackupWindow",
    "CopyTagsToSnapshot",
    "PreferredMaintenanceWindow" } do
    if input[name] ~= nil then cluster.shape[name] = input[name] end
  end
  if input.VpcSecurityGroupIds then change_groups(ctx, cluster, input.VpcSecurityGroupIds) end
  if input.MasterUserPassword then
    local lag = ctx.sim.loading and 0 or ctx.sim:takes "rds.status_lag"
    ctx.sim.clock:after(lag, function() cluster.shape.Status = "resetting-master-credentials" end)
    transition(ctx, cluster, "password", lag + ctx.sim:takes "rds.modify", function()
      cluster.password = input.MasterUserPassword
      local writer = cluster:writer()
      if writer then writer:change_password(input.MasterUserPassword) end
    end)
  end
  return { DBCluster = cluster:refresh() }
end

local function failover_target(ctx, cluster, id)
  if #cluster.members < 2 then
    ctx:fail("InvalidDBClusterStateFault", "The DB cluster doesn't have a reader to fail over to.")
  end
  if not id then return cluster.members[2] end
  for i, member in ipairs(cluster.members) do
    if member.id == lookup.name(id) and i > 1 then return member end
  end
  return ctx:fail("InvalidDBInstanceState",
    ("Instance %s is not a reader of DB cluster %s."):format(id, cluster.id))
end

function service.failover_db_cluster(ctx, input)
  ctx:need(input, "DBClusterIdentifier")
  local cluster = available(ctx, input.DBClusterIdentifier)
  local target = failover_target(ctx, cluster, input.TargetDBInstanceIdentifier)
  if not target:available() then
    ctx:fail("InvalidDBInstanceState", ("Instance %s is not in available state."):format(target.id))
  end
  cluster.shape.Status = "failing-over"
  transition(ctx, cluster, "failover", ctx.sim:takes "aurora.failover", function()
    cluster:fail_over(target)
    target:event("Completed failover to DB instance: " .. target.id, { "failover" })
  end)
  return { DBCluster = cluster:refresh() }
end

function service.delete_db_cluster(ctx, input)
  ctx:need(input, "DBClusterIdentifier")
  local cluster = available(ctx, input.DBClusterIdentifier)
  if cluster.shape.DeletionProtection then
    ctx:fail("InvalidParameterCombination",
      "Cannot delete protected Cluster, please disable deletion protection and "
      .. "try again.")
  end
  if #cluster.members > 0 then
    ctx:fail("InvalidDBClusterStateFault",
      "Cluster cannot be deleted, it still contains DB instances in non-deleting "
      .. "state.")
  end
  if not input.SkipFinalSnapshot and not input.FinalDBSnapshotIdentifier then
    ctx:fail("InvalidParameterCombination",
      "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is "
      .. "specified.")
  end
  cluster.shape.Status = "deleting"
  ctx:background("delete cluster " .. cluster.id, function()
    pause(ctx, ctx.sim:takes "rds.delete")
    cluster:destroy()
    ctx.store.clusters[cluster.id] = nil
  end)
  return { DBCluster = cluster.shape }
end

-- Snapshots ---------------------------------------------------------------------

local function find_snapshot(ctx, id)
  local found = ctx.store.cluster_snapshots[lookup.name(id)]
  if not found then
    ctx:fail("DBClusterSnapshotNotFoundFault",
      ("DBClusterSnapshot %s not found."):format(lookup.name(id)))
  end
  return found
end

function service.create_db_cluster_snapshot(ctx, input)
  ctx:need(input, "DBClusterIdentifier", "DBClusterSnapshotIdentifier")
  local cluster = available(ctx, input.DBClusterIdentifier)
  local id = lookup.new_identifier(ctx, input.DBClusterSnapshotIdentifier,
    "DBClusterSnapshotIdentifier")
  if ctx.store.cluster_snapshots[id] then
    ctx:fail("DBClusterSnapshotAlreadyExistsFault", "DBClusterSnapshot already exists: " .. id)
  end
  local writer = cluster:writer()
  if not writer or not writer.cluster then
    ctx:fail("InvalidDBClusterStateFault", "The DB cluster has no instance that is available.")
  end
  local of = cluster.shape
  local shape = { DBClusterSnapshotIdentifier = id, DBClusterIdentifier = cluster.id,
    SnapshotCreateTime = ctx:now(), Engine = of.Engine, EngineVersion = of.EngineVersion,
    AllocatedStorage = 1, Status = "creating", Port = of.Port,
    ClusterCreateTime = of.ClusterCreateTime, MasterUsername = of.MasterUsername,
    SnapshotType = "manual", PercentProgress = 0, StorageEncrypted = of.StorageEncrypted,
    KmsKeyId = of.KmsKeyId, TagList = input.Tags or {},
    DBClusterSnapshotArn = ctx:arn("cluster-snapshot:" .. id, "rds"),
    DbClusterResourceId = of.DbClusterResourceId }
  local snapshot = { id = id, shape = shape, path = ctx.sim.host:path("s"),
    password = cluster.password, of = of,
    replication_password = writer.cluster.replication_password }
  ctx.store.cluster_snapshots[id] = snapshot
  snapshot.work = ctx:background("cluster snapshot " .. id, function()
    writer.cluster:backup(snapshot.path)
    pause(ctx, ctx.sim:takes "rds.snapshot")
    shape.Status, shape.PercentProgress = "available", 100
  end)
  return { DBClusterSnapshot = shape }
end

function service.describe_db_cluster_snapshots(ctx, input)
  if input.DBClusterSnapshotIdentifier then
    return { DBClusterSnapshots = { find_snapshot(ctx, input.DBClusterSnapshotIdentifier).shape } }
  end
  local shapes = {}
  for _, snapshot in ipairs(lookup.ordered(ctx.store.cluster_snapshots)) do
    local shape = snapshot.shape
    local of = input.DBClusterIdentifier and lookup.name(input.DBClusterIdentifier)
    local wanted = (not of or shape.DBClusterIdentifier == of)
      and (not input.SnapshotType or shape.SnapshotType == input.SnapshotType)
    if wanted then table.insert(shapes, shape) end
  end
  return lookup.page(ctx, input, shapes, "DBClusterSnapshotIdentifier", "DBClusterSnapshots")
end

function service.delete_db_cluster_snapshot(ctx, input)
  local snapshot = find_snapshot(ctx, input.DBClusterSnapshotIdentifier)
  ctx.store.cluster_snapshots[snapshot.id] = nil
  ctx:background("remove " .. snapshot.id, function() ctx.sim.host:remove(snapshot.path) end)
  return { DBClusterSnapshot = snapshot.shape }
end

-- Restores: a cluster without instances, whose storage waits for the first one.
local function restore(ctx, id, input, of, seed)
  local cluster = aurora.new(ctx.sim, ctx.account, ctx.region, new_shape(ctx, id, input, of), seed)
  cluster.password = seed.password
  ctx.store.clusters[id] = cluster
  transition(ctx, cluster, "restore cluster",
    ctx.sim:takes "aurora.restore" - ctx.sim:takes "aurora.member")
  return { DBCluster = cluster:refresh() }
end

function service.restore_db_cluster_from_snapshot(ctx, input)
  ctx:need(input, "DBClusterIdentifier", "SnapshotIdentifier", "Engine")
  local id = new_identifier(ctx, input.DBClusterIdentifier)
  local snapshot = find_snapshot(ctx, input.SnapshotIdentifier)
  if snapshot.shape.Status ~= "available" then
    ctx:fail("InvalidDBClusterSnapshotStateFault",
      "The cluster snapshot is not in the available state.")
  end
  return restore(ctx, id, input, snapshot.of, { path = snapshot.path, password = snapshot.password,
    replication_password = snapshot.replication_password })
end

local function target_time(ctx, source, input)
  if (input.RestoreToTime == nil) == not input.UseLatestRestorableTime then
    ctx:fail("InvalidParameterCombination",
      "Either RestoreToTime or UseLatestRestorableTime must be specified, not "
      .. "both.")
  end
  local latest = source:latest_restorable()
  if not latest then
    ctx:fail("InvalidDBClusterStateFault", "The source cluster has no backups.")
  end
  local wanted = input.RestoreToTime or latest
  local backup = source:backup_before(wanted)
  if wanted > latest or not backup then
    ctx:fail("InvalidParameterValue",
      ("The specified cluster cannot be restored to %s: possible are times from %s to "
      .. "%s."):format(clock.format(wanted, "rfc3339"),
      clock.format(source.backups[1].time, "rfc3339"),
        clock.format(latest, "rfc3339")))
  end
  return os.date("!%Y-%m-%d %H:%M:%S", math.floor(wanted)) .. "+00", backup
end

function service.restore_db_cluster_to_point_in_time(ctx, input)
  ctx:need(input, "DBClusterIdentifier", "SourceDBClusterIdentifier")
  local source = find(ctx, input.SourceDBClusterIdentifier)
  local id = new_identifier(ctx, input.DBClusterIdentifier)
  local target, backup = target_time(ctx, source, input)
  if backup.cluster:running() then backup.cluster:switch_wal() end
  return restore(ctx, id, input, source.shape, { path = backup.path, password = source.password,
    replication_password = backup.cluster.replication_password,
    recover = { archives = { backup.archive, backup.cluster.data .. "/pg_wal" },
      target = target } })
end

return service
