--- RDS: snapshots. A snapshot is a base backup of the real cluster in a directory;
-- copies share it, and it is removed with the last of them.
local checks = require "sim.services.rds.checks"
local lookup = require "sim.services.rds.lookup"

local service = {}

local filters = {
  ["db-instance-id"] = "DBInstanceIdentifier", ["db-snapshot-id"] = "DBSnapshotIdentifier",
  ["dbi-resource-id"] = "DbiResourceId", ["snapshot-type"] = "SnapshotType", engine = "Engine",
}

local function wanted(ctx, input, shape)
  if input.DBInstanceIdentifier
    and shape.DBInstanceIdentifier ~= lookup.name(input.DBInstanceIdentifier) then
    return false
  end
  if input.SnapshotType and shape.SnapshotType ~= input.SnapshotType then return false end
  -- Without a type AWS Backup's snapshots are left out, as AWS does.
  local anonymous = not input.SnapshotType and not input.DBSnapshotIdentifier
  if anonymous and shape.SnapshotType == "awsbackup" then return false end
  if input.DbiResourceId and shape.DbiResourceId ~= input.DbiResourceId then return false end
  return lookup.passes(ctx, input.Filters, shape, filters)
end

function service.describe_db_snapshots(ctx, input)
  if input.DBSnapshotIdentifier then
    local snapshot = lookup.snapshot(ctx, input.DBSnapshotIdentifier)
    local shown = wanted(ctx, input, snapshot.shape)
    return { DBSnapshots = shown and { snapshot.shape } or {} }
  end
  local shapes = {}
  for _, snapshot in ipairs(lookup.ordered(ctx.store.snapshots)) do
    if wanted(ctx, input, snapshot.shape) then table.insert(shapes, snapshot.shape) end
  end
  return lookup.page(ctx, input, shapes, "DBSnapshotIdentifier", "DBSnapshots")
end

local function count(store, keep)
  local n = 0
  for _, snapshot in pairs(store.snapshots) do if keep(snapshot) then n = n + 1 end end
  return n
end

local function is_manual(snapshot) return snapshot.shape.SnapshotType == "manual" end

local function new_snapshot(ctx, id)
  checks.quota(ctx, "snapshots", count(ctx.store, is_manual))
  local text = lookup.new_identifier(ctx, id, "DBSnapshotIdentifier")
  if ctx.store.snapshots[text] then
    ctx:fail("DBSnapshotAlreadyExists",
      ("Cannot create the snapshot because a snapshot with the identifier %s already "
      .. "exists."):format(text))
  end
  return text
end

--- Begins a snapshot of an available instance; kind: manual or awsbackup. Returns
-- it and the background task.
function service.begin_snapshot(ctx, instance, id, kind, tags)
  local path = ctx.sim.host:path("s")
  local snapshot = { id = id, shape = instance:snapshot_shape(id, kind), path = path,
    password = instance.password,
    dbname = instance.shape.DBName, setup = instance:setup() }
  if tags then snapshot.shape.TagList = tags end
  ctx.store.snapshots[id] = snapshot
  instance:status("backing-up")
  local work = instance:transition("snapshot", instance:takes "rds.snapshot", function()
    snapshot.replication_password = instance.cluster.replication_password
    instance:event("Creating manual snapshot", { "backup" })
    instance.cluster:backup(path)
    snapshot.shape.PercentProgress = 80
    instance:pause(instance:takes "rds.snapshot")
    snapshot.shape.PercentProgress, snapshot.shape.Status = 100, "available"
    instance:event("Manual snapshot created", { "backup" })
  end)
  return snapshot, work
end

function service.create_db_snapshot(ctx, input)
  ctx:need(input, "DBSnapshotIdentifier", "DBInstanceIdentifier")
  local instance = lookup.instance(ctx, input.DBInstanceIdentifier)
  local id = new_snapshot(ctx, input.DBSnapshotIdentifier)
  if instance.aurora then
    ctx:fail("InvalidParameterCombination", "Not supported for members of an Aurora cluster: use "
      .. "CreateDBClusterSnapshot.")
  end
  if not instance:available() then
    ctx:fail("InvalidDBInstanceState",
      ("Cannot create a snapshot because the database instance %s is not currently in "
      .. "the available state."):format(instance.id))
  end
  return { DBSnapshot = service.begin_snapshot(ctx, instance, id, "manual", input.Tags).shape }
end

