--- The facts of a run: what its journal says, as one table.
--
-- One pass over the events. The report, the summary at the end of a run, `drlua show` and
-- a rehearsal's expectations all read from it, so that they agree. It takes every journal
-- that a run ever wrote: a value of the wrong type is left out, never an error.
local scope = require "run.scope"
local secrets = require "run.secrets"
local value = require "run.value"

local facts = {}

local read = {}

local function step(f, event)
  local s = f.by_path[event.path]
  if not s then
    s = { path = event.path, calls = {}, attempts = 0 }
    f.by_path[event.path] = s
    table.insert(f.steps, s)
  end
  return s
end

function read.step_started(f, event, data)
  local s = step(f, event)
  s.name, s.started, s.attempts = data.name, s.started or event.time, data.attempt
  s.options, s.outcome, s.scope = data.options or {}, "under way", data.scope
end

function read.step_continued(f, event)
  local s = step(f, event)
  s.continued = (s.continued or 0) + 1
end

function read.step_succeeded(f, event, data)
  local s = step(f, event)
  s.reason = nil
  s.ended, s.outcome, s.waited = event.time, "done", data.waited
  s.reads, s.seconds = data.reads, data.seconds
end

function read.step_skipped(f, event, data)
  local s = step(f, event)
  s.name, s.scope, s.started, s.ended = data.name, data.scope, s.started or event.time, event.time
  s.outcome, s.reason, s.options, s.seconds = "skipped", data.reason, s.options or {}, data.seconds
end

function read.step_failed(f, event, data)
  local s = step(f, event)
  s.ended, s.waited, s.reads = event.time, data.waited, data.reads
  s.outcome = data.optional and "failed (optional)" or "failed"
  s.reason = data.error and data.error.message
  table.insert(f.failures, { time = event.time, step = data.name, text = s.reason })
end

function read.intent(f, event, data)
  local call = { time = event.time, path = event.path, what = data.what or data.name,
    name = data.name,
    region = data.region, token = data.token, key = data.key, outcome = "in doubt" }
  local former = f.calls_by_key[event.path .. "\0" .. data.key]
  -- The same call again: the doubt about the first time is settled with it.
  if former and former.outcome == "in doubt" and former.token == call.token then
    former.outcome = "sent again"
  end
  f.calls_by_key[event.path .. "\0" .. data.key] = call
  table.insert(f.calls, call)
end

function read.result(f, event, data)
  local call = f.calls_by_key[event.path .. "\0" .. data.key]
  if not call then return end
  call.seconds, call.what = data.seconds, data.what or call.what
  local failed = data.error and tostring(data.error.message)
  call.outcome = failed and (data.doubtful and "failed, and may have taken effect: " or "failed: ")
    .. failed
    or data.settled and "settled" or "done"
end

function read.check(f, event, data)
  local former = f.checks_by_path[event.path]
  if former then
    for k, v in pairs(data) do former[k] = v end
    former.detail = data.detail
    return
  end
  f.checks_by_path[event.path] = data
  table.insert(f.checks, data)
end

-- What was shown when people were asked, the latest of each step.
function read.approval_asked(f, event, data)
  f.asked[event.path] = { path = event.path, text = data.text, changes = data.changes,
    people = data.people,
    given = f.asked[event.path] and f.asked[event.path].given or {} }
  local lines = { "asked: " .. tostring(data.text) }
  for _, change in ipairs(data.changes or {}) do
    table.insert(lines, "would change: " .. tostring(change))
  end
  table.insert(f.approvals, { time = event.time, path = event.path,
    text = ("\"%s\": %s"):format(event.path, table.concat(lines, "; ")) })
end

function read.approved(f, event, data)
  local asked = f.asked[event.path]
  if asked then table.insert(asked.given, data) end
  f.accepted[event.path] = f.accepted[event.path] or { step = event.path, by = {} }
  local accepted = f.accepted[event.path]
  accepted.text = data.shown or asked and asked.text or nil
  table.insert(accepted.by, data.by)
  table.insert(f.approvals, { time = event.time, path = event.path,
    text = ("\"%s\": approved by %s on %s (%s)"):format(event.path, data.by, data.host, data.how) })
end

