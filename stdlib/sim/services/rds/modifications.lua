--- RDS: changes of DB instances: ModifyDBInstance, with renames.
--
-- AWS answers with the old status and shows the new one seconds later. Security groups
-- and parameter groups have states of their own, which may outlast the instance's.
local checks = require "sim.services.rds.checks"
local defaults = require "sim.services.rds.defaults"
local lookup = require "sim.services.rds.lookup"

local service = {}

-- Members that take effect at once whatever ApplyImmediately says.
local prompt = { "DeletionProtection", "CopyTagsToSnapshot", "AutoMinorVersionUpgrade",
  "PreferredBackupWindow", "PreferredMaintenanceWindow", "MaxAllocatedStorage",
  "PubliclyAccessible", "MonitoringInterval" }
-- Members that wait for the maintenance window, or for ApplyImmediately.
local deferred = { "DBInstanceClass", "AllocatedStorage", "MultiAZ", "EngineVersion",
  "BackupRetentionPeriod", "StorageType", "Iops", "StorageThroughput",
  "CACertificateIdentifier", "MasterUserPassword" }

-- Does fn after so many seconds of AWS's time, and at once while a world is loaded.
local function later(instance, seconds, fn)
  if instance.sim.loading then return fn() end
  instance.sim.clock:after(seconds, fn)
end

-- New security groups are `adding`, those that go `removing`, for some seconds.
local function change_groups(instance, ids)
  local wanted, list = {}, {}
  for _, id in ipairs(ids) do wanted[id] = true end
  for _, group in ipairs(instance.shape.VpcSecurityGroups) do
    local id = group.VpcSecurityGroupId
    table.insert(list, { VpcSecurityGroupId = id, Status = wanted[id] and "active" or "removing" })
    wanted[id] = nil
  end
  for _, id in ipairs(ids) do
    if wanted[id] then table.insert(list, { VpcSecurityGroupId = id, Status = "adding" }) end
  end
  instance.shape.VpcSecurityGroups = list
  later(instance, instance:takes "rds.security_group", function()
    if instance.shape.VpcSecurityGroups == list then
      instance.shape.VpcSecurityGroups = defaults.memberships(ids)
    end
  end)
end

-- A new parameter group is `applying`, then waits for a reboot that nobody makes by itself.
local function change_parameters(ctx, instance, name)
  local membership = defaults.parameter_group(ctx, instance.shape, name)
  instance.shape.DBParameterGroups = membership
  membership[1].ParameterApplyStatus = "applying"
  later(instance, instance:takes "rds.parameter_group_applying", function()
    local status = membership[1].ParameterApplyStatus
    membership[1].ParameterApplyStatus = status == "applying" and "pending-reboot" or status
  end)
end

local function take_prompt(ctx, instance, input)
  local shape = instance.shape
  for _, name in ipairs(prompt) do
    if input[name] ~= nil then shape[name] = input[name] end
  end
  if input.VpcSecurityGroupIds then change_groups(instance, input.VpcSecurityGroupIds) end
  local current = shape.DBParameterGroups[1].DBParameterGroupName
  local group = input.DBParameterGroupName
  if group and group:lower() ~= current then change_parameters(ctx, instance, group) end
end

-- Puts the changes that are not yet in force into PendingModifiedValues.
local function defer(instance, input)
  local pending, any = instance.shape.PendingModifiedValues, false
  for _, name in ipairs(deferred) do
    local value = input[name]
    if value ~= nil and (name == "MasterUserPassword" or value ~= instance.shape[name]) then
      pending[name] = name == "MasterUserPassword" and "****" or value
      any = true
    end
  end
  return any
end

-- A change of class restarts the server; of storage leaves the instance optimizing for hours.
local function work_of(instance, pending)
  if pending.DBInstanceClass then
    instance:pause(instance:takes "rds.modify_class" - instance:takes "rds.modify_class_outage")
    instance:restart(instance:takes "rds.modify_class_outage")
  elseif pending.AllocatedStorage or pending.StorageType or pending.Iops then
    instance:pause(instance:takes "rds.storage_grow")
    return "storage-optimization"
  else
    instance:pause(instance:takes "rds.modify")
  end
end

