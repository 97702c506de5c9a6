-- run.life: how a run begins, is opened again, and ends; what it leaves in each case.
local t = require "harness"
local control = require "run.control"
local dr = require "drlua"
local fs = require "native.fs"
local life = require "run.life"
local live = require "live"
local lock = require "run.lock"
local sys = require "native.sys"

local test = live.test

local function kinds(run)
  local found = {}
  for _, e in ipairs(run:entries()) do found[e.kind] = (found[e.kind] or 0) + 1 end
  return found
end

local function report_of(run) return fs.read(run.state:run(run.id) .. "/report.md") end

-- name -> what `run` does, and outcome, code and event of its end; the status on record is
-- the outcome.
local endings = {
  nothing = { function() end, "succeeded", 0, "run_succeeded" },
  ["an error that is returned"] = { function()
    return { kind = "control", control = "pause", message = "x", fenced = "taken over" }
  end, "succeeded", 0, "run_succeeded" },
  fails = { function() dr.fail("no") end, "failed", 1, "run_failed" },
  raises = { function() error("no") end, "failed", 1, "run_failed" },
  ["a step fails"] = { function() dr.step("S", function() dr.fail("no") end) end, "failed", 1,
    "run_failed" },
  pause = { function() control.raise("pause", "paused") end, "paused", 4, "run_paused" },
  interrupt = { function(run)
    run.session.stopping = "interrupt"
    dr.step("S", function() end)
  end, "interrupted", 130, "run_paused" },
}

