local client = require "client"
local fs = require "native.fs"
local sim = require "sim"
local t = require "harness"
local world = require "sim.world"

local function started(description)
  local s = sim.start { speed = 1000, world = description }
  t.cleanup(function() s:stop() end)
  return s
end

t.test("what a world does not know is refused by name", function()
  local function refused(text, description)
    t.contains(t.raises("^world: ", sim.start, { world = description }).message, text)
  end
  refused("no section \"instance\"", { instance = {} })
  refused("instances[1] has no field \"idd\"", { instances = { { idd = "x" } } })
  refused("timeline step 1", { timeline = { { age = "1h" } } })
  refused("instances[1] needs the field \"id\"", { instances = { {} } })
  refused("timeline[1]: age must be seconds", {
    instances = { { id = "a" } }, timeline = { { instance = "a", snapshot = "s",
    age = "soon" } } })
end)

t.test("a world with a broken part raises, and leaves nothing running", function()
  local e = t.raises("syntax error", sim.start,
    { world = { instances = { { id = "a", sql = "CREATE NONSENSE" } } } })
  t.equal(e.sqlstate, "42601")
end)

t.test("durations are seconds or text", function()
  t.equal(world.seconds(90), 90)
  t.equal(world.seconds("90s"), 90)
  t.equal(world.seconds("1.5h"), 5400.0)
  t.equal(world.seconds("3d"), 3 * 86400)
end)

t.test("a file is Lua that returns a table, or JSON", function()
  local dir = assert(fs.tempdir("drlua-world"))
  t.cleanup(function() fs.remove_tree(dir) end)
  fs.write(dir .. "/a.lua", "return { zones = { { name = 'a.example' } } }")
  fs.write(dir .. "/b.json", '{"zones": [{"name": "b.example"}]}')
  fs.write(dir .. "/c.lua", "return 1")
  fs.write(dir .. "/d.lua", "return {")
  t.equal(world.read(dir .. "/a.lua").zones[1].name, "a.example")
  t.equal(world.read(dir .. "/b.json").zones[1].name, "b.example")
  t.raises("must return a table", world.read, dir .. "/c.lua")
  t.raises("unexpected symbol", world.read, dir .. "/d.lua")
  t.raises("No such file", world.read, dir .. "/e.json")
end)

t.test("instances in several regions and accounts, loaded while it runs", function()
  local s = started()
  local _, status = client.admin(s, "POST", "world", {
    keys = { { access_key_id = "one", secret_access_key = "s", account = "111111111111" },
      { access_key_id = "two", secret_access_key = "s", account = "222222222222" } },
    instances = { { id = "db", account = "111111111111", region = "eu-west-1", port = 5433,
      tags = { team = "a" } },
      { id = "db", account = "222222222222" } } })
  t.equal(status, 200)
  local function list(key, region)
    return client.ok(s, "rds", "DescribeDBInstances", {},
      { key = key, secret = "s", region = region }).DBInstances
  end
  local mine = list("one", "eu-west-1")
  t.equal({ #mine, mine[1].Endpoint.Port, mine[1].TagList[1].Value }, { 1, 5433, "a" })
  t.equal(#list("one", "us-east-1"), 0)
  t.equal(#list("two", "us-east-1"), 1)
  local state = client.admin(s, "GET", "state")
  t.equal(state.rds["222222222222"]["us-east-1"].instances.db.DBInstanceStatus, "available")
end)

t.test("records can name an instance's endpoint; health endpoints look at all they name", function()
  local s = started { instances = { { id = "db" } },
    zones = { { id = "Z1", name = "x.example", records = {
    { Name = "db.x.example", Type = "CNAME", values = { "endpoint:db" } } } } },
    ecs = { { cluster = "c", services = { { name = "web", desired = 1 } } } },
    health = { all = { instance = "db", service = "c/web", region = "us-east-1" } } }
  local records = client.ok(s, "route53", "ListResourceRecordSets",
    { HostedZoneId = "Z1" }).ResourceRecordSets
  t.equal(records[3].ResourceRecords[1].Value, s:instance("db").shape.Endpoint.Address)
  t.equal(select(2, client.admin(s, "GET", "health/all")), 200)
  client.ok(s, "ecs", "UpdateService", { cluster = "c", service = "web", desiredCount = 0 })
  client.until_true("503",
    function() return select(2, client.admin(s, "GET", "health/all")) == 503 end)
  t.equal(select(2, client.admin(s, "GET", "health/none")), 404)
end)
