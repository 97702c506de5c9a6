--- How long AWS takes, in seconds of AWS's time: the least, the typical and the longest
-- documented or reported value of each change, with its grade and its source.
--
-- Grades: A recorded from AWS or in a document of AWS's; B AWS's own code, or several
-- independent reports; C one report, inference or assumption. "A/C": a statement without
-- figures. The longest value is no bound. docs/simulator.md names the sources.
local errors = require "errors"
local fields = require "sim.fields"
local nearest = require "nearest"

local durations = {}

-- id -> { least, typical, longest, grade }; base and per_gb: seconds that the typical
-- value is computed from where a size is known.
durations.rows = {
  ["rds.create"] = { 240, 420, 1200, "A/B", what = "RDS instance created, Single-AZ, small",
    source = "REC twice (MariaDB, db.r3.large, 5 GB): InstanceCreateTime 221 s after "
      .. "the call, available at 247 s at the latest; TF acceptance runs "
      .. "(PR#23560): ..." },
  ["rds.restore_snapshot"] = { 300, 600, 3600, "A/B",
    what = "RDS restored from a snapshot until first available or backing-up",
    source = "REC (PostgreSQL, db.m4.large, 5 GB, retention 7; test_rds_restore, "
      .. "2017): InstanceCreateTime 267 s, LatestRestorableTime 341 s after the "
      .. "call, ..." },
  ["rds.first_backup"] = { 60, 1800, 10800, "B/C",
    what = "backing-up after a restore, a promotion or retention 0 to n",
    source = "TF#44104: \"2-3 hours (depending on DB size)\", said to be enforced since "
      .. "2025; REC: 5 GB restored in 2017 was backed up within 276 s; API ...", base = 120,
      per_gb = 6 },
  ["rds.lazy_load"] = { 0, 3600, 86400, "A/C",
    what = "full speed after a restore (first read of each block comes from S3)",
    source = "RDS-UG Restoring from a DB snapshot; no figure published" },
  ["rds.pitr"] = { 600, 1800, 21600, "C", what = "RDS point-in-time restore until available",
    source = "REPOST rds-point-in-time-restore-issues (causes); figures inference" },
  ["rds.latest_restorable_lag"] = { 93, 316, 526, "A", what = "age of LatestRestorableTime",
    source = "REC 27 readings" },
  ["rds.promote"] = { 120, 300, 1800, "A/C", what = "PromoteReadReplica until it takes writes",
    source = "RDS-UG: \"a few minutes\", \"several minutes or longer\"" },
  ["rds.rename"] = { 60, 600, 900, "A", what = "rename until the new name works",
    source = "RDS-UG: \"in about 10 minutes\"; old name gone at once, cached for "
      .. "minutes. terraform#6094: create, rename and delete 1,345 s, against 599 "
      .. "s without ..." },
  ["rds.rename_multi_az_cluster"] = { 60, 120, 300, "A", what = "rename of a Multi-AZ DB cluster",
    source = "RDS-UG Renaming a Multi-AZ DB cluster" },
  ["rds.reboot"] = { 20, 90, 600, "A/C", what = "reboot without failover",
    source = "REC 243 s at most; RDS-UG: \"momentary\"" },
  ["rds.multi_az_failover"] = { 60, 90, 120, "A", what = "Multi-AZ instance failover, outage",
    source = "RDS-UG: \"typically 60-120 seconds\"; new AZ shown minutes later" },
  ["rds.multi_az_cluster_failover"] = { 10, 30, 35, "A",
    what = "Multi-AZ DB cluster failover, outage",
    source = "RDS-UG: \"typically under 35 seconds\"" },
  ["rds.modify_class"] = { 420, 1200, 2400, "C", what = "class changed, whole",
    source = "an event log of 2021: 1,199 s in all, database down 77 s (To Nha Notes)" },
  ["rds.modify_class_outage"] = { 60, 120, 900, "A/C", what = "class changed, outage",
    source = "REPOST rds-performance-impact; dev.to" },
  ["rds.status_lag"] = { 2, 10, 46, "A/C", what = "call accepted until the status shows it",
    source = "REC: not yet after 1 to 2 s, yes after 46 s; cluster start shown after 2 "
      .. "s; boto3#609" },
  ["rds.security_group"] = { 5, 30, 120, "C", what = "security group adding or removing",
    source = "inference" },
  ["rds.parameter_group_applying"] = { 10, 60, 300, "C",
    what = "parameter group applying, then pending-reboot",
    source = "inference" },
  ["rds.storage_grow"] = { 60, 180, 600, "A/C", what = "storage grown until storage-optimization",
    source = "REC 553 s at most; an event log 165 s" },
  ["rds.storage_optimization"] = { 3600, 14400, 86400, "A", what = "storage-optimization",
    source = "REPOST rds-stuck-in-storage-optimization; RDS-UG" },
  ["rds.snapshot"] = { 60, 180, 3600, "A/C", what = "manual snapshot",
    source = "REC 93 s at most" },
  ["rds.snapshot_copy_region"] = { 120, 360, 14400, "A/C", what = "snapshot copied across regions",
    source = "REC: slot free between 121 and 362 s" },
  ["rds.replica_create"] = { 300, 900, 7200, "B", what = "read replica created",
    source = "TF acceptance (PR#20926): 1,500 to 1,822 s for source + replica + deletion" },
  ["rds.delete"] = { 60, 300, 1200, "B", what = "instance deleted",
    source = "TF acceptance runs" },
  ["rds.stop"] = { 120, 300, 1200, "C", what = "instance stopped",
    source = "inference" },
  ["rds.start"] = { 180, 420, 1800, "C", what = "instance started",
    source = "inference" },
  ["aurora.failover"] = { 10, 30, 60, "A", what = "Aurora failover with a replica, outage",
    source = "AUR-UG: typically less than 60 s, often less than 30 s" },
  ["aurora.failover_alone"] = { 120, 400, 600, "A", what = "Aurora failover without a replica",
    source = "AUR-UG: typically less than 10 min" },
  ["aurora.endpoint_dns"] = { 1, 15, 30, "A", what = "cluster endpoint's DNS record moved",
    source = "AUR-UG Fast failover" },
  ["aurora.restore"] = { 600, 1800, 7200, "B",
    what = "Aurora cluster restored, cluster plus first instance",
    source = "REPOST aurora-mysql-snapshot-restore-options; aws-sdk#826 (instances 20 "
      .. "min); terraform#8051 (over 30 min); TF#37154 (over 2 h)" },
  ["aurora.global_failover"] = { 60, 480, 1800, "B/C", what = "FailoverGlobalCluster, whole",
    source = "keycloak-benchmark#445: around 8 min; AWS workshop: under a minute for "
      .. "the promotion" },
  ["aurora.global_lag"] = { 0, 1, 10, "A", what = "replication lag of a global database (RPO)",
    source = "AWS workshop: typically under 1 s" },
  ["route53.insync"] = { 10, 35, 60, "A", what = "PENDING to INSYNC",
    source = "R53-UG: generally within 60 s" },
  ["route53.ttl"] = { 60, 300, 86400, "A/C", what = "resolvers drop the old answer",
    source = "R53-UG; inference" },
  ["route53.health_check"] = { 30, 90, 150, "A", what = "health check turns",
    source = "API HealthCheckConfig" },
  ["route53.accelerated_recovery"] = { 3600, 3600, 7200, "A",
    what = "record changes possible again after loss of us-east-1, if switched on before",
    source = "R53-UG Accelerated recovery" },
  ["ecs.task_start"] = { 62, 72, 122, "A", what = "Fargate task created to started",
    source = "REC 4 tasks: 62, 70, 74, 122 s" },
  ["ecs.target_healthy"] = { 5, 30, 60, "A", what = "new target initial to healthy",
    source = "ECS-UG Optimize load balancer health check parameters" },
  ["ecs.target_drain"] = { 0, 300, 3600, "A", what = "deregistration delay",
    source = "API; ECS-UG" },
  ["ecs.task_stop"] = { 5, 30, 120, "A", what = "SIGTERM to STOPPED",
    source = "API StopTask" },
  ["ecs.deployment"] = { 120, 480, 1800, "B", what = "rolling update until stable",
    source = "sum of the rows above; TF#16012: delay of 5 min eats half the waiter's 10" },
  ["dynamodb.restore"] = { 600, 1800, 3600, "A/C", what = "table restored",
    source = "DDB-UG: 95 % under one hour, 5 % longer" },
  ["dynamodb.latest_restorable_lag"] = { 300, 300, 300, "A",
    what = "age of LatestRestorableDateTime",
    source = "DDB-UG: typically 5 min" },
  ["dynamodb.backup"] = { 1, 60, 600, "A", what = "on-demand backup restorable",
    source = "DDB-UG: processed at once, available within minutes" },
  ["dynamodb.create"] = { 5, 15, 60, "C", what = "table created",
    source = "inference" },
  ["eks.cluster"] = { 480, 720, 1200, "A/B", what = "EKS cluster created",
    source = "EKS-UG: about 15 min (auto mode), else several minutes; a Terraform log: "
      .. "513 s (DevopsArtFactory/terraform-provisioning#46)" },
  ["eks.nodegroup"] = { 90, 180, 600, "A/C", what = "managed node group created",
    source = "EKS-UG: several minutes; rancher2#966: 20 min with the cluster" },
  ["elbv2.create"] = { 90, 150, 300, "A", what = "load balancer active and targets registered",
    source = "EKS-UG: 2-3 min" },
  ["backup.start"] = { 10, 60, 28800, "A/C", what = "StartBackupJob CREATED to RUNNING",
    source = "API StartBackupJob; devguide" },
  ["backup.restore_rds"] = { 420, 900, 7200, "C", what = "RDS restore job",
    source = "inference" },
  ["autoscaling.instance"] = { 120, 420, 900, "A/C", what = "one instance launched and warm",
    source = "ASG-UG" },
  ["autoscaling.instance_refresh"] = { 300, 4200, 14400, "A/C",
    what = "instance refresh of a group",
    source = "ASG-UG Default values" },
  ["ec2.start"] = { 30, 120, 600, "C",
    what = "StopInstances or StartInstances to running with checks",
    source = "inference" },
  ["cloudformation.stack"] = { 60, 900, 10800, "B", what = "stack",
    source = "CFN; API waiter" },
  ["acm.issue"] = { 120, 600, 4500, "B", what = "DNS validation to ISSUED",
    source = "TF default limit 75 min (was 45), TF#9338: over 1 h seen; CDK#2914: 5 "
      .. "min was too short" },
  ["lambda.update"] = { 1, 5, 90, "A", what = "update until Successful",
    source = "API CreateFunction" },
  ["cloudwatch.rds_metric"] = { 60, 120, 300, "C", what = "RDS metric available",
    source = "inference" },
  ["cloudwatch.alarm"] = { 60, 180, 600, "C", what = "alarm turns",
    source = "inference" },
  ["wafv2.propagate"] = { 5, 60, 600, "A", what = "WAF change everywhere",
    source = "API UpdateWebACL: from a few seconds to a number of minutes" },
  ["iam.propagate"] = { 2, 10, 60, "B", what = "role or policy effective",
    source = "Terraform's limit of 2 min for propagation; inference" },
  ["kms.delete"] = { 604800, 2592000, 2592000, "A", what = "scheduled deletion",
    source = "API ScheduleKeyDeletion" },
  ["secretsmanager.rotate"] = { 5, 30, 600, "C", what = "rotation by Lambda",
    source = "inference" },
  ["region.control_plane_outage"] = { 3600, 18000, 52000, "A",
    what = "control plane of a region impaired",
    source = "aws.amazon.com/message/101925" },
  ["rds.modify"] = { 10, 60, 600, "C",
    what = "change without an outage (password, retention, groups)",
    source = "assumed" },
  ["rds.promote_reboot"] = { 20, 60, 300, "C", what = "reboot inside a promotion, at its end",
    source = "RDS-UG says that there is one; figures assumed" },
  ["rds.rename_gap"] = { 20, 60, 300, "C", what = "reboot at the end of a rename",
    source = "boto3#609 (order); figures assumed" },
  ["rds.daily_backup"] = { 30, 120, 1800, "C", what = "backing-up in the daily window",
    source = "assumed: changed blocks of a day" },
  ["aurora.create"] = { 60, 180, 600, "C", what = "cluster created, without instances",
    source = "assumed" },
  ["aurora.member"] = { 240, 420, 1200, "C", what = "instance added to a cluster",
    source = "as rds.create; aws-sdk#826 has 20 min after a restore" },
  ["autoscaling.reaction"] = { 60, 120, 600, "C", what = "policy lifts a service to its minimum",
    source = "assumed; stricter than AWS, which waits for an alarm" },
  ["backup.copy_rds"] = { 120, 360, 14400, "C", what = "copy job of an RDS recovery point",
    source = "as rds.snapshot_copy_region" },
  ["ecs.scheduler"] = { 5, 15, 60, "C", what = "one step of a service's scheduler",
    source = "assumed" },
}