test("each end has its outcome, code, event and status, its entry and its report", function(start)
  for name, case in pairs(endings) do
    local run
    run = start(function() return case[1](run) end)
    local result = run:begin()
    t.equal({ result.outcome, result.code, run:status() }, { case[2], case[3], case[2] }, name)
    t.equal(run.events[#run.events].event, case[4], name)
    t.equal({ kinds(run).run_ended, result.report ~= nil }, { 1, true }, name)
    t.contains(report_of(run), "# Test")
    t.equal(run.events[#run.events].error ~= nil, case[3] ~= 0, name)
    -- The locks are free again: the run can be resumed, or another one begun.
    run.state:lock({ "test" }, run.id):release()
  end
end)

test("a run that cannot begin leaves no trace", function(start)
  local run, other, e
  run = start(function()
    other = live.new(run.state.path, { run = function() error("it began") end })
    e = t.raises("is locked", other.begin, other)
  end)
  t.equal(run:begin().outcome, "succeeded")
  t.equal({ e.kind, fs.list(run.state:runs()) }, { "locked", { run.id } })
  local create = run.state.create
  run.state.create = function() error("no journal", 0) end
  t.raises("no journal", run.begin, run)
  t.equal(fs.list(run.state:runs()), { run.id })
  run.state.create = create
  t.equal(run:begin().outcome, "succeeded")
  t.equal(#run.state:ids(), 2)
end)

test("a rehearsal is kept from nothing by a real run's locks, but by its like", function(start)
  local function set(name, value)
    local former = sys.getenv(name)
    t.cleanup(function() sys.setenv(name, former) end)
    sys.setenv(name, value)
  end
  local function out() end
  local run
  run = start(function()
    set("DRLUA_REHEARSAL", "1")
    set("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    local s = life.begin(run.state, run.loaded, {}, { out = out })
    t.raises("is locked", life.begin, run.state, run.loaded, {}, { out = out })
    sys.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    t.equal(life.conclude(life.begin(run.state, run.loaded, {}, { out = out }), true).code, 0)
    t.equal(life.conclude(s, true).code, 0)
    sys.setenv("DRLUA_REHEARSAL", nil)
  end)
  t.equal(run:begin().message, nil)
  t.equal(#run.state:ids(), 3)
end)

local BEFORE = 'dr.step("One", f)\ndr.step("Two", f)\n'
local AFTER = 'dr.step("One", f)\ndr.step("Two", g)\n'

test("an edited playbook is refused by its line and step, until that is accepted", function(start)
  local fails = true
  local run = start(function()
    dr.step("One", function() end)
    dr.step("Two", function() if fails then dr.fail("no") end end)
  end)
  local path = run.state.path .. "/a.lua"
  run.loaded.sources = { [path] = BEFORE }
  t.equal(run:begin().outcome, "failed")
  run.loaded.sources = { [path] = AFTER }
  local before = #run:entries()
  for _, verb in ipairs { "resume", "rollback" } do
    local e = t.raises("was edited since run .* line 2, in step \"Two\"", run[verb], run)
    t.equal({ e.kind, #run:entries(), run:status() }, { "usage", before, "failed" }, verb)
    t.contains(e.message, path)
  end
  fails = false
  t.equal(run:resume({ accept_changes = true }).outcome, "succeeded")
  t.equal(kinds(run).changes_accepted, 1)
  local j = run.state:open_run(run.id, { readonly = true })
  t.equal(j:sources(), { [path] = AFTER })
  j:close()
end)

t.test("where two versions of a file first differ", function()
  for _, case in ipairs {
    { BEFORE, BEFORE },
    { BEFORE, AFTER, 2, "Two" },
    { BEFORE, "-- new\n" .. BEFORE, 1, "One" },
    { BEFORE, BEFORE .. "-- behind\n", 3, "Two" },
    { BEFORE, 'dr.step("One", f)\n', 2, "One" },
    { "local x\n" .. BEFORE, "local y\n" .. BEFORE, 1 },
    { BEFORE, "", 1, "One" },
    { "dr.step('One', f)\n  x()\n", "dr.step('One', f)\n  y()\n", 2, "One" },
    { "a", "a\n", 2 },
  } do
    local line, step = life.first_difference(case[1], case[2])
    t.equal({ line, step }, { case[3], case[4] }, t.show { case[1], case[2] })
  end
end)

test("a process that was taken over writes nothing more: no end, no report", function(start)
  local run
  local w = live.world()
  run = start(function()
    dr.step("S", function()
      run:take_over()
      w:change "a"
    end)
  end)
  local result = run:begin()
  t.equal({ result.outcome, result.code, w.sent }, { "taken over", 1, {} })
  t.contains(result.message, "the run was taken over")
  t.equal({ kinds(run).run_ended, report_of(run), run:status(), result.report },
    { nil, nil, "running" })
end)

test("a report that cannot be written costs the run nothing but the report", function(start)
  local run = start(function() dr.step("S", function() end) end)
  local result = run:begin { on_session = function(s)
    assert(fs.mkdir(s.directory .. "/report.md"))
  end }
  t.equal({ result.outcome, result.code, result.report, run:status() },
    { "succeeded", 0, nil, "succeeded" })
  local told = run:told "note"
  t.contains(told[#told], "the report could not be written")
end)

test("a rollback that stopped half-way stays one", function(start)
  local fails, w = true, live.world()
  local run = start(function()
    dr.step("S", { undo = function() if fails then dr.fail("not yet") end end },
      function() w:change "a" end)
    dr.fail("no")
  end)
  t.equal(run:begin().outcome, "failed")
  local result = run:rollback()
  t.equal({ result.outcome, result.code, run:status() }, { "failed", 1, "rolling back" })
  fails = false
  result = run:resume()
  t.equal({ result.outcome, result.code, run:status() }, { "rolled back", 0, "rolled back" })
end)

test("a rollback that leaves something to do by hand is no success, and names it", function(start)
  local w = live.world()
  local run = start(function() dr.step("S", function() w:change "a" end) end)
  run:begin()
  local result = run:rollback()
  t.equal({ result.outcome, result.code, run:status() },
    { "partly rolled back", 1, "partly rolled back" })
  t.contains(result.message, '1 call is left to undo by hand: a (step "S")')
end)

test("AWS's own key is in nothing that a run leaves", function(start)
  local key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
  local former = sys.getenv "AWS_SECRET_ACCESS_KEY"
  t.cleanup(function() sys.setenv("AWS_SECRET_ACCESS_KEY", former) end)
  sys.setenv("AWS_SECRET_ACCESS_KEY", key)
  local run = start(function()
    dr.note("signed with " .. key)
    dr.step("S", function() dr.fail("refused: " .. key) end)
  end)
  local result = run:begin()
  t.contains(result.message, "refused: ***")
  local texts = { result.message, report_of(run) }
  for _, e in ipairs(run:entries()) do table.insert(texts, e.data) end
  for _, e in ipairs(run.events) do table.insert(texts, tostring(e.text) .. tostring(e.error)) end
  for _, text in ipairs(texts) do t.ok(not text:find(key, 1, true), text) end
end)

t.test("a run on record as running: stopped where its process is seen to be dead", function()
  local me, dead, elsewhere = lock.self(), lock.self(), lock.self()
  dead.start_time = "1"
  elsewhere.machine = "another"
  for _, case in ipairs { { "running", me, "running" }, { "running", dead, "stopped" },
    { "running", elsewhere, "running" }, { "running", nil, "running" },
    { "failed", dead, "failed" }, { "paused", dead, "paused" },
    { "succeeded", nil, "succeeded" } } do
    local head = { status = case[1], process = case[2] }
    t.equal(life.status { meta = function(_, name) return head[name] end }, case[3])
  end
end)
