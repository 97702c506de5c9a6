--- The person at the terminal: questions and typed answers, while the run goes on.
local sys = require "native.sys"
local task = require "task"
local terminal = require "native.terminal"

local operator = {}
operator.__index = operator

--- The operator, when there is one: stdin and stderr are a terminal.
function operator.find(screen)
  if screen.json or not sys.isatty(0) or not sys.isatty(2) then return nil end
  return setmetatable({ screen = screen }, operator)
end

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

-- A typed line, or nil when none came within `seconds` (nil: waits for it).
local function line(self, text, seconds)
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
  if typed == nil then return "" , true end
  return typed:lower():match("^%s*(.-)%s*$")
end

-- Asks until the answer is one of `words` (word or its first letter).
local function choose(self, text, words, seconds)
  while true do
    local typed, closed = line(self, text, seconds)
    if typed == nil then return nil end
    for _, word in ipairs(words) do
      if typed == word or (#typed == 1 and typed == word:sub(1, 1) and word ~= "yes") then return word end
    end
    if closed then return words[#words] end
  end
end

--- Asks for an approval: "yes", "no", or nil when nothing was typed within `seconds`.
function operator:ask_approval(q, seconds)
  return choose(self, ("Type yes to go on, no to stop (\"%s\"):"):format(q.step), { "yes", "no" }, seconds)
end

function operator:wait_for_others(q)
  self.screen:say(("Waiting for another person: drlua approve %s \"%s\" from their own account."):format(q.run,
    q.path))
end

--- What to do after a failed step: "retry", "skip" and the reason, "undo", "stop".
function operator:ask_failure(st)
  local undo = st.options.undo and ", undo it" or ""
  local words = st.options.undo and { "retry", "skip", "undo", "stop" } or { "retry", "skip", "stop" }
  local answer = choose(self, ("\"%s\" failed: retry, skip%s, or stop?"):format(st.name, undo), words)
  if answer ~= "skip" then return answer end
  local reason
  repeat reason = line(self, "Why may it be skipped?") until reason ~= nil
  if reason == "" then return "stop" end
  return "skip", "skipped by the operator: " .. reason
end

--- Whether a call in doubt had its effect: "done" or "again".
function operator:ask_settled(st, what, intent)
  self.screen:say(("\"%s\": the run stopped while this call was under way, and it cannot be told whether it had its "
    .. "effect:\n  %s\n  token %s"):format(st.name, what, intent.token))
  return choose(self, "Look, then type done (it had its effect) or again (send it again):", { "done", "again" })
end

return operator
