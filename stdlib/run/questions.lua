--- What a run asks its operator, or pauses for: what to do after a failure, whether a call
-- in doubt took effect, whether an edited playbook is meant. Methods of a session.
local control = require "run.control"
local task = require "task"
local undo = require "run.undo"

local questions = {}

--- What to do after a failed step: "stop" unless a person at the terminal chooses.
function questions:choose_after_failure(st, e)
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
  local list, under_way = {}, {}
  for flight in pairs(self.inflight) do under_way[flight.token or ""] = true end
  for _, doubt in ipairs(self.history:doubts()) do
    local call = doubt.call
    if call.key ~= key and not under_way[call.intent.token] and not self.answers[call.key] then
      table.insert(list, ("%s (%s)"):format(doubt.call.intent.what or doubt.call.intent.name,
        settle_option(doubt.call)))
    end
  end
  return #list > 0 and (". Also without a response: " .. table.concat(list, "; ")) or ""
end

--- Asks whether a call in doubt took effect: "done" or "again". An answer is for one call,
-- and used once.
function questions:ask_settled(st, e, intent)
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
function questions:confirm_changes(st, unvisited)
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
function questions:preview(st)
  if not self.previewer then return nil end
  local ok, changes = pcall(task.timeout, 20, self.previewer, self, st.path)
  return ok and changes and #changes > 0 and changes or nil
end

return questions
