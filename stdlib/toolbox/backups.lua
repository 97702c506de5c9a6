--- AWS Backup: choosing a recovery point by time, and jobs watched to any end.
local dr = require "drlua"

local backups = {}

-- Both are whole: continuous backups are AVAILABLE, others COMPLETED.
local RESTORABLE = { COMPLETED = true, AVAILABLE = true }

-- The content of a point is of some moment until its completion; without one, of its creation.
local function content_time(point) return point.CompletionDate or point.CreationDate end

--- The newest recovery point of a resource whose content is surely from before `before`
-- (seconds since the epoch): made and completed by then, and restorable. List order is not
-- time order. Returns nil, and why the others were passed over, where there is none.
function backups.newest_before(backup, vault, resource_arn, before)
  local best, later, unfinished = nil, 0, 0
  for point in backup:each("list_recovery_points_by_backup_vault",
    { BackupVaultName = vault, ByResourceArn = resource_arn }, "RecoveryPoints") do
    if not RESTORABLE[point.Status] then
      unfinished = unfinished + 1
    elseif content_time(point) > before then
      later = later + 1
    elseif not best or point.CreationDate > best.CreationDate then
      best = point
    end
  end
  if best then return best end
  return nil, ("vault %s has no restorable recovery point of %s from before %s (%d "
    .. "are later, %d not completed)")
    :format(vault, resource_arn, dr.format_time(before), later, unfinished)
end

--- The metadata that a restore of this point starts from, with changes on top. It is the
-- original's, so an availability zone is left out where a Multi-AZ instance is restored:
-- RDS refuses both together.
function backups.restore_metadata(backup, vault, point_arn, changes)
  local metadata = backup:get_recovery_point_restore_metadata {
    BackupVaultName = vault, RecoveryPointArn = point_arn,
  }.RestoreMetadata
  for name, value in pairs(changes) do metadata[name] = value end
  if metadata.MultiAZ == "true" then metadata.AvailabilityZone = nil end
  return metadata
end

--- Watches a restore job until it ends, in whatever way; fails unless COMPLETED.
function backups.wait_restore(backup, job, timeout)
  return dr.wait_until("restore job " .. tostring(job),
    { every = "30s", timeout = timeout or "6h" }, function()
    local state = backup:describe_restore_job { RestoreJobId = job }
    if state.Status == "COMPLETED" then return state end
    if state.Status ~= "PENDING" and state.Status ~= "RUNNING" then
      dr.fail(("restore job %s ended %s: %s. Choose another recovery point, or "
        .. "mend what it names, and resume")
        :format(job, state.Status, state.StatusMessage or "AWS gave no reason"))
    end
    return false, ("%s %s"):format(state.Status, state.PercentDone or "")
  end)
end

--- Watches a backup job until it ends; fails unless COMPLETED.
function backups.wait_backup(backup, job, timeout)
  local pending = { CREATED = true, PENDING = true, RUNNING = true, ABORTING = true }
  return dr.wait_until("backup job " .. tostring(job),
    { every = "30s", timeout = timeout or "6h" }, function()
    local state = backup:describe_backup_job { BackupJobId = job }
    if state.State == "COMPLETED" then return state end
    if not pending[state.State] then
      dr.fail(("backup job %s ended %s: %s"):format(job, state.State,
        state.StatusMessage or "AWS gave no reason"))
    end
    return false, ("%s %s"):format(state.State, state.PercentDone or "")
  end)
end

return backups
