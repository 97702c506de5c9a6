--- A simulated DB instance: what AWS shows of it (`shape`, with AWS's own member
-- names, so that describing it is handing it out), and the real cluster, relay
-- and backups behind it.
--
-- Clients reach the cluster through a relay on the instance's own loopback
-- address: an endpoint goes away with a rename or a region, and can hang, while
-- the cluster is none the wiser. Replication runs through a relay of its own.
local crypto = require "native.crypto"
local durations = require "sim.durations"
local errors = require "errors"
local groups = require "sim.services.rds.groups"
local postgres = require "sim.postgres"
local relay = require "native.relay"

local instance = {}

local Instance = {}
Instance.__index = Instance

local HOSTED_ZONES = {
  ["us-east-1"] = "Z2R2ITUGPM61AM", ["us-east-2"] = "Z2XHWR1WZ565X2",
  ["us-west-1"] = "Z10WI91S59XXQN", ["us-west-2"] = "Z1PVIF0B656C1W",
  ["eu-west-1"] = "Z29XKXDKYMONMX", ["eu-central-1"] = "Z1RLNUO7B9Q6NB",
  ["eu-west-2"] = "ZTTF0K8PEKV1G", ["ap-southeast-1"] = "Z2G0U3KFCY8NZ5",
  ["ap-northeast-1"] = "Z24O6O9L7SGTNB",
}

-- RDS ships the log of transactions about every so many seconds.
local SHIPPING_SECONDS = 300

--- A new instance record. shape: the members given so far, with the port asked for in
-- DbInstancePort, where AWS shows 0.
function instance.new(sim, account, region, shape)
  local self = setmetatable({ sim = sim, account = account, region = region, shape = shape },
    Instance)
  local port = math.tointeger(shape.DbInstancePort)
  self.port = port and port > 0 and port or postgres.port
  shape.DbInstancePort = 0
  self:name(shape.DBInstanceIdentifier)
  sim.instances[self] = true
  return self
end

--- Gives the instance its identifier, and what contains it.
function Instance:name(id)
  self.id = id
  self.shape.DBInstanceIdentifier = id
  self.shape.DBInstanceArn = ("arn:aws:rds:%s:%s:db:%s"):format(self.region, self.account, id)
end

function Instance:store()
  return self.sim.state:store(self.account, self.region, "rds")
end

--- Enters an event that DescribeEvents shows.
function Instance:event(message, categories)
  table.insert(self:store().events, {
    SourceIdentifier = self.id, SourceType = "db-instance", Message = message,
    EventCategories = categories, Date = self.sim.clock:now(), SourceArn = self.shape.DBInstanceArn,
  })
end

function Instance:status(status)
  self.shape.DBInstanceStatus = status
end

--- Seconds of AWS's time that a change takes: see sim.durations.
function Instance:takes(id)
  return self.sim:takes(id, self.shape.AllocatedStorage)
end

--- Announces what a call begins. late: AWS goes on showing the old status for a while;
-- who waits for "available" at once is deceived. (A world's status_lag makes every call
-- late.)
function Instance:begin(status, late)
  local lag = math.max(self.sim.status_lag, late and self:takes "rds.status_lag" or 0)
  if lag > 0 and not self.sim.loading then
    self.announced = { status = status, lag = lag }
  else
    self:status(status)
  end
end

--- Shows what was announced, when its time has come.
function Instance:announce()
  local announced = self.announced
  if not announced then return end
  self:pause(announced.lag)
  self:status(announced.status)
  self.announced = nil
end

--- Whether it takes changes: neither busy nor broken. (storage-optimization goes on for
-- hours, and RDS takes other changes meanwhile.)
function Instance:available()
  local status = self.shape.DBInstanceStatus
  return not self.busy and (status == "available" or status == "storage-optimization")
end

--- Runs `work` in the background, at least `seconds` of AWS's time; then sets the
-- status `after` (default "available"). A failure of the work leaves `failed`.
function Instance:transition(what, seconds, work, after)
  self.busy = true
  self.work = self.sim:background(("%s %s"):format(what, self.id), function()
    local began = self.sim.clock:elapsed()
    local ok, e = pcall(function()
      self:announce()
      if work then work() end
    end)
    if not ok then
      self.busy = false
      if errors.from(e).kind == "cancelled" then error(e, 0) end
      self:status(self.failure_status or "failed")
      self:event(("%s failed: %s"):format(what, tostring(e)), { "failure" })
      error(e, 0)
    end
    self:pause(seconds - (self.sim.clock:elapsed() - began))
    self.busy = false
    if after ~= false then self:status(after or "available") end
    if (after or "available") == "available" then self:settle_members() end
  end)
  return self.work
