--- A session: one process working on one run (or planning, or checking one).
--
-- It owns the journal and the history read from it, masks what leaves, keeps the
-- run's clock, and knows what is under way. The work itself is done by step.lua,
-- branch.lua, gate.lua and approval.lua; drlua.lua is what playbooks see of it.
local branch = require "run.branch"
local clock = require "native.clock"
local confidential = require "confidential"
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local fs = require "native.fs"
local history = require "run.history"
local kept = require "run.kept"
local reads = require "run.reads"
local scope = require "run.scope"
local step = require "run.step"
local task = require "task"
local gate = require "run.gate"
local undo = require "run.undo"
local value = require "run.value"

local session = {}
session.__index = session

-- Which start of which machine this is: its boot clock runs on from process to process.
local function machine() return fs.read("/proc/sys/kernel/random/boot_id") or "unknown" end

-- One reading of the real clock; from here on time passes as the machine's own clock
-- says, which neither a correction nor a suspension disturbs. So it does for a resume on
-- the same machine; on another it is no earlier than what is on record.
local function set_clock(self)
  local before = self.anchor
  if before and before.machine == machine() then
    self.real, self.boot = before.real, before.boot
  else
    self.real, self.boot = clock.now(), clock.boottime()
  end
  self.real = self.real + math.max(0, (self.history.last_time or 0) - self:now())
end

--- Makes a session. fields:
--   id, journal, playbook, params, secrets, nonce, user, host
--   out          function(event): what is reported, already masked
--   operator     the person at the terminal (cli/operator.lua), or nil
--   assume_yes, accept_changes
--   started      seconds: when the run began (a resume knows an earlier time)
--   anchor       of a resume: what session:anchored() gave when the run began
--   history      of a resume; default: empty
function session.new(fields)
  local self = setmetatable(fields, session)
  self.history = self.history or history.empty()
  self.open, self.inflight, self.waits, self.checks, self.measures = {}, {}, {}, {}, {}
  self.answers, self.escalations = self.answers or {}, {}
  self.approvals_seen = { approved = 0, refused = 0 }
  set_clock(self)
  self.started = self.started or self.real
  return self
end

--- What the run's clock counts from, for those who go on with the run.
function session:anchored()
  return { machine = machine(), real = self.real, boot = self.boot }
end

--- By how many seconds the real clock was set forward (or back, below 0) since the run's
-- clock was.
function session:set_forward() return clock.now() - self:now() end

--- Seconds since the epoch, by the run's clock.
function session:now()
  return self.real + (clock.boottime() - self.boot)
end

--- Waits until the run's clock says `at`; right also after the machine slept.
function session:sleep_until(at)
  while true do
    local left = at - self:now()
    if left <= 0 then return end
    task.sleep(math.min(left, 5))
  end
end

--- Reports an event; everything in it is masked. A rollback's replay has nothing to report.
function session:emit(event, fields)
  if self.rewinding then return end
  local e = self.secrets:mask(fields or {})
  e.event, e.run, e.time = event, self.id, self:now()
  self.out(e)
end

--- Records an entry: it is written to the journal, secrets by name only, and applied to
-- the history, which is what the run knows of itself. Under plan, check and a rollback's
-- replay nothing is recorded.
function session:record(kind, path, data)
  if not self.journal or self.rewinding then return end
  local concealed, at = self.secrets:conceal(data), self:now()
  local ok, seq, text = xpcall(self.journal.add, control.handler, self.journal, kind, path,
    concealed, at)
  if ok then
    return self.history:apply { seq = seq, time = at, kind = kind, path = path, data = text }
  end
  if control.of(seq) == "journal" then self.stopping = self.stopping or "journal" end
  error(seq, 0)
end

--- The gate of this session; plan and check have their own.
function session:gate(here, e, fn)
  return gate.run(self, here, e, fn)
end

--- Raises when the run is being stopped.
function session:go_on()
  if self.stopping then control.raise("interrupt", "interrupted") end
