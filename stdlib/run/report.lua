--- The report of a run: Markdown, made from its journal alone.
local clock = require "native.clock"
local duration = require "duration"
local value = require "run.value"

local report = {}

local function at(t) return clock.format(math.floor(t), "rfc3339") end
local function short(t) return at(t):sub(12, 19) end
local function cell(text) return (tostring(text):gsub("|", "\\|"):gsub("%s*\n%s*", " ")) end

local read = {}

local function step(facts, event)
  local s = facts.by_path[event.path]
  if not s then
    s = { path = event.path, calls = {}, attempts = 0 }
    facts.by_path[event.path] = s
    table.insert(facts.steps, s)
  end
  return s
end

function read.step_started(facts, event, data)
  local s = step(facts, event)
  s.name, s.started, s.attempts = data.name, s.started or event.time, data.attempt
  s.options, s.outcome, s.scope = data.options or {}, "under way", data.scope
end

function read.step_continued(facts, event)
  local s = step(facts, event)
  s.continued = (s.continued or 0) + 1
end

function read.step_succeeded(facts, event, data)
  local s = step(facts, event)
  s.reason = nil
  s.ended, s.outcome, s.waited = event.time, "done", data.waited
  s.reads, s.seconds = data.reads, data.seconds
end

function read.step_skipped(facts, event, data)
  local s = step(facts, event)
  s.name, s.scope, s.started, s.ended = data.name, data.scope, s.started or event.time, event.time
  s.outcome, s.reason, s.options, s.seconds = "skipped", data.reason, s.options or {}, data.seconds
end

function read.step_failed(facts, event, data)
  local s = step(facts, event)
  s.ended, s.outcome, s.waited, s.reads = event.time, data.optional and "failed (optional)" or "failed", data.waited,
    data.reads
  s.reason = data.error and data.error.message
  table.insert(facts.failures, { time = event.time, step = data.name, text = s.reason })
end

function read.intent(facts, event, data)
  local call = { time = event.time, path = event.path, what = data.what or data.name, name = data.name,
    region = data.region, token = data.token, outcome = "in doubt" }
  local former = facts.calls_by_key[event.path .. "\0" .. data.key]
  -- The same call again: the doubt about the first time is settled with it.
  if former and former.outcome == "in doubt" and former.token == call.token then former.outcome = "sent again" end
  facts.calls_by_key[event.path .. "\0" .. data.key] = call
  table.insert(facts.calls, call)
end

function read.result(facts, event, data)
  local call = facts.calls_by_key[event.path .. "\0" .. data.key]
  if not call then return end
  call.seconds = data.seconds
  call.outcome = data.error and "failed: " .. tostring(data.error.message) or data.settled and "settled" or "done"
end

function read.check(facts, event, data)
  local former = facts.checks_by_path[event.path]
  if former then
    for k, v in pairs(data) do former[k] = v end
    former.detail = data.detail
    return
  end
  facts.checks_by_path[event.path] = data
  table.insert(facts.checks, data)
end

function read.approval_asked(facts, event, data)
  table.insert(facts.approvals, { time = event.time, path = event.path, text = "asked: " .. data.text })
end
function read.approved(facts, event, data)
  table.insert(facts.approvals, { time = event.time, path = event.path,
    text = ("approved by %s on %s (%s)"):format(data.by, data.host, data.how) })
end
function read.refused(facts, event, data)
  table.insert(facts.approvals, { time = event.time, path = event.path,
    text = ("refused by %s on %s"):format(data.by, data.host) })
end
function read.note(facts, event, data)
  table.insert(facts.notes, { time = event.time, text = data.text })
end
read.overrun = read.note
function read.operator(facts, event, data)
  table.insert(facts.notes, { time = event.time, text = ("operator %s chose %s for %s%s"):format(data.by or "?",
    data.choice or (data.skip and "skip") or (data.again and "do again") or "?", event.path,
    data.reason and ": " .. data.reason or "") })
end
function read.measure(facts, _, data) facts.measures[data.name] = data end
function read.incident(facts, _, data) facts.incident = data.at end
function read.recovered(facts, _, data) facts.recovered = data.at end
function read.run_resumed(facts, event) table.insert(facts.resumes, event.time) end
function read.run_ended(facts, event, data)
  facts.ended, facts.outcome, facts.message = event.time, data.outcome, data.message
  facts.rto = data.rto
