--- Virtual time for histories: nothing sleeps, and every history takes the same course.
--
-- While it is on, timers are ours. Time passes only when every task waits: then it is
-- the moment of the earliest timer. Each reading of a clock is a microsecond later than
-- the one before, so that no two moments are the same.
local clock = require "native.clock"
local loop = require "native.loop"
local timer = require "native.timer"

local time = {}

local START = 1800000000 -- seconds since the epoch at which virtual time begins

local Timer = {}
Timer.__index = Timer
function Timer:done() return self.fired end
function Timer:result() return true end -- luacheck: ignore self
function Timer:cancel() self.timers[self] = nil end

local function earliest(timers)
  local first
  for one in pairs(timers) do
    local sooner = first and (one.at < first.at or one.at == first.at and one.number < first.number)
    if not first or sooner then first = one end
  end
  return first
end

--- Runs fn(...) in virtual time, and returns what it returns.
function time.run(fn, ...)
  local real = { now = clock.now, monotonic = clock.monotonic, boottime = clock.boottime,
    after = timer.after, wait = loop.wait, pending = loop.pending }
  local passed, timers, number = 0, {}, 0
  local function reading(base)
    return function()
      passed = passed + 1e-6
      return base + passed
    end
  end
  clock.now, clock.monotonic, clock.boottime = reading(START), reading(1000), reading(1000)
  function timer.after(seconds)
    number = number + 1
    local at = passed + math.max(0, seconds)
    local one = setmetatable({ at = at, number = number, timers = timers }, Timer)
    timers[one] = true
    return one
  end
  function loop.pending() return real.pending() + (next(timers) and 1 or 0) end
  function loop.wait(seconds)
    if real.pending() > 0 then return real.wait(seconds) end
    local first = seconds > 0 and earliest(timers)
    if not first then return {} end
    passed, first.fired, timers[first] = math.max(passed, first.at), true, nil
    return { first }
  end
  local result = table.pack(pcall(fn, ...))
  clock.now, clock.monotonic, clock.boottime = real.now, real.monotonic, real.boottime
  timer.after, loop.wait, loop.pending = real.after, real.wait, real.pending
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

return time
