--- Runs the endpoint vectors: `drlua script tests/conformance/endpoints.lua DIR`.
-- DIR/endpoints/SERVICE.json against the rule sets of the embedded models, and
-- DIR/endpoint-rules/ with its own rule sets.
local json = require "native.json"
local model = require "native.model"
local rules = require "aws.endpoint.rules"
local vectors = require "vectors"

local function run(evaluate, case)
  local found, message = evaluate(case.params or {})
  local expected = case.expect
  if expected.error then
    if found then return "an error expected, got " .. found.url end
    if message ~= expected.error then return ("error %q expected, got %q"):format(expected.error, message) end
    return nil
  end
  if not found then return "an endpoint expected, got the error " .. message end
  local wanted = expected.endpoint
  if found.url ~= wanted.url then return ("%s expected, got %s"):format(wanted.url, found.url) end
  for _, part in ipairs { "properties", "headers" } do
    if wanted[part] and not vectors.alike(wanted[part], found[part]) then
      return ("%s: %s expected, got %s"):format(part, json.encode(wanted[part]), json.encode(found[part]))
    end
  end
end

local function run_file(suite, name, path, set)
  local evaluate = rules.compile(set)
  for i, case in ipairs(json.decode(vectors.read(path)).testCases) do
    suite:case(("%s#%d %s"):format(name, i, case.documentation or ""), run, evaluate, case)
  end
end

local function services(suite)
  for _, path in ipairs(suite:find(".json")) do
    local name = path:match("([^/]*)%.json$")
    local m = model.open(name)
    if m then
      run_file(suite, name, path, m:endpoint_rules())
    else
      suite:case(name, function() return "no model of that service is embedded" end)
    end
  end
end

local function standard(suite)
  for _, path in ipairs(suite:find(".json")) do
    local name = path:match("/test%-cases/([^/]*)%.json$")
    local set = name and vectors.read(suite.path .. "/valid-rules/" .. name .. ".json")
    if set then run_file(suite, name, path, json.decode(set)) end
  end
end

vectors.together(arg[1], { { "endpoints", services }, { "endpoint-rules", standard } })
