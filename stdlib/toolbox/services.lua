--- ECS services: desired counts, and waiting until what was asked for runs.
local dr = require "drlua"
local unknown = require "unknown"

local services = {}

--- Describes services by name; fails with the names that ECS does not know.
function services.describe(ecs, cluster, names)
  local answer = ecs:describe_services { cluster = cluster, services = names }
  for _, failure in ipairs(not unknown.is(answer) and answer.failures or {}) do
    dr.fail(("ECS cluster %s in %s has no service %s (%s)"):format(cluster, ecs.region, failure.arn,
      failure.reason))
  end
  return answer.services
end

--- The desired counts as they are now: { name = count }. Record them before a stop.
function services.desired_counts(ecs, cluster, names)
  local counts = {}
  for _, service in ipairs(services.describe(ecs, cluster, names)) do
    counts[service.serviceName] = service.desiredCount
  end
  return counts
end

--- Asks for a count of tasks.
function services.scale(ecs, cluster, name, count)
  return ecs:update_service { cluster = cluster, service = name, desiredCount = count }
end

--- Waits until each service runs as many tasks as desired, with one deployment. counts
-- (optional): the desired counts that were asked for, which ECS may show late.
function services.wait_stable(ecs, cluster, names, timeout, counts)
  local what = "services of " .. cluster
  return dr.wait_until(what, { every = "10s", timeout = timeout or "15m" }, function()
    local states, stable = {}, true
    for _, service in ipairs(services.describe(ecs, cluster, names)) do
      local wanted = counts and counts[service.serviceName] or service.desiredCount
      table.insert(states, ("%s %d/%d"):format(service.serviceName, service.runningCount, wanted))
      stable = stable and service.runningCount == wanted and service.desiredCount == wanted
        and #(service.deployments or {}) <= 1
    end
    return stable, table.concat(states, ", ")
  end)
end

-- The tasks of a service that are not STOPPED yet, whether ECS wants them to run or to stop.
local function living_tasks(ecs, cluster, name)
  local arns = {}
  for _, desired in ipairs { "RUNNING", "STOPPED" } do
    for arn in ecs:each("list_tasks", { cluster = cluster, serviceName = name,
      desiredStatus = desired },
      "taskArns") do table.insert(arns, arn) end
  end
  local living = 0
  for first = 1, #arns, 100 do
    local page = ecs:describe_tasks { cluster = cluster,
      tasks = table.move(arns, first, math.min(first + 99, #arns), 1, {}) }
    for _, task in ipairs(page.tasks) do
      if task.lastStatus ~= "STOPPED" then living = living + 1 end
    end
  end
  return living
end

--- Waits until no task of the services lives. A service whose running count is 0 may still
-- write: ECS does not count tasks that drain or stop, which takes minutes.
function services.wait_stopped(ecs, cluster, names, timeout)
  local what = "tasks of " .. cluster .. " to stop"
  return dr.wait_until(what, { every = "10s", timeout = timeout or "30m" }, function()
    local states, living = {}, 0
    for _, name in ipairs(names) do
      local n = living_tasks(ecs, cluster, name)
      living = living + n
      table.insert(states, ("%s has %d left"):format(name, n))
    end
    return living == 0, table.concat(states, ", ")
  end)
end

return services
