--- Waits that AWS's models do not have, or have wrongly for a recovery: one table,
-- the models' own form (acceptors over JMESPath), the same interface.
--
-- A line says: the operation to ask, the path of the state, the states that end the
-- wait well, those that end it badly, and where the answer gives the reason. `typical`
-- is the usual duration in seconds: the schedule of polls follows from it. `absent`
-- lists error codes that mean "not there yet"; `gone` those that mean "done".
-- States not listed go on. Sources: the service's API reference, enum of the state.
local waits = {}

local function words(text)
  local list = {}
  for word in (text or ""):gmatch("%S+") do table.insert(list, word) end
  return list
end

local function acceptors(line)
  local list = {}
  for _, code in ipairs(words(line.absent)) do
    table.insert(list, { matcher = "error", expected = code, state = "retry" })
  end
  for _, code in ipairs(words(line.gone)) do
    table.insert(list, { matcher = "error", expected = code, state = "success" })
  end
  for _, value in ipairs(words(line.bad)) do
    table.insert(list,
      { matcher = "pathAny", argument = line.path, expected = value, state = "failure" })
  end
  for _, value in ipairs(words(line.good)) do
    table.insert(list,
      { matcher = "pathAll", argument = line.path, expected = value, state = "success" })
  end
  for _, more in ipairs(line.also or {}) do table.insert(list, more) end
  return list
end

local function wait(line)
  return { operation = line.operation, acceptors = acceptors(line), typical = line.typical,
    state_path = line.path, reason_path = line.reason, progress_path = line.progress, own = true }
end

local function is_true(path)
  return { { matcher = "path", argument = path, expected = true, state = "success" } }
end

