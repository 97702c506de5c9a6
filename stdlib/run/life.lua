--- The life of a run: begun, resumed, concluded.
--
-- `begin` takes the locks, makes the journal, and writes down what was asked for;
-- `reopen` reads a journal back and refuses an edited playbook; `conclude` says how a
-- session ended, writes it down, and makes the report.
local clock = require "native.clock"
local answers = require "run.answers"
local confidential = require "confidential"
local control = require "run.control"
local crypto = require "native.crypto"
local duration = require "duration"
local ending = require "run.ending"
local errors = require "errors"
local facts = require "run.facts"
local fs = require "native.fs"
local history = require "run.history"
local identity = require "run.identity"
local lock = require "run.lock"
local params = require "run.params"
local playbook = require "run.playbook"
local report = require "run.report"
local seal = require "run.seal"
local secrets = require "run.secrets"
local session = require "run.session"
local sys = require "native.sys"
local value = require "run.value"
local version = require "version"

local life = {}

local function absolute(path)
  return fs.realpath(path) or path
end

local function keep_sources(j, loaded)
  for path, text in pairs(loaded.sources) do j:keep_source(absolute(path), text) end
end

--- The registry of secrets for a set of values, installed for the whole process; AWS's
-- own keys are in it. options.plain_marks: see secrets.new; options.restore: function(registry)
-- that takes in what is known of before, whose names come first.
function life.secrets(loaded, values, options)
  local registry = secrets.new(options)
  params.register_secrets(loaded.definition.params, values, registry)
  for _, name in ipairs { "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" } do
    local key = sys.getenv(name)
    -- AWS's are long; a simulator's may be a common word.
    if key and #key >= 16 then registry:add(name, key) end
  end
  if options and options.restore then options.restore(registry) end
  confidential.install(registry)
  return registry
end

local function fields_of(loaded, values, options)
  return {
    playbook = loaded.definition, params = values, secrets = options.secrets, out = options.out,
    operator = options.operator, assume_yes = options.assume_yes,
    accept_changes = options.accept_changes, user = identity.account(), host = sys.hostname(),
    environment_name = loaded.environment_name, environment = loaded.environment,
    path = loaded.path, previewer = options.previewer,
  }
end

-- The form of the marks in a journal's texts; the first one did not escape those that a
-- text had by itself.
local MARKS = 2

local function keep_observed(s)
  seal.keep(s.secrets, s.directory, s.id, function(kind, path, data) s:record(kind, path, data) end)
end

local function restore_observed(registry, j, directory, id)
  local rows = {}
  for i, event in ipairs(j:of_kind("secret")) do rows[i] = value.decode(event.data) end
  seal.restore(registry, directory, id, rows)
end

-- The paths stay as they are: the run is found again by them.
local function head_of(s, loaded, values)
  local head = s.secrets:conceal {
    id = s.id, nonce = s.nonce, title = loaded.definition.title,
    environment = loaded.environment_name, params = params.without_secrets(loaded.definition.params,
      values), started = s.started, user = s.user,
    host = s.host, version = version,
    targets = playbook.targets(loaded.definition, loaded.environment),
    rehearsal = sys.getenv("DRLUA_REHEARSAL"), escaped_names = true, marks = MARKS,
  }
  head.path, head.absolute_path = loaded.path, absolute(loaded.path)
  return head
end

-- A rehearsal changes nothing but its own simulator: it may not keep a real recovery
-- from its lock, nor another rehearsal.
local function lock_names(loaded, values)
  local names = playbook.locks(loaded.definition, values, loaded.path, loaded.environment_name)
  if not sys.getenv("DRLUA_REHEARSAL") then return names end
  local stage = sys.getenv("AWS_ENDPOINT_URL") or ""
  for i, name in ipairs(names) do names[i] = ("rehearsal at %s: %s"):format(stage, name) end
  return names
end

-- The locks and the journal of a new run, or neither, and no trace of it.
local function make_run(store, id, names)
  local ok, locks = pcall(store.lock, store, names, id)
  if not ok then
    store:forget(id)
    error(locks, 0)
  end
  local made, j = pcall(store.create, store, id)
  if made then return locks, j end
  locks:release()
  store:forget(id)
  error(j, 0)
end

-- Makes this process the run's owner, for as long as it holds the locks.
local function own(j, locks)
  local who = lock.self()
  who.since = clock.now()
  j:own(who, function() return locks:lost() end)
end

