--- The simulator's own interface under /_sim/: the call log, faults, worlds,
-- state, writers, sinks, the clock. JSON; docs/simulator.md lists it, guard.lua has who
-- may use it.
local auth = require "sim.auth"
local errors = require "errors"
local faults = require "sim.faults"
local fields = require "sim.fields"
local guard = require "sim.guard"
local json = require "native.json"

local admin = {}

local function answer(status, value)
  return { status = status, headers = { { "Content-Type", "application/json" } },
    body = json.encode(value) .. "\n" }
end

local function refusal(status, text)
  return answer(status, { error = text })
end

local function array(list) return json.array(list) end

local function decode(body)
  local value, message = json.decode(body)
  if value == nil then
    errors.raise { kind = "invalid", message = "not JSON: " .. tostring(message) }
  end
  return value
end

-- A body that is a JSON object with these fields (see fields.check).
local function object(what, body, known)
  local value = decode(body)
  fields.check(what, value, known)
  return value
end

local function unescape(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)",
    function(hex) return string.char(tonumber(hex, 16)) end))
end

local function parameters(query)
  local found = {}
  for name, value in (query or ""):gmatch("([^&=]+)=([^&]*)") do
    found[unescape(name)] = unescape(value)
  end
  return found
end

local routes = {}

routes["GET calls"] = function(sim, _, query)
  local list = sim.calls:list(query)
  for _, call in ipairs(list) do
    call.done = nil -- for rehearsals, which count effects; the log has a fixed form
    for _, member in ipairs { "account", "region", "service", "operation", "error" } do
      if call[member] == nil then call[member] = json.null end
    end
  end
  return answer(200, array(list))
end

routes["DELETE calls"] = function(sim)
  sim.calls:clear()
  return answer(200, {})
end

routes["GET faults"] = function(sim)
  return answer(200, array(sim.faults:describe()))
end

routes["POST faults"] = function(sim, body)
  local list = decode(body)
  if type(list) == "table" and list.kind then list = { list } end
  fields.expect("the body", list, "items")
  local ids = {}
  for _, fault in ipairs(list) do faults.validate(fault) end
  for _, fault in ipairs(list) do table.insert(ids, sim:fault(fault)) end
  return answer(200, { ids = array(ids) })
end

routes["DELETE faults"] = function(sim, _, query)
  sim:clear_faults(query.id)
  return answer(200, {})
end

routes["POST world"] = function(sim, body)
  sim:load(decode(body))
  return answer(200, {})
end

routes["GET state"] = function(sim)
  return answer(200, admin.inspect(sim))
end

routes["POST clock"] = function(sim, body)
  local wish = object("the clock", body, { speed = "positive", advance = "seconds" })
  if wish.speed then sim.clock:set_speed(wish.speed) end
  if wish.advance then sim.clock:advance(wish.advance) end
  return answer(200, { elapsed = sim.clock:elapsed(), speed = sim.clock.speed })
end

routes["GET clock"] = function(sim)
  return answer(200,
    { elapsed = sim.clock:elapsed(), speed = sim.clock.speed, now = sim.clock:now() })
end

routes["POST writers"] = function(sim, body)
  return answer(200, sim:writer(decode(body)):ledger())
end

routes["GET writers"] = function(sim, _, _, name)
  local writer = sim.writers[name]
  if not writer then return refusal(404, "no writer " .. tostring(name)) end
  return answer(200, writer:ledger())
end

routes["DELETE writers"] = function(sim, _, _, name)
  local writer = sim.writers[name]
  if not writer then return refusal(404, "no writer " .. tostring(name)) end
  writer:stop()
  return answer(200, writer:ledger())
end

routes["POST sql"] = function(sim, body)
  local wish = object("the body", body, { instance = "text!", sql = "text!", region = "text",
    account = "text", dbname = "text" })
  local result = sim:instance(wish.instance, wish):ask(wish.sql, wish.dbname)
  return answer(200,
    { columns = array(result.columns), rows = array(result.rows), command = result.command })
end

-- A sink takes whatever is posted to it (webhooks, pages) and shows it later. A request
-- with the Idempotency-Key of an earlier one is that one: it is answered, not kept.
routes["POST sink"] = function(sim, body, _, name, http)
  local sink, key = sim.sinks[name] or {}, auth.header(http, "idempotency-key")
  sim.sinks[name] = sink
  for _, kept in ipairs(sink) do
    if key and kept.key == key then return answer(200, { ok = true }) end
  end
  table.insert(sink, { time = sim.clock:now(), body = body, key = key })
  return answer(200, { ok = true })
end

routes["GET sink"] = function(sim, _, _, name)
  return answer(200, array(sim.sinks[name] or {}))
end

-- The health of what a world says: see world.lua's `health`.
routes["GET health"] = function(sim, _, _, name)
  local probe = sim.health and sim.health[name]
  if not probe then return refusal(404, "no health endpoint " .. tostring(name)) end
  local healthy, why = probe(sim)
  return answer(healthy and 200 or 503, { status = healthy and "ok" or "unhealthy", reason = why })
end

--- Everything there is, as data: { SERVICE = { ACCOUNT = { REGION = ... } }, ... }.
function admin.inspect(sim)
  local seen = { dead_regions = {}, writers = {}, elapsed = sim.clock:elapsed() }
  sim.state:each(nil, function(account, region, store, service)
    local inspect = sim.services[service] and sim.services[service].implementation.inspect
    if not inspect then return end
    seen[service] = seen[service] or {}
    seen[service][account] = seen[service][account] or {}
    seen[service][account][region] = inspect(store, sim)
  end)
  for region, dead in pairs(sim.dead_regions) do seen.dead_regions[region] = dead.mode end
  for name, writer in pairs(sim.writers) do seen.writers[name] = writer:ledger() end
  return seen
end

-- What a failed route is answered with: errors of ours are sentences for the caller;
-- anything else is a fault of the simulator, and its insides go to the log only.
local function failure(sim, what, e)
  if errors.is(e) and e.kind ~= "lua" and e.kind ~= "misuse" then return refusal(400, e.message) end
  sim:log(("%s failed inside: %s"):format(what, tostring(e)))
  return refusal(500, what .. " failed inside the simulator; its log says more")
end

local function dispatch(sim, http)
  local path, query = http.target:match("^/_sim/([^?]*)%??(.*)$")
  query = parameters(query)
  local status, why = guard.refuses(sim, http, query)
  if status then return refusal(status, why) end
  local first, rest = path:match("^([^/]+)/?(.*)$")
  local name = ("%s /_sim/%s"):format(http.method, first or "")
  local route = routes[http.method .. " " .. tostring(first)]
  if not route then return refusal(404, ("no %s /_sim/%s here"):format(http.method, path)) end
  local ok, result = pcall(route, sim, http.body, query, unescape(rest), http)
  return ok and result or failure(sim, name, result)
end

--- Answers one request.
function admin.serve(sim, http)
  http:respond(dispatch(sim, http))
end

return admin
