--- dr.wait_until, dr.sleep and dr.now: the words about time. What they ended with or showed is
-- kept where the steps that follow depend on it. Methods of a session.
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local kept = require "run.kept"
local reads = require "run.reads"
local scope = require "run.scope"
local value = require "run.value"

local waits = {}

-- What code here saw before under this key, as far as it still holds.
local function saw(self, here, key)
  local st = here:innermost_step()
  return self.history:saw(here.path, key, st and st.attempt, self.rewinding)
end

local function keep_seen(self, here, key, values)
  if pcall(value.encode, values) then
    self:record("seen", here.path, { key = key, values = values })
  end
end

-- Outside of steps, and in a step with steps inside, what a wait ended with is kept: the
-- steps that follow depend on it, and a replay does not wait again.
local function keep_wait(self, here, st, key, result)
  local values = value.pack(table.unpack(result, 1, result.n))
  if st and st.record and not st.record.children then
    return reads.keep_wait(st, here.path, key, values)
  end
  if not st or st.record then keep_seen(self, here, key, values) end
end

local function give_up(what, timeout, progress)
  errors.raise { kind = "timeout",
    message = ("%s: not so within %s%s"):format(what, duration.format(timeout),
    progress and " (last seen: " .. tostring(progress) .. ")" or "") }
end

-- Asks fn until it answers something true; returns what it answered, packed.
local function poll(self, st, what, options, fn, sc)
  local every, timeout = options.every, options.timeout
  local began, pace, progress = self:now(), nil, nil
  while true do
    self:go_on()
    local result = table.pack(sc:call(fn, control.handler))
    if not result[1] then error(result[2], 0) end
    if result[2] then
      if st then st.waited = (st.waited or 0) + (self:now() - began) end
      return table.pack(table.unpack(result, 2, result.n))
    end
    if result[3] ~= progress or not pace then
      progress = result[3]
      self:waiting(st, what, progress and tostring(progress))
    end
    if timeout and self:now() - began >= timeout then give_up(what, timeout, progress) end
    -- Quick at first: much is done before one full period has passed.
    pace = math.min((pace or 0.125) * 2, every)
    self:sleep_until(math.min(self:now() + pace, timeout and began + timeout or math.huge))
  end
end

--- Waits until fn() answers something true, and returns its values.
function waits:wait_until(what, options, fn)
  local here = scope.current()
  local st, key = here:innermost_step(), here:unique("wait")
  local seen = (not st or self.rewinding or (st.record and st.record.children))
    and saw(self, here, key)
  if seen then return value.unpack(self.secrets:reveal(kept.copy(seen.values))) end
  if self.rewinding then
    control.raise("rewound", "the replay has come to the end of what was done")
  end
  local sc = scope.new(self, "poll", here:join(key), here)
  local result = table.pack(xpcall(poll, control.handler, self, st, what, options, fn, sc))
  self:waiting(st, nil)
  if not result[1] then error(result[2], 0) end
  keep_wait(self, here, st, key, result[2])
  return table.unpack(result[2], 1, result[2].n)
end

--- Waits for so many seconds; a replay after it was waited out does not wait again.
function waits:sleep(seconds)
  local here = scope.current()
  local key = here:unique("sleep")
  local seen = saw(self, here, key)
  if self.rewinding then
    if seen then return end
    control.raise("rewound", "the replay has come to the end of what was done")
  end
  local until_time = seen and seen.values or self:now() + seconds
  if not seen then self:record("seen", here.path, { key = key, values = until_time }) end
  local st = here:innermost_step()
  self:waiting(st, duration.format(seconds) .. " to pass")
  self:sleep_until(until_time)
  self:waiting(st, nil)
end

--- The time, the same again on every replay.
function waits:time()
  local here = scope.current()
  local key = here:unique("now")
  local seen = saw(self, here, key)
  if seen then return seen.values end
  local now = self:now()
  -- A probe, or a loop that polls, looks at the clock to see time pass.
  if not here:in_probe() then self:record("seen", here.path, { key = key, values = now }) end
  return now
end

return waits
