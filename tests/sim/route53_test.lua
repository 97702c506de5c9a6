local client = require "client"
local sim = require "sim"
local t = require "harness"

local function started(world)
  local s = sim.start { speed = 1000,
    world = world or { zones = { { id = "Z1", name = "Shop.Example", records = {
    { Name = "db.shop.example", Type = "CNAME", values = { "old.example" } } } } } } }
  t.cleanup(function() s:stop() end)
  return s
end

local function record(name, kind, value, extra)
  local set = { Name = name, Type = kind, TTL = 60, ResourceRecords = { { Value = value } } }
  for k, v in pairs(extra or {}) do set[k] = v end
  return set
end

local function change(s, changes)
  local list = {}
  for i, one in ipairs(changes) do list[i] = { Action = one[1], ResourceRecordSet = one[2] } end
  return client.call(s, "route53", "ChangeResourceRecordSets", { HostedZoneId = "Z1",
    ChangeBatch = { Changes = list } })
end

local function names(s, input)
  input = input or {}
  input.HostedZoneId = "Z1"
  local page, found = client.ok(s, "route53", "ListResourceRecordSets", input), {}
  for i, one in ipairs(page.ResourceRecordSets) do found[i] = one.Type .. " " .. one.Name end
  return found, page
end

t.test("a change is PENDING, then INSYNC", function()
  local s = started()
  s.clock:set_speed(100)
  local info = change(s,
    { { "UPSERT", record("db.shop.example", "CNAME", "new.example") } }).ChangeInfo
  t.equal(info.Status, "PENDING")
  client.until_true("INSYNC", function()
    return client.ok(s, "route53", "GetChange", { Id = info.Id }).ChangeInfo.Status == "INSYNC"
  end)
  client.fails(s, "NoSuchChange", "route53", "GetChange", { Id = "C000" })
end)

t.test("a batch is applied whole or not at all, and says all that is wrong", function()
  local s = started()
  local before = names(s)
  local _, e = change(s, {
    { "CREATE", record("a.shop.example", "A", "1.2.3.4") },
    { "CREATE", record("db.shop.example", "CNAME", "x.example") },
    { "DELETE", record("gone.shop.example", "A", "1.2.3.4") } })
  t.equal(e.code, "InvalidChangeBatch")
  t.contains(e.message, "but it already exists")
  t.contains(e.message, "but it was not found")
  t.equal(names(s), before)
end)

t.test("deleting wants the exact values; a CNAME stands alone; names stay in the zone", function()
  local s = started()
  local function wrong(text, action, set)
    t.contains(select(2, change(s, { { action, set } })).message, text)
  end
  wrong("do not match the current values", "DELETE",
    record("db.shop.example", "CNAME", "other.example"))
  wrong("conflicts with other records", "CREATE", record("db.shop.example", "A", "1.2.3.4"))
  wrong("is not permitted in zone", "CREATE", record("db.other.example", "A", "1.2.3.4"))
  wrong("is not permitted in zone", "CREATE", record("notshop.example", "A", "1.2.3.4"))
  wrong("not permitted at apex", "CREATE", record("shop.example", "CNAME", "x.example"))
  wrong("does not exist", "CREATE",
    record("h.shop.example", "A", "1.2.3.4", { HealthCheckId = "none",
    SetIdentifier = "a", Failover = "PRIMARY" }))
  t.ok(change(s, { { "DELETE", record("db.shop.example.", "CNAME", "old.example") } }))
end)

t.test("paging begins at a name and type, and names where to go on", function()
  local s = started()
  local batch = {}
  for _, label in ipairs { "b", "a", "c" } do
    table.insert(batch, { "CREATE", record(label .. ".shop.example", "A", "1.2.3.4") })
    table.insert(batch, { "CREATE", record(label .. ".shop.example", "TXT", '"x"') })
  end
  t.ok(change(s, batch))
  local all = names(s)
  t.equal(all[1], "NS shop.example.")
  t.equal(all[3], "A a.shop.example.")
  local seen, input = {}, { MaxItems = "2" }
  repeat
    local found, page = names(s, input)
    for _, one in ipairs(found) do table.insert(seen, one) end
    input = { MaxItems = "2", StartRecordName = page.NextRecordName,
      StartRecordType = page.NextRecordType }
  until not page.IsTruncated
  t.equal(seen, all)
  t.equal(names(s, { StartRecordName = "b.shop.example", StartRecordType = "TXT", MaxItems = "1" }),
    { "TXT b.shop.example." })
  client.fails(s, "InvalidInput", "route53", "ListResourceRecordSets",
    { HostedZoneId = "Z1", StartRecordType = "A" })
end)

