--- ECS: the life of a task. It takes about a minute to start, and lives on while it stops:
-- it drains from its load balancer first (DEACTIVATING), then has its grace (STOPPING). A
-- task that stops is not counted as running, and may still write.
local tasks = {}

-- For so long ECS describes a task that has stopped.
local REMEMBERED_SECONDS = 3600

--- A new task of a service.
function tasks.new(ctx, s)
  local id = ctx.uuid():gsub("-", "")
  return {
    taskArn = ctx:arn(("task/%s/%s"):format(s.cluster.name, id)),
    clusterArn = s.cluster.shape.clusterArn, taskDefinitionArn = s.shape.taskDefinition,
    group = "service:" .. s.shape.serviceName, lastStatus = "PROVISIONING",
    desiredStatus = "RUNNING", launchType = s.shape.launchType, createdAt = ctx:now(),
    healthStatus = "UNKNOWN", startedBy = s.shape.deployments[1].id, version = 1, cpu = "256",
    memory = "512", containers = {}, availabilityZone = ctx.region .. "a",
  }
end

--- It runs now.
function tasks.run(ctx, one)
  one.lastStatus, one.startedAt, one.healthStatus = "RUNNING", ctx:now(), "HEALTHY"
end

local function stage(ctx, one, seconds, status, changed)
  ctx.sim.clock:after(seconds, function()
    if one.lastStatus == "STOPPED" then return end
    one.lastStatus = status
    changed()
  end)
end

--- Brings it up; changed() is called whenever its status moves.
function tasks.start(ctx, one, changed)
  local seconds = ctx.sim:takes "ecs.task_start"
  stage(ctx, one, seconds * 0.4, "PENDING", changed)
  ctx.sim.clock:after(seconds, function()
    if one.desiredStatus ~= "RUNNING" then return end
    tasks.run(ctx, one)
    changed()
  end)
end

local function end_of(s, one)
  for i, other in ipairs(s.stopping) do
    if other == one then table.remove(s.stopping, i) return end
  end
end

--- Ends it; `after` (seconds): when its status begins to move. It leaves the service's tasks
-- at once, and what is described an hour after its end.
function tasks.stop(ctx, s, one, changed, after)
  for i, other in ipairs(s.tasks) do
    if other == one then table.remove(s.tasks, i) break end
  end
  table.insert(s.stopping, one)
  one.desiredStatus, one.stoppingAt = "STOPPED", ctx:now()
  local drain = #s.shape.loadBalancers > 0 and ctx.sim:takes "ecs.target_drain" or 0
  local grace = ctx.sim:takes "ecs.task_stop"
  if after then
    stage(ctx, one, after, drain > 0 and "DEACTIVATING" or "STOPPING", changed)
  else
    after, one.lastStatus = 0, drain > 0 and "DEACTIVATING" or "STOPPING"
  end
  if drain > 0 then stage(ctx, one, after + drain, "STOPPING", changed) end
  ctx.sim.clock:after(after + drain + grace, function()
    one.lastStatus, one.stoppedAt = "STOPPED", ctx:now()
    changed()
    ctx.sim.clock:after(REMEMBERED_SECONDS, function() end_of(s, one) end)
  end)
end

return tasks
