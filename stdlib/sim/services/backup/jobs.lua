--- AWS Backup: jobs. A job moves CREATED, RUNNING, and to one of its ends; an
-- `outcome` fault gives a restore job any end: FAILED, ABORTED, PARTIAL...
local lookup = require "sim.services.backup.lookup"
local points = require "sim.services.backup.points"
local restores = require "sim.services.rds.restores"
local snapshots = require "sim.services.rds.snapshots"

local service = {}

local ENDS = { COMPLETED = true, FAILED = true, ABORTED = true, PARTIAL = true, EXPIRED = true }

-- A context for what the job does to RDS on the caller's behalf.
local function as_rds(ctx)
  ctx.sim:open_service("rds")
  return ctx:as { service = "rds", store = ctx.sim.state:store(ctx.account, ctx.region, "rds") }
end

-- The job that an earlier call with this idempotency token started, or nil.
local function repeated(ctx, kind, token)
  return token and ctx.store.jobs[kind][ctx.store.tokens[kind .. token] or ""]
end

-- Restore jobs have a Status where the others have a State.
local function enter(ctx, kind, id, token, shape)
  local job = { id = id, shape = shape, member = kind == "restore" and "Status" or "State" }
  ctx.store.jobs[kind][id] = job
  if token then ctx.store.tokens[kind .. token] = id end
  return job
end

local function finish(ctx, job, status, message)
  job.shape[job.member] = status
  job.shape.StatusMessage = message
  job.shape.CompletionDate = ctx:now()
  if status == "COMPLETED" and job.shape.PercentDone then job.shape.PercentDone = "100.0%" end
end

-- Runs the job: an outcome fault ends it, else the work does.
local function run(ctx, job, first, running, work)
  local outcome = ctx:outcome()
  job.shape[job.member] = first
  ctx:background("backup job " .. job.id, function()
    local start = ctx.sim:takes "backup.start"
    ctx.sim.clock:sleep(ctx.sim.loading and 0 or start)
    job.shape[job.member] = running
    if outcome then
      job.shape.PercentDone = job.shape.PercentDone and (outcome.percent or "40.0%")
      ctx.sim.clock:sleep(start)
      return finish(ctx, job, outcome.status or "FAILED",
        outcome.message or "The job ended so by the simulator's "
        .. "fault list.")
    end
    local ok, e = pcall(work)
    if ok then finish(ctx, job, "COMPLETED") else finish(ctx, job, "FAILED", tostring(e)) end
  end)
end

local function require_instance(ctx, rds, arn)
  local id = arn:match("^arn:aws[%w-]*:rds:[^:]+:%d+:db:(.+)$")
  if not id then
    ctx:fail("InvalidParameterValueException",
      ("drlua's simulator backs up RDS instances only: %s"):format(arn))
  end
  local instance = rds.store.instances[id]
  if not instance then
    ctx:fail("ResourceNotFoundException", ("Resource %s does not exist."):format(arn))
  end
  return instance
end

function service.start_backup_job(ctx, input)
  ctx:need(input, "BackupVaultName", "ResourceArn", "IamRoleArn")
  local done = repeated(ctx, "backup", input.IdempotencyToken)
  if done then return { BackupJobId = done.id, RecoveryPointArn = done.shape.RecoveryPointArn,
    CreationDate = done.shape.CreationDate, IsParent = false }, "repeated" end
  local vault, rds = lookup.vault(ctx, input.BackupVaultName), as_rds(ctx)
  local instance = require_instance(ctx, rds, input.ResourceArn)
  local id = ctx.uuid():upper()
  local arn = ctx:arn("snapshot:awsbackup:job-" .. id:lower(), "rds")
  local job = enter(ctx, "backup", id, input.IdempotencyToken, {
    BackupJobId = id, AccountId = ctx.account, BackupVaultName = vault.BackupVaultName,
    IsParent = false, BackupVaultArn = vault.BackupVaultArn, RecoveryPointArn = arn,
    ResourceArn = input.ResourceArn, ResourceType = "RDS", ResourceName = instance.id,
    CreationDate = ctx:now(), IamRoleArn = input.IamRoleArn, PercentDone = "0.0%",
    StartBy = ctx:now() + 60 * (input.StartWindowMinutes or 480),
  })
  run(ctx, job, "CREATED", "RUNNING", function()
    while instance.busy or not instance:available() do ctx.sim.clock:sleep(1) end
    local begun = ctx:now()
    local snapshot, work = snapshots.begin_snapshot(rds, instance, "awsbackup:job-" .. id:lower(),
      "awsbackup")
    job.shape.PercentDone = "50.0%"
    local point = points.add_point(ctx, vault, input.ResourceArn, snapshot,
      { IamRoleArn = input.IamRoleArn,
      InitiationDate = job.shape.CreationDate, CreationDate = begun, Status = "CREATING" })
    point.shape.CompletionDate = nil
    work:wait()
    point.shape.Status, point.shape.CompletionDate = "COMPLETED", ctx:now()
  end)
  return { BackupJobId = id, RecoveryPointArn = arn, CreationDate = job.shape.CreationDate,
    IsParent = false }
