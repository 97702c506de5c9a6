--- Steps: durable checkpoints.
--
-- A step that has ended hands back its recorded result on every replay. One that was in
-- flight is resumed: its `done` probe or its `goal` is asked first, then its function runs
-- again, and each changing call in it is handed back or settled by the gate. A new attempt
-- (a retry, a resume after a failure, the operator's word) goes the same way: the record
-- of the step in history.lua is the only memory there is.
local approval = require "run.approval"
local calls = require "run.calls"
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local options_of = require "run.options"
local reads = require "run.reads"
local replay = require "run.replay"
local scope = require "run.scope"
local settle = require "run.settle"
local task = require "task"
local value = require "run.value"

local step = {}

--- Checks name, options and function of a step; returns the options in plain form.
step.options = options_of.check

local function by_operator(s, st)
  local skips = s.history.skips
  return skips[st.path] or (skips[st.name] and st.here.kind ~= "step" and skips[st.name])
end

-- Ends the step as skipped; returns the values it hands back. unfinished: it had begun and
-- did not come to its end.
local function skip(s, st, reason, unfinished, ...)
  local values = value.pack(...)
  value.encode(values, ("the result of step \"%s\""):format(st.name))
  s:record("step_skipped", st.path,
    { name = st.name, scope = st.here.path, attempt = st.attempt or 0,
    reason = reason, values = values, seconds = st.began and s:now() - st.began or 0,
    undoing = s.undoing or nil, unfinished = unfinished or nil })
  s:emit("step_skipped", { step = st.name, path = st.path, reason = reason, result = (...) })
  return ...
end

local function condition(s, st)
  local when = st.options.when
  if when == nil then return true end
  if type(when) ~= "function" then return when end
  local probe = scope.new(s, "probe", st.path .. "/when", st.here)
  local ok, holds = probe:call(when, control.handler)
  if not ok then error(holds, 0) end
  return holds
end

-- Asks a probe of the step; what it looks for may not be there: then it does not hold.
local function ask(s, st, what, fn)
  local probe = scope.new(s, "probe", st.path .. "/" .. what, st.here)
  local result = table.pack(probe:call(fn, control.handler))
  if not result[1] then
    if settle.is_not_found(result[2]) then return table.pack(nil) end
    error(result[2], 0)
  end
  return table.pack(table.unpack(result, 2, result.n))
end

-- Asks the `done` probe, or the goal. True and the step's results when there is nothing
-- to do.
local function probe_done(s, st)
  if st.options.goal then
    local found = ask(s, st, "goal", st.options.goal)
    if not found[1] then return false end
    return true, table.unpack(found, 1, found.n)
  end
  if not st.options.done then return false end
  local found = ask(s, st, "done", st.options.done)
  if not found[1] then return false end
  if found[1] == true then return true, table.unpack(found, 2, found.n) end
  return true, table.unpack(found, 1, found.n)
end

local GOAL_WITHIN = 3600
local GOAL_GRACE = 5 -- seconds that the effect of a call in doubt is given to show

-- The goal after the step's function: waited for, and its value is the step's.
local function reach_goal(s, st)
  local what = ("the goal of step \"%s\""):format(st.name)
  return s:wait_until(what, { every = 10, timeout = st.options.within or GOAL_WITHIN }, function()
    local found = ask(s, st, "goal", st.options.goal)
    return table.unpack(found, 1, found.n)
  end)
end

-- For a call in doubt: whether the goal shows that it took effect.
local function goal_asker(s, st)
  if not st.options.goal then return nil end
  return function()
    local deadline = s:now() + GOAL_GRACE
    while true do
      if ask(s, st, "goal", st.options.goal)[1] then return true end
      if s:now() >= deadline then return false end
      s:go_on()
      task.sleep(1)
    end
  end
end

-- Warns once when the step is over its budget. Returns the task, to be cancelled.
local function watch_budget(s, st)
  local budget, since = st.options.budget, st.began
  if not budget then return nil end
  return task.spawn(function()
    pcall(function()
      s:sleep_until(since + budget)
      s:overrun(st, since)
    end)
  end)
end

local function with_timeout(st, fn)
  local seconds = st.options.timeout
  if not seconds then return fn() end
  local late = {}
  local result = table.pack(task.race {
    fn,
    function()
      st.session:sleep_until(st.attempt_began + seconds)
      return late
    end,
  })
  if result[1] == late then
    errors.raise { kind = "timeout",
      message = ("not done within its timeout of %s"):format(duration.format(seconds)) }
  end
  return table.unpack(result, 1, result.n)
end

-- One attempt: true and the values, or false and the error.
local function attempt(s, st)
  local sc = scope.new(s, "step", st.path, st.here)
  sc.step = st
  s.history.visited[st.path] = 0
  st.attempt_began, st.pending = s:now(), nil
  reads.begin(st)
  local function guarded()
    return with_timeout(st, function()
      local result = table.pack(st.fn())
      if st.options.goal then result = table.pack(reach_goal(s, st)) end
      if st.options.goal then calls.reached(s, st) else calls.settle_pending(s, st) end
      return table.unpack(result, 1, result.n)
    end)
  end
  return sc:call(guarded, control.handler)
end

local function open(s, st)
  local past = s.history.steps[st.path]
  local continued = past and past.status == "started"
  st.attempt = past and (continued and past.attempts or past.attempts + 1) or 1
  st.reads, st.waited, st.began = {}, 0, s:now()
  local around = st.here:innermost_step()
  if around and around.record then reads.flush(s, around) end
  s:record(continued and "step_continued" or "step_started", st.path,
    { name = st.name, scope = st.here.path,
    attempt = st.attempt, options = options_of.shown(st.options), undoing = s.undoing or nil })
  st.record = s.history:step(st.path)
  st.ask_goal = goal_asker(s, st)
  s.open[st.path] = st
  s:emit("step_started",
    { step = st.name, path = st.path, attempt = st.attempt, budget = st.options.budget,
    risk = st.options.risk, continued = continued or nil })
end

local function succeed(s, st, ...)
  local data = { name = st.name, seconds = s:now() - st.began, waited = st.waited, reads = st.reads,
    values = value.pack(...) }
  value.encode(data.values, ("the result of step \"%s\""):format(st.name))
  s:record("step_succeeded", st.path, data)
  s:emit("step_succeeded",
    { step = st.name, path = st.path, seconds = data.seconds, waited = data.waited,
    budget = st.options.budget, result = (...) })
  return ...
end

local function place(st, e)
  if not e.step then e.step, e.step_path = st.name, st.path end
  return e
end

local function fail(s, st, e)
  e = place(st, e)
  local traceback = e.traceback
  e.traceback = nil
  local kept = pcall(value.encode, e) and e
    or errors.new { kind = e.kind, message = e.message, where = e.where }
  s:record("step_failed", st.path,
    { name = st.name, attempt = st.attempt, seconds = s:now() - st.began,
    waited = st.waited, reads = st.reads, error = kept, optional = st.options.optional })
  e.traceback = traceback
  s:emit("step_failed", { step = st.name, path = st.path, error = tostring(e), attempt = st.attempt,
    optional = st.options.optional, seconds = s:now() - st.began, at = e.where or e.at,
    code = e.code })
end

local never_retried = { misuse = true, lua = true, control = true, cancelled = true, limit = true }

local function pause_before_retry(s, st, n)
  local every = st.options.retries.every
  s:sleep_until(s:now() + (every or math.min(2 ^ (n - 1), 30)))
end

-- Runs the attempts that the options allow; raises the last error.
local function attempts(s, st)
  local n = 0
  while true do
    n = n + 1
    local result = table.pack(attempt(s, st))
    if result[1] then return table.unpack(result, 2, result.n) end
    local e = errors.from(result[2])
    if control.of(e) or e.kind == "cancelled" then error(e, 0) end
    fail(s, st, e)
    if n > st.options.retries.times or never_retried[e.kind] then error(e, 0) end
    pause_before_retry(s, st, n)
    open(s, st)
  end
end

local function skipped_inside(st, e)
  return control.of(e) == "skip" and e.inside == st.path
end

-- The step from its start to its end. Raises what the caller must see.
local function live(s, st)
  open(s, st)
  local probe = table.pack(probe_done(s, st))
  if probe[1] then
    calls.reached(s, st)
    return skip(s, st, "it is done already", false, table.unpack(probe, 2, probe.n))
  end
  if st.options.approve then approval.ask(s, st, st.options.approve) end
  local watcher = watch_budget(s, st)
  local result = table.pack(xpcall(attempts, control.handler, s, st))
  if watcher then watcher:cancel() end
  if result[1] then return succeed(s, st, table.unpack(result, 2, result.n)) end
  error(result[2], 0)
end

-- What happens to a failed step: an optional one lets the run go on, at a terminal
-- the operator chooses, else the failure goes up.
local function after_failure(s, st, e)
  if st.options.optional then return "pass" end
  return s:choose_after_failure(st, e)
end

local function execute(s, st)
  while true do
    local result = table.pack(xpcall(live, control.handler, s, st))
    s.open[st.path] = nil
    if result[1] then return table.unpack(result, 2, result.n) end
    local e = errors.from(result[2])
    if skipped_inside(st, e) then
      calls.settle_pending(s, st)
      return skip(s, st, e.message)
    end
    if control.of(e) or e.kind == "cancelled" then error(e, 0) end
    -- Failed before or after its body (the probe, the result that cannot be kept).
    if s.history.steps[st.path].status ~= "failed" then fail(s, st, e) end
    local choice, reason = after_failure(s, st, e)
    if choice == "pass" then return nil, e end
    if choice == "skip" then return skip(s, st, reason, true) end
    if choice ~= "retry" then error(place(st, e), 0) end
  end
end

--- Runs a step, or hands back what it handed back before. options: of step.options.
-- path: of an undo step; by default the name's in the current scope.
function step.run(s, here, name, options, fn, path)
  s:halt(here)
  local st = { session = s, name = name, path = path or here:step_path(name), here = here,
    options = options, fn = fn, repeatable = options.repeatable }
  local past = replay.visit(s, st)
  if s.rewinding then return replay.run(s, st, past) end
  if past then
    local back = table.pack(replay.ended(s, past))
    if back[1] then return table.unpack(back, 2, back.n) end
  end
  calls.settle_pending(s, here:innermost_step())
  s:before_step(st)
  local wish = by_operator(s, st)
  if wish then return skip(s, st, wish.reason, past ~= nil) end
  if not condition(s, st) then return skip(s, st, "its condition does not hold") end
  return execute(s, st)
end

return step
