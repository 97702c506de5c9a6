--- The verbs that look at runs, and answer them: runs, show, report, approve, pause.
local approval = require "run.approval"
local clock = require "native.clock"
local duration = require "duration"
local ending = require "run.ending"
local errors = require "errors"
local freshness = require "run.freshness"
local fs = require "native.fs"
local identity = require "run.identity"
local life = require "run.life"
local native_json = require "native.json"
local options = require "cli.options"
local report = require "run.report"
local store = require "run.store"
local summary = require "cli.summary"
local sys = require "native.sys"
local write = require "cli.write"

local show = {}

local function at(t) return clock.format(math.floor(t), "rfc3339") end

local json_array = native_json.array

local function json(data)
  write.json(data)
end

local function open(parsed, readonly)
  local kept = store.look(parsed.state)
  if not parsed.words[1] then options.usage("name a run; `drlua runs` lists them") end
  local id = kept:find(parsed.words[1])
  return kept:open_run(id, { readonly = readonly }), id, kept
end

-- Opens a run to look at it; a damaged journal is shown as far as it can be read.
local function look(parsed)
  local j, id, kept = open(parsed, true)
  local fault = j:proof().fault
  if fault then
    write.err(("drlua: warning: the journal of run %s is damaged: %s\n"):format(id, fault.text))
    j:salvage()
  end
  if not j:meta("run") then
    j:close()
    errors.raise { kind = "journal", message = ("nothing of run %s can be shown: %s"):format(id,
      fault and fault.text or "its head is missing") }
  end
  return j, id, kept, fault
end

