--- ECS services: desired counts, and waiting until what was asked for runs.
local dr = require "drlua"

local services = {}

--- Describes services by name; fails with the names that ECS does not know.
function services.describe(ecs, cluster, names)
  local answer = ecs:describe_services { cluster = cluster, services = names }
  for _, failure in ipairs(answer.failures or {}) do
    dr.fail(("ECS cluster %s in %s has no service %s (%s)"):format(cluster, ecs.region, failure.arn, failure.reason))
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

--- Waits until each service runs as many tasks as desired, with one deployment.
function services.wait_stable(ecs, cluster, names, timeout)
  local what = "services of " .. cluster
  return dr.wait_until(what, { every = "10s", timeout = timeout or "15m" }, function()
    local states, stable = {}, true
    for _, service in ipairs(services.describe(ecs, cluster, names)) do
      table.insert(states, ("%s %d/%d"):format(service.serviceName, service.runningCount, service.desiredCount))
      stable = stable and service.runningCount == service.desiredCount and #(service.deployments or {}) <= 1
    end
    return stable, table.concat(states, ", ")
  end)
end

return services