end

--- Raises when nothing new may begin: the run is being stopped, or a sibling failed.
function session:halt(here)
  self:go_on()
  if not self.rewinding then branch.halt(here) end
end

--- A remark for the record, from the playbook or from the engine.
function session:note(text, st)
  st = st or (scope.current() and scope.current():innermost_step())
  local fields = { text = text, step = st and st.name, path = st and st.path }
  self:record("note", st and st.path or "", { text = text })
  self:emit("note", fields)
end

--- Says what a step waits for; what = nil: it waits no longer.
function session:waiting(st, what, progress)
  if not st then return end
  self.waits[st.path] = what and { what = what, progress = progress } or nil
  if what then
    self:emit("step_waiting", { step = st.name, path = st.path, what = what, progress = progress })
  end
end

-- Tells the playbook's escalation, as a step that the run's end waits for.
local function escalate(self, st, text)
  local here = scope.new(self, "branch", "escalation/" .. scope.escape(st.path), nil)
  local name = "Escalate: " .. st.name
  local result = table.pack(here:call(step.run, control.handler, self, here, name,
    step.options(name, { optional = true, timeout = "5m" }, self.playbook.escalate), function()
      return self.playbook.escalate(self.params,
        { step = st.name, budget = st.options.budget, text = text,
        elapsed = self:now() - st.began })
    end))
  if not result[1] then self:note("escalation failed: " .. tostring(result[2]), st) end
end

--- A step is over its budget: said once, and handed to the playbook's escalation, which
-- continues when the step ends.
function session:overrun(st)
  local text = ("step \"%s\" is over its budget of %s"):format(st.name,
    duration.format(st.options.budget))
  self:record("overrun", st.path, { text = text, budget = st.options.budget })
  self:emit("note", { text = text, step = st.name, path = st.path, overrun = true })
  if not self.playbook.escalate or st.escalated then return end
  st.escalated = true
  table.insert(self.escalations, task.spawn(function() pcall(escalate, self, st, text) end))
end

-- People are notified before the run ends, unless it is being stopped.
local function end_escalations(self)
  for _, one in ipairs(self.escalations) do
    if self.stopping then one:cancel() end
    pcall(one.wait, one)
  end
  self.escalations = {}
end

--- A rollback's replay has come to a recorded step; see undo.lua.
function session:met(st, past, finished, ...)
  undo.met(self, st, past, finished, ...)
end

--- Called before a step begins: the place where an operator's pause takes hold.
function session:before_step(st)
  if not self.journal then return end
  for _, event in ipairs(self.journal:of_kind("pause_asked", self.pause_seen or self.last_event
    or 0)) do
    self.pause_seen = event.seq
    self.stopping = "pause"
    local data = value.decode(event.data)
    control.raise("pause",
      ("paused before step \"%s\", as %s asked; go on with: drlua resume %s"):format(
      st.name, data.by or "somebody", self.id), { reason = "operator" })
  end
end

--- What to do after a failed step: "stop" unless a person at the terminal chooses.
function session:choose_after_failure(st, e)
  if not self.operator or self.assume_yes or st.here.group then return "stop" end
  local answer, reason = self.operator:ask_failure(st, e)
  if answer ~= "stop" then
    self:record("operator", st.path, { choice = answer, reason = reason, by = self.user })
  end
  if answer == "undo" then
    undo.now(self, st)
    self.operator:stop(st, e)
  end
  return answer, reason
end

-- The word that answers one call in doubt: as a word of the shell.
local function settle_option(call)
  return ("--settle '%s=done'"):format(call.key:gsub("'", "'\\''"))
end

-- The calls in doubt that nobody has been asked about, besides `key`.
local function others_in_doubt(self, key)
  local list = {}
  for _, doubt in ipairs(self.history:doubts()) do
    if doubt.call.key ~= key and not self.answers[doubt.call.key] then
      table.insert(list, ("%s (%s)"):format(doubt.call.intent.what or doubt.call.intent.name,
        settle_option(doubt.call)))
    end
  end
  return #list > 0 and (". Also without a response: " .. table.concat(list, "; ")) or ""
