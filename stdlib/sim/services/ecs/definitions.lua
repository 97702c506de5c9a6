--- ECS: task definitions and their revisions.
local lookup = require "sim.services.ecs.lookup"
local state = require "sim.state"

local service = {}

function service.register_task_definition(ctx, input)
  local revisions = ctx.store.definitions[input.family] or {}
  ctx.store.definitions[input.family] = revisions
  local definition = {}
  for k, v in pairs(input) do definition[k] = v end
  definition.tags = nil
  definition.revision = #revisions + 1
  definition.taskDefinitionArn = ctx:arn(("task-definition/%s:%d"):format(input.family,
    definition.revision))
  definition.status, definition.registeredAt = "ACTIVE", ctx:now()
  definition.networkMode = input.networkMode or "awsvpc"
  revisions[definition.revision] = definition
  return { taskDefinition = definition, tags = input.tags }
end

function service.describe_task_definition(ctx, input)
  return { taskDefinition = lookup.definition(ctx, input.taskDefinition) }
end

function service.deregister_task_definition(ctx, input)
  local definition = lookup.definition(ctx, input.taskDefinition)
  definition.status, definition.deregisteredAt = "INACTIVE", ctx:now()
  return { taskDefinition = definition }
end

function service.list_task_definitions(ctx, input)
  local arns = {}
  for _, family in ipairs(state.sorted(ctx.store.definitions)) do
    for _, one in ipairs(ctx.store.definitions[family]) do
      local wanted = not input.familyPrefix or input.familyPrefix == family
      if wanted and one.status == (input.status or "ACTIVE") then
        table.insert(arns, one.taskDefinitionArn)
      end
    end
  end
  return lookup.page(ctx, input, arns, "taskDefinitionArns", 100)
end

return service
