local t = require "harness"
local duration = require "duration"
local effect = require "effect"
local errors = require "errors"
local observer = require "aws.observer"
local task = require "task"
local waiter = require "aws.waiter"

-- A client whose answers are scripted and whose clock is ours.
local function fake(answers, options)
  options = options or {}
  local now = 0
  local self = { service = options.service or "rds", region = "us-west-2", calls = 0, slept = {},
    share_key = options.share_key or tostring(answers) }
  self.clock = {
    monotonic = function() return now end,
    sleep = function(seconds)
      table.insert(self.slept, seconds) now = now + seconds task.yield()
    end,
    random = function() return 0.5 end,
  }
  self.model = { waiters = function() return options.waiters end, operation = function() end }
  self.check = function() end
  self.try_direct = function(_, operation)
    self.operation_asked = operation
    self.calls = self.calls + 1
    now = now + 0.01
    local answer = answers[math.min(self.calls, #answers)]
    if type(answer) == "function" then answer = answer(self) end
    if errors.is(answer) then return nil, answer end
    return answer
  end
  return self
end

local AVAILABLE = { DBInstanceAvailable = { operation = "DescribeDBInstances", delay = 30,
  maxAttempts = 60,
  acceptors = {
    { matcher = "pathAll", argument = "DBInstances[].DBInstanceStatus", state = "success",
      expected = "available" },
    { matcher = "pathAny", argument = "DBInstances[].DBInstanceStatus", state = "failure",
      expected = "failed" },
  } }, DBInstanceDeleted = { operation = "DescribeDBInstances", delay = 30, maxAttempts = 60,
  acceptors = {
  { matcher = "path", argument = "length(DBInstances) == `0`", state = "success", expected = true },
  { matcher = "error", state = "success", expected = "DBInstanceNotFound" },
} } }

local function instance(status, more)
  local found = { DBInstanceStatus = status }
  for k, v in pairs(more or {}) do found[k] = v end
  return { DBInstances = { found } }
end

local function aws_error(fields)
  fields.kind, fields.message = fields.kind or "aws", fields.message or fields.code
  return errors.new(fields)
end

local INPUT = { DBInstanceIdentifier = "app-dr" }

t.test("a wait ends with the answer that satisfied it", function()
  local client = fake({ instance "creating", instance "backing-up", instance "available" },
    { waiters = AVAILABLE })
  local page = waiter.wait(client, "db_instance_available", INPUT)
  t.equal(page.DBInstances[1].DBInstanceStatus, "available")
  t.equal(client.calls, 3)
  t.equal(client.operation_asked, "DescribeDBInstances")
end)

t.test("polls are quick at first and slow down to a rate by the typical duration", function()
  local answers = {}
  for i = 1, 100 do answers[i] = instance "creating" end
  table.insert(answers, instance "available")
  local client = fake(answers, { waiters = AVAILABLE })
  waiter.wait(client, "db_instance_available", INPUT)
  t.equal(client.slept[1], 0.25)
  t.ok(client.slept[100] == 15, "every 15 s for what takes 5 minutes, got " .. client.slept[100])
  for i = 2, 100 do t.ok(client.slept[i] >= client.slept[i - 1]) end
end)

t.test("a terminal state ends the wait with its name and reason", function()
  local broken = instance("failed", { StatusReason = "the parameter group is broken" })
  local client = fake({ broken }, { waiters = AVAILABLE })
  local e = t.raises("rds.db_instance_available of app%-dr in us%-west%-2 cannot "
    .. "succeed: its state is failed "
    .. "%(the parameter group is broken%)", waiter.wait, client, "db_instance_available", INPUT)
  t.equal(e.kind, "failed")
  t.equal(e.state, "failed")
  t.equal(e.reason, "the parameter group is broken")
end)

t.test("throttles, dropped connections, 5xx and silence never end a wait", function()
  local client = fake({
    aws_error { code = "Throttling", status = 400, retryable = true, throttled = true },
    aws_error { kind = "reset", message = "connection reset", retryable = true },
    aws_error { code = "InternalFailure", status = 500, retryable = true },
    aws_error { kind = "timeout", message = "region us-west-2 does not answer", retryable = true },
    instance "available",
  }, { waiters = AVAILABLE })
  waiter.wait(client, "db_instance_available", INPUT)
  t.equal(client.calls, 5)
  t.ok(client.slept[1] >= 2, "a throttle slows the polls down")
end)

t.test("a refusal ends a wait at once", function()
  local client = fake({ aws_error { code = "AccessDenied", status = 403, message = "no" } },
    { waiters = AVAILABLE })
  local e = t.raises("cannot succeed: no", waiter.wait, client, "db_instance_available", INPUT)
  t.equal(e.code, "AccessDenied")
  t.equal(client.calls, 1)
end)

t.test("an error can be the success that is waited for", function()
  local gone = aws_error { code = "DBInstanceNotFound", status = 404 }
  local client = fake({ instance "deleting", gone }, { waiters = AVAILABLE })
  t.equal(waiter.wait(client, "db_instance_deleted", INPUT), {})
  client = fake({ { DBInstances = {} } }, { waiters = AVAILABLE })
  waiter.wait(client, "db_instance_deleted", INPUT)
end)

t.test("after a rename the new identifier is unknown for a while", function()
  local missing = aws_error { code = "DBInstanceNotFound", status = 404 }
  local client = fake { missing, missing, instance "available" }
  waiter.wait(client, "db_instance_renamed", INPUT)
  t.equal(client.calls, 3)
end)

t.test("a promotion is over when the source link is gone too", function()
  local client = fake { instance("available", { ReadReplicaSourceDBInstanceIdentifier = "app" }),
    instance "modifying", instance "available" }
  waiter.wait(client, "read_replica_promoted", INPUT)
  t.equal(client.calls, 3)
end)

t.test("time runs out in words, with the last state", function()
  local client = fake({ instance "creating" }, { waiters = AVAILABLE })
  local e = t.raises("did not come within 10m: its state is creating; wait longer with timeout=",
    waiter.wait, client, "db_instance_available", INPUT, { timeout = "10m" })
  t.equal(e.kind, "timeout")
  t.equal(e.state, "creating")
  local slept = 0
  for _, seconds in ipairs(client.slept) do slept = slept + seconds end
  t.ok(slept > 590 and slept <= 600, "until the very end, got " .. slept)
end)

t.test("the models' attempts do not end a wait", function()
  local answers = {}
  for i = 1, 90 do answers[i] = instance "creating" end
  table.insert(answers, instance "available")
  local client = fake(answers,
    { waiters = { DBInstanceAvailable = { operation = "DescribeDBInstances", delay = 5,
    maxAttempts = 3, acceptors = AVAILABLE.DBInstanceAvailable.acceptors } } })
  waiter.wait(client, "db_instance_available", INPUT)
  t.equal(client.calls, 91)
end)

t.test("many waits on one question share its answers", function()
  local calls = 0
  local state = { "creating", "creating", "creating", "available" }
  local key = {}
  local work = {}
  local shared_now = 0
  for i = 1, 20 do
    local client = fake({ function()
      calls = calls + 1
      task.yield()
      return instance(state[math.min(calls, #state)])
    end }, { waiters = AVAILABLE, share_key = tostring(key) })
    client.clock.monotonic = function() shared_now = shared_now + 1e-6 return shared_now end
    client.clock.sleep = function(seconds)
      task.sleep(0.001) shared_now = math.max(shared_now, seconds)
    end
    work[i] = function() waiter.wait(client, "db_instance_available", INPUT) end
  end
  task.all(work)
  t.ok(calls <= 8, "20 waits, 4 states, " .. calls .. " calls")
end)

t.test("a wait does not take an answer from before it began", function()
  local client = fake({ instance "available", instance "modifying", instance "available" },
    { waiters = AVAILABLE })
  waiter.wait(client, "db_instance_available", INPUT)
  waiter.wait(client, "db_instance_available", INPUT)
  t.equal(client.calls, 3)
end)

t.test("progress is told to whoever watches", function()
  local events = {}
  local former = observer.install(function(event) table.insert(events, event) end)
  t.cleanup(function() observer.install(former) end)
  local client = fake({ { Status = "RUNNING", PercentDone = "40.0%" }, { Status = "COMPLETED" } },
    { service = "backup" })
  waiter.wait(client, "restore_job_completed", { RestoreJobId = "r-1" })
  t.equal(#events, 1)
  t.equal(events[1].state, "RUNNING")
  t.equal(events[1].progress, "40.0%")
  t.equal(events[1].resource, "r-1")
  t.ok(events[1].next_poll > 0)
end)

t.test("a handler hears how far a wait is", function()
  local heard = {}
  local former = effect.install(function(e, fn)
    e.progress = function(text) table.insert(heard, text) end
    return fn()
  end)
  t.cleanup(function() effect.install(former) end)
  local client = fake({ { Status = "PENDING" }, { Status = "RUNNING", PercentDone = "40.0%" },
    { Status = "COMPLETED" } }, { service = "backup" })
  waiter.wait(client, "restore_job_completed", { RestoreJobId = "r-1" })
  t.equal(heard, { "PENDING", "RUNNING, 40.0%" })
end)

t.test("every bad end of a restore job ends the wait", function()
  for _, state in ipairs { "ABORTED", "FAILED", "PARTIAL" } do
    local client = fake({ { Status = state, StatusMessage = "because" } }, { service = "backup" })
    local e = t.raises("its state is " .. state .. " %(because%)", waiter.wait, client,
      "restore_job_completed", { RestoreJobId = "r-1" })
    t.equal(e.kind, "failed")
  end
end)

t.test("a drs job that is COMPLETED with a failed server has failed", function()
  local client = fake(
    { { items = { { status = "COMPLETED", participatingServers = { { launchStatus = "LAUNCHED" },
    { launchStatus = "FAILED" } } } } } }, { service = "drs" })
  t.raises("a server failed to launch", waiter.wait, client, "job_completed",
    { filters = { jobIDs = { "j" } } })
end)

t.test("an instance refresh, a group, a deployment", function()
  local client = fake(
    { { InstanceRefreshes = { { Status = "RollbackSuccessful", StatusReason = "unhealthy" },
    { Status = "Successful" } } } }, { service = "autoscaling" })
  t.raises("RollbackSuccessful %(unhealthy%)", waiter.wait, client, "instance_refresh_successful",
    {})
  local function group(n)
    local instances = {}
    for i = 1, n do instances[i] = { LifecycleState = "InService", HealthStatus = "Healthy" } end
    instances[n + 1] = { LifecycleState = "Pending", HealthStatus = "Healthy" }
    return { AutoScalingGroups = { { MinSize = 2, Instances = instances } } }
  end
  client = fake({ group(1), group(2) }, { service = "autoscaling" })
  waiter.wait(client, "group_in_service", { AutoScalingGroupNames = { "web" } })
  t.equal(client.calls, 2)
  client = fake({ { services = { { deployments = { { status = "PRIMARY", rolloutState = "FAILED",
    rolloutStateReason = "circuit breaker" }, { status = "ACTIVE",
    rolloutState = "COMPLETED" } } } } } }, { service = "ecs" })
  t.raises("FAILED %(circuit breaker%)", waiter.wait, client, "deployment_completed", {})
end)

t.test("an unknown wait names the nearest; a wrong timeout is refused", function()
  local client = fake({}, { waiters = AVAILABLE })
  local e = t.raises("rds has no wait db_instance_availble; did you mean db_instance_available%?",
    waiter.wait, client, "db_instance_availble", INPUT)
  t.equal(e.kind, "misuse")
  t.raises("timeout: \"soon\" is no duration", waiter.wait, client, "db_instance_available", INPUT,
    { timeout = "soon" })
  t.equal(duration.parse("10m"), 600)
end)

t.test("under a run's handler a wait is one effect, told apart from calls", function()
  local seen
  local former = effect.install(function(e) seen = e return "stopped" end)
  t.cleanup(function() effect.install(former) end)
  local client = fake({}, { waiters = AVAILABLE })
  t.equal(waiter.wait(client, "db_instance_available", INPUT), "stopped")
  t.ok(seen.wait and seen.read)
  t.equal(seen.waiter, "db_instance_available")
  t.contains(seen.what, "wait for rds.db_instance_available of app-dr in us-west-2")
  t.equal(client.calls, 0)
end)

t.test("a cancelled wait leaves nothing behind", function()
  local client = fake({ instance "creating" }, { waiters = AVAILABLE })
  client.clock.sleep = task.sleep
  client.clock.monotonic = function() return 0 end
  local waiting = task.spawn(function() waiter.wait(client, "db_instance_available", INPUT) end)
  task.yield()
  waiting:cancel()
  t.equal(t.raises("cancelled", waiting.wait, waiting).kind, "cancelled")
end)

t.test("every wait of ours compiles", function()
  local waits = require "aws.waits"
  for _, service in ipairs(waits.services()) do
    local client = fake({ {} }, { service = service })
    for _, name in ipairs(waiter.names(client)) do
      local e = t.raises("", waiter.wait, client, name, {}, { timeout = 1 })
      t.equal(e.kind, "timeout", service .. "." .. name)
    end
  end
end)