--- Ages of LatestRestorableTime in seconds, recorded from PostgreSQL instances.
durations.restorable_ages = { 93, 202, 203, 213, 216, 224, 228, 270, 287, 310, 321, 399, 418, 453,
  526 }

local COLUMN = { fast = 1, typical = 2, slow = 3 }

local Profile = {}
Profile.__index = Profile

local function refuse(text, ...)
  errors.raise { kind = "invalid", message = "durations: " .. text:format(...) }
end

local function ids()
  local list = {}
  for id in pairs(durations.rows) do table.insert(list, id) end
  table.sort(list)
  return list
end

local function override(id, value)
  if not durations.rows[id] then
    refuse("there is no \"%s\"%s", tostring(id), nearest.hint(tostring(id), ids()))
  end
  local seconds = fields.duration(value)
  if not seconds then refuse("%s must be seconds or text such as \"15m\"", id) end
  return seconds
end

--- Whether this names a choice of durations.
function durations.is_choice(name) return COLUMN[name] ~= nil end

--- A choice of durations. given: "fast" (the least values), "typical", "slow" (the longest),
-- or a table { base = one of these, [id] = seconds or text such as "15m", ... }; nil:
-- typical.
function durations.profile(given)
  if type(given) ~= "table" then given = { base = given } end
  local base = given.base or "typical"
  if not COLUMN[base] then refuse("\"%s\" is none of fast, typical and slow", tostring(base)) end
  local own = {}
  for id, value in pairs(given) do
    if id ~= "base" then own[id] = override(id, value) end
  end
  return setmetatable({ base = base, own = own }, Profile)
end

--- Seconds that a change takes; gigabytes: of what it grows with, where that is known.
function Profile:seconds(id, gigabytes)
  if self.own[id] then return self.own[id] end
  local row = durations.rows[id] or refuse("there is no \"%s\"", id)
  if row.per_gb and gigabytes and self.base == "typical" then
    return math.min(row[3], row.base + row.per_gb * gigabytes)
  end
  return row[COLUMN[self.base]]
end

return durations
