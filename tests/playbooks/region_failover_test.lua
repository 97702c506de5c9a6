-- The main job, end to end: rehearsed; killed with -9 in the middle and resumed;
-- planned without a change; and against moto, whose promotion is none.
local clock = require "native.clock"
local fs = require "native.fs"
local json = require "native.json"
local moto = require "moto"
local program = require "program"
local recovery = require "recovery"
local sim = require "sim"
local sql = require "sql"
local t = require "harness"
local task = require "task"

local PLAYBOOK = "playbooks/region_failover.lua"
local PASSWORD = "rehearsal-only-4711"

local function keys(url, directory) return recovery.environment(url, directory, PASSWORD) end

local function world()
  return {
    instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop", retention = 7,
      sql = "create table ledger (id bigint primary key, created_at timestamptz not null "
        .. "default clock_timestamp());"
        .. "insert into ledger select generate_series(1, 50)" } },
    replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } },
    zones = { { id = "Z1", name = "shop.example", records = {
      { Name = "db.shop.example", Type = "CNAME", TTL = 60, values = { "endpoint:shop" } } } } },
  }
end

local ARGUMENTS = {
  "run", PLAYBOOK, "--yes", "--primary", "shop", "--replica", "shop-dr", "--db-name", "shop",
    "--db-user", "shop",
  "--rpo-table", "ledger", "--zone", "Z1", "--record", "db.shop.example",
}

local function started(speed)
  local s = sim.start { world = world(), speed = speed or 240 }
  t.cleanup(function() s:stop() end)
  return s
end

local function lose_region(s)
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse", control_planes = false }
end

local succeeded = recovery.succeeded

