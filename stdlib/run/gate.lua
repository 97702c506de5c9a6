--- The gate: what happens when code in a run touches the world.
--
-- Under `run` a changing effect is written down as an intent, with its token, before
-- it leaves, and as a result when it has come back. On a replay a recorded result is
-- handed back; an intent without a result is settled (settle.lua). Reads inside a step
-- are simply made again; reads outside of steps are recorded, since the steps that
-- follow depend on them.
local control = require "run.control"
local crypto = require "native.crypto"
local effect = require "effect"
local errors = require "errors"
local scope = require "run.scope"
local settle = require "run.settle"
local value = require "run.value"

local gate = {}

-- The longest input that is kept word for word in an intent.
local INPUT_LIMIT = 65536

local closed = false

local function handler(e, fn)
  local here = scope.current()
  if here then return here.session:gate(here, e, fn) end
  if closed then
    control.misuse("%s outside of the run (in a finalizer, or where an error is turned into text): put it into a step",
      e.what or e.kind)
  end
  return fn()
end

--- Puts the gate in front of every effect of this process. Code outside of any run
-- (the command line itself) passes freely.
function gate.install()
  effect.install(handler)
end

--- From here on nothing passes outside of the run: a playbook's code is at work.
function gate.close() closed = true end

--- "rds.PromoteReadReplica", "sql", ...: the name of an effect's operation.
function gate.name(e)
  if e.kind == "aws" then return ("%s.%s"):format(e.service, e.operation) end
  return e.operation and ("%s.%s"):format(e.kind, e.operation) or e.kind
end

-- The fields of an effect that outputs and the journal show.
local function describe(e)
  return { kind = e.kind, name = gate.name(e), service = e.service, operation = e.operation,
    region = e.region, account = e.account, what = e.what, mutating = not e.read }
end
gate.describe = describe

local function told(s, here, e, fields)
  local step = here:innermost_step()
  local event = describe(e)
  event.step, event.path = step and step.name, step and step.path
  for k, v in pairs(fields) do event[k] = v end
  s:emit("call", event)
end

local function outcome(e)
  return { message = e.message, kind = e.kind, code = e.code, status = e.status, sqlstate = e.sqlstate,
    request_id = e.request_id }
end

-- Calls fn and tells of it; returns what pcall does, packed.
local function perform(s, here, e, fn, token)
  local before = s:now()
  local result = table.pack(xpcall(fn, control.handler, token))
  local failed = not result[1] and errors.from(result[2]) or nil
  told(s, here, e, { seconds = s:now() - before, error = failed and outcome(failed),
    status = failed and failed.status or nil })
  return result, failed, s:now() - before
end

local function count_read(step, e)
  local name = ("%s@%s"):format(gate.name(e), e.region or "")
  step.reads[name] = (step.reads[name] or 0) + 1
end

local function read_now(s, here, e, fn)
  local result, failed = perform(s, here, e, fn)
  if failed then error(failed, 0) end
  return table.unpack(result, 2, result.n)
end

-- What takes long (a wait, a transfer) says how far it is: the step waits for it. Returns
-- a function that ends that.
local function follow(s, step, e)
  local what, last = (e.what or gate.name(e)):gsub("^wait for ", ""), nil
  if e.wait then s:waiting(step, what) end
  e.progress = function(text)
    if text ~= last then
      last = text
      s:waiting(step, what, text)
    end
  end
  return function()
    if e.wait or last then s:waiting(step, nil) end
  end
end

local function read_inside(s, here, step, e, fn)
  count_read(step, e)
  local done = follow(s, step, e)
  local before = s:now()
  local result, failed = perform(s, here, e, fn)
  if e.wait then
    step.waited = step.waited + (s:now() - before)
  end
  done()
  if failed then error(failed, 0) end
  return table.unpack(result, 2, result.n)
end

