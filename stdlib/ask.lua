--- Asking the person at the terminal for a secret: a code of an MFA device, a passphrase.
--
-- What is typed is not shown. The loop goes on meanwhile, and a cancelled task takes the
-- question back. One question is asked at a time.
local errors = require "errors"
local task = require "task"

local ask = {}

local asker, current
local withdrawn = false

local function at_terminal(prompt)
  return task.await(require("native.terminal").secret(prompt))
end

--- Installs asker(prompt, type) in place of the bare terminal, or none for nil: a run's
-- screen takes its lines away meanwhile. type(prompt): what asks without it. Returns the
-- former one.
function ask.install(new)
  local former = asker
  asker = new
  return former
end

--- The text that a person types: or nil, a message and a kind. Raises kind "cancelled"
-- once questions are withdrawn.
function ask.secret(prompt)
  while current do task.sleep(0.05) end
  if withdrawn then errors.raise { kind = "cancelled", message = "cancelled" } end
  current = task.spawn(asker or at_terminal, prompt, at_terminal)
  local mine = current
  local result = table.pack(pcall(mine.wait, mine))
  current = nil
  if result[1] then return table.unpack(result, 2, result.n) end
  mine:cancel()
  error(result[2], 0)
end

--- Takes the question back, and asks none any more: the process is asked to end.
function ask.withdraw()
  withdrawn = true
  if current then current:cancel() end
end

return ask
