--- Route 53: hosted zones, records, changes, health checks. The control plane is
-- global, with its home in us-east-1.
local records = require "sim.services.route53.records"
local state = require "sim.state"

local service = { global = true }

function service.new_store()
  return { zones = {}, changes = {}, health_checks = {}, callers = {} }
end

for _, part in ipairs { "records", "health" } do
  for name, fn in pairs(require("sim.services.route53." .. part)) do service[name] = fn end
end

local function zone_shape(zone)
  return {
    Id = "/hostedzone/" .. zone.id, Name = zone.name, CallerReference = zone.caller,
    Config = { Comment = zone.comment, PrivateZone = zone.private or false },
    ResourceRecordSetCount = #zone.records,
  }
end

--- Enters a zone with its NS and SOA records.
function service.add_zone(ctx, fields)
  local name = records.normal(fields.name)
  local zone = { id = fields.id or ctx:id("Z", 20), name = name, caller = fields.caller
    or ctx.uuid(),
    comment = fields.comment, private = fields.private, records = {} }
  zone.servers = {}
  for i, top in ipairs { "com", "net", "org", "co.uk" } do
    zone.servers[i] = ("ns-%d.awsdns-%02d.%s"):format(i * 512 - 1, i, top)
  end
  local ns = {}
  for i, server in ipairs(zone.servers) do ns[i] = { Value = server .. "." } end
  records.put(zone, { Name = name, Type = "NS", TTL = 172800, ResourceRecords = ns })
  records.put(zone, { Name = name, Type = "SOA", TTL = 900, ResourceRecords = { {
    Value = zone.servers[1] .. ". awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400" } } })
  ctx.store.zones[zone.id] = zone
  return zone
end

--- Enters a change that becomes INSYNC when AWS's propagation time has passed.
function service.add_change(ctx, comment)
  local change = { Id = "/change/" .. ctx:id("C", 20), Status = "PENDING", SubmittedAt = ctx:now(),
    Comment = comment }
  ctx.store.changes[change.Id:match("[^/]+$")] = change
  ctx.sim.clock:after(ctx.sim:takes "route53.insync", function() change.Status = "INSYNC" end)
  return change
end

local function bare(id) return id:match("[^/]+$") end

local function find_zone(ctx, id)
  local zone = ctx.store.zones[bare(id)]
  if not zone then ctx:fail("NoSuchHostedZone", "No hosted zone found with ID: " .. bare(id)) end
  return zone
end

function service.create_hosted_zone(ctx, input)
  ctx:need(input, "Name", "CallerReference")
  if ctx.store.callers[input.CallerReference] then
    ctx:fail("HostedZoneAlreadyExists", ("A hosted zone has already been created with the "
      .. "specified caller reference."))
  end
  ctx.store.callers[input.CallerReference] = true
  local config = input.HostedZoneConfig or {}
  local zone = service.add_zone(ctx, { name = input.Name, caller = input.CallerReference,
    comment = config.Comment, private = config.PrivateZone })
  return { HostedZone = zone_shape(zone), ChangeInfo = service.add_change(ctx),
    DelegationSet = { NameServers = zone.servers },
    Location = "https://route53.amazonaws.com/2013-04-01/hostedzone/"
      .. zone.id }
end

function service.get_hosted_zone(ctx, input)
  local zone = find_zone(ctx, input.Id)
  return { HostedZone = zone_shape(zone), DelegationSet = { NameServers = zone.servers } }
end

local function ordered_zones(ctx, by_name)
  local zones = {}
  for _, id in ipairs(state.sorted(ctx.store.zones)) do table.insert(zones, ctx.store.zones[id]) end
  if by_name then
    table.sort(zones, function(a, b)
      local x, y = records.order(a.name), records.order(b.name)
      return x < y or (x == y and a.id < b.id)
    end)
  end
  return zones
end

function service.list_hosted_zones(ctx, input)
  local limit = math.min(input.MaxItems and math.tointeger(tonumber(input.MaxItems)) or 100, 100)
  local output = { HostedZones = {}, IsTruncated = false, MaxItems = tostring(limit),
    Marker = input.Marker }
  for _, zone in ipairs(ordered_zones(ctx)) do
    if not input.Marker or zone.id >= input.Marker then
      if #output.HostedZones == limit then
        output.IsTruncated, output.NextMarker = true, zone.id
        break
      end
      table.insert(output.HostedZones, zone_shape(zone))
    end
  end
  return output
