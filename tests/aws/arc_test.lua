-- Routing controls through the five endpoints of a cluster.
local t = require "harness"
local aws = require "aws"
local clock = require "native.clock"
local fake = require "fake"
local lane = require "aws.lane"
local task = require "task"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }
local ARN = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/c"
local ON = { body = '{"RoutingControlArn":"' .. ARN .. '","RoutingControlState":"On"}' }
local REGIONS = { "us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2" }

local function start(scripts, timeout)
  lane.reset()
  local servers, endpoints = {}, {}
  for i, region in ipairs(REGIONS) do
    servers[i] = fake.start(scripts[i])
    t.cleanup(function() servers[i]:close() end)
    endpoints[i] = { Endpoint = servers[i].url, Region = region }
  end
  -- random 0 keeps the order of the list.
  local time = { now = clock.now, monotonic = clock.monotonic, parse = clock.parse,
    random = function() return 0.999999 end, sleep = function() task.yield() end }
  local arc = aws["route53-recovery-cluster"] { cluster_endpoints = endpoints, credentials = KEYS,
    clock = time, timeout = timeout or "5s" }
  return arc, servers
end

local DEAD = { reset = true }

t.test("the first endpoint that answers will do, signed for its own region", function()
  local arc, servers = start { ON, ON, ON, ON, ON }
  t.equal(arc:get_routing_control_state({ RoutingControlArn = ARN }).RoutingControlState, "On")
  local asked = 0
  for i, server in ipairs(servers) do
    asked = asked + #server.requests
    local first = server.requests[1]
    if first then t.contains(fake.header(first, "Authorization"), "/" .. REGIONS[i] .. "/") end
  end
  t.equal(asked, 1)
end)

t.test("dead and failing endpoints are passed over, and the good one is remembered", function()
  local arc, servers = start { DEAD, { status = 503, body = '{"message":"down"}' }, DEAD, DEAD, ON }
  arc:update_routing_control_state { RoutingControlArn = ARN, RoutingControlState = "On" }
  t.equal(#servers[5].requests, 1)
  arc:update_routing_control_state { RoutingControlArn = ARN, RoutingControlState = "On" }
  t.equal(#servers[5].requests, 2)
  local others = 0
  for i = 1, 4 do others = others + #servers[i].requests end
  t.ok(others <= 4, "each other endpoint was asked once at most, got " .. others)
end)

t.test("a silent endpoint does not take the others' time", function()
  local arc = start({ { silent = true }, { silent = true }, ON, { silent = true },
    { silent = true } }, "5s")
  t.equal(arc:get_routing_control_state({ RoutingControlArn = ARN }).RoutingControlState, "On")
end)

t.test("a refusal is an answer: the others are not asked", function()
  local denied = { status = 403, body = '{"message":"no"}',
    headers = { { "x-amzn-errortype", "AccessDeniedException" } } }
  local arc, servers = start { denied, denied, denied, denied, denied }
  t.raises("AccessDeniedException",
    function() arc:get_routing_control_state { RoutingControlArn = ARN } end)
  local asked = 0
  for _, server in ipairs(servers) do asked = asked + #server.requests end
  t.equal(asked, 1)
end)

t.test("when all fail, each is named with its reason", function()
  local arc = start { DEAD, DEAD, DEAD, DEAD, DEAD }
  local e = t.raises("failed on every endpoint of the cluster", function()
    arc:get_routing_control_state { RoutingControlArn = ARN }
  end)
  for _, region in ipairs(REGIONS) do t.contains(e.message, region) end
end)

t.test("cluster_endpoints belong to that service only", function()
  t.raises("cluster_endpoints",
    function() aws.rds { region = "us-east-1", cluster_endpoints = { {} } } end)
end)
