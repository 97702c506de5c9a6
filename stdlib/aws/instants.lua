--- The time that calls are signed with, and that credentials run out by.
--
-- The machine's real clock is read once. From then on time passes by the clock that
-- nobody sets and that goes on while the machine sleeps: a real clock that jumps
-- neither spoils a signature nor ends a set of credentials. By how much that one
-- reading was wrong, AWS tells with the Date of a refusal; it is the same for every
-- service, so it is kept once, as `skew`.
local clock = require "native.clock"
local task = require "task"

local instants = { skew = 0, monotonic = clock.monotonic, sleep = task.sleep, random = math.random,
  parse = clock.parse }

local TOLERANCE = 240 -- seconds; AWS's is 300 and more

local real, boot = clock.now(), clock.boottime()

--- Seconds since the epoch, as this machine has them.
function instants.now()
  return real + (clock.boottime() - boot)
end

--- Seconds since the epoch, as AWS has them, as far as is known. clock: a table like
-- this one; default: this one.
function instants.of(c)
  c = c or instants
  return c.now() + (c.skew or 0)
end

--- Whole seconds of it, in the manner of os.time.
function instants.seconds() return math.floor(instants.of()) end

--- A request signed with the correction `used` was refused, in an answer of this Date.
-- True when the correction was the reason: then the clock has the right one now,
-- though another call may have brought it.
function instants.correct(c, date, used)
  local at = date and c.parse(date)
  local skew = at and at - c.now()
  if not skew or math.abs(skew - used) < TOLERANCE then return false end
  c.skew = skew
  return true
end

return instants
