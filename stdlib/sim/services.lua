--- The services that the simulator has: a module under sim/services each, named
-- as its model (a dash written as _). A module is a table of handlers by the operation's snake
-- name, `function service.describe_db_instances(ctx, input) return output end`, beside
--   new_store(account, region)   what an account owns there at first
--   global                       true: one store for all regions
--   inspect(store, sim)          its part of GET /_sim/state
--   load(ctx, world)             its part of a world file (see world.lua)
local errors = require "errors"
local model = require "native.model"

local services = {}

-- Signing names that differ from the model's name.
local signed_as = { monitoring = "cloudwatch" }

--- Those that can be asked for, in the order in which worlds are loaded.
services.names = { "sts", "rds", "route53", "ecs", "application-autoscaling", "cloudwatch",
  "backup", "route53-recovery-cluster" }

local known = {}
for _, name in ipairs(services.names) do known[name] = true end

local function open(name)
  local implementation = require("sim.services." .. name:gsub("%-", "_"))
  local m = errors.check("service model " .. name, model.open(name))
  local handlers = {}
  for key, value in pairs(implementation) do
    local operation = type(value) == "function" and m:find(key)
    if operation then handlers[operation] = value end
  end
  return {
    name = name, model = m, protocol = m:metadata().protocol, handlers = handlers,
    implementation = implementation, global = implementation.global or false,
  }
end

-- AWS's services by the name they are signed with: several share one.
local by_signature
local function signed_with(signing_name)
  if not by_signature then
    by_signature = {}
    for _, name in ipairs(model.services()) do
      local metadata = model.open(name):metadata()
      local key = metadata.signing_name or metadata.endpoint_prefix
      by_signature[key] = by_signature[key] or {}
      table.insert(by_signature[key], name)
    end
  end
  return by_signature[signing_name] or {}
end

local function version_asked(request)
  return (request.body or ""):match("%f[^%z&]Version=([%d-]+)")
    or request.target:match("[?&]Version=([%d-]+)")
end

--- A service of AWS that the simulator does not have, so that its calls can be named, met
-- by faults and answered in its own form: as services.find, without handlers; or nil.
function services.foreign(signing_name, request)
  local version, fallback = version_asked(request), nil
  for _, name in ipairs(signed_with(signing_name)) do
    local m = model.open(name)
    local metadata = m:metadata()
    local service = { name = name, model = m, protocol = metadata.protocol, handlers = {},
      implementation = {} }
    fallback = fallback or service
    if (not version or version == metadata.api_version)
      and m:route(request.method, request.target, request.headers, request.body) then
      return service
    end
  end
  return fallback
end

--- The service of a credential scope's name: { name, model, handlers, ... }, or nil.
-- Opened when first asked for: a simulator starts without any.
function services.find(sim, signing_name)
  local name = signed_as[signing_name] or signing_name
  if not known[name] then return nil end
  local service = sim.services[name]
  if not service then
    service = open(name)
    sim.services[name] = service
    sim.state:register(name, service.implementation.new_store)
  end
  return service
end

return services
