-- run.history: the picture of a run, the same live and from its journal.
local t = require "harness"
local dr = require "drlua"
local harness = require "harness"
local history = require "run.history"
local live = require "live"

local test = live.test

-- The parts of a history that decide what a run does next.
local function picture(h)
  local steps = {}
  for path, step in pairs(h.steps) do
    local calls = {}
    for key, call in pairs(step.calls) do
      calls[key] = { token = call.intent.token, seq = call.seq, attempt = call.attempt,
        answered = call.result ~= nil, failed = call.result and call.result.error ~= nil }
    end
    steps[path] = { status = step.status, attempts = step.attempts, generation = step.generation,
      changed = step.changed, newest = step.newest, unfinished = step.unfinished, calls = calls,
      children = step.children, sent = #step.order }
  end
  return harness.show { steps = steps, order = h.order, newest = h.newest, last = h.last }
end

test("the live picture is the one that the journal gives, after every write", function(start)
  local w, compared = live.world { a = { "lost" }, b = { "refused" } }, 0
  local run = start(function()
    dr.step("A", function()
      w:read()
      dr.try(w.change, w, "a", { repeatable = true })
      dr.step("Inner", { retries = 1 }, function() w:change "b" end)
    end)
    dr.parallel { function() dr.step("P", function() dr.skip "no need" end) end }
    dr.fail "the end"
  end)
  local function compare()
    local s = run.session
    -- The journal's newest entry is taken in when add() has returned.
    if compared % 3 == 0 and s and s.history.last > 0 then
      local known = s.history.last
      local read = history.empty()
      for _, event in ipairs(run:entries()) do
        if event.seq <= known then read:apply(event) end
      end
      t.equal(picture(s.history), picture(read))
    end
    compared = compared + 1
  end
  run:begin { on_write = compare }
  run:resume { from = "Inner", on_write = compare }
  t.ok(compared > 20)
end)

-- A history from entries { kind, path, data }.
local function made(...)
  local value = require "run.value"
  local h = history.empty()
  for seq, entry in ipairs { ... } do
    h:apply { seq = seq, time = 100 + seq, kind = entry[1], path = entry[2],
      data = value.encode(entry[3] or {}) }
  end
  return h
end

local function started(path, scope, attempt)
  return { "step_started", path, { name = path:match("[^/]*$"), scope = scope or "",
    attempt = attempt or 1,
    options = {} } }
end

t.test("another step than on record is told, in each scope for itself", function()
  local h = made(started "A", started "B", started("B/C", "B"))
  t.equal(h:visit("", "A").path, "A")
  t.equal({ h:visit("", "X") }, { nil, "B" })
  t.equal({ (h:visit("", "B")).path, select(2, h:visit("B", "D")) }, { "B", "C" and "B/C" })
  t.equal(h:unvisited "B", { "B/C" })
  t.equal(h:unvisited "", {})
  t.equal(h:visit("", "new"), nil)
  local copy = h:copy()
  t.equal(copy:unvisited "", { "A", "B" })
end)

t.test("an undo step is none that the playbook comes to", function()
  local undoing = started "Undo: A"
  undoing[3].undoing = true
  t.equal(made(started "A", undoing).order[""], { "A" })
end)

t.test("a call keeps its place when it is sent again; another one under its key replaces it",
  function()
  local function intent(token, at) return { "intent", "A", { key = "k", token = token,
    at = at } } end
  local result = { "result", "A", { key = "k", values = { n = 0 } } }
  local h = made(started "A", intent "t1", intent "t1", result)
  t.equal(#h.steps.A.order, 1)
  t.equal({ h.steps.A.calls.k.seq, h.steps.A.calls.k.result ~= nil, h.steps.A.changed }, { 2, true,
    2 })
  h = made(started "A", intent "t1", result, intent "t1")
  t.equal(h.steps.A.calls.k.result, nil, "in doubt once more")
  t.equal(#h:doubts(), 1)
  h = made(started "A", intent "t1", result, intent "t2")
  t.equal({ #h.steps.A.order, h.steps.A.order[1].replaced, h.steps.A.calls.k.intent.token }, { 2,
    true, "t2" })
end)

t.test("done again: a new generation, without calls, reads, approvals; what was made stays known",
  function()
  local h = made(started "A", { "intent", "A", { key = "k", token = "t", reads = { { key = "r",
    values = {} } } } },
    { "result", "A", { key = "k", values = {} } }, { "step_succeeded", "A" }, { "approved", "A",
      { by = "ann" } },
    { "check", "check c", { outcome = "passed" } },
    { "operator", "A", { again = true, since = 1 } })
  local a = h.steps.A
  t.equal({ a.status, a.generation, next(a.calls), a.reads, a.changed, #a.order, h.approvals.A,
    h.checks["check c"] },
    { "again", 1, nil, nil, nil, 1, nil, nil })
  h = made(started "A", { "intent", "A", { key = "k", token = "t" } },
    { "operator", "A", { again = true, undone = true } })
  t.equal(#h.steps.A.order, 0, "undone: nothing of it is left")
end)

t.test("a step and all that began after it", function()
  local h = made(started "A", started "B", started("B/C", "B"), started "D")
  t.equal(h:from "B", { "B", "B/C", "D" })
  t.equal(h:from "C", { "B/C", "D" })
  t.equal(h:from "B/C", { "B/C", "D" })
  t.equal(h:from "X", nil)
end)

t.test("what code saw holds in its attempt, and from before the first change on", function()
  local function seen(key) return { "seen", "A", { key = key, values = key } } end
  local h = made(started "A", seen "early", { "intent", "A", { key = "k", token = "t" } },
    seen "late",
    { "step_failed", "A", { error = {} } }, started("A", "", 2))
  t.equal({ h:saw("A", "early", 1).values, h:saw("A", "late", 1).values }, { "early", "late" })
  t.equal({ h:saw("A", "early", 2).values, h:saw("A", "late", 2) }, { "early", nil })
  t.equal(h:saw("A", "late", 2, true).values, "late", "a rollback's replay")
  t.equal(h:saw("A", "never", 1), nil)
end)
