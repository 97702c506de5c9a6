--- RDS: parameter groups and subnet groups.
local lookup = require "sim.services.rds.lookup"
local parameters = require "sim.services.rds.parameters"

local service = {}

local function shown(group)
  return {
    DBParameterGroupName = group.name, DBParameterGroupFamily = group.family,
    Description = group.description, DBParameterGroupArn = group.arn,
  }
end

local function default_name(name) return name:match("^default%.(%a+%d+)$") end

-- A named group, or one of the defaults, which every account has.
local function find(ctx, name)
  local key = name:lower()
  local group = ctx.store.parameter_groups[key]
  local family = default_name(key)
  if not group and family then
    group = { name = key, family = family, description = "Default parameter group for " .. family,
      values = {},
      arn = ctx:arn("pg:" .. key, "rds") }
  end
  if not group then ctx:fail("DBParameterGroupNotFound", "DBParameterGroup not found: " .. name) end
  return group
end

--- Enters a parameter group; values: parameter -> text.
function service.add_parameter_group(ctx, name, family, description, values)
  local key = lookup.new_identifier(ctx, name, "DBParameterGroupName", 255)
  for parameter, value in pairs(values or {}) do
    local wrong = parameters.world_refusal(ctx.sim.host, parameter, value)
    if wrong then ctx:fail("InvalidParameterValue", wrong) end
  end
  if ctx.store.parameter_groups[key] then
    ctx:fail("DBParameterGroupAlreadyExists", ("Parameter group %s already exists"):format(key))
  end
  local group = { name = key, family = family, description = description, values = values or {},
    arn = ctx:arn("pg:" .. key, "rds") }
  ctx.store.parameter_groups[key] = group
  return group
end

function service.create_db_parameter_group(ctx, input)
  ctx:need(input, "DBParameterGroupName", "DBParameterGroupFamily", "Description")
  return { DBParameterGroup = shown(service.add_parameter_group(ctx, input.DBParameterGroupName,
    input.DBParameterGroupFamily, input.Description)) }
end

function service.copy_db_parameter_group(ctx, input)
  ctx:need(input, "SourceDBParameterGroupIdentifier", "TargetDBParameterGroupIdentifier",
    "TargetDBParameterGroupDescription")
  local source = find(ctx, lookup.name(input.SourceDBParameterGroupIdentifier))
  local values = {}
  for k, v in pairs(source.values) do values[k] = v end
  return { DBParameterGroup = shown(service.add_parameter_group(ctx,
    input.TargetDBParameterGroupIdentifier,
    source.family, input.TargetDBParameterGroupDescription, values)) }
end

function service.describe_db_parameter_groups(ctx, input)
  if input.DBParameterGroupName then
    return { DBParameterGroups = { shown(find(ctx, lookup.name(input.DBParameterGroupName))) } }
  end
  local list = {}
  for _, group in ipairs(lookup.ordered(ctx.store.parameter_groups)) do
    table.insert(list, shown(group))
  end
  return lookup.page(ctx, input, list, "DBParameterGroupName", "DBParameterGroups")
end

function service.modify_db_parameter_group(ctx, input)
  ctx:need(input, "DBParameterGroupName", "Parameters")
  local group = find(ctx, input.DBParameterGroupName)
  if default_name(group.name) then
    ctx:fail("InvalidDBParameterGroupState", "Default parameter groups cannot be modified.")
  end
  for _, parameter in ipairs(input.Parameters) do
    ctx:need(parameter, "ParameterName", "ParameterValue", "ApplyMethod")
    local wrong = parameters.refusal(ctx.sim.host, parameter.ParameterName,
      parameter.ParameterValue)
    if wrong then ctx:fail("InvalidParameterValue", wrong) end
  end
  for _, parameter in ipairs(input.Parameters) do
    group.values[parameter.ParameterName:lower()] = parameter.ParameterValue
  end
  for _, instance in pairs(ctx.store.instances) do
    local membership = instance.shape.DBParameterGroups[1]
    if membership.DBParameterGroupName == group.name then
      membership.ParameterApplyStatus = "pending-reboot"
    end
  end
  return { DBParameterGroupName = group.name }
