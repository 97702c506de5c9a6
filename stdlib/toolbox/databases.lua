--- Recovery verbs for RDS instances and the PostgreSQL inside them.
--
-- `rds` is a client (`aws.rds { region = ... }`), `id` a DBInstanceIdentifier,
-- `login` a table { dbname, user, password, sslmode, options } (sslmode default "prefer";
-- options: of the server for this session, as "-c statement_timeout=20s").
local dr = require "drlua"
local sql = require "sql"
local states = require "toolbox.states"

local databases = {}

--- The instance as DescribeDBInstances gives it, or nil where there is none.
function databases.find(rds, id)
  local page, e = dr.try(rds.describe_db_instances, rds, { DBInstanceIdentifier = id })
  if page then return page.DBInstances[1] end
  if e.code == "DBInstanceNotFound" or e.code == "DBInstanceNotFoundFault" then return nil end
  error(e, 0)
end

--- The same, failing with a sentence where there is none.
function databases.get(rds, id)
  return databases.find(rds, id)
    or dr.fail(("there is no RDS instance %s in %s: check the identifier and the region"):format(id,
      rds.region))
end

--- The source of a read replica: an identifier, or an ARN when it lives in another
-- region; nil for an instance that replicates nothing.
function databases.source(instance)
  local source = instance.ReadReplicaSourceDBInstanceIdentifier
  if source == "" then return nil end
  return source
end

--- What AWS says of an instance's replication: "replicating", "error: ...", or nil.
function databases.replication(instance)
  for _, info in ipairs(instance.StatusInfos or {}) do
    if info.StatusType == "read replication" then
      if info.Normal == false then
        return "error: " .. (info.Message or info.Status or "unknown")
      end
      return info.Status
    end
  end
end

--- Connects to the instance's endpoint, waiting at most `timeout` (default "10s").
function databases.connect(instance, login, timeout)
  return sql.connect {
    host = instance.Endpoint.Address,
    port = instance.Endpoint.Port,
    dbname = login.dbname,
    user = login.user,
    password = login.password,
    sslmode = login.sslmode or "prefer",
    options = login.options,
    application_name = "drlua",
    timeout = timeout or "10s",
  }
end

--- Runs fn(db) on a connection that is closed afterwards, whatever happens.
function databases.with(instance, login, fn)
  local db = databases.connect(instance, login)
  local result, e = dr.try(fn, db)
  db:close()
  if e then error(e, 0) end
  return result
end

-- Fails when an instance is in a status that no waiting mends.
local function check_alive(rds, id, status)
  if not states.is_terminal(status) then return end
  dr.fail(("%s in %s is %s, which does not pass by itself: see its events in RDS")
    :format(id, rds.region, status))
end

-- Waits until the instance takes changes. One that is not there is left to the call itself:
-- in a resumed step it may have got its new name, or be deleted, by that very call.
local function wait_idle(rds, id, what, timeout)
  dr.wait_until(("%s can begin on %s"):format(what, id),
    { every = "10s", timeout = timeout }, function()
    local instance = databases.find(rds, id)
    if not instance then return true end
    local status = instance.DBInstanceStatus
    if status ~= "storage-full" then check_alive(rds, id, status) end
    local over = states.takes_changes(status) or states.kind(status) == "resting"
    return over or status == "storage-full", status
  end)
end

--- Calls fn(), which changes the instance, once the instance takes changes: a backup, a
-- maintenance or an earlier change is waited out, and a call that RDS refuses as "not now"
-- is repeated. what: names the change ("the promotion"). options.timeout: "4h".
function databases.change(rds, id, what, fn, options)
  local timeout = options and options.timeout or "4h"
  local pause, refused = 1, 0
  while true do
    wait_idle(rds, id, what, timeout)
    local result, e = dr.try(fn)
    if not e then return result end
    refused = refused + 1
    if not states.is_busy(e) or refused > 100 then error(e, 0) end
    if refused == 1 then dr.note(("%s on %s is refused for now: %s"):format(what, id,
      e.message)) end
    dr.sleep(pause)
    pause = math.min(pause * 2, 30)
  end
