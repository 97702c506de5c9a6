--- AWS Backup: finding what a call names, or failing as AWS Backup does.
local paging = require "sim.paging"

local lookup = {}

function lookup.vault(ctx, name)
  local vault = ctx.store.vaults[name]
  if not vault then
    -- AWS Backup does not tell a missing vault from one of somebody else's.
    ctx:fail("ResourceNotFoundException",
      ("Backup vault %s does not exist."):format(tostring(name)))
  end
  return vault
end

function lookup.point(ctx, arn, vault)
  local point = ctx.store.points[arn]
  if not point or (vault and point.shape.BackupVaultName ~= vault) then
    ctx:fail("ResourceNotFoundException",
      ("Recovery point %s does not exist."):format(tostring(arn)))
  end
  return point
end

function lookup.job(ctx, kind, id)
  local job = ctx.store.jobs[kind][id]
  if not job then
    ctx:fail("ResourceNotFoundException",
      ("%s job with id %s does not exist."):format(kind:gsub("^%l", string.upper),
      tostring(id)))
  end
  return job
end

--- A page of shapes; key: the member that names each.
function lookup.page(ctx, input, list, name, key)
  local page, token = paging.cut(list, {
    token = input.NextToken, limit = math.min(input.MaxResults or 1000, 1000),
    key = function(item) return item[key] end,
    invalid = function() ctx:fail("InvalidParameterValueException", "Invalid token") end,
  })
  return { [name] = page, NextToken = token }
end

--- Job records of a kind in byte order of their ids: not in order of time.
function lookup.shapes(records, keep)
  local list, ids = {}, {}
  for id in pairs(records) do table.insert(ids, id) end
  table.sort(ids)
  for _, id in ipairs(ids) do
    if keep(records[id].shape) then table.insert(list, records[id].shape) end
  end
  return list
end

return lookup
