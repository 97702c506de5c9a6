--- Application Recovery Controller: routing controls, switched through the five regional
-- endpoints of a cluster. It is a data plane: it answers in every region that lives, and
-- Route 53's health checks of type RECOVERY_CONTROL follow it.
local state = require "sim.state"

local service = { global = true }

function service.new_store() return { controls = {} } end

local function find(ctx, arn)
  local control = ctx.store.controls[arn]
  if not control then
    ctx:fail("ResourceNotFoundException", ("Routing control %s was not found."):format(arn),
      { status = 404 })
  end
  return control
end

function service.get_routing_control_state(ctx, input)
  local control = find(ctx, input.RoutingControlArn)
  return { RoutingControlArn = control.arn, RoutingControlName = control.name,
    RoutingControlState = control.state }
end

function service.list_routing_controls(ctx)
  local list = {}
  for _, arn in ipairs(state.sorted(ctx.store.controls)) do
    local control = ctx.store.controls[arn]
    table.insert(list, { RoutingControlArn = arn, RoutingControlName = control.name,
      RoutingControlState = control.state })
  end
  return { RoutingControls = list }
end

function service.update_routing_control_state(ctx, input)
  find(ctx, input.RoutingControlArn).state = input.RoutingControlState
  return {}
end

--- All entries or none.
function service.update_routing_control_states(ctx, input)
  for _, entry in ipairs(input.UpdateRoutingControlStateEntries) do
    find(ctx, entry.RoutingControlArn)
  end
  for _, entry in ipairs(input.UpdateRoutingControlStateEntries) do
    find(ctx, entry.RoutingControlArn).state = entry.RoutingControlState
  end
  return {}
end

--- Whether the control lets traffic through; false for one that is not there.
function service.is_on(sim, account, arn)
  sim:open_service "route53-recovery-cluster"
  local control = sim.state:store(account, "global", "route53-recovery-cluster").controls[arn]
  return control ~= nil and control.state == "On"
end

--- GET /_sim/state's part.
function service.inspect(store) return { routing_controls = store.controls } end

--- A world's `routing_controls`: { { name, arn, state = "On" } }.
function service.load(ctx, world)
  for _, one in ipairs(world.routing_controls or {}) do
    local arn = one.arn
      or ("arn:aws:route53-recovery-control::%s:controlpanel/panel/routingcontrol/%s")
      :format(ctx.account, one.name)
    ctx.store.controls[arn] = { arn = arn, name = one.name, state = one.state or "Off" }
  end
end

return service
