local client = require "client"
local clock = require "native.clock"
local faults = require "sim.faults"
local sim = require "sim"
local t = require "harness"

local function started(options)
  local s = sim.start(options)
  t.cleanup(function() s:stop() end)
  return s
end

local function zone(s, name)
  return client.call(s, "route53", "CreateHostedZone", { Name = name, CallerReference = name })
end

t.test("a fault that is none is refused with the known ones", function()
  t.contains(t.raises(nil, faults.validate, { kind = "thrttle" }).message, "throttle")
  t.contains(t.raises(nil, faults.validate, { kind = "slow", second = 1 }).message,
    "no field \"second\"")
  t.contains(t.raises(nil, faults.validate, { kind = "reset", when = "never" }).message,
    "after, before")
end)

t.test("throttle: the service's own code, so many times, after so many", function()
  local s = started()
  s:fault { kind = "throttle", service = "rds", operation = "DescribeDBInstances", after = 1,
    count = 2 }
  client.ok(s, "rds", "DescribeDBInstances")
  t.equal(client.fails(s, "Throttling", "rds", "DescribeDBInstances").status, 400)
  client.fails(s, "Throttling", "rds", "DescribeDBInstances")
  client.ok(s, "rds", "DescribeDBInstances")
  s:fault { kind = "throttle", service = "ecs" }
  client.fails(s, "ThrottlingException", "ecs", "ListClusters")
  t.equal(client.admin(s, "GET", "faults")[1].hits, 2)
end)

