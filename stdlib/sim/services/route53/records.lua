--- Route 53: record sets, their order, their paging, and changes that are applied
-- all or not at all.
local records = {}

--- A name as Route 53 keeps it: lower case, absolute, odd bytes as \ooo.
function records.normal(name)
  local text = name:lower():gsub("[^%w%.%-_\\]", function(c) return ("\\%03o"):format(c:byte()) end)
  return text:sub(-1) == "." and text or text .. "."
end

--- What names are sorted by: their labels from right to left.
function records.order(name)
  local labels = {}
  for label in name:gmatch("[^.]+") do table.insert(labels, 1, label) end
  return table.concat(labels, "\0")
end

local function precedes(a, b)
  local x, y = records.order(a.Name), records.order(b.Name)
  if x ~= y then return x < y end
  if a.Type ~= b.Type then return a.Type < b.Type end
  return (a.SetIdentifier or "") < (b.SetIdentifier or "")
end

local function same_key(a, b)
  return a.Name == b.Name and a.Type == b.Type and (a.SetIdentifier or "") == (b.SetIdentifier
    or "")
end

local function find(list, record)
  for i, one in ipairs(list) do
    if same_key(one, record) then return i end
  end
  return nil
end

local function insert(list, record)
  local at = find(list, record)
  if at then
    list[at] = record
  else
    table.insert(list, record)
    table.sort(list, precedes)
  end
end

--- Enters or replaces a record set in a zone.
function records.put(zone, record) insert(zone.records, record) end

local ROUTING = { "Weight", "Region", "GeoLocation", "Failover", "MultiValueAnswer",
  "GeoProximityLocation", "CidrRoutingConfig" }

local function routed(record)
  for _, member in ipairs(ROUTING) do
    if record[member] ~= nil then return member end
  end
  return nil
end

local function described(record)
  local parts = { ("name='%s', type='%s'"):format(record.Name, record.Type) }
  if record.SetIdentifier then
    table.insert(parts, ("set identifier='%s'"):format(record.SetIdentifier))
  end
  return table.concat(parts, ", ")
end

local function value_set(record)
  local values = {}
  for _, one in ipairs(record.ResourceRecords or {}) do table.insert(values, one.Value) end
  table.sort(values)
  local alias = record.AliasTarget
  if alias then table.insert(values, alias.HostedZoneId .. " " .. records.normal(alias.DNSName)) end
  return table.concat(values, "\n")
end

local function equal(a, b)
  return a.TTL == b.TTL and value_set(a) == value_set(b) and a.Weight == b.Weight
    and a.Failover == b.Failover
    and a.Region == b.Region and a.HealthCheckId == b.HealthCheckId
end

local function is_ipv4(text)
  local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, part in ipairs(parts) do
    if #part > 3 or tonumber(part) > 255 then return false end
  end
  return #parts == 4
end

local function is_ipv6(text)
  if not text:find(":", 1, true) or text:find("[^%x:.]") or text:find(":::", 1,
    true) then return false end
  local _, short = text:gsub("::", "")
  local groups = 0
  for group in text:gmatch("[^:]+") do
    if #group > 4 and not is_ipv4(group) then return false end
    groups = groups + (group:find(".", 1, true) and 2 or 1)
  end
  return short == 1 and groups < 8 or short == 0 and groups == 8
end

local function is_quoted(text) return text:find('^".*"$') ~= nil and #text >= 2 end

-- type -> test of a value, and the words for one that fails
local VALUES = {
  A = { is_ipv4, "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)" },
  AAAA = { is_ipv6, "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)" },
  TXT = { is_quoted, "InvalidCharacterString (Value should be enclosed in quotation marks)" },
  CNAME = { function(text) return text ~= "" and not text:find("[%s/:]") and not text:find("..", 1,
  true) end,
    "DomainLabelInvalid (Value is not a valid domain name)" },
}

local function bad_value(record)
  local test = VALUES[record.Type]
  for _, one in ipairs(test and record.ResourceRecords or {}) do
    if not test[1](one.Value) then
      return ("Invalid Resource Record: 'FATAL problem: %s encountered with '%s''"):format(test[2],
        one.Value)
    end
  end
  return nil
end

