-- Database corruption: stop the writers, restore the newest backup from before the
-- corruption, prove it whole, swap it in under the old name, start again.
--
--     drlua playbooks/database_corruption.lua --env dust --corruption-time 2026-11-21T03:10:00Z
--
-- The corrupt instance is kept. Delete it days later with a run of its own:
--     drlua playbooks/database_corruption.lua --env dust --phase cleanup --corrupted NAME
local aws = require "aws"
local backups = require "toolbox.backups"
local databases = require "toolbox.databases"
local dr = require "drlua"
local http = require "http"
local integrity = require "toolbox.integrity"
local notify = require "toolbox.notify"
local process = require "process"
local services = require "toolbox.services"

local function login(p)
  return { dbname = p.db_name, user = p.db_user, password = p.db_password, sslmode = p.db_sslmode }
end

local function clients(p)
  return {
    rds = aws.rds { region = p.region },
    backup = aws.backup { region = p.region },
    ecs = aws.ecs { region = p.region },
    scaling = aws.application_autoscaling { region = p.region },
    cloudwatch = aws.cloudwatch { region = p.region },
  }
end

-- The names of this recovery, fixed once: built from the day the run started, they
-- do not change at midnight.
local function names_of(p)
  local day = dr.format_time(dr.run_started()):sub(1, 10):gsub("-", "")
  return {
    restored = ("%s-restored-%s"):format(p.database, day),
    corrupted = ("%s-corrupted-%s"):format(p.database, day),
  }
end

-- A command that is a list of words, with options of process.run.
local function command(words, options)
  for i, word in ipairs(words) do options[i] = word end
  return process.run(options)
end

local function hook(p, name)
  if p[name] then command(p[name], { timeout = "15m", repeatable = true }) end
end

local function resource_ids(p)
  local ids = {}
  for _, name in ipairs(p.services) do
    table.insert(ids, ("service/%s/%s"):format(p.cluster, name))
  end
  return ids
end

-- A scaling policy starts a stopped service again: suspend it, and give back later
-- exactly what was there.
local function scaling_targets(c, p)
  return c.scaling:describe_scalable_targets {
    ServiceNamespace = "ecs", ResourceIds = resource_ids(p),
  }.ScalableTargets
end

local function suspend_scaling(c, targets, suspended)
  for _, target in ipairs(targets) do
    local state = target.SuspendedState or {}
    c.scaling:register_scalable_target {
      ServiceNamespace = target.ServiceNamespace, ResourceId = target.ResourceId,
      ScalableDimension = target.ScalableDimension,
      SuspendedState = suspended and {
        DynamicScalingInSuspended = true, DynamicScalingOutSuspended = true,
        ScheduledScalingSuspended = true,
      } or {
        DynamicScalingInSuspended = state.DynamicScalingInSuspended or false,
        DynamicScalingOutSuspended = state.DynamicScalingOutSuspended or false,
        ScheduledScalingSuspended = state.ScheduledScalingSuspended or false,
      },
    }
  end
end

local function scale_to(c, p, counts)
  for _, name in ipairs(p.services) do services.scale(c.ecs, p.cluster, name, counts[name]) end
  services.wait_stable(c.ecs, p.cluster, p.services, nil, counts)
end

local function zero(p)
  local counts = {}
  for _, name in ipairs(p.services) do counts[name] = 0 end
  return counts
end

local function security_groups(instance)
  local ids = {}
  for _, group in ipairs(instance.VpcSecurityGroups or {}) do
    table.insert(ids, group.VpcSecurityGroupId)
  end
  return ids
end

local function parameter_group(instance)
  local group = (instance.DBParameterGroups or {})[1]
  return group and group.DBParameterGroupName, group and group.ParameterApplyStatus
end

-- Settings that a restore does not bring with it.
local CARRIED = { "BackupRetentionPeriod", "DeletionProtection", "MultiAZ", "MonitoringInterval",
  "MonitoringRoleArn", "MaxAllocatedStorage", "PreferredBackupWindow", "PreferredMaintenanceWindow",
  "CopyTagsToSnapshot" }