local function find_source(ctx, name)
  local region = lookup.region(name)
  if not region or region == ctx.region then return lookup.snapshot(ctx, name) end
  local store = ctx.sim.state:store(ctx.account, region, "rds")
  local found = store.snapshots and store.snapshots[lookup.name(name)]
  if not found or ctx.sim.dead_regions[region] then
    ctx:fail("DBSnapshotNotFound", ("DBSnapshot %s not found."):format(name))
  end
  return found, region
end

--- What a copy of a snapshot shows while it is made.
local function copied_shape(ctx, source, id, input, region)
  local shape = {}
  for k, v in pairs(source.shape) do shape[k] = v end
  shape.DBSnapshotIdentifier, shape.SnapshotType = id, "manual"
  shape.DBSnapshotArn = ctx:arn("snapshot:" .. id, "rds")
  shape.SourceDBSnapshotIdentifier, shape.SourceRegion = source.shape.DBSnapshotArn, region
  shape.SnapshotCreateTime, shape.Status, shape.PercentProgress = ctx:now(), "creating", 0
  shape.KmsKeyId = input.KmsKeyId or shape.KmsKeyId
  shape.Encrypted = shape.Encrypted or input.KmsKeyId ~= nil
  shape.TagList = input.Tags or (input.CopyTags and source.shape.TagList) or {}
  return shape
end

function service.copy_db_snapshot(ctx, input)
  ctx:need(input, "SourceDBSnapshotIdentifier", "TargetDBSnapshotIdentifier")
  local source, region = find_source(ctx, input.SourceDBSnapshotIdentifier)
  local id = new_snapshot(ctx, input.TargetDBSnapshotIdentifier)
  if source.shape.Status ~= "available" then
    ctx:fail("InvalidDBSnapshotState", "The source snapshot is not in the available state.")
  end
  if region and source.shape.Encrypted and not input.KmsKeyId then
    ctx:fail("InvalidParameterCombination",
      "Cannot copy encrypted snapshot across regions without a KmsKeyId of the "
      .. "destination region.")
  end
  if region then
    checks.references(ctx, input)
    checks.quota(ctx, "snapshot_copies", count(ctx.store, function(one)
      return one.shape.Status == "pending"
    end))
  end
  local copy = { id = id, shape = copied_shape(ctx, source, id, input, region), path = source.path,
    password = source.password, replication_password = source.replication_password,
    dbname = source.dbname, setup = source.setup }
  ctx.store.snapshots[id] = copy
  if region then copy.shape.Status = "pending" end
  ctx:background("copy snapshot " .. id, function()
    if not ctx.sim.loading then ctx.sim.clock:sleep(ctx.sim:takes "rds.snapshot_copy_region") end
    copy.shape.Status, copy.shape.PercentProgress = "available", 100
  end)
  return { DBSnapshot = copy.shape }
end

--- Enters a finished copy of a snapshot record under `id`, of AWS Backup's kind.
function service.duplicate(ctx, source, id)
  local shape = copied_shape(ctx, source, id, {}, nil)
  shape.Status, shape.PercentProgress, shape.SnapshotType = "available", 100, "awsbackup"
  local copy = { id = id, shape = shape, path = source.path, password = source.password,
    replication_password = source.replication_password, dbname = source.dbname,
    setup = source.setup }
  ctx.store.snapshots[id] = copy
  return copy
end

local function path_shared(sim, path)
  local shared = false
  sim.state:each("rds", function(_, _, store)
    for _, snapshot in pairs(store.snapshots) do shared = shared or snapshot.path == path end
    for _, instance in pairs(store.instances) do
      shared = shared or (instance.backup ~= nil and instance.backup.path == path)
    end
  end)
  return shared
end

function service.delete_db_snapshot(ctx, input)
  ctx:need(input, "DBSnapshotIdentifier")
  local snapshot = lookup.snapshot(ctx, input.DBSnapshotIdentifier)
  if snapshot.shape.SnapshotType ~= "manual" then
    ctx:fail("InvalidDBSnapshotState",
      ("Cannot delete a snapshot of type %s."):format(snapshot.shape.SnapshotType))
  end
  if snapshot.shape.Status ~= "available" then
    ctx:fail("InvalidDBSnapshotState",
      "Cannot delete the snapshot because it is not currently in the available state.")
  end
  service.forget(ctx, snapshot)
  snapshot.shape.Status = "deleted"
  return { DBSnapshot = snapshot.shape }
end

--- Takes a snapshot out of the store; its files go with the last that has them.
function service.forget(ctx, snapshot)
  ctx.store.snapshots[snapshot.id] = nil
  if path_shared(ctx.sim, snapshot.path) then return end
  ctx:background("remove " .. snapshot.id, function() ctx.sim.host:remove(snapshot.path) end)
end

service.new_snapshot = new_snapshot

return service
