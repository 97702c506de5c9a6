--- Application Auto Scaling: scalable targets and policies of ECS services.
--
-- The trap that matters in a recovery is here: a service that a playbook scaled to
-- zero is scaled up again to its target's minimum, unless scaling was suspended.
local state = require "sim.state"

local service = {}

function service.new_store()
  return { targets = {}, policies = {} }
end

local function key(input)
  return ("%s %s %s"):format(input.ServiceNamespace, input.ResourceId, input.ScalableDimension)
end

local function ecs_service(ctx, target)
  local cluster, name = target.ResourceId:match("^service/([^/]+)/([^/]+)$")
  local store = ctx.sim.state:store(ctx.account, ctx.region, "ecs")
  return cluster and store.clusters and store.clusters[cluster]
    and store.clusters[cluster].services[name]
end

local function has_policy(ctx, target)
  for _, policy in pairs(ctx.store.policies) do
    if policy.ResourceId == target.ResourceId then return true end
  end
  return false
end

-- Looks at a target again and again for as long as it exists.
local function guard(ctx, target)
  ctx.sim.clock:after(ctx.sim:takes "autoscaling.reaction", function()
    if ctx.store.targets[key(target)] ~= target then return end
    local s = ecs_service(ctx, target)
    local suspended = target.SuspendedState.DynamicScalingOutSuspended
    if s and has_policy(ctx, target) and not suspended and s.shape.desiredCount
      < target.MinCapacity then
      require("sim.services.ecs").set_desired(ctx:as { service = "ecs" }, s, target.MinCapacity)
    end
    guard(ctx, target)
  end)
end

local function check_capacity(ctx, input, target)
  local least = input.MinCapacity or target and target.MinCapacity
  local most = input.MaxCapacity or target and target.MaxCapacity
  if least and least < 0 or most and most < 0 then
    ctx:fail("ValidationException", "Capacity values must be greater than or equal to 0.")
  end
  if least and most and least > most then
    ctx:fail("ValidationException", "Maximum capacity cannot be less than minimum capacity")
  end
end

--- Enters or changes a scalable target.
function service.register_scalable_target(ctx, input)
  local id = key(input)
  local target = ctx.store.targets[id]
  check_capacity(ctx, input, target)
  local new = target == nil
  if new then
    if not input.MinCapacity or not input.MaxCapacity then
      ctx:fail("ValidationException",
        "A new scalable target must have MinCapacity and MaxCapacity.")
    end
    target = { ServiceNamespace = input.ServiceNamespace, ResourceId = input.ResourceId,
      CreationTime = ctx:now(), ScalableDimension = input.ScalableDimension, RoleARN = input.RoleARN
        or ("arn:aws:iam::%s:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
          .. "AWSServiceRoleForApplicationAutoScaling_ECSService"):format(ctx.account),
      SuspendedState = { DynamicScalingInSuspended = false, DynamicScalingOutSuspended = false,
        ScheduledScalingSuspended = false },
      ScalableTargetARN = ctx:arn("scalable-target/" .. ctx:id("", 16):lower(),
        "application-autoscaling") }
    ctx.store.targets[id] = target
  end
  target.MinCapacity = input.MinCapacity or target.MinCapacity
  target.MaxCapacity = input.MaxCapacity or target.MaxCapacity
  for name, value in pairs(input.SuspendedState or {}) do target.SuspendedState[name] = value end
  if new then guard(ctx, target) end
  return { ScalableTargetARN = target.ScalableTargetARN }
end

local function wanted(input, one)
  if one.ServiceNamespace ~= input.ServiceNamespace then return false end
  if input.ScalableDimension and one.ScalableDimension ~= input.ScalableDimension then
    return false
  end
  local ids = input.ResourceIds or (input.ResourceId and { input.ResourceId })
  if not ids then return true end
  for _, id in ipairs(ids) do
    if id == one.ResourceId then return true end
  end
  return false
end

local function select(t, input)
  local list = {}
  for _, id in ipairs(state.sorted(t)) do
    if wanted(input, t[id]) then table.insert(list, t[id]) end
  end
  return list
end

function service.describe_scalable_targets(ctx, input)
  return { ScalableTargets = select(ctx.store.targets, input) }
end

function service.deregister_scalable_target(ctx, input)
  if not ctx.store.targets[key(input)] then
    ctx:fail("ObjectNotFoundException", "No scalable target found for service namespace: "
      .. input.ServiceNamespace)
  end
  ctx.store.targets[key(input)] = nil
  return {}
end

function service.put_scaling_policy(ctx, input)
  if not ctx.store.targets[key(input)] then
    ctx:fail("ObjectNotFoundException", "No scalable target registered for service namespace: "
      .. input.ServiceNamespace .. ", resource ID: " .. input.ResourceId)
  end
  local policy = {}
  for k, v in pairs(input) do policy[k] = v end
  policy.PolicyARN = ctx:arn(("scalingPolicy:%s:resource/ecs/%s:policyName/%s"):format(ctx.uuid(),
    input.ResourceId,
    input.PolicyName), "autoscaling")
  policy.CreationTime = ctx:now()
  ctx.store.policies[key(input) .. " " .. input.PolicyName] = policy
  return { PolicyARN = policy.PolicyARN, Alarms = {} }
end

function service.describe_scaling_policies(ctx, input)
  return { ScalingPolicies = select(ctx.store.policies, input) }
end

function service.delete_scaling_policy(ctx, input)
  ctx.store.policies[key(input) .. " " .. input.PolicyName] = nil
  return {}
end

--- GET /_sim/state's part.
function service.inspect(store)
  return { targets = store.targets, policies = store.policies }
end

--- A world's `scaling`: { { region, cluster, service, min, max } }.
function service.load(ctx, world)
  for _, one in ipairs(world.scaling or {}) do
    local id = { ServiceNamespace = "ecs", ScalableDimension = "ecs:service:DesiredCount",
      ResourceId = ("service/%s/%s"):format(one.cluster, one.service) }
    id.MinCapacity, id.MaxCapacity = one.min, one.max
    service.register_scalable_target(ctx, id)
    service.put_scaling_policy(ctx,
      { ServiceNamespace = "ecs", ScalableDimension = id.ScalableDimension,
      ResourceId = id.ResourceId, PolicyName = "cpu", PolicyType = "TargetTrackingScaling",
      TargetTrackingScalingPolicyConfiguration = { TargetValue = 60.0,
        PredefinedMetricSpecification = {
          PredefinedMetricType = "ECSServiceAverageCPUUtilization" } } })
  end
end

return service
