--- The end of a run, on stdout: what became of it, what it leaves, and the command that
-- takes it further, which is the last line.
local duration = require "duration"
local ending = require "run.ending"
local sys = require "native.sys"
local write = require "cli.write"

local summary = {}

local function head(s, result, say)
  local outcome = result.outcome == "succeeded" and "done" or result.outcome
  say("%s: %s. Run %s.", s.playbook.title, outcome, s.id)
  if result.code ~= 0 and result.message and result.message ~= result.outcome then
    say("  %s", result.message)
  end
end

local function target_of(target)
  return target and ("  (target %s)"):format(duration.format(target)) or ""
end

local function achieved(name, seconds, rows, target)
  return ("%s %s%s%s%s"):format(name, seconds and duration.format(seconds) or "not measured",
    rows and (", %s rows lost"):format(rows == math.floor(rows) and ("%d"):format(rows) or rows)
      or "",
    target_of(target), seconds and target and seconds > target and "  MISSED" or "")
end

local function recovery(s, result, say)
  if result.rto then
    say("%s", achieved("RTO", result.rto, nil, s.targets.rto))
  elseif s.targets.rto and not s.rolled_back then
    say("RTO not recovered yet, %s so far%s", duration.format(result.elapsed),
      target_of(s.targets.rto))
  end
  local rpo = result.facts and result.facts.measures.rpo
  if rpo or result.code == 0 and s.targets.rpo then
    say("%s", achieved("RPO", rpo and rpo.seconds, rpo and rpo.rows, s.targets.rpo))
  end
end

local function checks(facts, say)
  local counts = { passed = 0, failed = 0, skipped = 0 }
  for _, c in ipairs(facts.checks) do counts[c.outcome] = (counts[c.outcome] or 0) + 1 end
  if #facts.checks > 0 then
    say("Checks: %d passed, %d failed, %d skipped", counts.passed, counts.failed, counts.skipped)
  end
end

-- How the run's state directory is named again, where it was named.
function summary.where(parsed)
  return parsed.state and " --state " .. ending.quoted(parsed.state) or ""
end

--- The lines of the commands that take a run further; the last is the way on.
function summary.commands(facts, status, parsed)
  local lines = {}
  for _, one in ipairs(ending.commands(facts, status, summary.where(parsed))) do
    table.insert(lines, ("%s: %s"):format(one.why:gsub("^%l", string.upper), one.command))
  end
  return lines
end

--- The lines of a run's end. result: of life.conclude; parsed: the command line.
function summary.lines(s, result, parsed)
  local out = {}
  local function say(text, ...) table.insert(out, text:format(...)) end
  head(s, result, say)
  recovery(s, result, say)
  if result.facts then checks(result.facts, say) end
  for _, line in ipairs(ending.lines(result.left or {})) do say("%s", line) end
  for _, text in ipairs(result.code ~= 0 and result.under_way or {}) do
    say("In flight: %s", text)
  end
  if result.report then say("Report: %s", result.report) end
  -- A rehearsal's world ends with it.
  if result.facts and not sys.getenv("DRLUA_REHEARSAL") then
    for _, line in ipairs(summary.commands(result.facts, result.outcome, parsed)) do
      say("%s", line)
    end
  elseif result.code ~= 0 and result.outcome ~= "taken over"
    and not sys.getenv("DRLUA_REHEARSAL") then
    say("To continue: drlua resume %s%s", s.id, summary.where(parsed))
  end
  return out
end

--- Prints the end of a run.
function summary.print(s, result, parsed)
  for _, line in ipairs(summary.lines(s, result, parsed)) do write.line(line) end
end

return summary