end

--- Asks whether a call in doubt took effect: "done" or "again". An answer is for one call,
-- and used once.
function session:ask_settled(st, e, intent)
  local what, key = e.what or intent.what or intent.name, intent.key
  local answer = self.answers[key]
  if not answer and self.operator then answer = self.operator:ask_settled(st, what, intent) end
  if answer then
    self.answers[key] = nil
    self:record("operator", st.path, { settled = answer, call = key, by = self.user })
    return answer
  end
  control.raise("pause", ("step \"%s\": drlua cannot determine whether this call took effect: %s. "
    .. "Look, then answer: drlua resume %s %s (it did), or =again instead "
    .. "of =done (send it again)%s"):format(
    st.name, what, self.id, settle_option(intent), others_in_doubt(self, key)),
    { reason = "settle", step = st.name, path = st.path, call = key })
end

--- The playbook was edited: the operator sees which recorded steps it no longer comes to,
-- and that `st` is done although it may have been done under another name.
function session:confirm_changes(st, unvisited)
  local names = {}
  for _, path in ipairs(unvisited) do
    local past = self.history.steps[path]
    table.insert(names, ("\"%s\" (%s)"):format(path, past.status or "?"))
  end
  local text = ("the edited playbook comes to step \"%s\", which is not on record and "
    .. "will be run. On record and "
    .. "not come to so far: %s"):format(st.path, table.concat(names, ", "))
  self:note(text, st)
  if not self.operator or self.assume_yes then return end
  if self.operator:confirm("Continue with the edited playbook? Type yes or no:") ~= "yes" then
    control.raise("pause", "stopped at the changed step \"" .. st.path
      .. "\"; nothing of it was run",
      { reason = "operator" })
  end
end

--- What a step would change, for the question of an approval; see plan.lua.
function session:preview(st)
  if not self.previewer then return nil end
  local ok, changes = pcall(task.timeout, 20, self.previewer, self, st.path)
  return ok and changes and #changes > 0 and changes or nil
end

function session:step(name, options, fn)
  local here = scope.current()
  return step.run(self, here, name, step.options(name, options, fn), fn)
end

-- What a check's function answered: true, or false and the reason.
local function verdict(ok, n, first, second)
  if not ok then return false, first end
  if n == 0 then return true end
  if first then return true, type(first) == "string" and first or nil end
  return false, errors.new { kind = "check", message = second and tostring(second)
    or "it does not hold" }
end

local function check_failed(name, e)
  errors.raise { kind = "check", message = ("check \"%s\" failed: %s"):format(name, e.message),
    where = e.where, at = e.at }
end

-- Outside of a step a check is a step for the gate.
local function as_step(self, name, path, here)
  local record = self.history:step(path)
  return { session = self, name = name, path = path, here = here, record = record, waited = 0,
    attempt = record.attempts, options = {} }
end

-- What is on record of a check: true and what it hands back. A failed one is asked again,
-- but for a rollback's replay.
local function checked(self, name, past)
  if not past then
    if self.rewinding then
      control.raise("rewound", "the replay has come to the end of what was done")
    end
    return false
  end
  if past.outcome ~= "failed" then return true, past.outcome == "passed" or nil end
  if self.rewinding then
    check_failed(name, errors.new { kind = "check", message = past.detail or "it does not hold" })
  end
  return false
end

