--- drlua rehearse --sweep: the same rehearsal again and again, each time disturbed at
-- another point, and the ends compared with the undisturbed one.
--
-- Points: every journal write (drlua is killed just before it, and just after it), and
-- every AWS call (broken in each of the ways below). After a disturbance the run is
-- resumed, as an operator would. It must recover to the same end, or stop with a
-- clear sentence; anything else is `wrong`, and there must be none.
local duration = require "duration"
local clock = require "native.clock"
local fs = require "native.fs"
local stage = require "cli.stage"
local store = require "run.store"
local sys = require "native.sys"
local task = require "task"
local value = require "run.value"
local write = require "cli.write"

local sweep = {}

-- Ways to break a call. `after` and `count` are added: this one call, once.
local breaks = {
  { name = "throttled", fault = { kind = "throttle" } },
  { name = "500 before the effect", fault = { kind = "error", status = 500, code = "InternalFailure" } },
  { name = "500 after the effect", fault = { kind = "error", status = 500, code = "InternalFailure", effect = true } },
  { name = "reset before the effect", fault = { kind = "reset", when = "before" } },
  { name = "reset after the effect", fault = { kind = "reset", when = "after" } },
  { name = "lost answer", fault = { kind = "lost" } },
  { name = "expired credentials", fault = { kind = "expired" } },
  -- Long enough that no retry inside the call saves it: the step fails, and is resumed.
  { name = "12 times 500", fault = { kind = "error", status = 500, code = "InternalFailure" }, count = 12 },
}

local RESUMES = 4

local volatile = { elapsed = true, writers = true, LatestRestorableTime = true, time = true,
  -- Logs of what was asked for: asking twice for the same is seen in them, and changes nothing.
  events = true, changes = true }

-- A text that is another one in every run: an id, a time, an address with its port.
local function is_made_up(text)
  return text:find("%d%d%d%d") ~= nil or text:find("%d+%.%d+%.%d+%.%d+") ~= nil
    or text:find("%x%x%x%x%x%x%x%x%-%x%x%x%x%-") ~= nil
end

-- The form of a state: names and statuses, without times, ids, ports and counts.
local function form(v)
  if type(v) == "number" then return "n" end
  if type(v) == "string" then return is_made_up(v) and "s" or v end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  for k, item in pairs(v) do
    if not volatile[k] then
      local name = math.type(k) and "" or tostring(k)
      local key = (is_made_up(name) or name:find("%x%x%x%x%x%x")) and "*" or name
      table.insert(parts, key .. "=" .. form(item))
    end
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Calls that change something and must not have happened more often than undisturbed.
local once = { "^Create", "^Start", "^Restore", "^Promote", "^Reboot", "^Delete", "^Run", "^Copy", "^Failover" }

local function only_once(operation)
  for _, pattern in ipairs(once) do if operation:find(pattern) then return true end end
  return false
end

local function done_calls(s)
  local counts = {}
  for _, call in ipairs(s.sim.calls:list()) do
    if call.mutating and call.done and only_once(call.operation or "") then
      local key = ("%s.%s in %s"):format(call.service, call.operation, call.region)
      counts[key] = (counts[key] or 0) + 1
    end
  end
  return counts
end

local function fingerprint(s, plan)
  if plan.fingerprint then return value.encode(plan.fingerprint(s)) end
  return form(s.sim:inspect())
end

local function failures(expectations)
  local names = {}
  for _, e in ipairs(expectations) do
    if not e.passed then table.insert(names, e.name .. (e.detail and " (" .. e.detail .. ")" or "")) end
  end
  return names
end

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

local function throw_away(path)
  local function remove(p)
    for _, name in ipairs(fs.list(p) or {}) do remove(p .. "/" .. name) end
    fs.remove(p)
  end
  remove(path)
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

-- The undisturbed run: how many writes and calls there are, and what its end is.
local function undisturbed(self)
  local s = set(self, nil)
  local ok, e = pcall(function()
    local run = s:play(arguments(self, s), { with_disasters = true, quiet = true })
    local bad = run.id and failures(s:judge(run)) or { tostring(run.out) }
    if #bad > 0 then error("the undisturbed rehearsal fails: " .. table.concat(bad, "; "), 0) end
    local journal = store.look(s.state):open_run(run.id, { readonly = true })
    self.writes = #journal:events()
    journal:close()
    self.calls = s.sim.calls:list()
    self.end_state, self.done = fingerprint(s, self.plan), done_calls(s)
  end)
  s:strike()
  throw_away(s.state)
  if not ok then error(e, 0) end
end

local function points_of(self)
  local points = {}
  if self.parsed.only ~= "calls" then
    for n = 1, self.writes do
      table.insert(points, { what = ("killed before journal write %d"):format(n), kill = "before:" .. n })
      table.insert(points, { what = ("killed after journal write %d"):format(n), kill = "after:" .. n })
    end
  end
  if self.parsed.only ~= "writes" then
    for n, call in ipairs(self.calls) do
      for _, one in ipairs(breaks) do
        -- A read has no effect that could come before its end.
        if call.mutating or not one.name:find("after the effect", 1, true) then
          local fault = { after = n - 1, count = one.count or 1 }
          for k, v in pairs(one.fault) do fault[k] = v end
          local what = ("call %d (%s.%s): %s"):format(n, call.service, tostring(call.operation), one.name)
          table.insert(points, { what = what, fault = fault })
        end
      end
    end
  end
  return points