t.test("failover answers the primary while its health check is well", function()
  local s = started {
    health_checks = { { id = "hc", status = "healthy", config = { Type = "HTTPS" } } },
    zones = { { id = "Z1", name = "shop.example", records = {
      { Name = "api.shop.example", Type = "A", SetIdentifier = "east", Failover = "PRIMARY",
        HealthCheckId = "hc",
        values = { "1.1.1.1" } },
      { Name = "api.shop.example", Type = "A", SetIdentifier = "west", Failover = "SECONDARY",
        values = { "2.2.2.2" } },
    } } } }
  local function answer()
    return client.ok(s, "route53", "TestDNSAnswer",
      { HostedZoneId = "Z1", RecordName = "api.shop.example",
      RecordType = "A" }).RecordData
  end
  t.equal(answer(), { "1.1.1.1" })
  s.state:store("123456789012", "global", "route53").health_checks.hc.status = "unhealthy"
  t.equal(answer(), { "2.2.2.2" })
  t.contains(client.ok(s, "route53", "GetHealthCheckStatus",
    { HealthCheckId = "hc" }).HealthCheckObservations[1]
    .StatusReport.Status, "Failure")
end)

t.test("health checks: created once per reference, versions guarded, really probed", function()
  local s = started()
  local function make(reference)
    return client.call(s, "route53", "CreateHealthCheck",
      { CallerReference = reference, HealthCheckConfig = {
      Type = "HTTP", IPAddress = "127.0.0.1", Port = s.port, ResourcePath = "/_sim/calls" } })
  end
  local check = make("one").HealthCheck
  t.equal(select(2, make("one")).code, "HealthCheckAlreadyExists")
  local function status()
    return client.ok(s, "route53", "GetHealthCheckStatus",
      { HealthCheckId = check.Id }).HealthCheckObservations[1]
      .StatusReport.Status
  end
  t.contains(status(), "Success")
  client.ok(s, "route53", "UpdateHealthCheck",
    { HealthCheckId = check.Id, ResourcePath = "/_sim/none",
    HealthCheckVersion = 1 })
  t.contains(status(), "404")
  client.fails(s, "HealthCheckVersionMismatch", "route53", "UpdateHealthCheck",
    { HealthCheckId = check.Id,
    HealthCheckVersion = 1 })
  client.ok(s, "route53", "DeleteHealthCheck", { HealthCheckId = check.Id })
  client.fails(s, "NoSuchHealthCheck", "route53", "GetHealthCheck", { HealthCheckId = check.Id })
end)

t.test("zones: created once per reference, listed by name, deleted when empty", function()
  local s = started()
  local zone = client.ok(s, "route53", "CreateHostedZone",
    { Name = "another.example", CallerReference = "r" })
  t.equal(#zone.DelegationSet.NameServers, 4)
  client.fails(s, "HostedZoneAlreadyExists", "route53", "CreateHostedZone", { Name = "x.example",
    CallerReference = "r" })
  local page = client.ok(s, "route53", "ListHostedZonesByName",
    { DNSName = "shop.example", MaxItems = "1" })
  t.equal(page.HostedZones[1].Id, "/hostedzone/Z1")
  client.fails(s, "HostedZoneNotEmpty", "route53", "DeleteHostedZone", { Id = "Z1" })
  local id = zone.HostedZone.Id:match("[^/]+$")
  client.ok(s, "route53", "DeleteHostedZone", { Id = id })
  client.fails(s, "NoSuchHostedZone", "route53", "GetHostedZone", { Id = id })
end)

t.test("values that are none of their type are refused", function()
  local s = started()
  local kinds = {
    A = { "not-an-ip", "1.2.3", "1.2.3.256", "1.2.3.4.5" },
    AAAA = { "1.2.3.4", "::1::", "1:2:3:4:5:6:7:8:9", "g::1" },
    TXT = { "bare" }, CNAME = { "a b", "http://x", "a..b" },
  }
  for kind, values in pairs(kinds) do
    for _, value in ipairs(values) do
      local _, e = change(s, { { "CREATE", record("x.shop.example", kind, value) } })
      t.equal(e and e.code, "InvalidChangeBatch", kind .. " " .. value)
      t.contains(e.message, "FATAL problem: ")
      t.contains(e.message, "encountered with '" .. value .. "'")
    end
  end
  for kind, value in pairs { A = "10.0.0.1", AAAA = "2001:db8::1", TXT = '"v=1"' } do
    t.ok(change(s, { { "CREATE", record("ok.shop.example", kind, value) } }), kind)
  end
  t.ok(change(s, { { "CREATE", record("ok2.shop.example", "AAAA", "::ffff:10.0.0.1") } }))
end)