t.test("error before the effect leaves no effect; with effect it does", function()
  local s = started()
  s:fault { kind = "error", operation = "CreateHostedZone", count = 1 }
  t.equal(select(2, zone(s, "a.example")).status, 500)
  t.equal(#client.ok(s, "route53", "ListHostedZones").HostedZones, 0)
  s:fault { kind = "error", operation = "CreateHostedZone", count = 1, effect = true, status = 503,
    code = "SlowDown" }
  t.equal(select(2, zone(s, "a.example")).code, "SlowDown")
  t.equal(#client.ok(s, "route53", "ListHostedZones").HostedZones, 1)
end)

t.test("reset before: no effect; lost answer: the effect, and status 0 in the log", function()
  local s = started()
  s:fault { kind = "reset", operation = "CreateHostedZone", count = 1 }
  t.ok(select(2, zone(s, "a.example")).status == nil, "no answer expected")
  t.equal(#client.ok(s, "route53", "ListHostedZones").HostedZones, 0)
  s:fault { kind = "lost", operation = "CreateHostedZone", count = 1 }
  t.ok(select(2, zone(s, "a.example")).status == nil, "no answer expected")
  t.equal(#client.ok(s, "route53", "ListHostedZones").HostedZones, 1)
  for _, call in ipairs(s.calls:list { operation = "CreateHostedZone" }) do
    t.equal(call.status, 0)
  end
end)

t.test("an answer that is cut does not pass for a whole one", function()
  local s = started()
  s:fault { kind = "cut", operation = "GetCallerIdentity", count = 1 }
  local output = client.call(s, "sts", "GetCallerIdentity")
  t.ok(output == nil, "the call must fail")
  client.ok(s, "sts", "GetCallerIdentity")
end)

t.test("slow and hang: late, and never", function()
  local s = started()
  s:fault { kind = "slow", operation = "GetCallerIdentity", seconds = 0.2, count = 1 }
  local began = clock.monotonic()
  client.ok(s, "sts", "GetCallerIdentity")
  t.ok(clock.monotonic() - began >= 0.2)
  s:fault { kind = "hang", operation = "GetCallerIdentity", count = 1 }
  local _, e = client.call(s, "sts", "GetCallerIdentity", {}, { timeout = 0.3 })
  t.equal(e.code, "timeout")
end)

t.test("expired credentials and unavailable", function()
  local s = started()
  s:fault { kind = "expired", service = "sts", count = 1 }
  client.fails(s, "ExpiredToken", "sts", "GetCallerIdentity")
  s:fault { kind = "unavailable", service = { "sts", "rds" }, region = "us-east-1" }
  t.equal(client.fails(s, "ServiceUnavailable", "rds", "DescribeDBInstances").status, 503)
  client.ok(s, "rds", "DescribeDBInstances", {}, { region = "us-west-2" })
end)

t.test("probability draws from the seed: the same seed, the same strikes", function()
  local function pattern(seed)
    local s = sim.start { seed = seed }
    s:fault { kind = "throttle", service = "sts", probability = 0.5 }
    local seen = {}
    for i = 1, 24 do seen[i] = client.call(s, "sts", "GetCallerIdentity") and "." or "x" end
    s:stop()
    return table.concat(seen)
  end
  local one = pattern(7)
  t.equal(pattern(7), one)
  t.ok(pattern(8) ~= one)
  t.matches(one, "x")
  t.matches(one, "%.")
end)

t.test("a dead region is silent for its services, and others live on", function()
  local s = started()
  local id = s:fault { kind = "region_down", region = "us-east-1" }
  local _, e = client.call(s, "rds", "DescribeDBInstances", {}, { timeout = 0.3 })
  t.equal(e.code, "timeout")
  client.ok(s, "rds", "DescribeDBInstances", {}, { region = "us-west-2" })
  t.equal(select(2, client.call(s, "route53", "ListHostedZones", {}, { timeout = 0.3 })).code,
    "timeout")
  t.equal(s.calls:list { region = "us-east-1", service = "rds" }[1].error, "RegionDown")
  client.admin(s, "DELETE", "faults?id=" .. id)
  client.ok(s, "rds", "DescribeDBInstances")
end)

t.test("a dead region may refuse, or answer 503, and take Route 53 along", function()
  local s = started()
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse" }
  local _, e = client.call(s, "sts", "GetCallerIdentity")
  t.ok(e.status == nil and e.code ~= "timeout", "reset expected, got " .. tostring(e.code))
  s:clear_faults()
  s:fault { kind = "region_down", region = "us-east-1", mode = "503" }
  t.equal(client.fails(s, "ServiceUnavailable", "route53", "ListHostedZones").status, 503)
end)

t.test("control planes die with their home region, data planes do not", function()
  local s = started()
  s:load { routing_controls = { { name = "dr", state = "Off" } } }
  local arn = client.ok(s, "route53-recovery-cluster", "ListRoutingControls",
    {}).RoutingControls[1].RoutingControlArn
  local function dead(service, operation, input, region)
    local output, e = client.call(s, service, operation, input or {}, { region = region
      or "us-east-1" })
    return not output and e.status == nil
  end
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse" }
  t.ok(dead("route53", "ListHostedZones") and dead("iam", "ListRoles"))
  local west = { region = "us-west-2" }
  client.ok(s, "sts", "GetCallerIdentity", {}, west)
  client.ok(s, "route53-recovery-cluster", "UpdateRoutingControlState", { RoutingControlArn = arn,
    RoutingControlState = "On" }, west)
  t.ok(dead("route53-recovery-cluster", "ListRoutingControls"), "the endpoint in the dead region")
  t.equal(client.ok(s, "route53-recovery-cluster", "GetRoutingControlState", {
    RoutingControlArn = arn }, west)
    .RoutingControlState, "On")
  client.fails(s, "ResourceNotFoundException", "route53-recovery-cluster",
    "UpdateRoutingControlStates", {
    UpdateRoutingControlStateEntries = { { RoutingControlArn = arn, RoutingControlState = "Off" },
      { RoutingControlArn = arn .. "x", RoutingControlState = "Off" } } }, west)
  t.equal(client.ok(s, "route53-recovery-cluster", "GetRoutingControlState", {
    RoutingControlArn = arn }, west)
    .RoutingControlState, "On")
  s:clear_faults()
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse", control_planes = false }
  client.ok(s, "route53", "ListHostedZones")
  s:clear_faults()
  s:fault { kind = "region_down", region = "us-west-2", mode = "refuse" }
  client.ok(s, "route53", "ListHostedZones")
end)

t.test("a fault can begin later on the virtual clock", function()
  local s = started { speed = 1 }
  s:fault { kind = "throttle", service = "sts", at = 600 }
  client.ok(s, "sts", "GetCallerIdentity")
  client.admin(s, "POST", "clock", { advance = 601 })
  client.until_true("the fault",
    function() return not client.call(s, "sts", "GetCallerIdentity") end)
  s:clear_faults()
  local id = s:fault { kind = "throttle", service = "sts", at = 600 }
  s:clear_faults(id)
  s.clock:advance(601)
  client.ok(s, "sts", "GetCallerIdentity")
end)

t.test("a call whose answer was lost was carried out: effects are counted, not answers", function()
  local s = started()
  s:fault { kind = "lost", operation = "CreateHostedZone", count = 1 }
  zone(s, "a.example")
  s:fault { kind = "reset", operation = "CreateHostedZone", count = 1 }
  zone(s, "b.example")
  zone(s, "c.example")
  local done = {}
  for _, call in ipairs(s.calls:list { operation = "CreateHostedZone" }) do
    table.insert(done, { call.status, call.done })
  end
  t.equal(done, { { 0, true }, { 0, false }, { 201, true } })
  t.equal(client.admin(s, "GET", "calls")[1].done, nil)
end)
