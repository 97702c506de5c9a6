--- Histories, played by the engine and by the model: where they differ, one is wrong.
local engine = require "model.engine"
local errors = require "errors"
local fs = require "native.fs"
local generate = require "model.generate"
local harness = require "harness"
local live = require "live"
local model = require "model.model"
local time = require "model.time"
local world = require "model.world"

local histories = {}

local function differ(what, theirs, ours)
  errors.raise { kind = "differ", what = what:gsub("%d.*", ""),
    message = ("%s: the engine has %s, the model %s"):format(what, harness.show(theirs),
      harness.show(ours)) }
end

-- What both were sent: the same calls in the same order, and equal tokens where the
-- model has equal ones.
local function compare_sendings(theirs, ours)
  local to_ours, to_theirs = {}, {}
  for i = 1, math.max(#theirs, #ours) do
    local a, b = theirs[i], ours[i]
    if not a or not b or a.id ~= b.id then
      differ(("sending %d"):format(i), a and a.id or "none", b and b.id or "none")
    end
    if (to_ours[a.token] or b.token) ~= b.token or (to_theirs[b.token] or a.token) ~= a.token then
      differ(("the token of sending %d, of %s"):format(i, a.id), a.token, b.token)
    end
    to_ours[a.token], to_theirs[b.token] = b.token, a.token
  end
end

local function compare_seen(theirs, ours, killed)
  for i = 1, math.max(#theirs, #ours) do
    -- A killed playbook may not have been told any more what the model's was.
    if killed and theirs[i] == nil then break end
    if theirs[i] ~= ours[i] then
      differ(("what the playbook saw, number %d"):format(i), theirs[i], ours[i])
    end
  end
end

local function compare_left(theirs, ours)
  local list = {}
  for i, one in ipairs(theirs) do list[i] = one.step .. " " .. one.call end
  table.sort(list)
  if harness.show(list) ~= harness.show(ours) then differ("what is left by hand", list, ours) end
end

-- What a session is to do, seen from what the former one left: nil at the history's end.
local function next_verb(plan, state)
  if not state.outcome then return "begin" end
  if state.outcome == "rolled back" or state.outcome == "partly rolled back" then return nil end
  if state.rolling_back then return "rollback" end
  if state.outcome == "succeeded" and plan.verb ~= "rollback" then return nil end
  return plan.verb
end

local function copy(t)
  local made = {}
  for k, v in pairs(t) do made[k] = v end
  return made
end

local function plan_of(plan, state, reference)
  local verb = next_verb(plan, state)
  if not verb then return nil end
  local how = { verb = verb, operator = plan.operator, kill = plan.kill and copy(plan.kill),
    given = {},
    rollback = verb == "rollback" or nil }
  if verb == "resume" and plan.from then how.from = reference.placed[plan.from] end
  local skip = verb == "resume" and plan.skip and reference.placed[plan.skip]
  if skip and not skip:find("^Undo: ") then how.skip = skip end
  if state.asked and plan.answers then
    local word = model.answer(reference.history, reference.world, { id = state.asked },
      reference.asked[state.asked])
    if word then
      how.given[state.asked], how.settle = word, { ("%s=%s"):format(state.key, word) }
    end
  end
  return how
end

-- One session of both. Returns false at the history's end.
local function play_session(plan, state, real, reference)
  local how = plan_of(plan, state, reference)
  if not how then return false end
  if plan.lose and state.outcome then
    real.world:lose(plan.lose)
    reference.world:lose(plan.lose)
  end
  local outcome, asked, death, details = real:session(how)
  how.death = death
  local ours, our_question = reference:session(how)
  local killed = outcome == "killed"
  -- Killed at an entry that the model does not know it may have asked once less.
  if killed then
    reference.asked, reference.chosen = copy(real.asked), copy(real.chosen)
  end
  compare_sendings(real.world.sendings, reference.world.sendings)
  compare_seen(real.seen, reference.seen, killed)
  real.seen, reference.seen = {}, {}
  if not killed and outcome ~= ours then
    differ("the outcome", ("%s (%s)"):format(outcome, tostring(details and details.message)),
      ("%s (%s)"):format(ours, tostring(our_question)))
  end
  if asked ~= our_question and outcome == "paused" then
    differ("the question", asked, our_question)
  end
  if outcome == "partly rolled back" then
    compare_left(real.run.session.left_by_hand, reference.left)
  end
  state.outcome, state.asked, state.key = outcome, asked, details and details.key
  state.rolling_back = how.rollback
  return true
end

local function play(history, directory, trace)
  local real = engine.new(history, world.new(history.outcomes), directory)
  local reference = model.new(history, world.new(history.outcomes))
  local state = { trace = trace }
  local first = history.sessions[1] or {}
  local sessions = { { operator = first.operator, kill = first.kill } }
  table.move(history.sessions, 1, #history.sessions, 2, sessions)
  for i, plan in ipairs(sessions) do
    if trace then trace(i, plan, state) end
    if not play_session(plan, state, real, reference) then break end
  end
end

--- Plays a history. trace: function(i, plan, state), called before each session, or nil.
-- Returns true, or nil and the error where engine and model differ.
function histories.play(history, trace)
  local path = live.directory()
  local ok, e = pcall(time.run, play, history, path, trace)
  fs.remove_tree(path)
  if ok then return true end
  return nil, errors.from(e)
end

--- The smallest history found that still fails in this way; tries: how many
-- are played at most.
function histories.shrink(history, tries, failure)
  local progress = true
  while progress do
    progress = false
    generate.smaller(history, function(smaller)
      if progress or tries <= 0 then return end
      tries = tries - 1
      local _, e = histories.play(smaller)
      if e and e.kind == failure.kind and e.what == failure.what then
        history, progress = smaller, true
      end
    end)
  end
  return history
end

return histories