-- What of the original's settings the restored instance lacks, as ModifyDBInstance takes it;
-- nil when it lacks nothing.
local function lacking(restored, original)
  local changes = {}
  for _, name in ipairs(CARRIED) do
    if original[name] ~= nil
      and original[name] ~= restored[name] then changes[name] = original[name] end
  end
  local iam = original.IAMDatabaseAuthenticationEnabled
  if iam ~= nil and iam ~= restored.IAMDatabaseAuthenticationEnabled then
    changes.EnableIAMDatabaseAuthentication = iam
  end
  local group = parameter_group(original)
  if group ~= parameter_group(restored) then changes.DBParameterGroupName = group end
  local wanted, there = security_groups(original), security_groups(restored)
  if table.concat(wanted, " ") ~= table.concat(there,
    " ") then changes.VpcSecurityGroupIds = wanted end
  return next(changes) and changes or nil
end

-- A restored instance lacks much of the original's setup. A parameter group acts after a reboot.
local function carry_over(c, restored, original)
  local changes = lacking(databases.get(c.rds, restored), original)
  if changes then
    changes.DBInstanceIdentifier, changes.ApplyImmediately = restored, true
    databases.change(c.rds, restored, "the settings",
      function() return c.rds:modify_db_instance(changes) end)
  end
  local instance = databases.wait_modified(c.rds, restored)
  local _, status = parameter_group(instance)
  if status == "pending-reboot" then instance = databases.reboot(c.rds, restored) end
  return instance.Endpoint.Address
end

local function rename(c, from, to)
  return databases.rename(c.rds, from, to)
end

-- Probe of a rename that is done; before: the address under the old name.
local function renamed(c, from, to, before)
  return function()
    local there = databases.renamed(c.rds, from, to, before)
    return there and there.Endpoint
  end
end

-- Data points of the last minutes, summed; nil where CloudWatch has none.
local function error_count(c, p)
  local now = dr.now()
  local metric = p.error_metric
  local answer = c.cloudwatch:get_metric_statistics {
    Namespace = metric.namespace, MetricName = metric.name, Dimensions = metric.dimensions,
    StartTime = now - 600, EndTime = now, Period = 60, Statistics = { "Sum" },
  }
  local sum
  for _, point in ipairs(answer.Datapoints or {}) do sum = (sum or 0) + point.Sum end
  return sum
end

local function healthy(p)
  return dr.wait_until(p.health_url, { every = "5s", timeout = "10m" }, function()
    local answer, e = dr.try(http.get, p.health_url, { timeout = "10s" })
    return answer ~= nil, e and tostring(e) or "healthy"
  end)
end

local function checklist(c, p, names)
  dr.check("The restore is complete", function() databases.get(c.rds, p.database) end)
  if p.db_user then
    dr.check("Data integrity checks pass", function()
      databases.with(databases.get(c.rds, p.database), login(p), integrity.verify)
    end)
  end
  if p.application_tests then
    dr.check("Application tests pass", function()
      command(p.application_tests, { read = true, timeout = "30m" })
    end)
  end
  dr.check("The rename is complete", function()
    if databases.find(c.rds, names.restored) then
      dr.fail(names.restored .. " still has its old name")
    end
    databases.get(c.rds, names.corrupted)
  end)
  dr.check("The services are scaled up",
    function() services.wait_stable(c.ecs, p.cluster, p.services, "1m") end)
  if p.health_url then dr.check("Health checks pass", function() healthy(p) end) end
  if p.error_metric then
    dr.check("The error rate is within limits", function()
      local errors_seen = error_count(c, p)
      if not errors_seen then
        dr.note("CloudWatch has no data points of the error metric yet")
      elseif errors_seen > p.error_limit then
        dr.fail(("%d errors in 10 minutes, limit %d"):format(errors_seen, p.error_limit))
      end
    end)
  end
end

