--- drlua rehearse: a playbook run in the simulator, through a disaster, and judged.
local clock = require "native.clock"
local duration = require "duration"
local errors = require "errors"
local fs = require "native.fs"
local library = require "cli.library"
local options = require "cli.options"
local durations = require "sim.durations"
local signal = require "native.signal"
local stage = require "cli.stage"
local store = require "run.store"
local task = require "task"
local value = require "run.value"
local world = require "sim.world"
local write = require "cli.write"

local rehearse = {}

local function rehearsal_path(loaded)
  local directory = loaded.path:match("^(.*)/[^/]*$") or "."
  local stem = loaded.path:match("([^/]*)%.lua$")
  local path = directory .. "/" .. (loaded.definition.rehearsal or "rehearsals/" .. stem .. ".lua")
  if fs.stat(path) then return path end
  options.usage("%s has no rehearsal: %s is missing", loaded.path, path)
end

local function positive(parsed, name)
  if not parsed[name] then return nil end
  local n = tonumber(parsed[name])
  if not n or n <= 0 then options.usage("--%s is a number above 0, not %s", name, parsed[name]) end
  return math.tointeger(n) or n
end

local function plain(text)
  if text == "true" then return true end
  if text == "false" then return false end
  return tonumber(text) or text
end

-- "throttle:service=rds,count=3" as a fault.
local function read_fault(text)
  if text:find("^%s*{") then return value.decode(text) end
  local kind, rest = text:match("^([%w_]+):?(.*)$")
  local fault = { kind = kind }
  for key, v in rest:gmatch("([^,=]+)=([^,]*)") do fault[key] = plain(v) end
  return fault
end

-- The IAM policy in a file, as a list of one for the simulator.
local function read_policy(path)
  if not path then return nil end
  local text, message = fs.read(path)
  if not text then options.usage("the policy %s cannot be read: %s", path, message) end
  local ok, policy = pcall(value.decode, text)
  if not ok or type(policy) ~= "table" or type(policy.Statement) ~= "table" then
    options.usage("%s is no IAM policy: JSON with a Statement is expected, as "
      .. "`drlua plan ... --iam` prints it", path)
  end
  return { policy }
end

--- What --durations names: a choice by name, or what the file says; nil: nothing.
function rehearse.read_durations(text)
  if not text or durations.is_choice(text) then return text end
  if not fs.stat(text) then
    options.usage("--durations is slow, typical, fast, or a file of durations; there is no file %s",
      text)
  end
  local given = world.read(text)
  local ok, e = pcall(durations.profile, given)
  if not ok then options.usage("%s: %s", text, e.message) end
  return given
end

--- What the command line asks for: loaded playbook, rehearsal plan, settings.
function rehearse.prepare(parsed)
  local loaded = library.load(library.find(parsed.words[1]), nil)
  local plan = stage.read(rehearsal_path(loaded))
  local faults = {}
  for _, text in ipairs(parsed.lists.fault or {}) do table.insert(faults, read_fault(text)) end
  local seed = positive(parsed, "seed") or math.floor(clock.now() * 1000) % 1000000000
  local kept = store.open(parsed.state)
  return loaded, plan, { speed = positive(parsed, "speed"), seed = seed, faults = faults,
    policies = read_policy(parsed.policy), durations = rehearse.read_durations(parsed.durations),
    state = fs.realpath(kept.path) or kept.path }
end

local function say(text, ...)
  write.err(text:format(...), "\n")
end

-- Ctrl-C reaches the child only through us: it has a process group of its own.
local function pass_signals(s)
  return task.spawn(function()
    pcall(function()
      while true do
        local name = task.await(signal.next { "INT", "TERM", "HUP" })
        if not name then return end
        if s.child then s.child:kill(name) else return end
      end
    end)
  end)
end

local function print_verdict(parsed, run, expectations, report_path, seed, speed)
  local good = true
  for _, e in ipairs(expectations) do good = good and e.passed end
  if parsed.output == "json" then
    write.json { time = clock.format(clock.now(), "rfc3339"), run = run.id,
      event = good and "run_succeeded" or "run_failed",
      result = { rehearsal = expectations, seed = seed },
      report = report_path }
    return good
  end
  write.out("\n")
  for _, e in ipairs(expectations) do
    write.out(("%s  %s%s\n"):format(e.passed and "ok  " or "FAIL", e.name,
      e.detail and ": " .. e.detail or ""))
  end
  write.out(("Rehearsal %s. Seed %d.\n"):format(good and "passed" or "failed", seed))
  if speed ~= 1 then
    write.out(("What takes AWS a minute took %s here: the RTO above is no forecast.\n"):format(
      duration.format(60 / speed)))
  end
  write.out(("Report: %s\n"):format(report_path))
  return good
end

--- drlua rehearse PLAYBOOK.lua
function rehearse.rehearse(parsed)
  local loaded, plan, settings = rehearse.prepare(parsed)
  if parsed.sweep then return require("cli.sweep").run(parsed, loaded, plan, settings) end
  say("rehearsing %s: building the world (seed %d)", loaded.definition.title, settings.seed)
  local began = clock.monotonic()
  local s = stage.set(plan, settings)
  local code
  local ok, e = xpcall(function()
    say("the world stands after %.1f s at %s", clock.monotonic() - began, s.url)
    local signals = pass_signals(s)
    local arguments = s:arguments(loaded.path, { env = parsed.env, params = parsed.params })
    if parsed.output == "json" then
      table.move({ "--output", "json" }, 1, 2, #arguments + 1, arguments)
    end
    local run = s:play(arguments, { with_disasters = true })
    signals:cancel()
    if not run.id then
      errors.raise { kind = "failed", exit_code = run.code,
        message = ("drlua ended with code %s before a run began")
          :format(tostring(run.code or run.signal)) }
    end
    if run.code == 130 then
      code = 130
      return say("the rehearsal was interrupted (seed %d)", settings.seed)
    end
    local expectations = s:judge(run)
    local good = print_verdict(parsed, run, expectations, s:record(run, expectations),
      settings.seed,
      s.speed)
    code = good and 0 or (run.code ~= 0 and run.code or 1)
  end, function(raised)
    raised = errors.from(raised)
    raised.traceback = raised.traceback or debug.traceback(tostring(raised), 2)
    return raised
  end)
  s:strike()
  if not ok then
    if parsed.trace then write.err(e.traceback, "\n") end
    say("drlua rehearse: %s (seed %d)", tostring(e), settings.seed)
    return e.exit_code or 1
  end
  return code
end

return rehearse