local function one(kept, id)
  local ok, row = pcall(function()
    local j = kept:open_run(id, { readonly = true })
    local head, status = j:meta("run"), j:glance() and "damaged" or life.status(j)
    local last = j:of_kind("run_ended")
    local ended = last[#last]
    j:close()
    return { run = id, status = status, title = head.title, playbook = head.path,
      environment = head.environment, started = at(head.started), ended = ended and at(ended.time),
      user = head.user, host = head.host, seconds = ended and ended.time - head.started,
      rehearsal = head.rehearsal and true or nil,
      path = head.absolute_path }
  end)
  return ok and row or { run = id, status = "unreadable", title = tostring(row), started = "" }
end

-- A line on each playbook among the runs: when it was last checked and rehearsed.
local function print_freshness(kept, playbooks)
  local rehearsals = freshness.rehearsals(kept)
  table.sort(playbooks, function(a, b) return a.name < b.name end)
  for _, one_of in ipairs(playbooks) do
    write.out(("%s: %s\n"):format(one_of.name,
      freshness.line(freshness.check(kept, one_of.path, one_of.environment),
      rehearsals[one_of.path], clock.now())))
  end
end

-- The playbooks of runs, each with its environment, once.
local function playbooks_of(rows)
  local list, seen = {}, {}
  for _, row in ipairs(rows) do
    local path = row.path
    row.path = nil
    local name = path and row.playbook .. (row.environment and " (" .. row.environment .. ")" or "")
    if name and not row.rehearsal and not seen[name .. path] then
      table.insert(list, { name = name, path = path, environment = row.environment })
      seen[name .. path] = true
    end
  end
  return list
end

--- drlua runs
function show.runs(parsed)
  local kept, rows = store.look(parsed.state), {}
  for _, id in ipairs(kept:ids()) do table.insert(rows, one(kept, id)) end
  table.sort(rows,
    function(a, b) return a.started > b.started or (a.started == b.started and a.run > b.run) end)
  local playbooks = playbooks_of(rows)
  if parsed.output == "json" then
    for _, row in ipairs(rows) do json(row) end
    return 0
  end
  if #rows == 0 then write.out("no runs in ", kept.path, "\n") end
  for _, row in ipairs(rows) do
    write.line(("%-24s %-12s %-20s %-8s %s%s"):format(row.run, row.status, row.started,
      row.seconds and duration.format(row.seconds) or "", row.title,
      (row.environment and " (" .. row.environment .. ")" or "")
      .. (row.rehearsal and " · rehearsal" or "")))
  end
  print_freshness(kept, playbooks)
  return 0
end

local function step_line(s)
  local took = s.started and s.ended and duration.format(s.ended - s.started) or ""
  return ("  %-10s %-8s %s%s"):format(s.outcome or "", took, s.path,
    s.reason and ": " .. s.reason or "")
end

local function approval_line(asked)
  local names = {}
  for _, given in ipairs(asked.given) do table.insert(names, given.by) end
  return ("  waits for approval: %s (%d of %d given%s): %s"):format(asked.path,
    identity.count(asked.given),
    asked.people or 1, #names > 0 and ", by " .. table.concat(names, ", ") or "", asked.text)
end

local function plain_step(s)
  return { path = s.path, name = s.name, outcome = s.outcome, attempts = s.attempts,
    reason = s.reason, started = s.started and at(s.started), ended = s.ended and at(s.ended),
    seconds = s.started and s.ended and s.ended - s.started, waited = s.waited }
end

local function waiting_data(facts)
  local list = json_array {}
  for _, asked in ipairs(ending.pending(facts)) do
    local names = json_array {}
    for i, given in ipairs(asked.given) do names[i] = given.by end
    table.insert(list,
      { step = asked.path, text = asked.text, changes = asked.changes, people = asked.people,
      given = identity.count(asked.given), by = names })
  end
  return list
end

local function next_commands(facts, status, parsed)
  local list = json_array {}
  for i, help in ipairs(ending.commands(facts, status, summary.where(parsed))) do
    list[i] = help.command
  end
  return list
end

local function show_json(facts, status, parsed)
  local left = ending.left(facts)
  local steps = json_array {}
  for _, s in ipairs(facts.steps) do table.insert(steps, plain_step(s)) end
  local calls = json_array {}
  for _, c in ipairs(facts.calls) do
    table.insert(calls,
      { step = c.path, what = c.what, name = c.name, region = c.region, outcome = c.outcome,
      token = c.token, time = at(c.time) })
  end
  json { run = facts.head.id, status = status, title = facts.head.title, playbook = facts.head.path,
    environment = facts.head.environment, params = facts.head.params,
    started = at(facts.head.started), ended = facts.ended and at(facts.ended),
    message = facts.message, rto = facts.rto, measures = facts.measures,
    targets = facts.head.targets, steps = steps, calls = calls, checks = json_array(facts.checks),
    left = left, waiting = waiting_data(facts), next = next_commands(facts, status, parsed) }
end

--- drlua show RUN
function show.show(parsed)
  local j, id, _, fault = look(parsed)
  local facts, status = report.facts(j), fault and "damaged" or life.status(j)
  j:close()
  if parsed.output == "json" then
    show_json(facts, status, parsed)
    return 0
  end
  local h = facts.head
  write.line(("%s · %s · %s"):format(id, h.title, status))
  write.line(("  playbook %s%s, begun %s by %s on %s"):format(h.path,
    h.environment and ", environment " .. h.environment or "", at(h.started), h.user, h.host))
  if facts.message then write.line("  " .. facts.message) end
  for _, s in ipairs(facts.steps) do if s.name then write.line(step_line(s)) end end
  for _, asked in ipairs(ending.pending(facts)) do write.line(approval_line(asked)) end
  for _, line in ipairs(ending.lines(ending.left(facts))) do write.line("  " .. line) end
  for _, line in ipairs(summary.commands(facts, status, parsed)) do write.line(line) end
  return 0
end

--- drlua report RUN: Markdown on stdout; kept beside the journal as well, unless that is
-- damaged.
function show.report(parsed)
  local j, id, kept, fault = look(parsed)
  local facts = report.facts(j)
  if fault then facts.status, facts.outcome = "damaged", "damaged" end
  local text = report.markdown(facts)
  j:close()
  if parsed.output == "json" then
    json { run = id, report = text }
  else
    write.out(text)
  end
  if not fault then
    fs.write(kept:run(id) .. "/report.md", text, { mode = 384, atomic = true })
  end
  return 0
end

-- The step that a person means, among those that were asked about.
local function asked_step(j, text)
  local paths = {}
  for _, event in ipairs(j:of_kind("approval_asked")) do
    if event.path == text then return text end
    table.insert(paths, event.path)
  end
  local found = {}
  for _, path in ipairs(paths) do
    if path == text or path:match("([^/]*)$") == text then found[path] = true end
  end
  local path = next(found)
  if path and not next(found, path) then return path end
  local seen, list = {}, {}
  for _, p in ipairs(paths) do
    if not seen[p] then table.insert(list, ("\"%s\""):format(p)) end
    seen[p] = true
  end
  options.usage(#list == 0 and "this run has not asked for an approval" or
    ("the run asks for no approval of \"%s\"; it asks for: %s"):format(text,
      table.concat(list, ", ")))
end

-- Who types, and in whose name: `--as` is a statement of the person who types it.
local function who(as)
  local account = identity.account()
  local name = as and as:match("^%s*(.-)%s*$") or account
  if name == "" then options.usage("--as needs a name") end
  return { by = name, account = account, host = sys.hostname() }
end

-- The step that is meant: the one named, else the one asked for last.
local function meant(j, id, text)
  if text then return asked_step(j, text) end
  local asked = j:of_kind("approval_asked")
  if #asked == 0 then options.usage("run %s has not asked for an approval", id) end
  return asked[#asked].path
end

local function given_so_far(facts, path)
  local asked = facts.asked[path]
  return asked and identity.count(asked.given) or 0, asked and asked.people or 1
end

local function print_answer(answer, parsed, facts, status)
  write.out(("%s \"%s\" of run %s: %s\n"):format(answer.approved and "approved" or "refused",
    answer.step,
    answer.run, answer.text))
  if answer.people > 1 then
    write.out(("%d of %d people have agreed; each by a different account\n")
      :format(answer.given,
      answer.people))
  end
  if status == "running" then return end
  for _, line in ipairs(summary.commands(facts, status, parsed)) do write.line(line) end
end

--- drlua approve RUN [STEP] [--no] [--as NAME]
function show.approve(parsed)
  local person = who(parsed.as)
  local j, id = open(parsed, false)
  local status = life.status(j)
  if status == "succeeded" or status == "rolled back" then
    options.usage("run %s has ended: %s", id, status)
  end
  local path = meant(j, id, parsed.words[2])
  approval.give(j, path, person, parsed.no and "no" or "yes")
  local shown, facts = approval.shown(j, path), report.facts(j)
  j:close()
  local given, people = given_so_far(facts, path)
  local answer = { run = id, step = path, approved = not parsed.no, by = person.by,
    account = person.account,
    text = shown.text, given = given, people = people }
  if parsed.output == "json" then json(answer) else print_answer(answer, parsed, facts, status) end
  return 0
end

--- drlua pause RUN: it stops before its next step.
function show.pause(parsed)
  local j, id = open(parsed, false)
  if life.status(j) ~= "running" then options.usage("run %s is not running", id) end
  j:add("pause_asked", "", who(nil))
  j:close()
  write.out(("run %s pauses before its next step. To continue: drlua resume %s%s\n"):format(id, id,
    summary.where(parsed)))
  return 0
end

return show
