--- Keeps a set of credentials fresh over hours.
--
-- From 15 minutes before its end a set is renewed in a task of its own while callers
-- go on with it; from 10 minutes before, callers wait for the renewal. (Of a set that
-- lives less than an hour: in the last third, and the last sixth, of its life.) When the
-- source is down the set serves on until it ends (past its end, when AWS is known to
-- accept it longer: an EC2 instance's), and the source is asked again every minute. One
-- renewal runs at a time, whatever the number of callers. A set that the source gave
-- just now although it ended before that is used too: our clock may be the one that is
-- wrong, and AWS says so at the first call.
local errors = require "errors"
local instants = require "aws.instants"
local task = require "task"

local provider = {}

local ADVISORY, MANDATORY = 900, 600 -- seconds before the end
local PAUSE = 60                     -- seconds between attempts while the source is down

local Provider = {}
Provider.__index = Provider

--- Makes a provider. fetch: function() -> set, raises; now: function() -> seconds.
function provider.new(options)
  return setmetatable({ fetch = options.fetch, now = options.now or instants.seconds,
    next_attempt = 0 }, Provider)
end

local function fetch(self)
  local ok, result = pcall(self.fetch)
  if ok then
    local life = result.expires and result.expires - self.now() or math.huge
    self.advisory, self.mandatory = math.min(ADVISORY, life / 3), math.min(MANDATORY, life / 6)
    self.disputed = life <= 0
    self.set, self.problem, self.next_attempt = result, nil, 0
  else
    self.problem, self.next_attempt = errors.from(result), self.now() + PAUSE
  end
end

--- Starts the renewal unless one runs; returns its task.
local function renewal(self)
  if not self.running then
    self.running = task.spawn(function()
      local ok, e = pcall(fetch, self)
      self.running = nil
      if not ok then error(e, 0) end
    end)
  end
  return self.running
end

local function usable(self)
  local set = self.set
  return set and (not set.expires or set.outlives or self.disputed or self.now() < set.expires)
end

--- The set to use now; may wait for its renewal. Raises the source's error when
-- there is no set that still serves.
function Provider:get()
  local set, now = self.set, self.now()
  local left = set and (set.expires and set.expires - now or math.huge) or -math.huge
  if set and left > self.advisory then return set end
  if now >= self.next_attempt or not usable(self) then
    local running = renewal(self)
    if not set or left <= self.mandatory then running:wait() end
  end
  if usable(self) then return self.set end
  error(self.problem or errors.new {
    kind = "credentials",
    message = "the credentials expired, and their source gives none that are fresh",
  }, 0)
end

--- For when AWS says that the set `used` has run out, whatever its end was said to
-- be: fetches another one, unless that was done meanwhile. True when there is
-- another one now; raises the source's error.
function Provider:renew(used)
  if self.set and self.set ~= used then return true end
  renewal(self):wait()
  if self.problem then error(self.problem, 0) end
  return self.set.access_key_id ~= used.access_key_id
    or self.set.session_token ~= used.session_token
end

--- What went wrong at the last renewal while the old set serves on; nil when nothing.
function Provider:trouble()
  return self.problem
end

return provider
