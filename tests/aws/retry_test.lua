local t = require "harness"
local adaptive = require "aws.adaptive"
local breaker = require "aws.breaker"
local quota = require "aws.quota"
local retry = require "aws.retry"

local function most() return 1 end

t.test("delays double from 50 ms after a passing fault and from 1 s after a throttle", function()
  t.equal(retry.delay(1, "transient", "rds", nil, most), 0.05)
  t.equal(retry.delay(3, "transient", "rds", nil, most), 0.2)
  t.equal(retry.delay(1, "transient", "dynamodb", nil, most), 0.025)
  t.equal(retry.delay(1, "throttle", "dynamodb", nil, most), 1.0)
  t.equal(retry.delay(2, "throttle", "rds", nil, most), 2.0)
  t.equal(retry.delay(30, "throttle", "rds", nil, most), 20)
end)

t.test("x-amz-retry-after is honoured, up to 5 s more than our own delay", function()
  t.equal(retry.delay(1, "transient", "rds", "1500", most), 1.5)
  t.equal(retry.delay(1, "transient", "rds", "60000", most), 5.05)
  t.equal(retry.delay(1, "transient", "rds", "1", most), 0.05)
  t.equal(retry.delay(1, "transient", "rds", "soon", most), 0.05)
  t.equal(retry.delay(1, "transient", "rds", "-3", most), 0.05)
end)

t.test("three attempts, four for dynamodb, or what is configured", function()
  t.equal(quota.attempts("rds"), 3)
  t.equal(quota.attempts("dynamodb"), 4)
  t.equal(quota.attempts("dynamodb", 7), 7)
end)

t.test("failures are told apart", function()
  t.equal(retry.class({ code = "SlowDown", status = 503 }), "throttle")
  t.equal(retry.class({ status = 429 }), "throttle")
  t.equal(retry.class({ status = 429, code = "X", modeled = true }), nil)
  t.equal(retry.class({ status = 500, code = "InternalError" }), "transient")
  t.equal(retry.class({ status = 400, code = "ValidationError" }), nil)
  t.equal(retry.class({ status = 400, code = "IDPCommunicationError" }, "sts"), "transient")
  t.equal(retry.class({ status = 400, code = "M", modeled_retry = "throttling" }), "throttle")
  t.equal(retry.class { kind = "reset" }, "transient")
  t.equal(retry.class { kind = "cancelled" }, nil)
  t.ok(retry.harmless({ kind = "refused" }, "transient"))
  t.ok(not retry.harmless({ kind = "reset" }, "transient"))
  t.ok(not retry.harmless({ status = 500 }, "transient"))
  t.ok(retry.harmless({ status = 503 }, "throttle"))
end)

t.test("the quota ends retries, and successes give back", function()
  local budget = quota.new()
  local taken = 0
  while budget:acquire("transient") do taken = taken + 1 end
  t.equal(taken, 500 // 14)
  t.equal(budget.available, 10)
  t.equal(budget:acquire("throttle"), 5)
  budget:release()
  t.equal(budget.available, 6)
  budget:release(14)
  t.equal(budget.available, 20)
  for _ = 1, 1000 do budget:release() end
  t.equal(budget.available, 500)
end)

t.test("the adaptive limiter slows after a throttle and recovers", function()
  local now, limiter = 100, adaptive.new(100)
  for _ = 1, 200 do now = now + 0.01 limiter:answered(false, now) end
  t.equal(limiter:acquire(now), 0)
  limiter:answered(true, now)
  t.ok(limiter.enabled)
  local slowed = limiter.rate
  t.ok(slowed < 80 and slowed > 40, "70% of about 100 a second, got " .. slowed)
  local waited = 0
  for _ = 1, 200 do waited = math.max(waited, limiter:acquire(now)) end
  t.ok(waited > 0)
  for _ = 1, 2000 do now = now + 0.01 limiter:answered(false, now) end
  t.ok(limiter.rate > slowed)
end)

t.test("an open breaker fails calls until a probe gets an answer", function()
  local b = breaker.new()
  t.equal(b:admit(0), "closed")
  b:silent("timed out", 0)
  t.equal(b:admit(1), "open")
  t.equal(b.reason, "timed out")
  t.equal(b:admit(5), "probe")
  t.equal(b:admit(5.1), "open", "one probe at a time")
  b:silent("still nothing", 8, true)
  t.equal(b.reason, "timed out", "the first reason stays")
  t.equal(b:admit(17), "open", "the pause has doubled")
  t.equal(b:admit(18), "probe")
  b:answered()
  t.equal(b:admit(18), "closed")
end)

t.test("a breaker that opened stays so for late failures of calls sent before", function()
  local b = breaker.new()
  b:silent("one", 0)
  b:silent("two", 3)
  t.equal(b.reason, "one")
  t.equal(b.retry_at, 5)
end)
