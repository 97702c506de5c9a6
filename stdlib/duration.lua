--- Durations: "90s" "30m" "4h" "7d" "1h30m" to seconds and back.
local duration = {}

local units = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }

--- Seconds of a duration: a text such as "90s" or "1h 30m", or a number of
-- seconds, not negative. nil and a sentence for anything else.
function duration.parse(value)
  if type(value) == "number" then
    if value >= 0 and value < math.huge then return value end
    return nil, ("%s is no duration"):format(tostring(value))
  end
  local wrong = ('%s is no duration: write "90s", "30m", "4h" or "7d"'):format(
    type(value) == "string" and '"' .. value .. '"' or "a " .. type(value))
  if type(value) ~= "string" then return nil, wrong end
  local total, rest = 0, value:gsub("%s+", "")
  if rest == "" then return nil, wrong end
  while rest ~= "" do
    local number, unit, after = rest:match("^(%d+%.?%d*)(%a+)(.*)$")
    if not number or not units[unit] then return nil, wrong end
    total, rest = total + tonumber(number) * units[unit], after
  end
  return math.tointeger(total) or total
end

--- Text of seconds, in the two greatest units: "4h", "1m 20s", "0.4s".
function duration.format(seconds)
  if seconds < 0 then return "-" .. duration.format(-seconds) end
  if seconds < 10 and seconds ~= math.floor(seconds) then
    local text = ("%.1fs"):format(seconds)
    if text ~= "10.0s" then return (text:gsub("%.0s$", "s")) end
  end
  local left = math.floor(seconds + 0.5)
  if left < 60 then return left .. "s" end
  local parts = {}
  for _, unit in ipairs { { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 } } do
    local n = left // unit[2]
    left = left % unit[2]
    if n > 0 then table.insert(parts, n .. unit[1]) end
    if #parts == 2 or (#parts == 1 and n == 0) then break end
  end
  return table.concat(parts, " ")
end

return duration