end

local function flag(text) return text ~= nil and tostring(text):lower() == "true" or nil end

local function words(text)
  if not text then return nil end
  local list = {}
  for word in text:gmatch("[%w-]+") do table.insert(list, word) end
  return #list > 0 and list or nil
end

-- The restore metadata is text all through; RDS wants types.
local function restore_input(metadata)
  return {
    DBInstanceIdentifier = metadata.DBInstanceIdentifier,
    DBInstanceClass = metadata.DBInstanceClass, DBSubnetGroupName = metadata.DBSubnetGroupName,
    AvailabilityZone = metadata.AvailabilityZone,
    Port = math.tointeger(tonumber(metadata.Port)), MultiAZ = flag(metadata.MultiAZ),
    PubliclyAccessible = flag(metadata.PubliclyAccessible), StorageType = metadata.StorageType,
    AutoMinorVersionUpgrade = flag(metadata.AutoMinorVersionUpgrade), CopyTagsToSnapshot =
      flag(metadata.CopyTagsToSnapshot), DeletionProtection = flag(metadata.DeletionProtection),
    DBParameterGroupName = metadata.DBParameterGroupName,
    VpcSecurityGroupIds = words(metadata.VpcSecurityGroupIds),
    EnableIAMDatabaseAuthentication = flag(metadata.EnableIAMDatabaseAuthentication),
    without_tags = true,
  }
end

local function check_restore(ctx, point, input)
  if point.shape.Status ~= "COMPLETED" and point.shape.Status ~= "AVAILABLE" then
    ctx:fail("InvalidRequestException", ("Recovery point %s is %s and cannot be restored."):format(
      point.shape.RecoveryPointArn, point.shape.Status))
  end
  if not (input.Metadata or {}).DBInstanceIdentifier then
    ctx:fail("InvalidParameterValueException",
      "Invalid restore metadata: DBInstanceIdentifier is required.")
  end
end

function service.start_restore_job(ctx, input)
  ctx:need(input, "RecoveryPointArn", "Metadata")
  local done = repeated(ctx, "restore", input.IdempotencyToken)
  if done then return { RestoreJobId = done.id }, "repeated" end
  local point = lookup.point(ctx, input.RecoveryPointArn)
  check_restore(ctx, point, input)
  local id = ctx.uuid():upper()
  local job = enter(ctx, "restore", id, input.IdempotencyToken, {
    RestoreJobId = id, AccountId = ctx.account, RecoveryPointArn = input.RecoveryPointArn,
    CreationDate = ctx:now(), PercentDone = "0.00%",
    BackupSizeInBytes = point.shape.BackupSizeInBytes, IamRoleArn = input.IamRoleArn,
    ExpectedCompletionTimeMinutes = 10, ResourceType = "RDS",
    SourceResourceArn = point.shape.ResourceArn, BackupVaultArn = point.shape.BackupVaultArn,
    RecoveryPointCreationDate = point.shape.CreationDate,
  })
  local rds = as_rds(ctx)
  run(ctx, job, "PENDING", "RUNNING", function()
    local wanted = restore_input(input.Metadata)
    wanted.Tags = input.CopySourceTagsToRestoredResource and point.snapshot.setup.TagList or nil
    local instance, work = restores.from_snapshot(rds, point.snapshot, wanted)
    job.shape.CreatedResourceArn = instance.shape.DBInstanceArn
    job.shape.PercentDone = "50.00%"
    work:wait()
  end)
  return { RestoreJobId = id }
