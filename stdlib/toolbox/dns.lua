--- Route 53 records: pointing a name at its new place, and knowing when it is done.
--
-- Route 53's control plane lives in us-east-1: where a team has ARC routing
-- controls or health-check failover, prefer those in a region failure.
local dr = require "drlua"
local text = require "text"

local dns = {}

local function canonical(name)
  return (name:lower():gsub("%.?$", "."))
end

--- The record set of that name and type (and set identifier), or nil.
function dns.find(route53, zone, name, kind, set_identifier)
  local page = route53:list_resource_record_sets {
    HostedZoneId = zone, StartRecordName = name, StartRecordType = kind, MaxItems = "100",
  }
  for _, record in ipairs(page.ResourceRecordSets) do
    if canonical(record.Name) == canonical(name) and record.Type == kind
      and record.SetIdentifier == set_identifier then
      return record
    end
  end
end

--- What the record answers: an alias target's name, or its values.
function dns.target(record)
  if not record then return nil end
  if record.AliasTarget then return record.AliasTarget.DNSName end
  local values = {}
  for _, value in ipairs(record.ResourceRecords or {}) do table.insert(values, value.Value) end
  return table.concat(values, ", ")
end

local function same_host(a, b)
  return a ~= nil and b ~= nil and canonical(a) == canonical(b)
end

--- True when the record already answers `target`.
function dns.points_at(record, target)
  return same_host(dns.target(record), target)
end

--- Describes a record set: an alias when `alias_zone` is given (the hosted zone id
-- that belongs to the load balancer's region), else a plain record with `ttl`.
function dns.record(options)
  local record = {
    Name = options.name,
    Type = options.kind or (options.alias_zone and "A" or "CNAME"),
    SetIdentifier = options.set_identifier,
    Failover = options.failover,
    HealthCheckId = options.health_check,
  }
  if options.alias_zone then
    record.AliasTarget = {
      HostedZoneId = options.alias_zone, DNSName = options.target, EvaluateTargetHealth = true,
    }
  else
    record.TTL = options.ttl or 60
    record.ResourceRecords = { { Value = options.target } }
  end
  return record
end

--- Upserts one record set and returns the change's id at once.
function dns.upsert(route53, zone, record, comment)
  return route53:change_resource_record_sets {
    HostedZoneId = zone,
    ChangeBatch = { Comment = comment,
      Changes = { { Action = "UPSERT", ResourceRecordSet = record } } },
  }.ChangeInfo.Id
end

--- Waits until all of Route 53's servers answer the change (INSYNC). Resolvers
-- feel it after the old record's TTL.
function dns.wait_insync(route53, change, timeout)
  return dr.wait_until("Route 53 change " .. tostring(change),
    { every = "5s", timeout = timeout or "10m" }, function()
    local status = route53:get_change { Id = change }.ChangeInfo.Status
    return status == "INSYNC", status
  end)
end

--- Points a record at a target and waits for INSYNC.
function dns.point(route53, zone, record, comment)
  local change = dns.upsert(route53, zone, record, comment)
  dns.wait_insync(route53, change)
  dr.note(("%s answers %s; resolvers follow within the old TTL"):format(text.trim(record.Name),
    dns.target(record)))
  return change
end

return dns
