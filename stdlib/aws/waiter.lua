--- Waits: until a resource has reached a state, by the models' waiters and our own
-- (waits.lua), polled by our own schedule.
--
-- Polls come quickly at first and then at a rate that follows from the typical
-- duration, with jitter. A throttle, a dropped connection, a 5xx or a silent region
-- never ends a wait: it polls on until its time is up. Waits that ask the same
-- question share the answers: one that wakes and finds an answer newer than its own
-- last one takes that instead of asking again.
local caller = require "aws.caller"
local duration = require "duration"
local effect = require "effect"
local errors = require "errors"
local failures = require "aws.failure"
local jmespath = require "aws.jmespath"
local json = require "native.json"
local names = require "aws.names"
local nearest = require "nearest"
local observer = require "aws.observer"
local sensitive = require "aws.sensitive"
local task = require "task"
local waits = require "aws.waits"

local waiter = {}

local FIRST_POLL = 0.25
local SLOWEST_POLL = 30
local THROTTLED_POLL = 60

-- A model's waiter gives a delay and a number of attempts, for a wait that is
-- generous: a sixth of it is what we take for the typical duration.
local function normalize(found)
  local wait = { operation = found.operation, acceptors = found.acceptors, typical = found.typical,
    state_path = found.state_path, reason_path = found.reason_path,
    progress_path = found.progress_path }
  local longest = SLOWEST_POLL
  if found.delay then
    local whole = found.delay * (found.maxAttempts or 40)
    wait.typical, wait.limit, longest = whole / 6, math.max(3600, whole * 6),
      math.min(SLOWEST_POLL, found.delay)
  else
    wait.limit = math.max(3600, found.typical * 24)
  end
  wait.longest_poll = math.max(FIRST_POLL, math.min(longest, math.max(1, wait.typical / 20)))
  return wait
end

-- An expression that does not fit the answer (the length of what is not there) finds
-- nothing.
local function searcher(expression)
  local search = jmespath.compile(expression)
  return function(value)
    local ok, found = pcall(search, value)
    if ok and found ~= json.null then return found end
  end
end

local function compile(wait)
  for i, acceptor in ipairs(wait.acceptors) do
    local copy = {}
    for k, v in pairs(acceptor) do copy[k] = v end
    if copy.argument then copy.search = searcher(copy.argument) end
    wait.acceptors[i] = copy
  end
  for _, name in ipairs { "state", "reason", "progress" } do
    local path = wait[name .. "_path"]
    if path then wait[name] = searcher(path) end
  end
  return wait
end

local cache = setmetatable({}, { __mode = "k" }) -- model -> { definitions, index, compiled }

local function catalogue(client)
  local known = cache[client.model]
  if known then return known end
  known = { definitions = {}, compiled = {} }
  local models = client.model:waiters() or {}
  for name, found in pairs(models.waiters or models) do
    if type(found) == "table" then known.definitions[name] = found end
  end
  for name, found in pairs(waits.of(client.service)) do known.definitions[name] = found end
  known.list = {}
  for name in pairs(known.definitions) do table.insert(known.list, name) end
  table.sort(known.list)
  known.index = names.index(known.list)
  cache[client.model] = known
  return known
end

--- The names of a client's waits, snake_case and sorted.
function waiter.names(client)
  local list = {}
  for _, name in ipairs(catalogue(client).list) do table.insert(list, names.snake(name)) end
  return list
end

