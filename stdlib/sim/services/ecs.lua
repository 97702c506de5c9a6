--- ECS: clusters, services whose running count follows the desired one, task
-- definitions, tasks, deployments.
--
-- A service's controller is a chain of timers on the virtual clock: each step
-- starts or stops some tasks until the counts agree, then the deployment is
-- COMPLETED and the service has "reached a steady state".
local lookup = require "sim.services.ecs.lookup"
local state = require "sim.state"
local tasks = require "sim.services.ecs.tasks"

local service = {}

function service.new_store()
  return { clusters = {}, definitions = {}, tags = {}, serial = 0 }
end

for name, fn in pairs(require "sim.services.ecs.definitions") do service[name] = fn end

-- Events and tasks --------------------------------------------------------------

local function event(ctx, s, text)
  table.insert(s.shape.events, 1, { id = ctx.uuid(), createdAt = ctx:now(),
    message = ("(service %s) %s"):format(
    s.shape.serviceName, text) })
  s.shape.events[101] = nil
end

-- Splits a service's tasks into those of the current definition and older ones.
local function census(s)
  local current, old = {}, {}
  for _, one in ipairs(s.tasks) do
    table.insert(one.startedBy == s.shape.deployments[1].id and current or old, one)
  end
  return current, old
end

local PENDING = { PROVISIONING = true, PENDING = true, ACTIVATING = true }

local function count_running(list)
  local n = 0
  for _, one in ipairs(list) do if one.lastStatus == "RUNNING" then n = n + 1 end end
  return n
end

local function count_pending(list)
  local n = 0
  for _, one in ipairs(list) do if PENDING[one.lastStatus] then n = n + 1 end end
  return n
end

-- Writes the counts into the service's and its deployment's shapes. A task that was asked
-- to stop counts until its status moves.
local function tally(ctx, s)
  local shape, first = s.shape, s.shape.deployments[1]
  shape.runningCount = count_running(s.tasks) + count_running(s.stopping)
  shape.pendingCount = count_pending(s.tasks)
  local current = census(s)
  first.runningCount, first.pendingCount = count_running(current), count_pending(current)
  first.desiredCount, first.updatedAt = shape.desiredCount, ctx:now()
end