-- Tasks and sessions that may write to the database at this moment, in a sentence.
local function writers_now(c, p)
  local states = {}
  for _, service in ipairs(services.describe(c.ecs, p.cluster, p.services)) do
    table.insert(states, ("%s runs %d tasks"):format(service.serviceName, service.runningCount))
  end
  local text = table.concat(states, ", ")
  if not p.db_user then return text .. "; who is connected is not known (no db_user)." end
  local sessions = databases.with(databases.get(c.rds, p.database), login(p), function(db)
    return db:value [[select count(*) from pg_stat_activity
      where backend_type = 'client backend' and pid <> pg_backend_pid()]]
  end)
  return ("%s; %d sessions are connected to %s."):format(text, sessions, p.database)
end

-- What whoever approves the swap should know.
local function swap_now(c, p, names, point)
  local writers, e = dr.try(writers_now, c, p)
  return table.concat({
    ("%s in %s becomes %s: nothing answers under its name until the restored one takes it. Going "
      .. "back is the same rename the other way."):format(p.database, p.region, names.corrupted),
    ("The restored one holds what was written before %s, %s before the corruption: everything "
      .. "written since is lost."):format(dr.format_time(point.made),
      dr.duration(p.corruption_time - point.made)),
    writers or "Who still writes could not be found out: " .. tostring(e),
  }, "\n")
end

