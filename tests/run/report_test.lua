-- run.report, run.facts, run.ending: what is made of a journal, however it came about.
local ending = require "run.ending"
local facts = require "run.facts"
local journal = require "run.journal"
local program = require "program"
local report = require "run.report"
local t = require "harness"

local START = 1795600000

-- The facts of a journal with these entries: { kind, path, data, seconds after the start }.
local function read(entries, status, head)
  local j = journal.create(program.directory() .. "/journal.db")
  local about = { id = "20261125-0800-kelp", title = "Test", path = "a.lua", started = START,
    user = "ann",
    host = "h", targets = { rto = 3600, rpo = 60 } }
  for k, v in pairs(head or {}) do about[k] = v end
  j:meta("run", about)
  j:meta("status", status or "succeeded")
  for i, e in ipairs(entries) do j:add(e[1], e[2], e[3], START + (e[4] or i)) end
  local found = facts.read(j)
  j:close()
  return found, report.markdown(found)
end

local function step(path, outcome, data)
  local list = { { "step_started", path, { name = path, scope = "", attempt = 1, options = {} } } }
  data = data or {}
  data.name = path
  if outcome then table.insert(list, { "step_" .. outcome, path, data }) end
  return table.unpack(list)
end

local function entries(...)
  local list = {}
  for _, one in ipairs { ... } do
    if type(one[1]) == "table" then
      table.move(one, 1, #one, #list + 1, list)
    else
      table.insert(list, one)
    end
  end
  return list
end

t.test("a journal with values of a wrong type has its report", function()
  for _, data in ipairs { { name = "rpo", seconds = "300.0", rows = "x" },
    { name = "rpo", seconds = { 1 } },
    { name = "rpo", seconds = true, rows = { 2 } }, { name = "x", value = { 1 } },
    { name = "x" } } do
    local found, text = read { { "measure", "", data } }
    t.contains(text, "| RPO |")
    t.equal(found.measures.rpo and found.measures.rpo.seconds, data.seconds == "300.0" and 300.0
      or nil)
  end
  local _, text = read { { "incident", "", { at = "soon" } }, { "recovered", "", {} },
    { "run_ended", "", { outcome = "succeeded" } } }
  t.contains(text, "| RTO | 3s | 1h | met |")
  local _, odd = read({ { "run_ended", "", { outcome = "failed" } } }, "failed",
    { targets = { rto = {}, rpo = "x" } })
  t.contains(odd, "| RTO | not measured | none | |")
end)

t.test("the RTO, by what is on record", function()
  local function rto(...) return (read({ ... })).rto end
  local function ended(outcome, at) return { "run_ended", "", { outcome = outcome }, at } end
  local function recovered(at) return { "recovered", "", { at = START + at }, at } end
  t.equal(rto(), nil)
  t.equal(rto(ended("failed", 9)), nil)
  t.equal(rto(ended("succeeded", 9)), 9.0)
  t.equal(rto(recovered(5), ended("succeeded", 9)), 5)
  t.equal(rto(recovered(5), ended("failed", 9)), 5)
  t.equal(rto({ "incident", "", { at = START - 60 } }, recovered(5), ended("failed", 9)), 65)
  -- What comes after a success (failed optional steps once more) does not change it.
  t.equal(rto(ended("succeeded", 9), ended("succeeded", 900)), 9.0)
  t.equal(rto(ended("succeeded", 9), ended("interrupted", 900)), 9.0)
  -- A run that is rolled back has none.
  t.equal(rto(recovered(5), { "rollback_started", "", {} }, ended("rolled back", 9)), nil)
  -- An incident in the future is a mistake, and no negative time.
  t.equal(rto({ "incident", "", { at = START + 99 } }, ended("succeeded", 9)), 0)
end)

t.test("a rollback's section: what was undone, what failed, what is left by hand", function()
  local _, text = read(entries({ step("Make", "succeeded") }, { step("Move", "succeeded") },
    { step("Burn", "failed") },
    { "run_ended", "", { outcome = "failed" } }, { "rollback_started", "", {} },
    { step("Undo: Move", "failed",
      { error = { message = "it is stuck" } }) }, { step("Undo: Make", "succeeded") },
    { "rollback_ended", "",
      { undone = { "Make" }, left = { { step = "Burn", call = "delete x", why = "no undo" } } } },
    { "run_ended", "", { outcome = "partly rolled back" } }), "partly rolled back")
  t.contains(text, "## Rollback")
  t.contains(text, '"Move": undo failed: it is stuck')
  t.contains(text, '"Make": undone')
  t.contains(text, 'To do by hand: "Burn": delete x (no undo)')
  -- A step that a playbook calls so is no undo.
  _, text = read(entries({ step("Undo: the harm", "succeeded") }))
  t.ok(not text:find("## Rollback", 1, true))
end)

t.test("left at the end: each kind once, in the report and as data", function()
  local found, text = read(entries(
    { step("Ask", "succeeded") }, { "approval_asked", "Ask", { text = "the\nbridge", people = 1 } },
    { "approved", "Ask",
      { by = "ann", account = "ann", host = "h", how = "--yes", shown = "the\nbridge" } },
    { step("Skip", "skipped", { reason = "no zone", scope = "" }) },
    { step("Tell", "failed", { optional = true, error = { message = "refused" } }) },
    { "check", "c", { name = "Sound", outcome = "failed", detail = "a | crack" } },
    { "intent", "Ask", { key = "Ask/x", what = "send it", token = "t" } },
    { "run_ended", "", { outcome = "failed", message = "no" } }), "failed")
  local left = ending.left(found)
  t.equal(left.accepted, { { step = "Ask", text = "the\nbridge", by = { "ann" } } })
  t.equal(left.skipped, { { step = "Skip", reason = "no zone" } })
  t.equal(left.optional_failed, { { step = "Tell", reason = "refused" } })
  t.equal(left.checks_failed, { { check = "Sound", reason = "a | crack" } })
  t.equal(left.in_doubt, { { step = "Ask", call = "send it", token = "t", key = "Ask/x" } })
  t.equal({ left.undone, left.by_hand, left.checks_skipped }, {})
  t.contains(text, "## Left at the end")
  for _, line in ipairs { '- Accepted at "Ask" by ann: the bridge',
    "- Check failed: Sound: a \\| crack", "- 1 optional step failed", "  - Tell: refused",
    "- Skipped (no zone): Skip", '- "Ask": call in doubt: send it',
    "- Next, to continue, once the cause is mended: `drlua resume 20261125-0800-kelp`" } do
    t.contains(text, line)
  end
  local _, none = read { { "run_ended", "", { outcome = "succeeded" } } }
  t.ok(not none:find("## Left at the end", 1, true))
end)

t.test("the commands, by how the run stands", function()
  local function commands(list, status, where, head)
    local found = read(list, status, head)
    local lines = {}
    for i, one in ipairs(ending.commands(found, status, where)) do lines[i] = one.command end
    return lines
  end
  local id = "20261125-0800-kelp"
  t.equal(commands({}, "succeeded"), {})
  t.equal(commands({}, "running"), {})
  t.equal(commands({}, "rolled back"), {})
  t.equal(commands({}, "partly rolled back"), {})
  t.equal(commands({}, "failed", " --state x"), { "drlua resume " .. id .. " --state x" })
  t.equal(commands({}, "failed", nil, { rehearsal = "1" }), {})
  t.equal(commands({}, "stopped"), { "drlua resume " .. id })
  t.equal(commands({ { "rollback_started", "", {} } }, "rolling back"), { "drlua resume " .. id })
  t.equal(commands({ { "run_ended", "", { outcome = "failed", control = "diverged" } } }, "failed"),
    { ("drlua resume %s --accept-changes"):format(id) })
  t.equal(commands({ { "intent", "A", { key = "A/x y", what = "w", token = "1" } },
    { "intent", "B", { key = "B/z", what = "w", token = "2" } },
    { "run_ended", "", { outcome = "paused", reason = "settle" } } }, "paused"), {
    ("drlua resume %s --settle 'A/x y=done' --settle B/z=done"):format(id),
    ("drlua resume %s --settle 'A/x y=again' --settle B/z=again"):format(id) })
  local asked = entries({ step "Burn it" },
    { "approval_asked", "Burn it", { text = "x", people = 2 } },
    { "approved", "Burn it", { by = "ann", account = "ann" } },
    { "approved", "Burn it", { by = "bob", account = "ann" } })
  t.equal(commands(asked, "paused"),
    { ("drlua approve %s 'Burn it'"):format(id), "drlua resume " .. id })
  table.insert(asked, { "approved", "Burn it", { by = "bob", account = "bob" } })
  t.equal(commands(asked, "paused"), { "drlua resume " .. id })
end)
