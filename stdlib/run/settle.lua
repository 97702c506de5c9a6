--- Settling a call in doubt: it left, and no answer is on record.
--
-- In this order: the operation's idempotency token makes sending it again the same
-- call; a rule looks for what the call would have left behind; an operation that
-- does no more when sent twice is sent again; else the operator decides. Never a
-- guess.
--
-- A rule is named "service.Operation". It gets `call` (another operation by the same
-- client, reads only), the input, the answer when an earlier attempt had one, the
-- time of the call, and `rest`, which waits so many seconds and may say for what; it
-- returns true and the answer that the call would have had when its effect is there,
-- false when it is not, nil when it cannot tell.
local clock = require "native.clock"
local errors = require "errors"
local task = require "task"

local settle = {}

local rules = {}

--- True for an error that says that the thing asked for does not exist.
function settle.gone(e)
  local code = e and e.code or ""
  return code:find("NotFound") ~= nil or code:find("NoSuch") ~= nil or code:find("DoesNotExist") ~= nil
end

-- Calls and returns the answer; nil, true when the thing does not exist. Other
-- failures are raised.
local function ask(call, operation, input)
  local answer, e = errors.try(call, operation, input)
  if answer ~= nil then return answer end
  if settle.gone(e) then return nil, true end
  error(e, 0)
end

local function instance(call, identifier)
  local answer = ask(call, "DescribeDBInstances", { DBInstanceIdentifier = identifier })
  return answer and answer.DBInstances and answer.DBInstances[1]
end

local function cluster(call, identifier)
  local answer = ask(call, "DescribeDBClusters", { DBClusterIdentifier = identifier })
  return answer and answer.DBClusters and answer.DBClusters[1]
end

-- RDS: the identifier in the intent is the name that only this call gives.

-- For a while after AWS has accepted a promotion the instance stands as it did: only
-- one that has not changed within this many seconds of the call was not told.
local PROMOTION_LAG = 30

rules["rds.PromoteReadReplica"] = function(call, input, _, sent, rest)
  local give_up = clock.monotonic() + math.max(0, PROMOTION_LAG - (clock.now() - sent))
  while true do
    local found = instance(call, input.DBInstanceIdentifier)
    if not found then return nil end
    local source = found.ReadReplicaSourceDBInstanceIdentifier
    if source == nil or source == "" then return true, { DBInstance = found } end
    if found.DBInstanceStatus ~= "available" then
      give_up = math.max(give_up, clock.monotonic() + 10) -- under way: its end tells
    elseif clock.monotonic() >= give_up then
      return false
    end
    rest(1)
  end
end

-- One that is clearly older than the call was not made by it: sending the call again
-- then gets AWS's own refusal.
local CLOCKS_APART = 300

local function older(made, sent)
  return type(made) == "number" and made < sent - CLOCKS_APART
end

local function instance_there(member)
  return function(call, input, _, sent)
    local found = instance(call, input[member])
    if found and older(found.InstanceCreateTime, sent) then return false end
    return found ~= nil, found and { DBInstance = found }
  end
end

rules["rds.CreateDBInstance"] = instance_there "DBInstanceIdentifier"
rules["rds.CreateDBInstanceReadReplica"] = instance_there "DBInstanceIdentifier"
rules["rds.RestoreDBInstanceFromDBSnapshot"] = instance_there "DBInstanceIdentifier"
rules["rds.RestoreDBInstanceFromS3"] = instance_there "DBInstanceIdentifier"
rules["rds.RestoreDBInstanceToPointInTime"] = instance_there "TargetDBInstanceIdentifier"

-- In the middle of a rename neither name exists, for some minutes of AWS's.
local RENAME_GAP = 600

