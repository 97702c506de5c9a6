--- The types of parameters: what a text, or a value of an environment file, becomes.
--
-- Each is a function(given) that returns the value, or nil and what was expected.
local clock = require "native.clock"
local duration = require "duration"
local value = require "run.value"

local types = {}

function types.string(given)
  if type(given) == "string" then return given end
  if type(given) == "number" then return tostring(given) end
  return nil, "a text"
end

function types.int(given)
  local n = math.tointeger(given)
  if n == nil and type(given) == "string" and given:find("^%s*[+-]?%d+%s*$") then
    n = math.tointeger(tonumber(given))
  end
  if n then return n end
  return nil, "a whole number"
end

function types.number(given)
  local n = tonumber(given)
  if n and n == n and n ~= math.huge and n ~= -math.huge then return n end
  return nil, "a number"
end

local truths = { ["true"] = true, yes = true, on = true, ["1"] = true,
  ["false"] = false, no = false, off = false, ["0"] = false }

function types.bool(given)
  if type(given) == "boolean" then return given end
  local truth
  if type(given) == "string" then truth = truths[given:lower()] end
  if truth ~= nil then return truth end
  return nil, "yes or no"
end

function types.duration(given)
  local seconds = duration.parse(given)
  if seconds == nil and type(given) == "string" and tonumber(given) then
    seconds = duration.parse(tonumber(given))
  end
  if seconds then return seconds end
  return nil, 'a duration such as "90s", "30m", "4h" or "7d"'
end

-- A time needs its zone: a local clock is not UTC. Seconds since the epoch may have a
-- fraction, as AWS's timestamps have in Lua.
function types.time(given)
  if type(given) == "string" then
    local at = clock.parse(given)
    if at then return at end
    given = given:find("^%s*%d%d%d%d%d%d%d%d%d+%.?%d*%s*$") and tonumber(given)
  end
  if type(given) == "number" and given >= 0 and given < math.huge then return given end
  return nil, "a time with its zone, such as 2026-11-21T03:10:00Z, or seconds since the epoch"
end

function types.region(given)
  if type(given) == "string" and given:find("^%l%l%l?%-[%l-]+%-%d+$") then return given end
  return nil, "an AWS region such as us-west-2"
end

-- AWS's own resources have a name for the account: arn:aws:iam::aws:policy/ReadOnlyAccess.
function types.arn(given)
  if type(given) == "string" and given:find("^arn:[%w-]+:[%w-]+:[%w-]*:[%w-]*:.+$") then
    return given
  end
  return nil, "an ARN (arn:aws:service:region:account:resource)"
end

function types.url(given)
  if type(given) == "string" and given:find("^%a[%w+.-]*://[^%s]+$") then return given end
  return nil, "a URL (https://...)"
end

types.enum = types.string

function types.list(given)
  if type(given) == "table" then return given end
  if type(given) ~= "string" then return nil, "a list" end
  if given:find("^%s*[%[{]") then
    local ok, list = pcall(value.decode, given)
    if ok and type(list) == "table" then return list end
    return nil, "a list: a,b,c or JSON"
  end
  local list = {}
  for item in given:gmatch("[^,]+") do table.insert(list, (item:match("^%s*(.-)%s*$"))) end
  return list
end

return types
