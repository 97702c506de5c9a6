--- The verbs that run playbooks: run, resume, rollback.
local account = require "cli.account"
local ask = require "ask"
local fs = require "native.fs"
local history = require "run.history"
local library = require "cli.library"
local life = require "run.life"
local lift = require "run.lift"
local limits = require "run.limits"
local operator = require "cli.operator"
local options = require "cli.options"
local params = require "run.params"
local planner = require "run.planner"
local screen = require "cli.screen"
local signal = require "native.signal"
local store = require "run.store"
local summary = require "cli.summary"
local task = require "task"
local undo = require "run.undo"
local write = require "cli.write"

local start = {}

-- Ctrl-C once stops the run cleanly, twice at once.
local function watch_signals(s, view)
  return task.spawn(function()
    pcall(function()
      while true do
        local name = task.await(signal.next { "INT", "TERM", "HUP" })
        if not name then return end
        if s.stopping then
          view:say("stopped at once; drlua resume " .. s.id)
          os.exit(130, false)
        end
        view:say(("%s: finishing what is under way, then stopping (again: stop at once)"):format(
          name == "INT" and "interrupted" or "asked to end"))
        for _, text in ipairs(s:under_way()) do view:say("  " .. text) end
        ask.withdraw()
        s:interrupt()
      end
    end)
  end)
end

local function watch_lock(s)
  return task.spawn(function()
    pcall(function()
      while true do
        task.sleep(10)
        s.locks:beat()
        if not pcall(s.journal.guard, s.journal) then s:interrupt("journal") end
      end
    end)
  end)
end

-- What a step is about to change, found by planning it with the playbook loaded again, as
-- `drlua plan` does it.
local function previewer(path, environment_name, values)
  local function look(s, step_path)
    local loaded = library.load(path, environment_name)
    local plan = planner.new { id = s.id, playbook = loaded.definition, params = values,
      secrets = s.secrets, out = function() end, user = s.user, host = s.host,
      environment_name = environment_name, path = path, history = s.history:copy(),
      started = s.started, account_of = account.of, environment = loaded.environment }
    return plan:look_at(step_path)
  end
  return function(s, step_path) return lift.during(look, s, step_path) end
end

-- Runs the body of a session with everything around it; returns the exit code.
local function drive(s, view, parsed, body)
  local stop_drawing = view:start()
  local watchers = { watch_signals(s, view), watch_lock(s) }
  local ok, e = s:execute(body)
  for _, watcher in ipairs(watchers) do watcher:cancel() end
  stop_drawing()
  if not ok and parsed.trace and e.traceback then
    write.err((s.secrets:mask(e.traceback):gsub("\n", "\n  ")), "\n")
  end
  local result = life.conclude(s, ok, e)
  if not view.json then summary.print(s, result, parsed) end
  return result.code
end

local function warn_exposed(exposed, unmasked)
  for _, name in ipairs(exposed) do
    write.err(("drlua: the secret %s was given on the command line, where every "
      .. "user of this machine can read "
      .. "it; give it by its environment variable\n"):format(name))
  end
  for _, name in ipairs(unmasked) do
    write.err(("drlua: the secret %s is too short to be masked; take one of 4 characters or more\n")
      :format(name))
  end
end

--- Resolves what the command line says of a playbook: loaded, values.
function start.prepare(parsed)
  local path = library.find(parsed.words[1])
  local loaded = library.load(path, parsed.env)
  local values, exposed = params.resolve(loaded.definition.params, parsed.params,
    loaded.environment and loaded.environment.params, parsed.env, parsed.switches)
  warn_exposed(exposed, params.unmasked(loaded.definition.params, values))
  limits.of(loaded.definition, loaded.environment, values)
  return loaded, values
end

--- drlua [run] PLAYBOOK.lua
function start.run(parsed)
  local loaded, values = start.prepare(parsed)
  local definition = loaded.definition
  if not definition.run then
    options.usage("%s has no `run`, only `ready`: use drlua check", loaded.path)
  end
  local view = screen.new(parsed.output)
  local s = life.begin(store.open(parsed.state), loaded, values,
    { out = function(e) view:event(e) end, operator = operator.find(view), assume_yes = parsed.yes,
      previewer = previewer(loaded.path, parsed.env, values) })
  return drive(s, view, parsed, definition.run)
end

-- The steps around a step have to be gone through once more, for it to be come to.
local function enter_around(s, path, seen)
  local around = path:match("^(.*)/[^/]*$")
  while around do
    local step = s.history.steps[around]
    if step and step.name and not seen[around] then
      s:record("operator", around, { retry = true, by = s.user })
      seen[around] = true
    end
    around = around:match("^(.*)/[^/]*$")
  end
