-- run.settle: what becomes of a call whose answer never came.
local t = require "harness"
local clock = require "native.clock"
local errors = require "errors"
local secrets = require "run.secrets"
local settle = require "run.settle"

local function session(answer)
  return { secrets = secrets.new(), now = clock.now, ask_settled = function() return answer end,
    go_on = function() end, note = function() end }
end

-- Looks with a fake client: answers is a list of what each read finds, in order.
local function look(name, input, answers, sent)
  local service, operation = name:match("^(.-)%.(.*)$")
  local n = 0
  local e = { kind = "aws", service = service, operation = operation, call = function()
    n = math.min(n + 1, #answers)
    if answers[n] == "gone" then
      errors.raise { kind = "aws", code = "DBInstanceNotFound", message = "gone" }
    end
    return answers[n]
  end }
  return settle.look(session(), e, { input = input, at = sent or clock.now() - 3600 })
end

local function instance(fields)
  return { DBInstances = { fields } }
end

t.test("a promotion: its source tells, and while it changes its end is waited for", function()
  local input = { DBInstanceIdentifier = "r" }
  t.equal((look("rds.PromoteReadReplica", input, { instance { DBInstanceStatus = "available" } })),
    "stands")
  t.equal((look("rds.PromoteReadReplica", input, {
    instance { DBInstanceStatus = "available", ReadReplicaSourceDBInstanceIdentifier = "p" } })),
    "absent")
  t.equal((look("rds.PromoteReadReplica", input, {
    instance { DBInstanceStatus = "modifying", ReadReplicaSourceDBInstanceIdentifier = "p" },
    instance { DBInstanceStatus = "backing-up" } })), "stands")
  t.equal((look("rds.PromoteReadReplica", input, { "gone" })), nil)
end)

t.test("a promotion is waited for no longer when the real clock was set back since", function()
  local real = clock.now
  t.cleanup(function() clock.now = real end)
  clock.now = function() return real() - 6 * 3600 end
  local e = { kind = "aws", service = "rds", operation = "PromoteReadReplica", call = function()
    return instance { DBInstanceStatus = "available", ReadReplicaSourceDBInstanceIdentifier = "p" }
  end }
  local s = session()
  s.now = real
  t.equal((settle.look(s, e, { input = { DBInstanceIdentifier = "r" }, at = real() - 40 })),
    "absent")
end)

t.test("a creation: the name in the intent, unless what has it is older", function()
  local input = { DBInstanceIdentifier = "x" }
  t.equal((look("rds.CreateDBInstance", input, { "gone" })), "absent")
  local verdict, answer = look("rds.CreateDBInstance", input, {
    instance { DBInstanceIdentifier = "x", InstanceCreateTime = clock.now() } })
  t.equal(verdict, "stands")
  t.equal(answer.DBInstance.DBInstanceIdentifier, "x")
  t.equal((look("rds.CreateDBInstance", input, {
    instance { DBInstanceIdentifier = "x", InstanceCreateTime = clock.now() - 864000 } })),
    "absent")
end)

t.test("a rename: the new name, the old one, or neither for a while", function()
  local input = { DBInstanceIdentifier = "a", NewDBInstanceIdentifier = "b" }
  t.equal((look("rds.ModifyDBInstance", input, { instance { DBInstanceIdentifier = "b" } })),
    "stands")
  t.equal((look("rds.ModifyDBInstance", input,
    { "gone", instance { DBInstanceStatus = "available" } })), "absent")
  t.equal((look("rds.ModifyDBInstance", input, { "gone", "gone" })), nil)
  t.equal((look("rds.ModifyDBInstance", input,
    { "gone", "gone", instance { DBInstanceIdentifier = "b" } },
    clock.now())), "stands")
  t.equal((look("rds.ModifyDBInstance", { DBInstanceIdentifier = "a" }, {})), nil)
end)

t.test("a deletion that is done or under way stands", function()
  local input = { DBInstanceIdentifier = "a" }
  t.equal((look("rds.DeleteDBInstance", input, { "gone" })), "stands")
  t.equal((look("rds.DeleteDBInstance", input, { instance { DBInstanceStatus = "deleting" } })),
    "stands")
  t.equal((look("rds.DeleteDBInstance", input, { instance { DBInstanceStatus = "available" } })),
    "absent")
end)

t.test("a reboot can be told only while it lasts, or where "
  .. "parameters still wait for one", function()
  local input = { DBInstanceIdentifier = "a" }
  t.equal((look("rds.RebootDBInstance", input, { instance { DBInstanceStatus = "rebooting" } })),
    "stands")
  t.equal((look("rds.RebootDBInstance", input, { instance { DBInstanceStatus = "available",
    DBParameterGroups = { { ParameterApplyStatus = "pending-reboot" } } } })), "absent")
  t.equal((look("rds.RebootDBInstance", input, { instance { DBInstanceStatus = "available" } })),
    nil)
end)

t.test("a look that fails tells nothing, and nothing is sent on its account", function()
  local e = { kind = "aws", service = "rds", operation = "CreateDBInstance",
    call = function() errors.raise { kind = "timeout", message = "region does not answer" } end }
  local verdict, _, failed = settle.look(session(), e, { input = { DBInstanceIdentifier = "x" } })
  t.equal(verdict, nil)
  t.equal(failed.kind, "timeout")
  t.raises("does not answer", settle.decide, session("again"), {}, e,
    { input = { DBInstanceIdentifier = "x" } })
end)

local function decide(e, step, answer)
  return (settle.decide(session(answer), step or {}, e, { input = e.input }))
end

t.test("the order: token, look, what may be repeated, the operator", function()
  t.equal(decide { kind = "aws", service = "backup", operation = "StartBackupJob",
    token_member = "IdempotencyToken" },
    "again")
  t.equal(decide { kind = "aws", service = "ecs", operation = "UpdateService", input = {} },
    "again")
  t.equal(decide({ kind = "aws", service = "sns", operation = "Publish", input = {} }, nil, "done"),
    "again")
  -- What publishes a version makes another one each time.
  t.equal(decide({ kind = "aws", service = "lambda", operation = "PublishVersion", input = {} },
    nil, "done"), "stands")
  t.equal(decide { kind = "file", repeatable = true }, "again")
  t.equal(decide({ kind = "process" }, { repeatable = true }), "again")
  t.equal(decide({ kind = "process" }, nil, "done"), "stands")
  t.equal(decide({ kind = "process" }, nil, "again"), "again")
  t.equal(decide { kind = "sql", input = { sql = "CREATE TABLE IF NOT EXISTS x (a int)" } },
    "again")
  t.equal(decide({ kind = "sql", input = { sql = "insert into x values (1)" } }, nil, "done"),
    "stands")
  t.equal(decide({ kind = "sql",
    input = { sql = "drop table if exists x; insert into y values (1)" } }, nil, "done"),
    "stands")
end)

t.test("which failures leave it open whether there was an effect", function()
  for _, kind in ipairs { "timeout", "reset", "closed" } do
    t.equal(settle.doubtful { kind = kind }, true)
  end
  t.equal(settle.doubtful { kind = "aws", in_doubt = true }, true)
  t.equal(settle.doubtful { kind = "aws", code = "AccessDenied" }, false)
  t.equal(settle.doubtful { kind = "refused" }, false)
end)

t.test("what does not exist is known by every service's code for it", function()
  for _, code in ipairs { "DBInstanceNotFound", "NoSuchKey",
    "AWS.SimpleQueueService.NonExistentQueue",
      "UnknownResourceException", "404" } do
    t.ok(settle.is_not_found(errors.new { kind = "aws", code = code, message = "no" }), code)
  end
  for _, code in ipairs { "AccessDenied", "KMSKeyNotAccessibleFault", "KMSNotFoundException" } do
    t.ok(not settle.is_not_found(errors.new { kind = "aws", code = code, message = "no" }), code)
  end
  t.ok(not settle.is_not_found(errors.new { kind = "timeout", message = "no" }))
end)
