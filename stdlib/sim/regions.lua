--- Regions that fail: the API goes silent, databases die or are cut off.
--
-- A disaster has two phases. With `cut_first` = seconds the region's network to
-- the outside is cut first, while inside it life goes on: writers still get their
-- rows acknowledged, and replicas elsewhere do not hear of them. Then the region
-- dies: its API stops answering, its clusters are killed with -9 (unless kill =
-- false) and their endpoints hang or refuse as the API does.
local task = require "task"

local regions = {}

-- Services whose one control plane lives in a region, and fails with it (AWS whitepaper
-- Fault Isolation Boundaries, appendix A). STS, DNS answers, health checks and the routing
-- controls' clusters are data planes: they live on elsewhere.
local HOMES = { route53 = "us-east-1", route53domains = "us-east-1", iam = "us-east-1",
  organizations = "us-east-1", account = "us-east-1", cloudfront = "us-east-1", waf = "us-east-1",
  shield = "us-east-1", ["route53-recovery-control-config"] = "us-west-2",
  ["route53-recovery-readiness"] = "us-west-2", globalaccelerator = "us-west-2",
  networkmanager = "us-west-2" }

--- Calls fn(instance) for every RDS instance in a region (nil: in all).
function regions.instances(sim, region, fn)
  sim.state:each("rds", function(_, where, store)
    if region and where ~= region then return end
    for _, instance in pairs(store.instances) do fn(instance) end
  end)
end

-- The endpoints of a region's Aurora clusters.
local function aurora_endpoints(sim, region, dark)
  sim.state:each("rds", function(_, where, store)
    for _, cluster in pairs(where == region and store.clusters or {}) do cluster:go_dark(dark) end
  end)
end

--- The mode in which `region` is down for this service (nil: an unknown one), or nil: it
-- lives.
function regions.down(sim, region, service)
  local home = service and HOMES[service.name]
  if home then
    local lost = sim.dead_regions[home]
    return lost and lost.control_planes ~= false and lost.mode or nil
  end
  local dead = sim.dead_regions[region]
  return dead and dead.mode or nil
end

local function cut_links(sim, region, cut)
  regions.instances(sim, nil, function(instance)
    local source = instance.source
    if not instance.link or not source then return end
    if (instance.region == region) ~= (source.region == region) then
      instance:cut_replication(cut)
    end
  end)
end

local function die(sim, fault)
  local mode = fault.mode or "hang"
  sim.dead_regions[fault.region] = { mode = mode, control_planes = fault.control_planes }
  local killed = {}
  regions.instances(sim, fault.region, function(instance)
    instance:go_dark(mode == "hang")
    if fault.kill ~= false then
      table.insert(killed, sim:background("kill " .. instance.id, function() instance:crash() end))
    end
  end)
  if mode == "hang" then aurora_endpoints(sim, fault.region, true) end
  for _, one in ipairs(killed) do one:wait() end
end

--- Applies a region_down fault. Returns when the region is down, or, with
-- cut_first, when its network is cut: the rest follows by itself.
function regions.fail(sim, fault)
  if not fault.cut_first then return die(sim, fault) end
  cut_links(sim, fault.region, true)
  sim:background("region down", function()
    task.sleep(fault.cut_first)
    die(sim, fault)
  end)
end

--- Brings a region back: the API answers, clusters start, replicas reconnect.
function regions.heal(sim, fault)
  sim.dead_regions[fault.region] = nil
  local started = {}
  regions.instances(sim, fault.region, function(instance)
    table.insert(started, sim:background("start " .. instance.id, function() instance:revive() end))
  end)
  for _, one in ipairs(started) do one:wait() end
  aurora_endpoints(sim, fault.region, false)
  cut_links(sim, fault.region, false)
end

--- instance_down: kill -9 of one instance's cluster; with restart = seconds AWS
-- has it up again after so long.
function regions.fail_instance(sim, fault)
  local instance = sim:instance(fault.instance, fault)
  instance:crash()
  if instance.aurora then instance.aurora:react(instance) end
  if not fault.restart then return end
  sim:background("restart " .. instance.id, function()
    sim.clock:sleep(fault.restart)
    instance:revive()
  end)
end

function regions.heal_instance(sim, fault)
  sim:instance(fault.instance, fault):revive()
end

-- Statuses of an instance that pass by themselves; it does not take changes in them.
local PASSING = { ["backing-up"] = true, maintenance = true, modifying = true, upgrading = true,
  ["configuring-log-exports"] = true, ["configuring-enhanced-monitoring"] = true }

--- instance_status: RDS is busy with an instance by itself (a backup window, maintenance), or
-- the instance is broken (storage-full, incompatible-network ...). A passing status ends
-- after `seconds` of AWS's time, any other with the fault.
function regions.hold_instance(sim, fault)
  local instance = sim:instance(fault.instance, fault)
  local status = fault.status or "backing-up"
  local seconds = fault.seconds or PASSING[status] and instance:takes "rds.daily_backup"
  sim:background("hold " .. instance.id, function()
    while instance.busy do sim.clock:sleep(1) end
    local held = {}
    instance.busy, instance.held = status ~= "storage-optimization" and held or false, held
    instance:status(status)
    if not seconds then return end
    sim.clock:sleep(seconds)
    if instance.held == held then regions.release_instance(sim, fault) end
  end)
end

function regions.release_instance(sim, fault)
  local instance = sim:instance(fault.instance, fault)
  if not instance.held then return end
  if instance.busy == instance.held then instance.busy = false end
  instance.held = nil
  if not instance.busy then instance:status("available") end
end

--- replication_cut: the network between a replica and its source swallows all.
function regions.cut_instance(sim, fault)
  sim:instance(fault.instance, fault):cut_replication(true)
end

function regions.heal_instance_link(sim, fault)
  sim:instance(fault.instance, fault):cut_replication(false)
end

return regions
