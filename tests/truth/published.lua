--- AWS's published models as they are (the JSON of botocore's wheel, which the build
-- unpacks): what the writer of wire forms goes by, past drlua's own compiled form.
local gzip = require "native.gzip"
local json = require "native.json"

local published = {}

local DATA = "build/botocore/data"
local LIMIT = 512 * 1024 * 1024

local function newest(service)
  if not service:find("^[%w-]+$") then return nil end
  local pipe = assert(io.popen(
    ("ls -d '%s/%s'/*/service-2.json* 2>/dev/null | LC_ALL=C sort"):format(DATA, service)))
  local last
  for path in pipe:lines() do
    if path:find("/service%-2%.json[.gz]*$") then last = path end
  end
  pipe:close()
  return last
end

local known = {}

--- The model of a service, by its name in the models ("rds"): { metadata, operations,
-- shapes }; nil when AWS has none of that name.
function published.open(service)
  if known[service] ~= nil then return known[service] or nil end
  local path = newest(service)
  known[service] = false
  if not path then return nil end
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("a")
  file:close()
  if path:find("%.gz$") then bytes = assert(gzip.decompress(bytes, LIMIT)) end
  known[service] = assert(json.decode(bytes))
  return known[service]
end

return published
