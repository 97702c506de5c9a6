--- Settling a call in doubt: it left, and no response is on record.
--
-- In this order: a rule looks for what the call would have left behind; the operation's
-- idempotency token makes sending it again the same call; an operation that does no more
-- when sent twice is sent again; the step's `goal` is asked; else the operator decides.
-- Never a guess.
--
-- A rule is named "service.Operation". It gets `call` (another operation by the same
-- client, reads only), the input, and `look`:
--   answer  what the call was answered, when it was
--   sent    when it was sent last, in seconds by AWS's clock as far as it is known
--   first   when it was sent first
--   there   something of that name was there before
--   rest    function(seconds, why): waits, and may say for what
-- It returns true and the answer that the call would have had when its effect is there,
-- false when it is not, nil when it cannot tell.
local absence = require "absence"
local clock = require "native.clock"
local errors = require "errors"
local fs = require "native.fs"
local task = require "task"

local settle = {}

local rules = {}

-- Rules of operations that make something under a name: whether it is there.
local there_by_name = {}

--- True for an error that says that the thing asked for does not exist.
settle.is_not_found = absence.says

-- Calls and returns the answer; nil, true when the thing does not exist. Other
-- failures are raised.
local function ask(call, operation, input)
  local answer, e = errors.try(call, operation, input)
  if answer ~= nil then return answer end
  if settle.is_not_found(e) then return nil, true end
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

-- For a while after AWS has accepted a promotion the instance looks as it did: only one
-- that has not changed within this many seconds of the call was not promoted by it.
local PROMOTION_LAG = 30

rules["rds.PromoteReadReplica"] = function(call, input, look)
  local give_up = clock.monotonic() + math.max(0, PROMOTION_LAG - (clock.now() - look.sent))
  while true do
    local found = instance(call, input.DBInstanceIdentifier)
    if not found then return nil end
    local source = found.ReadReplicaSourceDBInstanceIdentifier
    if source == nil or source == "" then return true, { DBInstance = found } end
    if found.DBInstanceStatus ~= "available" then
      give_up = math.max(give_up, clock.monotonic() + 10) -- under way: its end decides
    elseif clock.monotonic() >= give_up then
      return false
    end
    look.rest(1)
  end
end

-- One that was there before, or is clearly older than the call, or was made from
-- something else, was not made by it: sending the call again then gets AWS's own refusal.
local CLOCKS_APART = 300

local function is_namesake(look, made)
  if look.answer then return false end
  return look.there or type(made) == "number" and made < look.first - CLOCKS_APART
end

-- A rule for what is made under a name. find(call, input): the thing or nil; born: the
-- member with its time of creation; member: of the answer; same(found, input): made from
-- what the input names.
local function by_name(operation, find, born, member, same)
  there_by_name[operation] = find
  rules[operation] = function(call, input, look)
    local found = find(call, input)
    if not found then return false end
    if is_namesake(look, found[born]) or same and not same(found, input) then return false end
    return true, { [member] = found }
  end
end

local function named_instance(member)
  return function(call, input) return instance(call, input[member]) end
end

for operation, member in pairs {
  CreateDBInstance = "DBInstanceIdentifier", CreateDBInstanceReadReplica = "DBInstanceIdentifier",
  RestoreDBInstanceFromDBSnapshot = "DBInstanceIdentifier",
  RestoreDBInstanceFromS3 = "DBInstanceIdentifier",
  RestoreDBInstanceToPointInTime = "TargetDBInstanceIdentifier",
} do
  by_name("rds." .. operation, named_instance(member), "InstanceCreateTime", "DBInstance")
end

-- In the middle of a rename neither name exists, for some minutes of AWS's.
local RENAME_GAP = 600

rules["rds.ModifyDBInstance"] = function(call, input, look)
  local new = input.NewDBInstanceIdentifier
  if not new then return nil end -- the values are absolute: it may be sent again
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
    if clock.now() - look.sent >= RENAME_GAP then return nil end
    look.rest(1, ("a rename of %s to %s is under way, neither name is there: waiting for one, "
      .. "10 minutes at most"):format(input.DBInstanceIdentifier, new))
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
  -- Parameters that still wait for a reboot show that there was none.
  for _, group in ipairs(found.DBParameterGroups or {}) do
    if group.ParameterApplyStatus == "pending-reboot" then return false end
  end
  return nil
end

-- The last word of an ARN, or the name itself.
local function name_in(arn) return arn and arn:match("[^:]*$") end

local function snapshot(call, input)
  local answer = ask(call, "DescribeDBSnapshots", {
    DBSnapshotIdentifier = input.TargetDBSnapshotIdentifier or input.DBSnapshotIdentifier })
  return answer and answer.DBSnapshots and answer.DBSnapshots[1]
end

by_name("rds.CreateDBSnapshot", snapshot, "SnapshotCreateTime", "DBSnapshot",
  function(found, input)
    return found.DBInstanceIdentifier == nil
      or found.DBInstanceIdentifier == input.DBInstanceIdentifier
  end)