--- What a read outside of steps answered when the run first made it, or nil; and its key.
function gate.seen(s, here, e)
  local key = here:unique("read " .. gate.name(e))
  return s.history.values[here.path] and s.history.values[here.path][key], key
end

-- Outside of any step: the first answer is the answer for good.
local function read_outside(s, here, e, fn)
  local seen, key = gate.seen(s, here, e)
  if seen and seen.error then error(s.secrets:reveal(seen.error), 0) end
  if seen then return value.unpack(s.secrets:reveal(seen.values)) end
  local result, failed = perform(s, here, e, fn)
  if failed and (control.of(failed) or failed.kind == "cancelled") then error(failed, 0) end
  if failed then
    failed.traceback = nil
    if pcall(value.encode, failed) then s:record("seen", here.path, { key = key, error = failed }) end
    error(failed, 0)
  end
  local values = value.pack(table.unpack(result, 2, result.n))
  -- A handle (a connection) cannot be kept: it is opened again.
  if pcall(value.encode, values) then s:record("seen", here.path, { key = key, values = values }) end
  return table.unpack(result, 2, result.n)
end

local function fingerprint(s, e)
  local ok, text = pcall(value.encode, s.secrets:mask(e.input))
  return crypto.hex(crypto.sha256(ok and text or tostring(e.what))):sub(1, 16)
end

