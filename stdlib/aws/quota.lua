--- The budget of retries: 500, from which a retry takes 14 and a throttled one 5, so that
-- retries cannot multiply the load on a service that is down; and the number of
-- attempts of one call. Figures as all AWS SDKs move to in 2026.
local quota = {}

local QUOTA, COST, THROTTLE_COST = 500, 14, 5

--- Attempts that a call may use. configured: max_attempts of the settings, or nil.
function quota.attempts(service, configured)
  if configured then return configured end
  return (service == "dynamodb" or service == "dynamodbstreams") and 4 or 3
end

local Quota = {}
Quota.__index = Quota

--- The budget of retries, shared by all calls to a service in a region.
function quota.new()
  return setmetatable({ available = QUOTA }, Quota)
end

--- Takes the cost of a retry; the amount taken, or nil when there is too little.
function Quota:acquire(class)
  local cost = class == "throttle" and THROTTLE_COST or COST
  if cost > self.available then return nil end
  self.available = self.available - cost
  return cost
end

--- Gives back after a success: what the last retry took, or 1 without any.
function Quota:release(amount)
  if self.available < QUOTA then
    self.available = math.min(QUOTA, self.available + (amount or 1))
  end
end

return quota
