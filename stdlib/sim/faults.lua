--- What the simulator breaks: faults are data, matched against each call.
--
-- A fault: { kind = ..., service, operation, region, account, after, count,
-- probability, ... }. The scope fields are a name or a list of names; absent
-- means any. `after` lets so many matching calls pass first, `count` ends the
-- fault after so many hits, `probability` (0 to 1) draws from the simulator's
-- seeded generator. Kinds and their own fields are in docs/simulator.md.
local errors = require "errors"
local fields = require "sim.fields"

local faults = {}

local Faults = {}
Faults.__index = Faults

-- What every fault may have: name -> kind (see sim.fields).
local common = {
  kind = "text", id = "text", service = "names", operation = "names", region = "names",
    account = "names",
  after = "count", count = "count", probability = "share", at = "seconds",
}

-- kind -> its own fields
local kinds = {
  throttle = { code = "text", message = "text" },
  error = { status = "count", code = "text", message = "text", effect = "flag" },
  unavailable = {},
  expired = {},
  reset = { when = "text" },
  lost = {},
  hang = { when = "text" },
  slow = { seconds = "seconds", when = "text" },
  cut = { bytes = "count" },
  outcome = { status = "text", message = "text", percent = "number" },
  region_down = { region = "text!", mode = "text", kill = "flag", cut_first = "seconds",
  control_planes = "flag" },
  instance_down = { instance = "text!", region = "text", account = "text", restart = "seconds" },
  instance_status = { instance = "text!", region = "text", account = "text", status = "text",
  seconds = "seconds" },
  replication_cut = { instance = "text!", region = "text", account = "text" },
}

local choices = {
  when = { before = true, after = true },
  mode = { hang = true, refuse = true, ["503"] = true },
}

local function refuse(text, ...)
  errors.raise { kind = "invalid", message = text:format(...) }
end

local known = {}
for kind, own in pairs(kinds) do
  known[kind] = {}
  for name, type in pairs(common) do known[kind][name] = type end
  for name, type in pairs(own) do known[kind][name] = type end
end

--- Raises kind "invalid" with a sentence when `fault` is not one.
function faults.validate(fault)
  if type(fault) ~= "table" then refuse("a fault must be a table, not %s", type(fault)) end
  local kind = type(fault.kind) == "string" and known[fault.kind]
  if not kind then refuse("unknown fault kind \"%s\"; known: %s", tostring(fault.kind),
    fields.names(kinds)) end
  fields.check(("a %s fault"):format(fault.kind), fault, kind)
  for field, values in pairs(choices) do
    if fault[field] and not values[fault[field]] then
      refuse("a fault's %s is one of %s, not \"%s\"", field, fields.names(values), fault[field])
    end
  end
  local status = fault.kind == "error" and fault.status
  if status and (status < 400
    or status > 599) then refuse("an error fault's status is 400 to 599, not %d", status) end
end

--- An empty set; random: a function giving 0 <= x < 1.
function faults.new(random)
  return setmetatable({ list = {}, random = random, serial = 0 }, Faults)
end

--- The id of a fault: its own, or a new one.
function Faults:id(fault)
  self.serial = self.serial + 1
  return fault.id or "fault-" .. self.serial
end

--- Adds a validated fault under an id.
function Faults:add(fault, id)
  table.insert(self.list, { fault = fault, id = id, seen = 0, hits = 0 })
end

--- Takes away the fault with this id, or all of them; returns those taken.
function Faults:remove(id)
  local kept, taken = {}, {}
  for _, entry in ipairs(self.list) do
    if id == nil or entry.id == id then
      table.insert(taken, entry.fault)
    else
      table.insert(kept, entry)
    end
  end
  self.list = kept
  return taken
end

local function covers(scope, value)
  if scope == nil or scope == value then return true end
  if type(scope) ~= "table" then return false end
  for _, one in ipairs(scope) do
    if one == value then return true end
  end
  return false
end

local function matches(fault, call)
  return covers(fault.service, call.service) and covers(fault.operation, call.operation)
    and covers(fault.region, call.region) and covers(fault.account, call.account)
end

-- Counts the match, and tells whether the fault strikes this time.
local function strikes(self, entry)
  local fault = entry.fault
  entry.seen = entry.seen + 1
  if entry.seen <= (fault.after or 0) then return false end
  if fault.count and entry.hits >= fault.count then return false end
  if fault.probability and self.random() >= fault.probability then return false end
  entry.hits = entry.hits + 1
  return true
end

local passive = { region_down = true, instance_down = true, instance_status = true,
  replication_cut = true, outcome = true }

-- Where in a call's course a fault acts.
local function stage(fault)
  if fault.kind == "slow" then return fault.when == "before" and "before" or "after" end
  if fault.kind == "lost" or fault.kind == "cut" then return "after" end
  if fault.kind == "error" then return fault.effect and "after" or "before" end
  return fault.when or "before"
end

--- The faults that strike a call { account, region, service, operation }:
-- nil, or { before = {...}, after = {...} }.
function Faults:strike(call)
  if #self.list == 0 then return nil end
  local plan
  for _, entry in ipairs(self.list) do
    local fault = entry.fault
    if not passive[fault.kind] and matches(fault, call) and strikes(self, entry) then
      plan = plan or { before = {}, after = {} }
      table.insert(plan[stage(fault)], fault)
    end
  end
  return plan
end

--- The outcome fault that strikes a job which this call starts, or nil.
function Faults:outcome(call)
  for _, entry in ipairs(self.list) do
    if entry.fault.kind == "outcome" and matches(entry.fault, call) and strikes(self, entry) then
      return entry.fault
    end
  end
  return nil
end

--- The list as data, with how often each struck.
function Faults:describe()
  local found = {}
  for _, entry in ipairs(self.list) do
    local copy = { id = entry.id, seen = entry.seen, hits = entry.hits }
    for k, v in pairs(entry.fault) do copy[k] = v end
    table.insert(found, copy)
  end
  return found
end

return faults
