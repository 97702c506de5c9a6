--- `dr`: the words of the playbook language. See docs/playbooks.md.
--
-- Every word checks its arguments, finds the session that the calling task belongs
-- to, and hands over to it.
local branch = require "run.branch"
local clock = require "native.clock"
local confidential = require "confidential"
local control = require "run.control"
local duration = require "duration"
local errors = require "errors"
local nearest = require "nearest"
local playbook = require "run.playbook"
local scope = require "run.scope"
local secrets = require "run.secrets"
local task = require "task"
local unknown = require "unknown"

local dr = {}

-- Words that may wait, or that begin something which must be ended in order.
local waiting = { step = true, parallel = true, each = true, check = true, approve = true,
  wait_until = true,
  sleep = true }

local function here(word)
  local current = scope.current()
  if not current or not current.session.step then
    control.misuse("dr.%s works inside a playbook's `run` or `ready` only: a playbook "
      .. "does nothing when it is loaded",
      word)
  end
  if waiting[word] and not task.can_wait() then
    control.misuse(
      "dr.%s cannot wait here, in a function that string.gsub, table.sort or tostring calls: "
      .. "collect first, then call", word)
  end
  return current, current.session
end

local articles = { ["nil"] = "nothing", number = "a number", string = "a text", table = "a table",
  ["function"] = "a function", boolean = "a boolean" }

local function an(kind) return articles[kind] or "a " .. kind end

-- Under plan a text may be unknown.
local function expect(word, position, value, kind)
  if type(value) ~= kind and not unknown.is(value) then
    control.misuse("dr.%s: argument %d must be %s, not %s", word, position, an(kind),
      an(type(value)))
  end
end

-- The number that a value is, or that its text says; nil for any other.
local function finite(value)
  local n = (type(value) == "number" or type(value) == "string") and tonumber(value) or nil
  return n and n == n and math.abs(n) < math.huge and n or nil
end

local function shown(value)
  if type(value) == "string" then return ("\"%s\""):format(value) end
  return type(value) == "number" and tostring(value) or an(type(value))
end

local function seconds_of(word, value)
  local seconds, why = duration.parse(value)
  if not seconds then control.misuse("dr.%s: %s", word, why) end
  return seconds
end

local function options_of(word, options, known)
  for key in pairs(options) do
    local found = false
    for _, k in ipairs(known) do found = found or k == key end
    if not found then
      control.misuse("dr.%s: unknown option %s%s (options: %s)", word, tostring(key),
        nearest.hint(tostring(key), known), table.concat(known, " "))
    end
  end
end

--- Declares a playbook: checks the table and returns it. Fields: title, summary,
-- targets = { rto =, rpo = }, params, run = function(p), ready = function(p),
-- lock = function(p), limits = { deletes =, accounts =, regions = } (or a function of the
-- parameters that returns them), control_planes = function(p), escalate = function(p, what),
-- rehearsal = "path".
function dr.playbook(t)
  return playbook.define(t)
end

--- A durable step. dr.step(name, [options,] fn) returns what fn returns. Options:
-- budget, timeout (durations), retries (a number or { times =, every = }), risk
-- ("read" "reversible" "irreversible"), approve (true, a text, a function that
-- returns one, or { text =, people =, deadline = }), done = function() (true, or what the
-- step would return, when there is nothing to do), undo = function(result), when (a value or a
-- function), optional, repeatable (all its calls may be sent twice).
function dr.step(name, options, fn)
  local _, s = here("step")
  if fn == nil then options, fn = {}, options end
  return s:step(unknown.is(name) and tostring(name) or name, options, fn)
end

