--- What a run has done so far: the one picture of it, for a live run, a retry, a resume
-- and a rollback alike.
--
-- It is built from the entries of the journal, one `apply` each: those read at a resume,
-- and those that session:record has just written. It holds the steps by path, each with
-- its attempts and its calls; the order of steps in every scope, against which a changed
-- playbook is noticed; and the values that the playbook saw. Answers are decoded when
-- they are asked for: a replay of thousands of steps looks at few.
--
-- A call belongs to its step, not to an attempt: its record stays when the step is tried
-- again, and only `resume --from` puts it aside (a new generation).
local value = require "run.value"

local history = {}
history.__index = history

--- The record of a step, made where there is none: { path, name, scope, status
-- ("started" "succeeded" "failed" "skipped" "again"), attempts, generation, calls by key,
-- order (of all calls ever made), reads (kept), children }.
function history:step(path)
  local step = self.steps[path]
  if not step then
    -- All fields of an ended step, so that the table never grows.
    step = { path = path, attempts = 0, generation = 0, calls = {}, order = {}, name = nil,
      scope = nil, started = nil, began = nil, status = nil, attempt_started = nil, newest = nil,
      ended = nil, data = nil, changed = nil }
    self.steps[path] = step
  end
  return step
end

--- The record of the innermost step around the scope `path` (or at it), or nil.
function history:step_around(path)
  while path and path ~= "" do
    local step = self.steps[path]
    if step and step.name then return step end
    path = path:match("^(.*)/[^/]*$")
  end
end

-- Something happened in the scope `path`, and so in those around it.
local function mark(self, path, seq)
  while path and path ~= "" do
    self.newest[path] = seq
    path = path:match("^(.*)/[^/]*$")
  end
  self.newest[""] = seq
end

local read = {}

local function place(self, step, event, data)
  step.name, step.scope, step.started = data.name, data.scope, event.time
  if data.undoing then return end -- no step that the playbook comes to
  local order = self.order[data.scope] or {}
  self.order[data.scope] = order
  table.insert(order, event.path)
  -- The step around it, if any, is from here on more than its own calls.
  local around = self:step_around(data.scope)
  if around then around.children = true end
end

function read.step_started(self, event)
  local step = self:step(event.path)
  local data = value.decode(event.data)
  if not step.scope then place(self, step, event, data) end
  step.began = step.began or event.seq
  step.attempts, step.status, step.attempt_started = data.attempt, "started", event.time
  step.unfinished = nil
  local options = data.options
  if options then step.undo, step.partial = options.undo, options.partial end
  step.newest = event.seq
  mark(self, data.scope, event.seq)
end

local function ended(status)
  return function(self, event)
    local step = self:step(event.path)
    step.status, step.ended, step.newest = status, event.time, event.seq
    step.data = event.data
    if step.scope then mark(self, step.scope, event.seq) end
  end
end

read.step_succeeded = ended "succeeded"
read.step_failed = ended "failed"
local skipped = ended "skipped"
function read.step_skipped(self, event)
  local step = self:step(event.path)
  local data = value.decode(event.data)
  if not step.scope then place(self, step, event, data) end
  step.unfinished = data.unfinished
  skipped(self, event)
end

local function keep_reads(step, reads, seq)
  step.reads, step.readings = step.reads or {}, step.readings or 0
  for _, one in ipairs(reads) do
    step.readings = step.readings + 1
    one.seq, one.attempt, one.position = seq, step.attempts, step.readings
    step.reads[one.key] = one
  end
end

-- The first change in a step is the first one of the steps around it as well.
local function note_change(self, path, seq)
  while path do
    local step = self.steps[path]
    if step then step.changed = step.changed or seq end
    path = path:match("^(.*)/[^/]*$")
  end
end

-- The same call sent again keeps its place; another one under its key replaces it.
function read.intent(self, event)
  local data = value.decode(event.data)
  local step = self:step(event.path)
  local former = step.calls[data.key]
  if former and former.intent.token == data.token then
    former.intent, former.result, former.attempt = data, nil, step.attempts
  else
    if former then former.replaced = true end
    local call = { key = data.key, intent = data, seq = event.seq, attempt = step.attempts }
    step.calls[data.key] = call
    table.insert(step.order, call)
  end
  note_change(self, event.path, event.seq)
  step.newest = event.seq
  if data.reads then keep_reads(step, data.reads, event.seq) end
end

function read.result(self, event)
  local data = value.decode(event.data)
  local step = self:step(event.path)
  local call = step.calls[data.key]
  if not call then return end
  call.result, call.attempt = data, step.attempts
  step.newest = event.seq
end

-- Reads of a step that has steps inside: they are kept for a replay of this attempt.
function read.reads(self, event)
  local step = self:step(event.path)
  keep_reads(step, value.decode(event.data).reads, event.seq)
  mark(self, event.path, event.seq)
end

-- A value that code in scope `path` saw: a reading of the clock, the end of a wait, a
-- read outside of any step.
function read.seen(self, event)
  local data = value.decode(event.data)
  local values = self.values[event.path] or {}
  self.values[event.path] = values
  local around = self:step_around(event.path)
  data.seq, data.attempt = event.seq, around and around.attempts
  values[data.key] = data
  mark(self, event.path, event.seq)
