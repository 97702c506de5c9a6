--- What is on record of steps, gone through again: their results handed back, an edited
-- playbook noticed, and under a rollback the undo functions met.
local control = require "run.control"
local errors = require "errors"
local history = require "run.history"
local scope = require "run.scope"
local value = require "run.value"

local replay = {}

--- What is on record of a step that has ended: true and its values; else false.
function replay.ended(s, past)
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

--- The record of the step that the playbook has come to, or nil. Raises when the run had
-- another step here.
function replay.visit(s, st)
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

--- A step under a rollback's replay: what it handed back, or the end of what was done.
function replay.run(s, st, past)
  if not past or not past.name then come_to_end() end
  local back = table.pack(replay.ended(s, past))
  s:met(st, past, past.status ~= "failed" and not past.unfinished and back[1],
    table.unpack(back, 2, back.n))
  if past.children or not back[1] and st.options.partial then replay_body(s, st, past) end
  if back[1] then return table.unpack(back, 2, back.n) end
  if past.status == "failed" then error(errors.from(history.results(past).error), 0) end
  come_to_end()
end

return replay
