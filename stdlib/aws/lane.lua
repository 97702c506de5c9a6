--- What all calls to one service in one region share: the budget of retries, the
-- breaker, and the pause that a throttle imposes.
local breaker = require "aws.breaker"
local quota = require "aws.quota"

local lane = {}

local lanes = {}

local Lane = {}
Lane.__index = Lane

--- The lane of a service, region and host; the same one for the same three.
function lane.of(service, region, host)
  local key = service .. "|" .. tostring(region) .. "|" .. host
  local found = lanes[key]
  if not found then
    found = setmetatable({ service = service, region = region, host = host, quota = quota.new(),
      breaker = breaker.new(), paused_until = 0 }, Lane)
    lanes[key] = found
  end
  return found
end

--- Forgets every lane (for tests).
function lane.reset()
  lanes = {}
end

--- Every lane, as a list: the state of the regions as this process has seen it.
function lane.list()
  local list = {}
  for _, each in pairs(lanes) do table.insert(list, each) end
  table.sort(list, function(a, b)
    return a.service .. "|" .. tostring(a.region) .. "|" .. a.host
      < b.service .. "|" .. tostring(b.region) .. "|" .. b.host
  end)
  return list
end

--- Seconds that a new call waits before it is sent: while others are throttled it
-- does not add to the load. Spread, so that the waiting do not all start at once.
function Lane:hold(mode, now, random)
  local wait = 0
  if now < self.paused_until then wait = (self.paused_until - now) * (1 + random() * 0.5) end
  if mode == "adaptive" then wait = math.max(wait, self:limit(now):acquire(now)) end
  return wait
end

--- The limiter of the adaptive mode.
function Lane:limit(now)
  if not self.limiter then self.limiter = require("aws.adaptive").new(now) end
  return self.limiter
end

--- A throttled answer: nobody sends for `delay` seconds.
function Lane:throttled(delay, now)
  self.paused_until = math.max(self.paused_until, now + delay)
end

return lane
