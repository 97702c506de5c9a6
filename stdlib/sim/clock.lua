--- The simulator's clock.
--
-- Timestamps that AWS clients and PostgreSQL see are real ones: signatures are
-- dated, rows bear now(), and a point-in-time restore goes to a second of the
-- real day. What is virtual is duration: a snapshot that takes AWS two minutes
-- takes 120 / speed seconds here. Transitions are scheduled in virtual seconds
-- since the start and fire in order; `advance` lets a test jump ahead.
local real = require "native.clock"
local task = require "task"

local clock = {}

local Clock = {}
Clock.__index = Clock

--- A clock on which `speed` virtual seconds pass in a real one.
function clock.new(speed)
  return setmetatable({ speed = speed, base = 0, since = real.monotonic(), timers = {},
    serial = 0 }, Clock)
end

--- Seconds since the epoch, as everybody else on this machine counts them.
function Clock.now() return real.now() end

--- Virtual seconds since the start.
function Clock:elapsed()
  return self.base + (real.monotonic() - self.since) * self.speed
end

local function sooner(a, b)
  if a.due ~= b.due then return a.due < b.due end
  return a.serial < b.serial
end

-- Sleeps, in a task of its own, until the first timer is due.
local function arm(self)
  if self.sleeper then self.sleeper:cancel() end
  self.sleeper = nil
  local first = self.timers[1]
  if not first or self.closed then return end
  self.sleeper = task.spawn(function()
    task.sleep(math.max(0, first.due - self:elapsed()) / self.speed)
    self.sleeper = nil
    self:fire()
  end)
end

--- Calls fn once `seconds` of virtual time have passed; returns a handle for
-- `forget`. fn must not wait.
function Clock:after(seconds, fn)
  self.serial = self.serial + 1
  local timer = { due = self:elapsed() + seconds, fn = fn, serial = self.serial }
  local at = #self.timers + 1
  while at > 1 and sooner(timer, self.timers[at - 1]) do at = at - 1 end
  table.insert(self.timers, at, timer)
  if at == 1 then arm(self) end
  return timer
end

--- Takes a timer back; harmless when it has fired.
function Clock:forget(timer)
  for i, other in ipairs(self.timers) do
    if other == timer then
      table.remove(self.timers, i)
      if i == 1 then arm(self) end
      return
    end
  end
end

--- Fires what is due.
function Clock:fire()
  local now = self:elapsed()
  while self.timers[1] and self.timers[1].due <= now + 1e-9 do
    table.remove(self.timers, 1).fn()
  end
  arm(self)
end

--- Suspends the current task for so many virtual seconds.
function Clock:sleep(seconds)
  if seconds <= 0 then return end
  local over, condition = false, task.condition()
  local timer = self:after(seconds, function()
    over = true
    condition.notify()
  end)
  local ok, e = pcall(function()
    while not over do condition.wait() end
  end)
  if ok then return end
  self:forget(timer)
  error(e, 0)
end

--- Jumps ahead by so many virtual seconds.
function Clock:advance(seconds)
  self.base = self.base + seconds
  self:fire()
end

--- Changes the speed from now on.
function Clock:set_speed(speed)
  self.base, self.since = self:elapsed(), real.monotonic()
  self.speed = speed
  arm(self)
end

--- Ends the sleeping task; nothing fires any more.
function Clock:close()
  self.closed = true
  self.timers = {}
  arm(self)
end

return clock