-- A copy has the time of its original; its source says what it is a copy of.
by_name("rds.CopyDBSnapshot", snapshot, "", "DBSnapshot", function(found, input)
  local source = found.SourceDBSnapshotIdentifier
  return source == nil or name_in(source) == name_in(input.SourceDBSnapshotIdentifier)
end)
rules["rds.DeleteDBSnapshot"] = function(call, input)
  local found = snapshot(call, input)
  return found == nil, { DBSnapshot = found }
end

local function named_cluster(call, input) return cluster(call, input.DBClusterIdentifier) end

for _, operation in ipairs { "CreateDBCluster", "RestoreDBClusterFromSnapshot",
  "RestoreDBClusterToPointInTime" } do
  by_name("rds." .. operation, named_cluster, "ClusterCreateTime", "DBCluster")
end
rules["rds.DeleteDBCluster"] = function(call, input)
  local found = cluster(call, input.DBClusterIdentifier)
  if found and found.Status ~= "deleting" then return false end
  return true, { DBCluster = found }
end

-- A cluster that is still failing over has not decided yet who its writer is. AWS's
-- status changes some seconds after it has accepted the call.
local FAILOVER_LAG = 10
local FAILOVER_GAP = 600

rules["rds.FailoverDBCluster"] = function(call, input, look)
  local target = input.TargetDBInstanceIdentifier
  if not target then return nil end
  local give_up = clock.monotonic() + math.max(0, FAILOVER_LAG - (clock.now() - look.sent))
  while true do
    local found = cluster(call, input.DBClusterIdentifier)
    if not found then return nil end
    for _, member in ipairs(found.DBClusterMembers or {}) do
      if member.DBInstanceIdentifier == target and member.IsClusterWriter then
        return true, { DBCluster = found }
      end
    end
    if found.Status ~= "available" then
      if clock.now() - look.sent >= FAILOVER_GAP then return nil end
      look.rest(1, ("cluster %s is %s: waiting for its writer, 10 minutes at most"):format(
        input.DBClusterIdentifier, tostring(found.Status)))
    elseif clock.monotonic() >= give_up then
      return false
    else
      look.rest(1)
    end
  end
end

rules["rds.PromoteReadReplicaDBCluster"] = function(call, input)
  local found = cluster(call, input.DBClusterIdentifier)
  if not found then return nil end
  local source = found.ReplicationSourceIdentifier
  return source == nil or source == "", { DBCluster = found }
end

-- Record sets: an UPSERT declares a state and is sent again; CREATE and DELETE are not.
rules["route53.ChangeResourceRecordSets"] = function(_, input)
  for _, change in ipairs(input.ChangeBatch and input.ChangeBatch.Changes or {}) do
    if change.Action ~= "UPSERT" then return nil end
  end
  return false
end

local function table_named(member)
  return function(call, input)
    local answer = ask(call, "DescribeTable", { TableName = input[member] })
    return answer and answer.Table
  end
end

by_name("dynamodb.CreateTable", table_named "TableName", "CreationDateTime", "TableDescription")
by_name("dynamodb.RestoreTableFromBackup", table_named "TargetTableName", "CreationDateTime",
  "TableDescription", function(found, input)
    local source = found.RestoreSummary and found.RestoreSummary.SourceBackupArn
    return source == nil or source == input.BackupArn
  end)
by_name("dynamodb.RestoreTableToPointInTime", table_named "TargetTableName", "CreationDateTime",
  "TableDescription")

-- A job by the id that an earlier attempt was answered: it stands unless it failed.
rules["backup.StartRestoreJob"] = function(call, _, look)
  local id = look.answer and look.answer.RestoreJobId
  if not id then return nil end
  local job = ask(call, "DescribeRestoreJob", { RestoreJobId = id })
  if not job then return false end
  local good = { PENDING = true, RUNNING = true, COMPLETED = true }
  return good[job.Status] or false, look.answer
end

rules["backup.StartBackupJob"] = function(call, _, look)
  local id = look.answer and look.answer.BackupJobId
  if not id then return nil end
  local job = ask(call, "DescribeBackupJob", { BackupJobId = id })
  if not job then return false end
  local bad = { FAILED = true, ABORTED = true, EXPIRED = true, PARTIAL = true, ABORTING = true }
  return not bad[job.State], look.answer
end

-- Operations that declare a state, and do nothing more when sent again; and messages,
-- which are sent at least once.
local repeatable = { "^Put", "^Tag", "^Untag", "^AddTags", "^RemoveTags", "^Enable", "^Disable",
  "^Update", "^Modify", "^Set", "^Register", "^Deregister", "^Associate", "^Disassociate",
  "^Suspend", "^Resume", "^Delete", "^Attach", "^Detach", "^Upsert", "^Publish$",
  "^PublishBatch$" }

-- Statements that declare a state.
local function declares_state(e)
  local statement = e.kind == "sql" and type(e.input) == "table" and e.input.sql
  if type(statement) ~= "string" or statement:find(";%s*%S") then return false end
  statement = statement:lower():gsub("%s+", " ")
  return statement:find("^ ?create [%w ]-if not exists ") ~= nil
    or statement:find("^ ?drop [%w ]-if exists ") ~= nil