end

function service.describe_db_parameters(ctx, input)
  ctx:need(input, "DBParameterGroupName")
  local group = find(ctx, lookup.name(input.DBParameterGroupName))
  local list = {}
  for _, row in ipairs((parameters.catalogue(ctx.sim.host))) do
    local one = parameters.shown(row, group.values[row.ParameterName])
    if not input.Source or input.Source == one.Source then table.insert(list, one) end
  end
  return lookup.page(ctx, input, list, "ParameterName", "Parameters")
end

--- What an instance's server is started with: from the group of that name.
function service.settings(store, name)
  local group = store.parameter_groups[name]
  return group and parameters.applied(group.values) or nil
end

function service.delete_db_parameter_group(ctx, input)
  ctx:need(input, "DBParameterGroupName")
  local group = find(ctx, input.DBParameterGroupName)
  for _, instance in pairs(ctx.store.instances) do
    if instance.shape.DBParameterGroups[1].DBParameterGroupName == group.name then
      ctx:fail("InvalidDBParameterGroupState",
        "One or more database instances are still members of this parameter "
        .. "group, so the group cannot be deleted")
    end
  end
  ctx.store.parameter_groups[group.name] = nil
  return {}
end

--- The shape of a subnet group.
function service.subnet_group(ctx, name, description, vpc, subnets)
  local list = {}
  for i, subnet in ipairs(subnets) do
    list[i] = { SubnetIdentifier = subnet, SubnetStatus = "Active",
      SubnetAvailabilityZone = { Name = ctx.region .. ("abcdef"):sub(i, i) } }
  end
  return { DBSubnetGroupName = name, DBSubnetGroupDescription = description, VpcId = vpc,
    SubnetGroupStatus = "Complete", Subnets = list,
    DBSubnetGroupArn = ctx:arn("subgrp:" .. name, "rds") }
end

function service.create_db_subnet_group(ctx, input)
  ctx:need(input, "DBSubnetGroupName", "DBSubnetGroupDescription", "SubnetIds")
  local name = input.DBSubnetGroupName:lower()
  if ctx.store.subnet_groups[name] then
    ctx:fail("DBSubnetGroupAlreadyExists",
      ("The DB subnet group '%s' already exists."):format(name))
  end
  local vpc = ctx.store.subnet_groups.default.VpcId
  local group = service.subnet_group(ctx, name, input.DBSubnetGroupDescription, vpc,
    input.SubnetIds)
  ctx.store.subnet_groups[name] = group
  return { DBSubnetGroup = group }
end

function service.describe_db_subnet_groups(ctx, input)
  if input.DBSubnetGroupName then
    local group = ctx.store.subnet_groups[input.DBSubnetGroupName:lower()]
    if not group then
      ctx:fail("DBSubnetGroupNotFoundFault",
        ("DB subnet group '%s' does not exist."):format(input.DBSubnetGroupName))
    end
    return { DBSubnetGroups = { group } }
  end
  return lookup.page(ctx, input, lookup.ordered(ctx.store.subnet_groups), "DBSubnetGroupName",
    "DBSubnetGroups")
end

function service.delete_db_subnet_group(ctx, input)
  ctx:need(input, "DBSubnetGroupName")
  local name = input.DBSubnetGroupName:lower()
  service.describe_db_subnet_groups(ctx, { DBSubnetGroupName = name })
  for _, instance in pairs(ctx.store.instances) do
    if instance.shape.DBSubnetGroup.DBSubnetGroupName == name then
      ctx:fail("InvalidDBSubnetGroupStateFault",
        ("Cannot delete the subnet group '%s' because at least one database "
        .. "instance is still using it."):format(name))
    end
  end
  ctx.store.subnet_groups[name] = nil
  return {}
end

return service