local function recover(p)
  local c, names = clients(p), names_of(p)
  local account = dr.step("Identify the account", { risk = "read" }, function()
    return aws.sts { region = p.region }:get_caller_identity {}.Account
  end)
  local database_arn = ("arn:aws:rds:%s:%s:db:%s"):format(p.region, account, p.database)

  dr.step("Tell the stakeholders", { budget = "5m", when = p.channels ~= nil }, function()
    return notify.send(p.channels,
      ("Database %s is corrupt since about %s. Recovery has begun; writes will stop.")
      :format(p.database, dr.format_time(p.corruption_time)))
  end)

  local original = dr.step("Note the original's settings", { risk = "read" }, function()
    return databases.get(c.rds, p.database)
  end)

  local point = dr.step("Choose the recovery point", { risk = "read", budget = "5m" }, function()
    local best, why = backups.newest_before(c.backup, p.vault, database_arn, p.corruption_time)
    if not best then dr.fail(why) end
    dr.note(("recovery point of %s, %s before the corruption")
      :format(dr.format_time(best.CreationDate),
      dr.duration(p.corruption_time - best.CreationDate)))
    dr.measure("rpo",
      { seconds = p.corruption_time - best.CreationDate, detail = "age of the recovery point" })
    return { arn = best.RecoveryPointArn, made = best.CreationDate }
  end)

  local before = dr.step("Note what runs", { risk = "read" }, function()
    return {
      counts = services.desired_counts(c.ecs, p.cluster, p.services),
      scaling = scaling_targets(c, p),
    }
  end)

  dr.step("Stop the writers", {
    budget = "10m", partial = true,
    undo = function()
      suspend_scaling(c, before.scaling, false)
      scale_to(c, p, before.counts)
      hook(p, "maintenance_off")
    end,
  }, function()
    hook(p, "maintenance_on")
    suspend_scaling(c, before.scaling, true)
    scale_to(c, p, zero(p))
    -- Tasks that drain or stop are not counted any more, and still write.
    services.wait_stopped(c.ecs, p.cluster, p.services)
  end)

  dr.step("Restore the backup", { budget = "45m" }, function()
    local job = c.backup:start_restore_job {
      RecoveryPointArn = point.arn, IamRoleArn = p.backup_role or
        ("arn:aws:iam::%s:role/service-role/AWSBackupDefaultServiceRole"):format(account),
      ResourceType = "RDS",
      CopySourceTagsToRestoredResource = true,
      Metadata = backups.restore_metadata(c.backup, p.vault, point.arn, {
        DBInstanceIdentifier = names.restored, DeletionProtection = "false",
      }),
    }.RestoreJobId
    backups.wait_restore(c.backup, job)
    databases.wait_serving(c.rds, names.restored)
    return job
  end)

  dr.step("Prove the restored data whole", { budget = "10m", when = p.db_user ~= nil }, function()
    databases.with(databases.get(c.rds, names.restored), login(p), function(db)
      integrity.verify(db)
      for _, check in ipairs(p.checks or {}) do
        dr.check(check.name, function()
          if not db:value(check.sql) then
            dr.fail("the query does not answer true: " .. check.sql)
          end
        end)
      end
    end)
  end)

  dr.step("Test the application on the restored database",
    { budget = "15m", when = p.application_tests ~= nil },
    function()
      local endpoint = databases.get(c.rds, names.restored).Endpoint
      command(p.application_tests, { read = true, timeout = "30m",
        env = { DATABASE_HOST = endpoint.Address, DATABASE_PORT = tostring(endpoint.Port) } })
    end)

  local restored_at = dr.step("Carry the original's settings over", { budget = "1h" },
    function() return carry_over(c, names.restored, original) end)

  dr.step("Rename the corrupt database away", {
    risk = "irreversible", budget = "15m",
    approve = function() return swap_now(c, p, names, point) end,
    done = renamed(c, p.database, names.corrupted, original.Endpoint.Address),
    partial = true, -- a rename that was not made needs no way back
    undo = function()
      if not databases.find(c.rds, p.database) then rename(c, names.corrupted, p.database) end
    end,
  }, function() return rename(c, p.database, names.corrupted).Endpoint end)

  local endpoint = dr.step("Rename the restored database into place", {
    budget = "15m",
    done = renamed(c, names.restored, p.database, restored_at),
    partial = true,
    undo = function()
      if databases.find(c.rds, p.database) then rename(c, p.database, names.restored) end
    end,
  }, function() return rename(c, names.restored, p.database).Endpoint end)

  dr.step("Prove that the database takes writes", {
    budget = "15m", repeatable = true, when = p.db_user ~= nil,
  }, function()
    databases.wait_connectable({ Endpoint = endpoint }, login(p))
    return databases.with({ Endpoint = endpoint }, login(p), databases.prove_writable)
  end)

  dr.step("Start the services again", { budget = "10m" }, function()
    scale_to(c, p, before.counts)
    suspend_scaling(c, before.scaling, false)
    hook(p, "maintenance_off")
  end)

  dr.step("Validate the recovery", { budget = "10m" }, function() checklist(c, p, names) end)

  dr.recovered()
  dr.step("Make a fresh backup", { budget = "1h" }, function()
    local job = c.backup:start_backup_job {
      BackupVaultName = p.vault, ResourceArn = database_arn,
      IamRoleArn = p.backup_role
      or ("arn:aws:iam::%s:role/service-role/AWSBackupDefaultServiceRole"):format(account),
    }.BackupJobId
    return backups.wait_backup(c.backup, job).RecoveryPointArn
  end)

  dr.step("Tell the stakeholders that it is over", { when = p.channels ~= nil }, function()
    return notify.send(p.channels,
      ("Database %s is restored to %s and serves again. Writes after that time are lost. "
      .. "The corrupt instance is kept as %s."):format(p.database, dr.format_time(point.made),
      names.corrupted),
      { severity = "info", resolved = true })
  end)
  dr.note(("%s is kept as evidence. After %s: drlua playbooks/database_corruption.lua "
    .. "--phase cleanup --corrupted %s")
    :format(names.corrupted, dr.duration(p.keep_corrupted), names.corrupted))
end