rules["rds.ModifyDBInstance"] = function(call, input, _, sent, rest)
  local new = input.NewDBInstanceIdentifier
  if not new then return false end -- the values are absolute: the same again
  while true do
    local found = instance(call, new)
    if found then return true, { DBInstance = found } end
    local old = instance(call, input.DBInstanceIdentifier)
    if old then
      -- Still under its old name: a rename that has begun shows as pending.
      local pending = old.PendingModifiedValues and old.PendingModifiedValues.DBInstanceIdentifier
      local begun = pending ~= nil or old.DBInstanceStatus == "renaming"
      return begun, begun and { DBInstance = old } or nil
    end
    if clock.now() - sent >= RENAME_GAP then return nil end
    rest(1, ("a rename of %s to %s is under way, neither name is there: waiting for one, 10 minutes at most"):format(
      input.DBInstanceIdentifier, new))
  end
end

rules["rds.DeleteDBInstance"] = function(call, input)
  local found = instance(call, input.DBInstanceIdentifier)
  if found and found.DBInstanceStatus ~= "deleting" then return false end
  return true, { DBInstance = found }
end

rules["rds.RebootDBInstance"] = function(call, input)
  local found = instance(call, input.DBInstanceIdentifier)
  if not found then return nil end
  if found.DBInstanceStatus == "rebooting" then return true, { DBInstance = found } end
  -- Parameters that still wait for a reboot say that there was none.
  for _, group in ipairs(found.DBParameterGroups or {}) do
    if group.ParameterApplyStatus == "pending-reboot" then return false end
  end
  return nil
end

local function snapshot(call, input)
  local answer = ask(call, "DescribeDBSnapshots", {
    DBSnapshotIdentifier = input.TargetDBSnapshotIdentifier or input.DBSnapshotIdentifier })
  local found = answer and answer.DBSnapshots and answer.DBSnapshots[1]
  return found ~= nil, found and { DBSnapshot = found }
end

rules["rds.CreateDBSnapshot"] = snapshot
rules["rds.CopyDBSnapshot"] = snapshot
rules["rds.DeleteDBSnapshot"] = function(call, input)
  local there, found = snapshot(call, input)
  return not there, found
end

local function cluster_there(call, input)
  local found = cluster(call, input.DBClusterIdentifier)
  return found ~= nil, found and { DBCluster = found }
end

rules["rds.CreateDBCluster"] = cluster_there
rules["rds.RestoreDBClusterFromSnapshot"] = cluster_there
rules["rds.RestoreDBClusterToPointInTime"] = cluster_there
rules["rds.DeleteDBCluster"] = function(call, input)
  local found = cluster(call, input.DBClusterIdentifier)
  if found and found.Status ~= "deleting" then return false end
  return true, { DBCluster = found }
end

rules["rds.FailoverDBCluster"] = function(call, input)
  local found = cluster(call, input.DBClusterIdentifier)
  local target = input.TargetDBInstanceIdentifier
  if not found or not target then return nil end
  for _, member in ipairs(found.DBClusterMembers or {}) do
    if member.DBInstanceIdentifier == target then
      return member.IsClusterWriter and true or false, { DBCluster = found }
    end
  end
end

rules["rds.PromoteReadReplicaDBCluster"] = function(call, input)
  local found = cluster(call, input.DBClusterIdentifier)
  if not found then return nil end
  local source = found.ReplicationSourceIdentifier
  return source == nil or source == "", { DBCluster = found }
end

-- Record sets: UPSERT says what shall be; CREATE and DELETE are looked for.
rules["route53.ChangeResourceRecordSets"] = function(_, input)
  for _, change in ipairs(input.ChangeBatch and input.ChangeBatch.Changes or {}) do
    if change.Action ~= "UPSERT" then return nil end
  end
  return false
end

rules["dynamodb.RestoreTableFromBackup"] = function(call, input)
  local answer = ask(call, "DescribeTable", { TableName = input.TargetTableName })
  return answer ~= nil, answer and { TableDescription = answer.Table }
end
rules["dynamodb.RestoreTableToPointInTime"] = rules["dynamodb.RestoreTableFromBackup"]

rules["dynamodb.CreateTable"] = function(call, input)
  local answer = ask(call, "DescribeTable", { TableName = input.TableName })
  return answer ~= nil, answer and { TableDescription = answer.Table }
end

