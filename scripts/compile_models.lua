--- Compiles AWS's service models to one archive, which the build links into drlua,
-- and their documentation to another, which is installed beside it. Run by the first
-- stage of the build, a drlua without models.
--
-- Usage: drlua-stage1 script scripts/compile_models.lua BOTOCORE_DATA ARCHIVE DOCS
--
-- BOTOCORE_DATA is the `data` directory of the pinned botocore wheel; of each service
-- its newest version is taken.
local json = require "native.json"
local gzip = require "native.gzip"
local codec = require "native.model"
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
  local command = "find -L '" .. data
    .. "' -mindepth 3 -maxdepth 3 -name 'service-2.json*' | LC_ALL=C sort"
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

--- What documentation.lua reads: texts, and the way down to them.
local function texts_of(model)
  local texts = { text = model.documentation, operations = {}, shapes = {} }
  for name, op in pairs(model.operations) do
    texts.operations[name] = { text = op.documentation, input = op.input and op.input.shape,
      output = op.output and op.output.shape }
  end
  for name, shape in pairs(model.shapes) do
    local element = shape.member or shape.value
    local entry = { text = shape.documentation, enum = shape.enum, of = element and element.shape }
    if shape.members then
      entry.members = {}
      for key, ref in pairs(shape.members) do
        entry.members[key] = { text = ref.documentation, shape = ref.shape }
      end
    end
    texts.shapes[name] = entry
  end
  return codec.pack(texts, 6) -- read rarely, made at every build
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
  }), assert(texts_of(model))
end

local function archive(models)
  local names = {}
  for name in pairs(models) do names[#names + 1] = name end
  table.sort(names)
  -- The names stand together, so that a search touches few pages.
  local at = 8 + #names * 16
  local index, blobs = {}, {}
  local offset = at + #table.concat(names)
  for i, name in ipairs(names) do
    index[i] = string.pack("<I4I4I4I4", at, #name, offset, #models[name])
    blobs[i] = models[name]
    at, offset = at + #name, offset + #models[name]
  end
  return "DRMA" .. string.pack("<I4", #names) .. table.concat(index) .. table.concat(names)
    .. table.concat(blobs), #names
end

local function write(path, models)
  local bytes, count = archive(models)
  local file = assert(io.open(path .. ".new", "wb"))
  assert(file:write(bytes))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
  return #bytes, count
end

local data, target, docs = arg[1], arg[2], arg[3]
if not (data and target and docs) then
  io.stderr:write("usage: compile_models.lua BOTOCORE_DATA ARCHIVE DOCS\n")
  os.exit(2)
end
local models, texts = {}, {}
for service, directory in pairs(newest(data)) do
  local ok, model, text = pcall(compile, service, directory)
  if not ok then error(service .. ": " .. tostring(model), 0) end
  models[service], texts[service] = model, text
end
assert(next(models), "no service models under " .. data)
local docs_size = write(docs, texts)
local size, count = write(target, models)
print(("%d service models, %.1f MB; documentation %.1f MB"):format(count, size / 1e6,
  docs_size / 1e6))
