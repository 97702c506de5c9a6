--- Recovery verbs for RDS instances and the PostgreSQL inside them.
--
-- `rds` is a client (`aws.rds { region = ... }`), `id` a DBInstanceIdentifier,
-- `login` a table { dbname, user, password, sslmode, options } (sslmode default "prefer";
-- options: of the server for this session, as "-c statement_timeout=20s").
local dr = require "drlua"
local sql = require "sql"

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
    or dr.fail(("there is no RDS instance %s in %s: check the identifier and the region"):format(id, rds.region))
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
      if info.Normal == false then return "error: " .. (info.Message or info.Status or "unknown") end
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

--- Promotes a read replica. Returns when AWS has accepted it; see wait_promoted.
function databases.promote(rds, id, options)
  return rds:promote_read_replica {
    DBInstanceIdentifier = id,
    BackupRetentionPeriod = options.retention,
    PreferredBackupWindow = options.window,
  }
end

--- True when the instance is a primary of its own and ready.
function databases.is_promoted(rds, id)
  local instance = databases.get(rds, id)
  return instance.DBInstanceStatus == "available" and not databases.source(instance)
end

--- Waits until the instance is available *and* has lost its replication source.
-- A call that returned is not a promotion: the instance stays "available" for a
-- while before AWS begins, so availability alone proves nothing. An instance that
-- is still a replica after `grace` of standing available fails the step.
function databases.wait_promoted(rds, id, options)
  local since
  return dr.wait_until("promotion of " .. id, { every = "10s", timeout = options.timeout or "45m" }, function()
    local instance = databases.get(rds, id)
    local source = databases.source(instance)
    if instance.DBInstanceStatus ~= "available" then
      since = nil
      return false, instance.DBInstanceStatus
    end
    if not source then return instance end
    since = since or dr.now()
    if dr.now() - since >= dr.seconds(options.grace or "5m") then
      dr.fail(("AWS accepted the promotion of %s, but in %s it still stands as a read replica of %s: "
        .. "it was not promoted and does not take writes. Do not send traffic to it; look at its events in RDS and "
        .. "run the promotion again"):format(id, rds.region, source))
    end
    return false, "available, still a replica of " .. source
  end)
end

--- Waits until the instance is available, surviving the time before it is known.
function databases.wait_available(rds, id, timeout)
  return dr.wait_until(id .. " available", { every = "10s", timeout = timeout or "2h" }, function()
    local instance = databases.find(rds, id)
    local status = instance and instance.DBInstanceStatus or "not there yet"
    if status == "failed" or status == "incompatible-restore" or status == "incompatible-parameters" then
      dr.fail(("%s in %s is %s: see its events in RDS"):format(id, rds.region, status))
    end
    return status == "available" and instance, status
  end)
end

--- Waits until a rename is done. For a while neither name answers, and at first
-- the old one still does: both must have changed.
function databases.wait_renamed(rds, from, to, timeout)
  local what = ("rename of %s to %s"):format(from, to)
  return dr.wait_until(what, { every = "10s", timeout = timeout or "30m" }, function()
    local there = databases.find(rds, to)
    if there and there.DBInstanceStatus == "available" and not databases.find(rds, from) then return there end
    return false, there and there.DBInstanceStatus or "neither name answers yet"
  end)
end

--- Waits until a reboot asked for is done and nothing waits for a reboot any more.
function databases.wait_rebooted(rds, id, timeout)
  return dr.wait_until("reboot of " .. id, { every = "10s", timeout = timeout or "30m" }, function()
    local instance = databases.get(rds, id)
    local pending = false
    for _, group in ipairs(instance.DBParameterGroups or {}) do
      pending = pending or group.ParameterApplyStatus == "pending-reboot"
    end
    return instance.DBInstanceStatus == "available" and not pending and instance,
      instance.DBInstanceStatus .. (pending and ", parameters wait for the reboot" or "")
  end)
end

--- Proves that the database takes writes: a table is created, filled, committed,
-- read back, and dropped. Fails with what PostgreSQL said.
function databases.prove_writable(db)
  if db:value("select pg_is_in_recovery()") == true then
    dr.fail("PostgreSQL is still in recovery: the instance replays a primary's log and takes no writes")
  end
  db:transaction(function()
    db:exec("create table if not exists drlua_write_proof (at timestamptz not null)")
    db:exec("insert into drlua_write_proof values (clock_timestamp())")
  end)
  local rows = db:value("select count(*) from drlua_write_proof")
  db:exec("drop table if exists drlua_write_proof")
  if rows < 1 then dr.fail("a committed row could not be read back") end
  return true
end

return databases
