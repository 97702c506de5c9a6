-- A release at 50 minutes ago began to write nonsense into Dust's orders. Backups
-- exist from before and from after it, and one from before that never completed:
-- only one of them is the right one. The corrupt database serves on until the
-- writers are stopped; a scaling policy would start one of them again.
local PASSWORD = "rehearsal-only-0815"

local function corrupted_at(stage)
  return math.floor(stage.sim.clock:now() - 50 * 60)
end

return {
  title = "Dust's orders are corrupt since 50 minutes ago",
  speed = 240,

  world = {
    parameter_groups = { { name = "dust-db-params-prod", values = { work_mem = "16MB" } } },
    instances = { {
      id = "dust-db-prod", user = "dust", password = PASSWORD, db = "dust", retention = 7,
      multi_az = true, parameter_group = "dust-db-params-prod",
      security_groups = { "sg-0123456789abcdef0" },
      sql = [[
        create table customers (id int primary key, name text not null);
        create table orders (id int primary key, customer_id int references customers, total int not null);
        insert into customers select n, 'customer ' || n from generate_series(1, 100) n;
        insert into orders select n, 1 + n % 100, 10 from generate_series(1, 1000) n;]],
    } },
    vaults = { { name = "dust-backup-vault-prod" } },
    timeline = {
      { instance = "dust-db-prod", backup = "dust-backup-vault-prod", age = "26h" },
      { instance = "dust-db-prod",
        sql = "insert into orders select n, 1 + n % 100, 10 from generate_series(1001, 1200) n" },
      { instance = "dust-db-prod", backup = "dust-backup-vault-prod", age = "100m" },
      { instance = "dust-db-prod", backup = "dust-backup-vault-prod", age = "1h",
        status = "PARTIAL" },
      { instance = "dust-db-prod", sql = "update orders set total = -1 where id % 7 = 0" },
      { instance = "dust-db-prod", backup = "dust-backup-vault-prod", age = "10m" },
    },
    ecs = { { cluster = "dust-prod", services = {
      { name = "dust-core-api-prod", desired = 3 }, { name = "dust-mcp-server-prod", desired = 2 },
    } } },
    scaling = { { cluster = "dust-prod", service = "dust-core-api-prod", min = 2, max = 6 } },
    health = { dust = { region = "us-east-1", instance = "dust-db-prod",
      service = "dust-prod/dust-core-api-prod" } },
    metrics = { { namespace = "Dust", name = "Errors", dimensions = { Environment = "prod" },
      values = { 0, 1, 0 } } },
  },

  params = function(stage)
    return {
      region = "us-east-1", database = "dust-db-prod", vault = "dust-backup-vault-prod",
      corruption_time = corrupted_at(stage),
      cluster = "dust-prod", services = { "dust-core-api-prod", "dust-mcp-server-prod" },
      db_name = "dust", db_user = "dust",
      -- Stand-ins for a team's commands: `test` fails when it does not get its words.
      maintenance_on = { "test", "-n", "on" }, maintenance_off = { "test", "-n", "off" },
      application_tests = { "test", "-n", "whole" },
      checks = {
        { name = "No order has a negative total",
          sql = "select count(*) = 0 from orders where total < 0" },
        { name = "Orders are there", sql = "select count(*) > 0 from orders" },
      },
      health_url = stage.url .. "/_sim/health/dust",
      error_metric = { namespace = "Dust", name = "Errors",
        dimensions = { { Name = "Environment", Value = "prod" } } },
      channels = { { kind = "webhook", name = "incident channel",
        url = stage.sim:sink_url("incidents") } },
    }
  end,
  secrets = { db_password = PASSWORD },

  expect = function(state)
    local function orders(condition)
      return state.value("dust-db-prod", "select count(*) from orders where " .. condition)
    end
    state.expect("the newest backup from before the corruption was restored", function()
      return orders("true") == 1200, ("%d orders"):format(orders("true"))
    end)
    state.expect("no corrupt order is left", function() return orders("total < 0") == 0 end)
    local live = state.sim:instance("dust-db-prod").shape
    state.expect("the original's parameter group is in force",
      live.DBParameterGroups[1].DBParameterGroupName == "dust-db-params-prod"
      and live.DBParameterGroups[1].ParameterApplyStatus == "in-sync")
    state.expect("the parameter itself is in force", function()
      return state.value("dust-db-prod", "show work_mem") == "16MB"
    end)
    state.expect("the original's security group guards it",
      live.VpcSecurityGroups[1].VpcSecurityGroupId == "sg-0123456789abcdef0")
    state.expect("the corrupt instance is kept", function()
      for _, account in pairs(state.sim:inspect().rds) do
        for id in pairs(account["us-east-1"].instances or {}) do
          if id:find("^dust%-db%-prod%-corrupted%-") then return true end
        end
      end
      return false, "no instance dust-db-prod-corrupted-*"
    end)
    state.expect("one restore, one fresh backup",
      state.count("backup", "StartRestoreJob") == 1
      and state.count("backup", "StartBackupJob") == 1)
    state.expect("the incident channel heard of the beginning and the end", function()
      local heard = state.sim.sinks.incidents
      return heard and #heard == 2, heard and #heard .. " messages" or "no message"
    end)
  end,
}
