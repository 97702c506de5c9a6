--- What RDS fills in where a call is silent, and the shapes of what belongs to an
-- instance: security groups, parameter group, subnet group.
local lookup = require "sim.services.rds.lookup"

local defaults = {}

--- The default security group of a region's default VPC.
function defaults.security_group(region, account)
  local number = 0
  for i = 1, #region do number = (number * 31 + region:byte(i)) % 0xffffff end
  return ("sg-%08x%s"):format(number, account:sub(1, 4))
end

local function memberships(ids)
  local list = {}
  for i, id in ipairs(ids) do list[i] = { VpcSecurityGroupId = id, Status = "active" } end
  return list
end
defaults.memberships = memberships

--- The family of parameter groups that an engine version uses: "postgres15".
function defaults.family(engine, version)
  return engine .. tostring(version):match("^%d+")
end

--- Where an instance's parameter group is: its default group, or the named one.
function defaults.parameter_group(ctx, shape, name)
  local default = "default." .. defaults.family(shape.Engine, shape.EngineVersion)
  if name and name ~= default and not ctx.store.parameter_groups[name:lower()] then
    ctx:fail("DBParameterGroupNotFound", "DBParameterGroup not found: " .. name)
  end
  return { { DBParameterGroupName = name and name:lower() or default,
    ParameterApplyStatus = "in-sync" } }
end

--- The subnet group named, or the region's default one.
function defaults.subnet_group(ctx, name)
  local group = ctx.store.subnet_groups[(name or "default"):lower()]
  if not group then
    ctx:fail("DBSubnetGroupNotFoundFault", ("DB subnet group '%s' does not exist."):format(name))
  end
  return group
end

-- Copies the members that a call gives and that are shown as they are.
local given = {
  "DBInstanceClass", "AllocatedStorage", "MultiAZ", "PubliclyAccessible", "StorageType", "Iops",
  "StorageThroughput", "AutoMinorVersionUpgrade", "CopyTagsToSnapshot", "DeletionProtection",
  "PreferredBackupWindow", "PreferredMaintenanceWindow", "KmsKeyId", "LicenseModel",
  "MonitoringInterval", "MaxAllocatedStorage", "StorageEncrypted", "CACertificateIdentifier",
  "NetworkType", "DedicatedLogVolume",
}

--- Puts the members of `input` that RDS shows unchanged into `shape`.
function defaults.take(shape, input)
  for _, name in ipairs(given) do
    if input[name] ~= nil then shape[name] = input[name] end
  end
  if input.EnableIAMDatabaseAuthentication ~= nil then
    shape.IAMDatabaseAuthenticationEnabled = input.EnableIAMDatabaseAuthentication
  end
  if input.Port then shape.DbInstancePort = input.Port end
  if input.Tags then shape.TagList = input.Tags end
end

--- Availability zones: the first, and for Multi-AZ a second.
function defaults.zones(shape, region, wanted)
  shape.AvailabilityZone = wanted or shape.AvailabilityZone or region .. "a"
  local second = shape.AvailabilityZone == region .. "b" and "a" or "b"
  shape.SecondaryAvailabilityZone = shape.MultiAZ and region .. second or nil
end

--- Fills a new instance's shape: everything that was not given.
function defaults.fill(ctx, shape, input)
  shape.DBInstanceStatus = "creating"
  shape.DBInstanceClass = shape.DBInstanceClass or "db.t3.medium"
  shape.AllocatedStorage = shape.AllocatedStorage or 20
  shape.BackupRetentionPeriod = shape.BackupRetentionPeriod or 0
  shape.DbInstancePort = shape.DbInstancePort or 5432
  shape.StorageType = shape.StorageType or "gp3"
  shape.LicenseModel = shape.LicenseModel or "postgresql-license"
  shape.PreferredBackupWindow = shape.PreferredBackupWindow or "03:00-03:30"
  shape.PreferredMaintenanceWindow = shape.PreferredMaintenanceWindow or "sun:05:00-sun:05:30"
  shape.CACertificateIdentifier = shape.CACertificateIdentifier or "rds-ca-rsa2048-g1"
  shape.NetworkType = shape.NetworkType or "IPV4"
  shape.MonitoringInterval = shape.MonitoringInterval or 0
  for _, name in ipairs { "MultiAZ", "PubliclyAccessible", "StorageEncrypted", "CopyTagsToSnapshot",
    "DeletionProtection", "IAMDatabaseAuthenticationEnabled", "PerformanceInsightsEnabled",
    "CustomerOwnedIpEnabled",
    "DedicatedLogVolume" } do
    shape[name] = shape[name] or false
  end
  if shape.AutoMinorVersionUpgrade == nil then shape.AutoMinorVersionUpgrade = true end
  shape.TagList = shape.TagList or {}
  shape.PendingModifiedValues = {}
  shape.DBSecurityGroups, shape.AssociatedRoles, shape.DomainMemberships = {}, {}, {}
  shape.ReadReplicaDBInstanceIdentifiers = {}
  shape.OptionGroupMemberships = { { Status = "in-sync", OptionGroupName =
    ("default:%s-%s"):format(shape.Engine, tostring(shape.EngineVersion):match("^%d+")) } }
  shape.DBSubnetGroup = defaults.subnet_group(ctx, input.DBSubnetGroupName)
  shape.VpcSecurityGroups = memberships(input.VpcSecurityGroupIds
    or { defaults.security_group(ctx.region, ctx.account) })
  shape.DBParameterGroups = defaults.parameter_group(ctx, shape, input.DBParameterGroupName)
  shape.DbiResourceId = ctx:id("db-", 26)
  defaults.zones(shape, ctx.region, input.AvailabilityZone)
  return shape
end

--- What a copy (replica, restored instance) takes over from a source's shape.
function defaults.inherit(source)
  local shape = {}
  for _, name in ipairs { "Engine", "EngineVersion", "MasterUsername", "DBName", "AllocatedStorage",
    "DBInstanceClass", "StorageType", "StorageEncrypted", "KmsKeyId", "LicenseModel",
    "AutoMinorVersionUpgrade", "PreferredBackupWindow",
    "PreferredMaintenanceWindow" } do
    shape[name] = source[name]
  end
  return shape
end

--- The shape of a shape's identifier without ARN.
defaults.name = lookup.name

return defaults