end
function read.undo_succeeded(facts, event, data)
  table.insert(facts.undos, { time = event.time, text = ("%s: undone"):format(data.name) })
end
function read.undo_failed(facts, event, data)
  table.insert(facts.undos, { time = event.time, text = ("%s: undo failed: %s"):format(data.name,
    tostring(data.error and data.error.message)) })
end
function read.rehearsal(facts, _, data) facts.rehearsal = data end
function read.lesson(facts, event, data)
  table.insert(facts.lessons, { time = event.time, text = data.text, owner = data.owner, due = data.due })
end

--- Everything a report says, as a table, from the journal.
function report.facts(journal)
  local facts = { head = journal:meta("run"), status = journal:meta("status"), steps = {}, by_path = {}, calls = {},
    calls_by_key = {}, checks = {}, checks_by_path = {}, approvals = {}, notes = {}, failures = {}, resumes = {},
    measures = {}, undos = {}, lessons = {} }
  for _, event in ipairs(journal:events()) do
    local fn = read[event.kind]
    if fn then fn(facts, event, value.decode(event.data)) end
  end
  return facts
end

local function target_line(name, achieved, target)
  local wanted = target and duration.format(target) or "none"
  if not achieved then return ("| %s | not measured | %s | |"):format(name, wanted) end
  local verdict = target and (achieved <= target and "met" or "**missed**") or ""
  return ("| %s | %s | %s | %s |"):format(name, duration.format(achieved), wanted, verdict)
end

local function head(facts, out)
  local h = facts.head
  out("# %s: %s", h.title, facts.outcome or facts.status)
  out("")
  out("| | |")
  out("|---|---|")
  out("| Run | `%s` |", h.id)
  out("| Playbook | `%s` |", h.path)
  if h.environment then out("| Environment | %s |", h.environment) end
  out("| Started | %s by %s on %s |", at(h.started), h.user, h.host)
  if facts.incident then out("| Incident began | %s |", at(facts.incident)) end
  if facts.recovered then out("| Recovered | %s |", at(facts.recovered)) end
  if facts.ended then out("| Ended | %s (%s) |", at(facts.ended), facts.outcome) end
  for _, t in ipairs(facts.resumes) do out("| Resumed | %s |", at(t)) end
  if facts.message then out("| Reason | %s |", cell(facts.message)) end
  out("")
end

-- A recovery time was reached only by a run that came to its end.
local function recovery_time(facts)
  if facts.outcome == "succeeded" then return facts.rto end
end

local function targets(facts, out)
  local rpo = facts.measures.rpo
  local wanted = facts.head.targets or {}
  out("## Targets")
  out("")
  out("| | Achieved | Target | |")
  out("|---|---|---|---|")
  out("%s", target_line("RTO", recovery_time(facts), wanted.rto))
  out("%s", target_line("RPO", rpo and rpo.seconds, wanted.rpo))
  out("")
  if rpo and rpo.rows then
    out("Rows lost: **%s**%s", tostring(rpo.rows), rpo.detail and " (" .. rpo.detail .. ")" or "")
    out("")
  end
  for name, m in pairs(facts.measures) do
    if name ~= "rpo" then
      out("%s: %s", name, m.seconds and duration.format(m.seconds) or tostring(m.value or m.rows or m.detail))
      out("")
    end
  end
end

local function timeline(facts, out)
  out("## Timeline")
  out("")
  out("| At (UTC) | Step | Outcome | Took | Waited | Budget |")
  out("|---|---|---|---|---|---|")
  for _, s in ipairs(facts.steps) do
    if s.name then
      local took = s.started and s.ended and s.ended - s.started
      local budget = s.options and s.options.budget
      out("| %s | %s | %s | %s | %s | %s |", s.started and short(s.started) or "", cell(s.path),
        cell(s.outcome .. (s.attempts and s.attempts > 1
          and (", attempt %d"):format(s.attempts) or "") .. (s.reason and ": " .. s.reason or "")),
        took and duration.format(took) or "", s.waited and s.waited >= 0.05 and duration.format(s.waited) or "",
        budget and (duration.format(budget) .. (took and took > budget and " **over**" or "")) or "")
    end
  end
  out("")
end

-- The steps that ran, by the time they ended.
local function by_end(facts)
  local list = {}
  for i, s in ipairs(facts.steps) do
    s.position = i
    if s.ended and s.started and s.outcome ~= "skipped" then table.insert(list, s) end
  end
  table.sort(list, function(a, b)
    if a.ended == b.ended then return a.position < b.position end
    return a.ended < b.ended
  end)
  return list