-- The idempotency token of a call: a UUID in form, the same for the same call of
-- the same attempt of the same step of the same run.
local function token_of(s, step, key)
  local hex = crypto.hex(crypto.sha256(table.concat({ s.nonce, step.path, step.attempt, key }, "\n")))
  return ("%s-%s-%s-%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(13, 16), hex:sub(17, 20), hex:sub(21, 32))
end

local function intent_of(s, e, key)
  local intent = describe(e)
  intent.key, intent.fingerprint, intent.input = key, fingerprint(s, e), e.input
  local ok, text = pcall(value.encode, s.secrets:conceal(intent))
  if not ok or #text > INPUT_LIMIT then intent.input = nil end
  return intent
end

local function record_result(s, step, key, result, failed, seconds)
  local data = { key = key, seconds = seconds }
  if failed then
    data.error, failed.traceback = failed, nil
    if not pcall(value.encode, data) then data.error = errors.new { kind = failed.kind, message = failed.message } end
  else
    data.values = value.pack(table.unpack(result, 2, result.n))
    local ok, e = pcall(value.encode, data, "the answer of " .. key)
    if not ok then
      control.misuse("%s: %s", step.name, tostring(e))
    end
  end
  s:record("result", step.path, data)
end

-- Sends the call, with its intent on disk. An end that leaves open whether the call
-- had its effect (no answer came) is looked into before it counts as a failure.
local function send(s, here, step, e, fn, key)
  local token = token_of(s, step, key)
  local intent = intent_of(s, e, key)
  intent.token, intent.at = token, s:now()
  s:record("intent", step.path, intent)
  local flight = { step = step, what = e.what or gate.name(e), token = token }
  s.inflight[flight] = true
  local done = follow(s, step, e)
  local result, failed, seconds = perform(s, here, e, fn, token)
  done()
  if failed and settle.doubtful(failed) then
    local stands, values = settle.look(s, e, intent)
    if stands == "stands" then
      s:note(("no answer came to %s, and a look shows that it had its effect"):format(flight.what), step)
      result, failed = table.pack(true, values), nil
    end
  end
  s.inflight[flight] = nil
  -- Cancelled: whether it had its effect is not known, so no result is written.
  if failed and (failed.kind == "cancelled" or control.of(failed)) then error(failed, 0) end
  record_result(s, step, key, result, failed, seconds)
  if failed then error(failed, 0) end
  return table.unpack(result, 2, result.n)
end

local function hand_back(s, recorded)
  if recorded.error then error(s.secrets:reveal(recorded.error), 0) end
  return value.unpack(s.secrets:reveal(recorded.values))
end

local function changed_input(s, step, e, record)
  if s.accept_changes or record.intent.fingerprint == fingerprint(s, e) then return false end
  control.raise("diverged", ("step \"%s\" now calls %s with another input than the run recorded; "
    .. "resume with --accept-changes to send the new one"):format(step.name, gate.name(e)))
end

-- The same call of an earlier attempt, newest first.
local function earlier(step, key)
  for i = #step.earlier, 1, -1 do
    local record = step.earlier[i][key]
    if record then return record end
  end
end

local function settled(s, step, key, values)
  s:record("result", step.path, { key = key, seconds = 0, values = value.pack(values), settled = true })
  return values
end

-- An intent without a result: the process died, or the call was cancelled.
local function settle_doubt(s, here, step, e, fn, key, record)
  local verdict, values, why = settle.decide(s, step, e, record.intent)
  s:note(("%s was under way when the run stopped: %s"):format(e.what or gate.name(e), why), step)
  if verdict == "stands" then return settled(s, step, key, values) end
  return send(s, here, step, e, fn, key)
end

local function change(s, here, step, e, fn)
  local key = here:join(here:unique(gate.name(e)))
  local record = step.recorded[key]
  if record and changed_input(s, step, e, record) then record = nil end
  if record and record.result then return hand_back(s, record.result) end
  if record then return settle_doubt(s, here, step, e, fn, key, record) end
  local former = earlier(step, key)
  if former and not former.result then return settle_doubt(s, here, step, e, fn, key, former) end
  if former and not former.result.error and former.intent.fingerprint == fingerprint(s, e) then
    -- A new attempt: what an earlier one did and still stands is not done twice.
    local answer = hand_back(s, former.result)
    local verdict, _, blind = settle.look(s, e, former.intent, answer)
    if blind then error(blind, 0) end
    if verdict == "stands" then
      s:note(("%s was done by an earlier attempt and still stands"):format(e.what or gate.name(e)), step)
      return settled(s, step, key, answer)
    end
  end
  return send(s, here, step, e, fn, key)
end

--- Refuses a change in a step that says of itself that it only reads.
function gate.keep_promise(options, name, e)
  if options and options.risk == "read" then
    control.misuse("step \"%s\" has risk = \"read\", and %s changes something", name, e.what or gate.name(e))
  end
end

--- Refuses a program that would have a secret among its arguments, which everybody on
-- the machine can read.
function gate.guard_arguments(s, e)
  if e.kind ~= "process" or not s.secrets or type(e.input) ~= "table" then return end
  for _, word in ipairs(type(e.input.argv) == "table" and e.input.argv or {}) do
    local name = type(word) == "string" and s.secrets:within(word)
    if name then
      control.misuse("%s: the secret %s is among the arguments, which every user of this machine can read: hand it "
        .. "over by env or stdin", e.what or "process.run", name)
    end
  end
end

--- The gate of `run`, `resume` and `rollback`.
function gate.run(s, here, e, fn)
  if s.stopping then control.raise("interrupt", "interrupted") end
  gate.guard_arguments(s, e)
  local step = here:innermost_step()
  if e.read then
    -- A probe asks how things stand now.
    if here:in_probe() then return read_now(s, here, e, fn) end
    if step then return read_inside(s, here, step, e, fn) end
    return read_outside(s, here, e, fn)
  end
  if here:in_probe() then
    control.misuse("%s changes something, and a probe (done, when, wait_until) may only read", e.what or gate.name(e))
  end
  if not step then
    control.misuse("%s changes something outside of a step: put it into a dr.step", e.what or gate.name(e))
  end
  gate.keep_promise(step.options, step.name, e)
  return change(s, here, step, e, fn)
end

--- The gate while a playbook file is loaded.
function gate.load(_, _, e)
  control.misuse("%s at the top level of a file: a playbook does nothing until it is run, so put this into `run` or "
    .. "`ready`", e.what or gate.name(e))
end

return gate
