--- The report of a run: Markdown, made from its journal alone.
local clock = require "native.clock"
local duration = require "duration"
local ending = require "run.ending"
local facts_of = require "run.facts"
local text = require "text"

local report = {}

local function at(t) return clock.format(math.floor(t), "rfc3339") end
local function short(t) return at(t):sub(12, 19) .. "Z" end
local cell = text.markdown

local function code(words)
  return ("`%s`"):format(text.printable_line(words):gsub("`", "'"):gsub("|", "\\|"))
end

local function number(n) return n == math.floor(n) and ("%d"):format(n) or tostring(n) end

local function target_line(name, achieved, target)
  local wanted = target and duration.format(target) or "none"
  if not achieved then return ("| %s | not measured | %s | |"):format(name, wanted) end
  local verdict = target and (achieved <= target and "met" or "**missed**") or ""
  return ("| %s | %s | %s | %s |"):format(name, duration.format(achieved), wanted, verdict)
end

local function head(facts, out)
  local h = facts.head
  out("# %s: %s", cell(h.title), facts.outcome or facts.status)
  out("")
  out("| | |")
  out("|---|---|")
  out("| Run | `%s` |", h.id)
  out("| Playbook | %s |", code(h.path))
  if h.environment then out("| Environment | %s |", cell(h.environment)) end
  out("| Started | %s by %s on %s |", at(h.started), cell(h.user), cell(h.host))
  if facts.incident then out("| Incident began | %s |", at(facts.incident)) end
  if facts.recovered then out("| Recovered | %s |", at(facts.recovered)) end
  if facts.ended then out("| Ended | %s (%s) |", at(facts.ended), facts.outcome) end
  for _, t in ipairs(facts.resumes) do out("| Resumed | %s |", at(t)) end
  if facts.message then out("| Reason | %s |", cell(facts.message)) end
  out("")
end

local function targets(facts, out)
  local rpo = facts.measures.rpo
  local wanted = facts.head.targets or {}
  out("## Targets")
  out("")
  out("| | Achieved | Target | |")
  out("|---|---|---|---|")
  out("%s", target_line("RTO", facts.rto, wanted.rto))
  out("%s", target_line("RPO", rpo and rpo.seconds, wanted.rpo))
  out("")
  if rpo and rpo.rows then
    out("Rows lost: **%s**%s", number(rpo.rows), rpo.detail and " (" .. cell(rpo.detail) .. ")"
      or "")
    out("")
  end
  local names = {}
  for name in pairs(facts.measures) do
    if name ~= "rpo" then table.insert(names, name) end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local m = facts.measures[name]
    out("%s: %s", cell(name), cell(m.seconds and duration.format(m.seconds) or m.value
      or m.rows and number(m.rows) or m.detail))
    out("")
  end
end

-- What the run leaves, and the commands that take it further.
local function left(facts, out)
  local lines = ending.lines(ending.left(facts))
  local commands = ending.commands(facts, facts.status)
  if #lines == 0 and #commands == 0 then return end
  out("## Left at the end")
  out("")
  for _, line in ipairs(lines) do
    local indented = line:match("^  (.*)$")
    out("%s- %s", indented and "  " or "", cell(indented or line))
  end
  for _, each in ipairs(commands) do out("- Next, %s: %s", cell(each.why), code(each.command)) end
  out("")
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
        took and duration.format(took) or "",
        s.waited and s.waited >= 0.05 and duration.format(s.waited) or "",
        budget and (duration.format(budget) .. (took and took > budget and " **over**" or ""))
          or "")
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
    table.insert(names, ("%s (%s)"):format(cell(s.name or s.path),
      duration.format(s.ended - s.started)))
  end
  if #names > 1 then
    out("Critical path: %s%s.", #names > 50 and "… → " or "", table.concat(names, " → ",
      math.max(1, #names - 49)))
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
    out("- [%s] %s%s%s", c.outcome == "passed" and "x" or " ", cell(c.name),
      c.outcome ~= "passed" and " — " .. c.outcome or "", c.detail and ": " .. cell(c.detail)
        or "")
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

local function undo_line(s)
  if s.outcome == "done" then return ("\"%s\": undone"):format(s.undoes) end
  if s.outcome == "under way" then return ("\"%s\": its undo was under way"):format(s.undoes) end
  return ("\"%s\": undo %s%s"):format(s.undoes, s.outcome, s.reason and ": " .. s.reason or "")
end

local function rollback(facts, out)
  local left_over = facts.rollback and facts.rollback.left or {}
  if #facts.undos == 0 and #left_over == 0 then return end
  out("## Rollback")
  out("")
  for _, s in ipairs(facts.undos) do out("- %s %s", short(s.started), cell(undo_line(s))) end
  for _, line in ipairs(ending.lines { by_hand = #left_over > 0 and left_over or nil }) do
    out("- %s", cell(line))
  end
  out("")
end

local function rehearsal(facts, out)
  local r = facts.rehearsal
  if not r then return end
  out("## Rehearsal")
  out("")
  if r.world then
    out("World: %s. Disaster: %s. Seed %s.", cell(r.world), cell(r.disaster or "none"),
      cell(r.seed))
    out("")
  end
  for _, e in ipairs(r.expectations or {}) do
    out("- [%s] %s%s", e.passed and "x" or " ", cell(e.name), e.detail and ": " .. cell(e.detail)
      or "")
  end
  out("")
end

local function lessons(facts, out)
  out("## Lessons")
  out("")
  out("| Observation | Action | Owner | Due |")
  out("|---|---|---|---|")
  for _, s in ipairs(facts.steps) do
    local budget, took = s.options and s.options.budget, s.started and s.ended
      and s.ended - s.started
    if budget and took and took > budget then
      out("| %s took %s, its budget is %s | | | |", cell(s.path), duration.format(took),
        duration.format(budget))
    end
  end
  for _, f in ipairs(facts.failures) do
    out("| %s failed: %s | | | |", cell(f.step), cell(f.text or ""))
  end
  for _, c in ipairs(facts.checks) do
    if c.outcome == "skipped" then out("| Check \"%s\" was skipped | | | |", cell(c.name)) end
  end
  for _, l in ipairs(facts.lessons) do
    out("| | %s | %s | %s |", cell(l.text), cell(l.owner or ""), cell(l.due or ""))
  end
  out("| | | | |")
end

--- Everything a report says, as a table, from the journal (see facts.lua).
report.facts = facts_of.read

--- The report as Markdown.
function report.markdown(facts)
  local lines = {}
  local function out(form, ...)
    table.insert(lines, select("#", ...) > 0 and form:format(...) or form)
  end
  head(facts, out)
  targets(facts, out)
  left(facts, out)
  timeline(facts, out)
  critical(facts, out)
  checks(facts, out)
  calls(facts, out)
  rehearsal(facts, out)
  list(out, "Approvals", facts.approvals)
  rollback(facts, out)
  list(out, "Notes", facts.notes)
  lessons(facts, out)
  return table.concat(lines, "\n") .. "\n"
end

return report
