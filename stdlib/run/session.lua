--- A session: one process working on one run (or planning, or checking one).
--
-- It owns the journal and the history read from it, masks what leaves, keeps the
-- run's clock, and knows what is under way. The work itself is done by step.lua,
-- branch.lua, gate.lua and approval.lua; drlua.lua is what playbooks see of it.
local branch = require "run.branch"
local clock = require "native.clock"
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local fs = require "native.fs"
local history = require "run.history"
local scope = require "run.scope"
local step = require "run.step"
local task = require "task"
local gate = require "run.gate"
local value = require "run.value"

local session = {}
session.__index = session

-- Which start of which machine this is: its boot clock goes on from process to process.
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
--   out          function(event): what is told to the world, already masked
--   operator     the person at the terminal (cli/operator.lua), or nil
--   assume_yes, accept_changes
--   started      seconds: when the run began (a resume knows an earlier time)
--   anchor       of a resume: what session:anchored() gave when the run began
--   history      of a resume; default: empty
function session.new(fields)
  local self = setmetatable(fields, session)
  self.history = self.history or history.empty()
  self.open, self.inflight, self.waits, self.checks, self.measures = {}, {}, {}, {}, {}
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

--- Tells the world of an event; everything in it is masked.
function session:emit(event, fields)
  local e = self.secrets:mask(fields or {})
  e.event, e.run, e.time = event, self.id, self:now()
  self.out(e)
end

--- Adds to the journal, secrets by name only. Under plan and check there is none.
function session:record(kind, path, data)
  if not self.journal then return end
  local concealed = self.secrets:conceal(data)
  local ok, e = xpcall(self.journal.add, control.handler, self.journal, kind, path, concealed, self:now())
  if ok then return end
  if control.of(e) == "journal" then self.stopping = self.stopping or "journal" end
  error(e, 0)
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
  branch.halt(here)
end

--- A remark for the record, from the playbook or from the engine.
function session:note(text, st)
  st = st or (scope.current() and scope.current():innermost_step())
  local fields = { text = text, step = st and st.name, path = st and st.path }
  self:record("note", st and st.path or "", { text = text })
  self:emit("note", fields)
end

--- Says what a step waits for; what = nil: it goes on.
function session:waiting(st, what, progress)
  if not st then return end
  self.waits[st.path] = what and { what = what, progress = progress } or nil
  if what then self:emit("step_waiting", { step = st.name, path = st.path, what = what, progress = progress }) end
end

--- A step is over its budget: said once, and handed to the playbook's escalation.
function session:overrun(st)
  local text = ("step \"%s\" is over its budget of %s"):format(st.name, duration.format(st.options.budget))
  self:record("overrun", st.path, { text = text, budget = st.options.budget })
  self:emit("note", { text = text, step = st.name, path = st.path, overrun = true })
  local escalate = self.playbook.escalate
  if not escalate or st.escalated then return end
  st.escalated = true
  local here = scope.new(self, "branch", "escalation", nil)
  local result = table.pack(here:call(step.run, control.handler, self, here, "Escalate: " .. st.name,
    step.options("Escalate", { optional = true, timeout = "5m" }, escalate), function()
      return escalate(self.params, { step = st.name, budget = st.options.budget, text = text,
        elapsed = self:now() - st.began })
    end))
  if not result[1] then self:note("escalation failed: " .. tostring(result[2]), st) end
end

--- Called when a step has ended well; rollback hangs its undo functions here.
function session:ended_step(st, ...)
  if st.options.undo then self:remember_undo(st, ...) end
end

--- Called when a replay has come past a step that had ended before.
function session:replayed(st, past, ...)
  local undoable = past.status == "succeeded" or (past.decoded and past.decoded.undoable)
  if st.options.undo and undoable then self:remember_undo(st, ...) end
end

function session:remember_undo(st, ...)
  self.undos = self.undos or {}
  table.insert(self.undos, { path = st.path, name = st.name, undo = st.options.undo, results = table.pack(...) })
end

