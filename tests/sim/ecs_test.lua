local client = require "client"
local sim = require "sim"
local t = require "harness"

local function started(world)
  local s = sim.start { speed = 1000, world = world or { ecs = { { cluster = "shop", services = {
    { name = "web", desired = 3 }, { name = "worker", desired = 1 } } } } } }
  t.cleanup(function() s:stop() end)
  return s
end

local function service(s, name)
  return client.ok(s, "ecs", "DescribeServices",
    { cluster = "shop", services = { name } }).services[1]
end

local function scale(s, name, count)
  return client.ok(s, "ecs", "UpdateService",
    { cluster = "shop", service = name, desiredCount = count }).service
end

t.test("a world's services run steadily from the start", function()
  local s = started()
  local web = service(s, "web")
  t.equal(web.runningCount, 3)
  t.equal(web.deployments[1].rolloutState, "COMPLETED")
  t.equal(#client.ok(s, "ecs", "ListTasks", { cluster = "shop", serviceName = "web" }).taskArns, 3)
  local missing = client.ok(s, "ecs", "DescribeServices",
    { cluster = "shop", services = { "web", "none" } })
  t.equal(missing.failures[1].reason, "MISSING")
end)

t.test("running follows desired over time, down and up", function()
  local s = started()
  s.clock:set_speed(100)
  t.equal(scale(s, "web", 0).runningCount, 3)
  client.until_true("zero", function() return service(s, "web").runningCount == 0 end)
  scale(s, "web", 2)
  client.until_true("a pending task", function() return service(s, "web").pendingCount == 2 end)
  client.until_true("two running", function() return service(s, "web").runningCount == 2 end)
  client.until_true("steady",
    function() return service(s, "web").events[1].message:find("steady state", 1, true) end)
end)

t.test("a deployment replaces tasks, keeping as many running as desired", function()
  local s = started()
  s.clock:set_speed(100)
  local definition = client.ok(s, "ecs", "RegisterTaskDefinition",
    { family = "web", containerDefinitions = {
    { name = "web", image = "web:2" } } }).taskDefinition
  t.equal(definition.revision, 2)
  local before = client.ok(s, "ecs", "ListTasks",
    { cluster = "shop", serviceName = "web" }).taskArns
  client.ok(s, "ecs", "UpdateService",
    { cluster = "shop", service = "web", taskDefinition = "web:2" })
  t.equal(#service(s, "web").deployments, 2)
  local lowest = 99
  client.until_true("the deployment", function()
    local web = service(s, "web")
    lowest = math.min(lowest, web.runningCount)
    return #web.deployments == 1 and web.deployments[1].rolloutState == "COMPLETED"
  end)
  t.equal(lowest, 3)
  local after = client.ok(s, "ecs", "ListTasks", { cluster = "shop", serviceName = "web" }).taskArns
  t.equal(#after, 3)
  for _, arn in ipairs(after) do
    for _, old in ipairs(before) do t.ok(arn ~= old, "an old task is still there") end
  end
end)

t.test("what is not there, or not scaled down, is refused", function()
  local s = started()
  client.fails(s, "ClusterNotFoundException", "ecs", "ListServices", { cluster = "none" })
  client.fails(s, "ServiceNotFoundException", "ecs", "UpdateService",
    { cluster = "shop", service = "none" })
  client.fails(s, "ClientException", "ecs", "DescribeTaskDefinition", { taskDefinition = "none" })
  client.fails(s, "InvalidParameterException", "ecs", "DeleteService",
    { cluster = "shop", service = "web" })
  client.fails(s, "ClusterContainsServicesException", "ecs", "DeleteCluster", { cluster = "shop" })
  client.ok(s, "ecs", "DeleteService", { cluster = "shop", service = "web", force = true })
  client.fails(s, "ServiceNotActiveException", "ecs", "UpdateService",
    { cluster = "shop", service = "web" })
end)

t.test("a scaled service is lifted to its minimum, unless scaling out is suspended", function()
  local s = started { ecs = { { cluster = "shop", services = { { name = "web", desired = 3 } } } },
    scaling = { { cluster = "shop", service = "web", min = 2, max = 8 } } }
  local target = { ServiceNamespace = "ecs", ResourceId = "service/shop/web",
    ScalableDimension = "ecs:service:DesiredCount",
    SuspendedState = { DynamicScalingInSuspended = true,
      DynamicScalingOutSuspended = true, ScheduledScalingSuspended = true } }
  client.ok(s, "application-autoscaling", "RegisterScalableTarget", target)
  scale(s, "web", 0)
  s.clock:advance(1000)
  t.equal(service(s, "web").desiredCount, 0)
  target.SuspendedState.DynamicScalingOutSuspended = false
  client.ok(s, "application-autoscaling", "RegisterScalableTarget", target)
  s.clock:advance(1000)
  t.equal(service(s, "web").desiredCount, 2)
  local seen = client.ok(s, "application-autoscaling", "DescribeScalableTargets",
    { ServiceNamespace = "ecs",
    ResourceIds = { "service/shop/web" } }).ScalableTargets[1]
  t.equal(seen.MinCapacity, 2)
  client.fails(s, "ObjectNotFoundException", "application-autoscaling",
    "DeregisterScalableTarget", {
    ServiceNamespace = "ecs", ResourceId = "service/shop/none",
    ScalableDimension = "ecs:service:DesiredCount" })
end)

t.test("a target's minimum above its maximum is refused, at first and later", function()
  local s = sim.start {}
  t.cleanup(function() s:stop() end)
  local function register(least, most)
    return client.call(s, "application-autoscaling", "RegisterScalableTarget",
      { ServiceNamespace = "ecs",
      ResourceId = "service/shop/web", ScalableDimension = "ecs:service:DesiredCount",
      MinCapacity = least,
      MaxCapacity = most })
  end
  for _, pair in ipairs { { 9, 2 }, { -1, 2 } } do
    local _, e = register(pair[1], pair[2])
    t.equal(e and e.code, "ValidationException")
  end
  t.ok(register(1, 3))
  t.equal(select(2, register(4, nil)).code, "ValidationException")
  t.ok(register(4, 8))
end)

-- Tasks of the service by their status.
local function statuses(s, name)
  local seen = {}
  for _, desired in ipairs { "RUNNING", "STOPPED" } do
    local arns = client.ok(s, "ecs", "ListTasks", { cluster = "shop", serviceName = name,
      desiredStatus = desired }).taskArns
    if #arns > 0 then
      for _, one in ipairs(client.ok(s, "ecs", "DescribeTasks", { cluster = "shop",
        tasks = arns }).tasks) do
        seen[one.lastStatus] = (seen[one.lastStatus] or 0) + 1
      end
    end
  end
  return seen
end

t.test("a task that stops is not counted any more, and lives on for minutes", function()
  local s = started { durations = { ["ecs.scheduler"] = 10, ["ecs.target_drain"] = 300,
    ["ecs.task_stop"] = 30 },
    ecs = { { cluster = "shop", services = { { name = "web", desired = 2,
      load_balancers = { { targetGroupArn = "arn:x", containerName = "web",
      containerPort = 80 } } } } } } }
  s.clock:set_speed(1)
  local asked = scale(s, "web", 0)
  t.equal({ asked.desiredCount, asked.runningCount }, { 0, 2 })
  s.clock:advance(11)
  t.equal({ service(s, "web").runningCount, statuses(s, "web") }, { 0, { DEACTIVATING = 2 } })
  s.clock:advance(301)
  t.equal(statuses(s, "web"), { STOPPING = 2 })
  s.clock:advance(31)
  t.equal(statuses(s, "web"), { STOPPED = 2 })
  s.clock:advance(3601)
  t.equal(statuses(s, "web"), {})
end)

t.test("StopTask answers RUNNING; a service that is deleted drains", function()
  local s = started { durations = { ["ecs.scheduler"] = 10, ["ecs.task_stop"] = 30,
    ["ecs.task_start"] = 70 },
    ecs = { { cluster = "shop", services = { { name = "web", desired = 2 } } } } }
  s.clock:set_speed(1)
  local arns = client.ok(s, "ecs", "ListTasks", { cluster = "shop", serviceName = "web" }).taskArns
  local stopped = client.ok(s, "ecs", "StopTask", { cluster = "shop", task = arns[1] }).task
  t.equal({ stopped.lastStatus, stopped.desiredStatus }, { "RUNNING", "STOPPED" })
  s.clock:advance(11)
  t.equal(statuses(s, "web"), { STOPPING = 1, RUNNING = 1, PROVISIONING = 1 })
  s.clock:advance(41)
  t.equal(statuses(s, "web"), { STOPPED = 1, RUNNING = 1, PENDING = 1 })
  s.clock:advance(31)
  t.equal(service(s, "web").runningCount, 2)
  local deleted = client.ok(s, "ecs", "DeleteService", { cluster = "shop", service = "web",
    force = true }).service
  t.equal({ deleted.status, deleted.desiredCount, deleted.runningCount }, { "DRAINING", 0, 2 })
  s.clock:advance(11)
  t.equal({ service(s, "web").status, service(s, "web").runningCount }, { "DRAINING", 0 })
  client.until_true("its end", function()
    s.clock:advance(10)
    return service(s, "web").status == "INACTIVE"
  end)
end)