local function stop_one(ctx, s, list, after)
  tasks.stop(ctx, s, list[#list], function() tally(ctx, s) end, after)
end

local function settled(s)
  local current, old = census(s)
  return #old == 0 and #current == s.shape.desiredCount and count_running(current) == #current
end

-- One step towards the desired state.
local function advance(ctx, s)
  local current, old = census(s)
  local want = s.shape.desiredCount
  if #current < want then
    local new = want - #current
    for _ = 1, new do
      local one = tasks.new(ctx, s)
      table.insert(s.tasks, one)
      tasks.start(ctx, one, function() tally(ctx, s) end)
    end
    event(ctx, s, ("has started %d tasks."):format(new))
  end
  while #current > want do
    stop_one(ctx, s, current)
    current = census(s)
  end
  -- Old tasks go once as many new ones run.
  local spare = count_running(current)
  while #old > 0 and (spare >= want or #old + spare > want) do
    stop_one(ctx, s, old)
    old = select(2, census(s))
  end
end

local function finish(ctx, s)
  local first = s.shape.deployments[1]
  s.shape.deployments = { first }
  if first.rolloutState == "COMPLETED" and s.steady then return end
  first.rolloutState = "COMPLETED"
  first.rolloutStateReason = ("ECS deployment %s completed."):format(first.id)
  s.steady = true
  event(ctx, s, "has reached a steady state.")
end

local reconcile

-- Runs the controller until the service is steady.
reconcile = function(ctx, s)
  if s.timer or s.shape.status ~= "ACTIVE" then return end
  s.steady = false
  s.timer = ctx.sim.clock:after(ctx.sim:takes "ecs.scheduler", function()
    s.timer = nil
    if s.shape.status ~= "ACTIVE" then return end
    advance(ctx, s)
    tally(ctx, s)
    if settled(s) then finish(ctx, s) else reconcile(ctx, s) end
  end)
end

--- Sets the desired count of a service record: by a call, or by a scaling policy.
function service.set_desired(ctx, s, desired)
  s.shape.desiredCount = desired
  tally(ctx, s)
  reconcile(ctx, s)
end

local function deploy(ctx, s)
  local id = ("ecs-svc/%d"):format(math.floor(ctx.sim.random() * 1e18))
  for _, older in ipairs(s.shape.deployments) do older.status = "ACTIVE" end
  table.insert(s.shape.deployments, 1, {
    id = id, status = "PRIMARY", taskDefinition = s.shape.taskDefinition,
    desiredCount = s.shape.desiredCount, pendingCount = 0, runningCount = 0, failedTasks = 0,
    createdAt = ctx:now(), updatedAt = ctx:now(),
    launchType = s.shape.launchType, rolloutState = "IN_PROGRESS",
    rolloutStateReason = ("ECS deployment %s in progress."):format(id),
  })
end

-- Clusters ----------------------------------------------------------------------

--- Enters a cluster.
function service.add_cluster(ctx, name)
  local cluster = { name = name, services = {},
    shape = { clusterName = name, clusterArn = ctx:arn("cluster/" .. name),
    status = "ACTIVE", registeredContainerInstancesCount = 0, capacityProviders = {},
    settings = {} } }
  ctx.store.clusters[name] = cluster
  return cluster
end

local function refresh(cluster)
  local shape = cluster.shape
  shape.activeServicesCount, shape.runningTasksCount, shape.pendingTasksCount = 0, 0, 0
  for _, s in pairs(cluster.services) do
    if s.shape.status == "ACTIVE" then shape.activeServicesCount = shape.activeServicesCount + 1 end
    shape.runningTasksCount = shape.runningTasksCount + s.shape.runningCount
    shape.pendingTasksCount = shape.pendingTasksCount + s.shape.pendingCount
  end
  return shape
end

function service.create_cluster(ctx, input)
  local name = input.clusterName or "default"
  local cluster = ctx.store.clusters[name] or service.add_cluster(ctx, name)
  return { cluster = refresh(cluster) }
end

function service.list_clusters(ctx)
  local arns = {}
  for _, name in ipairs(state.sorted(ctx.store.clusters)) do
    table.insert(arns, ctx.store.clusters[name].shape.clusterArn)
  end
  return { clusterArns = arns }
end

function service.describe_clusters(ctx, input)
  local clusters, failures = {}, {}
  for _, id in ipairs(input.clusters or { "default" }) do
    local cluster = ctx.store.clusters[lookup.name(id)]
    if cluster then
      table.insert(clusters, refresh(cluster))
    else
      table.insert(failures, { arn = ctx:arn("cluster/" .. lookup.name(id)), reason = "MISSING" })
    end
  end
  return { clusters = clusters, failures = failures }
end

function service.delete_cluster(ctx, input)
  local cluster = lookup.cluster(ctx, input.cluster)
  if refresh(cluster).activeServicesCount > 0 then
    ctx:fail("ClusterContainsServicesException", "The Cluster cannot be deleted "
      .. "while Services are active.")
  end
  ctx.store.clusters[cluster.name] = nil
  cluster.shape.status = "INACTIVE"
  return { cluster = cluster.shape }
end

-- Services ----------------------------------------------------------------------

--- Enters a service; input as CreateService's. running: it starts steady.
function service.add_service(ctx, cluster, input, running)
  local definition = lookup.definition(ctx, input.taskDefinition)
  local name = input.serviceName
  local s = { cluster = cluster, tasks = {}, stopping = {}, shape = {
    serviceName = name, serviceArn = ctx:arn(("service/%s/%s"):format(cluster.name, name)),
    clusterArn = cluster.shape.clusterArn, status = "ACTIVE", desiredCount = input.desiredCount
    or 1, runningCount = 0,
    pendingCount = 0, launchType = input.launchType or "FARGATE",
    taskDefinition = definition.taskDefinitionArn,
    deploymentConfiguration = input.deploymentConfiguration
      or { maximumPercent = 200, minimumHealthyPercent = 100 },
    deployments = {}, events = {}, loadBalancers = input.loadBalancers
    or {}, serviceRegistries = {},
    createdAt = ctx:now(), schedulingStrategy = input.schedulingStrategy or "REPLICA",
    enableECSManagedTags = false, propagateTags = "NONE", enableExecuteCommand = false,
    networkConfiguration = input.networkConfiguration,
    deploymentController = { type = "ECS" }, tags = input.tags,
  } }
  cluster.services[name] = s
  deploy(ctx, s)
  if running then
    for _ = 1, s.shape.desiredCount do
      local one = tasks.new(ctx, s)
      tasks.run(ctx, one)
      table.insert(s.tasks, one)
    end
    advance(ctx, s)
    tally(ctx, s)
    finish(ctx, s)
  else
    reconcile(ctx, s)
  end
  return s
end

function service.create_service(ctx, input)
  local cluster = lookup.cluster(ctx, input.cluster)
  local old = cluster.services[input.serviceName]
  if old and old.shape.status == "ACTIVE" then
    ctx:fail("InvalidParameterException", "Creation of service was not idempotent.")
  end
  return { service = service.add_service(ctx, cluster, input).shape }
end

function service.describe_services(ctx, input)
  local cluster, found, failures = lookup.cluster(ctx, input.cluster), {}, {}
  if #(input.services or {}) == 0 then
    ctx:fail("InvalidParameterException", "Services cannot be empty.")
  end
  if #input.services > 10 then
    ctx:fail("InvalidParameterException", "You can describe at most 10 services at once.")
  end
  for _, id in ipairs(input.services) do
    local s = cluster.services[lookup.name(id)]
    if s then
      table.insert(found, s.shape)
    else
      table.insert(failures,
        { arn = ctx:arn(("service/%s/%s"):format(cluster.name, lookup.name(id))),
        reason = "MISSING" })
    end
  end
  return { services = found, failures = failures }
end

function service.list_services(ctx, input)
  local cluster, arns = lookup.cluster(ctx, input.cluster), {}
  for _, name in ipairs(state.sorted(cluster.services)) do
    local s = cluster.services[name]
    if s.shape.status ~= "INACTIVE" then table.insert(arns, s.shape.serviceArn) end
  end
  return lookup.page(ctx, input, arns, "serviceArns", 10)
end

function service.update_service(ctx, input)
  local cluster = lookup.cluster(ctx, input.cluster)
  local s = lookup.active_service(ctx, cluster, input.service)
  local redeploy = input.forceNewDeployment
  if input.taskDefinition then
    local definition = lookup.definition(ctx, input.taskDefinition)
    redeploy = redeploy or definition.taskDefinitionArn ~= s.shape.taskDefinition
    s.shape.taskDefinition = definition.taskDefinitionArn
  end
  if input.deploymentConfiguration then
    s.shape.deploymentConfiguration = input.deploymentConfiguration
  end
  if input.networkConfiguration then s.shape.networkConfiguration = input.networkConfiguration end
  if input.desiredCount then s.shape.desiredCount = input.desiredCount end
  if redeploy then deploy(ctx, s) end
  service.set_desired(ctx, s, s.shape.desiredCount)
  return { service = s.shape }
end

-- A deleted service is DRAINING until its last task has stopped.
local function drained(ctx, s)
  ctx.sim.clock:after(ctx.sim:takes "ecs.scheduler", function()
    for _, one in ipairs(s.stopping) do
      if one.lastStatus ~= "STOPPED" then return drained(ctx, s) end
    end
    s.shape.status = "INACTIVE"
  end)
end

function service.delete_service(ctx, input)
  local cluster = lookup.cluster(ctx, input.cluster)
  local s = lookup.active_service(ctx, cluster, input.service)
  if s.shape.desiredCount > 0 and not input.force then
    ctx:fail("InvalidParameterException", "The service cannot be stopped "
      .. "while it is scaled above 0.")
  end
  s.shape.status, s.shape.desiredCount = "DRAINING", 0
  local step = ctx.sim:takes "ecs.scheduler"
  while #s.tasks > 0 do stop_one(ctx, s, s.tasks, step) end
  tally(ctx, s)
  drained(ctx, s)
  return { service = s.shape }
end

-- Tasks -------------------------------------------------------------------------

local function each_task(cluster, fn)
  for _, name in ipairs(state.sorted(cluster.services)) do
    for _, one in ipairs(cluster.services[name].tasks) do fn(one, name) end
    for _, one in ipairs(cluster.services[name].stopping) do fn(one, name) end
  end
end

function service.list_tasks(ctx, input)
  local cluster, arns = lookup.cluster(ctx, input.cluster), {}
  each_task(cluster, function(one, name)
    local wanted = not input.serviceName or lookup.name(input.serviceName) == name
    if wanted and one.desiredStatus == (input.desiredStatus or "RUNNING") then
      table.insert(arns, one.taskArn)
    end
  end)
  return lookup.page(ctx, input, arns, "taskArns", 100)
end

function service.describe_tasks(ctx, input)
  local cluster, by_arn, found, failures = lookup.cluster(ctx, input.cluster), {}, {}, {}
  each_task(cluster, function(one)
    by_arn[one.taskArn], by_arn[lookup.name(one.taskArn)] = one, one
  end)
  for _, id in ipairs(input.tasks or {}) do
    local one = by_arn[id] or by_arn[lookup.name(id)]
    if one then
      table.insert(found, one)
    else
      table.insert(failures, { arn = id, reason = "MISSING" })
    end
  end
  return { tasks = found, failures = failures }
end

function service.stop_task(ctx, input)
  local cluster = lookup.cluster(ctx, input.cluster)
  for _, s in pairs(cluster.services) do
    for _, one in ipairs(s.tasks) do
      if one.taskArn == input.task or lookup.name(one.taskArn) == input.task then
        one.stoppedReason = input.reason
        tasks.stop(ctx, s, one, function() tally(ctx, s) end, ctx.sim:takes "ecs.scheduler")
        reconcile(ctx, s)
        return { task = one }
      end
    end
  end
  return ctx:fail("InvalidParameterException", "The referenced task was not found.")
end

--- GET /_sim/state's part.
function service.inspect(store)
  local seen = {}
  for name, cluster in pairs(store.clusters) do
    seen[name] = {}
    for service_name, s in pairs(cluster.services) do seen[name][service_name] = s.shape end
  end
  return { clusters = seen, task_definitions = store.definitions }
end

--- A world's `ecs`: { { region, cluster, services = { { name, desired, image } } } }.
function service.load(ctx, world)
  for _, one in ipairs(world.ecs or {}) do
    local cluster = ctx.store.clusters[one.cluster] or service.add_cluster(ctx, one.cluster)
    for _, given in ipairs(one.services or {}) do
      local definition = service.register_task_definition(ctx,
        { family = given.family or given.name,
          containerDefinitions = { { name = given.name, image = given.image or given.name .. ":1",
          environment = given.environment or {}, essential = true } } }).taskDefinition
      service.add_service(ctx, cluster, { serviceName = given.name, desiredCount = given.desired
        or 1,
        taskDefinition = definition.taskDefinitionArn, launchType = given.launch_type,
        tags = given.tags,
        loadBalancers = given.load_balancers }, true)
    end
  end
end

return service
