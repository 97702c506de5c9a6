--- The simulator: AWS as a playbook meets it, on this machine.
--
--     local sim = require "sim"
--     local s = sim.start { world = world, speed = 60 }
--     ... s.url ...
--     s:fault { kind = "region_down", region = "us-east-1" }
--     s:stop()
--
-- One HTTP port answers for every service and region; RDS instances are real
-- PostgreSQL clusters on loopback addresses. It runs as tasks of the caller's
-- loop, so `drlua rehearse` has it in its own process.
local admin = require "sim.admin"
local auth = require "sim.auth"
local calls = require "sim.calls"
local clock = require "sim.clock"
local durations = require "sim.durations"
local errors = require "errors"
local faults = require "sim.faults"
local front = require "sim.front"
local guard = require "sim.guard"
local host = require "sim.host"
local postgres = require "sim.postgres"
local regions = require "sim.regions"
local server = require "native.server"
local services = require "sim.services"
local signal = require "native.signal"
local state = require "sim.state"
local task = require "task"
local world = require "sim.world"
local writers = require "sim.writers"

local sim = {}

local Sim = {}
Sim.__index = Sim

-- xorshift64: the simulator's randomness is its own and repeatable.
local function generator(seed)
  local x = seed ~ 0x2545F4914F6CDD1D
  if x == 0 then x = 1 end
  return function()
    x = x ~ (x << 13)
    x = x ~ (x >> 7)
    x = x ~ (x << 17)
    return (x >> 11) / (1 << 53)
  end
end

local options_known = { listen = true, world = true, speed = true, seed = true, data_dir = true,
  log = true,
  token = true, open_to_network = true, durations = true }

local function check_options(options)
  for name in pairs(options) do
    if not options_known[name] then
      errors.misuse(3,
        "sim.start has no option \"%s\"; known: data_dir durations listen log open_to_network "
        .. "seed speed token world", tostring(name))
    end
  end
  if options.token and not options.token:find("^[%w._~+/=-]+$") or options.token
    and #options.token < 8 then
    errors.raise { kind = "invalid",
      message = "the simulator's token (DRLUA_SIM_TOKEN) must have at least 8 "
      .. "characters, letters, digits and . _ ~ + / = - only" }
  end
end

local function listen(where, open_to_network)
  local address, port = (where or "127.0.0.1:0"):match("^%[?([^%]]-)%]?:(%d+)$")
  if not address or tonumber(port) > 65535 then
    errors.raise { kind = "invalid",
      message = ("--listen expects HOST:PORT (port 0 to 65535), not %s"):format(tostring(where)) }
  end
  if not guard.loopback(address) and not open_to_network then
    errors.raise { kind = "invalid",
      message = ("--listen %s would open the simulator to other machines, and everybody knows "
        .. "its key test/test; listen on 127.0.0.1, or add --open-to-network"):format(where) }
  end
  if address == "localhost" then address = "127.0.0.1" end
  local srv, message, kind = server.listen { host = address, port = math.tointeger(tonumber(port)) }
  if not srv then errors.raise { kind = kind, message = ("cannot %s"):format(message) } end
  return srv, address
end