local function apply_pending(instance)
  local shape = instance.shape
  local pending = shape.PendingModifiedValues
  local after = work_of(instance, pending)
  shape.PendingModifiedValues = {}
  for name, value in pairs(pending) do
    if name ~= "MasterUserPassword" and name ~= "DBInstanceIdentifier" then shape[name] = value end
  end
  defaults.zones(shape, instance.region)
  if instance.next_password then
    instance:change_password(instance.next_password)
    instance.next_password = nil
  end
  if pending.BackupRetentionPeriod then instance:settle_backups() end
  return after
end

-- Hours in which RDS takes no further change of the storage.
local function optimize(instance)
  instance:status("storage-optimization")
  instance.optimizing = true
  later(instance, instance:takes "rds.storage_optimization", function()
    instance.optimizing = nil
    if instance.shape.DBInstanceStatus == "storage-optimization" and not instance.busy then
      instance:status("available")
    end
  end)
end

-- A rename: the old name is gone at once; the new one is described as available with the
-- old endpoint, which no longer answers; a reboot under the new endpoint ends it.
local function rename(instance, new_id)
  local store, gap = instance:store(), instance:takes "rds.rename_gap"
  instance:pause(instance:takes "rds.status_lag")
  store.instances[instance.id] = nil
  instance:name(new_id)
  store.instances[new_id] = instance
  instance.shape.PendingModifiedValues.DBInstanceIdentifier = nil
  instance:close_endpoint()
  instance:pause(instance:takes "rds.status_lag")
  instance:status("renaming")
  instance:pause(instance:takes "rds.rename" - gap - 2 * instance:takes "rds.status_lag")
  instance:open_endpoint()
  instance:status("rebooting")
  instance:event("Renamed instance", { "configuration change" })
  instance:restart(gap)
end

local function check_rename(ctx, instance, input)
  if not input.NewDBInstanceIdentifier then return nil end
  local id = lookup.new_identifier(ctx, input.NewDBInstanceIdentifier, "NewDBInstanceIdentifier")
  if id == instance.id then return nil end
  if ctx.store.instances[id] or ctx.store.reserved[id] then
    ctx:fail("DBInstanceAlreadyExists", "DB instance already exists")
  end
  return id
end

local function apply_rename(ctx, instance, new_id)
  ctx.store.reserved[new_id] = instance
  instance.shape.PendingModifiedValues.DBInstanceIdentifier = new_id
  instance:transition("rename", 0, function()
    rename(instance, new_id)
    ctx.store.reserved[new_id] = nil
  end)
end

-- Applies now what can be applied: in the background, as statuses move.
local function apply(instance, password)
  instance:begin(password and "resetting-master-credentials" or "modifying", true)
  instance:transition("modify", 0, function()
    local after = apply_pending(instance)
    if after then optimize(instance) else instance:status("available") end
  end, false)
end

local function check(ctx, instance, input)
  if input.MasterUserPassword then checks.password(ctx, input.MasterUserPassword) end
  checks.retention(ctx, input.BackupRetentionPeriod)
  checks.class(ctx, input.DBInstanceClass)
  checks.references(ctx, input)
  if input.BackupRetentionPeriod == 0 and #(instance.replicas or {}) > 0 then
    ctx:fail("InvalidDBInstanceState",
      ("Cannot disable automated backups on %s: it has read replicas.")
      :format(instance.id))
  end
  if instance.optimizing and (input.AllocatedStorage or input.StorageType or input.Iops) then
    ctx:fail("InvalidParameterCombination",
      "You can't currently modify the storage of this DB instance because "
      .. "the previous storage change is being optimized.")
  end
end

local function only_password(instance)
  local pending = instance.shape.PendingModifiedValues
  return pending.MasterUserPassword ~= nil and next(pending, next(pending)) == nil
end

function service.modify_db_instance(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local now = input.ApplyImmediately or input.MasterUserPassword ~= nil
  local text = "Database instance is not in available state."
  -- What is to wait for the maintenance window is queued in every status.
  local instance = now and lookup.available(ctx, input.DBInstanceIdentifier, text)
    or lookup.instance(ctx, input.DBInstanceIdentifier)
  check(ctx, instance, input)
  local new_id = check_rename(ctx, instance, input)
  take_prompt(ctx, instance, input)
  local changes = defer(instance, input)
  if input.MasterUserPassword then instance.next_password = input.MasterUserPassword end
  if new_id then instance.shape.PendingModifiedValues.DBInstanceIdentifier = new_id end
  if now and new_id then
    apply_rename(ctx, instance, new_id)
  elseif now and changes then
    apply(instance, only_password(instance))
  end
  return { DBInstance = instance:refresh() }
end

return service