end

-- The index of the last of `list`, from 1 to `last`, that ended by `time`; 0: none.
local function ended_by(list, last, time)
  local low, high = 0, last
  while low < high do
    local middle = (low + high + 1) // 2
    if list[middle].ended <= time then low = middle else high = middle - 1 end
  end
  return low
end

--- The chain of steps that decided how long the run took: from the last one back,
-- each preceded by the one that ended latest before it began.
function report.critical_path(facts)
  local list, reversed = by_end(facts), {}
  local i = #list
  while i > 0 do
    table.insert(reversed, list[i])
    i = ended_by(list, i - 1, list[i].started)
  end
  local chain = {}
  for n = #reversed, 1, -1 do table.insert(chain, reversed[n]) end
  return chain
end

local function critical(facts, out)
  local chain, names = report.critical_path(facts), {}
  for _, s in ipairs(chain) do
    table.insert(names, ("%s (%s)"):format(s.name or s.path, duration.format(s.ended - s.started)))
  end
  if #names > 1 then
    out("Critical path: %s%s.", #names > 50 and "… → " or "", table.concat(names, " → ", math.max(1, #names - 49)))
    out("")
  end
end

local function list(out, title, items)
  if #items == 0 then return end
  out("## %s", title)
  out("")
  for _, item in ipairs(items) do out("- %s %s", short(item.time), cell(item.text)) end
  out("")
end

local function checks(facts, out)
  if #facts.checks == 0 then return end
  out("## Checks")
  out("")
  for _, c in ipairs(facts.checks) do
    out("- [%s] %s%s%s", c.outcome == "passed" and "x" or " ", c.name,
      c.outcome ~= "passed" and " — " .. c.outcome or "", c.detail and ": " .. cell(c.detail) or "")
  end
  out("")
end

local function calls(facts, out)
  if #facts.calls == 0 then return end
  out("## Changes made")
  out("")
  out("| At (UTC) | What | Outcome | Took |")
  out("|---|---|---|---|")
  for _, c in ipairs(facts.calls) do
    out("| %s | %s | %s | %s |", short(c.time), cell(c.what), cell(c.outcome),
      c.seconds and duration.format(c.seconds) or "")
  end
  out("")
end

local function rehearsal(facts, out)
  local r = facts.rehearsal
  if not r then return end
  out("## Rehearsal")
  out("")
  if r.world then
    out("World: %s. Disaster: %s. Seed %s.", tostring(r.world), tostring(r.disaster or "none"), tostring(r.seed))
    out("")
  end
  for _, e in ipairs(r.expectations or {}) do
    out("- [%s] %s%s", e.passed and "x" or " ", e.name, e.detail and ": " .. cell(e.detail) or "")
  end
  out("")
end

local function lessons(facts, out)
  out("## Lessons")
  out("")
  out("| Observation | Action | Owner | Due |")
  out("|---|---|---|---|")
  for _, s in ipairs(facts.steps) do
    local budget, took = s.options and s.options.budget, s.started and s.ended and s.ended - s.started
    if budget and took and took > budget then
      out("| %s took %s, its budget is %s | | | |", cell(s.path), duration.format(took), duration.format(budget))
    end
  end
  for _, f in ipairs(facts.failures) do out("| %s failed: %s | | | |", cell(f.step), cell(f.text or "")) end
  for _, c in ipairs(facts.checks) do
    if c.outcome == "skipped" then out("| Check \"%s\" was skipped | | | |", cell(c.name)) end
  end
  for _, l in ipairs(facts.lessons) do
    out("| | %s | %s | %s |", cell(l.text), cell(l.owner or ""), cell(l.due or ""))
  end
  out("| | | | |")
end

--- The report as Markdown.
function report.markdown(facts)
  local lines = {}
  local function out(text, ...)
    table.insert(lines, select("#", ...) > 0 and text:format(...) or text)
  end
  head(facts, out)
  targets(facts, out)
  timeline(facts, out)
  critical(facts, out)
  checks(facts, out)
  calls(facts, out)
  rehearsal(facts, out)
  list(out, "Approvals", facts.approvals)
  list(out, "Rollback", facts.undos)
  list(out, "Notes", facts.notes)
  lessons(facts, out)
  return table.concat(lines, "\n") .. "\n"
end

return report