end

--- Promotes a read replica. Returns when AWS has accepted it; see wait_promoted.
function databases.promote(rds, id, options)
  return databases.change(rds, id, "the promotion", function()
    return rds:promote_read_replica {
      DBInstanceIdentifier = id,
      BackupRetentionPeriod = options.retention,
      PreferredBackupWindow = options.window,
    }
  end)
end

--- True when the instance is a primary of its own and serves. Its first backup, hours long
-- for a large database, does not keep it from serving.
function databases.is_promoted(rds, id)
  local instance = databases.get(rds, id)
  return states.serves(instance.DBInstanceStatus) and not databases.source(instance)
end

--- Waits until the instance serves *and* has lost its replication source.
-- A call that returned is not a promotion: the instance stays "available" for a
-- while before AWS begins, so availability alone proves nothing. An instance that
-- is still a replica after `grace` of standing available fails the step.
function databases.wait_promoted(rds, id, options)
  local since
  return dr.wait_until("promotion of " .. id,
    { every = "10s", timeout = options.timeout or "45m" }, function()
    local instance = databases.get(rds, id)
    local source, status = databases.source(instance), instance.DBInstanceStatus
    check_alive(rds, id, status)
    if not source and states.serves(status) then return instance end
    if status ~= "available" then
      since = nil
      return false, status
    end
    since = since or dr.now()
    if dr.now() - since >= dr.seconds(options.grace or "5m") then
      dr.fail(("AWS accepted the promotion of %s, but in %s it still "
        .. "stands as a read replica of %s: "
        .. "it was not promoted and does not take writes. Do not send traffic to it; "
        .. "look at its events in RDS and "
        .. "run the promotion again"):format(id, rds.region, source))
    end
    return false, "available, still a replica of " .. source
  end)
end

-- Waits until done(status) of an instance that may not be known yet.
local function wait_status(rds, id, what, timeout, done)
  return dr.wait_until(what, { every = "10s", timeout = timeout or "2h" }, function()
    local instance = databases.find(rds, id)
    local status = instance and instance.DBInstanceStatus or "not there yet"
    check_alive(rds, id, status)
    return done(status) and instance, status
  end)
end

--- Waits until the instance is available, surviving the time before it is known.
function databases.wait_available(rds, id, timeout)
  return wait_status(rds, id, id .. " available", timeout,
    function(status) return status == "available" end)
end

--- Waits until the instance takes connections and writes, backups under way or not.
function databases.wait_serving(rds, id, timeout)
  return wait_status(rds, id, id .. " serving", timeout, states.serves)
end

--- Renames an instance and waits until the new name is effective; see wait_renamed.
function databases.rename(rds, from, to, timeout)
  local before = databases.get(rds, from).Endpoint
  databases.change(rds, from, "the rename", function()
    return rds:modify_db_instance { DBInstanceIdentifier = from, NewDBInstanceIdentifier = to,
      ApplyImmediately = true }
  end)
  return databases.wait_renamed(rds, from, to, { before = before and before.Address,
    timeout = timeout })
end

--- The instance under its new name, or nil and why not: the old name is gone, the new one
-- serves and has an endpoint of its own. At first AWS shows the new name as available with
-- the old endpoint, `before`, before it reboots.
function databases.renamed(rds, from, to, before)
  local there = databases.find(rds, to)
  if not there then return nil, "the new name is not known yet" end
  local endpoint, status = there.Endpoint, there.DBInstanceStatus
  if states.is_terminal(status) then return nil, status end
  if (there.PendingModifiedValues or {}).DBInstanceIdentifier or databases.find(rds, from) then
    return nil, "the old name still answers"
  end
  if not endpoint or endpoint.Address == before then return nil, status
    .. ", still at the old endpoint" end
  if not states.serves(status) then return nil, status end
  return there
end

