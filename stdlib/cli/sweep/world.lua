--- What a sweep compares: the form of the simulated world, and what was done to it.
local value = require "run.value"

local world = {}

local volatile = { elapsed = true, writers = true, LatestRestorableTime = true, time = true,
  -- Logs of what was asked for: asking twice for the same is seen in them, and changes nothing.
  events = true, changes = true }

-- A text that is another one in every run: an id, a time, an address with its port.
local function is_made_up(text)
  return text:find("%d%d%d%d") ~= nil or text:find("%d+%.%d+%.%d+%.%d+") ~= nil
    or text:find("%x%x%x%x%x%x%x%x%-%x%x%x%x%-") ~= nil
end

-- Counts, sizes and weights; larger ones are times and ids.
local LARGEST = 100000

--- The form of a state: names and statuses, without times, ids, ports and counts.
-- exact: small numbers count.
function world.form(v, exact)
  if type(v) == "number" then
    return exact and math.type(v) == "integer" and v < LARGEST and tostring(v) or "n"
  end
  if type(v) == "string" then return is_made_up(v) and "s" or v end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  for k, item in pairs(v) do
    if not volatile[k] then
      local name = math.type(k) and "" or tostring(k)
      local key = (is_made_up(name) or name:find("%x%x%x%x%x%x")) and "*" or name
      table.insert(parts, key .. "=" .. world.form(item, exact))
    end
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

--- What a rehearsal's end is compared by.
function world.fingerprint(s, plan)
  if plan.fingerprint then return value.encode(plan.fingerprint(s)) end
  return world.form(s.sim:inspect())
end

--- The form of what each service holds in each region: "ecs in us-west-2" -> text.
function world.places(s)
  local found = {}
  for service, accounts in pairs(s.sim:inspect()) do
    for _, regions in pairs(type(accounts) == "table" and accounts or {}) do
      for region, held in pairs(type(regions) == "table" and regions or {}) do
        found[("%s in %s"):format(service, region)] = world.form(held, true)
      end
    end
  end
  return found
end

-- Calls that change something and must not have happened more often than undisturbed.
local once = { "^Create", "^Start", "^Restore", "^Promote", "^Reboot", "^Delete", "^Run", "^Copy",
  "^Failover" }

local function only_once(operation)
  for _, pattern in ipairs(once) do if operation:find(pattern) then return true end end
  return false
end

--- How often each call that should happen once was carried out.
function world.done(s)
  local counts = {}
  for _, call in ipairs(s.sim.calls:list()) do
    if call.mutating and call.done and only_once(call.operation or "") then
      local key = ("%s.%s in %s"):format(call.service, call.operation, call.region)
      counts[key] = (counts[key] or 0) + 1
    end
  end
  return counts
end

--- The place of `places` that a call to a service in a region changes: a global service
-- has only one, whatever the client's region.
function world.place_of(places, service, region)
  local exact = ("%s in %s"):format(service, region)
  if places[exact] then return exact end
  for place in pairs(places) do
    if place:match("^(.*) in ") == service then return place end
  end
  return exact
end

--- The places of `places` in which something was changed: "ecs in us-west-2" -> true.
function world.touched(s, places)
  local found = {}
  for _, call in ipairs(s.sim.calls:list()) do
    if call.mutating and call.done then
      found[world.place_of(places, call.service, call.region)] = true
    end
  end
  return found
end

--- A call that happened more often than `wanted` allows, as a sentence, or nil.
function world.repeated(s, wanted)
  for key, n in pairs(world.done(s)) do
    if n > (wanted[key] or 0) then
      return ("%s happened %d times instead of %d"):format(key, n, wanted[key] or 0)
    end
  end
end

--- Where two texts begin to differ, or nil.
function world.differs(expected, actual)
  if expected == actual then return nil end
  local n = 1
  while expected:byte(n) == actual:byte(n) do n = n + 1 end
  return ("...%s instead of ...%s"):format(actual:sub(math.max(1, n - 60), n + 40),
    expected:sub(math.max(1, n - 60), n + 40))
end

return world
