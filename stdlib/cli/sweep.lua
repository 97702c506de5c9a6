--- drlua rehearse --sweep: the same rehearsal again and again, each time disturbed at
-- another point, and the ends compared with the undisturbed one.
--
-- Points: every journal write (drlua is killed just before it, and just after it), and
-- every AWS call (broken in several ways). After a disturbance the run is resumed, as an
-- operator would. It must recover to the same end, or stop with a clear sentence;
-- anything else is `wrong`, and there must be none. With --rollback every point is rolled
-- back instead, and the rollback of a whole run is disturbed as well: what was changed
-- must be as it was before, or be on the list of what is left to do by hand. --pairs N adds
-- N points of two disturbances: in the run, then in the resume or the rollback.
local clock = require "native.clock"
local duration = require "duration"
local errors = require "errors"
local fs = require "native.fs"
local points = require "cli.sweep.points"
local stage = require "cli.stage"
local store = require "run.store"
local sys = require "native.sys"
local task = require "task"
local world = require "cli.sweep.world"
local write = require "cli.write"

local sweep = {}

local RESUMES = 5
local SETTLE_SECONDS = 5

local Sweep = {}
Sweep.__index = Sweep

-- A fresh state directory for each try, beside the operator's own.
local function fresh(self)
  self.tries = self.tries + 1
  local path = ("%s/sweep-%d-%04d"):format(self.settings.state, self.settings.seed, self.tries)
  fs.mkdir(path, 448)
  fs.mkdir(path .. "/runs", 448)
  return path
end

local function set(self, faults)
  local settings = {}
  for k, v in pairs(self.settings) do settings[k] = v end
  settings.state, settings.faults, settings.log = fresh(self), faults, function() end
  return stage.set(self.plan, settings)
end

local function arguments(self, s)
  return s:arguments(self.loaded.path, { env = self.parsed.env, params = self.parsed.params })
end

local function failures(expectations)
  local names = {}
  for _, e in ipairs(expectations) do
    if not e.passed then
      table.insert(names, e.name .. (e.detail and " (" .. e.detail .. ")" or ""))
    end
  end
  return names
end

local function entries(s, run)
  local j = store.look(s.state):open_run(run.id, { readonly = true })
  local n = #j:events()
  j:close()
  return n
end

-- What a run is continued with: back where the sweep rolls back.
local function follow_up(s, run, verb, disturbance)
  if disturbance and disturbance.fault then s.sim:fault(disturbance.fault) end
  return s:play({ verb, run.id, "--yes", "--state", s.state }, { quiet = true, id = run.id,
    env = disturbance and disturbance.kill and { DRLUA_KILL_WRITE = disturbance.kill } })
end

-- The undisturbed rollback of a whole run: its writes and calls.
local function measure_rollback(self, s, run)
  local writes, calls = entries(s, run), #s.sim.calls:list()
  local back = follow_up(s, run, "rollback")
  if back.code ~= 0 and back.code ~= 1 then
    error("the undisturbed rollback fails: " .. tostring(back.out), 0)
  end
  self.back = points.disturbances("rollback:", entries(s, back) - writes, s.sim.calls:list(),
    self.parsed.only, calls + 1)
end

-- The undisturbed run: how many writes and calls there are, and what its end is.
local function undisturbed(self)
  local s = set(self, nil)
  local ok, e = pcall(function()
    self.before = world.places(s)
    local run = s:play(arguments(self, s), { with_disasters = true, quiet = true })
    local bad = run.id and failures(s:judge(run)) or { tostring(run.out) }
    if #bad > 0 then error("the undisturbed rehearsal fails: " .. table.concat(bad, "; "), 0) end
    self.writes, self.calls = entries(s, run), s.sim.calls:list()
    self.end_state, self.done = world.fingerprint(s, self.plan), world.done(s)
    if self.parsed.rollback then measure_rollback(self, s, run) end
  end)
  s:strike()
  fs.remove_tree(s.state)
  if not ok then error(e, 0) end
