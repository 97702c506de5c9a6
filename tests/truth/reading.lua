--- Whether the client reads a recorded response as it was recorded: the wire form, written
-- by wire.lua, through the client's codec and its list of services' peculiarities.
local json = require "native.json"
local model = require "aws.model"
local published = require "published"
local quirks = require "aws.quirks"
local recorded = require "recorded"
local wire = require "wire"

local reading = {}

local DOCUMENTS = { PolicyDocument = true, AssumeRolePolicyDocument = true, Document = true }

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local ok, text = pcall(json.encode, value, { sort = true })
  return ok and text or tostring(value)
end

local Reader = {}
Reader.__index = Reader

function Reader:fault(path, ...)
  table.insert(self.faults, path .. ": " .. string.format(...))
end

-- A policy of IAM travels percent-encoded; a recording has it as text or decoded. Other
-- texts that are JSON were decoded by some recorders, too.
local function document(value)
  if type(value) == "table" then return value end
  local text = value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  local ok, decoded = pcall(json.decode, text)
  return ok and decoded or text
end

local function alike(want, got)
  if type(want) ~= "table" or type(got) ~= "table" then return want == got end
  for key, value in pairs(want) do
    if not alike(value, got[key]) then return false end
  end
  for key in pairs(got) do
    if want[key] == nil then return false end
  end
  return true
end

local compare = {}

function Reader:compare(path, ref, want, got)
  local shape = self.shapes[ref.shape]
  if want == json.null then want = nil end
  if ref.location == "statusCode" then want = self.status end
  if want == nil or got == nil then
    local bound = ref.location == "headers" and next(want or got or {}) == nil
    if want ~= got and not bound then self:fault(path, "%s, not %s", show(got), show(want)) end
    return
  end
  return (compare[shape.type] or compare.scalar)(self, path, shape, want, got)
end

function compare.structure(self, path, shape, want, got)
  if shape.document then
    if not alike(want, got) then self:fault(path, "%s, not %s", show(got), show(want)) end
    return
  end
  if type(got) ~= "table" then return self:fault(path, "%s is no structure", show(got)) end
  for name in pairs(want) do
    if not shape.members[name] then self.unknown[path .. "." .. name] = true end
  end
  for name, ref in pairs(shape.members) do
    self:compare(path .. "." .. name, ref, want[name], got[name])
  end
  for name in pairs(got) do
    if not shape.members[name] then self:fault(path .. "." .. name, "no member of AWS's model") end
  end
end

function compare.list(self, path, shape, want, got)
  if type(got) ~= "table" then return self:fault(path, "%s is no list", show(got)) end
  if #want ~= #got then self:fault(path, "%d elements, not %d", #got, #want) end
  for i = 1, math.min(#want, #got) do
    self:compare(("%s[%d]"):format(path, i), shape.member, want[i], got[i])
  end
end

function compare.map(self, path, shape, want, got)
  if type(got) ~= "table" then return self:fault(path, "%s is no map", show(got)) end
  for key, value in pairs(want) do
    self:compare(path .. "." .. key, shape.value, value, got[key])
  end
  for key in pairs(got) do
    if want[key] == nil then self:fault(path .. "." .. key, "it is not in the recording") end
  end
end

function compare.timestamp(self, path, _, want, got)
  local seconds = type(want) == "number" and want or recorded.seconds(want)
  if type(got) ~= "number" or not seconds or math.abs(seconds - got) > 0.0006 then
    self:fault(path, "%s, not %s", show(got), show(want))
  end
end

local NUMBERS = { integer = true, long = true, float = true, double = true }

function compare.scalar(self, path, shape, want, got)
  local member = path:match("([%w]+)$")
  local policy = self.service == "iam" and DOCUMENTS[member]
  if policy or (shape.type == "string" and type(want) == "table") then
    if not alike(document(want), document(got)) then
      self:fault(path, "%s, not %s", show(got), show(want))
    end
  elseif NUMBERS[shape.type] then
    if type(got) ~= "number" or got ~= tonumber(want) then
      self:fault(path, "%s, not %s", show(got), show(want))
    end
    if shape.type ~= "float" and shape.type ~= "double" and math.type(got) ~= "integer" then
      self:fault(path, "%s is no whole number", show(got))
    end
  elseif want ~= got then
    self:fault(path, "%q, not %q", show(got), show(want))
  end
end

local models = {}
local function client_model(service)
  if models[service] == nil then models[service] = model.open(service) or false end
  return models[service] or nil
end

--- What the client makes of a recording: output, failure, request id; nil, nil, nil and
-- the reason when the recording cannot be written as AWS sent it.
function reading.parsed(record)
  local source, client = published.open(record.service), client_model(record.service)
  if not source or not client then
    return nil, nil, nil, "no model of the service " .. record.service
  end
  local response, protocol = wire.response(source, record)
  if not response then return nil, nil, nil, protocol end
  local quirk = quirks.of(record.service, record.operation) or {}
  if quirk.answer then response = quirk.answer(response) end
  local output, problem, id = client:parse(record.operation, response, { protocol = protocol })
  if output and quirk.output then output = quirk.output(output, response, true) end
  return output, problem, id
end

local function faults_of_error(record, output, problem)
  if output or not problem then return { "it is read as a success" } end
  local want = { code = record.error.code, message = record.error.message,
    request_id = record.request_id }
  if record.operation:find("^Head") then want.code, want.message = nil, nil end
  local faults = {}
  for name, value in pairs(want) do
    if value ~= json.null and problem[name] ~= value then
      table.insert(faults, ("%s: %s, not %s"):format(name, show(problem[name]), show(value)))
    end
  end
  return faults
end

local function request_id_fault(faults, record, id)
  if not record.request_id or record.request_id == id then return end
  table.insert(faults, ("request id: %s, not %s"):format(show(id), show(record.request_id)))
end

--- Holds the client against one recording. Returns the list of faults and the list of
-- members that AWS's model does not know; nil and a reason when it cannot be judged.
function reading.check(record)
  local output, problem, id, why = reading.parsed(record)
  if why then return nil, why end
  if record.error then return faults_of_error(record, output, problem), {} end
  if not output then return { "it is read as an error: " .. show(problem) }, {} end
  local source = published.open(record.service)
  local self = setmetatable({ shapes = source.shapes, service = record.service,
    status = record.status, faults = {}, unknown = {} }, Reader)
  local ref = source.operations[record.operation].output
  if ref then
    self:compare(record.operation, ref, record.output, output)
  elseif next(record.output) then
    self.unknown[record.operation] = true
  end
  request_id_fault(self.faults, record, id)
  local unknown = {}
  for path in pairs(self.unknown) do table.insert(unknown, path) end
  table.sort(unknown)
  return self.faults, unknown
end

return reading
