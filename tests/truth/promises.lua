--- When AWS's own handlers hold a change to be done, written as conditions on one response:
-- what a wait of ours that is satisfied by a response is held against. The sources are
-- CloudFormation's resource providers for RDS and the services' user guides.
local json = require "native.json"

local promises = {}

local function words(text)
  local set = {}
  for word in text:gmatch("%S+") do set[word] = true end
  return set
end

-- Statuses that a person has to cure.
local TERMINAL = words [[deleted unsupported-configuration storage-full failed restore-error
  incompatible-restore incompatible-network incompatible-parameters incompatible-option-group
  incompatible-credentials incompatible-create inaccessible-encryption-credentials
  inaccessible-encryption-credentials-recoverable insufficient-capacity modify-failed
  upgrade-failed]]

-- Pending values that CloudFormation waits for.
local PENDING = words [[DBInstanceClass AllocatedStorage AutomationMode BackupRetentionPeriod
  DBInstanceIdentifier DBSubnetGroupName Engine EngineVersion IAMDatabaseAuthenticationEnabled
  Iops LicenseModel MasterUserPassword MultiAZ PendingCloudwatchLogsExports Port
  ProcessorFeatures StorageThroughput StorageType CACertificateIdentifier]]

local PENDING_CLUSTER = words [[MasterUserPassword IAMDatabaseAuthenticationEnabled EngineVersion
  StorageType AllocatedStorage Iops]]

local function list(value) return type(value) == "table" and value or {} end

local function each_is(faults, what, entries, member, allowed)
  for _, entry in ipairs(list(entries)) do
    if not allowed[entry[member]] then
      table.insert(faults, ("%s is %s"):format(what, tostring(entry[member])))
    end
  end
end

local function pending(faults, values, waited_for)
  for name, value in pairs(list(values)) do
    if waited_for[name] and value ~= json.null then
      table.insert(faults, name .. " is pending")
    end
  end
end

local function stable_instance(faults, instance)
  local status = instance.DBInstanceStatus
  if TERMINAL[status] then table.insert(faults, status .. " is a terminal status") end
  if status ~= "available" then table.insert(faults, "the status is " .. tostring(status)) end
  for _, info in ipairs(list(instance.StatusInfos)) do
    if info.StatusType == "read replication" and info.Status ~= "replicating" then
      table.insert(faults, "the read replication is " .. tostring(info.Status))
    end
  end
  for _, group in ipairs(list(instance.OptionGroupMemberships)) do
    if group.Status == "failed" then table.insert(faults, "an option group is failed") end
  end
  each_is(faults, "a domain membership", instance.DomainMemberships, "Status",
    { joined = true, ["kerberos-enabled"] = true })
  local secret = instance.MasterUserSecret
  if secret and secret.SecretStatus ~= "active" then
    table.insert(faults, "the master secret is " .. tostring(secret.SecretStatus))
  end
end

local function settings_of_instance(faults, instance)
  pending(faults, instance.PendingModifiedValues, PENDING)
  for _, group in ipairs(list(instance.DBParameterGroups)) do
    if group.ParameterApplyStatus == "applying" then
      table.insert(faults, "a parameter group is applying")
    end
  end
  each_is(faults, "a security group", instance.VpcSecurityGroups, "Status", { active = true })
end

local function over(member, ...)
  local rules = { ... }
  return function(output)
    local faults = {}
    if #list(output[member]) == 0 then return { "there is nothing in " .. member } end
    for _, entry in ipairs(output[member]) do
      for _, rule in ipairs(rules) do rule(faults, entry) end
    end
    return faults
  end
end

local function cluster(faults, each)
  if each.Status ~= "available" then
    table.insert(faults, "the status is " .. tostring(each.Status))
  end
  pending(faults, each.PendingModifiedValues, PENDING_CLUSTER)
  if each.MasterUserSecret and each.MasterUserSecret.SecretStatus ~= "active"
    and #list(each.DBClusterMembers) > 0 then
    table.insert(faults, "the master secret is " .. tostring(each.MasterUserSecret.SecretStatus))
  end
  for _, member in ipairs { "GlobalWriteForwardingStatus", "LocalWriteForwardingStatus" } do
    if each[member] == "enabling" or each[member] == "disabling" then
      table.insert(faults, ("%s is %s"):format(member, each[member]))
    end
  end
end

local function promoted(faults, instance)
  if instance.ReadReplicaSourceDBInstanceIdentifier
    or instance.ReadReplicaSourceDBClusterIdentifier then
    table.insert(faults, "it is a read replica")
  end
end

local function global_cluster(faults, each)
  if each.Status ~= "available" then
    table.insert(faults, "the status is " .. tostring(each.Status))
  end
  if each.FailoverState then table.insert(faults, "a failover is under way") end
end

local function service(faults, each)
  if #list(each.deployments) > 1 then
    table.insert(faults, ("there are %d deployments"):format(#each.deployments))
  end
  if each.runningCount ~= each.desiredCount then
    table.insert(faults, ("%s of %s tasks are running"):format(tostring(each.runningCount),
      tostring(each.desiredCount)))
  end
end

-- A deletion is done when the name is unknown, and not when a list is empty.
local function gone(code)
  return function(output, failure)
    local got = failure and failure.code
    if got == code or got == code .. "Fault" then return {} end
    return { output and "the response is a list, not " .. code
      or "the error is " .. tostring(got) }
  end
end

local INSTANCE = over("DBInstances", stable_instance, settings_of_instance)

--- By service and wait: a function(output, failure) that returns the list of conditions
-- that a response does not meet.
promises.of = {
  rds = {
    db_instance_available = INSTANCE, db_instance_renamed = INSTANCE,
    db_instance_settled = INSTANCE,
    read_replica_promoted = over("DBInstances", stable_instance, settings_of_instance, promoted),
    db_instance_deleted = gone "DBInstanceNotFound",
    db_cluster_deleted = gone "DBClusterNotFound",
    db_cluster_available = over("DBClusters", cluster),
    db_cluster_renamed = over("DBClusters", cluster),
    global_cluster_available = over("GlobalClusters", global_cluster),
  },
  ecs = {
    services_stable = over("services", service),
    deployment_completed = over("services", service),
  },
}

return promises