end

-- `limit` of the points, chosen by the seed, in their order.
local function sample(points, limit, seed)
  if not limit or limit >= #points then return points end
  math.randomseed(seed)
  local indexes, chosen = {}, {}
  for i = 1, #points do indexes[i] = i end
  for i = 1, limit do
    local j = math.random(i, #indexes)
    indexes[i], indexes[j] = indexes[j], indexes[i]
  end
  indexes = table.move(indexes, 1, limit, 1, {})
  table.sort(indexes)
  for _, i in ipairs(indexes) do table.insert(chosen, points[i]) end
  return chosen
end

-- Plays the run at one point and goes on with it as an operator would.
local function play(self, s, point)
  local run = s:play(arguments(self, s), { with_disasters = true, quiet = true,
    env = point.kill and { DRLUA_KILL_WRITE = point.kill } })
  local outputs = { run.out }
  if not run.id then
    -- Killed before there was a run: nothing was done, it is started again.
    run = s:play(arguments(self, s), { quiet = true })
    table.insert(outputs, run.out)
  end
  for _ = 1, RESUMES do
    if run.code == 0 or not run.id then break end
    run = s:play({ "resume", run.id, "--yes", "--state", s.state }, { quiet = true, id = run.id })
    table.insert(outputs, run.out)
  end
  run.outputs = outputs
  return run
end

local function repeated(self, s)
  for key, n in pairs(done_calls(s)) do
    local wanted = self.done[key] or 0
    if n > wanted then return ("%s happened %d times instead of %d"):format(key, n, wanted) end
  end
end

-- Where two texts begin to differ, or nil.
local function differs(expected, actual)
  if expected == actual then return nil end
  local n = 1
  while expected:byte(n) == actual:byte(n) do n = n + 1 end
  return ("...%s instead of ...%s"):format(actual:sub(math.max(1, n - 60), n + 40),
    expected:sub(math.max(1, n - 60), n + 40))
end

local function verdict(self, s, run)
  local last = run.outputs[#run.outputs] or ""
  if not run.id then return "wrong", "no run: " .. last:sub(-200) end
  local twice = repeated(self, s)
  if twice then return "wrong", twice end
  if run.code ~= 0 then
    if last:find("internal error", 1, true) or last:find("stack traceback", 1, true) or run.signal then
      return "wrong", "ended badly: " .. last:sub(-300)
    end
    local _, state = s:judge(run)
    if not state.facts.message then return "wrong", "stopped without a reason: " .. last:sub(-300) end
    return "stopped", state.facts.message
  end
  local bad = failures(s:judge(run))
  if #bad > 0 then return "wrong", table.concat(bad, "; ") end
  local difference = differs(self.end_state, fingerprint(s, self.plan))
  if difference then return "wrong", "the end state differs: " .. difference end
  return "recovered"
end

local function try(self, point)
  local s = set(self, point.fault and { point.fault } or nil)
  local ok, outcome, why = pcall(function()
    return verdict(self, s, play(self, s, point))
  end)
  if not ok then outcome, why = "wrong", tostring(outcome) end
  s:strike()
  if outcome == "wrong" then point.kept = s.state else throw_away(s.state) end
  return outcome, why
end

local function tell(self, point, outcome, why)
  if self.parsed.output == "json" then
    write.json { event = "note", point = point.what, outcome = outcome, text = why, kept = point.kept,
      time = clock.format(clock.now(), "rfc3339"), run = "sweep" }
  elseif outcome ~= "recovered" then
    write.err(("%-9s %s: %s%s\n"):format(outcome, point.what, why or "",
      point.kept and " [" .. point.kept .. "]" or ""))
  end
end

--- Runs the sweep; 0 when nothing was wrong.
function sweep.run(parsed, loaded, plan, settings)
  local self = setmetatable({ parsed = parsed, loaded = loaded, plan = plan, settings = settings, tries = 0 }, Sweep)
  local began = clock.monotonic()
  undisturbed(self)
  local all = points_of(self)
  local points = sample(all, tonumber(parsed.limit), settings.seed)
  write.err(("sweep of %s: %d journal writes, %d AWS calls; %d of %d points, seed %d\n"):format(
    loaded.definition.title, self.writes, #self.calls, #points, #all, settings.seed))
  local counts = { recovered = 0, stopped = 0, wrong = 0 }
  local jobs = {}
  for i, point in ipairs(points) do
    jobs[i] = function()
      local outcome, why = try(self, point)
      counts[outcome] = counts[outcome] + 1
      tell(self, point, outcome, why)
    end
  end
  task.all(jobs, { limit = tonumber(parsed.jobs) or sys.cpus() })
  write.out(("points tried    %d\nrecovered       %d\nstopped safely  %d\nwrong           %d\n"):format(#points,
    counts.recovered, counts.stopped, counts.wrong))
  write.out(("seed %d, %s\n"):format(settings.seed, duration.format(clock.monotonic() - began)))
  return counts.wrong == 0 and 0 or 1
end

return sweep
