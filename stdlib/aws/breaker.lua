--- The circuit breaker of one service in one region: a silent region costs one
-- deadline, not one per call.
--
-- Closed, it lets every call through. A call that ended without any answer opens it,
-- with the reason. Open, it fails calls at once with that reason; when its pause is
-- over it lets one call through as a probe (short, not repeated) and goes on failing
-- the others meanwhile. Any answer at all, even an error, closes it. A probe without
-- an answer doubles the pause, up to a minute.
local breaker = {}

local FIRST_PAUSE, LONGEST_PAUSE = 5, 60

local Breaker = {}
Breaker.__index = Breaker

--- A closed breaker.
function breaker.new()
  return setmetatable({}, Breaker)
end

--- May a call go out at `now` (monotonic seconds)? "closed", "probe" or "open".
function Breaker:admit(now)
  if not self.reason then return "closed" end
  if self.probing or now < self.retry_at then return "open" end
  self.probing = true
  return "probe"
end

--- An answer came: the region lives.
function Breaker:answered()
  if self.reason then self.reason, self.pause, self.probing, self.since = nil, nil, nil, nil end
end

--- A call ended without an answer, for this reason (an error's message).
function Breaker:silent(reason, now, was_probe)
  if self.reason and not was_probe then return end
  self.pause = self.pause and math.min(self.pause * 2, LONGEST_PAUSE) or FIRST_PAUSE
  self.reason = self.reason or reason
  self.since = self.since or now
  self.retry_at = now + self.pause
  self.probing = nil
end

--- A probe ended without telling anything (it was cancelled).
function Breaker:abandon()
  self.probing = nil
end

return breaker