end

--- True for a call that does no more when it is sent twice, by its kind or by the
-- author's word.
function settle.is_repeatable(step, e)
  if e.repeatable or step.repeatable or declares_state(e) then return true end
  if e.kind ~= "aws" then return false end
  for _, pattern in ipairs(repeatable) do
    if e.operation:find(pattern) then return true end
  end
  return false
end

-- Failures after which the call may have taken effect all the same.
local unanswered = { timeout = true, reset = true, closed = true, io = true }

--- True for an error that leaves open whether the call `e` took effect: no response, a
-- response of a server that failed on the way, a program that was ended.
function settle.doubtful(failed, e)
  if failed.doubtful ~= nil then return failed.doubtful end
  if failed.in_doubt or failed.retried_in_doubt then return true end
  if e and e.kind == "http" and failed.status then
    return failed.status >= 500 and failed.status ~= 501 or failed.status == 408
  end
  if e and e.kind == "process" and failed.signal then return true end
  return unanswered[failed.kind] or false
end

-- Operations of which "no longer there" means that they have to be made again.
local makes = { "^Create", "^Restore", "^Start", "^Copy", "^Run" }

local function makes_something(e)
  for _, pattern in ipairs(makes) do
    if e.operation:find(pattern) then return true end
  end
  return false
end

-- A file that was written and is gone has to be written again.
local function look_at_file(e, answer)
  local path = e.input and (e.input.to or e.input.path)
  if answer == nil or type(path) ~= "string" or e.operation == "remove" then return nil end
  if fs.stat(path) then return "stands" end
  return "absent"
end

--- Looks for the effect of a call. answer: what an earlier attempt was answered, or nil.
-- Returns "stands" and the answer, "absent", or nil when no rule can tell; with an error
-- in third place when the look itself failed.
function settle.look(s, e, intent, answer)
  if e.kind == "file" then return look_at_file(e, answer) end
  local rule = e.kind == "aws" and rules[e.service .. "." .. e.operation]
  if not rule or not e.call or not intent.input then return nil end
  if answer ~= nil and not makes_something(e) then return nil end
  local said
  local function rest(seconds, why)
    s:go_on()
    if why and said ~= why then s:note(why) end
    said = why
    task.sleep(seconds)
  end
  -- By the real clock, as AWS's times are; how long ago it was, by the run's.
  local function real(at) return clock.now() - (s:now() - (at or s:now())) end
  local ok, there, found = pcall(rule, e.call, s.secrets:reveal(intent.input), {
    answer = answer, sent = real(intent.at), first = real(intent.first or intent.at),
    there = intent.there, rest = rest })
  if not ok then return nil, nil, errors.from(there) end
  if there == nil then return nil end
  return there and "stands" or "absent", there and (found or {}) or nil
end

--- Whether something of the name that the call would give is there already; nil where
-- that does not matter or cannot be found out.
function settle.stood_before(s, e)
  local find = e.kind == "aws" and e.call and there_by_name[e.service .. "." .. e.operation]
  if not find or e.input == nil then return nil end
  local ok, found = pcall(find, e.call, e.input)
  s:go_on()
  if ok and found then return true end
  return nil
end

local function ask_operator(s, step, e, intent)
  local word = s:ask_settled(step, e, intent)
  if word == "done" then return "stands", {}, "the operator says that it took effect" end
  return "again", nil, "the operator says that it took no effect; sent again"
end

--- Decides about a call in doubt: "stands", its answer and why; or "again", nil, why, and
-- true where it may have taken effect all the same.
-- Raises a pause when only the operator can know and nobody is there to ask.
function settle.decide(s, step, e, intent)
  local verdict, answer, failed = settle.look(s, e, intent)
  if verdict == "stands" then return "stands", answer, "a look shows that it took effect" end
  if verdict == "absent" then
    return "again", nil, "a look shows that it took no effect; sent again"
  end
  if e.token_member then
    return "again", nil, "sent again under the same idempotency token", true
  end
  if settle.is_repeatable(step, e) then return "again", nil, "sent again, which is safe", true end
  if step.ask_goal then
    if step.ask_goal() then return "stands", {}, "the step's goal is reached" end
    return "again", nil, "the step's goal is not reached; sent again"
  end
  -- Nobody can be asked sensibly while AWS does not answer: the step fails, and a
  -- resume looks again.
  if failed then error(failed, 0) end
  return ask_operator(s, step, e, intent)
end

--- Decides about a call in doubt whose place another call takes: it is not sent again, so
-- a rule or the operator must know.
function settle.former(s, step, e, intent)
  local verdict, answer, failed = settle.look(s, e, intent)
  if verdict == "stands" then return "stands", answer, "a look shows that it took effect" end
  if verdict == "absent" then return "absent", nil, "a look shows that it took no effect" end
  if failed then error(failed, 0) end
  return ask_operator(s, step, e, intent)
end

return settle