end

--- What is settled once an instance has become available.
function Instance:settle_members()
  self.shape.PendingModifiedValues.MasterUserPassword = nil
  for _, group in ipairs(self.shape.OptionGroupMemberships) do group.Status = "in-sync" end
end

--- Waits so many seconds of AWS's time; a world that is being loaded does not wait.
function Instance:pause(seconds)
  if not self.sim.loading then self.sim.clock:sleep(seconds) end
end

-- Endpoint ------------------------------------------------------------------

--- Opens the endpoint on a new address: AWS's carries the identifier, so it
-- changes with it.
function Instance:open_endpoint()
  local address = postgres.free_address(self.port)
  self.front = errors.check("endpoint", relay.listen { host = address, port = self.port })
  self.front:target(self.cluster.address, postgres.port)
  self.shape.InstanceCreateTime = self.shape.InstanceCreateTime or self.sim.clock:now()
  self.shape.Endpoint = {
    Address = address, Port = self.port, HostedZoneId = HOSTED_ZONES[self.region]
      or "Z2R2ITUGPM61AM",
  }
end

function Instance:close_endpoint()
  if self.front then self.front:close() end
  self.front = nil
end

-- Cluster -------------------------------------------------------------------

local function quoted(name, text) return name and text and postgres[name](text) end

--- The SQL that makes the master user and the first database.
local function first_sql(shape, password)
  local user = quoted("identifier", shape.MasterUsername)
  local sql = {
    ("CREATE ROLE %s LOGIN CREATEROLE CREATEDB PASSWORD %s IN ROLE rds_superuser"):format(user,
      postgres.literal(password)),
    ("GRANT %s TO %s"):format(user, postgres.inspector),
    ("ALTER DATABASE postgres OWNER TO %s"):format(user),
  }
  if shape.DBName and shape.DBName ~= "postgres" then
    table.insert(sql,
      ("CREATE DATABASE %s OWNER %s"):format(quoted("identifier", shape.DBName), user))
  end
  return sql
end

--- What the instance's parameter group sets.
function Instance:settings()
  return groups.settings(self:store(), self.shape.DBParameterGroups[1].DBParameterGroupName)
end

--- Makes the cluster of a new instance and opens its endpoint.
function Instance:launch()
  self.cluster = postgres.create(self.sim.host)
  self.cluster.parameters = self:settings()
  self.cluster:start()
  for _, statement in ipairs(first_sql(self.shape, self.password)) do
    self.cluster:sql(statement)
  end
  self.cluster:allow_replicas(crypto.hex(crypto.random(16)))
  self:open_endpoint()
end

--- Makes the cluster out of a copied base backup. recover: { archives, target }, or
-- nil to start it as it is.
function Instance:launch_copy(backup, recover, replication_password)
  self.cluster = postgres.from_copy(self.sim.host, backup)
  self.cluster.replication_password = replication_password
  self.cluster.parameters = self:settings()
  if recover then
    self.cluster:recover(recover.archives, recover.target)
  else
    self.cluster:start()
  end
  self:open_endpoint()
end

--- Changes the master user's password in the database itself.
function Instance:change_password(password)
  if self.cluster.standby then return end
  self.cluster:sql(
    ("ALTER ROLE %s PASSWORD %s"):format(postgres.identifier(self.shape.MasterUsername),
    postgres.literal(password)))
  self.password = password
  self:event("The master user password has been reset", { "configuration change" })
end

-- Backups -------------------------------------------------------------------

--- Takes the automated base backup that point-in-time restores start from.
function Instance:base_backup()
  local path = self.sim.host:path("b")
  self.cluster:archive_wal(true)
  self.cluster:backup(path)
  self.backup = { path = path, time = self.sim.clock:now(), archive = self.cluster.archive }
  return self.backup
end

--- Follows a change of the retention period: backups begin, or end.
function Instance:settle_backups()
  local wanted = (self.shape.BackupRetentionPeriod or 0) > 0
  if self.cluster.standby then return end
  if wanted and not self.backup then
    self:status("backing-up")
    self:event("Backing up DB instance", { "backup" })
    self:base_backup()
    self:pause(self:takes "rds.first_backup")
    self:snapshot_record(("rds:%s-%s"):format(self.id, os.date("!%Y-%m-%d-%H-%M")), "automated",
      self.backup.path)
    self:event("Finished DB Instance backup", { "backup" })
  elseif not wanted and self.backup then
    self.cluster:archive_wal(false)
    self.backup = nil
  end
end

