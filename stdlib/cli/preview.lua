--- The verbs that look ahead: plan and check. Neither changes anything.
local account = require "cli.account"
local clock = require "native.clock"
local duration = require "duration"
local freshness = require "run.freshness"
local iam = require "run.iam"
local life = require "run.life"
local lift = require "run.lift"
local options = require "cli.options"
local planner = require "run.planner"
local playbook = require "run.playbook"
local readiness = require "run.readiness"
local screen = require "cli.screen"
local start = require "cli.start"
local store = require "run.store"
local sys = require "native.sys"
local write = require "cli.write"

local preview = {}

local function fields(loaded, values, out)
  local user = sys.user()
  return { id = "plan", playbook = loaded.definition, params = values,
    secrets = life.secrets(loaded, values), out = out, user = user and user.name or "?",
    host = sys.hostname(), environment_name = loaded.environment_name,
    environment = loaded.environment, path = loaded.path }
end

local function head_line(s)
  local tags = {}
  local function tag(text) if text then table.insert(tags, text) end end
  tag(s.risk)
  tag(s.approval
    and (s.asks and s.asks.people > 1 and ("approval of %d people"):format(s.asks.people)
      or "approval"))
  tag(s.undo and "can be undone")
  tag(s.optional and "optional")
  tag(s.budget and "budget " .. duration.format(s.budget))
  return ("%3d. %s%s"):format(s.number, s.path or s.step,
    #tags > 0 and "  [" .. table.concat(tags, ", ") .. "]" or "")
end

-- A call of AWS by its name, resource and place; anything else in its own words.
local function call_line(row)
  if not row.service then return tostring(row.what or row.kind) end
  local region = row.region ~= "aws-global" and row.region or ""
  local place = (row.account and "account " .. row.account .. ", " or "") .. region
  return ("%s.%s%s%s"):format(row.service, row.operation, place ~= "" and " (" .. place .. ")"
    or "",
    row.resource and "  " .. row.resource or "")
end

local function step_lines(s, out)
  out(head_line(s))
  if s.skipped then return out("       skipped: " .. s.skipped) end
  if s.already then return out("       done already: would be skipped") end
  if s.uncertain then out("       runs if its condition holds then (known after run)") end
  for line in (s.asks and s.asks.text or ""):gmatch("[^\n]+") do out("       asks   " .. line) end
  for _, row in ipairs(s.changes or {}) do out("       change " .. call_line(row)) end
  for _, row in ipairs(s.reads or {}) do out("       read   " .. call_line(row)) end
  for _, text in ipairs(s.waits or {}) do out("       wait   " .. text) end
  for _, text in ipairs(s.checks or {}) do out("       check  " .. text) end
  for _, text in ipairs(s.notes or {}) do out("       note   " .. text) end
  for _, text in ipairs(s.limit_faults or {}) do out("       LIMIT  " .. text) end
  if s.stop then
    out(("       now    it %s stop here: %s"):format(s.unsure and "may" or "would", s.stop))
  end
end

local function plane_lines(plan, out)
  if #plan.planes == 0 then return end
  out("")
  out(("Control planes needed%s:"):format(plan.failed_region
    and (" (declared failed: %s)"):format(plan.failed_region)
    or ""))
  for _, plane in ipairs(plan.planes) do
    local numbers = {}
    for i, n in ipairs(plane.steps) do numbers[i] = tostring(n) end
    out(("  %s %s in %s: step%s %s%s"):format(plane.failed and "!" or " ", plane.service,
      plane.region, #numbers > 1 and "s" or "", table.concat(numbers, ", "),
      plane.failed and " — it lives in the region declared failed" or ""))
  end
end

-- What it would delete, and what its limits say to it.
local function limit_lines(plan, out)
  local l = plan.limits
  if not l then return end
  local parts = {}
  if l.limit then table.insert(parts, ("%d at most"):format(l.limit)) end
  if l.accounts then table.insert(parts, "in account " .. table.concat(l.accounts, ", ")) end
  if l.regions then table.insert(parts, "in " .. table.concat(l.regions, ", ")) end
  out(("Deletes: %s%s"):format(l.unbounded and "how many is not known" or ("%d"):format(l.deletes),
    #parts > 0 and ("  (limits: %s)"):format(table.concat(parts, "; ")) or ""))
  for _, text in ipairs(l.faults or {}) do out("LIMIT EXCEEDED, it would be refused: " .. text) end
end

-- Whose account: asked in a region that is not declared failed.
local function identity(plan)
  for _, action in ipairs(plan.actions) do
    if action.region and action.region ~= plan.failed_region then
      return account.of(action.region)
    end
  end
end

local function account_line(plan)
  if #plan.actions == 0 then return nil end
  local number, arn = identity(plan)
  return number and ("Account %s, as %s."):format(number, arn)
    or "Account unknown: STS gave no answer to the credentials at hand."
end

-- When the playbook was last checked and rehearsed, as it stands now.
local function fresh_of(parsed, loaded)
  local kept = store.look(parsed.state)
  return freshness.check(kept, loaded.path, loaded.environment_name),
    freshness.rehearsal(kept, loaded.path)
end

local function print_plan(loaded, plan, targets, fresh)
  local function out(text) write.out(text, "\n") end
  out(("Plan of %s (%s%s). Nothing was changed."):format(loaded.definition.title, loaded.path,
    loaded.environment_name and ", environment " .. loaded.environment_name or ""))
  local whose = account_line(plan)
  if whose then out(whose) end
  out("")
  for _, s in ipairs(plan.steps) do step_lines(s, out) end
  if plan.stop then
    out(("     Between the steps it %s stop here: %s"):format(plan.unsure and "may" or "would",
      plan.stop))
  end
  plane_lines(plan, out)
  out("")
  out(("Expected: %s%s%s"):format(plan.open_ended and "at least " or "",
    duration.format(plan.expected),
    targets.rto and (", target RTO %s%s"):format(duration.format(targets.rto),
      plan.expected > targets.rto and " — MISSED" or "") or ""))
  limit_lines(plan, out)
  for _, s in ipairs(plan.steps) do
    if s.stop and not s.unsure then
      out(("As things stand it would stop at step %d, %s."):format(s.number, s.step))
      break
    end
  end
  if plan.partial then
    out("Calls that depend on values known only after the run may be missing here; "
      .. "`drlua rehearse` makes them.")
  end
  if #plan.critical > 1 then out("Critical path: " .. table.concat(plan.critical, " → ")) end
  out(fresh)
end

local function print_json(view, s, plan, targets, fresh)
  for _, planned in ipairs(plan.steps) do
    s:emit("note", { step = planned.step, path = planned.path, plan = planned })
  end
  s:emit("run_succeeded", { account = #plan.actions > 0 and identity(plan) or nil, result = {
    steps = #plan.steps, expected = plan.expected, critical_path = plan.critical,
    open_ended = plan.open_ended, stop = plan.stop, unsure = plan.unsure, limits = plan.limits,
    control_planes = plan.planes, failed_region = plan.failed_region, targets = targets,
    freshness = fresh } })
  return view
end

local function print_policy(parsed, loaded, plan)
  local found = freshness.rehearsal(store.look(parsed.state), loaded.path, true)
  local seen = found and found.verdict
  write.out(iam.json(iam.policy(iam.together(plan.actions, seen and seen.actions))), "\n")
  if not plan.partial or found and not found.edited then return end
  local from = "this policy comes from the plan alone"
  if seen then
    from = ("this policy comes from the plan, and from a rehearsal before %s was edited")
      :format(found.edited)
  end
  write.err(("drlua plan: %s; actions of calls that depend on values known only "
    .. "after the run may be missing. "
    .. "`drlua rehearse %s%s` first, until it passes, and they are in it\n"):format(from,
    loaded.path,
    parsed.state and " --state " .. parsed.state or ""))
end

--- drlua plan PLAYBOOK.lua
function preview.plan(parsed)
  lift.install()
  local loaded, values = start.prepare(parsed)
  if not loaded.definition.run then options.usage("%s has no `run` to plan", loaded.path) end
  local view = screen.new(parsed.output)
  local s = planner.new(fields(loaded, values, function(e) view:event(e) end))
  local plan, e = s:plan()
  if not plan then
    if parsed.trace and e.traceback then write.err(e.traceback, "\n") end
    if view.json then s:emit("run_failed", { error = life.sentence(e) }) end
    write.err("drlua plan: ", s.secrets:mask(life.sentence(e)), "\n")
    return 1
  end
  local targets = playbook.targets(loaded.definition, loaded.environment)
  if parsed.iam then
    print_policy(parsed, loaded, plan)
  elseif view.json then
    print_json(view, s, plan, targets, freshness.data(fresh_of(parsed, loaded)))
  else
    local check, rehearsal = fresh_of(parsed, loaded)
    print_plan(loaded, plan, targets, freshness.line(check, rehearsal, clock.now()))
  end
  return 0
end

local function mark(check)
  return check.outcome == "passed" and "ok  " or check.outcome == "skipped" and "skip" or "FAIL"
end

-- Keeps what a check found, where there is a state directory: a check makes none. A
-- rehearsal's check says nothing of the real world.
local function keep_result(parsed, loaded, s, ready, checks)
  if sys.getenv("DRLUA_REHEARSAL") or not store.look(parsed.state):exists() then return end
  local failed = {}
  for _, check in ipairs(checks) do
    if check.outcome == "failed" then table.insert(failed, check.name) end
  end
  local kept, e = pcall(function()
    freshness.keep_check(store.open(parsed.state), loaded,
      { at = clock.now(), ready = ready, failed = failed, by = s.user, host = s.host })
  end)
  if not kept then write.err("drlua check: its result could not be kept: ", tostring(e), "\n") end
end

-- Prints what the checks found. fresh: how things stood before.
local function print_checks(loaded, checks, ready, why, fresh)
  for _, check in ipairs(checks) do
    write.out(("%s  %s%s\n"):format(mark(check), check.name, check.detail and ": " .. check.detail
      or ""))
  end
  if why then write.out("FAIL  ", why, "\n") end
  write.out(("%s: %s\n"):format(loaded.definition.title, ready and "ready" or "not ready"))
  write.out("Before this: ", fresh:gsub("^%u", string.lower), "\n")
end

--- drlua check PLAYBOOK.lua
function preview.check(parsed)
  lift.install()
  local loaded, values = start.prepare(parsed)
  if not loaded.definition.ready then
    options.usage("%s has no `ready`: nothing can be checked", loaded.path)
  end
  local view = screen.new(parsed.output)
  local said = screen.new("json")
  local s = readiness.new(fields(loaded, values, view.json and function(e) said:event(e) end
    or function() end))
  s.id = "check"
  local ready, checks, e = s:ask()
  local why = e and s.secrets:mask(life.sentence(e)) or nil
  local before, rehearsal = fresh_of(parsed, loaded)
  checks = s.secrets:mask(checks)
  keep_result(parsed, loaded, s, ready, checks)
  if view.json then
    s:emit(ready and "run_succeeded" or "run_failed", { result = { ready = ready, checks = checks,
      before = freshness.data(before, rehearsal) }, error = why })
  else
    print_checks(loaded, checks, ready, why, freshness.line(before, rehearsal, clock.now()))
  end
  if parsed.trace and e and e.traceback then write.err(e.traceback, "\n") end
  return ready and 0 or 3
end

return preview
