-- The corruption playbook: rehearsed, killed between its two renames and resumed, and
-- cleaned up by a run of its own.
local fs = require "native.fs"
local program = require "program"
local recovery = require "recovery"
local sim = require "sim"
local t = require "harness"
local task = require "task"

local PLAYBOOK = "playbooks/database_corruption.lua"
local PASSWORD = "rehearsal-only-0815"

local function environment(s, directory) return recovery.environment(s.url, directory, PASSWORD) end

local function started()
  local s = sim.start { speed = 480, world = {
    instances = { { id = "orders", user = "app", password = PASSWORD, db = "app", retention = 7,
      security_groups = { "sg-1" },
      sql = "create table orders (id int primary key); insert into orders values (1)" } },
    timeline = { { instance = "orders", backup = "nightly", age = "2h" },
      { instance = "orders", sql = "insert into orders values (2)" },
      { instance = "orders", backup = "nightly", age = "10m" } },
    ecs = { { cluster = "app", services = { { name = "api", desired = 3 } } } },
  } }
  t.cleanup(function() s:stop() end)
  return s
end

local function arguments(s, more)
  local list = { "run", PLAYBOOK, "--yes", "--database", "orders", "--vault", "nightly",
    "--cluster", "app", "--services", "api", "--db-name", "app", "--db-user", "app",
    "--corruption-time", ("%d"):format(s.clock:now() // 1 - 3600) }
  return table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

local count = recovery.succeeded

t.test("the rehearsal ends recovered", function()
  local directory = program.directory()
  local r = program.run({ "rehearse", PLAYBOOK }, { env = { DRLUA_STATE = directory } })
  t.equal(r.code, 0, r.out .. r.err)
  local report = fs.read(r.out:match("Report: (%S+)%s*$") or "")
  t.ok(report, "the report's path is in the last line")
  -- What a backup's metadata hold are names, which an operator has to read.
  t.contains(report, "dust-db-prod")
  t.ok(not (report .. r.out .. r.err):find("***", 1, true), report)
end)

t.test("killed between the renames, resumed: each rename once; then cleaned up", function()
  local s = started()
  local directory = program.directory()
  local victim
  local killer = task.spawn(function()
    while count(s, "ModifyDBInstance") < 1 or not victim do task.sleep(0.002) end
    victim:kill("KILL")
  end)
  local r = program.run(arguments(s), { env = environment(s, directory),
    on_error_line = function(_, proc) victim = proc end,
    on_line = function(_, proc) victim = proc end })
  killer:wait()
  t.equal(r.signal, "KILL", r.out .. r.err)
  r = program.run({ "resume", "last", "--yes" }, { env = environment(s, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal({ count(s, "StartRestoreJob"), count(s, "ModifyDBInstance"), count(s, "StartBackupJob") },
    { 1, 2, 1 })
  t.equal(s:sql("orders", "select count(*) from orders", { dbname = "app" }).rows[1][1], 1)

  local kept = (r.out .. r.err):match("%-%-corrupted (%S+)")
  t.ok(kept, "the end says how to clean up")
  r = program.run(arguments(s, { "--phase", "cleanup", "--corrupted", "orders" }),
    { env = environment(s, directory) })
  t.equal(r.code, 1)
  t.contains(r.out .. r.err, "orders is the database in service")
  r = program.run(arguments(s, { "--phase", "cleanup", "--corrupted", kept }),
    { env = environment(s, directory) })
  t.equal(r.code, 0, r.out .. r.err)
  t.raises("no DB instance", s.instance, s, kept)
end)

t.test("no backup from before the corruption: nothing is stopped", function()
  local s = started()
  local directory = program.directory()
  local list = arguments(s)
  list[#list] = ("%d"):format(s.clock:now() // 1 - 86400)
  local r = program.run(list, { env = environment(s, directory) })
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out .. r.err, "has no restorable recovery point")
  t.equal(count(s, "UpdateService"), 0)
end)
