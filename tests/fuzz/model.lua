--- Compiled models: the checksum is put right, so that what is inside is reached.
local codec = require "native.model"
local values = require "values"

-- Least lengths may be anything here; values for them must stay small.
local function small(m)
  return { shape = function(_, id)
    local shape = m:shape(id)
    if shape then shape.min = nil end
    return shape
  end }
end

-- A value that fits what the model says, through every writer and back.
local function fitting(m, name, op)
  local generator = values.new(small(m), 1, false, 200)
  local input = op.input and generator:value(op.input) or {}
  local request = m:serialize(name, input)
  if request then
    m:parse_request(name, { method = request.method, target = request.uri,
      headers = request.headers, body = type(request.body) == "string" and request.body or "" })
  end
  local output = op.output and generator:value(op.output) or {}
  local answer = m:serialize_response(name, output)
  if answer and type(answer.body) == "string" then m:parse(name, answer) end
  local fault = m:serialize_error(name, { code = "Gone", message = "m", fields = input })
  if fault then m:parse(name, fault) end
end

local function use(m)
  m:metadata()
  m:waiters()
  m:paginators()
  m:endpoint_rules()
  local constraints = m:constraints()
  for i, name in ipairs(m:operations() or {}) do
    if i > 3 then break end
    local op = m:operation(name)
    if op and op.input then m:shape(op.input) end
    m:find(name)
    pcall(require("aws.constraints").faults, constraints, name,
      { a = "x", b = { "y" }, c = { k = "v" } })
    m:serialize(name, { a = "x", b = { "y" }, c = { k = "v" } })
    m:parse(name, { status = 200, headers = { h = "1" }, body = "<a><b>c</b></a>" })
    m:parse(name, { status = 200, headers = { h = "1" }, body = '{"a":"b"}' })
    m:parse(name, { status = 400, headers = {}, body = '{"__type":"Gone"}' })
    m:route("GET", "/a/b?c=d", {}, "")
    m:serialize_response(name, { a = "x" })
    if op then pcall(fitting, m, name, op) end
  end
end

return function(data)
  if #data > 12 then
    local body = data:sub(13)
    data = "DRM1" .. string.pack("<I4I4", #data, codec.crc32(body)) .. body
  end
  local m = codec.load(data)
  if m then use(m) end
end