local function find(client, name)
  local known = catalogue(client)
  local full = known.index[name] or known.index[names.snake(tostring(name))]
  if not full then
    local list = waiter.names(client)
    caller.misuse(nil, "%s has no wait %s%s%s", client.service, tostring(name),
      nearest.hint(tostring(name), list), #list == 0 and "; use dr.wait_until for it" or "")
  end
  if not known.compiled[full] then
    -- Definitions are the model's own tables: a copy is compiled.
    local copy = {}
    for k, v in pairs(known.definitions[full]) do copy[k] = v end
    copy.acceptors = table.move(copy.acceptors, 1, #copy.acceptors, 1, {})
    known.compiled[full] = compile(normalize(copy))
    known.compiled[full].name = names.snake(full)
  end
  return known.compiled[full]
end

-- Acceptors

local function equal(value, expected)
  if type(value) == "number" and type(expected) == "number" then return value == expected end
  return value == expected and type(value) == type(expected)
end

local function elements(value)
  if type(value) ~= "table" or value[1] == nil then return nil end
  return value
end

local matchers = {}

function matchers.path(acceptor, output)
  return output ~= nil and equal(acceptor.search(output), acceptor.expected)
end

function matchers.pathAll(acceptor, output)
  local list = output ~= nil and elements(acceptor.search(output))
  if not list then return false end
  for _, value in ipairs(list) do
    if not equal(value, acceptor.expected) then return false end
  end
  return true
end

function matchers.pathAny(acceptor, output)
  local list = output ~= nil and elements(acceptor.search(output))
  for _, value in ipairs(list or {}) do
    if equal(value, acceptor.expected) then return true end
  end
  return false
end

function matchers.status(acceptor, output, failure)
  local status = failure and failure.status or (output ~= nil and 200 or nil)
  return status == acceptor.expected
end

function matchers.error(acceptor, output, failure)
  local code = failure and failure.code
  if acceptor.expected == true then return code ~= nil end
  if acceptor.expected == false then return failure == nil and output ~= nil end
  return code == acceptor.expected
end

local function judge(wait, output, failure)
  for _, acceptor in ipairs(wait.acceptors) do
    local match = matchers[acceptor.matcher]
    if match and match(acceptor, output, failure) then return acceptor.state, acceptor end
  end
  return nil
end

-- States in words

local function text_of(value)
  if value == nil or value == json.null then return nil end
  if type(value) ~= "table" then return tostring(value) end
  local parts, seen = {}, {}
  for _, each in ipairs(value) do
    local text = text_of(each)
    if text and not seen[text] then seen[text] = true table.insert(parts, text) end
  end
  return #parts > 0 and table.concat(parts, ", ") or nil
end

local function state_of(wait, output, failure)
  if failure then return failure.code or failure.kind end
  if wait.state then return text_of(wait.state(output)) end
  for _, acceptor in ipairs(wait.acceptors) do
    if acceptor.search and type(acceptor.expected) == "string" then
      local text = text_of(acceptor.search(output))
      if text then return text end
    end
  end
  return nil
end

local function is_reason(name)
  return name:find("Reason$") or name:find("[sS]tatusMessage$") or name:find("FailureMessage$")
    or name:find("StatusInfo$") or name:find("FailureCause$") or name:find("^[cC]ause$")
end

-- The first text under a name that speaks of a reason, for answers whose model does
-- not say where that stands.
local function search_reason(value, depth)
  if type(value) ~= "table" or depth > 5 then return nil end
  for name, each in pairs(value) do
    if type(name) == "string" and type(each) == "string" and each ~= "" and is_reason(name) then
      return each
    end
  end
  for _, each in pairs(value) do
    local found = search_reason(each, depth + 1)
    if found then return found end
  end
  return nil
end

local function reason_of(wait, output, acceptor)
  if output == nil then return nil end
  local reason = wait.reason and text_of(wait.reason(output))
  return reason or acceptor and acceptor.because or search_reason(output, 0)
end

--- What a wait makes of one response, without waiting: "success", "failure", "retry", or
-- nil where no acceptor of the wait matches (then it polls on).
-- @param client of the service: its `model` and `service` are needed
-- @param name the wait, in either spelling
-- @param output the response as parsed, or nil
-- @param failure where there is no output: { code, status }
function waiter.verdict(client, name, output, failure)
  return (judge(find(client, name), output, failure))
end

--- The operation that a wait polls.
function waiter.operation(client, name) return find(client, name).operation end

-- Questions shared by waits

local questions = {} -- key -> { started, output, failure, asking, waiters }

local function copy_of(input)
  if type(input) ~= "table" then return input end
  local copy = {}
  for k, v in pairs(input) do copy[k] = copy_of(v) end
  return copy
end

local function question(client, wait, input)
  local key = table.concat({ client.share_key, wait.operation,
    json.encode(input, { sort = true }) }, "\n")
  local q = questions[key]
  if not q then
    q = { key = key, users = 0, input = copy_of(input), changed = task.condition() }
    questions[key] = q
  end
  q.users = q.users + 1
  return q
end

local function leave(q)
  q.users = q.users - 1
  if q.users == 0 then questions[q.key] = nil end
end

local function ask(client, wait, q, options)
  q.asking = true
  local started = client.clock.monotonic()
  local ok, output, failure = pcall(client.try_direct, client, wait.operation, q.input, options)
  q.asking = false
  if ok then
    q.started, q.output, q.failure = started, output, failure
  end
  q.changed.notify()
  if not ok then error(output, 0) end
end

-- An answer to a call that began at `since` or later, asking only when there is none.
local function answer(client, wait, q, since, options)
  while q.asking do q.changed.wait() end
  if not (q.started and q.started >= since) then ask(client, wait, q, options) end
  return q.output, q.failure
end

-- The wait itself

local function passing(failure)
  return failure.retryable or failure.kind ~= "aws"
end

local function interval(wait, elapsed, random, throttles)
  local seconds = math.min(wait.longest_poll, math.max(FIRST_POLL, elapsed / 6))
  if throttles > 0 then
    seconds = math.min(THROTTLED_POLL, math.max(seconds, 1) * 2 ^ math.min(throttles, 6))
  end
  return seconds * (0.85 + 0.3 * random())
end

local function base_error(client, wait, w, fields)
  fields.service, fields.operation, fields.region = client.service, wait.operation, client.region
  fields.waiter, fields.state = wait.name, w.state
  return errors.new(fields)
end

local function title(client, wait, w)
  local resource = w.resource and (" of %s"):format(w.resource) or ""
  return ("%s.%s%s in %s"):format(client.service, wait.name, resource, client.region or "no region")
end

local function fail_state(client, wait, w, output, failure, acceptor)
  if failure then
    return base_error(client, wait, w,
      { kind = "aws", code = failure.code, cause = failure, output = output,
      request_id = failure.request_id, status = failure.status,
      message = ("%s cannot succeed: %s"):format(title(client, wait, w), failure.message) })
  end
  local reason = reason_of(wait, output, acceptor)
  local state = w.state or tostring(acceptor.expected)
  return base_error(client, wait, w, { kind = "failed", output = output, reason = reason,
    message = ("%s cannot succeed: its state is %s%s"):format(title(client, wait, w), state,
      reason and (" (%s)"):format(reason) or "") })
end

local function time_is_up(client, wait, w, timeout, failure)
  local last = failure and ("the last answer was: %s"):format(failure.message)
    or ("its state is %s"):format(w.state or "not known")
  return base_error(client, wait, w, { kind = "timeout", cause = failure, retryable = true,
    message = ("%s did not come within %s: %s; wait longer with timeout=")
      :format(title(client, wait, w),
      duration.format(timeout), last) })
end

local function progress(client, wait, w, output, elapsed, pause)
  local share = output and wait.progress and text_of(wait.progress(output)) or nil
  if w.effect.progress and w.state then
    w.effect.progress(share and w.state .. ", " .. share or w.state)
  end
  if not observer.watched() then return end
  observer.tell { event = "wait", service = client.service, region = client.region,
    operation = wait.operation, waiter = wait.name, resource = w.resource, state = w.state,
    elapsed = elapsed, next_poll = pause,
    progress = share }
end

local function seconds_of(timeout, otherwise)
  if timeout == nil then return otherwise end
  local seconds, wrong = duration.parse(timeout)
  if not seconds then caller.misuse(nil, "timeout: %s", wrong) end
  return seconds
end

local function poll_until(client, wait, q, w, timeout, call_options)
  local clock = client.clock
  local start = clock.monotonic()
  local since, throttles = start, 0
  while true do
    local output, failure = answer(client, wait, q, since, call_options)
    since = math.max(q.started, since) + 1e-9
    w.state = state_of(wait, output, failure) or w.state
    local verdict, acceptor = judge(wait, output, failure)
    if verdict == "success" then return output or {} end
    if verdict == "failure" or (not verdict and failure and not passing(failure)) then
      error(fail_state(client, wait, w, output, failure, acceptor), 0)
    end
    throttles = failure and failure.throttled and throttles + 1 or 0
    local elapsed = clock.monotonic() - start
    local pause = interval(wait, elapsed, clock.random, throttles)
    if elapsed >= timeout then error(time_is_up(client, wait, w, timeout, failure), 0) end
    pause = math.min(pause, timeout - elapsed)
    progress(client, wait, w, output, elapsed, pause)
    clock.sleep(pause)
  end
end

--- Waits until `name` (db_instance_available) holds for the input; returns the last
-- answer of the describe call. options: timeout (a duration; default by the wait's
-- kind, an hour at least). Raises on a state that cannot become the one waited for
-- (kind "failed"), on a refusal by AWS, and when the time is up (kind "timeout").
function waiter.wait(client, name, input, options)
  local wait = find(client, name)
  input = input or {}
  local timeout = seconds_of(options and options.timeout, wait.limit)
  local w = { resource = failures.resource(input) }
  client:check(wait.operation, input)
  local members = sensitive.of(client.model, wait.operation)
  w.effect = {
    kind = "aws", read = true, wait = true, service = client.service, operation = wait.operation,
    region = client.region, input = input, waiter = wait.name,
    secret_members = function(side, value, fn)
      return sensitive.replace(members[side], value, fn)
    end,
    what = "wait for " .. title(client, wait, w),
  }
  return effect.perform(w.effect, function()
    local q = question(client, wait, input)
    local function pack(ok, ...)
      leave(q)
      if not ok then error((...), 0) end
      sensitive.register(members.output, (...))
      return ...
    end
    return pack(pcall(poll_until, client, wait, q, w, timeout, options and options.call))
  end)
end

return waiter
