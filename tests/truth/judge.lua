--- All that is checked against a folder of recordings, and the report of it.
local drive = require "drive"
local reading = require "reading"
local recorded = require "recorded"
local simulated = require "simulated"
local waiting = require "waiting"

local judge = {}

local Result = {}
Result.__index = Result

local function row(self, service)
  local found = self.services[service]
  if not found then
    found = { passed = 0, failed = 0, skipped = 0 }
    self.services[service] = found
  end
  return found
end

--- Counts one check; faults: a list of texts, empty when it holds.
function Result:check(service, name, faults)
  local counts = row(self, service)
  if #faults == 0 then
    self.passed, counts.passed = self.passed + 1, counts.passed + 1
    return
  end
  self.failed, counts.failed = self.failed + 1, counts.failed + 1
  table.insert(self.failures, ("FAIL %s: %s"):format(name, table.concat(faults, "; ")))
end

function Result:skip(service, name, reason)
  local counts = row(self, service)
  counts.skipped = counts.skipped + 1
  table.insert(self.skipped, { path = name, reason = reason })
end

local function check_reading(self, list)
  for _, record in ipairs(list) do
    local ok, faults, unknown = pcall(reading.check, record)
    if not ok then
      self:check(record.service, record.name .. " (reading)", { tostring(faults) })
    elseif not faults then
      self:skip(record.service, record.name, unknown)
    else
      self:check(record.service, record.name .. " (reading)", faults)
      for _, path in ipairs(unknown) do self.unknown[path] = record.name end
    end
  end
end

local function check_waits(self, list)
  for _, record in ipairs(list) do
    local function each(name, faults, open)
      self:check(record.service, ("%s (wait %s)"):format(record.name, name), faults)
      for _, difference in ipairs(open) do self.open[name .. ": " .. difference] = record.name end
    end
    local function without(name) self.unjudged[name] = true end
    local ok, e = pcall(waiting.check, record, each, without)
    if not ok then self:check(record.service, record.name .. " (waits)", { tostring(e) }) end
  end
end

local function check_simulator(self, list)
  local ok, calls = pcall(drive.run)
  if not ok then return self:check("simulator", "simulator", { tostring(calls) }) end
  simulated.check(calls, list, function(service, what, faults, open)
    self:check(service, "simulator: " .. what, faults)
    for _, difference in ipairs(open) do self.open[difference] = "simulator" end
  end, function(member) self.unsaid[member] = true end)
end

--- Checks everything against a folder: counts, failures, skipped files, unknown members;
-- must be called in a task. nil and a message when the folder has no files.
function judge.run(folder)
  local list, skipped = recorded.read(folder)
  if not list then return nil, skipped end
  local self = setmetatable({ passed = 0, failed = 0, failures = {}, skipped = skipped,
    services = {}, unknown = {}, unjudged = {}, unsaid = {}, open = {} }, Result)
  check_reading(self, list)
  check_waits(self, list)
  check_simulator(self, list)
  return self
end

local function sorted(map)
  local keys = {}
  for key in pairs(map) do table.insert(keys, key) end
  table.sort(keys)
  return keys
end

--- Writes the result, line by line, with say(text).
function judge.report(self, say)
  for _, line in ipairs(self.failures) do say(line) end
  for _, each in ipairs(self.skipped) do say(("skipped %s: %s"):format(each.path, each.reason)) end
  for _, path in ipairs(sorted(self.unknown)) do
    say(("AWS's model does not know %s (%s)"):format(path, self.unknown[path]))
  end
  for _, name in ipairs(sorted(self.unjudged)) do
    say(("no condition of AWS's handlers is known for the wait %s"):format(name))
  end
  say(("of %d members that the simulator shows no recording speaks")
    :format(#sorted(self.unsaid)))
  for _, difference in ipairs(sorted(self.open)) do
    say(("open: %s (%s)"):format(difference, self.open[difference]))
  end
  for _, service in ipairs(sorted(self.services)) do
    local counts = self.services[service]
    say(("%-32s %5d passed %4d failed %4d skipped"):format(service, counts.passed, counts.failed,
      counts.skipped))
  end
  say(("open differences: %d"):format(#sorted(self.open)))
  say(("%d passed, %d failed"):format(self.passed, self.failed))
end

return judge
