-- What a tired person reads: summaries, plans, approvals, documentation.
local fs = require "native.fs"
local program = require "program"
local sim = require "sim"
local t = require "harness"

local playbook = program.playbook

local function aws_of(s)
  return { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test", AWS_SECRET_ACCESS_KEY = "test",
    AWS_REGION = "us-east-1", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null" }
end

local function simulator(world)
  local s = sim.start { world = world or {}, speed = 2000 }
  t.cleanup(function() s:stop() end)
  return s
end

t.test("a plan and an approval name the account, the region and the resource", function()
  local s = simulator()
  local w = program.workspace { ["a.lua"] = [[
    local aws, dr = require "aws", require "drlua"
    return dr.playbook { title = "Test", run = function()
      dr.step("Promote it", { risk = "irreversible" }, function()
        aws.rds { region = "us-west-2" }:promote_read_replica { DBInstanceIdentifier = "app-dr" }
      end)
    end }]] }
  local plan = w.run({ "plan", "a.lua" }, { env = aws_of(s) })
  t.equal(plan.code, 0, plan.err)
  t.contains(plan.out, "Account 123456789012, as arn:aws:")
  t.contains(plan.out, "change rds.PromoteReadReplica (us-west-2)  DBInstanceIdentifier=app-dr\n")
  local run = w.run({ "a.lua", "--output", "json" }, { env = aws_of(s) })
  t.equal(run.code, 4, run.err)
  local asked
  for _, e in ipairs(program.events(run.out)) do
    asked = e.event == "approval_needed" and e or asked
  end
  t.equal(asked.changes,
    { "rds.promote_read_replica of app-dr in us-west-2, account 123456789012" })
  s:stop()
  w.write("b.lua", playbook 'dr.step("Look", function() dr.fail("not here") end)')
  t.contains(w.run({ "plan", "b.lua" }).out, "As things stand it would stop at step 1, Look.")
  t.contains(w.run({ "plan", "a.lua" }, { env = aws_of(s) }).out, "Account unknown")
end)

t.test("an unknown value handed to Lua's own functions ends no plan", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    local n = dr.step("One", function() return probe.opaque("x") end)
    dr.step("Two", function() dr.note(("%d rows"):format(n)) dr.note(utf8.char(n)) probe.opaque("y") end)]] }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 0, r.err)
  t.ok(not r.out:find("bad argument", 1, true), r.out)
end)

t.test("a recovery time is claimed only by a run that succeeded", function()
  local w = program.workspace { ["a.lua"] = playbook([[
    dr.step("Undoable", { undo = function() end }, function() probe.opaque("a") end)
    dr.step("For good", function() probe.opaque("b") end)
    dr.step("Breaks", function() dr.fail("it broke") end)]], 'targets = { rto = "1h" },') }
  local r = w.run { "a.lua" }
  t.contains(r.out, "RTO not recovered yet, ")
  t.contains(w.run({ "report", "last" }).out, "| RTO | not measured | 1h | |")
  local back = w.run { "rollback", "last" }
  t.equal(back.code, 1, back.out .. back.err)
  t.contains(back.err, "rolling back")
  t.contains(back.err, 'not undone: step "For good": run b (no undo is defined for this step)')
  t.contains(back.out, 'partly rolled back')
  t.contains(back.out, '1 call is left to undo by hand: run b (step "For good")')
  t.contains(w.run({ "report", "last" }).out, "| RTO | not measured | 1h | |")
  t.ok(not back.out:find("RTO", 1, true), back.out)
end)

t.test("doc shows an operation, and names the nearest for a wrong one", function()
  local w = program.workspace {}
  local r = w.run { "doc", "rds.promote_read_replica" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "rds.promote_read_replica (PromoteReadReplica)")
  t.contains(r.out, "DBInstanceIdentifier")
  t.contains(w.run({ "doc", "rds" }).out, "promote_read_replica")
  local wrong = w.run { "doc", "rds.promote_read" }
  t.equal(wrong.code, 2)
  t.contains(wrong.err, "did you mean promote_read_replica?")
end)

t.test("a new playbook loads, plans, checks and is listed", function()
  local s, w = simulator(), program.workspace {}
  local made = w.run { "new", "shop-failover" }
  t.equal(made.code, 0, made.err)
  t.equal(made.out, "playbooks/shop_failover.lua\nplaybooks/rehearsals/shop_failover.lua\n")
  t.equal(w.run({ "new", "shop-failover" }).code, 2)
  for _, arguments in ipairs { { "plan", "shop_failover" },
    { "check", "playbooks/shop_failover.lua" },
    { "shop_failover.lua" }, { "help", "shop_failover" } } do
    local r = w.run(arguments, { env = aws_of(s) })
    t.equal(r.code, 0, table.concat(arguments, " ") .. ": " .. r.err)
  end
  t.contains(w.run({ "list" }).out, "playbooks/shop_failover.lua")
  t.ok(fs.stat(w.directory .. "/playbooks/shop_failover.lua"))
end)

t.test("a region that refuses a wrong name is not down", function()
  local s = simulator()
  local playbook_path = fs.realpath("playbooks/region_failover.lua")
  local w = program.workspace {}
  local r = w.run({ playbook_path, "--yes", "--primary", "mistyped", "--replica", "app-dr" },
    { env = aws_of(s) })
  t.equal(r.code, 1)
  t.contains(r.out, "us-east-1 is not down: RDS answers in us-east-1 (DBInstanceNotFound)")
  local env = aws_of(s)
  env.AWS_SECRET_ACCESS_KEY = "wrong"
  r = w.run({ playbook_path, "--yes", "--primary", "app", "--replica", "app-dr" }, { env = env })
  t.contains(r.out, "us-east-1 is not down: RDS answers in us-east-1 (SignatureDoesNotMatch)")
end)

t.test("a simulator that cannot listen says so and ends", function()
  local s, w = simulator(), program.workspace {}
  for listen, message in pairs { ["127.0.0.1:99999"] = "--listen expects HOST:PORT",
    ["127.1.1.999:80"] = "not an address", ["0.0.0.0:0"] = "add --open-to-network",
    ["[::]:0"] = "add --open-to-network",
    [("127.0.0.1:%d"):format(s.port)] = "Address already in use" } do
    local r = w.run { "sim", "--listen", listen }
    t.equal(r.code, 2)
    t.contains(r.err, message)
  end
end)

t.test("a parameter without its value is refused, unless it is a switch", function()
  local w = program.workspace {
    ["a.lua"] = playbook('dr.step("s", function() return { p.name, p.on } end)',
    'params = { { "name" }, { "on", type = "bool", default = false } },') }
  local r = w.run { "a.lua", "--name" }
  t.equal(r.code, 2)
  t.contains(r.err, "--name needs a value")
  t.equal(w.run({ "a.lua", "--name", "x", "--on" }).code, 0)
end)