--- Called before a step begins: the place where an operator's pause takes hold.
function session:before_step(st)
  if not self.journal then return end
  for _, event in ipairs(self.journal:of_kind("pause_asked", self.pause_seen or self.last_event or 0)) do
    self.pause_seen = event.seq
    self.stopping = "pause"
    local data = value.decode(event.data)
    control.raise("pause", ("paused before step \"%s\", as %s asked; go on with: drlua resume %s"):format(
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
    self:undo_now(st)
    return "stop"
  end
  return answer, reason
end

-- Undoes a failed step at once; what its function would have returned is not known.
function session:undo_now(st)
  local here = scope.current()
  step.run(self, here, "Undo: " .. st.path, step.options("Undo: " .. st.name, {}, st.options.undo), st.options.undo)
end

--- Asks whether a call in doubt had its effect: "done" or "again".
function session:ask_settled(st, e, intent)
  local what = e.what or intent.name
  if self.settle_answer then return self.settle_answer end
  if self.operator then return self.operator:ask_settled(st, what, intent) end
  control.raise("pause", ("step \"%s\": it cannot be told whether this call had its effect before the run stopped: %s. "
    .. "Look, then answer: drlua resume %s --settle done (it had) or --settle again (send it again)"):format(
    st.name, what, self.id), { reason = "settle", step = st.name, path = st.path })
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
  return false, errors.new { kind = "check", message = second and tostring(second) or "it does not hold" }
end

local function check_failed(name, e)
  errors.raise { kind = "check", message = ("check \"%s\" failed: %s"):format(name, e.message),
    where = e.where, at = e.at }
end

--- A named verification; all of them make the report's checklist. Raises when it
-- fails. Ends like a step: one that passed is not asked again after a resume.
function session:check(name, fn)
  local here = scope.current()
  self:halt(here)
  local path = here:join(here:unique("check " .. name))
  local past = self.history.checks and self.history.checks[path]
  if past and past.outcome ~= "failed" then return past.outcome == "passed" or nil end
  local st = here:innermost_step()
  local sc = scope.new(self, "check", path, here)
  -- Outside of a step a check is a step of its own for the gate.
  if not st then
    local before = self.history.steps[path]
    sc.step = { session = self, name = name, path = path, here = here, recorded = before and before.effects or {},
      earlier = {}, reads = {}, waited = 0, attempt = 1, options = {} }
  end
  local began = self:now()
  local result = table.pack(sc:call(fn, control.handler))
  local e = not result[1] and errors.from(result[2]) or nil
  local skipped = e and control.of(e) == "skip" and e.inside == path and e.message
  if e and not skipped and (control.of(e) or e.kind == "cancelled") then error(e, 0) end
  local passed, detail = verdict(result[1], result.n - 1, e or result[2], result[3])
  local outcome = skipped and "skipped" or passed and "passed" or "failed"
  local text = skipped or (detail and tostring(detail.message or detail)) or nil
  local data = { name = name, outcome = outcome, detail = text, seconds = self:now() - began, step = st and st.name }
  self:record("check", path, data)
  table.insert(self.checks, data)
  self:emit("note", { check = name, passed = passed and not skipped, outcome = outcome, text = text, path = path,
    step = st and st.name })
  if outcome == "failed" then self:after_failed_check(name, errors.from(detail)) end
  return passed or nil
end

--- Under run a failed check is a failure; `drlua check` goes on to the next one.
function session.after_failed_check(_, name, e)
  check_failed(name, e)
end

--- Waits until fn() answers something true, and returns its values.
function session:wait_until(what, options, fn)
  local here = scope.current()
  local st = here:innermost_step()
  local every, timeout = options.every, options.timeout
  local began, pace = self:now(), nil
  local progress
  local poll = scope.new(self, "poll", here:join(here:unique("wait")), here)
  while true do
    self:go_on()
    local result = table.pack(poll:call(fn, control.handler))
    if not result[1] then
      self:waiting(st, nil)
      error(result[2], 0)
    end
    result = table.pack(table.unpack(result, 2, result.n))
    if result[1] then
      if st then st.waited = (st.waited or 0) + (self:now() - began) end
      self:waiting(st, nil)
      return table.unpack(result, 1, result.n)
    end
    if result[2] ~= progress or not pace then
      progress = result[2]
      self:waiting(st, what, progress and tostring(progress))
    end
    if timeout and self:now() - began >= timeout then
      self:waiting(st, nil)
      errors.raise { kind = "timeout", message = ("%s: not so within %s%s"):format(what, duration.format(timeout),
        progress and " (last seen: " .. tostring(progress) .. ")" or "") }
    end
    -- Quick at first: much is done before one full period has passed.
    pace = math.min((pace or 0.125) * 2, every)
    self:sleep_until(math.min(self:now() + pace, timeout and began + timeout or math.huge))
  end
end

--- Waits for so many seconds; a replay after it was waited out does not wait again.
function session:sleep(seconds)
  local here = scope.current()
  local key = here:unique("sleep")
  local seen = self.history.values[here.path] and self.history.values[here.path][key]
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
  local seen = self.history.values[here.path] and self.history.values[here.path][key]
  if seen then return seen.values end
  local now = self:now()
  -- A loop that polls looks at the clock to see time pass.
  if here.kind ~= "poll" then self:record("seen", here.path, { key = key, values = now }) end
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
  self:step("Approval: " .. text:sub(1, 60), { approve = text }, function() return true end)
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
    table.insert(lines, ("step \"%s\"%s"):format(st.name, wait and ": waiting for " .. wait.what .. (wait.progress
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
  if not result[1] then return false, errors.from(result[2]) end
  if not result[2] then return false, errors.from(result[3]) end
  if not self.accept_changes and not self.rewinding then
    local left = self.history:unvisited("")
    if left then
      return false, errors.new { kind = "control", control = "diverged", message =
        ("the playbook has changed since the run began: it no longer comes to step \"%s\"; "
        .. "resume with --accept-changes to go on all the same"):format(left) }
    end
  end
  return true, table.unpack(result, 3, result.n)
end

return session
