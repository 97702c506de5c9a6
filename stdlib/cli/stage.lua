--- The stage of a rehearsal: the simulator with a world in it, and a drlua of its own
-- that plays the playbook against it.
--
-- The simulator lives in this process. The run is a child, this same binary, with
-- AWS_ENDPOINT_URL pointing here: it goes exactly the way that a real run goes, and it
-- can be killed and resumed. A rehearsal file is a Lua table:
--
--   world       a world of the simulator (docs/simulator.md), or a function giving one
--   env         name of an environment; params: values on top, or function(stage)
--   secrets     name -> value, handed over by a pipe, never by argument or environment
--   environment variables for the child: name -> value
--   speed       virtual seconds per second (default 60)
--   warmup      how long writers run before anything happens ("1s")
--   before      function(stage), when the world stands
--   disaster    a fault, a list of faults, or function(stage); each fault may have
--               at = { step = "Name", moment = "started" | "succeeded", after = "2s" }
--               (default: before the run begins)
--   faults      faults that are there from the beginning
--   outcome     how the run should end: "succeeded" (default), "failed", "paused"
--   expect      function(state): calls state.expect(name, condition, detail)
--   fingerprint function(stage): plain data that a sweep compares with the
--               undisturbed run's
local clock = require "native.clock"
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local fs = require "native.fs"
local gate = require "run.gate"
local nearest = require "nearest"
local process = require "native.process"
local report = require "run.report"
local sandbox = require "run.sandbox"
local sim = require "sim"
local store = require "run.store"
local sys = require "native.sys"
local task = require "task"
local value = require "run.value"

local stage = {}
stage.__index = stage

local fields = { "before", "disaster", "env", "environment", "expect", "faults", "fingerprint",
  "outcome", "params",
  "secrets", "speed", "title", "warmup", "world" }

local function wrong(path, text, ...)
  errors.raise { kind = "usage", message = ("%s: %s"):format(path, text:format(...)) }
end

--- Reads a rehearsal file and checks its fields.
function stage.read(path)
  gate.install()
  local plan = sandbox.new():load(path, gate.load)
  if type(plan) ~= "table" then wrong(path, "a rehearsal returns a table, not a %s", type(plan)) end
  for key in pairs(plan) do
    local known = false
    for _, name in ipairs(fields) do known = known or key == name end
    if not known then
      wrong(path, "unknown field %s%s", tostring(key), nearest.hint(tostring(key), fields))
    end
  end
  if not plan.world then wrong(path, "it needs a world") end
  plan.path = path
  return plan
end

local function value_of(given, ...)
  if type(given) == "function" then return given(...) end
  return given
end