end

function service.start_copy_job(ctx, input)
  ctx:need(input, "RecoveryPointArn", "SourceBackupVaultName", "DestinationBackupVaultArn")
  local done = repeated(ctx, "copy", input.IdempotencyToken)
  if done then
    return { CopyJobId = done.id, CreationDate = done.shape.CreationDate, IsParent = false },
      "repeated"
  end
  local point = lookup.point(ctx, input.RecoveryPointArn, input.SourceBackupVaultName)
  local region, name = input.DestinationBackupVaultArn:match(
    "^arn:aws[%w-]*:backup:([^:]+):%d+:backup%-vault:(.+)$")
  local there = region
    and ctx:as { region = region, store = ctx.sim.state:store(ctx.account, region, "backup") }
  if not there then
    ctx:fail("InvalidParameterValueException", "Invalid DestinationBackupVaultArn")
  end
  local vault = lookup.vault(there, name)
  local id = ctx.uuid():upper()
  local job = enter(ctx, "copy", id, input.IdempotencyToken, {
    CopyJobId = id, AccountId = ctx.account, SourceBackupVaultArn = point.shape.BackupVaultArn,
    IsParent = false, SourceRecoveryPointArn = input.RecoveryPointArn,
    DestinationBackupVaultArn = input.DestinationBackupVaultArn,
    ResourceArn = point.shape.ResourceArn, ResourceType = "RDS", CreationDate = ctx:now(),
    IamRoleArn = input.IamRoleArn,
  })
  run(ctx, job, "CREATED", "RUNNING", function()
    ctx.sim.clock:sleep(ctx.sim:takes "backup.copy_rds")
    local rds = as_rds(there)
    local key = "awsbackup:copyjob-" .. id:lower()
    local copy = snapshots.duplicate(rds, point.snapshot, key)
    job.shape.DestinationRecoveryPointArn = copy.shape.DBSnapshotArn
    points.add_point(there, vault, point.shape.ResourceArn, copy,
      { CreationDate = point.shape.CreationDate })
  end)
  return { CopyJobId = id, CreationDate = job.shape.CreationDate, IsParent = false }
end

function service.describe_backup_job(ctx, input)
  return lookup.job(ctx, "backup", input.BackupJobId).shape
end
function service.describe_restore_job(ctx, input)
  return lookup.job(ctx, "restore", input.RestoreJobId).shape
end
function service.describe_copy_job(ctx, input)
  return { CopyJob = lookup.job(ctx, "copy", input.CopyJobId).shape }
end

function service.stop_backup_job(ctx, input)
  local job = lookup.job(ctx, "backup", input.BackupJobId)
  if ENDS[job.shape.State] then
    ctx:fail("InvalidRequestException",
      ("Backup job %s has ended: %s"):format(job.id, job.shape.State))
  end
  finish(ctx, job, "ABORTED", "Stopped by request")
  return {}
end

local function lister(kind, list_name, key, resource_member, vault_member)
  return function(ctx, input)
    local list = lookup.shapes(ctx.store.jobs[kind], function(shape)
      return (not input.ByState or shape.State == input.ByState)
        and (not input.ByStatus or shape.Status == input.ByStatus)
        and (not input.ByResourceArn or shape[resource_member] == input.ByResourceArn)
        and (not input.ByBackupVaultName or shape[vault_member] == input.ByBackupVaultName)
        and (not input.ByCreatedAfter or shape.CreationDate > input.ByCreatedAfter)
        and (not input.ByCreatedBefore or shape.CreationDate < input.ByCreatedBefore)
    end)
    return lookup.page(ctx, input, list, list_name, key)
  end
end

service.list_backup_jobs = lister("backup", "BackupJobs", "BackupJobId", "ResourceArn",
  "BackupVaultName")
service.list_restore_jobs = lister("restore", "RestoreJobs", "RestoreJobId", "SourceResourceArn",
  "BackupVaultName")
service.list_copy_jobs = lister("copy", "CopyJobs", "CopyJobId", "ResourceArn", "BackupVaultName")

return service