-- Paths are written as lists ([state]) so that one rule serves one and many.
local TABLE = {
  backup = {
    BackupJobCompleted = { operation = "DescribeBackupJob", path = "[State]", typical = 1800,
      good = "COMPLETED", bad = "ABORTED FAILED EXPIRED PARTIAL", reason = "StatusMessage",
      progress = "PercentDone" },
    RestoreJobCompleted = { operation = "DescribeRestoreJob", path = "[Status]", typical = 1800,
      good = "COMPLETED", bad = "ABORTED FAILED PARTIAL", reason = "StatusMessage",
      progress = "PercentDone" },
    CopyJobCompleted = { operation = "DescribeCopyJob", path = "[CopyJob.State]", typical = 1800,
      good = "COMPLETED", bad = "FAILED PARTIAL ABORTED", reason = "CopyJob.StatusMessage" },
    RestoreValidated = { operation = "DescribeRestoreJob", path = "[ValidationStatus]",
      typical = 300,
      good = "SUCCESSFUL", bad = "FAILED TIMED_OUT", reason = "ValidationStatusMessage" },
    RecoveryPointCompleted = { operation = "DescribeRecoveryPoint", path = "[Status]",
      typical = 1800, good = "COMPLETED AVAILABLE", bad = "PARTIAL DELETING EXPIRED STOPPED",
      reason = "StatusMessage",
      absent = "ResourceNotFoundException" },
  },
  autoscaling = {
    InstanceRefreshSuccessful = { operation = "DescribeInstanceRefreshes",
      path = "InstanceRefreshes[:1].Status", typical = 900, good = "Successful",
      bad = "Failed Cancelled RollbackSuccessful RollbackFailed",
      reason = "InstanceRefreshes[0].StatusReason",
      progress = "InstanceRefreshes[0].PercentageComplete" },
    GroupInService = { operation = "DescribeAutoScalingGroups", typical = 300,
      path = "AutoScalingGroups[].Instances[].LifecycleState",
      also = is_true("length(AutoScalingGroups) > `0` && "
        .. "length(AutoScalingGroups[?length(Instances[?LifecycleState=="
        .. "'InService' && HealthStatus=='Healthy']) < MinSize]) == `0`") },
    GroupDeleted = { operation = "DescribeAutoScalingGroups", path = "AutoScalingGroups[].Status",
      typical = 300,
      also = is_true("length(AutoScalingGroups) == `0`") },
  },
  efs = {
    FileSystemAvailable = { operation = "DescribeFileSystems",
      path = "FileSystems[].LifeCycleState", typical = 60,
      good = "available", bad = "error deleting deleted" },
    FileSystemDeleted = { operation = "DescribeFileSystems", path = "FileSystems[].LifeCycleState",
      typical = 60,
      good = "deleted", bad = "error", gone = "FileSystemNotFound",
      also = is_true("length(FileSystems) == `0`") },
    MountTargetsAvailable = { operation = "DescribeMountTargets",
      path = "MountTargets[].LifeCycleState", typical = 90,
      good = "available", bad = "error deleting deleted" },
    AccessPointsAvailable = { operation = "DescribeAccessPoints",
      path = "AccessPoints[].LifeCycleState", typical = 30,
      good = "available", bad = "error deleting deleted" },
    ReplicationEnabled = { operation = "DescribeReplicationConfigurations", typical = 300,
      path = "Replications[].Destinations[].Status", good = "ENABLED", bad = "ERROR DELETING" },
    ReplicationDeleted = { operation = "DescribeReplicationConfigurations", typical = 300,
      path = "Replications[].Destinations[].Status", bad = "ERROR", gone = "ReplicationNotFound",
      also = is_true("length(Replications) == `0`") },
  },
  fsx = {
    FileSystemAvailable = { operation = "DescribeFileSystems", path = "FileSystems[].Lifecycle",
      typical = 1200, good = "AVAILABLE",
      bad = "FAILED DELETING MISCONFIGURED MISCONFIGURED_UNAVAILABLE",
      reason = "FileSystems[0].FailureDetails.Message" },
    FileSystemDeleted = { operation = "DescribeFileSystems", path = "FileSystems[].Lifecycle",
      typical = 600,
      bad = "FAILED", gone = "FileSystemNotFound", also = is_true("length(FileSystems) == `0`") },
    BackupAvailable = { operation = "DescribeBackups", path = "Backups[].Lifecycle", typical = 1200,
      good = "AVAILABLE",
      bad = "FAILED DELETED", reason = "Backups[0].FailureDetails.Message",
      progress = "Backups[0].ProgressPercent" },
    VolumeAvailable = { operation = "DescribeVolumes", path = "Volumes[].Lifecycle", typical = 300,
      good = "AVAILABLE CREATED", bad = "FAILED DELETING MISCONFIGURED",
      reason = "Volumes[0].LifecycleTransitionReason.Message" },
    StorageVirtualMachineCreated = { operation = "DescribeStorageVirtualMachines", typical = 600,
      path = "StorageVirtualMachines[].Lifecycle", good = "CREATED",
      bad = "FAILED DELETING MISCONFIGURED",
      reason = "StorageVirtualMachines[0].LifecycleTransitionReason.Message" },
    DataRepositoryTaskSucceeded = { operation = "DescribeDataRepositoryTasks",
      path = "DataRepositoryTasks[].Lifecycle", typical = 1200, good = "SUCCEEDED",
      bad = "FAILED CANCELED",
      reason = "DataRepositoryTasks[0].FailureDetails.Message" },
  },
  drs = {
    -- A job is COMPLETED even when servers failed to launch: those end the wait badly.
    JobCompleted = { operation = "DescribeJobs", path = "items[].status", typical = 1200, also = {
      { matcher = "path",
        argument = "length(items) > `0` && length(items[?status!='COMPLETED']) == `0` && "
        .. "length(items[].participatingServers[?launchStatus=='FAILED'][]) > `0`",
        expected = true, state = "failure", because = "a server failed to launch" },
      { matcher = "pathAll", argument = "items[].status", expected = "COMPLETED",
        state = "success" } } },
    SourceServerReady = { operation = "DescribeSourceServers", typical = 1200, good = "CONTINUOUS",
      path = "items[].dataReplicationInfo.dataReplicationState", bad = "STOPPED DISCONNECTED",
      reason = "items[0].dataReplicationInfo.dataReplicationError.rawError" },
    FailbackReady = { operation = "DescribeRecoveryInstances", typical = 1200,
      path = "items[].failback.state",
      good = "FAILBACK_READY_FOR_LAUNCH FAILBACK_COMPLETED", bad = "FAILBACK_ERROR" },
  },
  globalaccelerator = {
    AcceleratorDeployed = { operation = "DescribeAccelerator", path = "[Accelerator.Status]",
      typical = 120,
      good = "DEPLOYED" },
  },
  health = {
    EventClosed = { operation = "DescribeEventDetails", path = "successfulSet[].event.statusCode",
      typical = 3600,
      good = "closed", reason = "successfulSet[0].eventDescription.latestDescription" },
    AffectedEntitiesResolved = { operation = "DescribeAffectedEntities",
      path = "entities[].statusCode", typical = 3600,
      good = "UNIMPAIRED RESOLVED" },
  },
  ["route53-recovery-cluster"] = {
    RoutingControlOn = { operation = "GetRoutingControlState", path = "[RoutingControlState]",
      typical = 10,
      good = "On" },
    RoutingControlOff = { operation = "GetRoutingControlState", path = "[RoutingControlState]",
      typical = 10,
      good = "Off" },
  },
  ["route53-recovery-readiness"] = {
    ReadinessCheckReady = { operation = "GetReadinessCheckStatus", path = "[Readiness]",
      typical = 60, good = "READY",
      bad = "NOT_AUTHORIZED", reason = "Messages[0].MessageText" },
    CellReady = { operation = "GetCellReadinessSummary", path = "[Readiness]", typical = 60,
      good = "READY",
      bad = "NOT_AUTHORIZED" },
    RecoveryGroupReady = { operation = "GetRecoveryGroupReadinessSummary", path = "[Readiness]",
      typical = 60,
      good = "READY", bad = "NOT_AUTHORIZED" },
  },
  ["arc-region-switch"] = {
    PlanExecutionCompleted = { operation = "GetPlanExecution", path = "[executionState]",
      typical = 1800,
      good = "completed completedWithExceptions completedMonitoringApplicationHealth",
      bad = "failed canceled planExecutionTimedOut" },
  },
  rds = {
    -- After a rename the new identifier is unknown for a while.
    DBInstanceRenamed = { operation = "DescribeDBInstances",
      path = "DBInstances[].DBInstanceStatus", typical = 300,
      good = "available",
      bad = "failed deleting incompatible-restore incompatible-parameters incompatible-network",
      absent = "DBInstanceNotFound DBInstanceNotFoundFault" },
    DBClusterRenamed = { operation = "DescribeDBClusters", path = "DBClusters[].Status",
      typical = 300, good = "available",
      bad = "failed deleting inaccessible-encryption-credentials",
      absent = "DBClusterNotFoundFault DBClusterNotFound" },
    -- A promoted replica is no replica any more, available, with nothing pending.
    ReadReplicaPromoted = { operation = "DescribeDBInstances",
      path = "DBInstances[].DBInstanceStatus", typical = 300,
      bad = "failed deleting incompatible-restore incompatible-parameters "
        .. "incompatible-network storage-full",
      also = is_true(
        "length(DBInstances) > `0` && length(DBInstances[?DBInstanceStatus!='available' || "
        .. "ReadReplicaSourceDBInstanceIdentifier || "
        .. "ReadReplicaSourceDBClusterIdentifier]) == `0`") },
    -- Available, and no change of its settings pending or under way: security groups are
    -- adding or removing, and parameter groups applying, while the status is available.
    DBInstanceSettled = { operation = "DescribeDBInstances",
      path = "DBInstances[].DBInstanceStatus", typical = 300,
      bad = "failed deleting incompatible-restore incompatible-parameters "
        .. "incompatible-network storage-full",
      also = is_true(
        "length(DBInstances) > `0` && length(DBInstances[?DBInstanceStatus!='available' || "
        .. "length(keys(PendingModifiedValues || `{}`)) > `0` || "
        .. "length((VpcSecurityGroups || `[]`)[?Status!='active']) > `0` || "
        .. "length((DBParameterGroups || `[]`)[?ParameterApplyStatus=='applying']) > `0` || "
        .. "length((StatusInfos || `[]`)[?StatusType=='read replication' && "
        .. "Status!='replicating']) > `0`]) == `0`") },
    ExportTaskCompleted = { operation = "DescribeExportTasks", path = "ExportTasks[].Status",
      typical = 1800, good = "COMPLETE", bad = "FAILED CANCELED",
      reason = "ExportTasks[0].FailureCause",
      progress = "ExportTasks[0].PercentProgress" },
    GlobalClusterAvailable = { operation = "DescribeGlobalClusters",
      path = "GlobalClusters[].Status", typical = 600,
      good = "available",
      bad = "deleting failed" },
    DBProxyAvailable = { operation = "DescribeDBProxies", path = "DBProxies[].Status",
      typical = 600, good = "available",
      bad = "deleting incompatible-network insufficient-resource-limits" },
  },
  dynamodb = {
    TableActive = { operation = "DescribeTable", path = "[Table.TableStatus]", typical = 60,
      good = "ACTIVE",
      bad = "INACCESSIBLE_ENCRYPTION_CREDENTIALS ARCHIVED", absent = "ResourceNotFoundException" },
    TableRestored = { operation = "DescribeTable", path = "[Table.TableStatus]", typical = 1200,
      good = "ACTIVE",
      bad = "INACCESSIBLE_ENCRYPTION_CREDENTIALS ARCHIVED DELETING",
      absent = "ResourceNotFoundException" },
    BackupAvailable = { operation = "DescribeBackup",
      path = "[BackupDescription.BackupDetails.BackupStatus]",
      typical = 30, good = "AVAILABLE", bad = "DELETED" },
    ReplicasActive = { operation = "DescribeTable", path = "Table.Replicas[].ReplicaStatus",
      typical = 600,
      good = "ACTIVE",
      bad = "CREATION_FAILED INACCESSIBLE_ENCRYPTION_CREDENTIALS REPLICATION_NOT_AUTHORIZED" },
  },
  ecs = {
    -- The model's ServicesStable counts tasks; this one also wants the deployment
    -- itself done, and ends when the circuit breaker gave up.
    DeploymentCompleted = { operation = "DescribeServices", typical = 180,
      path = "services[].deployments[?status=='PRIMARY'].rolloutState[]", good = "COMPLETED",
      bad = "FAILED",
      reason = "services[0].deployments[?status=='PRIMARY'].rolloutStateReason | [0]" },
  },
  logs = {
    QueryComplete = { operation = "GetQueryResults", path = "[status]", typical = 10,
      good = "Complete",
      bad = "Failed Cancelled Timeout" },
  },
  athena = {
    QuerySucceeded = { operation = "GetQueryExecution", path = "[QueryExecution.Status.State]",
      typical = 20,
      good = "SUCCEEDED", bad = "FAILED CANCELLED",
      reason = "QueryExecution.Status.StateChangeReason" },
  },
  ssm = {
    AutomationSucceeded = { operation = "GetAutomationExecution",
      path = "[AutomationExecution.AutomationExecutionStatus]", typical = 300,
      good = "Success CompletedWithSuccess", reason = "AutomationExecution.FailureMessage",
      bad = "TimedOut Cancelled Failed Rejected CompletedWithFailure Exited" },
  },
  stepfunctions = {
    ExecutionSucceeded = { operation = "DescribeExecution", path = "[status]", typical = 300,
      good = "SUCCEEDED",
      bad = "FAILED TIMED_OUT ABORTED", reason = "cause" },
  },
  codebuild = {
    BuildSucceeded = { operation = "BatchGetBuilds", path = "builds[].buildStatus", typical = 300,
      good = "SUCCEEDED",
      bad = "FAILED FAULT TIMED_OUT STOPPED" },
  },
  fis = {
    ExperimentCompleted = { operation = "GetExperiment", path = "[experiment.state.status]",
      typical = 600,
      good = "completed", bad = "stopped failed cancelled", reason = "experiment.state.reason" },
  },
  datasync = {
    TaskExecutionSucceeded = { operation = "DescribeTaskExecution", path = "[Status]",
      typical = 1200, good = "SUCCESS",
      bad = "ERROR", reason = "Result.ErrorDetail" },
  },
}

--- The waits of a service (its name in the models), by name: `{ operation, acceptors,
-- typical, state_path, reason_path, progress_path }`; an empty table when it has none.
function waits.of(service)
  local made = {}
  for name, line in pairs(TABLE[service] or {}) do made[name] = wait(line) end
  return made
end

--- The services that have waits here, sorted.
function waits.services()
  local list = {}
  for service in pairs(TABLE) do table.insert(list, service) end
  table.sort(list)
  return list
end

return waits
