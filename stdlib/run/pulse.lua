--- Keeps a run alive while its playbook computes: signals, timeouts and other branches get
-- their turn though the code that runs never waits.
--
-- Only code of a playbook is interrupted: there any call may wait as well, while the
-- library counts on its tasks to change places where it waits.
local control = require "run.control"
local native = require "native.pulse"
local task = require "task"

local pulse = {}

local SECONDS = 0.1 -- of processor time

local function beat(source)
  if not control.is_playbook(source) then return false end
  task.breathe()
  return true
end

--- Starts it for this process; again is fine.
function pulse.start()
  native.start(SECONDS, beat)
end

return pulse