end

function service.list_hosted_zones_by_name(ctx, input)
  local limit = math.min(input.MaxItems and math.tointeger(tonumber(input.MaxItems)) or 100, 100)
  local from = input.DNSName and records.order(records.normal(input.DNSName))
  local output = { HostedZones = {}, IsTruncated = false, MaxItems = tostring(limit),
    DNSName = input.DNSName, HostedZoneId = input.HostedZoneId }
  for _, zone in ipairs(ordered_zones(ctx, true)) do
    local order = records.order(zone.name)
    local id_reached = not input.HostedZoneId or zone.id >= bare(input.HostedZoneId)
    if not from or order > from or (order == from and id_reached) then
      if #output.HostedZones == limit then
        output.IsTruncated, output.NextDNSName, output.NextHostedZoneId = true, zone.name, zone.id
        break
      end
      table.insert(output.HostedZones, zone_shape(zone))
    end
  end
  return output
end

function service.delete_hosted_zone(ctx, input)
  local zone = find_zone(ctx, input.Id)
  if #zone.records > 2 then
    ctx:fail("HostedZoneNotEmpty", "The specified hosted zone contains non-required resource "
      .. "record sets and so cannot "
      .. "be deleted.")
  end
  ctx.store.zones[zone.id] = nil
  ctx.store.callers[zone.caller] = nil
  return { ChangeInfo = service.add_change(ctx) }
end

function service.change_resource_record_sets(ctx, input)
  ctx:need(input, "HostedZoneId", "ChangeBatch")
  local zone = find_zone(ctx, input.HostedZoneId)
  zone.records = records.apply(ctx, zone, input.ChangeBatch.Changes or {})
  return { ChangeInfo = service.add_change(ctx, input.ChangeBatch.Comment) }
end

function service.list_resource_record_sets(ctx, input)
  return records.list(ctx, find_zone(ctx, input.HostedZoneId), input)
end

function service.get_change(ctx, input)
  local change = ctx.store.changes[bare(input.Id)]
  if not change then
    ctx:fail("NoSuchChange", ("A change with the specified change ID does not exist: %s")
      :format(bare(input.Id)),
      { status = 404 })
  end
  return { ChangeInfo = change }
end

function service.test_dns_answer(ctx, input)
  local zone = find_zone(ctx, input.HostedZoneId)
  local answers = service.resolve(ctx.store, zone, records.normal(input.RecordName),
    input.RecordType)
  return { Nameserver = zone.servers[1], RecordName = input.RecordName,
    RecordType = input.RecordType, RecordData = answers, ResponseCode = #answers > 0 and "NOERROR"
    or "NXDOMAIN", Protocol = "UDP" }
end

function service.list_tags_for_resource(ctx, input)
  return { ResourceTagSet = { ResourceType = input.ResourceType, ResourceId = input.ResourceId,
    Tags = (ctx.store.tags or {})[input.ResourceId] or {} } }
end

--- The values that the account's zones answer for a name.
function service.resolve_name(store, name, kind)
  local wanted = records.normal(name)
  for _, id in ipairs(state.sorted(store.zones)) do
    local zone = store.zones[id]
    if wanted:sub(-#zone.name) == zone.name then
      return service.resolve(store, zone, wanted, kind)
    end
  end
  return {}
end

--- GET /_sim/state's part: zones with their records, changes, health checks.
function service.inspect(store)
  local seen = { zones = {}, changes = store.changes, health_checks = {} }
  for id, zone in pairs(store.zones) do
    seen.zones[id] = { name = zone.name, records = zone.records }
  end
  for id, check in pairs(store.health_checks) do seen.health_checks[id] = check.shape end
  return seen
end

--- A world's `zones`: { { id, name, records = { { Name, Type, TTL, values = {...} } } } }.
function service.load(ctx, world)
  for _, one in ipairs(world.health_checks or {}) do service.add_health_check(ctx, one) end
  for _, one in ipairs(world.zones or {}) do
    local zone = service.add_zone(ctx, one)
    for _, record in ipairs(one.records or {}) do
      records.put(zone, records.from_world(ctx, record))
    end
  end
end

return service
