--- Finding what a call names, or failing as RDS does; filters and pages.
local paging = require "sim.paging"
local state = require "sim.state"

local lookup = {}

--- The last part of an ARN, or the name itself, in lower case.
function lookup.name(text)
  return (text:match("^arn:aws[%w-]*:rds:[^:]*:%d*:[%w-]+:(.+)$") or text):lower()
end

--- The region in an ARN, or nil.
function lookup.region(text)
  return text:match("^arn:aws[%w-]*:rds:([^:]+):")
end

--- The instance named in the call's region.
function lookup.instance(ctx, id)
  local found = ctx.store.instances[lookup.name(id)]
  if not found or found.hidden then
    ctx:fail("DBInstanceNotFound", ("DBInstance %s not found."):format(lookup.name(id)))
  end
  return found
end

--- The same, which must take changes; text: what RDS says when it does not.
function lookup.available(ctx, id, text)
  local found = lookup.instance(ctx, id)
  if not found:available() then
    ctx:fail("InvalidDBInstanceState", text
      or ("Instance %s is not in available state."):format(found.id))
  end
  return found
end

--- The snapshot named in the call's region.
function lookup.snapshot(ctx, id)
  local found = ctx.store.snapshots[lookup.name(id)]
  if not found then
    ctx:fail("DBSnapshotNotFound", ("DBSnapshot %s not found."):format(lookup.name(id)))
  end
  return found
end

--- Refuses identifiers that RDS refuses; most: characters (63).
function lookup.new_identifier(ctx, id, parameter, most)
  local text = id:lower()
  if #text > (most or 63) or not text:match("^%a[%w-]*$") or text:find("--", 1, true)
    or text:sub(-1) == "-" then
    ctx:fail("InvalidParameterValue",
      ("The parameter %s is not a valid identifier. Identifiers must begin with a "
      .. "letter; must contain only ASCII letters, digits, and hyphens; and must not end "
      .. "with a hyphen or contain two "
      .. "consecutive hyphens."):format(parameter))
  end
  return text
end

--- An identifier for a new instance.
function lookup.new_instance(ctx, id)
  local text = lookup.new_identifier(ctx, id, "DBInstanceIdentifier")
  if ctx.store.instances[text] then
    ctx:fail("DBInstanceAlreadyExists", "DB instance already exists")
  end
  return text
end

local function one_of(value, values)
  for _, wanted in ipairs(values) do
    if value == wanted or (type(value) == "string" and lookup.name(wanted) == value) then
      return true
    end
  end
  return false
end

--- Whether a shape passes the call's Filters; fields: filter name -> member.
function lookup.passes(ctx, filters, shape, fields)
  for _, filter in ipairs(filters or {}) do
    local field = fields[filter.Name]
    if not field then
      ctx:fail("InvalidParameterValue", "Unrecognized filter name: " .. tostring(filter.Name))
    end
    if not one_of(shape[field], filter.Values or {}) then return false end
  end
  return true
end

--- A page of a list of shapes sorted by `member`, as { [list_name], Marker }.
function lookup.page(ctx, input, items, member, list_name)
  local limit = input.MaxRecords or 100
  if limit < 20 or limit > 100 then
    ctx:fail("InvalidParameterValue",
      ("Invalid value %d for MaxRecords. Must be between 20 and 100"):format(limit))
  end
  local page, marker = paging.cut(items, {
    token = input.Marker, limit = limit,
    key = function(item) return item[member] end,
    invalid = function() ctx:fail("InvalidParameterValue", "Invalid Marker: " .. input.Marker) end,
  })
  return { [list_name] = page, Marker = marker }
end

--- The values of a table in the order of its keys.
function lookup.ordered(t)
  local list = {}
  for i, key in ipairs(state.sorted(t)) do list[i] = t[key] end
  return list
end

return lookup