--- How the instance is set up: kept with a snapshot, and what AWS Backup hands out as
-- restore metadata.
function Instance:setup()
  local s, ids = self.shape, {}
  for i, group in ipairs(s.VpcSecurityGroups) do ids[i] = group.VpcSecurityGroupId end
  return {
    DBInstanceClass = s.DBInstanceClass, MultiAZ = s.MultiAZ, AvailabilityZone = s.AvailabilityZone,
    DBSubnetGroupName = s.DBSubnetGroup.DBSubnetGroupName, VpcSecurityGroupIds = ids,
    DBParameterGroupName = s.DBParameterGroups[1].DBParameterGroupName, Port = self.port,
    PubliclyAccessible = s.PubliclyAccessible, DeletionProtection = s.DeletionProtection,
    AutoMinorVersionUpgrade = s.AutoMinorVersionUpgrade, CopyTagsToSnapshot = s.CopyTagsToSnapshot,
    EnableIAMDatabaseAuthentication = s.IAMDatabaseAuthenticationEnabled, TagList = s.TagList,
  }
end

--- Enters a finished snapshot whose files lie at `path`.
function Instance:snapshot_record(id, kind, path)
  local shape = self:snapshot_shape(id, kind)
  shape.Status, shape.PercentProgress = "available", 100
  local snapshot = { id = id, shape = shape, path = path,
    replication_password = self.cluster.replication_password,
    password = self.password, dbname = self.shape.DBName, setup = self:setup() }
  self:store().snapshots[id] = snapshot
  return snapshot
end

--- What DescribeDBSnapshots shows of a snapshot of this instance, begun now.
function Instance:snapshot_shape(id, kind)
  local s = self.shape
  local now = self.sim.clock:now()
  return {
    DBSnapshotIdentifier = id, DBInstanceIdentifier = self.id, SnapshotCreateTime = now,
    OriginalSnapshotCreateTime = now, SnapshotDatabaseTime = now, Engine = s.Engine,
    EngineVersion = s.EngineVersion, AllocatedStorage = s.AllocatedStorage, Status = "creating",
    Port = self.port,
    AvailabilityZone = s.AvailabilityZone, VpcId = s.DBSubnetGroup.VpcId,
    InstanceCreateTime = s.InstanceCreateTime, MasterUsername = s.MasterUsername,
    LicenseModel = s.LicenseModel, SnapshotType = kind, PercentProgress = 0,
    StorageType = s.StorageType, Encrypted = s.StorageEncrypted, KmsKeyId = s.KmsKeyId,
    DBSnapshotArn = ("arn:aws:rds:%s:%s:snapshot:%s"):format(self.region, self.account, id),
    IAMDatabaseAuthenticationEnabled = s.IAMDatabaseAuthenticationEnabled,
    DbiResourceId = s.DbiResourceId, TagList = s.CopyTagsToSnapshot and s.TagList or {},
    OptionGroupName = s.OptionGroupMemberships[1].OptionGroupName,
    SnapshotTarget = "region", DedicatedLogVolume = false,
    BackupRetentionPeriod = s.BackupRetentionPeriod,
  }
end