--- A named verification; all of them make the report's checklist. Raises when it
-- fails. Ends like a step: one that passed is not asked again after a resume.
function session:check(name, fn)
  local here = scope.current()
  self:halt(here)
  local path = here:check_path(name)
  local known, outcome_before = checked(self, name,
    self.history.checks and self.history.checks[path])
  if known then return outcome_before end
  local st = here:innermost_step()
  local sc = scope.new(self, "check", path, here)
  if not st then sc.step = as_step(self, name, path, here) end
  local began = self:now()
  local result = table.pack(sc:call(fn, control.handler))
  local e = not result[1] and errors.from(result[2]) or nil
  local skipped = e and control.of(e) == "skip" and e.inside == path and e.message
  if e and not skipped and (control.of(e) or e.kind == "cancelled") then error(e, 0) end
  local passed, detail = verdict(result[1], result.n - 1, e or result[2], result[3])
  local outcome = skipped and "skipped" or passed and "passed" or "failed"
  local text = skipped or (detail and tostring(detail.message or detail)) or nil
  local data = { name = name, outcome = outcome, detail = text, seconds = self:now() - began,
    step = st and st.name }
  self:record("check", path, data)
  table.insert(self.checks, data)
  self:emit("note", { check = name, passed = passed and not skipped, outcome = outcome, text = text,
    path = path,
    step = st and st.name })
  if outcome == "failed" then self:after_failed_check(name, errors.from(detail)) end
  return passed or nil
end

--- Under run a failed check is a failure; `drlua check` continues with the next one.
function session.after_failed_check(_, name, e)
  check_failed(name, e)
end

-- What code here saw before under this key, as far as it still holds.
local function saw(self, here, key)
  local st = here:innermost_step()
  return self.history:saw(here.path, key, st and st.attempt, self.rewinding)
end

local function keep_seen(self, here, key, values)
  if pcall(value.encode, values) then
    self:record("seen", here.path, { key = key, values = values })
  end
end

-- Outside of steps, and in a step with steps inside, what a wait ended with is kept: the
-- steps that follow depend on it, and a replay does not wait again.
local function keep_wait(self, here, st, key, result)
  local values = value.pack(table.unpack(result, 1, result.n))
  if st and st.record and not st.record.children then
    return reads.keep_wait(st, here.path, key, values)
  end
  if not st or st.record then keep_seen(self, here, key, values) end
end

local function give_up(what, timeout, progress)
  errors.raise { kind = "timeout",
    message = ("%s: not so within %s%s"):format(what, duration.format(timeout),
    progress and " (last seen: " .. tostring(progress) .. ")" or "") }
end

-- Asks fn until it answers something true; returns what it answered, packed.
local function poll(self, st, what, options, fn, sc)
  local every, timeout = options.every, options.timeout
  local began, pace, progress = self:now(), nil, nil
  while true do
    self:go_on()
    local result = table.pack(sc:call(fn, control.handler))
    if not result[1] then error(result[2], 0) end
    if result[2] then
      if st then st.waited = (st.waited or 0) + (self:now() - began) end
      return table.pack(table.unpack(result, 2, result.n))
    end
    if result[3] ~= progress or not pace then
      progress = result[3]
      self:waiting(st, what, progress and tostring(progress))
    end
    if timeout and self:now() - began >= timeout then give_up(what, timeout, progress) end
    -- Quick at first: much is done before one full period has passed.
    pace = math.min((pace or 0.125) * 2, every)
    self:sleep_until(math.min(self:now() + pace, timeout and began + timeout or math.huge))
  end
end

--- Waits until fn() answers something true, and returns its values.
function session:wait_until(what, options, fn)
  local here = scope.current()
  local st, key = here:innermost_step(), here:unique("wait")
  local seen = (not st or self.rewinding or (st.record and st.record.children))
    and saw(self, here, key)
  if seen then return value.unpack(self.secrets:reveal(kept.copy(seen.values))) end
  if self.rewinding then
    control.raise("rewound", "the replay has come to the end of what was done")
  end
  local sc = scope.new(self, "poll", here:join(key), here)
  local result = table.pack(xpcall(poll, control.handler, self, st, what, options, fn, sc))
  self:waiting(st, nil)
  if not result[1] then error(result[2], 0) end
  keep_wait(self, here, st, key, result[2])
  return table.unpack(result[2], 1, result[2].n)
