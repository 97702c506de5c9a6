--- AWS Backup: vaults, recovery points, backup, copy and restore jobs. The backups
-- of RDS instances are real: a recovery point is a snapshot of type awsbackup, a
-- restore job restores an instance from it.
local lookup = require "sim.services.backup.lookup"
local state = require "sim.state"

local service = {}

function service.new_store()
  return { vaults = {}, points = {}, jobs = { backup = {}, restore = {}, copy = {} }, tokens = {},
    plans = {} }
end

for _, part in ipairs { "jobs", "points" } do
  for name, fn in pairs(require("sim.services.backup." .. part)) do service[name] = fn end
end

--- Enters a vault.
function service.add_vault(ctx, name)
  local vault = { BackupVaultName = name, BackupVaultArn = ctx:arn("backup-vault:" .. name),
    CreationDate = ctx:now(), EncryptionKeyArn = ctx:arn("key/" .. ctx.uuid(), "kms"),
    VaultType = "BACKUP_VAULT", VaultState = "AVAILABLE",
    Locked = false, CreatorRequestId = ctx.uuid() }
  ctx.store.vaults[name] = vault
  return vault
end

local function counted(ctx, vault)
  vault.NumberOfRecoveryPoints = 0
  for _, point in pairs(ctx.store.points) do
    if point.shape.BackupVaultName == vault.BackupVaultName then
      vault.NumberOfRecoveryPoints = vault.NumberOfRecoveryPoints + 1
    end
  end
  return vault
end

function service.create_backup_vault(ctx, input)
  local name = input.BackupVaultName
  if #name < 2 or #name > 50 or not name:find("^[%w_-]+$") then
    ctx:fail("InvalidParameterValueException",
      ("Invalid backup vault name %s: it has 2 to 50 letters, digits, "
      .. "hyphens and underscores."):format(name))
  end
  if ctx.store.vaults[input.BackupVaultName] then
    ctx:fail("AlreadyExistsException",
      ("Backup vault with the same name already exists: %s"):format(
      input.BackupVaultName))
  end
  local vault = service.add_vault(ctx, input.BackupVaultName)
  return { BackupVaultName = vault.BackupVaultName, BackupVaultArn = vault.BackupVaultArn,
    CreationDate = vault.CreationDate }
end

function service.describe_backup_vault(ctx, input)
  return counted(ctx, lookup.vault(ctx, input.BackupVaultName))
end

function service.list_backup_vaults(ctx, input)
  local list = {}
  for _, name in ipairs(state.sorted(ctx.store.vaults)) do
    table.insert(list, counted(ctx, ctx.store.vaults[name]))
  end
  return lookup.page(ctx, input, list, "BackupVaultList", "BackupVaultName")
end

function service.delete_backup_vault(ctx, input)
  local vault = counted(ctx, lookup.vault(ctx, input.BackupVaultName))
  if vault.NumberOfRecoveryPoints > 0 then
    ctx:fail("InvalidRequestException",
      "Backup vault cannot be deleted because it contains recovery points.")
  end
  ctx.store.vaults[input.BackupVaultName] = nil
  return {}
end

--- GET /_sim/state's part.
function service.inspect(store)
  local seen = { vaults = store.vaults, recovery_points = {}, jobs = {} }
  for arn, point in pairs(store.points) do seen.recovery_points[arn] = point.shape end
  for kind, jobs in pairs(store.jobs) do
    seen.jobs[kind] = {}
    for id, job in pairs(jobs) do seen.jobs[kind][id] = job.shape end
  end
  return seen
end

--- A world's `vaults`: { { region, name } }. Recovery points come with its timeline.
function service.load(ctx, world)
  for _, one in ipairs(world.vaults or {}) do
    if not ctx.store.vaults[one.name] then service.add_vault(ctx, one.name) end
  end
end

return service
