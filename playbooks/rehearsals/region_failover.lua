-- A writer fills the primary in us-east-1. Its link to the replica is cut, a second
-- later the whole region is dead: its API silent, its database killed. What was
-- acknowledged in that second is lost, and the run must count it. Route 53's record API is
-- gone with us-east-1, so routing controls made beforehand move the traffic.
local PASSWORD = "rehearsal-only-4711"
local NAME = "db.platform.example.com"
local PANEL = "arn:aws:route53-recovery-control::123456789012:controlpanel/9c1d/routingcontrol/"
local PRIMARY, RECOVERY = PANEL .. "1111", PANEL .. "2222"

return {
  title = "us-east-1 goes dark while data points are written",
  speed = 120,

  world = {
    instances = { {
      id = "platform-prod", user = "platform", password = PASSWORD, db = "platform", retention = 7,
      multi_az = true,
      sql = [[
        create table users (id int primary key, name text not null);
        insert into users select n, 'user ' || n from generate_series(1, 500) n;
        create table results (id int primary key, user_id int not null references users);
        insert into results select n, 1 + n % 500 from generate_series(1, 2000) n;]],
    } },
    replicas = { { id = "platform-prod-replica-dr", region = "us-west-2",
      source = "platform-prod" } },
    writers = { {
      name = "data_points", instance = "platform-prod", table = "data_points",
      column = "created_at", interval = 0.005,
    } },
    ecs = { { cluster = "platform-dr", region = "us-west-2",
      services = { { name = "platform-api", desired = 0 } } } },
    routing_controls = {
      { name = "primary", arn = PRIMARY, state = "On" }, { name = "recovery", arn = RECOVERY },
    },
    health_checks = {
      { id = "primary", config = { Type = "RECOVERY_CONTROL", RoutingControlArn = PRIMARY } },
      { id = "recovery", config = { Type = "RECOVERY_CONTROL", RoutingControlArn = RECOVERY } },
    },
    zones = { { id = "Z1234567890ABC", name = "platform.example.com", records = {
      { Name = NAME, Type = "CNAME", TTL = 60, SetIdentifier = "primary", Failover = "PRIMARY",
        HealthCheckId = "primary", values = { "endpoint:platform-prod" } },
      { Name = NAME, Type = "CNAME", TTL = 60, SetIdentifier = "recovery", Failover = "SECONDARY",
        HealthCheckId = "recovery", values = { "endpoint:platform-prod-replica-dr" } },
    } } },
    health = { platform = { region = "us-east-1", instance = "platform-prod" } },
  },

  params = function(stage)
    return {
      primary_region = "us-east-1", dr_region = "us-west-2",
      primary = "platform-prod", replica = "platform-prod-replica-dr",
      primary_host = stage.sim:instance("platform-prod").shape.Endpoint.Address,
      probe_timeout = "2s", health_url = stage.url .. "/_sim/health/platform",
      db_name = "platform", db_user = "platform",
      rpo_table = "data_points", rpo_column = "created_at",
      ledger_url = stage.url .. "/_sim/writers/data_points",
      checks = {
        { name = "All users are there", sql = "select count(*) = 500 from users" },
        { name = "Every result has its user",
          sql = "select count(*) = 0 from results r left join users u on u.id = "
            .. "r.user_id where u.id is null" },
      },
      ecs_cluster = "platform-dr", ecs_services = { ["platform-api"] = 3 },
      routing_on = { RECOVERY }, routing_off = { PRIMARY },
      routing_endpoints = {
        { Endpoint = stage.url, Region = "us-east-1" },
        { Endpoint = stage.url, Region = "us-west-2" },
        { Endpoint = stage.url, Region = "eu-west-1" },
      },
    }
  end,
  secrets = { db_password = PASSWORD },

  warmup = "2s",
  disaster = { kind = "region_down", region = "us-east-1", cut_first = 1 },

  expect = function(state)
    local writer = state.sim.writers.data_points
    local ledger = writer:ledger()
    local kept = state.value("platform-prod-replica-dr", "select count(*) from data_points",
      { region = "us-west-2" })
    local rpo = state.measures.rpo or {}
    state.expect("the replica was promoted once",
      state.count("rds", "PromoteReadReplica", "us-west-2") == 1)
    state.expect("the promoted database takes writes",
      state.value("platform-prod-replica-dr", "select pg_is_in_recovery()",
        { region = "us-west-2" }) == false)
    state.expect("the rows lost are counted to the row", rpo.rows == ledger.rows - kept,
      ("the run says %s, the writer %d - %d"):format(tostring(rpo.rows), ledger.rows, kept))
    state.expect("rows were lost in the second before the region died", ledger.rows > kept)
    state.expect("a row kept is a row acknowledged or in flight", kept <= ledger.rows + 1)
    state.expect("the name answers the promoted database", function()
      local replica = state.sim:instance("platform-prod-replica-dr", { region = "us-west-2" })
      local answer, promoted = state.sim:resolve(NAME, "CNAME")[1], replica.shape.Endpoint.Address
      return answer == promoted, ("%s answers %s, not %s"):format(NAME, tostring(answer), promoted)
    end)
  end,
}
