--- Runs the official JMESPath compliance files:
-- `drlua script tests/conformance/jmespath.lua DIR`, reading DIR/jmespath/*.json.
local errors = require "errors"
local jmespath = require "aws.jmespath"
local json = require "native.json"
local value = require "aws.jmespath.value"
local vectors = require "vectors"

local suite = vectors.open("jmespath", arg[1])

local function check(given, case)
  local ok, result = pcall(jmespath.search, case.expression, given)
  if case.error then
    local code = not ok and errors.from(result).code
    if code ~= case.error then
      return ("error %s expected, got %s"):format(case.error,
        ok and json.encode(value.stored(result)) or tostring(result))
    end
  elseif not ok then
    return tostring(errors.from(result))
  elseif case.result ~= nil and not vectors.same(case.result, value.stored(result)) then
    return ("%s expected, got %s"):format(json.encode(case.result),
      json.encode(value.stored(result)))
  end
end

for _, path in ipairs(suite:find(".json")) do
  local number = 0
  for _, group in ipairs(json.decode(vectors.read(path))) do
    for _, case in ipairs(group.cases) do
      number = number + 1
      suite:case(("%s#%d %s"):format(path:match("([^/]*)%.json$"), number, case.expression), check,
        group.given, case)
    end
  end
end
suite:finish()