end

function read.approved(self, event)
  local list = self.approvals[event.path] or {}
  self.approvals[event.path] = list
  table.insert(list, value.decode(event.data))
end

function read.refused(self, event)
  local list = self.refusals[event.path] or {}
  self.refusals[event.path] = list
  table.insert(list, value.decode(event.data))
end

-- A new attempt asks again.
function read.run_resumed(self)
  self.refusals = {}
end

-- The playbook was changed: what people agreed to is no longer what will be done.
function read.changes_accepted(self)
  self.approvals = {}
end

-- What was seen and checked after entry `seq` is not known any more.
local function forget_since(self, seq)
  for _, values in pairs(self.values) do
    for key, seen in pairs(values) do if seen.seq > seq then values[key] = nil end end
  end
  for path, check in pairs(self.checks) do
    if check.seq > seq then self.checks[path] = nil end
  end
end

-- The operator has the step done again: approval, calls and reads start over. What was
-- undone before is nothing that a rollback has to undo.
local function again(self, path, since, undone)
  local step = self:step(path)
  if undone then step.order = {} end
  step.status, step.generation = "again", step.generation + 1
  step.calls, step.reads, step.changed, step.began = {}, nil, nil, nil
  self.approvals[path] = nil
  if since then forget_since(self, since) end
end

function read.operator(self, event)
  local data = value.decode(event.data)
  if data.skip then self.skips[event.path] = data end
  if data.again then again(self, event.path, data.since, data.undone) end
  -- One more attempt of a step that had been passed over.
  if data.retry then self:step(event.path).status = "again" end
end

function read.check(self, event)
  local data = value.decode(event.data)
  data.seq = event.seq
  self.checks[event.path] = data
  mark(self, event.path:match("^(.*)/[^/]*$") or "", event.seq)
end

-- What another process wrote down, by a clock of its own.
local foreign = { approved = true, refused = true, pause_asked = true, rehearsal = true,
  lesson = true }

--- Takes one entry of the journal in: { seq, time, kind, path, data (text) }.
function history:apply(event)
  local reader = read[event.kind]
  if reader then reader(self, event) end
  self.last = event.seq
  if not foreign[event.kind] then self.last_time = math.max(self.last_time, event.time) end
end

--- A history with nothing in it.
function history.empty()
  return setmetatable({ steps = {}, order = {}, values = {}, approvals = {}, refusals = {},
    skips = {}, checks = {}, visited = {}, newest = {}, last = 0, last_time = 0 }, history)
end

--- The same history for another session to go through.
function history:copy()
  local copy = setmetatable({}, history)
  for k, v in pairs(self) do copy[k] = v end
  copy.visited = {}
  return copy
end

--- Reads the whole journal.
function history.read(journal)
  local self = history.empty()
  for _, event in ipairs(journal:events()) do self:apply(event) end
  return self
end

--- Notes that the playbook has come to the step `path` in `scope`. Returns the
-- record of it, if any, and a sentence when the recorded run had another step here.
function history:visit(scope_path, path)
  local n = (self.visited[scope_path] or 0) + 1
  local expected = self.order[scope_path] and self.order[scope_path][n]
  if not expected or expected == path then
    self.visited[scope_path] = n
    return self.steps[path]
  end
  return self.steps[path], expected
end

--- The steps of the scope that are recorded and were not come to yet, in order.
function history:unvisited(scope_path)
  local order = self.order[scope_path] or {}
  return table.move(order, (self.visited[scope_path] or 0) + 1, #order, 1, {})
end

--- The paths of all steps, in the order they began.
function history:paths()
  local paths = {}
  for path, step in pairs(self.steps) do
    if step.name then table.insert(paths, path) end
  end
  table.sort(paths, function(a, b)
    local x, y = self.steps[a].started or math.huge, self.steps[b].started or math.huge
    if x == y then return a < b end
    return x < y
  end)
  return paths
end

--- The step named (by path, or by a name that only one has) and all that began after
-- it, or nil when there is none of that name.
function history:from(name)
  local found
  local paths = self:paths()
  for i, path in ipairs(paths) do
    if path == name or (not found and self.steps[path].name == name) then found = i end
  end
  return found and table.move(paths, found, #paths, 1, {})
end

--- What code in the scope `path` saw under this key, as far as it still holds: in a
-- step that is tried again only what it saw before its first change.
function history:saw(path, key, attempt, rewinding)
  local seen = self.values[path] and self.values[path][key]
  if not seen or rewinding or seen.attempt == nil or seen.attempt == attempt then return seen end
  local around = self:step_around(path)
  return seen.seq <= (around and around.changed or 0) and seen or nil
end

--- What is on record of a step's end: { values } or { error }, a copy each time.
function history.results(step)
  return value.decode(step.data)
end

--- The calls in doubt: sent, and no answer is on record. A list of { step, call }, in
-- the order they were sent.
function history:doubts()
  local list = {}
  for _, step in pairs(self.steps) do
    for _, call in pairs(step.calls) do
      if not call.result then table.insert(list, { step = step, call = call }) end
    end
  end
  table.sort(list, function(a, b) return a.call.seq < b.call.seq end)
  return list
end

return history
