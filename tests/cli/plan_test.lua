-- Plan and check of every playbook that has a rehearsal: read in its whole world, and
-- nothing changed: no mutating call, no row, no process.
local t = require "harness"
local fs = require "native.fs"
local program = require "program"
local stage = require "cli.stage"

local function playbooks()
  local found = {}
  for _, name in ipairs(fs.list("playbooks")) do
    local path = "playbooks/rehearsals/" .. name
    if name:find("%.lua$") and fs.stat(path) then table.insert(found, name) end
  end
  table.sort(found)
  return found
end

local TABLES = [[select string_agg(format('%s.%s=%s/%s/%s', schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del), ' '
  order by schemaname, relname) from pg_stat_user_tables]]

local function databases(s)
  local seen = {}
  s.sim.state:each("rds", function(_, region, store)
    for id, instance in pairs(store.instances) do
      local ok, result = pcall(instance.sql, instance, TABLES)
      seen[region .. "/" .. id] = ok and tostring(result.rows[1][1]) or nil
    end
  end)
  return seen
end

-- The same world, without those who write in it.
local function quiet(plan)
  local copy = {}
  for k, v in pairs(plan) do copy[k] = v end
  local world = type(plan.world) == "function" and plan.world or { }
  if type(plan.world) == "table" then
    for k, v in pairs(plan.world) do world[k] = v end
    world.writers = nil
  end
  copy.world, copy.disaster = world, nil
  return copy
end

for _, name in ipairs(playbooks()) do
  t.test(name .. ": plan and check change nothing", function()
    local state = program.directory()
    local plan = quiet(stage.read("playbooks/rehearsals/" .. name))
    local s = stage.set(plan, { seed = 1, state = state, log = function() end })
    t.cleanup(function() s:strike() end)
    local before = databases(s)
    for _, verb in ipairs { "plan", "check" } do
      local arguments = s:arguments("playbooks/" .. name, { params = {} })
      arguments[1] = verb
      local run = s:play(arguments, { quiet = true, id = "none" })
      t.ok(run.code == 0 or (verb == "check" and run.code == 3), verb .. ": " .. run.out)
      for _, call in ipairs(s.sim.calls:list()) do
        t.ok(not call.mutating,
          ("%s sent %s.%s"):format(verb, call.service, tostring(call.operation)))
      end
      if verb == "plan" then
        t.contains(run.out, "Nothing was changed.")
        t.contains(run.out, "change ")
        t.contains(run.out, "Control planes needed")
      end
    end
    t.ok(#s.sim.calls:list() > 0, "nothing was read")
    t.equal(databases(s), before)
    t.equal(#(fs.list(state .. "/runs") or {}), 0)
  end)
end

t.test("a plan shows what people would be asked, and what is read for that", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Burn", { risk = "irreversible", approve = { people = 2, text = function()
      return "one\nat stake: " .. probe.count()
    end } }, function() probe.opaque("burn") end)
    dr.step("Blind", { approve = function() error("the region is silent") end }, function() end)
    dr.step("Plain", { approve = "the bridge burns" }, function() end)
    dr.step("Off", { when = false, approve = function() error("never asked") end }, function() end)]] }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "1. Burn  [irreversible, approval of 2 people]")
  t.contains(r.out, "       asks   one\n       asks   at stake: 0\n")
  t.contains(r.out, "how things stand now could not be found out: ")
  t.contains(r.out, "the region is silent")
  t.contains(r.out, "       asks   the bridge burns\n")
  t.ok(not r.out:find("never asked"))
  t.equal(w.effects(), {})
end)

t.test("a database that will be there after the run only: its changes are in the plan", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    local process, sql = require "process", require "sql"
    local host = dr.step("Make", function() return process.run({ "make-it" }).stdout end)
    local function work(name, db)
      dr.step(name, function()
        if db:value("select 1") then db:exec("delete from " .. name) end
        for row in db:each("select 2") do db:exec("insert into " .. name, row.id) end
        db:transaction(function() db:row("select 3") db:exec("drop table " .. name) end)
        db:copy_in("copy " .. name .. " from stdin", "x")
        if db:status() == "idle" then dr.note("idle") end
      end)
      db:close()
    end
    work("made", sql.connect { host = host, user = "x", dbname = "x" })
    work("awaited", sql.wait_until_accepts { host = "127.0.0.1", port = 1, user = "x" })]] }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  for _, name in ipairs { "made", "awaited" } do
    t.contains(r.out, "delete from " .. name)
    t.contains(r.out, "insert into " .. name)
    t.contains(r.out, "select 3; drop table " .. name)
    t.contains(r.out, "copy " .. name .. " from stdin")
  end
end)
