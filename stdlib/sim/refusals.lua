--- What AWS answers to a request that cannot be read or breaks its model's constraints:
-- the codes and words differ from service to service.
local constraints = require "aws.constraints"

local refusals = {}

-- The error for a member that is missing: code and words, with the member's name or, for
-- the services that speak of constraints, its path. Evidence: RDS and CloudWatch recorded
-- and documented; the words of STS and Application Auto Scaling are those of AWS's common
-- framework; ECS, AWS Backup and Route 53 from their lists of errors, words assumed.
local CONSTRAINT = "1 validation error detected: Value null at '%s' failed to satisfy constraint: "
  .. "Member must not be null"
local missing = {
  rds = { "MissingParameter", "The request must contain the parameter %s." },
  cloudwatch = { "MissingParameter", "The parameter %s is required." },
  ecs = { "InvalidParameterException", "%s should not be null or empty." },
  backup = { "MissingParameterValueException", "The required parameter %s is missing." },
  route53 = { "InvalidInput", "The input is not complete: %s is missing." },
  sts = { "ValidationError", CONSTRAINT, path = true },
}
local missing_else = { "ValidationException", CONSTRAINT, path = true }

-- The code for a value that is there and not allowed.
local invalid = {
  rds = "InvalidParameterValue", cloudwatch = "InvalidParameterValue",
  ecs = "InvalidParameterException", backup = "InvalidParameterValueException",
  route53 = "InvalidInput", sts = "ValidationError",
}

-- The code for a message that is not in the protocol's form.
local malformed = {
  query = "MalformedInput", ec2 = "InvalidParameterValue", ["rest-xml"] = "MalformedXML",
}

-- "Changes[1].Name" -> "changes.1.member.name", as AWS's framework writes paths.
local function constraint_path(path)
  local parts = {}
  for part in path:gmatch("[^.]+") do
    part = part:gsub("^%u", string.lower):gsub("%[(%d+)%]", ".%1.member")
    table.insert(parts, part)
  end
  return table.concat(parts, ".")
end

-- The first fault of a report of model:validate: path, member that is missing or nil,
-- words.
local function first_fault(report)
  local line = report:match("^[^\n]*:\n  ([^\n]*)") or report:match("^[^:]*: ([^\n]*)") or report
  local path, member = line:match("^(%S+): missing required member \"([^\"]+)\"$")
  member = member or line:match("^missing required member \"([^\"]+)\"$")
  return path, member, line
end

--- The error for an input that model:validate refused with this report.
function refusals.invalid(service, report)
  local path, member, line = first_fault(report)
  if not member then
    return { status = 400, code = invalid[service] or "ValidationException", message = line }
  end
  local row = missing[service] or missing_else
  local name = row.path and constraint_path((path and path .. "." or "") .. member) or member
  return { status = 400, code = row[1], message = row[2]:format(name) }
end

--- The error for an input that breaks its model, or nil: members that are missing, then
-- lengths, ranges, patterns and enumerations.
function refusals.of_input(service, operation, input)
  local valid, report = service.model:validate(operation, input)
  if not valid then return refusals.invalid(service.name, report) end
  service.constraints = service.constraints or service.model:constraints() or { roots = {} }
  if not service.constraints.roots[operation] then return nil end
  local faults = constraints.faults(service.constraints, operation, input)
  if #faults == 0 then return nil end
  return { status = 400, code = invalid[service.name] or "ValidationException",
    message = constraints.sentence(faults) }
end

--- The error for a request that cannot be read; why: the codec's words.
function refusals.malformed(protocol, why)
  return { status = 400, code = malformed[protocol] or "SerializationException", message = why }
end

return refusals
