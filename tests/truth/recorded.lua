--- Reads a folder of responses that were recorded from AWS: one JSON file a response, with
-- service, operation, status, request_id, headers, output, error and sequence.
local json = require "native.json"

local recorded = {}

local NEEDED = { service = "string", operation = "string", status = "number", output = "table" }

local function read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local bytes = file:read("a")
  file:close()
  if not bytes then return nil, "it cannot be read" end
  return bytes
end

local function absent(value) return value == nil or value == json.null end

-- Why a decoded file is no recording, or nil.
local function fault_of(value)
  if type(value) ~= "table" then return "it is not a JSON object" end
  if absent(value.output) then value.output = {} end
  for name, kind in pairs(NEEDED) do
    if type(value[name]) ~= kind then return ("its %s is no %s"):format(name, kind) end
  end
  for _, name in ipairs { "error", "headers", "sequence", "recorded_at", "request_id" } do
    if absent(value[name]) then value[name] = nil end
  end
  for _, name in ipairs { "error", "headers", "sequence" } do
    if value[name] and type(value[name]) ~= "table" then
      return ("its %s is no object"):format(name)
    end
  end
  if value.error then
    if type(value.error.code) ~= "string" then return "its error has no code" end
    if absent(value.error.message) then value.error.message = "" end
  end
end

local function lower_names(headers)
  local lower = {}
  for name, value in pairs(headers) do lower[name:lower()] = tostring(value) end
  return lower
end

local function recording(path)
  local bytes, why = read(path)
  if not bytes then return nil, why end
  local ok, value, problem = pcall(json.decode, bytes)
  if not ok or value == nil then
    return nil, "it is not JSON: " .. tostring(ok and problem or value)
  end
  local fault = fault_of(value)
  if fault then return nil, fault end
  value.headers, value.sequence = lower_names(value.headers or {}), value.sequence or {}
  value.path, value.name = path, path:match("([^/]+/[^/]+/[^/]+)%.json$") or path
  return value
end

--- The recordings below a folder, sorted by path, and what is none: a list of
-- { path, reason }. nil and a message when there is no such folder.
function recorded.read(folder)
  local quoted = "'" .. folder:gsub("'", "'\\''") .. "'"
  local pipe = assert(io.popen(("find -L %s -type f 2>/dev/null | LC_ALL=C sort"):format(quoted)))
  local list, skipped, files = {}, {}, 0
  for path in pipe:lines() do
    files = files + 1
    local value, why
    if path:find("%.json$") then value, why = recording(path) else why = "it is no JSON file" end
    if value then
      table.insert(list, value)
    else
      table.insert(skipped, { path = path, reason = why })
    end
  end
  pipe:close()
  if files == 0 then return nil, "there are no files in " .. folder end
  return list, skipped
end

--- Seconds since the epoch of an RFC 3339 text; nil when it is none. Written for the
-- recordings alone, so that the codec's own reader of times is not its own judge.
function recorded.seconds(text)
  local year, month, day, hour, minute, second, rest =
    tostring(text):match("^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)(.*)$")
  if not year then return nil end
  local y, m = math.tointeger(year), math.tointeger(month)
  if m <= 2 then y, m = y - 1, m + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5
    + math.tointeger(day) - 719469
  local fraction, sign, hours, minutes = rest:match("^(%.?%d*)([+-])(%d%d):?(%d%d)$")
  fraction = fraction or rest:match("^(%.?%d*)Z?$")
  if not fraction then return nil end
  local shift = sign and (hours * 3600 + minutes * 60) * (sign == "+" and 1 or -1) or 0
  local whole = days * 86400 + hour * 3600 + minute * 60 + second - shift
  return (math.tointeger(whole) or whole) + (tonumber("0" .. fraction) or 0)
end

--- Recordings in the order of each test of each service: a list of lists.
function recorded.sequences(list)
  local found, order = {}, {}
  for _, each in ipairs(list) do
    local key = each.service .. "/" .. tostring(each.sequence.test or each.path)
    if not found[key] then
      found[key] = {}
      table.insert(order, found[key])
    end
    table.insert(found[key], each)
  end
  for _, sequence in ipairs(order) do
    table.sort(sequence, function(a, b)
      local x, y = tonumber(a.sequence.number) or 0, tonumber(b.sequence.number) or 0
      if x ~= y then return x < y end
      return a.path < b.path
    end)
  end
  return order
end

return recorded
