--- What a service's handler is given beside its input: whose call it is, where,
-- and the means to answer, fail, and go on working after the answer.
local crypto = require "native.crypto"
local errors = require "errors"

local context = {}

local Context = {}
Context.__index = Context

--- fields: sim, account, region, service, operation, identity, store.
function context.new(fields)
  return setmetatable(fields, Context)
end

--- Ends the call with an AWS error; the status comes from the model when it
-- knows the code, else from fields.status or 400.
function Context:fail(code, message, fields)
  errors.raise {
    kind = "aws", code = code, message = message, service = self.service,
    operation = self.operation, region = self.region,
    status = fields and fields.status, fields = fields and fields.fields,
  }
end

--- The named parameters must be there.
function Context:need(input, ...)
  for _, name in ipairs { ... } do
    if input[name] == nil or input[name] == "" then
      self:fail("MissingParameter", ("The request must contain the parameter %s."):format(name))
    end
  end
end

--- Goes on with fn in a task of its own, after the answer; what: for the log.
function Context:background(what, fn)
  return self.sim:background(what, fn)
end

--- Seconds since the epoch.
function Context:now() return self.sim.clock:now() end

--- An ARN of this service, account and region.
function Context:arn(resource, service)
  return ("arn:aws:%s:%s:%s:%s"):format(service or self.service, self.region, self.account,
    resource)
end

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

--- A random identifier: prefix and so many capitals and digits.
function Context:id(prefix, length)
  local parts = { prefix }
  for _ = 1, length do
    local at = 1 + math.floor(self.sim.random() * #LETTERS)
    table.insert(parts, LETTERS:sub(at, at))
  end
  return table.concat(parts)
end

function Context.uuid() return crypto.uuid() end

--- The outcome fault that the job started by this call should meet, or nil.
function Context:outcome()
  return self.sim.faults:outcome(self)
end

--- A context for another operation of the same caller (a job acting for it).
function Context:as(fields)
  local copy = {}
  for k, v in pairs(self) do copy[k] = v end
  for k, v in pairs(fields) do copy[k] = v end
  return context.new(copy)
end

return context