-- A job by the id that an earlier attempt was answered: it stands unless it failed.
rules["backup.StartRestoreJob"] = function(call, _, answer)
  if not (answer and answer.RestoreJobId) then return nil end
  local job = ask(call, "DescribeRestoreJob", { RestoreJobId = answer.RestoreJobId })
  if not job then return false end
  return job.Status == "PENDING" or job.Status == "RUNNING" or job.Status == "COMPLETED", answer
end

rules["backup.StartBackupJob"] = function(call, _, answer)
  if not (answer and answer.BackupJobId) then return nil end
  local job = ask(call, "DescribeBackupJob", { BackupJobId = answer.BackupJobId })
  if not job then return false end
  local bad = { FAILED = true, ABORTED = true, EXPIRED = true, PARTIAL = true, ABORTING = true }
  return not bad[job.State], answer
end

-- Operations that state what shall be, and do nothing more when sent again; and
-- messages: better told twice than never.
local repeatable = { "^Put", "^Tag", "^Untag", "^AddTags", "^RemoveTags", "^Enable", "^Disable", "^Update",
  "^Modify", "^Set", "^Register", "^Deregister", "^Associate", "^Disassociate", "^Suspend", "^Resume",
  "^Delete", "^Attach", "^Detach", "^Upsert", "^Publish$",
  "^PublishBatch$" }

-- Statements that state what shall be.
local function says_what_shall_be(e)
  local statement = e.kind == "sql" and type(e.input) == "table" and e.input.sql
  if type(statement) ~= "string" or statement:find(";%s*%S") then return false end
  statement = statement:lower():gsub("%s+", " ")
  return statement:find("^ ?create [%w ]-if not exists ") ~= nil or statement:find("^ ?drop [%w ]-if exists ") ~= nil
end

local function is_repeatable(step, e)
  if e.repeatable or step.repeatable or says_what_shall_be(e) then return true end
  if e.kind ~= "aws" then return false end
  for _, pattern in ipairs(repeatable) do
    if e.operation:find(pattern) then return true end
  end
  return false
end

-- Failures after which the call may have had its effect all the same.
local unanswered = { timeout = true, reset = true, closed = true, io = true }

--- True for an error that leaves open whether the call had its effect.
function settle.doubtful(e)
  return unanswered[e.kind] or e.in_doubt or e.retried_in_doubt or false
end

--- Looks for the effect of a call. Returns "stands" and the answer, "absent", or nil
-- when no rule can tell; with an error in third place when the look itself failed.
function settle.look(s, e, intent, answer)
  local rule = e.kind == "aws" and rules[e.service .. "." .. e.operation]
  if not rule or not e.call or not intent.input then return nil end
  local said
  local function rest(seconds, why)
    s:go_on()
    if why and said ~= why then s:note(why) end
    said = why
    task.sleep(seconds)
  end
  -- By the real clock, as AWS's times are; how long ago it was, by the run's.
  local sent = clock.now() - (s:now() - (intent.at or s:now()))
  local ok, there, found = pcall(rule, e.call, s.secrets:reveal(intent.input), answer, sent, rest)
  if not ok then return nil, nil, errors.from(there) end
  if there == nil then return nil end
  return there and "stands" or "absent", there and (found or {}) or nil
end

--- Decides about a call in doubt: "stands", its answer and why; or "again" and why.
-- Raises a pause when only the operator can know and nobody is there to ask.
function settle.decide(s, step, e, intent)
  if e.token_member then return "again", nil, "sent again under the same idempotency token" end
  local verdict, answer, failed = settle.look(s, e, intent)
  if verdict == "stands" then return "stands", answer, "a look shows that it had its effect" end
  if verdict == "absent" then return "again", nil, "a look shows that it had no effect; sent again" end
  if is_repeatable(step, e) then return "again", nil, "sent again, which is safe" end
  -- Nobody can be asked sensibly while AWS does not answer: the step fails, and a
  -- resume looks again.
  if failed then error(failed, 0) end
  local word = s:ask_settled(step, e, intent)
  if word == "done" then return "stands", {}, "the operator says that it had its effect" end
  return "again", nil, "the operator says that it had no effect; sent again"
end

return settle
