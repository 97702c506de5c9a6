--- ECS: finding what a call names, or failing as ECS does.
local paging = require "sim.paging"

local lookup = {}

--- The last part of an ARN, or the name itself.
function lookup.name(text) return text:match("[^/]+$") end

function lookup.cluster(ctx, id)
  local cluster = ctx.store.clusters[lookup.name(id or "default")]
  if not cluster then ctx:fail("ClusterNotFoundException", "Cluster not found.") end
  return cluster
end

function lookup.active_service(ctx, cluster, id)
  local s = cluster.services[lookup.name(id)]
  if not s then ctx:fail("ServiceNotFoundException", "Service not found.") end
  if s.shape.status ~= "ACTIVE" then
    ctx:fail("ServiceNotActiveException", "Service was not ACTIVE.")
  end
  return s
end

--- A task definition by ARN, family:revision, or family (its newest active one).
function lookup.definition(ctx, id)
  local text = id and lookup.name(id) or ""
  local family, revision = text:match("^([^:]+):(%d+)$")
  local found
  if family then
    found = (ctx.store.definitions[family] or {})[math.tointeger(tonumber(revision))]
  else
    for _, one in ipairs(ctx.store.definitions[text] or {}) do
      if one.status == "ACTIVE" then found = one end
    end
  end
  if not found then ctx:fail("ClientException", "Unable to describe task definition.") end
  return found
end

--- A page of a list of texts.
function lookup.page(ctx, input, list, name, most)
  local page, token = paging.cut(list, {
    token = input.nextToken, limit = math.min(input.maxResults or most, 100),
    key = function(item) return item end,
    invalid = function() ctx:fail("InvalidParameterException", "Invalid token") end,
  })
  return { [name] = page, nextToken = token }
end

return lookup
