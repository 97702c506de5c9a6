--- RDS: its handlers from services/rds/, its store, its part of worlds.
local groups = require "sim.services.rds.groups"

local service = {}

for _, part in ipairs { "instances", "modifications", "replicas", "snapshots", "restores", "groups",
  "records", "clusters" } do
  for name, fn in pairs(require("sim.services.rds." .. part)) do service[name] = fn end
end

--- What an account owns in a region at first: the default subnet group.
function service.new_store(account, region)
  local place = { region = region, account = account, arn = function(_, resource)
    return ("arn:aws:rds:%s:%s:%s"):format(region, account, resource)
  end }
  local default = groups.subnet_group(place, "default", "default", "vpc-0a1b2c3d",
    { "subnet-0a", "subnet-0b" })
  return {
    instances = {}, reserved = {}, snapshots = {}, parameter_groups = {}, clusters = {},
    cluster_snapshots = {}, events = {},
    subnet_groups = { default = default },
  }
end

--- GET /_sim/state's part.
function service.inspect(store)
  local seen = { instances = {}, snapshots = {} }
  for id, instance in pairs(store.instances) do
    local shape = instance:refresh()
    seen.instances[id] = shape
  end
  for id, cluster in pairs(store.clusters) do
    seen.clusters = seen.clusters or {}
    seen.clusters[id] = cluster:refresh()
  end
  for id, snapshot in pairs(store.snapshots) do seen.snapshots[id] = snapshot.shape end
  return seen
end

return service
