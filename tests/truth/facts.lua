--- Writes what recordings show of the simulator's services, for tests/truth/facts.json:
--   drlua script tests/truth/facts.lua FOLDER > tests/truth/facts.json
local evidence = require "evidence"
local json = require "native.json"
local recorded = require "recorded"
local services = require "sim.services"

local simulated = {}
for _, name in ipairs(services.names) do simulated[name] = true end

local list = {}
for _, record in ipairs(assert(recorded.read(arg[1]))) do
  if simulated[record.service] then table.insert(list, record) end
end
print((json.encode(evidence.of(list), { sort = true })))
