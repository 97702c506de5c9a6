--- Instants: seconds since the epoch, UTC, as numbers. Durations are text such as
-- "90s", "30m", "4h", "7d", or seconds.
--
-- In a run use dr.now(): it follows the clock of a rehearsal and stays the same in a
-- replay.
local clock = require "native.clock"
local duration = require "duration"
local errors = require "errors"

local time = {}

local function seconds(value)
  local found, message = duration.parse(value)
  if not found then errors.misuse(3, "%s", message) end
  return found
end

--- The present instant.
time.now = clock.now

--- The instant of a text: RFC 3339 ("2026-11-21T07:40:00Z"), RFC 7231 ("Sun, 06 Nov
-- 1994 08:49:37 GMT"), or "20261121T074000Z"; a number is passed through. Raises kind
-- "invalid".
function time.parse(value)
  if type(value) == "number" then return value end
  local at, message = clock.parse(tostring(value))
  if not at then errors.raise { kind = "invalid", message = message } end
  return at
end

--- Text of an instant, in UTC: "rfc3339" (the default), "http" or "compact".
function time.format(at, style)
  return clock.format(at, style or "rfc3339")
end

--- The instant so much later: time.add(t, "4h").
function time.add(at, amount)
  return time.parse(at) + seconds(amount)
end

--- The instant so much earlier.
function time.subtract(at, amount)
  return time.parse(at) - seconds(amount)
end

--- Seconds from an instant until now; negative when it is still to come.
function time.since(at)
  return clock.now() - time.parse(at)
end

--- Seconds from now until an instant; negative when it is over.
function time.left(at)
  return time.parse(at) - clock.now()
end

--- Text of a number of seconds: "1m 20s".
time.duration = duration.format

--- Seconds of a duration ("90s"); misuse for anything else.
function time.seconds(value)
  return seconds(value)
end

return time