end

-- The optional steps that failed, but for escalations: what they reported has passed.
local function failed_optional(so_far)
  local failed = {}
  for _, path in ipairs(so_far:paths()) do
    local step = so_far.steps[path]
    if step.status == "failed" and history.results(step).optional
      and not path:find("^escalation/") then
      table.insert(failed, path)
    end
  end
  return failed
end

-- --optional: the optional steps that failed are tried once more. What they had done is not
-- done again, as in any new attempt.
local function retry_optional(s)
  local seen = {}
  for _, path in ipairs(failed_optional(s.history)) do
    s:record("operator", path, { retry = true, by = s.user })
    enter_around(s, path, seen)
  end
end

local function reopen(parsed, extra)
  local kept = store.look(parsed.state)
  local id = kept:find(parsed.words[1] or options.usage("name a run; `drlua runs` lists them"))
  local j = kept:open_run(id)
  local head = j:meta("run")
  local status = life.status(j)
  extra.journal = j
  if status == "succeeded" and not extra.rolling_back and not parsed.optional then
    options.usage("run %s has succeeded; there is nothing to resume", id)
  end
  if status == "rolled back" or status == "partly rolled back" and not extra.rolling_back then
    options.usage("run %s was %s; start a new one", id, status)
  end
  if parsed.optional and #failed_optional(history.read(j)) == 0 then
    options.usage("run %s has no optional step that failed", id)
  end
  -- A run in rollback is never continued forward.
  extra.rolling_back = extra.rolling_back or status == "rolling back" or nil
  local path = fs.realpath(head.path) == head.absolute_path and head.path or head.absolute_path
  local loaded = library.load(path, head.environment)
  local declared = loaded.definition.params
  local values, exposed = params.again(declared, head.params, parsed.params,
    loaded.environment and loaded.environment.params, head.environment)
  warn_exposed(exposed, params.unmasked(declared, values))
  local view = screen.new(parsed.output)
  extra.out, extra.operator = function(e) view:event(e) end, operator.find(view)
  extra.previewer = previewer(path, head.environment, values)
  extra.assume_yes, extra.accept_changes = parsed.yes, parsed["accept-changes"]
  extra.takeover = parsed.takeover
  return life.reopen(store.open(parsed.state), id, loaded, values, extra), view, loaded.definition
end

-- --from STEP: it and all that follow are done again; --skip STEP --because TEXT.
local function operators_wishes(s, parsed)
  if parsed.skip then
    if not parsed.because then
      options.usage("--skip needs --because \"reason\": it goes into the record")
    end
    local wish = { skip = true, reason = "skipped by the operator: " .. parsed.because,
      by = s.user }
    s:record("operator", parsed.skip, wish)
  end
  if parsed.from then
    local paths = s.history:from(parsed.from)
    if not paths then
      options.usage("the run has no step %s; it has: %s", parsed.from,
        table.concat(s.history:paths(), ", "))
    end
    local first = s.history.steps[paths[1]]
    for i, path in ipairs(paths) do
      s:record("operator", path,
        { again = true, by = s.user, since = i == 1 and first.began or nil })
    end
    enter_around(s, paths[1], {})
  end
  if parsed.optional then retry_optional(s) end
end

-- What a reopened run does: forward, or back.
local function body_of(s, definition)
  if not s.rolling_back then return definition.run end
  return function(p) return undo.run(s, definition, p) end
end

-- Of a run in rollback an undo can be skipped, no step of the run.
local function backward_wishes(s, parsed)
  if parsed.from or parsed.optional then
    options.usage("run %s is being rolled back: --from and --optional are for runs that "
      .. "go forward", s.id)
  end
  if parsed.skip and not s.history.steps[parsed.skip]
    or parsed.skip and not parsed.skip:find("^Undo: ") then
    options.usage("run %s is being rolled back, and --skip %s is none of the undos that it "
      .. "came to; `drlua show %s` lists them", s.id, parsed.skip, s.id)
  end
end

--- drlua resume RUN
function start.resume(parsed)
  local s, view, definition = reopen(parsed, { settle = parsed.lists.settle })
  local ok, e = pcall(function()
    if s.rolling_back then backward_wishes(s, parsed) end
    operators_wishes(s, parsed)
  end)
  if not ok then
    s.locks:release()
    error(e, 0)
  end
  return drive(s, view, parsed, body_of(s, definition))
end

--- drlua rollback RUN
function start.rollback(parsed)
  local s, view, definition = reopen(parsed, { rolling_back = true, settle = parsed.lists.settle })
  return drive(s, view, parsed, body_of(s, definition))
end

return start
