--- Rollback: what a run changed is undone, newest first.
--
-- The journal says what has to be undone: every step with calls that may stand, in it or
-- in the steps inside. The functions that undo it are the playbook's, so its `run` is
-- replayed to the end of what was done, everything on record being handed back and nothing
-- being sent. Then each undo runs as a step, journaled, so that a rollback can itself be
-- interrupted, settled and resumed. What cannot be undone is named, call by call.
local control = require "run.control"
local errors = require "errors"
local reads = require "run.reads"
local scope = require "run.scope"
local step = require "run.step"

local undo = {}

local PREFIX = "Undo: "

local function is_undo(path) return path:sub(1, #PREFIX) == PREFIX end

-- Messages tell people something: there is nothing to take back.
local function is_message(intent)
  if intent.message then return true end
  return intent.kind == "aws" and (intent.operation or ""):find("^Publish") ~= nil
    or intent.kind == "aws" and (intent.operation or ""):find("^Send") ~= nil
end

-- The calls of a step that may stand: answered, or without a response on record.
local function standing(record)
  local list = {}
  for _, call in ipairs(record.order) do
    local failed = call.result and call.result.error and not call.result.doubtful
    if not failed and not is_message(call.intent) then table.insert(list, call) end
  end
  return list
end

-- The steps that changed something, in it or in the steps inside: path -> its record.
local function changed_steps(s)
  local changed = {}
  for path, record in pairs(s.history.steps) do
    if not is_undo(path) and #standing(record) > 0 then
      local around = path
      while around do
        local outer = s.history.steps[around]
        if outer then changed[around] = outer end
        around = around:match("^(.*)/[^/]*$")
      end
    end
  end
  return changed
end

local function path_of(s, record)
  if s.history.plain_names then return PREFIX .. record.path end
  local path = PREFIX .. scope.escape(record.path)
  return record.generation > 0 and ("%s#%d"):format(path, record.generation + 1) or path
end

-- Runs the undo of a step as a step. met: { name, record, options, results or nil }.
local function run_one(s, met)
  local here = scope.current()
  local name = PREFIX .. met.name
  local fn = met.options.undo
  local options = step.options(name, {}, fn)
  return step.run(s, here, name, options, function()
    if met.results then return fn(table.unpack(met.results, 1, met.results.n)) end
    return fn(nil, reads.of(s, met.record))
  end, path_of(s, met.record))
end

-- Whether the operator passed over the undo of a step.
local function passed_over(s, record)
  local own = s.history.steps[path_of(s, record)]
  return own ~= nil and own.status == "skipped"
end

--- Undoes a failed step at once, for an operator who chose so. What the step did is then
-- no longer done: a later attempt makes its calls as new ones.
function undo.now(s, st)
  s.undoing = true
  local ok, e = xpcall(run_one, control.handler, s,
    { name = st.name, record = st.record, options = st.options })
  s.undoing = false
  if not ok then error(e, 0) end
  if passed_over(s, st.record) then return end
  s:record("operator", st.path, { again = true, undone = true, by = s.user })
end

-- Replays run(p) to the end of what was done: every undo function is met on the way. What
-- the replay ends with is of no matter: the journal says what must have been met.
local function rewind(s, definition, p)
  s.rewinding, s.met_steps = true, {}
  local ok, e = xpcall(definition.run, control.handler, p)
  s.rewinding = false
  if ok then return end
  e = errors.from(e)
  if e.kind == "cancelled" or control.of(e) == "interrupt" then error(e, 0) end
  return e
end

-- What a met step has to be undone with, or nil and why not.
local function undoable(met)
  local record, options = met.record, met.options
  if not options.undo then return nil end
  if record.status == "succeeded" or record.status == "skipped" and not record.unfinished then
    return true
  end
  if options.partial then return true end
  return nil, "the step did not finish, and its undo is for finished steps"
end

-- The undo functions to run, newest first.
local function plan(s, changed)
  local list = {}
  for path, met in pairs(s.met_steps) do
    if changed[path] and undoable(met) then table.insert(list, met) end
  end
  table.sort(list, function(a, b) return a.record.newest > b.record.newest end)
  return list
end

local function is_covered(s, path, undone)
  while path do
    if undone[path] then return true end
    path = path:match("^(.*)/[^/]*$")
    while path and not s.history.steps[path] do path = path:match("^(.*)/[^/]*$") end
  end
  return false
end

local function reason(s, record)
  if passed_over(s, record) then return "its undo was skipped by the operator" end
  local met = s.met_steps[record.path]
  local _, why = nil, nil
  if met then _, why = undoable(met) end
  if why then return why end
  if record.undo and not met then
    return "its undo was not found: the replay of the playbook did not come to this step"
  end
  return "no undo is defined for this step"
end

-- What is left to do by hand: a list of { step, call, why, doubt }.
local function left_by_hand(s, undone)
  local left = {}
  for path, record in pairs(s.history.steps) do
    if not is_undo(path) and record.undo ~= false and not is_covered(s, path, undone) then
      for _, call in ipairs(standing(record)) do
        table.insert(left, { step = path, call = call.intent.what or call.intent.name,
          seq = call.seq,
          name = call.intent.name, region = call.intent.region, why = reason(s, record),
          doubt = (not call.result or call.result.doubtful) and true or nil })
      end
    end
  end
  table.sort(left, function(a, b) return a.seq > b.seq end)
  for _, one in ipairs(left) do one.seq = nil end
  return left
end

-- Whether an undo that is on record was not found.
local function lost_one(s, changed)
  for path, record in pairs(changed) do
    if record.undo and not s.met_steps[path] then return true end
  end
  return false
end

local function note_left(s, left)
  for _, one in ipairs(left) do
    s:note(("not undone: step \"%s\": %s%s (%s)"):format(one.step, one.call,
      one.doubt and ", which may or may not have taken effect" or "", one.why))
  end
end

local function names_from(list, from)
  local names = {}
  for i = from, #list do table.insert(names, ("\"%s\""):format(list[i].record.path)) end
  return table.concat(names, ", ")
end

local function run_all(s, list)
  for i, met in ipairs(list) do
    local ok, e = xpcall(run_one, control.handler, s, met)
    if not ok then
      e = errors.from(e)
      if not control.of(e) and e.kind ~= "cancelled" then
        s:note("left to do by hand: " .. names_from(list, i))
      end
      error(e, 0)
    end
  end
end

-- The paths of what has been undone, in this rollback and by the operator before.
local function undone_paths(s, list)
  local undone, paths = {}, {}
  for _, met in ipairs(list) do
    if not passed_over(s, met.record) then
      undone[met.record.path] = true
      table.insert(paths, met.record.path)
    end
  end
  return undone, paths
end

--- The body of `drlua rollback`, and of `drlua resume` of a run in rollback.
function undo.run(s, definition, p)
  local changed = changed_steps(s)
  local stopped_by = rewind(s, definition, p)
  local list = plan(s, changed)
  s.undoing = true
  if #list == 0 then s:note("no step that changed something has an undo: nothing to roll back") end
  run_all(s, list)
  local undone, paths = undone_paths(s, list)
  local left = left_by_hand(s, undone)
  note_left(s, left)
  if stopped_by and not control.of(stopped_by) and lost_one(s, changed) then
    s:note("the replay of the playbook ended with: " .. tostring(stopped_by))
  end
  if definition.after_rollback then definition.after_rollback(p) end
  s:record("rollback_ended", "", { undone = paths, left = left })
  s.rolled_back, s.left_by_hand = true, left
end

--- A step that the replay has come to; results of one that finished.
function undo.met(s, st, past, finished, ...)
  s.met_steps[st.path] = { name = st.name, record = past, options = st.options,
    results = finished and table.pack(...) or nil }
end

return undo
