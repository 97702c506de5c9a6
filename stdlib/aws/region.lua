--- Regions and partitions.
local partitions = require "aws.partitions"

local region = {}

local function belongs(name, partition)
  if partition.regions[name] then return true end
  for _, prefix in ipairs(partition.prefixes) do
    if name:find("^" .. prefix:gsub("%-", "%%-") .. "%-[%w_]+%-%d+$") then return true end
  end
  return false
end

--- The partition of a region as the endpoint rules see it: { name, dnsSuffix,
-- dualStackDnsSuffix, supportsFIPS, supportsDualStack, implicitGlobalRegion }. A
-- region newer than our data is placed by the form of its name; anything else is
-- taken for one of the partition "aws".
function region.partition(name)
  for _, partition in ipairs(partitions) do
    if belongs(name, partition) then return partition.outputs end
  end
  return partitions[1].outputs
end

--- True for a region that our data list, pseudo regions ("aws-global") too.
function region.known(name)
  for _, partition in ipairs(partitions) do
    if partition.regions[name] then return true end
  end
  return false
end

--- Where a region is, for people: "Europe (Ireland)"; nil for an unknown one.
function region.description(name)
  for _, partition in ipairs(partitions) do
    if partition.regions[name] then return partition.regions[name] end
  end
end

--- Names of all regions (but pseudo regions), sorted; of one partition when named.
function region.names(partition_name)
  local names = {}
  for _, partition in ipairs(partitions) do
    for name in pairs(partition.regions) do
      if (not partition_name or partition.outputs.name == partition_name)
        and not name:find("global$") then
        table.insert(names, name)
      end
    end
  end
  table.sort(names)
  return names
end

--- Takes apart a pseudo region: "fips-us-east-1" and "us-east-1-fips" stand for
-- the region with FIPS endpoints. Returns the region and whether it asked for FIPS.
function region.plain(name)
  local inner = name:match("^fips%-(.*)$") or name:match("^(.*)%-fips$")
  if inner and inner ~= "" then return inner, true end
  return name, false
end

return region