--- Runs functions together; returns their first values. The first failure lets the
-- others finish the step they are in.
function dr.parallel(functions, ...)
  local current, s = here("parallel")
  expect("parallel", 1, functions, "table")
  if select("#", ...) > 0 then
    control.misuse("dr.parallel takes one table: dr.parallel { function, function }")
  end
  return table.unpack(branch.parallel(s, current, functions), 1, #functions)
end

--- dr.each(list, { limit = n }, fn): fn(item, index) for every item, at most n at a
-- time (default: all); returns the list of first values, in order.
function dr.each(list, options, fn)
  local current, s = here("each")
  if fn == nil then options, fn = {}, options end
  expect("each", 1, list, "table")
  expect("each", 2, options, "table")
  expect("each", 3, fn, "function")
  options_of("each", options, { "limit" })
  local limit = not unknown.is(options.limit) and options.limit or nil
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    control.misuse("dr.each: limit is a whole number from 1 on")
  end
  return branch.each(s, current, list, limit, fn)
end

--- A named verification for the checklist. It fails when fn raises, or returns false
-- or nil (with a reason after it); a function that returns nothing passes.
function dr.check(name, fn)
  local _, s = here("check")
  expect("check", 1, name, "string")
  expect("check", 2, fn, "function")
  return s:check(unknown.is(name) and tostring(name) or name, fn)
end

--- Stops until a person has approved this text.
function dr.approve(text)
  local _, s = here("approve")
  expect("approve", 1, text, "string")
  return s:approve(unknown.is(text) and tostring(text) or text)
end

--- Waits until fn() returns a true value, and returns what it returned. A second
-- value next to a false one is shown as progress. Options: every (default "10s"; the
-- first looks come quicker), timeout (default "1h").
function dr.wait_until(what, options, fn)
  local _, s = here("wait_until")
  if fn == nil then options, fn = {}, options end
  expect("wait_until", 1, what, "string")
  expect("wait_until", 2, options, "table")
  expect("wait_until", 3, fn, "function")
  options_of("wait_until", options, { "every", "timeout" })
  return s:wait_until(what, { every = seconds_of("wait_until", options.every or "10s"),
    timeout = seconds_of("wait_until", options.timeout or "1h") }, fn)
end

--- Waits for a duration.
function dr.sleep(length)
  local _, s = here("sleep")
  s:sleep(seconds_of("sleep", length))
end

--- A remark for the record.
function dr.note(text)
  local _, s = here("note")
  s:note(tostring(text))
end

--- Ends the step (and the run) as failed, with a sentence that says what to do.
function dr.fail(text)
  local current = scope.current()
  if current and current.session.may_fail
    and current.session:may_fail(tostring(text), control.where(1)) then
    return unknown.new("what follows a failure")
  end
  errors.raise { kind = "failed", message = tostring(text), where = control.where(1) }
end

--- Ends the current step or check as skipped, with the reason.
function dr.skip(reason)
  local current = here("skip")
  local s = current
  while s and s.kind ~= "step" and s.kind ~= "check" do s = s.parent end
  if not s then control.misuse("dr.skip ends a step or a check; there is none here") end
  control.raise("skip", tostring(reason), { inside = s.path })
end

--- Calls fn(...) and returns its values, or nil and the error object.
function dr.try(fn, ...)
  return control.try(fn, ...)
end

--- Seconds since the epoch, by the run's clock; the same again on a replay.
function dr.now()
  local _, s = here("now")
  return s:time()
end

--- When the run began, in seconds since the epoch.
function dr.run_started()
  local _, s = here("run_started")
  return s.started
end

--- When the outage began, where that is known: the RTO counts from here. Seconds
-- since the epoch.
function dr.incident_started(at)
  local _, s = here("incident_started")
  if unknown.is(at) then return end
  local seconds = finite(at)
  if not seconds then
    control.misuse("dr.incident_started takes seconds since the epoch, not %s", shown(at))
  end
  s:incident_started(seconds)
end

--- The service serves again: the RTO ends here, and what follows (a fresh backup,
-- telling people) does not count. Without it the RTO ends with the run.
function dr.recovered()
  local _, s = here("recovered")
  s:recovered()
end

local numbers = { seconds = "a number of seconds from 0 on", rows = "a number of rows from 0 on" }
local plain_kinds = { string = true, number = true, boolean = true }

-- A field of a measurement as it is kept.
local function measured(key, v)
  if unknown.is(v) then return nil end
  if not numbers[key] then
    if not plain_kinds[type(v)] then
      control.misuse("dr.measure: %s is a text, a number or a boolean, not %s", key, shown(v))
    end
    return v
  end
  local n = finite(v)
  if not n or n < 0 then
    control.misuse("dr.measure: %s is %s, not %s", key, numbers[key], shown(v))
  end
  return n
end

--- Records a measurement: dr.measure("rpo", { seconds =, rows =, detail = }). seconds and
-- rows may be texts of numbers, as PostgreSQL's numeric is.
function dr.measure(name, fields)
  local _, s = here("measure")
  expect("measure", 1, name, "string")
  expect("measure", 2, fields, "table")
  options_of("measure", fields, { "detail", "rows", "seconds", "value" })
  local kept = {}
  for key, v in pairs(fields) do kept[key] = measured(key, v) end
  s:measure(name, kept)
end

--- This run: { id, playbook (its title), user, host, environment (name), targets (rto,
-- rpo: seconds; the environment's before the playbook's) }.
function dr.run()
  local _, s = here("run")
  return { id = s.id, playbook = s.playbook.title, user = s.user, host = s.host,
    environment = s.environment_name,
    targets = playbook.targets(s.playbook, s.environment) }
end

--- A variable of the process's environment, or nil. One whose name says that it is a
-- secret is masked from here on.
function dr.env(name)
  if unknown.is(name) then return name end
  return secrets.variable(name, scope.current() and scope.current().session.secrets)
end

--- Makes a value a secret of this run from here on, and returns it: a password that a step
-- drew, a token that a server gave. It is masked wherever it would show, and a step that
-- hands it back has it again after a resume: the journal holds it sealed. A table: every
-- text in it. At least 4 characters.
function dr.secret(secret)
  if unknown.is(secret) then return secret end
  local kind = type(secret)
  if kind == "table" then
    for _, item in pairs(secret) do
      if type(item) == "string" or type(item) == "table" then dr.secret(item) end
    end
  elseif kind ~= "string" then
    control.misuse("dr.secret takes a text, or a table of texts, not a %s", kind)
  elseif secrets.too_short(secret) then
    control.misuse("dr.secret: a value of fewer than 4 characters cannot be masked")
  end
  if kind == "string" then confidential.register("secret", secret, 4) end
  return secret
end

--- Seconds of a duration ("30m").
function dr.seconds(length)
  return seconds_of("seconds", length)
end

--- Text of so many seconds ("1m 20s").
function dr.duration(seconds)
  return duration.format(seconds)
end

--- RFC 3339 text of a time in seconds since the epoch.
function dr.format_time(at)
  if unknown.is(at) then return at end
  return clock.format(at, "rfc3339")
end

return dr
