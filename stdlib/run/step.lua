--- Steps: durable checkpoints.
--
-- A step that has ended hands back its recorded result on every replay. One that was
-- in flight goes on: its `done` probe is asked first, then its function runs again
-- and each changing call in it is handed back or settled by the gate. A new attempt
-- (a retry, or a resume after a failure) starts afresh, but does not do again what
-- an earlier attempt did and still stands.
local approval = require "run.approval"
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local history = require "run.history"
local nearest = require "nearest"
local scope = require "run.scope"
local settle = require "run.settle"
local task = require "task"
local value = require "run.value"

local step = {}

local known = { "approve", "budget", "done", "optional", "repeatable", "retries", "risk", "timeout", "undo", "when" }
local types = { done = "function", undo = "function", optional = "boolean", repeatable = "boolean" }
local risks = { read = true, reversible = true, irreversible = true }

local function misuse(name, text, ...)
  control.misuse("step \"%s\": " .. text, name, ...)
end

local function check_known(name, options)
  local set = {}
  for _, key in ipairs(known) do set[key] = true end
  for key, v in pairs(options) do
    if not set[key] then
      misuse(name, "unknown option %s%s (options: %s)", tostring(key), nearest.hint(tostring(key), known),
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
  if retries == nil then return { times = 0 } end
  if math.type(retries) == "integer" and retries >= 0 then return { times = retries } end
  if type(retries) == "table" and math.type(retries.times) == "integer" then
    return { times = retries.times, every = check_duration(name, retries, "every") }
  end
  misuse(name, 'option retries is a number, or { times = 3, every = "30s" }')
end

--- Checks name, options and function of a step; returns the options in plain form.
function step.options(name, options, fn)
  if type(name) ~= "string" or name == "" then control.misuse("a step needs a name: dr.step(\"Name\", function)") end
  if type(options) ~= "table" then misuse(name, "its options are a table, not a %s", type(options)) end
  if type(fn) ~= "function" then misuse(name, "its last argument is the function to run, not a %s", type(fn)) end
  check_known(name, options)
  if options.risk ~= nil and not risks[options.risk] then
    misuse(name, 'risk is "read", "reversible" or "irreversible", not %s', tostring(options.risk))
  end
  local plain = {}
  for k, v in pairs(options) do plain[k] = v end
  plain.budget = check_duration(name, options, "budget")
  plain.timeout = check_duration(name, options, "timeout")
  plain.retries = check_retries(name, options.retries)
  plain.approve = approval.wanted(name, options)
  return plain
end

-- What the journal and the events keep of the options.
local function shown(options)
  return { budget = options.budget, timeout = options.timeout, risk = options.risk, optional = options.optional,
    approve = options.approve and true or nil, undo = options.undo and true or nil }
end

local function by_operator(s, st)
  local skips = s.history.skips
  return skips[st.path] or (skips[st.name] and st.here.kind ~= "step" and skips[st.name])
end

-- Ends the step as skipped; returns the values it hands back.
local function skip(s, st, reason, ...)
  local values = value.pack(...)
  value.encode(values, ("the result of step \"%s\""):format(st.name))
  s:record("step_skipped", st.path, { name = st.name, scope = st.here.path, attempt = st.attempt or 0,
    reason = reason, values = values, seconds = st.began and s:now() - st.began or 0,
    undoable = st.undoable })
  s.history.steps[st.path] = { name = st.name, path = st.path, status = "skipped", attempts = st.attempt or 0,
    decoded = { values = values, undoable = st.undoable }, effects = {}, earlier = {} }
  s:emit("step_skipped", { step = st.name, path = st.path, reason = reason, result = (...) })
  if st.undoable then s:ended_step(st, ...) end
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

-- Asks the `done` probe. True and the step's results when there is nothing to do.
local function probe_done(s, st)
  if not st.options.done then return false end
  local probe = scope.new(s, "probe", st.path .. "/done", st.here)
  local result = table.pack(probe:call(st.options.done, control.handler))
  if not result[1] then
    -- What it looks for is not there: not done.
    if settle.gone(result[2]) then return false end
    error(result[2], 0)
  end
  if not result[2] then return false end
  if result[2] == true then return true, table.unpack(result, 3, result.n) end
  return true, table.unpack(result, 2, result.n)
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
    errors.raise { kind = "timeout", message = ("not done within its timeout of %s"):format(duration.format(seconds)) }
  end
  return table.unpack(result, 1, result.n)
end

-- One attempt: true and the values, or false and the error.
local function attempt(s, st)
  local sc = scope.new(s, "step", st.path, st.here)
  sc.step = st
  s.history.visited[st.path] = 0
  st.attempt_began = s:now()
  local function guarded()
    return with_timeout(st, st.fn)
  end
  return sc:call(guarded, control.handler)
end

local function open(s, st)
  local past = s.history.steps[st.path]
  local goes_on = past and past.status == "started"
  st.attempt = past and (goes_on and past.attempts or past.attempts + 1) or 1
  st.recorded = goes_on and past.effects or {}
  st.earlier = past and past.earlier or {}
  if past and not goes_on and next(past.effects) then table.insert(st.earlier, past.effects) end
  st.reads, st.waited, st.began = {}, 0, s:now()
  s.history.steps[st.path] = { name = st.name, path = st.path, status = "started", attempts = st.attempt,
    effects = st.recorded, earlier = st.earlier }
  s:record(goes_on and "step_continued" or "step_started", st.path, { name = st.name, scope = st.here.path,
    attempt = st.attempt, options = shown(st.options) })
  s.open[st.path] = st
  s:emit("step_started", { step = st.name, path = st.path, attempt = st.attempt, budget = st.options.budget,
    risk = st.options.risk, continued = goes_on or nil })
end

local function succeed(s, st, ...)
  local data = { name = st.name, seconds = s:now() - st.began, waited = st.waited, reads = st.reads,
    values = value.pack(...) }
  value.encode(data.values, ("the result of step \"%s\""):format(st.name))
  s:record("step_succeeded", st.path, data)
  s.history.steps[st.path] = { name = st.name, path = st.path, status = "succeeded", attempts = st.attempt,
    decoded = data, effects = {}, earlier = {} }
  s:emit("step_succeeded", { step = st.name, path = st.path, seconds = data.seconds, waited = data.waited,
    budget = st.options.budget, result = (...) })
  s:ended_step(st, ...)
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
  local kept = pcall(value.encode, e) and e or errors.new { kind = e.kind, message = e.message, where = e.where }
  s:record("step_failed", st.path, { name = st.name, attempt = st.attempt, seconds = s:now() - st.began,
    waited = st.waited, reads = st.reads, error = kept, optional = st.options.optional })
  e.traceback = traceback
  s:emit("step_failed", { step = st.name, path = st.path, error = tostring(e), attempt = st.attempt,
    optional = st.options.optional, seconds = s:now() - st.began, at = e.where or e.at, code = e.code })
  local record = s.history.steps[st.path]
  record.status, record.decoded = "failed", { error = kept, optional = st.options.optional }
  record.effects = st.recorded
end

local never_retried = { misuse = true, lua = true, control = true, cancelled = true }

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
    -- Done by an earlier attempt of this run, it can be undone as well.
    st.undoable = (next(st.recorded) or #st.earlier > 0) and true or nil
    return skip(s, st, "it is done already", table.unpack(probe, 2, probe.n))
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
    if skipped_inside(st, e) then return skip(s, st, e.message) end
    if control.of(e) or e.kind == "cancelled" then error(e, 0) end
    local record = s.history.steps[st.path]
    -- Failed before or after its body (the probe, the result that cannot be kept).
    if record.status ~= "failed" then fail(s, st, e) end
    local choice, reason = after_failure(s, st, e)
    if choice == "pass" then return nil, e end
    if choice == "skip" then return skip(s, st, reason) end
    if choice ~= "retry" then error(place(st, e), 0) end
  end
end

-- The record of a step that has ended in this run or before: true and its values.
local function ended(s, past)
  if not past then return false end
  if past.status == "succeeded" or past.status == "skipped" then
    local data = past.decoded or history.results(past)
    return true, value.unpack(s.secrets:reveal(data.values))
  end
  if past.status == "failed" then
    local data = past.decoded or history.results(past)
    if data.optional then return true, nil, data.error end
  end
  return false
end

local function visit(s, st)
  local past, expected = s.history:visit(st.here.path, st.path)
  if expected and not s.accept_changes then
    control.raise("diverged", ("the playbook has changed since the run began: it now comes to step \"%s\" where "
      .. "the run had \"%s\"; resume with --accept-changes to go on all the same"):format(st.path, expected))
  end
  return past
end

--- Runs a step, or hands back what it handed back before. options: of step.options.
function step.run(s, here, name, options, fn)
  s:halt(here)
  local path = here:join(here:unique(name))
  local st = { session = s, name = name, path = path, here = here, options = options, fn = fn,
    repeatable = options.repeatable }
  local past = visit(s, st)
  local back = table.pack(ended(s, past))
  if back[1] then
    s:replayed(st, past, table.unpack(back, 2, back.n))
    return table.unpack(back, 2, back.n)
  end
  if s.rewinding then control.raise("rewound", "the replay has come to the end of what was done") end
  s:before_step(st)
  local wish = by_operator(s, st)
  if wish then return skip(s, st, wish.reason) end
  if not condition(s, st) then return skip(s, st, "its condition does not hold") end
  return execute(s, st)
end

return step
