--- The person at the terminal: questions and typed answers during a run.
local ask = require "ask"
local control = require "run.control"
local ending = require "run.ending"
local sys = require "native.sys"
local task = require "task"
local terminal = require "native.terminal"
local texts = require "text"

local operator = {}
operator.__index = operator

local function prompt(self, text)
  if self.asked == text then return end
  self.screen:erase()
  self.asked = text
  self.screen:ask(text)
end

local function answered(self)
  self.asked, self.screen.asking = nil, nil
end

--- The question needs no answer any more: somebody else gave it.
function operator:forget()
  if not self.asked then return end
  self.screen:erase()
  answered(self)
end

-- A secret is asked for below the live lines, which wait; so do other questions.
local function ask_secret(self, text, typed)
  while self.asked do task.sleep(0.1) end
  self.typing = true
  self.screen:erase()
  self.screen.asking = text
  local result = table.pack(pcall(typed, texts.printable_line(text) .. " "))
  self.screen.asking, self.typing = nil, nil
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

--- The operator, when there is one: stdin and stderr are a terminal.
function operator.find(screen)
  if screen.json or not sys.isatty(0) or not sys.isatty(2) then return nil end
  local self = setmetatable({ screen = screen }, operator)
  ask.install(function(text, typed) return ask_secret(self, text, typed) end)
  return self
end

-- The input has ended (Ctrl-D, a lost terminal): that is no answer, so the run pauses.
local function unanswered(step, path, reason, about)
  control.raise("pause",
    ("step \"%s\": %s, and the terminal was closed before anybody answered"):format(step, about),
    { reason = reason, step = step, path = path })
end

-- A typed line, or nil when none came within `seconds` (nil: waits for it); false when the
-- input has ended.
local function line(self, text, seconds)
  while self.typing do task.sleep(0.1) end
  prompt(self, text)
  if seconds then
    local ready = task.race {
      function() return task.await(terminal.readable(0)) end,
      function() task.sleep(seconds) return false end,
    }
    if not ready then return nil end
  else
    task.await(terminal.readable(0))
  end
  local typed = io.stdin:read("l")
  answered(self)
  return typed and typed:lower():match("^%s*(.-)%s*$") or false
end

-- Asks until the answer is one of `words` (word or its first letter). nil: none came
-- within `seconds`; false: none will come.
local function choose(self, text, words, seconds)
  while true do
    local typed = line(self, text, seconds)
    if not typed then return typed end
    for _, word in ipairs(words) do
      if typed == word or (#typed == 1 and typed == word:sub(1, 1) and word ~= "yes") then
        return word
      end
    end
  end
end

--- Asks for an approval: "yes", "no", or nil when nothing was typed within `seconds`.
-- Pauses the run when the input ends.
function operator:ask_approval(q, seconds)
  local answer = choose(self, ("Type yes to go on, no to stop (\"%s\"):"):format(q.step),
    { "yes", "no" }, seconds)
  if answer == false then unanswered(q.step, q.path, "approval", "it waits for approval") end
  return answer
end

--- Says that more people must agree.
function operator:wait_for_others(q)
  self.screen:say(("Waiting for another person: drlua approve %s %s from their own account.")
    :format(q.run, ending.quoted(q.path)))
end

--- Ends the run. No playbook can catch it: "stop" means that nothing more is done.
function operator.stop(_, st, e)
  control.raise("stop", ("step \"%s\" failed: %s; stopped by the operator"):format(st.name,
    e.message),
    { step = st.name, path = st.path, where = e.where, at = e.at })
end

--- What to do after a failed step: "retry", "skip" and the reason, or "undo". Raises when
-- the operator stops the run, and pauses it when the input ends.
function operator:ask_failure(st, e)
  local undo = st.options.undo and ", undo it" or ""
  local words = st.options.undo and { "retry", "skip", "undo", "stop" }
    or { "retry", "skip", "stop" }
  local answer = choose(self, ("\"%s\" failed: retry, skip%s, or stop?"):format(st.name, undo),
    words)
  local reason = answer == "skip" and line(self, "Why may it be skipped?")
  if answer == false or (answer == "skip" and reason == false) then
    unanswered(st.name, st.path, "operator", "it failed: " .. e.message)
  end
  if answer == "stop" or (answer == "skip" and reason == "") then self:stop(st, e) end
  if answer ~= "skip" then return answer end
  return "skip", "skipped by the operator: " .. reason
end

--- A question with yes or no.
function operator:confirm(text)
  return choose(self, text, { "yes", "no" })
end

--- Whether a call in doubt took effect: "done" or "again". Pauses the run when the input
-- ends.
function operator:ask_settled(st, what, intent)
  self.screen:say(("\"%s\": drlua cannot determine whether this call took effect:\n  %s\n  "
    .. "token %s"):format(st.name, what, intent.token))
  local answer = choose(self, "Look, then type done (it took effect) or again (send it again):",
    { "done", "again" })
  if answer == false then
    unanswered(st.name, st.path, "settle", "drlua cannot determine whether this call took effect: "
      .. what)
  end
  return answer
end

return operator