local function cleanup(p)
  local c = clients(p)
  if not p.corrupted then dr.fail("--corrupted NAME says which instance to delete") end
  local instance = dr.step("Look at what is to be deleted", { risk = "read" }, function()
    local found = databases.get(c.rds, p.corrupted)
    if p.corrupted == p.database then dr.fail(p.database .. " is the database in service") end
    if databases.get(c.rds, p.database).DBInstanceStatus ~= "available" then
      dr.fail(("%s is not available: keep %s until it is"):format(p.database, p.corrupted))
    end
    return found
  end)
  dr.step("Delete the corrupt instance", {
    risk = "irreversible",
    approve = ("%s in %s, made %s, is deleted; a final snapshot %s-final stays")
      :format(p.corrupted, p.region, dr.format_time(instance.InstanceCreateTime), p.corrupted),
    done = function() return not databases.find(c.rds, p.corrupted) end,
  }, function()
    c.rds:delete_db_instance {
      DBInstanceIdentifier = p.corrupted, FinalDBSnapshotIdentifier = p.corrupted .. "-final",
    }
    c.rds:wait("db_instance_deleted", { DBInstanceIdentifier = p.corrupted })
  end)
end

return dr.playbook {
  title   = "Database corruption",
  summary = "Restore the newest backup from before the corruption and "
    .. "swap it in under the old name.",
  targets = { rto = "2h", rpo = "1h" },

  params = {
    { "region", type = "region", default = "us-east-1" },
    { "database", required = true, help = "identifier of the corrupt RDS instance" },
    { "corruption_time", type = "time", required = true,
      help = "UTC; the newest backup before it is restored" },
    { "vault", required = true, help = "AWS Backup vault" },
    { "backup_role", type = "arn", required = false,
      help = "default: AWSBackupDefaultServiceRole of the account" },
    { "cluster", required = true, help = "ECS cluster of the application" },
    { "services", type = "list", required = true, help = "ECS services that write" },
    { "maintenance_on", type = "list", required = false,
      help = "command that shows the maintenance page" },
    { "maintenance_off", type = "list", required = false },
    { "application_tests", type = "list", required = false,
      help = "command; gets DATABASE_HOST and DATABASE_PORT of the restored instance" },
    { "db_name", default = "postgres" },
    { "db_user", required = false, help = "without it the SQL steps are skipped" },
    { "db_password", secret = true, env = "DB_PASSWORD", required = false },
    { "db_sslmode", type = "enum", choices = { "disable", "prefer", "require", "verify-full" },
      default = "prefer" },
    { "checks", type = "list", required = false, help = "SQL checks: { { name=, sql= } }" },
    { "health_url", type = "url", required = false },
    { "error_metric", type = "list", required = false,
      help = "{ namespace=, name=, dimensions= } counting errors" },
    { "error_limit", type = "int", default = 10, help = "errors in ten minutes" },
    { "channels", type = "list", required = false, help = "who is notified: see toolbox.notify" },
    { "keep_corrupted", type = "duration", default = "7d" },
    { "phase", type = "enum", choices = { "recover", "cleanup" }, default = "recover" },
    { "corrupted", required = false, help = "for cleanup: the instance to delete" },
  },

  lock = function(p) return { ("rds:%s:%s"):format(p.region, p.database) } end,

  ready = function(p)
    local c = clients(p)
    dr.check("The database exists", function() databases.get(c.rds, p.database) end)
    dr.check("The services exist", function() services.describe(c.ecs, p.cluster, p.services) end)
    dr.check("The names of the swap are free and fit", function()
      for _, name in pairs(names_of(p)) do
        if #name > 63 then
          dr.fail(("%s has more than the 63 characters that RDS takes"):format(name))
        end
        if databases.find(c.rds, name) then dr.fail(name .. " exists already") end
      end
    end)
    dr.check("There is a restorable recovery point", function()
      local account = aws.sts { region = p.region }:get_caller_identity {}.Account
      local point, why = backups.newest_before(c.backup, p.vault,
        ("arn:aws:rds:%s:%s:db:%s"):format(p.region, account, p.database), p.corruption_time)
      if not point then dr.fail(why) end
    end)
  end,

  run = function(p)
    if p.phase == "cleanup" then return cleanup(p) end
    return recover(p)
  end,

  rehearsal = "rehearsals/database_corruption.lua",
}
