--- drlua sim: the simulator as a server for any AWS client.
local options = require "cli.options"
local rehearse = require "cli.rehearse"
local sim = require "sim"
local sys = require "native.sys"
local world = require "sim.world"

local simulate = {}

local function number(parsed, name)
  if parsed[name] == nil then return nil end
  local value = tonumber(parsed[name])
  if not value or value <= 0 then
    options.usage("--%s expects a number above 0, not %s", name, parsed[name])
  end
  return value
end

local function token()
  local given = sys.getenv("DRLUA_SIM_TOKEN")
  return given ~= "" and given or nil
end

--- drlua sim [--listen HOST:PORT] [--open-to-network] [--world FILE] [--speed N] [--seed N]
-- [--durations slow|typical|fast|FILE]:
-- runs until SIGTERM or SIGINT. DRLUA_SIM_TOKEN: the token for changes under /_sim/.
function simulate.sim(parsed)
  sim.serve {
    listen = parsed.listen or "127.0.0.1:4566",
    world = parsed.world and world.read(parsed.world),
    speed = number(parsed, "speed"),
    seed = number(parsed, "seed") and math.tointeger(number(parsed, "seed")),
    token = token(),
    durations = rehearse.read_durations(parsed.durations),
    open_to_network = parsed["open-to-network"],
  }
  return 0
end

return simulate
