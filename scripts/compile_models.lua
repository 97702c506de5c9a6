--- Compiles AWS's service models to one archive, which the build links into drlua.
-- Run by the first stage of the build, a drlua without models.
--
-- Usage: drlua-stage1 script scripts/compile_models.lua BOTOCORE_DATA ARCHIVE
--
-- BOTOCORE_DATA is the `data` directory of the pinned botocore wheel; of each service
-- its newest version is taken.
local json = require "native.json"
local gzip = require "native.gzip"
local compiler = require "aws.compiler"

local LIMIT = 512 * 1024 * 1024

local function read(path)
  local file = io.open(path, "rb")
  if not file then return end
  local data = file:read("a")
  file:close()
  return data
end

--- The decoded file, plain or compressed; nil when there is none.
local function load(path)
  local data = read(path .. ".gz")
  if data then
    data = assert(gzip.decompress(data, LIMIT))
  else
    data = read(path)
  end
  if not data then return end
  local value, why = json.decode(data)
  if value == nil then error(path .. ": " .. why, 0) end
  return value
end

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  assert(pipe:close())
  return lines
end

--- Service -> directory of its newest version.
local function newest(data)
  local found = {}
  local command = "find -L '" .. data .. "' -mindepth 3 -maxdepth 3 -name 'service-2.json*' | LC_ALL=C sort"
  for _, path in ipairs(lines_of(command)) do
    local directory, service = path:match("^(.*/([^/]+)/[^/]+)/service%-2%.json[.gz]*$")
    if service then found[service] = directory end
  end
  return found
end

--- What botocore's own files add to AWS's ("sdk extras").
local function merge(into, extra)
  for key, value in pairs(extra) do
    if type(value) == "table" and type(into[key]) == "table" then
      merge(into[key], value)
    else
      into[key] = value
    end
  end
end

local function with_extras(directory, name)
  local value = load(directory .. "/" .. name .. ".json")
  local extras = load(directory .. "/" .. name .. ".sdk-extras.json")
  if value and extras and extras.merge then merge(value, extras.merge) end
  return value
end

local function compile(service, directory)
  local model = with_extras(directory, "service-2")
  local waiters = with_extras(directory, "waiters-2")
  local paginators = with_extras(directory, "paginators-1")
  return compiler.compile(model, {
    service = service,
    waiters = waiters and waiters.waiters,
    paginators = paginators and paginators.pagination,
    endpoint_rules = load(directory .. "/endpoint-rule-set-1.json"),
  })
end

local function archive(models)
  local names = {}
  for name in pairs(models) do names[#names + 1] = name end
  table.sort(names)
  local at = 8 + #names * 16
  local index, blobs = {}, {}
  for i, name in ipairs(names) do
    local offset = at + #name
    index[i] = string.pack("<I4I4I4I4", at, #name, offset, #models[name])
    blobs[i] = name .. models[name]
    at = offset + #models[name]
  end
  return "DRMA" .. string.pack("<I4", #names) .. table.concat(index) .. table.concat(blobs), #names
end

local data, target = arg[1], arg[2]
if not (data and target) then
  io.stderr:write("usage: compile_models.lua BOTOCORE_DATA ARCHIVE\n")
  os.exit(2)
end
local models = {}
for service, directory in pairs(newest(data)) do
  local ok, model = pcall(compile, service, directory)
  if not ok then error(service .. ": " .. tostring(model), 0) end
  models[service] = model
end
local bytes, count = archive(models)
assert(count > 0, "no service models under " .. data)
local file = assert(io.open(target .. ".new", "wb"))
assert(file:write(bytes))
assert(file:close())
assert(os.rename(target .. ".new", target))
print(("%d service models, %.1f MB"):format(count, #bytes / 1e6))