--- Begins a run in a store: returns its session. options: out, operator, assume_yes.
-- Raises before anything is started when the locks are held or nothing can be written.
function life.begin(store, loaded, values, options)
  options.secrets = life.secrets(loaded, values)
  local names = lock_names(loaded, values)
  local id = store:new_run()
  local fields = fields_of(loaded, values, options)
  fields.id, fields.nonce = id, crypto.hex(crypto.random(16))
  local locks, j = make_run(store, id, names)
  fields.journal = j
  local s = session.new(fields)
  s.locks, s.directory, s.targets = locks, store:run(id),
    playbook.targets(loaded.definition, loaded.environment)
  keep_observed(s)
  s.journal:together(function()
    own(s.journal, locks)
    s.journal:meta("run", head_of(s, loaded, values))
    s.journal:meta("status", "running")
    s.journal:meta("locks", names)
    s.journal:meta("clock", s:anchored())
    keep_sources(s.journal, loaded)
  end)
  s:record("run_started", "", { user = s.user, host = s.host })
  s:emit("run_started",
    { title = loaded.definition.title, playbook = loaded.path, targets = s.targets,
    environment = loaded.environment_name,
    params = params.without_secrets(loaded.definition.params, values) })
  for _, abandoned in ipairs(locks.abandoned) do
    if abandoned then s:note(
      ("run %s was left unfinished by a process that died; `drlua resume %s` would continue it")
      :format(abandoned, abandoned)) end
  end
  return s
end

local function lines_of(text)
  local list = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do table.insert(list, line) end
  return list
end

