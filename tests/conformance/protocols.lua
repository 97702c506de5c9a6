--- Runs AWS's protocol vectors (botocore's and Smithy's form) from a folder:
--   drlua script tests/conformance/protocols.lua FOLDER [FILTER]
-- FOLDER/protocols/input/*.json are requests to be made, output/*.json answers to be
-- read.
local codec = require "native.model"
local crypto = require "native.crypto"
local json = require "native.json"
local model = require "aws.model"
local vectors = require "vectors"
local xml_tree = require "xml_tree"

local TOKEN = "00000000-0000-4000-8000-000000000000"

local suite = vectors.open("protocols", arg[1])
local filter = arg[2]

local function show(value)
  if type(value) == "table" then return (json.encode(value, { sort = true })) or "?" end
  return tostring(value)
end

local function same_number(a, b)
  return a == b or (a ~= a and b ~= b) or math.abs(a - b) < 1e-6 * math.max(1, math.abs(a))
end

local SPECIAL = { NaN = 0 / 0, Infinity = math.huge, ["-Infinity"] = -math.huge }

--- Equal as data. A vector's special floats are text.
local function same(want, got)
  if type(got) == "number" and SPECIAL[want] then want = SPECIAL[want] end
  if type(want) == "number" and type(got) == "number" then return same_number(want, got) end
  if type(want) ~= "table" or type(got) ~= "table" then return want == got end
  for key, value in pairs(want) do
    if not same(value, got[key]) then return false end
  end
  for key in pairs(got) do
    if want[key] == nil then return false end
  end
  return true
end

local function pairs_of(body)
  local list = {}
  for pair in body:gmatch("[^&]+") do
    list[#list + 1] = pair:gsub("%+", " "):gsub("%%(%x%x)", function(h)
      return string.char(tonumber(h, 16))
    end)
  end
  table.sort(list)
  return table.concat(list, "&")
end

local function decoded_json(text)
  if text == "" then return {} end
  return (json.decode(text)) or text
end

local BODIES = {
  query = function(want, got) return pairs_of(want) == pairs_of(got) end,
  ["rest-xml"] = function(want, got)
    if not want:find("^%s*<") then return want == got end
    return same(xml_tree.tree(want), xml_tree.tree(got))
  end,
  json = function(want, got)
    if not want:find("^%s*[%[{\"]") then return want == got end
    return same(decoded_json(want), decoded_json(got))
  end,
  ["smithy-rpc-v2-cbor"] = function(want, got)
    want = crypto.unbase64(want)
    if want == "" or got == "" then return want == got end
    return same(codec.uncbor(want), codec.uncbor(got))
  end,
}
BODIES.ec2 = BODIES.query
BODIES["rest-json"] = BODIES.json

local function lowered(headers)
  local map = {}
  for name, value in pairs(headers) do map[name:lower()] = value end
  return map
end

--- Query members have no order in a Lua table.
local function same_uri(want, got)
  local path, query = want:match("^([^?]*)%??(.*)$")
  local got_path, got_query = got:match("^([^?]*)%??(.*)$")
  return path == got_path and pairs_of(query) == pairs_of(got_query)
end

local function compare_request(protocol, want, request)
  local faults = {}
  local function fault(...) faults[#faults + 1] = string.format(...) end
  local got = lowered(request.headers)
  if want.method and want.method ~= request.method then
    fault("method %s, not %s", request.method, want.method)
  end
  local uri = request.uri
  if want.host and want.host:find("/") then uri = want.host:match("/.*") .. uri end
  if want.uri and not same_uri(want.uri, uri) then fault("uri %s, not %s", uri, want.uri) end
  for name, value in pairs(want.headers or {}) do
    if got[name:lower()] ~= value then
      fault("header %s is %s, not %s", name, got[name:lower()], value)
    end
  end
  for _, name in ipairs(want.forbidHeaders or {}) do
    if got[name:lower()] then fault("header %s is there", name) end
  end
  for _, name in ipairs(want.requireHeaders or {}) do
    -- The length is the sender's to write.
    if not got[name:lower()] and name:lower() ~= "content-length" then
      fault("header %s is missing", name)
    end
  end
  if want.host and request.host_prefix and not want.host:find(request.host_prefix, 1, true) then
    fault("host prefix %s, not %s", request.host_prefix, want.host)
  end
  if type(want.body) == "string" and not BODIES[protocol](want.body, request.body) then
    fault("body %s, not %s", show(request.body), want.body)
  end
  return faults
end

local function model_of(group, case)
  local metadata = group.metadata
  return model.from_table {
    metadata = metadata, shapes = group.shapes, operations = { [case.given.name] = case.given },
  }
end

local function run_input(group, case)
  local m = model_of(group, case)
  local request = m:serialize(case.given.name, case.params,
    { idempotency_token = TOKEN })
  return compare_request(m:metadata().protocol, case.serialized, request)
end

local function compare_error(case, err)
  local faults = {}
  if not err then return { "no error" } end
  if err.code ~= case.errorCode then
    faults[1] = ("code %s, not %s"):format(err.code, case.errorCode)
  end
  if case.errorMessage and err.message ~= case.errorMessage then
    faults[#faults + 1] = ("message %s, not %s"):format(err.message, case.errorMessage)
  end
  if case.error and not same(case.error, err.fields) then
    faults[#faults + 1] = ("fields %s, not %s"):format(show(err.fields), show(case.error))
  end
  return faults
end

local function run_output(group, case)
  local m = model_of(group, case)
  local answer = case.response
  local body = answer.body or ""
  if m:metadata().protocol == "smithy-rpc-v2-cbor" then body = crypto.unbase64(body) end
  local output, err = m:parse(case.given.name,
    { status = answer.status_code, headers = answer.headers, body = body })
  if case.errorCode or case.error then return compare_error(case, err) end
  if not output then return { "error " .. show(err) } end
  if same(case.result, output) then return {} end
  return { ("output %s, not %s"):format(show(output), show(case.result)) }
end

local function check(run, group, case)
  local faults = run(group, case)
  if #faults > 0 then return table.concat(faults, "; ") end
end

for _, path in ipairs(suite:find(".json")) do
  local kind, name = path:match("/(%w+)/([^/]*)%.json$")
  local run = kind == "input" and run_input or kind == "output" and run_output
  for _, group in ipairs(run and json.decode(vectors.read(path)) or {}) do
    for i, case in ipairs(group.cases) do
      local id = ("%s/%s/%s"):format(kind, name, case.id or (group.description .. " " .. i))
      if not filter or id:find(filter, 1, true) then suite:case(id, check, run, group, case) end
    end
  end
end
suite:finish()
