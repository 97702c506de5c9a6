--- What a run has done so far, read from its journal, for replay.
--
-- One pass over the events builds: the steps by path, each with its attempts and
-- the effects of its last one; the order of steps in every scope, against which a
-- changed playbook is noticed; the values that code outside of steps saw. Data is
-- decoded when it is asked for: a replay of thousands of steps looks at few.
local value = require "run.value"

local history = {}
history.__index = history

local function step_of(self, path)
  local step = self.steps[path]
  if not step then
    step = { path = path, attempts = 0, effects = {}, earlier = {} }
    self.steps[path] = step
  end
  return step
end

local read = {}

function read.step_started(self, event)
  local step = step_of(self, event.path)
  local data = value.decode(event.data)
  if step.attempts == 0 then
    step.name, step.scope, step.started = data.name, data.scope, event.time
    local order = self.order[data.scope] or {}
    self.order[data.scope] = order
    table.insert(order, event.path)
  else
    table.insert(step.earlier, step.effects)
  end
  step.attempts, step.status, step.effects, step.attempt_started = data.attempt, "started", {}, event.time
end

local function ended(status)
  return function(self, event)
    local step = step_of(self, event.path)
    step.status, step.ended, step.data = status, event.time, event.data
  end
end

read.step_succeeded = ended "succeeded"
read.step_failed = ended "failed"
function read.step_skipped(self, event)
  local step = step_of(self, event.path)
  if not step.scope then read.step_started(self, event) end
  step.status, step.ended, step.data = "skipped", event.time, event.data
end

function read.intent(self, event)
  local data = value.decode(event.data)
  step_of(self, event.path).effects[data.key] = { intent = data, seq = event.seq }
end

function read.result(self, event)
  local data = value.decode(event.data)
  local effect = step_of(self, event.path).effects[data.key]
  if effect then effect.result = data end
end

-- A value seen by code in scope `path`: a reading of the clock, a read outside of
-- any step.
function read.seen(self, event)
  local data = value.decode(event.data)
  local values = self.values[event.path] or {}
  self.values[event.path] = values
  values[data.key] = data
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

--- A step that is to be done again asks for its approval again.
function history:again(path)
  local step = self.steps[path]
  if step then step.status = "again" end
  self.approvals[path] = nil
end

function read.operator(self, event)
  local data = value.decode(event.data)
  if data.skip then self.skips[event.path] = data end
  if data.again then self:again(event.path) end
end

function read.check(self, event)
  self.checks[event.path] = value.decode(event.data)
end

-- What another process wrote down, by a clock of its own.
local foreign = { approved = true, refused = true, pause_asked = true, rehearsal = true, lesson = true }

function history:update(journal)
  for _, event in ipairs(journal:events(self.last)) do
    local reader = read[event.kind]
    if reader then reader(self, event) end
    self.last = event.seq
    if not foreign[event.kind] then self.last_time = math.max(self.last_time, event.time) end
  end
end

--- A history with nothing in it.
function history.empty()
  return setmetatable({ steps = {}, order = {}, values = {}, approvals = {}, refusals = {}, skips = {},
    checks = {}, visited = {}, last = 0, last_time = 0 }, history)
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
  self:update(journal)
  return self
end

--- Notes that the playbook has come to the step `path` in `scope`. Returns the
-- record of it, if any, and a sentence when the recorded run had another step here.
function history:visit(scope_path, path)
  local order = self.order[scope_path]
  if not order then return self.steps[path] end
  local n = (self.visited[scope_path] or 0) + 1
  local expected = order[n]
  if not expected or expected == path then
    self.visited[scope_path] = n
    return self.steps[path]
  end
  return self.steps[path], expected
end

--- The first step of the scope that is recorded and was not come to, or nil.
function history:unvisited(scope_path)
  local order = self.order[scope_path]
  return order and order[(self.visited[scope_path] or 0) + 1]
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

--- The recorded results of a finished step.
function history.results(step)
  local data = value.decode(step.data)
  step.decoded = data
  return data
end

return history