end

local function append(list, more) table.move(more, 1, #more, #list + 1, list) end

local function points_of(self)
  local only = self.parsed.only
  local first = points.disturbances("run:", self.writes, self.calls, only)
  local second = self.back or points.disturbances("resume:", self.writes, self.calls, only)
  local all = points.singles(first, "first")
  if self.back then append(all, points.singles(self.back, "second")) end
  math.randomseed(self.settings.seed)
  all = points.sample(all, tonumber(self.parsed.limit))
  append(all, points.pairs(first, second, tonumber(self.parsed.pairs) or 0))
  return points.number(all)
end

local function is_over(self, run, turn)
  if self.parsed.rollback then
    return turn > 1 and (run.code == 0 or run.out:find("partly rolled back", 1, true) ~= nil)
  end
  return run.code == 0
end

-- Continues the run until it has ended, the first time disturbed. A rollback in progress
-- is continued by `resume`, as a run is.
local function continue(self, s, run, point, outputs)
  for turn = 1, RESUMES do
    if is_over(self, run, turn) then break end
    local verb = self.parsed.rollback and turn == 1 and "rollback" or "resume"
    run = follow_up(s, run, verb, turn == 1 and point.second or nil)
    table.insert(outputs, run.out)
  end
  return run
end

-- Plays the run at one point and continues it as an operator would.
local function play(self, s, point)
  local first = point.first
  local run = s:play(arguments(self, s), { with_disasters = true, quiet = true,
    env = first and first.kill and { DRLUA_KILL_WRITE = first.kill } })
  local outputs = { run.out }
  if not run.id and not self.parsed.rollback then
    -- Killed before there was a run: nothing was done, it is started again.
    run = s:play(arguments(self, s), { quiet = true })
    table.insert(outputs, run.out)
  end
  if run.id then run = continue(self, s, run, point, outputs) end
  run.outputs = outputs
  return run
end

local function ended_badly(run, last)
  if last:find("internal error", 1, true) or last:find("stack traceback", 1, true)
    or run.signal then
    return "ended badly: " .. last:sub(-300)
  end
end

local function stopped(s, run, last)
  local bad = ended_badly(run, last)
  if bad then return "wrong", bad end
  local _, state = s:judge(run)
  if not state.facts.message then return "wrong", "stopped without a reason: " .. last:sub(-300) end
  return "stopped", state.facts.message
end

local function judge_resumed(self, s, run, last)
  local twice = world.repeated(s, self.done)
  if twice then return "wrong", twice end
  if run.code ~= 0 then return stopped(s, run, last) end
  local bad = failures(s:judge(run))
  if #bad > 0 then return "wrong", table.concat(bad, "; ") end
  local difference = world.differs(self.end_state, world.fingerprint(s, self.plan))
  if difference then return "wrong", "the end state differs: " .. difference end
  return "recovered"
end

-- Services whose calls make things in other services.
local makes_in = { backup = { "rds" } }

-- Where the calls lie that a rollback left to do by hand: "rds in us-west-2" -> true.
local function left_places(self, facts)
  local places = {}
  for _, one in ipairs(facts.rollback and facts.rollback.left or {}) do
    local service = one.name and one.name:match("^(.-)%.")
    for _, name in ipairs(service and { service, table.unpack(makes_in[service] or {}) } or {}) do
      places[world.place_of(self.before, name, one.region or "?")] = true
    end
  end
  return places
end

-- What was undone takes AWS a while to settle: how the place differs then, or nil.
local function settles(self, s, place)
  local deadline = clock.monotonic() + SETTLE_SECONDS
  while true do
    local difference = world.differs(self.before[place], world.places(s)[place] or "")
    if not difference or clock.monotonic() >= deadline then return difference end
    task.sleep(0.1)
  end
end

-- What was changed is as it was, or on the list of what is left to do by hand.
local function judge_rolled_back(self, s, run, last)
  local twice = world.repeated(s, self.done)
  if twice then return "wrong", twice end
  local _, state = s:judge(run)
  local outcome = state.facts.outcome
  if outcome ~= "rolled back" and outcome ~= "partly rolled back" then
    return stopped(s, run, last)
  end
  local left = left_places(self, state.facts)
  for place in pairs(world.touched(s, self.before)) do
    local difference = not left[place] and self.before[place] and settles(self, s, place)
    if difference then
      return "wrong", ("after the rollback %s differs: %s"):format(place, difference)
    end
  end
  return "recovered"
end

local function verdict(self, s, run)
  local last = run.outputs[#run.outputs] or ""
  if not run.id then
    if self.parsed.rollback and not next(world.touched(s, self.before)) then return "recovered" end
    return "wrong", "no run: " .. last:sub(-200)
  end
  return (self.parsed.rollback and judge_rolled_back or judge_resumed)(self, s, run, last)
end

local function try(self, point)
  local fault = point.first and point.first.fault
  local s = set(self, fault and { fault } or nil)
  local ok, outcome, why = pcall(function()
    local run = play(self, s, point)
    if self.parsed.point then write.err(table.concat(run.outputs, "\n-- continued\n"), "\n") end
    return verdict(self, s, run)
  end)
  if not ok then outcome, why = "wrong", tostring(outcome) end
  s:strike()
  if outcome == "wrong" or self.parsed.point then
    point.kept = s.state
  else
    fs.remove_tree(s.state)
  end
  return outcome, why
end

local function report_point(self, point, outcome, why)
  if self.parsed.output == "json" then
    write.json { event = "note", point = point.what, number = point.number,
      outcome = outcome, text = why, kept = point.kept, time = clock.format(clock.now(), "rfc3339"),
      run = "sweep" }
  elseif outcome ~= "recovered" then
    write.err(("%-9s point %d, %s: %s%s\n"):format(outcome, point.number, point.what, why or "",
      point.kept and " [" .. point.kept .. "]" or ""))
  end
end

local function chosen(self, all)
  if not self.parsed.point then return all end
  local one = all[math.tointeger(tonumber(self.parsed.point)) or 0]
  if one then return { one } end
  errors.raise { kind = "usage",
    message = ("--point %s: the sweep has points 1 to %d"):format(tostring(self.parsed.point),
      #all) }
end

--- Runs the sweep; 0 when nothing was wrong.
function sweep.run(parsed, loaded, plan, settings)
  local self = setmetatable({ parsed = parsed, loaded = loaded, plan = plan, settings = settings,
    tries = 0 }, Sweep)
  local began = clock.monotonic()
  undisturbed(self)
  local all = points_of(self)
  local list = chosen(self, all)
  write.err(("sweep of %s%s: %d journal writes, %d AWS calls; %d points, seed %d\n"):format(
    loaded.definition.title, parsed.rollback and ", rolled back" or "", self.writes, #self.calls,
    #list,
    settings.seed))
  local counts, jobs = { recovered = 0, stopped = 0, wrong = 0 }, {}
  for i, point in ipairs(list) do
    jobs[i] = function()
      local outcome, why = try(self, point)
      counts[outcome] = counts[outcome] + 1
      report_point(self, point, outcome, why)
    end
  end
  task.all(jobs, { limit = tonumber(parsed.jobs) or sys.cpus() })
  write.out(("points tried    %d\n%-15s %d\nstopped safely  %d\nwrong           %d\n"):format(#list,
    parsed.rollback and "rolled back" or "recovered", counts.recovered, counts.stopped,
    counts.wrong))
  write.out(("seed %d, %s\n"):format(settings.seed, duration.format(clock.monotonic() - began)))
  return counts.wrong == 0 and 0 or 1
end

return sweep