-- What is wrong with a record by itself, or nil.
local function malformed(zone, record)
  if record.Name:sub(-#zone.name) ~= zone.name
    or (record.Name ~= zone.name and record.Name:sub(-#zone.name - 1, -#zone.name - 1) ~= ".") then
    return ("RRSet with DNS name %s is not permitted in zone %s"):format(record.Name, zone.name)
  end
  local plain = record.ResourceRecords and #record.ResourceRecords > 0
  if record.AliasTarget and (plain or record.TTL) then
    return ("Invalid request: Expected exactly one of [AliasTarget, all of "
      .. "[TTL, and ResourceRecords], or "
      .. "TrafficPolicyInstanceId], but found more than one in Change with [Action=CREATE, %s]")
      :format(described(record))
  end
  if not record.AliasTarget and not (plain and record.TTL) then
    return ("Invalid request: Expected exactly one of [AliasTarget, all of "
      .. "[TTL, and ResourceRecords], or "
      .. "TrafficPolicyInstanceId], but found none in Change with [Action=CREATE, %s]")
      :format(described(record))
  end
  if record.Type == "CNAME" and record.Name == zone.name then
    return ("RRSet of type CNAME with DNS name %s is not permitted at apex in zone %s")
      :format(record.Name, zone.name)
  end
  if record.Type == "CNAME" and plain and #record.ResourceRecords > 1 then
    return ("RRSet with DNS name %s, type CNAME must have exactly one value"):format(record.Name)
  end
  local bad = bad_value(record)
  if bad then return bad end
  local policy = routed(record)
  if (policy == nil) ~= (record.SetIdentifier == nil) then
    return ("Invalid request: a record set with SetIdentifier needs exactly one routing "
      .. "policy, and the other way "
      .. "round [%s]"):format(described(record))
  end
  return nil
end

-- What is wrong with a record beside those that are there, or nil.
local function conflicting(list, record)
  for _, other in ipairs(list) do
    if other.Name == record.Name and not same_key(other, record) then
      if other.Type ~= record.Type and (other.Type == "CNAME" or record.Type == "CNAME") then
        return ("RRSet of type %s with DNS name %s is not permitted as it conflicts with "
          .. "other records with the same "
          .. "DNS name in zone"):format(record.Type, record.Name)
      end
      if other.Type == record.Type and routed(other) ~= routed(record) then
        return ("RRSet with DNS name %s, type %s cannot be created as other RRSets exist "
          .. "with the same name and type.")
          :format(record.Name, record.Type)
      end
    end
  end
  return nil
end

local actions = {}

function actions.CREATE(_, list, record)
  if find(list, record) then
    return ("Tried to create resource record set [%s] but it already exists")
      :format(described(record))
  end
  local wrong = conflicting(list, record)
  if wrong then return wrong end
  insert(list, record)
  return nil
end

function actions.UPSERT(_, list, record)
  local wrong = conflicting(list, record)
  if wrong then return wrong end
  insert(list, record)
  return nil
end

function actions.DELETE(zone, list, record)
  local at = find(list, record)
  if not at then
    return ("Tried to delete resource record set [%s] but it was not found")
      :format(described(record))
  end
  if not equal(list[at], record) then
    return ("Tried to delete resource record set [%s] but the values provided do "
      .. "not match the current values")
      :format(described(record))
  end
  if record.Name == zone.name and (record.Type == "NS" or record.Type == "SOA") then
    return ("A HostedZone must contain exactly one SOA record and at least one NS "
      .. "record for the zone itself.")
  end
  table.remove(list, at)
  return nil
end

local function missing_health_check(ctx, record)
  local id = record.HealthCheckId
  if not id or ctx.store.health_checks[id] then return nil end
  return ("Invalid Resource Record: 'HealthCheckId %s does not exist'"):format(id)
end

--- Applies changes to a copy of the zone's records and returns it; one wrong change
-- fails all, with a message for each that is wrong.
function records.apply(ctx, zone, changes)
  local list, wrong = table.move(zone.records, 1, #zone.records, 1, {}), {}
  if #changes == 0 then
    ctx:fail("InvalidInput", "The change batch must have at least one change.")
  end
  for _, change in ipairs(changes) do
    local record = change.ResourceRecordSet
    record.Name = records.normal(record.Name)
    local action = actions[change.Action]
    if not action then
      ctx:fail("InvalidInput", "Invalid change action: " .. tostring(change.Action))
    end
    local text = malformed(zone, record)
      or (change.Action ~= "DELETE" and missing_health_check(ctx, record))
      or action(zone, list, record)
    if text then table.insert(wrong, text) end
  end
  if #wrong > 0 then ctx:fail("InvalidChangeBatch", "[" .. table.concat(wrong, ", ") .. "]") end
  return list
end

-- Whether a record stands at or after the start that a call names.
local function reached(record, input, from)
  if not from then return true end
  local order = records.order(record.Name)
  if order ~= from then return order > from end
  if not input.StartRecordType then return true end
  if record.Type ~= input.StartRecordType then return record.Type > input.StartRecordType end
  return not input.StartRecordIdentifier
    or (record.SetIdentifier or "") >= input.StartRecordIdentifier
end

--- ListResourceRecordSets: a page begins at a name, type and identifier, all
-- inclusive, and names the first record of the next page in the same way.
function records.list(ctx, zone, input)
  if input.StartRecordType and not input.StartRecordName then
    ctx:fail("InvalidInput", "StartRecordType requires StartRecordName.")
  end
  local limit = math.min(input.MaxItems and math.tointeger(tonumber(input.MaxItems)) or 300, 300)
  local from = input.StartRecordName and records.order(records.normal(input.StartRecordName))
  local output = { ResourceRecordSets = {}, IsTruncated = false, MaxItems = tostring(limit) }
  for _, record in ipairs(zone.records) do
    if reached(record, input, from) then
      if #output.ResourceRecordSets == limit then
        output.IsTruncated, output.NextRecordName, output.NextRecordType = true, record.Name,
          record.Type
        output.NextRecordIdentifier = record.SetIdentifier
        break
      end
      table.insert(output.ResourceRecordSets, record)
    end
  end
  return output
end

--- A record set of a world: AWS's members, or `values` for its records; a value
-- "endpoint:INSTANCE" is that instance's address.
function records.from_world(ctx, given)
  local record = {}
  for k, v in pairs(given) do if k ~= "values" then record[k] = v end end
  record.Name = records.normal(given.Name)
  if given.values then
    record.TTL = record.TTL or 60
    record.ResourceRecords = {}
    for i, value in ipairs(given.values) do
      local id = value:match("^endpoint:(.+)$")
      record.ResourceRecords[i] = { Value = id and ctx.sim:instance(id).shape.Endpoint.Address
        or value }
    end
  end
  return record
end

return records
