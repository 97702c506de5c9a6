--- Whether our waits end too early on recorded responses: each that a recording satisfies
-- is held against what AWS's own handlers ask of the same response (promises.lua).
local exceptions = require "exceptions"
local model = require "aws.model"
local promises = require "promises"
local reading = require "reading"
local waiter = require "aws.waiter"

local waiting = {}

local clients = {}
local function client_of(service)
  if clients[service] == nil then
    local m = model.open(service)
    clients[service] = m and { service = service, model = m } or false
  end
  return clients[service]
end

-- The reason why a condition that is not met may stand, or nil.
local function excused(service, name, fault)
  for _, rule in ipairs(exceptions.waits[service .. "." .. name] or {}) do
    if fault:find(rule[1]) then return rule[2] end
  end
end

local function judge(record, name, conditions, output, failure)
  local left, open = {}, {}
  for _, fault in ipairs(conditions(output, failure)) do
    local reason = excused(record.service, name, fault)
    if not reason then
      table.insert(left, "it is satisfied, but for AWS's own handler " .. fault)
    elseif reason:find("^open: ") then
      table.insert(open, fault .. ": " .. reason)
    end
  end
  return left, open
end

--- Calls each(name, faults, open) for every wait that the recording satisfies, and
-- without(name) for those of which AWS's conditions are not known.
function waiting.check(record, each, without)
  local client = client_of(record.service)
  if not client then return end
  local output, failure
  for _, name in ipairs(waiter.names(client)) do
    if waiter.operation(client, name) == record.operation then
      if output == nil and failure == nil then
        output, failure = reading.parsed(record)
        if output == nil and failure == nil then return end
      end
      local conditions = (promises.of[record.service] or {})[name]
      if waiter.verdict(client, name, output, failure) ~= "success" then
        conditions = nil
      elseif not conditions then
        without(record.service .. "." .. name)
      end
      if conditions then each(name, judge(record, name, conditions, output, failure)) end
    end
  end
end

return waiting
