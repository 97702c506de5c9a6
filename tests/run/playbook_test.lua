-- run.playbook: what a playbook's table may hold, its targets, and its locks.
local t = require "harness"
local playbook = require "run.playbook"

local function with(fields)
  local all = { title = "Test", run = function() end }
  for k, v in pairs(fields) do all[k] = v end
  return all
end

t.test("every fault of a table is said at once, in order", function()
  local e = t.raises("this playbook cannot be used: ", playbook.define, { titel = "x",
    summary = 1, targets = { rto = "soon" }, limits = { deletes = -1 }, params = { { 1 } } })
  t.equal(e.kind, "misuse")
  local at = 0
  for _, part in ipairs { "it needs a function run (or ready)", "it needs a title", "limits",
    "summary is a string, not a number", "targets.rto: ", "unknown field titel" } do
    local found = e.message:find(part, 1, true)
    t.ok(found, ("%q is not in: %s"):format(part, e.message))
    t.ok(found > at, ("%q is out of order in: %s"):format(part, e.message))
    at = found
  end
  t.contains(e.message, "title")
  t.raises("a table, not a string", playbook.define, "x")
end)

t.test("a fault for each field that is of another type", function()
  for name, wrong in pairs { title = 1, summary = {}, description = false, targets = "1h",
    params = "x", lock = "name", ready = {}, run = "x", rehearsal = {}, escalate = "x",
    control_planes = {}, tags = "x", after_rollback = 1, limits = "x" } do
    local e = t.raises("cannot be used", playbook.define, with { [name] = wrong })
    t.contains(e.message, name)
  end
  t.ok(playbook.is(playbook.define { title = "Only ready", ready = function() end }))
end)

t.test("what was defined is marked, and later changes of the table do not reach it", function()
  local given = with { params = { { "x", default = "1" } } }
  local made = playbook.define(given)
  given.title = "Other"
  t.equal(made.title, "Test")
  t.equal({ playbook.is(made), playbook.is(given), playbook.is "x", playbook.is(nil) },
    { true, false, false, false })
  t.equal(made.params[1].name, "x")
end)

t.test("targets: seconds, by component, and the environment's in their place", function()
  local made = playbook.define(with { targets = { rto = "1h", rpo = "15m",
    database = { rto = "20m", replica = { rpo = 5 } } } })
  local plain = { rto = 3600, rpo = 900, database = { rto = 1200, replica = { rpo = 5 } } }
  for _, environment in ipairs { false, {}, { targets = {} } } do
    t.equal(playbook.targets(made, environment or nil), plain)
  end
  t.equal(playbook.targets(made, { targets = { rto = "2h", web = { rto = "5m" } } }), {
    rto = 7200, rpo = 900, database = plain.database, web = { rto = 300 } })
  t.equal(playbook.targets(playbook.define(with {})), {})
end)

t.test("targets that are no durations: by their full name, in a playbook and an environment",
  function()
    for name, targets in pairs { ["targets.rto: "] = { rto = { main = "1h" } },
      ["targets.database.rto: "] = { database = { rto = "never" } },
      ["targets.a.b.c: "] = { a = { b = { c = true } } }, ["targets.rpo: "] = { rpo = -1 } } do
      t.contains(t.raises(nil, playbook.define, with { targets = targets }).message, name)
      local faults = playbook.environment_faults { targets = targets }
      t.equal(#faults, 1)
      t.equal(faults[1]:sub(1, #name), name)
    end
    t.equal(playbook.environment_faults { targets = "1h" }, { "targets is a string, not a table" })
    t.equal(playbook.environment_faults { targets = { rto = "1h" } }, {})
    t.equal(playbook.environment_faults {}, {})
  end)

t.test("locks: the playbook's own, else its file and environment", function()
  local function locks(fn, path, environment)
    return playbook.locks(playbook.define(with { lock = fn }), { shop = "eu" }, path, environment)
  end
  t.equal(locks(nil, "/a/b/failover.lua"), { "failover" })
  t.equal(locks(nil, "failover.lua", "prod"), { "failover@prod" })
  t.equal(locks(function() end, "x.lua", "prod"), { "x@prod" })
  t.equal(locks(function(p) return "shop-" .. p.shop end, "x.lua", "prod"), { "shop-eu" })
  t.equal(locks(function() return { "a", "b" } end, "x.lua"), { "a", "b" })
  t.equal(locks(function() return {} end, "x.lua"), {})
  for _, wrong in ipairs { 5, true, { "" }, { "a", 5 }, { "a", {} }, "" } do
    t.equal(t.raises("lock%(p%) returns a text or a list of texts", locks,
      function() return wrong end, "x.lua").kind, "misuse")
  end
end)
