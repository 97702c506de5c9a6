--- drlua sim: the simulator as a server for any AWS client.
local options = require "cli.options"
local sim = require "sim"
local world = require "sim.world"

local simulate = {}

local function number(parsed, name)
  if parsed[name] == nil then return nil end
  local value = tonumber(parsed[name])
  if not value or value <= 0 then options.usage("--%s wants a number above 0, not %s", name, parsed[name]) end
  return value
end

--- drlua sim [--listen HOST:PORT] [--world FILE] [--speed N] [--seed N]: runs until
-- SIGTERM or SIGINT.
function simulate.sim(parsed)
  sim.serve {
    listen = parsed.listen or "127.0.0.1:4566",
    world = parsed.world and world.read(parsed.world),
    speed = number(parsed, "speed"),
    seed = number(parsed, "seed") and math.tointeger(number(parsed, "seed")),
  }
  return 0
end

return simulate