--- Starts a simulator; must be called in a task. options (all optional): listen
-- "HOST:PORT" (port 0: any), world (a table, see docs/simulator.md), speed (virtual
-- seconds per second; 60), seed, data_dir (where the databases' root is made),
-- log (function(text); default: to stderr), token (for changes under /_sim/; default: a
-- random one), durations (see sim.durations; default: the world's, else typical),
-- open_to_network (true: `listen` may name an address that other machines
-- reach).
function sim.start(options)
  options = options or {}
  check_options(options)
  local self = setmetatable({
    clock = clock.new(options.speed or 60), calls = calls.new(), state = state.new(),
    keys = auth.new(), default_account = auth.default_account, services = {}, dead_regions = {},
    quotas = { instances = 40, snapshots = 100, snapshot_copies = 20 },
    requests = {}, instances = {}, status_lag = 0, scheduled = {}, tasks = {}, writers = {},
    sinks = {}, policies = {}, health = {}, seed = options.seed or os.time(),
    write_log = options.log, token = options.token
    or guard.token(),
    open_to_network = options.open_to_network or false,
    durations = durations.profile(options.durations), durations_given = options.durations ~= nil,
  }, Sim)
  self.random = generator(self.seed)
  self.faults = faults.new(self.random)
  self.admin = admin.serve
  local address
  self.server, address = listen(options.listen, self.open_to_network)
  if not guard.loopback(address) then
    self:log(("warning: %s is open to other machines: whoever reaches it can use the simulated "
      .. "accounts with the key test/test; /_sim/ needs the token, for reads too")
      :format(options.listen))
  end
  local opened, made = pcall(host.open, { data_dir = options.data_dir })
  if not opened then
    self.server:close()
    error(made, 0)
  end
  self.host = made
  self.port = self.server.port
  self.url = ("http://%s:%d"):format(address:find(":", 1, true) and "[" .. address .. "]"
    or address, self.port)
  self.front = task.spawn(front.run, self)
  self:background("sweep", function() self.host:sweep() end)
  if options.world then
    local ok, e = pcall(self.load, self, options.world)
    if not ok then
      self:stop()
      error(e, 0)
    end
  end
  return self
end

--- Writes a line for the person who runs the simulator.
function Sim:log(text)
  if self.write_log then return self.write_log(text) end
  io.stderr:write("sim: ", require("text").printable(text), "\n")
end

--- Runs fn as a task that ends with the simulator; its failure is logged.
function Sim:background(what, fn)
  local t
  t = task.spawn(function()
    local ok, e = pcall(fn)
    self.tasks[t] = nil
    if not ok and not self.stopping and errors.from(e).kind ~= "cancelled" then
      self:log(what .. ": " .. tostring(e))
    end
    if not ok then error(e, 0) end
  end)
  self.tasks[t] = what
  return t
end

--- Opens a service that has not been asked for yet, so that its stores can be made.
function Sim:open_service(name) return services.find(self, name) end

--- Seconds of AWS's time that a change takes; id and gigabytes as sim.durations has them.
function Sim:takes(id, gigabytes) return self.durations:seconds(id, gigabytes) end

--- The version of PostgreSQL behind the instances.
function Sim:postgres_version() return postgres.version(self.host) end

--- Loads a world into the running simulator; waits until all in it stands.
function Sim:load(description) return world.load(self, description) end

-- What faults do at once, beside striking calls.
local applied = {
  region_down = { regions.fail, regions.heal },
  instance_down = { regions.fail_instance, regions.heal_instance },
  instance_status = { regions.hold_instance, regions.release_instance },
  replication_cut = { regions.cut_instance, regions.heal_instance_link },
}

local function apply(self, fault, id)
  self.scheduled[id] = nil
  self.faults:add(fault, id)
  local effect = applied[fault.kind]
  if effect then effect[1](self, fault) end
end

--- Adds a fault (see sim.faults and docs/simulator.md); returns its id. With `at` =
-- virtual seconds it begins then.
function Sim:fault(fault)
  faults.validate(fault)
  if fault.instance and not fault.at then self:instance(fault.instance, fault) end
  local id = self.faults:id(fault)
  if fault.at then
    self.scheduled[id] = self.clock:after(fault.at, function()
      self:background("fault " .. fault.kind, function() apply(self, fault, id) end)
    end)
  else
    apply(self, fault, id)
  end
  return id
end

--- Ends the fault with this id, or all; what they broke at once is healed.
function Sim:clear_faults(id)
  for waiting, timer in pairs(self.scheduled) do
    if id == nil or id == waiting then
      self.clock:forget(timer)
      self.scheduled[waiting] = nil
    end
  end
  for _, fault in ipairs(self.faults:remove(id)) do
    local effect = applied[fault.kind]
    if effect then effect[2](self, fault) end
  end
end

--- The RDS instance record of that identifier: in the default account, in
-- options.region or, when left out, the one region that has it.
function Sim:instance(id, options)
  options = options or {}
  local found
  self.state:each("rds", function(account, region, store)
    local fits = (not options.account or account == options.account)
      and (not options.region or region == options.region)
    found = found or (fits and store.instances[id]) or nil
  end)
  if not found then
    errors.raise { kind = "missing", message = ("the simulator has no DB instance %s%s"):format(id,
      options.region and " in " .. options.region or "") }
  end
  return found
end

--- Runs SQL in an instance as the superuser; options: { region, account, params,
-- dbname }. Returns the result of native.pq.
function Sim:sql(id, text, options)
  options = options or {}
  return self:instance(id, options):sql(text, options.params, options.dbname)
end

--- What a name server of the default account's zones answers: a list of values. DNS is a
-- data plane: it answers whatever region is down.
function Sim:resolve(name, kind)
  local route53 = self:open_service("route53").implementation
  return route53.resolve_name(self.state:store(self.default_account, "global", "route53"), name,
    kind)
end

--- Starts a writer: see sim.writers. Returns it.
function Sim:writer(options) return writers.start(self, options) end

--- The URL of a sink for webhooks: POST keeps what arrives (see docs/simulator.md). Its
-- key opens this sink only.
function Sim:sink_url(name)
  return ("%s/_sim/sink/%s?key=%s"):format(self.url, name, guard.sink_key(self.token, name))
end

--- Everything that is there, as data: what GET /_sim/state answers.
function Sim:inspect() return admin.inspect(self) end

-- Cancels what goes on in the background, and requests without an answer: but not
-- the task that asks for the end.
local function end_tasks(self)
  local list = {}
  for t in pairs(self.tasks) do table.insert(list, t) end
  for t in pairs(self.requests) do
    if t ~= task.current() then table.insert(list, t) end
  end
  for _, t in ipairs(list) do t:cancel() end
  for _, t in ipairs(list) do pcall(t.wait, t) end
end

local function end_instances(self)
  local list = {}
  for instance in pairs(self.instances) do
    table.insert(list, function() pcall(instance.destroy, instance) end)
  end
  task.all(list)
end

--- Ends the simulator and everything that it started.
function Sim:stop()
  if self.stopping then return end
  self.stopping = true
  for _, writer in pairs(self.writers) do writer:stop() end
  self.clock:close()
  end_tasks(self)
  self.server:close()
  self.front:cancel()
  pcall(self.front.wait, self.front)
  end_instances(self)
  self.host:close_clusters()
  self.host:close()
end

--- `drlua sim`: starts, says where it listens, and ends at SIGTERM or SIGINT.
-- options: as sim.start; without a token one is made and printed.
function sim.serve(options)
  local asked = signal.next { "INT", "TERM" }
  local description = options.world
  options.world = nil
  local self = sim.start(options)
  local token = options.token and "" or ("token %s\n"):format(self.token)
  -- A signal ends it while its world is still being made, too.
  local ok, e = pcall(task.race, {
    function() task.await(asked) end,
    function()
      if description then self:load(description) end
      io.stdout:write(token, "listening on ", self.url, "\n")
      io.stdout:flush()
      task.condition().wait()
    end,
  })
  self:stop()
  if not ok then error(e, 0) end
end

return sim
