--- A service model in AWS's published JSON form, ready to serialize and parse.
--
-- Thin over native.model: `open` takes a model of the archive in the program,
-- `from_table` compiles one at run time. Both give the same object.
local errors = require "errors"
local native = require "native.model"

local model = {}

local Model = {}
Model.__index = Model

-- The compiler is wanted only for models that are not built in.
local function compile(t, parts) return require("aws.compiler").compile(t, parts) end

local function wrap(handle) return setmetatable({ handle = handle }, Model) end

--- A model from a decoded table.
-- @param t `metadata`, `operations`, `shapes`
-- @param parts optional tables `waiters`, `paginators`, `endpoint_rules`; `service`,
--   the name used in messages
-- @return the model; raises when the table contradicts itself
function model.from_table(t, parts)
  if type(t) ~= "table" then errors.misuse(2, "a table is expected: a decoded service model") end
  local handle, why, kind = native.load(compile(t, parts))
  if not handle then errors.raise { kind = kind, message = why } end
  return wrap(handle)
end

--- A model of the archive, by AWS's name of the service ("rds"); nil, message, kind
-- when there is none.
function model.open(service)
  local handle, why, kind = native.open(service)
  if not handle then return nil, why, kind end
  return wrap(handle)
end

--- Names of all services in the archive.
model.services = native.services

--- AWS's text about a service, an operation or its member, without HTML; nil when the
-- documentation is not installed.
function model.doc(service, operation, ...)
  return (require("aws.documentation").text(service, operation, ...))
end

--- Turns an input into a request.
-- @param operation its name, as "DescribeDBInstances"
-- @param input table of members; nothing is changed in it
-- @param options `idempotency_token`, filled in where the input has none; `protocol`
--   of those that the service offers; `checksum = "when_required"`;
--   `compress_from_bytes` (false: never); `omit_bucket` when the endpoint names it
-- @return { method, uri, headers (name -> value), body, host_prefix }; raises with all
--   faults of the input in one message
function Model:serialize(operation, input, options)
  local request, why, kind = self.handle:serialize(operation, input, options)
  if not request then errors.raise { kind = kind, message = why } end
  return request
end

--- Turns an answer into its output.
-- @param answer { status, headers (name -> value, ordered pairs, or the lines as one text), body }
-- @return the output; or nil and { code, message, request_id, fields, type, status }
function Model:parse(operation, answer, options)
  local output, problem, id = self.handle:parse(operation, answer, options)
  if output == nil and type(problem) == "string" then
    errors.raise { kind = id, message = problem }
  end
  return output, problem, id
end

--- Checks an input without making a request of it.
-- @param options as of serialize; `constraints = true` also checks what the models demand of
--   lengths, values, patterns and enumerations, as the services do (see aws/constraints.lua)
-- @return true; or nil, a message, "invalid", and, of constraints, the list of faults
--   { path, value, constraint }: the message is then AWS's ("1 validation error detected: ...")
function Model:validate(operation, input, options)
  local valid, message, kind = self.handle:validate(operation, input, options)
  if not (options and options.constraints) then return valid, message, kind end
  local constraints = require "aws.constraints"
  local faults = constraints.faults(self.handle:constraints(), operation, input or {})
  if #faults > 0 then return nil, constraints.sentence(faults), "invalid", faults end
  return valid, message, kind
end

for _, name in ipairs { "route", "parse_request", "serialize_response",
  "serialize_error", "metadata", "raw_metadata", "operations", "operation", "find",
  "shape", "waiters", "paginators", "endpoint_rules", "constraints" } do
  Model[name] = function(self, ...) return self.handle[name](self.handle, ...) end
end

return model
