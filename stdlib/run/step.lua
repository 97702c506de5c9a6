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
local history = require "run.history"
local nearest = require "nearest"
local reads = require "run.reads"
local scope = require "run.scope"
local settle = require "run.settle"
local task = require "task"
local unknown = require "unknown"
local value = require "run.value"

local step = {}

local known = { "approve", "budget", "done", "fresh_calls", "goal", "optional", "partial",
  "repeatable",
  "retries", "risk", "timeout", "undo", "when", "within" }
local types = { done = "function", goal = "function", optional = "boolean",
  repeatable = "boolean", fresh_calls = "boolean", partial = "boolean" }
local risks = { read = true, reversible = true, irreversible = true }

local function misuse(name, text, ...)
  control.misuse("step \"%s\": " .. text, name, ...)
end

local is_known = {}
for _, key in ipairs(known) do is_known[key] = true end

local function check_known(name, options)
  for key, v in pairs(options) do
    if not is_known[key] then
      misuse(name, "unknown option %s%s (options: %s)", tostring(key),
        nearest.hint(tostring(key), known),
        table.concat(known, " "))
    end
    if types[key] and type(v) ~= types[key] then
      misuse(name, "option %s is a %s, not a %s", key, types[key], type(v))
    end
  end
end

local function check_duration(name, options, key)
  if options[key] == nil then return nil end
  local seconds, why = duration.parse(options[key])
  if not seconds then misuse(name, "option %s: %s", key, why) end
  return seconds
end

local function check_retries(name, retries)
  if retries == nil or unknown.is(retries) then return { times = 0 } end
  if math.type(retries) == "integer" and retries >= 0 then return { times = retries } end
  if type(retries) == "table" and math.type(retries.times) == "integer" then
    return { times = retries.times, every = check_duration(name, retries, "every") }
  end
  misuse(name, 'option retries is a number, or { times = 3, every = "30s" }')
end

-- undo is a function, { function, partial = true }, or false: nothing needs an undo.
local function check_undo(name, plain)
  local undo = plain.undo
  if type(undo) == "table" then
    plain.undo, plain.partial = undo[1], undo.partial or plain.partial
    undo = plain.undo
  end
  if undo ~= nil and undo ~= false and type(undo) ~= "function" then
    misuse(name, "option undo is a function, { function, partial = true }, or false; not a %s",
      type(undo))
  end
  if plain.partial and not undo then
    misuse(name, "option partial says what `undo` can do; there is no undo")
  end
end

local function check_goal(name, plain)
  if plain.within ~= nil and not plain.goal then
    misuse(name, "option within belongs to `goal`; there is none")
  end
  if plain.goal and plain.done then misuse(name, "takes `goal` or `done`, not both") end
end

--- Checks name, options and function of a step; returns the options in plain form.
function step.options(name, options, fn)
  if type(name) ~= "string" or name == "" then
    control.misuse("a step needs a name: dr.step(\"Name\", function)")
  end
  if type(options) ~= "table" then
    misuse(name, "its options are a table, not a %s", type(options))
  end
  if type(fn) ~= "function" then
    misuse(name, "its last argument is the function to run, not a %s", type(fn))
  end
  check_known(name, options)
  if options.risk ~= nil and not risks[options.risk] then
    misuse(name, 'risk is "read", "reversible" or "irreversible", not %s', tostring(options.risk))
  end
  local plain = {}
  for k, v in pairs(options) do plain[k] = v end
  plain.budget = check_duration(name, options, "budget")
  plain.timeout = check_duration(name, options, "timeout")
  plain.within = check_duration(name, options, "within")
  check_undo(name, plain)
  check_goal(name, plain)
  plain.retries = check_retries(name, options.retries)
  plain.approve = approval.wanted(name, options)
  return plain
end

-- What the journal and the events keep of the options.
local function shown(options)
  return { budget = options.budget, timeout = options.timeout, risk = options.risk,
    optional = options.optional, approve = options.approve and true or nil,
    partial = options.partial,
    undo = options.undo and true or options.undo }
end

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
  local budget = st.options.budget
  if not budget then return nil end
  return task.spawn(function()
    pcall(function()
      s:sleep_until(st.began + budget)
      s:overrun(st)
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
    attempt = st.attempt, options = shown(st.options), undoing = s.undoing or nil })
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

-- The record of a step that has ended: true and its values.
local function ended(s, past)
  if past.status == "succeeded" or past.status == "skipped" then
    local values = history.results(past).values
    if past.data:find("***{", 1, true) then values = s.secrets:reveal(values) end
    return true, value.unpack(values)
  end
  if past.status == "failed" and history.results(past).optional then
    return true, nil, history.results(past).error
  end
  return false
end

-- The playbook was edited, and comes to a step that is not on record: what will be done
-- although it may have been done under another name is listed, once in a scope.
local function confirm_changes(s, st)
  s.confirmed = s.confirmed or {}
  if s.confirmed[st.here.path] then return end
  s.confirmed[st.here.path] = true
  s:confirm_changes(st, s.history:unvisited(st.here.path))
end

local function visit(s, st)
  if s.undoing then return s.history.steps[st.path] end
  local past, expected = s.history:visit(st.here.path, st.path)
  if not expected or s.rewinding then return past end
  if not s.accept_changes then
    control.raise("diverged",
      ("the playbook has changed since the run began: it now comes to step \"%s\" where "
      .. "the run had \"%s\"; resume with --accept-changes to continue all the same")
      :format(st.path, expected))
  end
  if not past then confirm_changes(s, st) end
  return past
end

-- The function of a recorded step again under a rollback's replay, so that the undo
-- functions of steps inside are met; nothing in it is done.
local function replay_body(s, st, past)
  st.record, st.attempt, st.reads = past, past.attempts, {}
  local sc = scope.new(s, "step", st.path, st.here)
  sc.step = st
  local ok, e = sc:call(st.fn, control.handler)
  if not ok and errors.from(e).kind == "cancelled" then error(e, 0) end
end

local function come_to_end()
  control.raise("rewound", "the replay has come to the end of what was done")
end

-- A step under a rollback's replay.
local function replayed(s, st, past)
  if not past or not past.name then come_to_end() end
  local back = table.pack(ended(s, past))
  s:met(st, past, past.status ~= "failed" and not past.unfinished and back[1],
    table.unpack(back, 2, back.n))
  if past.children or not back[1] and st.options.partial then replay_body(s, st, past) end
  if back[1] then return table.unpack(back, 2, back.n) end
  if past.status == "failed" then error(errors.from(history.results(past).error), 0) end
  come_to_end()
end

--- Runs a step, or hands back what it handed back before. options: of step.options.
-- path: of an undo step; by default the name's in the current scope.
function step.run(s, here, name, options, fn, path)
  s:halt(here)
  local st = { session = s, name = name, path = path or here:step_path(name), here = here,
    options = options, fn = fn, repeatable = options.repeatable }
  local past = visit(s, st)
  if s.rewinding then return replayed(s, st, past) end
  if past then
    local back = table.pack(ended(s, past))
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
