--- A session: one process working on one run (or planning, or checking one).
--
-- It owns the journal and the history read from it, masks what leaves, keeps the
-- run's clock, and knows what is under way. The work itself is done by step.lua,
-- branch.lua, gate.lua and approval.lua; drlua.lua is what playbooks see of it.
local branch = require "run.branch"
local checks = require "run.checks"
local clock = require "native.clock"
local confidential = require "confidential"
local control = require "run.control"
local errors = require "errors"
local escalation = require "run.escalation"
local fs = require "native.fs"
local history = require "run.history"
local questions = require "run.questions"
local scope = require "run.scope"
local step = require "run.step"
local task = require "task"
local gate = require "run.gate"
local undo = require "run.undo"
local value = require "run.value"
local waits = require "run.waits"

local session = {}
session.__index = session

for _, part in ipairs { checks, escalation, questions, waits } do
  for name, method in pairs(part) do session[name] = method end
end

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

function session:step(name, options, fn)
  local here = scope.current()
  return step.run(self, here, name, step.options(name, options, fn), fn)
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
  self:end_escalations()
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