--- Waits until a rename is done (about ten minutes). options: before (the address before the
-- rename), timeout ("30m").
function databases.wait_renamed(rds, from, to, options)
  options = options or {}
  local what = ("rename of %s to %s"):format(from, to)
  return dr.wait_until(what, { every = "10s", timeout = options.timeout or "30m" }, function()
    local there, why = databases.renamed(rds, from, to, options.before)
    if not there then check_alive(rds, to, why) end
    return there, why
  end)
end

--- Reboots an instance, for instance so that its parameter group takes effect, and waits
-- until that is done.
function databases.reboot(rds, id, timeout)
  databases.change(rds, id, "the reboot", function()
    return rds:reboot_db_instance { DBInstanceIdentifier = id }
  end)
  return databases.wait_rebooted(rds, id, timeout)
end

--- Waits until a reboot asked for is done and nothing waits for a reboot any more.
function databases.wait_rebooted(rds, id, timeout)
  return dr.wait_until("reboot of " .. id, { every = "10s", timeout = timeout or "30m" }, function()
    local instance = databases.get(rds, id)
    check_alive(rds, id, instance.DBInstanceStatus)
    local pending = false
    for _, group in ipairs(instance.DBParameterGroups or {}) do
      pending = pending or group.ParameterApplyStatus == "pending-reboot"
    end
    return instance.DBInstanceStatus == "available" and not pending and instance,
      instance.DBInstanceStatus .. (pending and ", parameters wait for the reboot" or "")
  end)
end

-- Why a modified instance is not done yet, or nil: groups have states of their own, which
-- "available" does not tell.
local function unsettled(instance)
  for _, group in ipairs(instance.DBParameterGroups or {}) do
    if group.ParameterApplyStatus == "applying" then return "parameter group applying" end
  end
  for _, group in ipairs(instance.VpcSecurityGroups or {}) do
    if group.Status ~= "active" then return "security group " .. tostring(group.Status) end
  end
  local pending = next(instance.PendingModifiedValues or {})
  return pending and pending .. " pending" or nil
end

--- Waits until a modification asked for is done: nothing is pending, groups are active, and
-- the status takes changes again.
function databases.wait_modified(rds, id, timeout)
  return dr.wait_until("settings of " .. id, { every = "10s", timeout = timeout or "4h" },
    function()
    local instance = databases.get(rds, id)
    local status = instance.DBInstanceStatus
    check_alive(rds, id, status)
    local why = unsettled(instance)
    return not why and states.takes_changes(status) and instance, status .. (why and ", " .. why
      or "")
  end)
end

local PASSING_FAILURES = { refused = true, timeout = true, resolve = true, connect = true,
  busy = true }

--- Waits until the endpoint takes this login: after a rename or a restart it does not
-- resolve, refuses or is silent for some minutes. Wrong logins fail at once.
function databases.wait_connectable(instance, login, timeout)
  local endpoint = instance.Endpoint
  local what = ("%s:%s taking connections"):format(endpoint.Address, endpoint.Port)
  return dr.wait_until(what, { every = "10s", timeout = timeout or "15m" }, function()
    local db, e = dr.try(databases.connect, instance, login)
    if db then
      db:close()
      return true
    end
    if not PASSING_FAILURES[e.kind] then error(e, 0) end
    return false, e.message
  end)
end

--- Proves that the database takes writes: a table is created, filled, committed,
-- read back, and dropped. Fails with what PostgreSQL said.
function databases.prove_writable(db)
  if db:value("select pg_is_in_recovery()") == true then
    dr.fail("PostgreSQL is still in recovery: the instance replays a "
      .. "primary's log and takes no writes")
  end
  db:transaction(function()
    db:exec("create table if not exists drlua_write_proof (at timestamptz not null)")
    db:exec("insert into drlua_write_proof values (clock_timestamp())")
  end)
  -- As a call, not as a read: its answer is kept, and a step that is resumed after the table
  -- was dropped does not ask for it again.
  local _, found = db:exec("select count(*) as rows from drlua_write_proof")
  db:exec("drop table if exists drlua_write_proof")
  local rows = found and found[1].rows or 1 -- under plan there are none
  if rows < 1 then dr.fail("a committed row could not be read back") end
  return true
end

return databases
