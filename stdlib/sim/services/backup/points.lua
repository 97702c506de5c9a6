--- AWS Backup: recovery points and protected resources.
local lookup = require "sim.services.backup.lookup"

local service = {}

--- Enters a recovery point of a snapshot record; fields override members.
function service.add_point(ctx, vault, resource_arn, snapshot, fields)
  local shape = {
    RecoveryPointArn = snapshot.shape.DBSnapshotArn, BackupVaultName = vault.BackupVaultName,
    BackupVaultArn = vault.BackupVaultArn, ResourceArn = resource_arn, ResourceType = "RDS",
    ResourceName = resource_arn:match("[^:]+$"), Status = "COMPLETED", InitiationDate = ctx:now(),
    CreationDate = ctx:now(), CompletionDate = ctx:now(), IsEncrypted = false,
    BackupSizeInBytes = (snapshot.shape.AllocatedStorage or 20) << 30,
    IamRoleArn = ("arn:aws:iam::%s:role/service-role/AWSBackupDefaultServiceRole")
      :format(ctx.account),
    VaultType = "BACKUP_VAULT", Lifecycle = { DeleteAfterDays = 35 }, IsParent = false,
  }
  for k, v in pairs(fields or {}) do shape[k] = v end
  local point = { shape = shape, snapshot = snapshot }
  ctx.store.points[shape.RecoveryPointArn] = point
  return point
end

function service.list_recovery_points_by_backup_vault(ctx, input)
  lookup.vault(ctx, input.BackupVaultName)
  local list = lookup.shapes(ctx.store.points, function(shape)
    return shape.BackupVaultName == input.BackupVaultName
      and (not input.ByResourceArn or shape.ResourceArn == input.ByResourceArn)
      and (not input.ByResourceType or shape.ResourceType == input.ByResourceType)
      and (not input.ByCreatedBefore or shape.CreationDate < input.ByCreatedBefore)
      and (not input.ByCreatedAfter or shape.CreationDate > input.ByCreatedAfter)
  end)
  return lookup.page(ctx, input, list, "RecoveryPoints", "RecoveryPointArn")
end

-- This operation names the size and vault differently.
local function by_resource(shape)
  return {
    RecoveryPointArn = shape.RecoveryPointArn, CreationDate = shape.CreationDate,
    Status = shape.Status, StatusMessage = shape.StatusMessage,
    EncryptionKeyArn = shape.EncryptionKeyArn, BackupSizeBytes = shape.BackupSizeInBytes,
    BackupVaultName = shape.BackupVaultName, IsParent = false,
    ResourceName = shape.ResourceName, VaultType = shape.VaultType,
  }
end

function service.list_recovery_points_by_resource(ctx, input)
  local list = lookup.shapes(ctx.store.points,
    function(shape) return shape.ResourceArn == input.ResourceArn end)
  for i, shape in ipairs(list) do list[i] = by_resource(shape) end
  return lookup.page(ctx, input, list, "RecoveryPoints", "RecoveryPointArn")
end

function service.describe_recovery_point(ctx, input)
  return lookup.point(ctx, input.RecoveryPointArn, input.BackupVaultName).shape
end

-- Texts, as the metadata are; lists as JSON.
local function as_text(value)
  if type(value) ~= "table" then return tostring(value) end
  local quoted = {}
  for i, one in ipairs(value) do quoted[i] = ("%q"):format(one) end
  return "[" .. table.concat(quoted, ",") .. "]"
end

-- A restore of RDS's own gets the default parameter group; tags are asked for apart.
local UNKNOWN = { TagList = true, DBParameterGroupName = true }

--- What a restore job of this point can be given: the original's setup, as it was.
function service.get_recovery_point_restore_metadata(ctx, input)
  local point = lookup.point(ctx, input.RecoveryPointArn, input.BackupVaultName)
  local s = point.snapshot.shape
  local metadata = { DBInstanceIdentifier = s.DBInstanceIdentifier, Engine = s.Engine,
    StorageType = s.StorageType, LicenseModel = s.LicenseModel, OptionGroupName = s.OptionGroupName,
    AllocatedStorage = as_text(s.AllocatedStorage), DBName = point.snapshot.dbname }
  for name, value in pairs(point.snapshot.setup) do
    if not UNKNOWN[name] then metadata[name] = as_text(value) end
  end
  return { BackupVaultArn = point.shape.BackupVaultArn,
    RecoveryPointArn = point.shape.RecoveryPointArn,
    ResourceType = "RDS", RestoreMetadata = metadata }
end

function service.delete_recovery_point(ctx, input)
  local point = lookup.point(ctx, input.RecoveryPointArn, input.BackupVaultName)
  ctx.store.points[input.RecoveryPointArn] = nil
  local rds = ctx:as { service = "rds",
    store = ctx.sim.state:store(ctx.account, ctx.region, "rds") }
  require("sim.services.rds.snapshots").forget(rds, point.snapshot)
  return {}
end

function service.list_protected_resources(ctx, input)
  local newest = {}
  for _, point in pairs(ctx.store.points) do
    local shape = point.shape
    local known = newest[shape.ResourceArn]
    if not known or known.LastBackupTime < shape.CreationDate then
      newest[shape.ResourceArn] = { ResourceArn = shape.ResourceArn,
        ResourceType = shape.ResourceType, ResourceName = shape.ResourceName,
        LastBackupTime = shape.CreationDate,
        LastBackupVaultArn = shape.BackupVaultArn, LastRecoveryPointArn = shape.RecoveryPointArn }
    end
  end
  local list = {}
  for _, one in pairs(newest) do table.insert(list, one) end
  table.sort(list, function(a, b) return a.ResourceArn < b.ResourceArn end)
  return lookup.page(ctx, input, list, "Results", "ResourceArn")
end

return service
