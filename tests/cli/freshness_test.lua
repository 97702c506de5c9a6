-- Freshness: plan, check and runs say when a playbook was last checked and rehearsed.
local fs = require "native.fs"
local journal = require "run.journal"
local program = require "program"
local t = require "harness"
local value = require "run.value"

local READY = program.playbook('dr.step("One", function() probe.opaque("one") end)', [[
  ready = function() dr.check("Enough", function() return probe.count() > 0, "too few" end) end,]])

local function workspace(more)
  local files = { ["a.lua"] = READY, ["env/x.lua"] = "return {}" }
  for name, text in pairs(more or {}) do files[name] = text end
  local w = program.workspace(files)
  fs.mkdir(w.env.DRLUA_STATE, 448)
  return w
end

-- Makes the last check of the workspace this old.
local function age(w, seconds)
  local directory = w.env.DRLUA_STATE .. "/records"
  for _, name in ipairs(fs.list(directory)) do
    local record = value.decode(fs.read(directory .. "/" .. name))
    record.at = record.at - seconds
    assert(fs.write(directory .. "/" .. name, value.encode(record), { mode = 384 }))
  end
end

t.test("a check is kept, for its environment, and said by plan, check and runs", function()
  local w = workspace()
  -- Neither verb makes a state directory.
  fs.remove(w.env.DRLUA_STATE)
  t.contains(w.run({ "plan", "a.lua" }).out, "Never checked here; never rehearsed here.")
  w.run { "check", "a.lua" }
  t.equal(fs.stat(w.env.DRLUA_STATE), nil)
  fs.mkdir(w.env.DRLUA_STATE, 448)
  local r = w.run { "check", "a.lua" }
  t.equal(r.code, 3)
  t.contains(r.out, "Before this: never checked here; never rehearsed here.")
  age(w, 43 * 86400 + 3600)
  t.contains(w.run({ "plan", "a.lua" }).out,
    "Last checked 43 days ago: not ready (Enough); never rehearsed here.")
  t.contains(w.run({ "plan", "a.lua", "--env", "x" }).out,
    "Never checked here; never rehearsed here.")
  fs.write(w.world, "one\n")
  r = w.run { "check", "a.lua" }
  t.equal(r.code, 0)
  t.contains(r.out,
    "Before this: last checked 43 days ago: not ready (Enough); never rehearsed here.")
  t.contains(w.run({ "plan", "a.lua" }).out, "Last checked just now: ready; never rehearsed here.")
  t.equal(w.run({ "a.lua" }).code, 0)
  t.equal(w.run({ "a.lua", "--env", "x" }).code, 0)
  r = w.run { "runs" }
  t.contains(r.out, "a.lua: Last checked just now: ready; never rehearsed here.")
  t.contains(r.out, "a.lua (x): Never checked here; never rehearsed here.")
  age(w, 3 * 3600)
  w.write("a.lua", READY .. "-- edited\n")
  t.contains(w.run({ "plan", "a.lua" }).out,
    "Last checked 3 hours ago: ready, edited since (a.lua); never rehearsed")
  t.contains(w.run({ "runs" }).out,
    "a.lua: Last checked 3 hours ago: ready, edited since (a.lua); never rehearsed")
end)

t.test("an environment that was edited counts as edited", function()
  local w = workspace()
  w.run { "check", "a.lua", "--env", "x" }
  w.write("env/x.lua", "return { targets = { rto = '1h' } }")
  t.contains(w.run({ "plan", "a.lua", "--env", "x" }).out,
    "not ready (Enough), edited since (x.lua)")
end)

t.test("as data", function()
  local w = workspace()
  w.run { "check", "a.lua" }
  local function last(r)
    local events = program.events(r.out)
    return events[#events].result
  end
  local found = last(w.run { "plan", "a.lua", "--output", "json" }).freshness
  t.equal(found.checked.ready, false)
  t.equal(found.checked.failed, { "Enough" })
  t.equal(found.rehearsed, nil)
  t.equal(last(w.run { "check", "a.lua", "--output", "json" }).before.checked.ready, false)
end)

t.test("a rehearsal is found by its verdict, and its own check is not kept", function()
  local w = workspace()
  local env = { DRLUA_REHEARSAL = "1", AWS_ENDPOINT_URL = "http://127.0.0.1:1" }
  w.run({ "check", "a.lua" }, { env = env })
  t.equal(fs.list(w.env.DRLUA_STATE), {})
  local function rehearse(passed)
    local id = program.events(w.run({ "a.lua", "--output", "json" }, { env = env }).out)[1].run
    local j = journal.open(("%s/runs/%s/journal.db"):format(w.env.DRLUA_STATE, id))
    j:add("rehearsal", "", { expectations = { { name = "x", passed = passed } } })
    j:close()
  end
  rehearse(true)
  t.contains(w.run({ "plan", "a.lua" }).out, "Never checked here; last rehearsed just now: passed.")
  rehearse(false)
  t.contains(w.run({ "plan", "a.lua" }).out, "last rehearsed just now: failed.")
  w.write("a.lua", READY .. "-- edited\n")
  t.contains(w.run({ "plan", "a.lua" }).out,
    "last rehearsed just now: failed, edited since (a.lua).")
end)

t.test("a check whose result cannot be kept is a check all the same", function()
  local w = workspace()
  fs.write(w.env.DRLUA_STATE .. "/records", "in the way")
  local r = w.run { "check", "a.lua" }
  t.equal(r.code, 3)
  t.contains(r.err, "its result could not be kept")
  t.contains(w.run({ "plan", "a.lua" }).out, "Never checked here")
end)
