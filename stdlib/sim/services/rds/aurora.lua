--- A simulated Aurora cluster: its shape, its members (a writer and readers, each a
-- real PostgreSQL cluster; readers stream from the writer) and its endpoints.
--
-- Aurora's members share one storage, so a failover loses nothing. Here a reader
-- streams: a writer that was killed is brought up once more, unreachable, until the
-- reader has all that was committed; then it is stopped and the reader promoted.
local crypto = require "native.crypto"
local errors = require "errors"
local postgres = require "sim.postgres"
local relay = require "native.relay"
local task = require "task"

local aurora = {}

local Aurora = {}
Aurora.__index = Aurora

--- A new cluster record. seed: { path, recover, password, replication_password,
-- user } of what it is restored from, or nil.
function aurora.new(sim, account, region, shape, seed)
  local self = setmetatable({ sim = sim, account = account, region = region, shape = shape,
    seed = seed, members = {},
    backups = {}, id = shape.DBClusterIdentifier }, Aurora)
  sim.instances[self] = true
  shape.DBClusterArn = ("arn:aws:rds:%s:%s:cluster:%s"):format(region, account, self.id)
  self:open_endpoints()
  return self
end

local function endpoint(port)
  local address = postgres.free_address(port)
  return errors.check("endpoint", relay.listen { host = address, port = port }), address
end

--- Opens the writer's endpoint and the readers'. They stay through failovers.
function Aurora:open_endpoints()
  local port = math.tointeger(self.shape.Port) or postgres.port
  self.writer_front, self.shape.Endpoint = endpoint(port)
  self.reader_front, self.shape.ReaderEndpoint = endpoint(port)
  self.shape.Port = port
end

--- The writer's instance record, or nil while there is none.
function Aurora:writer() return self.members[1] end

--- Lets the endpoints point at the writer and at a reader, and tells who is which.
function Aurora:settle()
  local list = {}
  for i, member in ipairs(self.members) do
    list[i] = { DBInstanceIdentifier = member.id, IsClusterWriter = i == 1,
      DBClusterParameterGroupStatus = "in-sync",
      PromotionTier = member.shape.PromotionTier or 1 }
  end
  self.shape.DBClusterMembers = list
  local writer, reader = self.members[1], self.members[2] or self.members[1]
  if writer and writer.cluster then
    self.writer_front:target(writer.cluster.address, postgres.port)
  end
  if reader and reader.cluster then
    self.reader_front:target(reader.cluster.address, postgres.port)
  end
  self.writer_front:drop()
  self.reader_front:drop()
end

--- Starts a base backup of the writer: what restores to a point in time begin at.
function Aurora:base_backup()
  local backup = self:writer():base_backup()
  backup.cluster = self:writer().cluster
  table.insert(self.backups, backup)
end

--- Gives a member its real cluster: the first one the storage, the others a replica.
function Aurora:launch(member)
  local writer, seed = self:writer(), self.seed
  member.password = self.password
  if writer ~= member then
    if not writer.cluster.replication_password then
      writer.cluster:allow_replicas(crypto.hex(crypto.random(16)))
    end
    member:launch_replica(writer)
  elseif seed then
    member:launch_copy(seed.path, seed.recover, seed.replication_password)
  else
    member:launch()
  end
  if writer == member then self:base_backup() end
  self:settle()
end

--- The newest base backup from before `time`, or nil.
function Aurora:backup_before(time)
  local found
  for _, backup in ipairs(self.backups) do
    if math.floor(backup.time) <= time then found = backup end
  end
  return found
end

--- The latest time to which the cluster can be restored, or nil.
function Aurora:latest_restorable()
  local writer = self:writer()
  return writer and writer.backup and writer:latest_restorable() or nil
end

local function without(list, gone)
  local kept = {}
  for _, one in ipairs(list) do
    if one ~= gone then table.insert(kept, one) end
  end
  return kept
end

local CATCH_UP_SECONDS, POLL_SECONDS = 20, 0.02

local function lsn(cluster, expression)
  return cluster:sql(("SELECT (%s - '0/0')::float8"):format(expression)).rows[1][1] or 0
end

-- Lets the reader have what lies in the former writer's storage.
local function hand_over(former, target)
  if not former:running() then former:resume() end
  local wanted = lsn(former, "pg_current_wal_lsn()")
  for _ = 1, CATCH_UP_SECONDS / POLL_SECONDS do
    if lsn(target, "pg_last_wal_replay_lsn()") >= wanted then break end
    task.sleep(POLL_SECONDS)
  end
  former:stop("INT")
end

--- Makes `target` the writer; the former writer and the other readers follow it.
function Aurora:fail_over(target)
  self.writer_front:cut(true)
  hand_over(self:writer().cluster, target.cluster)
  target.cluster:promote()
  if target.link then target.link:close() end
  target.link = nil
  self.members = without(self.members, target)
  table.insert(self.members, 1, target)
  self.writer_front:cut(false)
  self:base_backup()
  self:settle()
  for i = 2, #self.members do
    self.members[i]:rebuild(target)
  end
  self:settle()
end

-- The reader that AWS promotes: of the lowest tier among those that run.
local function successor(self)
  local best
  for i = 2, #self.members do
    local member = self.members[i]
    local running = member.cluster and member.cluster:running() and member:available()
    if running and (not best
      or member.shape.PromotionTier < best.shape.PromotionTier) then best = member end
  end
  return best
end

-- Fails over from a writer that died, or, without a reader, has it up again.
local function recover_writer(self, writer)
  local target = successor(self)
  self.sim.clock:sleep(self.sim:takes(target and "aurora.failover" or "aurora.failover_alone"))
  if self.sim.dead_regions[self.region] or writer.cluster:running()
    or writer ~= self:writer() then return end
  if target then
    self.shape.Status = "failing-over"
    self:fail_over(target)
    writer.ended_at = nil
    target:event("Completed failover to DB instance: " .. target.id, { "failover" })
  else
    writer:revive()
  end
  self.shape.Status = "available"
end

--- What AWS does by itself when a member has died: it fails over from a writer, and starts a
-- reader again.
function Aurora:react(member)
  self.sim:background("aurora recovery " .. self.id, function()
    if member == self:writer() then return recover_writer(self, member) end
    self.sim.clock:sleep(self.sim:takes "rds.reboot")
    if not self.sim.dead_regions[self.region] then member:revive() end
  end)
end

--- Takes a member out. A reader becomes the writer when the writer goes; the last
-- member leaves the storage behind.
function Aurora:remove(member)
  if member == self:writer() and self.members[2] then self:fail_over(self.members[2]) end
  if member == self:writer() then
    local path = self.sim.host:path("s")
    member.cluster:backup(path)
    self.seed = { path = path, replication_password = member.cluster.replication_password }
  end
  self.members = without(self.members, member)
  self:settle()
end

--- Brings the shape up to date.
function Aurora:refresh()
  local shape = self.shape
  shape.LatestRestorableTime = self:latest_restorable()
  shape.EarliestRestorableTime = self.backups[1] and self.backups[1].time or nil
  shape.MultiAZ = #self.members > 1
  return shape
end

--- The endpoints hang with their region, or answer again. (Without hanging they
-- refuse by themselves: nobody is behind them.)
function Aurora:go_dark(dark)
  self.writer_front:cut(dark)
  self.reader_front:cut(dark)
end

--- Closes the endpoints; the members are instances of their own.
function Aurora:destroy()
  self.sim.instances[self] = nil
  self.writer_front:close()
  self.reader_front:close()
end

return aurora