--- Sets the stage: simulator, world, faults. options: speed, seed, faults (on top),
-- policies and durations (instead of the world's), state (path of the state directory), log.
function stage.set(plan, options)
  local self = setmetatable({ plan = plan, seed = options.seed, state = options.state, runs = {} },
    stage)
  self.speed = options.speed or plan.speed or 60
  self.sim = sim.start { speed = self.speed, seed = options.seed, log = options.log,
    durations = options.durations }
  self.url = self.sim.url
  local ok, e = xpcall(function()
    self.sim:load(value_of(plan.world, self))
    self.sim.policies = options.policies or self.sim.policies
    if plan.before then plan.before(self) end
    if next(self.sim.writers) then task.sleep(duration.parse(plan.warmup or "1s")) end
    for _, fault in ipairs(plan.faults or {}) do self.sim:fault(fault) end
    for _, fault in ipairs(options.faults or {}) do self.sim:fault(fault) end
  end, control.handler)
  if not ok then
    self.sim:stop()
    error(e, 0)
  end
  return self
end

--- Takes the stage down.
function stage:strike()
  self.sim:stop()
end

local function disasters(plan)
  local given = plan.disaster
  if given == nil then return {} end
  if type(given) == "function" then return { { act = given } } end
  if given.kind or given.act then return { given } end
  return given
end

local function happen(self, one)
  if one.act then
    one.act(self)
  else
    local fault = {}
    for k, v in pairs(one) do if k ~= "at" then fault[k] = v end end
    self.sim:fault(fault)
    -- With cut_first the region lives on for a while: the disaster is its death.
    while fault.kind == "region_down" and not self.sim.dead_regions[fault.region] do
      task.sleep(0.02)
    end
  end
  self.struck_at = self.struck_at or clock.now()
end

--- What happens before the run begins. Returns the disasters that wait for a step.
function stage:begin_disasters()
  local later = {}
  for _, one in ipairs(disasters(self.plan)) do
    if type(one) == "table" and type(one.at) == "table" then
      table.insert(later, one)
    else
      happen(self, one)
    end
  end
  return later
end

local moments = { started = "step_started", succeeded = "step_succeeded", failed = "step_failed" }

-- Follows the child's journal and lets disasters happen at their step.
local function follow(self, run, later)
  local last = 0
  while #later > 0 do
    local j = run.journal
    for _, event in ipairs(j and j:events(last) or {}) do
      last = event.seq
      for i = #later, 1, -1 do
        local at = later[i].at
        local here = event.path == at.step or event.path:match("([^/]*)$") == at.step
        if here and event.kind == moments[at.moment or "started"] then
          local one = table.remove(later, i)
          if at.after then task.sleep(duration.parse(at.after)) end
          happen(self, one)
        end
      end
    end
    task.sleep(0.02)
  end
end

local function ids(state)
  local found = {}
  for _, id in ipairs(fs.list(state .. "/runs") or {}) do found[id] = true end
  return found
end

local function open_run(self, id, options) return store.look(self.state):open_run(id, options) end

-- Waits until the child's run is on record; sets run.id and run.journal.
local function find_run(self, run, before)
  while not run.ended do
    for id in pairs(ids(self.state)) do
      if not before[id] then
        local ok, j = pcall(open_run, self, id, { readonly = true })
        local known, owner = pcall(function() return ok and j:meta("process") end)
        if ok and known and owner and owner.pid == run.pid then
          run.id, run.journal = id, j
          return
        end
        if ok then j:close() end
      end
    end
    task.sleep(0.02)
  end
end

local function environment_of(self, extra)
  local env = { AWS_ENDPOINT_URL = self.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test", AWS_SESSION_TOKEN = false, AWS_PROFILE = false,
    AWS_REGION = sys.getenv("AWS_REGION") or "us-east-1",
    AWS_EC2_METADATA_DISABLED = "true", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null",
    DRLUA_REHEARSAL = "1", DRLUA_SECRETS = "stdin" }
  for name, v in pairs(value_of(self.plan.environment, self) or {}) do env[name] = v end
  for name, v in pairs(extra or {}) do env[name] = v end
  return env
end

local function slurp(proc, stream)
  local parts = {}
  while true do
    local data = task.await(proc:read(stream))
    if not data then return table.concat(parts) end
    table.insert(parts, data)
  end
end

--- Runs drlua with these arguments on the stage. options: env, quiet (output is kept in
-- run.out instead of shown), with_disasters. Returns { id, code, signal, out }.
function stage:play(arguments, options)
  options = options or {}
  local argv = { sys.exe(), table.unpack(arguments) }
  local shown = options.quiet and "pipe" or "inherit"
  local later = options.with_disasters and self:begin_disasters() or {}
  local before = ids(self.state)
  local proc <close> = errors.check("start drlua",
    process.start { argv = argv, env = environment_of(self, options.env),
    stdin = "pipe", stdout = shown, stderr = options.quiet and "stdout" or "inherit",
    die_with_parent = true })
  local run = { pid = proc.pid, id = options.id }
  self.child = proc
  -- One that ends at once does not read it: its end is looked at below.
  task.await(proc:write(value.encode(value_of(self.plan.secrets, self) or {})))
  proc:close_stdin()
  local watcher = task.spawn(function()
    if not options.id then find_run(self, run, before) end
    if #later > 0 then follow(self, run, later) end
  end)
  if options.quiet then run.out = slurp(proc, "stdout") end
  local ended = task.await(proc:wait())
  run.ended = true
  if not run.id and not ended.signal then pcall(watcher.wait, watcher) else watcher:cancel() end
  pcall(watcher.wait, watcher)
  self.child = nil
  if run.journal then run.journal:close() end
  run.code, run.signal = ended.code, ended.signal
  run.id = run.id or next((function()
    local new = ids(self.state)
    for id in pairs(before) do new[id] = nil end
    return new
  end)())
  return run
end

--- The arguments of `drlua run` for the plan: playbook, environment, parameters.
function stage:arguments(playbook_path, given)
  local arguments = { "run", playbook_path, "--yes", "--state", self.state }
  local env_name = given.env or self.plan.env
  if env_name then
    table.insert(arguments, "--env")
    table.insert(arguments, env_name)
  end
  local values = {}
  for k, v in pairs(value_of(self.plan.params, self) or {}) do values[k] = v end
  for k, v in pairs(given.params or {}) do values[k] = v end
  local names = {}
  for name in pairs(values) do table.insert(names, name) end
  table.sort(names)
  for _, name in ipairs(names) do
    local v = values[name]
    table.insert(arguments, "--set")
    table.insert(arguments,
      ("%s=%s"):format(name, type(v) == "table" and value.encode(v) or tostring(v)))
  end
  return arguments
end

local function truth(condition)
  if type(condition) ~= "function" then return condition end
  local result = table.pack(pcall(condition))
  if not result[1] then return false, tostring(result[2]) end
  return result[2], result[3]
end

-- What `expect` gets: the stage, the run as its journal tells it, and words to look.
local function look(self, run)
  local list = {}
  local j = open_run(self, run.id, { readonly = true })
  local facts = report.facts(j)
  j:close()
  local state = { stage = self, sim = self.sim, run = run, facts = facts, measures = facts.measures,
    outcome = facts.outcome or facts.status, rto = facts.rto }
  function state.expect(name, condition, detail)
    local ok, why = truth(condition)
    table.insert(list, { name = name, passed = ok and true or false,
      detail = not ok and (why and tostring(why) or detail) or nil })
    return ok
  end
  function state.calls(match) return self.sim.calls:list(match) end
  function state.count(service, operation, region)
    local n = 0
    for _, call in ipairs(self.sim.calls:list { service = service, operation = operation,
      region = region }) do
      if call.done then n = n + 1 end
    end
    return n
  end
  function state.rows(instance, text, options) return self.sim:sql(instance, text, options).rows end
  function state.value(instance, text, options)
    local rows = state.rows(instance, text, options)
    return rows[1] and rows[1][1]
  end
  function state.step(path) return facts.by_path[path] end
  return state, list
end

--- Asks whether the end is as the rehearsal expects: a list of { name, passed, detail }.
function stage:judge(run)
  local state, list = look(self, run)
  local wanted = self.plan.outcome or "succeeded"
  state.expect("the run " .. wanted, state.outcome == wanted, "it " .. tostring(state.outcome)
    .. (state.facts.message and ": " .. state.facts.message or ""))
  if self.plan.expect then
    local ok, e = xpcall(self.plan.expect, control.handler, state)
    if not ok then
      table.insert(list,
        { name = "the expectations themselves", passed = false, detail = tostring(e) })
    end
  end
  return list, state
end

--- Writes the verdict into the run's journal and its report.
function stage:record(run, expectations)
  local directory = ("%s/runs/%s"):format(self.state, run.id)
  local j = open_run(self, run.id)
  j:add("rehearsal", "", { world = self.plan.title or self.plan.path, seed = self.seed,
    disaster = self.struck_at and clock.format(self.struck_at, "rfc3339") or "none",
    expectations = expectations,
    actions = self.sim.calls:list() })
  fs.write(directory .. "/report.md", report.markdown(report.facts(j)),
    { mode = 384, atomic = true })
  j:close()
  return directory .. "/report.md"
end

return stage
