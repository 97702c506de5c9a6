local client = require "client"
local errors = require "errors"
local http = require "native.http"
local json = require "native.json"
local pq = require "native.pq"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local PASSWORD = "a-good-password"

local WORLD = {
  instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop" } },
  replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } },
  writers = { { name = "orders", instance = "shop", table = "orders", column = "created_at",
    interval = 0.002 } },
  health = { shop = { region = "us-east-1", instance = "shop" } },
}

local function started(world, options)
  options = options or {}
  options.world, options.speed = world or WORLD, options.speed or 2000
  local s = sim.start(options)
  t.cleanup(function() s:stop() end)
  return s
end

local function ledger(s)
  local answer = task.await(http.request { method = "GET", url = s.url .. "/_sim/writers/orders" })
  return json.decode(answer.body)
end

local function rows(s, id) return s:sql(id, "SELECT count(*) FROM orders").rows[1][1] end

local function fail_over(s)
  client.until_true("the writer to fail", function() return not ledger(s).running end)
  local west = { region = "us-west-2" }
  client.ok(s, "rds", "PromoteReadReplica",
    { DBInstanceIdentifier = "shop-dr", BackupRetentionPeriod = 7 }, west)
  return client.instance(s, "shop-dr", "available", west)
end

t.test("a writer's ledger counts what was acknowledged", function()
  local s = started()
  client.until_true("rows", function() return ledger(s).rows > 50 end)
  s.writers.orders:stop()
  local seen = ledger(s)
  local kept = rows(s, "shop")
  -- The insert that was under way when the writer ended may be there or not.
  t.ok(kept == seen.rows or kept == seen.rows + 1,
    ("%d rows acknowledged, %d there"):format(seen.rows, kept))
  t.equal(seen.last_id, seen.rows)
  t.equal(seen.first_failed_at, nil)
end)

t.test("a region dies by kill -9: its replica is promoted and takes writes", function()
  local s = started()
  client.until_true("rows", function() return ledger(s).rows > 50 end)
  local endpoint = s:instance("shop").shape.Endpoint
  s:fault { kind = "region_down", region = "us-east-1" }
  local conn, message = task.await(pq.connect { host = endpoint.Address, port = endpoint.Port,
    user = "shop",
    password = PASSWORD, dbname = "shop", timeout = 0.5 })
  t.ok(not conn, "the dead region's database must not answer: " .. tostring(message))
  t.equal(select(2, client.admin(s, "GET", "health/shop")), 503)
  fail_over(s)
  local seen = ledger(s)
  t.ok(seen.first_failed_at ~= nil and seen.last_at <= seen.first_failed_at)
  local lost = seen.rows - rows(s, "shop-dr")
  t.ok(lost >= -1 and lost <= 20, ("a kill loses a few rows at most, not %d"):format(lost))
  s:sql("shop-dr", "INSERT INTO orders (id) VALUES (1000000)")
end)

t.test("a network cut before the end makes the replica lose many acknowledged rows", function()
  local s = started()
  client.until_true("rows", function() return ledger(s).rows > 50 end)
  s:fault { kind = "region_down", region = "us-east-1", cut_first = 1 }
  fail_over(s)
  local lost = ledger(s).rows - rows(s, "shop-dr")
  t.ok(lost > 50, ("more than 50 lost rows expected, got %d"):format(lost))
end)

t.test("a region that comes back has its databases, and its replica catches up", function()
  local s = started()
  client.until_true("rows", function() return ledger(s).rows > 20 end)
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse" }
  client.until_true("the writer to fail", function() return not ledger(s).running end)
  s:clear_faults()
  local _, status = client.admin(s, "GET", "health/shop")
  t.equal(status, 200)
  client.ok(s, "rds", "DescribeDBInstances")
  s:sql("shop", "INSERT INTO orders (id) VALUES (1000000)")
  client.until_true("the replica", function() return rows(s, "shop-dr") == rows(s, "shop") end)
end)

