--- Worlds: what there is when a simulation begins, as one table (a Lua file that
-- returns it, or JSON). docs/simulator.md describes each section.
--
-- Instances are made first, all together, then their seed SQL, replicas, the
-- timeline (backups and snapshots of different ages, each holding what the
-- database really held then), then all that is only records.
local errors = require "errors"
local context = require "sim.context"
local crypto = require "native.crypto"
local durations = require "sim.durations"
local description = require "sim.description"
local fields = require "sim.fields"
local json = require "native.json"
local task = require "task"

local world = {}

local DEFAULT_REGION = "us-east-1"

-- Which sections are a service's own, handed to its load().
local of_service = {
  { "route53", { "health_checks", "zones" } }, { "ecs", { "ecs" } },
  { "application-autoscaling", { "scaling" } },
  { "cloudwatch", { "metrics", "alarms" } },
  { "route53-recovery-cluster", { "routing_controls" } },
}

local function refuse(text, ...)
  errors.raise { kind = "invalid", message = "world: " .. text:format(...) }
end

--- Seconds of a number or of text such as "26h".
function world.seconds(value)
  fields.expect("world: a duration", value, "duration")
  return fields.duration(value)
end

--- Reads a world from a file: JSON by its suffix, else Lua that returns a table.
function world.read(path)
  if path:find("%.json$") then
    local file = errors.check("world", io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return (errors.check("world " .. path, json.decode(text)))
  end
  local chunk, message = loadfile(path, "t")
  if not chunk then errors.raise { kind = "invalid", message = "world: " .. message } end
  local value = chunk()
  if type(value) ~= "table" then refuse("%s must return a table", path) end
  return value
end

-- A context as a call of the account's own would have it.
local function place(sim, name, one)
  local service = sim:open_service(name)
  local account = one.account or sim.default_account
  local region = one.region or DEFAULT_REGION
  return context.new {
    sim = sim, account = account, region = region, service = name, operation = "Load", identity = {
      account = account, arn = ("arn:aws:iam::%s:user/world"):format(account),
      user_id = "AIDAWORLD" },
    store = sim.state:store(account, service.global and "global" or region, name),
  }, service
end

local function tag_list(tags)
  local list = {}
  for key, value in pairs(tags or {}) do
    table.insert(list, { Key = key, Value = tostring(value) })
  end
  table.sort(list, function(a, b) return a.Key < b.Key end)
  return list
end

-- Runs seed SQL as the master user, so that the tables are its own.
local function run_sql(instance, sql)
  for _, text in ipairs(type(sql) == "table" and sql or { sql }) do
    instance:sql(text, nil, nil, instance.shape.MasterUsername)
  end
end

local function rds_members(one)
  return {
    DBInstanceIdentifier = one.id, DBInstanceClass = one.class or "db.t3.medium", Port = one.port,
    MultiAZ = one.multi_az, BackupRetentionPeriod = one.retention,
    DBParameterGroupName = one.parameter_group,
    VpcSecurityGroupIds = one.security_groups, DBSubnetGroupName = one.subnet_group,
    StorageEncrypted = one.encrypted, DeletionProtection = one.deletion_protection,
    AllocatedStorage = one.storage, Tags = tag_list(one.tags),
    CopyTagsToSnapshot = one.copy_tags,
  }
end

local function add_instance(sim, one)
  local ctx, service = place(sim, "rds", one)
  local input = rds_members(one)
  input.Engine, input.EngineVersion, input.DBName = one.engine or "postgres", one.engine_version,
    one.db
  input.MasterUsername, input.MasterUserPassword = one.user or "postgres", one.password
    or "password1"
  input.BackupRetentionPeriod = one.retention or 7
  service.implementation.create_db_instance(ctx, input)
  local instance = ctx.store.instances[one.id:lower()]
  instance.work:wait()
  if one.sql then run_sql(instance, one.sql) end
end

local function add_replica(sim, one)
  local ctx, service = place(sim, "rds", one)
  local source = sim:instance(one.source, { account = one.account, region = one.source_region })
  local input = rds_members(one)
  input.SourceDBInstanceIdentifier = source:name_in(ctx.region)
  service.implementation.create_db_instance_read_replica(ctx, input)
  ctx.store.instances[one.id:lower()].work:wait()
end

-- An Aurora cluster with its members, the writer first.
local function add_cluster(sim, one)
  local ctx, service = place(sim, "rds", one)
  local operations = service.implementation
  operations.create_db_cluster(ctx,
    { DBClusterIdentifier = one.id, Engine = "aurora-postgresql", Port = one.port,
    MasterUsername = one.user or "postgres", MasterUserPassword = one.password or "password1",
    DatabaseName = one.db, BackupRetentionPeriod = one.retention or 7, Tags = tag_list(one.tags),
    EngineVersion = one.engine_version,
    VpcSecurityGroupIds = one.security_groups, DeletionProtection = one.deletion_protection })
  local cluster = ctx.store.clusters[one.id:lower()]
  cluster.work:wait()
  for _, id in ipairs(one.members or {}) do
    operations.create_db_instance(ctx, { DBInstanceIdentifier = id, DBClusterIdentifier = one.id,
      DBInstanceClass = one.class or "db.r6g.large", Engine = "aurora-postgresql" })
    ctx.store.instances[id:lower()].work:wait()
  end
  if one.sql then run_sql(cluster:writer(), one.sql) end
end

local steps = {}

function steps.sql(sim, one)
  run_sql(sim:instance(one.instance, one), one.sql)
end

local function age(sim, one) return sim.clock:now() - world.seconds(one.age or 0) end

local function snapshot_of(sim, one, id, kind)
  local instance = sim:instance(one.instance, { region = one.region, account = one.account })
  local ctx, service = place(sim, "rds", { region = instance.region, account = instance.account })
  local snapshot, work = service.implementation.begin_snapshot(ctx, instance, id, kind,
    tag_list(one.tags))
  work:wait()
  for _, member in ipairs { "SnapshotCreateTime", "OriginalSnapshotCreateTime",
    "SnapshotDatabaseTime" } do
    snapshot.shape[member] = age(sim, one)
  end
  return snapshot, instance
end

function steps.snapshot(sim, one)
  local snapshot, instance = snapshot_of(sim, one, one.snapshot, "manual")
  if not one.copy_to then return end
  local there, service = place(sim, "rds", { region = one.copy_to, account = instance.account })
  service.implementation.copy_db_snapshot(there, {
    SourceDBSnapshotIdentifier = snapshot.shape.DBSnapshotArn, CopyTags = true,
    TargetDBSnapshotIdentifier = one.copy_as or one.snapshot,
  })
  there.store.snapshots[one.copy_as or one.snapshot].shape.SnapshotCreateTime = age(sim, one)
end

function steps.backup(sim, one)
  local id = crypto.uuid()
  local snapshot, instance = snapshot_of(sim, one, "awsbackup:job-" .. id, "awsbackup")
  local ctx, service = place(sim, "backup",
    { region = instance.region, account = instance.account })
  local vault = ctx.store.vaults[one.backup] or service.implementation.add_vault(ctx, one.backup)
  service.implementation.add_point(ctx, vault, instance.shape.DBInstanceArn, snapshot, {
    InitiationDate = age(sim, one) - 60, CreationDate = age(sim, one), CompletionDate = age(sim,
      one) + 300, Status = one.status or "COMPLETED",
  })
end

function steps.wait(_, one) task.sleep(world.seconds(one.wait)) end

local function timeline(sim, list)
  for i, one in ipairs(list) do
    local step = one.snapshot and steps.snapshot or one.backup and steps.backup or one.sql
      and steps.sql
      or one.wait and steps.wait
    if not step then refuse("timeline step %d is none of sql, snapshot, backup, wait", i) end
    step(sim, one)
  end
end

-- Hands each account and region its part of a service's sections.
local function load_service(sim, name, names, given)
  local parts, order = {}, {}
  for _, section in ipairs(names) do
    for _, one in ipairs(given[section] or {}) do
      local ctx, service = place(sim, name, one)
      local key = ctx.account .. " " .. (service.global and "global" or ctx.region)
      local part = parts[key]
      if not part then
        part = { ctx = ctx, service = service, world = {} }
        parts[key] = part
        table.insert(order, part)
      end
      part.world[section] = part.world[section] or {}
      table.insert(part.world[section], one)
    end
  end
  for _, part in ipairs(order) do part.service.implementation.load(part.ctx, part.world) end
end

local function groups(sim, given)
  for _, one in ipairs(given.parameter_groups or {}) do
    local ctx, service = place(sim, "rds", one)
    service.implementation.add_parameter_group(ctx, one.name, one.family or "postgres15",
      one.description or one.name,
      one.values)
  end
  for _, one in ipairs(given.subnet_groups or {}) do
    local ctx, service = place(sim, "rds", one)
    ctx.store.subnet_groups[one.name:lower()] = service.implementation.subnet_group(ctx,
      one.name:lower(),
      one.description or one.name, one.vpc or "vpc-0a1b2c3d",
      one.subnets or { "subnet-0a", "subnet-0b" })
  end
end

-- A probe of a health endpoint: all that it names must be well.
local function probe(spec)
  return function(sim)
    if spec.region and sim.dead_regions[spec.region] then
      return false, spec.region .. " is down"
    end
    if spec.instance then
      local ok, e = pcall(sim.sql, sim, spec.instance, "SELECT 1", { region = spec.region })
      if not ok then return false, tostring(e) end
    end
    if spec.service then
      local cluster, name = spec.service:match("^([^/]+)/(.+)$")
      local store = sim.state:store(spec.account or sim.default_account,
        spec.region or DEFAULT_REGION, "ecs")
      local found = store.clusters and store.clusters[cluster]
        and store.clusters[cluster].services[name]
      if not found or found.shape.runningCount == 0 then
        return false, spec.service .. " has no running task"
      end
    end
    return true
  end
end

local function each(list, fn)
  local work = {}
  for i, one in ipairs(list or {}) do work[i] = function() fn(one) end end
  task.all(work, { limit = 4 })
end

local function build(sim, given)
  if given.keys then sim.keys:clear() end
  for _, key in ipairs(given.keys or {}) do sim.keys:add(key) end
  sim.policies = given.policies or sim.policies
  if given.durations and not sim.durations_given then
    sim.durations = durations.profile(given.durations)
  end
  for name, limit in pairs(given.quotas or {}) do sim.quotas[name] = limit end
  sim.status_lag = world.seconds(given.status_lag or sim.status_lag)
  groups(sim, given)
  each(given.instances, function(one) add_instance(sim, one) end)
  each(given.clusters, function(one) add_cluster(sim, one) end)
  -- A replica may follow a replica: in order.
  for _, one in ipairs(given.replicas or {}) do add_replica(sim, one) end
  load_service(sim, "backup", { "vaults" }, given)
  timeline(sim, given.timeline or {})
  for _, entry in ipairs(of_service) do load_service(sim, entry[1], entry[2], given) end
  for name, spec in pairs(given.health or {}) do sim.health[name] = probe(spec) end
end

--- Loads a world into a running simulator; returns when all of it stands. The whole of it
-- is checked before anything is made.
function world.load(sim, given)
  description.check(given)
  sim.loading = true
  local ok, e = pcall(build, sim, given)
  sim.loading = false
  if not ok then error(e, 0) end
  for _, one in ipairs(given.writers or {}) do sim:writer(one) end
  for _, one in ipairs(given.faults or {}) do sim:fault(one) end
end

return world
