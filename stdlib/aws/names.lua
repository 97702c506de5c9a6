--- Names as AWS writes them (DescribeDBInstances) and as playbooks do
-- (describe_db_instances), by botocore's rules, which users know.
local names = {}

local special = {
  CreateCachediSCSIVolume = "create_cached_iscsi_volume",
  DescribeCachediSCSIVolumes = "describe_cached_iscsi_volumes",
  DescribeStorediSCSIVolumes = "describe_stored_iscsi_volumes",
  CreateStorediSCSIVolume = "create_stored_iscsi_volume",
  ListHITsForQualificationType = "list_hits_for_qualification_type",
  ExecutePartiQLStatement = "execute_partiql_statement",
  ExecutePartiQLTransaction = "execute_partiql_transaction",
  ExecutePartiQLBatch = "execute_partiql_batch",
}

--- The snake_case form of a name.
function names.snake(name)
  if special[name] then return special[name] end
  if name:find("_", 1, true) then return name end
  local head, plural = name:match("^(.-)(%u%u+s)$")
  if plural then name = head .. "_" .. plural:lower() end
  name = name:gsub("(.)(%u%l+)", "%1_%2")
  name = name:gsub("([%l%d])(%u)", "%1_%2")
  return name:lower()
end

--- A table from snake_case to the given names; the names themselves are in it too.
function names.index(list)
  local index = {}
  for _, name in ipairs(list) do
    index[names.snake(name)] = name
    index[name] = name
  end
  return index
end

return names