function read.refused(f, event, data)
  table.insert(f.approvals, { time = event.time, path = event.path,
    text = ("\"%s\": refused by %s on %s"):format(event.path, data.by, data.host) })
end

-- What was agreed to is no longer what would be done: it is asked for again.
function read.changes_accepted(f) f.asked = {} end

function read.note(f, event, data)
  table.insert(f.notes, { time = event.time, text = data.text })
end
read.overrun = read.note

function read.operator(f, event, data)
  if data.again then f.asked[event.path] = nil end
  local what = data.choice
    or data.settled and ("\"%s\" about %s"):format(data.settled, data.call or "a call")
    or data.skip and "skip" or data.again and "do again" or data.retry and "try again" or "?"
  table.insert(f.notes, { time = event.time, text = ("operator %s chose %s for %s%s"):format(
    data.by or "?", what, event.path, data.reason and ": " .. data.reason or "") })
end
-- A number that may have come as text, as numeric comes from PostgreSQL.
local function number(v)
  local n = tonumber(v)
  return n and n == n and math.abs(n) < math.huge and n or nil
end

function read.measure(f, _, data)
  data.seconds, data.rows = number(data.seconds), number(data.rows)
  f.measures[data.name] = data
end

function read.incident(f, _, data) f.incident = number(data.at) end
function read.recovered(f, _, data) f.recovered = number(data.at) end
function read.run_resumed(f, event)
  f.rolling_back = nil
  table.insert(f.resumes, event.time)
end

function read.run_ended(f, event, data)
  f.ended, f.outcome, f.message = event.time, data.outcome, data.message
  if data.outcome == "succeeded" then f.succeeded = f.succeeded or event.time end
  f.reason, f.word, f.at_step, f.call = data.reason, data.control, data.step, data.call
end

function read.rollback_started(f, event)
  f.rolling_back = true
  table.insert(f.resumes, event.time)
end

function read.rollback_ended(f, _, data) f.rollback = data end

function read.rehearsal(f, _, data) f.rehearsal = data end
function read.lesson(f, event, data)
  table.insert(f.lessons, { time = event.time, text = data.text, owner = data.owner,
    due = data.due })
end

-- The undo of a step is a step itself, at "Undo: " and the step's path as one word ("#2":
-- of the step as it was done again). Journals of the first format have the path as it is.
local function undos(f)
  local list, undone_by = {}, {}
  for path in pairs(f.by_path) do undone_by[scope.escape(path)] = path end
  for _, s in ipairs(f.steps) do
    local word = s.path:match("^Undo: (.+)$")
    local of = word and (undone_by[word] or undone_by[word:gsub("#%d+$", "")]
      or f.by_path[word] and word)
    if of then
      s.undoes = of
      table.insert(list, s)
    end
  end
  return list
end

-- The recovery time, once the service serves again, or the run has succeeded: what comes
-- afterwards, well or not, does not change it. A run that is rolled back has none.
local function recovery_time(f)
  local till = f.recovered or f.succeeded
  if not till or f.rolling_back then return nil end
  return math.max(0, till - (f.incident or f.head.started))
end

--- Everything that a journal says of its run: head, status, steps (by_path), calls,
-- checks, approvals, accepted (what people agreed to, by step), notes, failures, measures,
-- undos, rto (seconds, nil before the service serves again), and the like.
function facts.read(journal)
  local f = { head = secrets.shown(journal:meta("run")), status = journal:meta("status"),
    steps = {}, by_path = {}, calls = {},
    calls_by_key = {}, checks = {}, checks_by_path = {}, approvals = {}, asked = {}, accepted = {},
    notes = {},
    failures = {}, resumes = {}, measures = {}, lessons = {} }
  for _, event in ipairs(journal:events()) do
    local fn = read[event.kind]
    if fn then
      local data = value.decode(event.data)
      if event.data:find("***{", 1, true) then data = secrets.shown(data) end
      fn(f, event, data)
    end
  end
  f.undos, f.rto = undos(f), recovery_time(f)
  for _, name in ipairs { "rto", "rpo" } do
    if f.head and f.head.targets then f.head.targets[name] = number(f.head.targets[name]) end
  end
  return f
end

return facts