t.test("Route 53's record API is gone with us-east-1: the step "
  .. "says what else can be done", function()
  local s = started()
  s:fault { kind = "region_down", region = "us-east-1", mode = "refuse" }
  local directory = program.directory()
  local r = program.run(ARGUMENTS, { env = keys(s.url, directory) })
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, 'step "Point DNS at the recovery region" failed')
  t.contains(r.out, "Move the traffic by routing controls")
  s:clear_faults()
  r = program.run({ "resume", "last", "--yes" }, { env = keys(s.url, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(succeeded(s, "PromoteReadReplica"), 1)
end)

t.test("the rehearsal ends recovered, and says so on one screen", function()
  local directory = program.directory()
  local r = program.run({ "rehearse", PLAYBOOK }, { env = { DRLUA_STATE = directory } })
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "Rehearsal passed")
  local path = r.out:match("Report: (%S+)%s*$")
  t.ok(path and fs.stat(path), "the report's path is in the last line")
  local report = fs.read(path)
  t.matches(report, "RTO")
  t.matches(report, "%d+ rows")
  t.contains(report, "Promote the replica")
  -- What was agreed to is what was lost, and both are on record.
  local at_stake = report:match(
    "(%d+) of %d+ rows that the application saw acknowledged are not in data_points")
  t.equal(at_stake, report:match("Rows lost: %*%*(%d+)%*%*"))
  t.contains(report, "The primary database cannot be reached")
  t.ok(not (r.out .. r.err .. report):find(PASSWORD, 1, true), "the password is nowhere")
end)

t.test("killed in the middle of the promotion, resumed: recovered, promoted once", function()
  local s = started()
  local directory = program.directory()
  lose_region(s)
  local victim
  local killer = task.spawn(function()
    while succeeded(s, "PromoteReadReplica") == 0 or not victim do task.sleep(0.005) end
    victim:kill("KILL")
  end)
  local r = program.run({ table.unpack(ARGUMENTS) }, { env = keys(s.url, directory),
    on_error_line = function(_, proc) victim = proc end, on_line = function(_,
      proc) victim = proc end })
  killer:wait()
  t.equal(r.signal, "KILL", r.out .. r.err)
  r = program.run({ "resume", "last", "--yes" }, { env = keys(s.url, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(succeeded(s, "PromoteReadReplica"), 1)
  t.equal(s:sql("shop-dr", "select pg_is_in_recovery()", { region = "us-west-2" }).rows[1][1],
    false)
  local all = program.run({ "report", "last" }, { env = keys(s.url, directory) })
  t.equal(all.code, 0)
  t.contains(all.out, "Point DNS at the recovery region")
end)

t.test("a plan changes nothing", function()
  local s = started()
  local directory = program.directory()
  lose_region(s)
  local arguments = { table.unpack(ARGUMENTS) }
  arguments[1] = "plan"
  table.remove(arguments, 3) -- --yes
  local before = #s.calls:list()
  local r = program.run(arguments, { env = keys(s.url, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "Promote the replica")
  t.contains(r.out, "(known after run)")
  for _, call in ipairs(s.calls:list()) do
    t.ok(not call.mutating, call.operation .. " was sent")
  end
  t.ok(#s.calls:list() > before, "reads were made")
  t.equal(s:sql("shop-dr", "select pg_is_in_recovery()", { region = "us-west-2" }).rows[1][1], true)
end)

t.test("check finds the world ready, and finds the missing replica", function()
  local s = started()
  local directory = program.directory()
  local arguments = { table.unpack(ARGUMENTS) }
  arguments[1] = "check"
  table.remove(arguments, 3)
  local r = program.run(arguments, { env = keys(s.url, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  arguments[6] = "no-such-replica"
  r = program.run(arguments, { env = keys(s.url, directory) })
  t.equal(r.code, 3, r.out .. r.err)
  t.contains(r.out .. r.err, "there is no RDS instance no-such-replica in us-west-2")
end)

t.test("check holds the replica's lag against the RPO of the environment, else the playbook's",
  function()
  local s = started()
  local directory = program.directory()
  local west = { region = "us-west-2", dbname = "shop" }
  local function value(query) return s:sql("shop-dr", query, west).rows[1][1] end
  -- The replica has what it has, and replays no more.
  s:sql("shop", "insert into ledger values (1000)", { dbname = "shop" })
  while value "select count(*) from ledger" < 51 do task.sleep(0.02) end
  s:sql("shop-dr", "select pg_wal_replay_pause()", west)
  s:sql("shop", "insert into ledger values (1001)", { dbname = "shop" })
  local LAG = "select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0 else "
    .. "extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end::float8"
  while value(LAG) <= 1 do task.sleep(0.05) end
  local arguments = { table.unpack(ARGUMENTS) }
  arguments[1] = "check"
  table.remove(arguments, 3)
  local r = program.run(arguments, { env = keys(s.url, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  assert(fs.write(directory .. "/tight.lua", 'return { targets = { rpo = "1s" } }'))
  table.move({ "--env", directory .. "/tight.lua" }, 1, 2, #arguments + 1, arguments)
  r = program.run(arguments, { env = keys(s.url, directory) })
  t.equal(r.code, 3, r.out .. r.err)
  t.matches(r.out, "the replica lags %S+, and the RPO is 1s")
  s:sql("shop-dr", "select pg_wal_replay_resume()", west)
end)

t.test("a living region is not failed over by accident", function()
  local s = started()
  local directory = program.directory()
  local r = program.run({ table.unpack(ARGUMENTS) }, { env = keys(s.url, directory) })
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.err .. r.out, "us-east-1 is not down")
  t.equal(succeeded(s, "PromoteReadReplica"), 0)
end)

t.test("an API that is down is no dead database", function()
  local s = started()
  local directory = program.directory()
  s:fault { kind = "unavailable", service = "rds", region = "us-east-1" }
  local arguments = { table.unpack(ARGUMENTS) }
  for _, word in ipairs { "--primary-host", s:instance("shop").shape.Endpoint.Address,
    "--probe-timeout", "2s" } do
    table.insert(arguments, word)
  end
  local r = program.run(arguments, { env = keys(s.url, directory) })
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.err .. r.out, "us-east-1 is not down: the primary database accepts connections")
  t.equal(succeeded(s, "PromoteReadReplica"), 0)
end)

t.test("the approval of a drill names who is connected to the living primary", function()
  local s = started()
  local endpoint = s:instance("shop").shape.Endpoint
  local db = sql.connect { host = endpoint.Address, port = endpoint.Port, user = "shop",
    password = PASSWORD,
    dbname = "shop" }
  t.cleanup(function() db:close() end)
  local arguments = table.move(ARGUMENTS, 1, #ARGUMENTS, 1, {})
  arguments[1] = "plan"
  table.remove(arguments, 3) -- --yes
  table.insert(arguments, "--drill")
  table.insert(arguments, "yes")
  local r = program.run(arguments, { env = keys(s.url, program.directory()) })
  t.equal(r.code, 0, r.out .. r.err)
  t.matches(r.out, "asks   THE PRIMARY IS ALIVE, and connected to it are: shop from ")
  t.contains(r.out, "rows at stake cannot be counted without rpo_table and ledger_url")
end)

local function moto_world(server, env)
  local script = program.directory() .. "/world.lua"
  assert(fs.write(script, [[
    local aws = require "aws"
    local here, there = aws.rds { region = "us-east-1" }, aws.rds { region = "us-west-2" }
    local account = aws.sts {}:get_caller_identity {}.Account
    here:create_db_instance { DBInstanceIdentifier = "shop", DBInstanceClass = "db.t3.micro",
      Engine = "postgres",
      AllocatedStorage = 20, MasterUsername = "shop", MasterUserPassword = "not-used-here",
        BackupRetentionPeriod = 1 }
    there:create_db_instance_read_replica { DBInstanceIdentifier = "shop-dr",
      SourceDBInstanceIdentifier = ("arn:aws:rds:us-east-1:%s:db:shop"):format(account),
      DBInstanceClass = "db.t3.micro", SourceRegion = "us-east-1" }
    local zone = aws.route53 {}:create_hosted_zone { Name = "shop.example",
      CallerReference = "1" }.HostedZone.Id
    io.write(zone:match("[^/]*$"))]]))
  local r = program.run({ "script", script }, { env = env })
  t.equal(r.code, 0, server.url .. ": " .. r.out .. r.err)
  return r.out
end

t.test("moto leaves a promoted replica a replica: the run notices and says exactly that", function()
  if not moto.present() then t.skip("moto is not installed (scripts/setup --tests)") end
  local server = moto.start()
  t.cleanup(server.stop)
  local directory = program.directory()
  local env = keys(server.url, directory)
  local zone = moto_world(server, env)
  local r = program.run({ "run", PLAYBOOK, "--yes", "--output", "json", "--primary", "shop",
    "--replica", "shop-dr",
    "--drill", "yes", "--promotion-grace", "1s", "--zone", zone, "--record", "db.shop.example" },
      { env = env })
  t.equal(r.code, 1, r.out .. r.err)
  local failure
  local skipped = {}
  for line in r.out:gmatch("[^\n]+") do
    local event = json.decode(line)
    if event.event == "step_failed" then failure = event end
    if event.event == "step_skipped" then table.insert(skipped, event.step) end
    t.ok(clock.parse(event.time), line)
  end
  t.equal(failure.step, "Promote the replica")
  t.contains(json.encode(failure), "still stands as a read replica of")
  t.contains(json.encode(failure), "Do not send traffic to it")
  t.equal(skipped, { "Note the replica's position" })
end)

t.test("killed while the proof of writes is taken down: resumed to the end", function()
  local s = started()
  lose_region(s)
  local env = keys(s.url, program.directory())
  local arguments = table.move(ARGUMENTS, 1, #ARGUMENTS, 1, {})
  table.move({ "--output", "json" }, 1, 2, #arguments + 1, arguments)
  -- The call line comes when PostgreSQL has dropped the table; the kill finds the run there.
  local r = program.run(arguments, { env = env, on_line = function(line, proc)
    if line:find("drop table if exists drlua_write_proof", 1, true) then proc:kill("KILL") end
  end })
  t.equal(r.signal, "KILL", r.out .. r.err)
  r = program.run({ "resume", "last", "--yes" }, { env = env })
  t.equal(r.code, 0, r.out .. r.err)
end)