t.test("one instance crashes and is restarted; a cut link shows as lag", function()
  local s = started()
  client.until_true("rows", function() return ledger(s).rows > 5 end)
  s.writers.orders:stop()
  s:fault { kind = "instance_down", instance = "shop", restart = 60 }
  client.until_true("the restart", function() return (errors.try(rows, s, "shop")) end)
  s:fault { kind = "replication_cut", instance = "shop-dr" }
  s:sql("shop", "INSERT INTO orders (id) VALUES (1000000)")
  task.sleep(0.3)
  t.ok(rows(s, "shop-dr") < rows(s, "shop"))
  local west = { region = "us-west-2" }
  local data = client.ok(s, "cloudwatch", "GetMetricStatistics",
    { Namespace = "AWS/RDS", MetricName = "ReplicaLag",
    Dimensions = { { Name = "DBInstanceIdentifier", Value = "shop-dr" } },
    StartTime = s.clock:now() - 300,
    EndTime = s.clock:now() + 60, Period = 60, Statistics = { "Maximum" } }, west)
  t.ok(data.Datapoints[1].Maximum > 0)
  local status = client.ok(s, "rds", "DescribeDBInstances", { DBInstanceIdentifier = "shop-dr" },
    west).DBInstances[1]
  t.equal(status.StatusInfos[1].Normal, false)
  s:clear_faults()
  client.until_true("catching up", function() return rows(s, "shop-dr") == rows(s, "shop") end)
end)

t.test("connections are counted for real", function()
  local s = started {
    instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop" } } }
  local endpoint = s:instance("shop").shape.Endpoint
  local open = {}
  for i = 1, 3 do
    open[i] = errors.check("connect",
      task.await(pq.connect { host = endpoint.Address, port = endpoint.Port,
      user = "shop", password = PASSWORD, dbname = "shop", timeout = 3 }))
  end
  local data = client.ok(s, "cloudwatch", "GetMetricData", { StartTime = s.clock:now() - 300,
    EndTime = s.clock:now() + 60,
    MetricDataQueries = { { Id = "c", MetricStat = { Stat = "Maximum", Period = 60,
      Metric = { Namespace = "AWS/RDS", MetricName = "DatabaseConnections", Dimensions = {
        { Name = "DBInstanceIdentifier", Value = "shop" } } } } } } })
  for _, conn in ipairs(open) do conn:close() end
  t.equal(data.MetricDataResults[1].Values, { 3.0 })
end)

t.test("a simulator that was killed leaves no server, and the next one no files", function()
  local fs = require "native.fs"
  local process = require "native.process"
  local sys = require "native.sys"
  local base = errors.check("tempdir", fs.tempdir("drlua-sim-test"))
  fs.chmod(base, tonumber("755", 8))
  t.cleanup(function() fs.remove_tree(base) end)
  local script = base .. "/start.lua"
  fs.write(script, ([[
    local s = require("sim").start { data_dir = %q, world = { instances = { { id = "a" } } } }
    print(s:instance("a").cluster.pid)
    io.stdout:flush()
    require("task").sleep(60)]]):format(base))
  local proc = errors.check("start",
    process.start { argv = { sys.exe(), "script", script }, stdin = "null",
    stdout = "pipe", stderr = "inherit" })
  local pid = tonumber((task.await(proc:read("stdout", 100)):match("%d+")))
  t.ok(sys.alive(pid), "a server expected")
  proc:kill("KILL")
  task.await(proc:wait())
  client.until_true("the server to end with it", function() return not sys.alive(pid) end)
  t.equal(#fs.glob(base .. "/drlua-sim-*/owner"), 1)
  local s = sim.start { data_dir = base }
  t.cleanup(function() s:stop() end)
  client.until_true("the sweep", function() return #fs.glob(base .. "/drlua-sim-*/owner") == 1 end)
  t.equal(fs.glob(base .. "/drlua-sim-*/owner")[1], s.host.root .. "/owner")
end)