local function step_above(lines, n)
  for i = math.min(n, #lines), 1, -1 do
    local name = lines[i]:match("dr%.step%s*%(%s*[\"']([^\"']+)[\"']")
    if name then return name end
  end
end

--- Where two versions of a file first differ: the line, and the step it is in.
function life.first_difference(before, now)
  local old, new = lines_of(before), lines_of(now)
  for n = 1, math.max(#old, #new) do
    if old[n] ~= new[n] then return n, step_above(new, n) or step_above(old, n) end
  end
end

local function refuse_edited(j, loaded, id)
  local now = {}
  for path, text in pairs(loaded.sources) do now[absolute(path)] = text end
  for path, before in pairs(j:sources()) do
    local text = now[path] or fs.read(path)
    if text and text ~= before then
      local line, step = life.first_difference(before, text)
      errors.raise { kind = "usage",
        message = ("%s was edited since run %s began: it first differs at line %d%s. "
        .. "To continue with the edited one, give --accept-changes"):format(path, id, line,
        step and (", in step \"%s\""):format(step) or ", before the first step") }
    end
  end
end

-- Everything a rollback left, as one sentence.
local function left_by_hand(s)
  local texts = {}
  for _, one in ipairs(s.left_by_hand or {}) do
    table.insert(texts, ("%s (step \"%s\")"):format(one.call, one.step))
  end
  return ("%d call%s left to undo by hand: %s"):format(#texts, #texts == 1 and " is" or "s are",
    table.concat(texts, "; "))
end

local function note_takeover(s, former)
  s:note(("taken over by %s on %s from process %s on %s, whose life cannot "
    .. "be seen from here: should "
    .. "it still live, it stops before its next call"):format(s.user, s.host,
    tostring(former.pid or "?"), tostring(former.host or "?")))
end

--- Opens a run to continue it. Returns its session. options: as of begin, with
-- accept_changes, settle (see answers.lua), rolling_back, takeover (from an owner whose
-- life cannot be seen from here), journal (where it was opened for writing).
function life.reopen(store, id, loaded, values, options)
  local j = options.journal or store:open_run(id)
  local head = j:meta("run")
  options.secrets = life.secrets(loaded, values, { plain_marks = head.marks ~= MARKS,
    restore = function(registry) restore_observed(registry, j, store:run(id), id) end })
  if not options.accept_changes then refuse_edited(j, loaded, id) end
  local so_far = history.read(j)
  local settled = answers.read(so_far, options.settle, id)
  local locks = store:lock(j:meta("locks") or {}, id, { takeover = options.takeover })
  local owned, e = pcall(own, j, locks)
  if not owned then
    locks:release()
    error(e, 0)
  end
  for _, event in ipairs(j:events(so_far.last)) do so_far:apply(event) end
  local fields = fields_of(loaded, values, options)
  fields.id, fields.nonce, fields.journal, fields.started = id, head.nonce, j, head.started
  fields.history, fields.answers = so_far, settled
  fields.last_event = fields.history.last
  fields.anchor = j:meta("clock")
  fields.history.plain_names = not head.escaped_names
  fields.rolling_back = options.rolling_back
  local s = session.new(fields)
  s.locks, s.directory, s.targets = locks, store:run(id), head.targets or {}
  keep_observed(s)
  s.approvals_seen = { approved = s.history.last, refused = s.history.last }
  s.journal:meta("status", options.rolling_back and "rolling back" or "running")
  if options.accept_changes then
    keep_sources(j, loaded)
    s:record("changes_accepted", "", { by = s.user })
  end
  if locks.taken_from then note_takeover(s, locks.taken_from) end
  s:record(options.rolling_back and "rollback_started" or "run_resumed", "",
    { user = s.user, host = s.host })
  s:emit("run_started",
    { title = loaded.definition.title, playbook = loaded.path, targets = s.targets,
    environment = loaded.environment_name, resumed = not options.rolling_back or nil,
    rolling_back = options.rolling_back })
  return s
end

local function sentence(e)
  local text = e.message
  if e.step and e.kind ~= "control" then text = ("step \"%s\" failed: %s"):format(e.step, text) end
  local place = e.where or e.at
  return place and ("%s: %s"):format(place, text) or text
end
life.sentence = sentence

-- How a session ended: outcome, exit code, event.
local function verdict(s, ok, e)
  if ok and s.rolled_back and #s.left_by_hand > 0 then
    return "partly rolled back", 1, "run_failed"
  end
  if ok then return s.rolled_back and "rolled back" or "succeeded", 0, "run_succeeded" end
  local word = control.of(e)
  if e.fenced then return e.fenced, 1, "run_failed" end
  if s.stopping == "interrupt" and (word or e.kind == "cancelled") then
    return "interrupted", 130, "run_paused"
  end
  if word == "pause" or (s.stopping == "pause" and (word or e.kind == "cancelled")) then
    return "paused", 4, "run_paused"
  end
  return "failed", 1, "run_failed"
end

local function write_report(s, found)
  local text = report.markdown(found)
  local path = s.directory .. "/report.md"
  local ok, message = fs.write(path, text, { mode = 384, atomic = true })
  if ok then return path end
  return nil, message
end

local CLOCK_SET = 60 -- seconds; less is what a clock is corrected by every day

local function tell_of_clock(s)
  local by = s:set_forward()
  if math.abs(by) < CLOCK_SET then return end
  s:note(("this machine's clock was set %s by %s meanwhile: the run's times go on "
    .. "from where it stood before"):format(
    by > 0 and "forward" or "back", duration.format(math.floor(math.abs(by)))))
end

-- Seconds from the incident (or the start) to when the service served again, or nil.
local function recovery_time(s, outcome)
  local till = s.recovered_at or outcome == "succeeded" and s:now()
  return till and not s.rolled_back and math.max(0, till - (s.incident or s.started)) or nil
end

-- Writes the end into the journal. False where that cannot be done.
local function record_end(s, result, e)
  return (pcall(function()
    tell_of_clock(s)
    s:record("run_ended", "",
      { outcome = result.outcome, message = result.message, rto = result.rto,
      reason = e and e.reason, call = e and e.call, control = e and control.of(e),
      step = e and (e.path or e.step_path) })
    -- A rollback that stopped half-way stays one: a resume continues it, never the run.
    s.journal:meta("status", s.rolling_back and not s.rolled_back and "rolling back"
      or result.outcome)
  end))
end

-- A report that cannot be made or written costs the run nothing but the report.
local function make_report(s, result)
  local ok, why = pcall(function()
    result.facts = facts.read(s.journal)
    result.rto, result.left = result.facts.rto, s.secrets:mask(ending.left(result.facts))
    local path, message = write_report(s, result.facts)
    if not path then errors.raise { kind = "state", message = message } end
    result.report = path
  end)
  if not ok then s:emit("note", { text = "the report could not be written: " .. tostring(why) }) end
end

--- Concludes a session: writes the end down, makes the report, gives the locks back.
-- ok, e: whether its body ended well, and the error if not. Returns { outcome, code,
-- message, rto (nil before the service serves again), elapsed, facts, left, report }.
-- A process that is no longer the run's owner ("taken over" or "stopped") writes nothing down.
function life.conclude(s, ok, e)
  if ok then e = nil end -- what `run` returns is its own
  local lost = s.journal:lost_to()
  if lost then
    ok, e = false,
      errors.new { kind = "control", control = "journal", message = lost.text, fenced = lost.how }
  end
  local outcome, code, event = verdict(s, ok, e)
  local result = { outcome = outcome, code = code, message = e and s.secrets:mask(sentence(e))
    or nil, error = e,
    rto = recovery_time(s, outcome), elapsed = math.max(0, s:now() - (s.incident or s.started)),
    under_way = s.secrets:mask(s:under_way()) }
  if outcome == "interrupted" then result.message = "interrupted" end
  if outcome == "partly rolled back" then result.message = s.secrets:mask(left_by_hand(s)) end
  local kept = lost or record_end(s, result, e)
  if kept and not lost then make_report(s, result) end
  if not kept and not result.message then
    result.message = "the journal could not be written at the end"
  end
  local rpo = result.facts and result.facts.measures.rpo
  s:emit(event, { outcome = outcome, error = result.message, rto = result.rto,
    elapsed = not result.rto and result.elapsed or nil, rpo = rpo and rpo.seconds,
    rpo_rows = rpo and rpo.rows, targets = s.targets, report = result.report,
    left = result.left and next(result.left) and result.left or nil,
    reason = e and (e.reason or (outcome == "interrupted" and "interrupt")) or nil,
    step = e and e.step })
  s.locks:release()
  s.journal:close()
  return result
end

--- The state a run is in: its status, or "stopped" when its process is gone.
function life.status(j)
  local status = j:meta("status")
  if status == "running" and lock.sees(j:meta("process")) == "dead" then return "stopped" end
  return status
end

return life
