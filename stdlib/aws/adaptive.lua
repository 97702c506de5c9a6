--- The adaptive mode: sends at a rate that throttled answers lower and successes
-- raise again, by CUBIC, as the SDKs' adaptive retry mode does.
local adaptive = {}

local SMOOTHING, BUCKET = 0.8, 0.5
local SCALE, BETA = 0.4, 0.7
local MIN_RATE = 0.5

local Limiter = {}
Limiter.__index = Limiter

local function zero_point(w_max)
  return ((w_max * (1 - BETA)) / SCALE) ^ (1 / 3)
end

--- A limiter; now: seconds at its start.
function adaptive.new(now)
  return setmetatable({ enabled = false, measured = 0, count = 0, bucket = math.floor(now),
    rate = MIN_RATE, capacity = 1, tokens = 0, filled = now, w_max = 0, k = 0, failed = now },
    Limiter)
end

function Limiter:fill(now)
  if now > self.filled then
    self.tokens = math.min(self.capacity, self.tokens + (now - self.filled) * self.rate)
    self.filled = now
  end
end

--- Seconds that a call must wait before it is sent (0: none). Takes its token.
function Limiter:acquire(now)
  if not self.enabled then return 0 end
  self:fill(now)
  self.tokens = self.tokens - 1
  if self.tokens >= 0 then return 0 end
  return -self.tokens / self.rate
end

local function measure(self, now)
  local bucket = math.floor(now / BUCKET) * BUCKET
  self.count = self.count + 1
  if bucket > self.bucket then
    self.measured = self.count / (bucket - self.bucket) * SMOOTHING + self.measured
      * (1 - SMOOTHING)
    self.count, self.bucket = 0, bucket
  end
end

local function set_rate(self, rate, now)
  self:fill(now)
  self.rate = math.max(rate, MIN_RATE)
  self.capacity = math.max(rate, 1)
  self.tokens = math.min(self.tokens, self.capacity)
end

--- Takes in an answer: throttled or not.
function Limiter:answered(throttled, now)
  measure(self, now)
  local rate
  if throttled then
    local current = self.enabled and math.min(self.measured, self.rate) or self.measured
    self.w_max, self.failed = current, now
    self.k = zero_point(current)
    rate = current * BETA
    self.enabled = true
  else
    rate = SCALE * (now - self.failed - self.k) ^ 3 + self.w_max
  end
  set_rate(self, math.min(rate, 2 * self.measured), now)
end

return adaptive
