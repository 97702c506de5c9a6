--- Runs the endpoint vectors: `drlua script tests/conformance/endpoints.lua DIR`.
-- DIR/endpoints/SERVICE.json against the rule sets of the embedded models, and
-- DIR/endpoint-rules/ with its own rule sets.
--
-- The vectors of services may be of another release than the pinned models, whose
-- rules then say otherwise. A case that fails is put to the pinned botocore (where
-- scripts/setup --tests has made it a place): when it answers from its rule set what we
-- answer from ours, the case is counted as contradicted by the models, not as failed.
local json = require "native.json"
local model = require "native.model"
local rules = require "aws.endpoint.rules"
local sys = require "native.sys"
local vectors = require "vectors"

local function run(evaluate, case)
  local found, message = evaluate(case.params or {})
  local expected = case.expect
  if expected.error then
    if found then return "an error expected, got " .. found.url end
    if message ~= expected.error then
      return ("error %q expected, got %q"):format(expected.error, message)
    end
    return nil
  end
  if not found then return "an endpoint expected, got the error " .. message end
  local wanted = expected.endpoint
  if found.url ~= wanted.url then return ("%s expected, got %s"):format(wanted.url, found.url) end
  for _, part in ipairs { "properties", "headers" } do
    if wanted[part] and not vectors.alike(wanted[part], found[part]) then
      return ("%s: %s expected, got %s"):format(part, json.encode(wanted[part]),
        json.encode(found[part]))
    end
  end
end

local function cases_of(path, fn)
  for i, case in ipairs(json.decode(vectors.read(path)).testCases) do
    fn(("#%d %s"):format(i, case.documentation or ""), case)
  end
end

--- The pinned botocore's answers to a list of { service, params }, or nil.
local function ask_peer(questions)
  local python = (sys.getenv "DRLUA_VENV" or "build/venv") .. "/bin/python"
  if not (vectors.read(python) and vectors.read "build/botocore/endpoint_provider.py") then
    return nil
  end
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  for _, question in ipairs(questions) do file:write(json.encode(question), "\n") end
  file:close()
  local pipe = assert(io.popen(("PYTHONPATH=build %s tests/conformance/peer_endpoint.py < %s")
    :format(python, path)))
  local answers = {}
  for line in pipe:lines() do table.insert(answers, json.decode(line)) end
  pipe:close()
  os.remove(path)
  return #answers == #questions and answers or nil
end

local function agrees(answer, evaluate, params)
  local found, message = evaluate(params)
  if found then return found.url == answer.url end
  return answer.error ~= nil and answer.error:find(message, 1, true) ~= nil
end

--- Counts the failures that the peer shares as contradicted, the rest as failed.
local function settle(suite, failures)
  local questions = {}
  for i, failure in ipairs(failures) do
    questions[i] = { service = failure.service, params = failure.case.params or {} }
  end
  local answers = #failures > 0 and ask_peer(questions) or {}
  local contradicted = 0
  for i, failure in ipairs(failures) do
    if answers[i] and agrees(answers[i], failure.evaluate, failure.case.params or {}) then
      contradicted = contradicted + 1
    else
      suite:case(failure.name, function() return failure.text end)
    end
  end
  if contradicted > 0 then
    print(("%s: %d cases are contradicted by the pinned models: botocore answers as we do")
      :format(suite.name,
      contradicted))
  end
end

local function services(suite)
  local failures = {}
  for _, path in ipairs(suite:find(".json")) do
    local service = path:match("([^/]*)%.json$")
    local m = model.open(service)
    local evaluate = m and rules.compile(m:endpoint_rules())
    cases_of(path, function(name, case)
      local text = evaluate and run(evaluate, case) or not evaluate
        and "no model of that service is embedded" or nil
      if text and evaluate then
        table.insert(failures,
          { service = service, name = service .. name, case = case, text = text,
            evaluate = evaluate })
      else
        suite:case(service .. name, function() return text end)
      end
    end)
  end
  settle(suite, failures)
end

local function standard(suite)
  for _, path in ipairs(suite:find(".json")) do
    local name = path:match("/test%-cases/([^/]*)%.json$")
    local set = name and vectors.read(suite.path .. "/valid-rules/" .. name .. ".json")
    if set then
      local evaluate = rules.compile(json.decode(set))
      cases_of(path, function(title, case) suite:case(name .. title, run, evaluate, case) end)
    end
  end
end

vectors.together(arg[1], { { "endpoints", services }, { "endpoint-rules", standard } })