end

--- Waits for so many seconds; a replay after it was waited out does not wait again.
function session:sleep(seconds)
  local here = scope.current()
  local key = here:unique("sleep")
  local seen = saw(self, here, key)
  if self.rewinding then
    if seen then return end
    control.raise("rewound", "the replay has come to the end of what was done")
  end
  local until_time = seen and seen.values or self:now() + seconds
  if not seen then self:record("seen", here.path, { key = key, values = until_time }) end
  local st = here:innermost_step()
  self:waiting(st, duration.format(seconds) .. " to pass")
  self:sleep_until(until_time)
  self:waiting(st, nil)
end

--- The time, the same again on every replay.
function session:time()
  local here = scope.current()
  local key = here:unique("now")
  local seen = saw(self, here, key)
  if seen then return seen.values end
  local now = self:now()
  -- A probe, or a loop that polls, looks at the clock to see time pass.
  if not here:in_probe() then self:record("seen", here.path, { key = key, values = now }) end
  return now
end

--- Records a measurement, such as "rpo" with { seconds =, rows =, detail = }.
function session:measure(name, fields)
  local here = scope.current()
  local st = here:innermost_step()
  local data = { name = name, step = st and st.name }
  for k, v in pairs(fields) do data[k] = v end
  self:record("measure", st and st.path or "", data)
  self.measures[name] = data
  self:emit("note", { measure = name, seconds = data.seconds, rows = data.rows, text = data.detail,
    step = st and st.name, path = st and st.path })
end

--- When the incident began, where the playbook knows it: RTO counts from here.
function session:incident_started(at)
  self.incident = at
  self:record("incident", "", { at = at })
end

--- The service serves again: the RTO ends here, whatever the run does afterwards.
function session:recovered()
  self.recovered_at = self:time()
  self:record("recovered", "", { at = self.recovered_at })
end

function session:approve(text)
  local here = scope.current()
  self:step("Approval: " .. confidential.mask(text):sub(1, 60), { approve = text },
    function() return true end)
  return here and true
end

--- Stops the session: effects that change something end, waits and reads are given
-- up, and the main task is cancelled. Called by whoever sees the signal.
function session:interrupt(why)
  if self.stopping then return end
  self.stopping = why or "interrupt"
  task.spawn(function()
    pcall(function()
      while next(self.inflight) do task.sleep(0.05) end
      if self.main then self.main:cancel() end
    end)
  end)
end

--- Sentences about what is under way, for an operator who stops the run.
function session:under_way()
  local lines = {}
  for path, st in pairs(self.open) do
    local wait = self.waits[path]
    table.insert(lines,
      ("step \"%s\"%s"):format(st.name, wait and ": waiting for " .. wait.what .. (wait.progress
      and " (" .. wait.progress .. ")" or "") or ""))
  end
  for flight in pairs(self.inflight) do
    table.insert(lines, ("call under way: %s"):format(flight.what))
  end
  table.sort(lines)
  return lines
end

--- Runs fn(params) as the run's main task; returns true and its values, or false
-- and the error.
function session:execute(fn)
  gate.close()
  local root = scope.new(self, "run", "", nil)
  local main = task.spawn(function()
    return root:call(fn, control.handler, self.params)
  end)
  self.main, self.root = main, root
  local result = table.pack(pcall(main.wait, main))
  end_escalations(self)
  if not result[1] then return false, errors.from(result[2]) end
  if not result[2] then return false, errors.from(result[3]) end
  if not self.accept_changes and not self.rolled_back then
    local left = self.history:unvisited("")[1]
    if left then
      return false, errors.new { kind = "control", control = "diverged", message =
        ("the playbook has changed since the run began: it no longer comes to step \"%s\"; "
        .. "resume with --accept-changes to continue all the same"):format(left) }
    end
  end
  return true, table.unpack(result, 3, result.n)
end

return session