-- How old the newest shipped log is, in seconds of AWS's time: drawn for each
-- shipment from what was recorded.
local function shipping_age(self)
  local shipment = self.sim.clock:elapsed() // SHIPPING_SECONDS
  if self.shipment ~= shipment then
    local ages = durations.restorable_ages
    self.shipment, self.age = shipment, ages[1 + math.floor(self.sim.random() * #ages)]
  end
  return self.age
end

--- The latest time to which the instance can be restored, or nil: what has been
-- committed since is on its way to AWS's log archive.
function Instance:latest_restorable()
  if not self.backup then return nil end
  if self.ended_at then return self.ended_at end
  local late = math.min(shipping_age(self) / self.sim.clock.speed, shipping_age(self))
  local time = math.floor(self.sim.clock:now() - late)
  self.restorable = math.max(self.restorable or 0, self.backup.time, time)
  return self.restorable
end

-- Replication ---------------------------------------------------------------

--- Makes this instance a streaming replica of `source`.
function Instance:launch_replica(source)
  self.link = errors.check("replication link", relay.listen { host = "127.0.0.1", port = 0 })
  self.link:target(source.cluster.address, postgres.port)
  self.cluster = postgres.replica(self.sim.host, source.cluster, "127.0.0.1", self.link.port)
  self.cluster.parameters = self:settings()
  self.cluster:resume()
  if not self.front then return self:open_endpoint() end
  self.front:target(self.cluster.address, postgres.port)
  self.front:drop()
end

--- Makes this instance a fresh replica of another writer, behind the same endpoint.
function Instance:rebuild(source)
  if self.link then self.link:close() end
  -- Its files stay: earlier backups are restored with the WAL that lies there.
  self.cluster:kill()
  self.backup = nil
  self:launch_replica(source)
end

--- Cuts the network between this replica and its source, or heals it.
function Instance:cut_replication(cut)
  if not self.link then return end
  self.link_cut = cut
  self.link:cut(cut)
  if not cut then self.link:drop() end
end

--- Ends replication for good.
function Instance:detach()
  if self.source then self.source:forget_replica(self) end
  if self.link then self.link:close() end
  self.link, self.source, self.link_cut = nil, nil, nil
  self.shape.ReadReplicaSourceDBInstanceIdentifier = nil
  self.shape.StatusInfos = nil
end

--- How the source names this replica: by identifier in its own region, by ARN
-- from another.
function Instance:name_in(region)
  return region == self.region and self.id or self.shape.DBInstanceArn
end

function Instance:forget_replica(replica)
  for i, one in ipairs(self.replicas or {}) do
    if one == replica then table.remove(self.replicas, i) break end
  end
end

--- Brings up to date what follows from others: restorable time, replica lists,
-- the state of replication.
function Instance:refresh()
  local shape = self.shape
  shape.LatestRestorableTime = self:latest_restorable()
  local names = {}
  for i, replica in ipairs(self.replicas or {}) do names[i] = replica:name_in(self.region) end
  shape.ReadReplicaDBInstanceIdentifiers = names
  if self.source then
    shape.ReadReplicaSourceDBInstanceIdentifier = self.source:name_in(self.region)
    shape.StatusInfos = { self:replication_status() }
  elseif self.source_gone then
    shape.StatusInfos = { { StatusType = "read replication", Status = "terminated", Normal = false,
      Message = "Replication has stopped: the source DB instance was deleted." } }
  end
  return shape
end

function Instance:replication_status()
  local source = self.source
  local flows = not self.link_cut and source.cluster and source.cluster:running() and self.cluster
    and self.cluster:running()
  if flows then
    return { StatusType = "read replication", Status = "replicating", Normal = true }
  end
  return { StatusType = "read replication", Status = "error", Normal = false,
    Message = "Streaming replication has stopped: the source does not answer." }
end

-- Outages -------------------------------------------------------------------

--- Restarts the server; for `seconds` of AWS's time it does not answer.
function Instance:restart(seconds, crash)
  if crash then self.cluster:kill() else self.cluster:stop("INT") end
  self:pause(seconds)
  if self.ended_at then return end -- its region died meanwhile
  local ok = pcall(self.cluster.resume, self.cluster)
  if ok then return end
  self.failure_status = "incompatible-parameters"
  errors.raise { kind = "io", message = "The database does not start with its parameter group" }
end

-- Failure -------------------------------------------------------------------

--- The endpoint stops answering: hangs, or refuses.
function Instance:go_dark(hangs)
  if not self.front then return end
  if hangs then self.front:cut(true) else self:close_endpoint() end
end

local function relight(self)
  local endpoint = self.shape.Endpoint
  if not endpoint then return end
  if self.front then
    self.front:cut(false)
    self.front:drop()
    return
  end
  self.front = errors.check("endpoint",
    relay.listen { host = endpoint.Address, port = endpoint.Port })
  self.front:target(self.cluster.address, postgres.port)
end

--- kill -9 of the whole cluster.
function Instance:crash()
  self.ended_at = self.ended_at or math.floor(self.sim.clock:now())
  if self.cluster then self.cluster:kill() end
end

--- Brings a crashed or darkened instance back.
function Instance:revive()
  self.ended_at = nil
  if self.cluster and not self.cluster:running() and self.shape.DBInstanceStatus ~= "stopped" then
    self.cluster:resume()
  end
  relight(self)
end

--- Removes everything; the store's record is the caller's to forget.
function Instance:destroy()
  self.sim.instances[self] = nil
  self:close_endpoint()
  if self.link then self.link:close() end
  self.link = nil
  if self.cluster then self.cluster:destroy() end
end

--- Runs SQL in the instance as `user` (default: the superuser), past the endpoint.
function Instance:sql(text, params, dbname, user)
  if not self.cluster then
    errors.raise { kind = "busy",
      message = ("DB instance %s has no database yet (%s)"):format(self.id,
      self.shape.DBInstanceStatus) }
  end
  return self.cluster:sql(text, params, dbname or self.shape.DBName, user)
end

--- Runs SQL for somebody outside: with the rights of the master user, and to read and
-- write all tables.
function Instance:ask(text, dbname) return self:sql(text, nil, dbname, postgres.inspector) end

return instance
