--- The calls of a step: changing effects, each made once.
--
-- A call is named by its run, its step and its number in the step. Its token is made
-- with its first intent and stands in it; every later send takes it from there. The
-- record of the step (history.lua) knows what became of it, and this file is the one
-- place that acts on that, whichever way the step came here again.
local control = require "run.control"
local crypto = require "native.crypto"
local errors = require "errors"
local kept = require "run.kept"
local limits = require "run.limits"
local perform = require "run.perform"
local reads = require "run.reads"
local sensitive = require "run.sensitive"
local settle = require "run.settle"
local value = require "run.value"

local calls = {}

-- The longest input that is kept word for word in an intent.
local INPUT_LIMIT = 65536

local function title(e) return e.what or perform.name(e) end

-- A UUID in form, the same for the same call of the same run. `redo` counts the times
-- that the call had to be made as another one.
local function token_of(s, step, key, redo)
  local record = step.record
  local hex = crypto.hex(crypto.sha256(table.concat({ s.nonce or "", step.path, record.generation,
    key, redo }, "\n")))
  return ("%s-%s-%s-%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(13, 16), hex:sub(17, 20),
    hex:sub(21, 32))
end

local function intent_of(s, e, key)
  local intent = perform.describe(e)
  intent.key, intent.fingerprint, intent.input = key, kept.fingerprint(s, e), sensitive.input(e)
  local ok, text = pcall(value.encode, s.secrets:conceal(intent))
  if not ok or #text > INPUT_LIMIT then intent.input = nil end
  return intent
end

-- doubtful: the call failed without a response, and may have taken effect all the same.
local function record_result(s, step, e, key, result, failed, seconds, doubtful)
  -- What a transaction did is known when it has ended.
  local data = { key = key, seconds = seconds, doubtful = doubtful, what = e.rehearse and e.what }
  if failed then
    data.error, failed.traceback = failed, nil
    if not pcall(value.encode, data) then
      data.error = errors.new { kind = failed.kind, message = failed.message }
    end
  else
    data.values = sensitive.values(e, value.pack(table.unpack(result, 1, result.n)))
    local ok, why = pcall(value.encode, data, "the answer of " .. key)
    if not ok then control.misuse("%s: %s", step.name, tostring(why)) end
  end
  s:record("result", step.path, data)
end

local function settled(s, step, e, key, values)
  local packed = value.pack(values)
  s:record("result", step.path, { key = key, seconds = 0, settled = true,
    values = e and sensitive.values(e, packed) or packed })
  return values
end

-- Writes the intent down: the same call's again, or a new one's.
local function write_intent(s, step, e, key, former)
  local redo = former and former.redo or 0
  local intent = intent_of(s, e, key)
  intent.token = former and former.token or token_of(s, step, key, redo)
  limits.check(s, step, e, intent)
  intent.at, intent.redo = s:now(), redo > 0 and redo or nil
  if former and former.token then
    intent.first, intent.there = former.first or former.at, former.there
  else
    intent.there = settle.stood_before(s, e)
  end
  intent.reads = reads.take(step)
  s:record("intent", step.path, intent)
  return intent
end

-- No answer came. A rule may look at once; else the call stays in doubt, and the failure
-- goes to the playbook. Returns what stands instead of the failure, packed.
local function look_at_once(s, step, e, key, intent, failed, seconds)
  local verdict, values = settle.look(s, e, intent)
  if verdict == "stands" then
    s:note(("no response came to %s, and a look shows that it took effect"):format(title(e)), step)
    return table.pack(settled(s, step, e, key, values))
  end
  -- What may be sent again without harm is no question to anybody.
  if verdict == "absent" or settle.is_repeatable(step, e) then
    record_result(s, step, e, key, nil, failed, seconds, verdict ~= "absent" or nil)
  end
end

local settle_around

-- Sends the call, its intent on disk. former: the intent of the same call, to be sent
-- again under its token, or { redo = n } for another one under the same name. unsure: an
-- earlier sending may have taken effect, whatever becomes of this one.
local function send(s, here, step, e, fn, key, former, unsure)
  settle_around(s, step)
  local intent = write_intent(s, step, e, key, former)
  local flight = { step = step, what = title(e), token = intent.token }
  s.inflight[flight] = true
  local done = perform.follow(s, step, e)
  -- A process that slept in between may no longer be the run's owner.
  e.again = s.journal and function() s.journal:guard() end
  local result, failed, seconds = perform.call(s, here, e, fn, intent.token)
  done()
  local doubtful = failed and failed.kind ~= "cancelled" and not control.of(failed)
    and settle.doubtful(failed, e)
  local instead
  if doubtful then
    instead = look_at_once(s, step, e, key, intent, failed, seconds)
  end
  s.inflight[flight] = nil
  if instead then return table.unpack(instead, 1, instead.n) end
  if failed and (doubtful or failed.kind == "cancelled" or control.of(failed)) then
    -- The playbook may deal with it and go on: then it is settled before the next change.
    if doubtful and not step.record.calls[key].result then
      step.pending = step.pending or {}
      table.insert(step.pending, { here = here, e = e, fn = fn, key = key })
    end
    error(failed, 0)
  end
  record_result(s, step, e, key, result, failed, seconds, failed and unsure or nil)
  if failed then error(failed, 0) end
  return table.unpack(result, 1, result.n)
end

local function hand_back(s, result)
  -- A copy: the playbook may change what it is handed.
  local copy = kept.copy(result.error or result.values)
  if result.error then error(s.secrets:reveal(copy), 0) end
  return value.unpack(s.secrets:reveal(copy))
end

-- Another call under the same name: what the record has stays there, put aside.
local function send_another(s, here, step, e, fn, key, call)
  return send(s, here, step, e, fn, key, { redo = (call.intent.redo or 0) + 1 })
end

local function settle_doubt(s, here, step, e, fn, key, call)
  settle_around(s, step)
  local verdict, values, why, unsure = settle.decide(s, step, e, call.intent)
  s:note(("%s was left without a response: %s"):format(call.intent.what or title(e), why), step)
  if verdict == "stands" then return settled(s, step, e, key, values) end
  return send(s, here, step, e, fn, key, call.intent, unsure)
end

-- The step comes to the call with another input than is on record.
local function changed(s, here, step, e, fn, key, call)
  local continuing = call.attempt == step.attempt
  if continuing and not s.accept_changes then
    control.raise("diverged", ("step \"%s\" now calls %s with another input than the run "
      .. "recorded; resume with --accept-changes to send the new one"):format(step.name,
      perform.name(e)))
  end
  if not call.result and not settle.is_repeatable(step, e) then
    local verdict, values, why = settle.former(s, step, e, call.intent)
    s:note(("%s was left without a response: %s"):format(call.intent.what or title(e), why), step)
    if verdict == "stands" then
      settled(s, step, e, key, values)
    else
      record_result(s, step, e, key, nil,
        errors.new { kind = "absent", message = "it took no effect" }, 0)
    end
  end
  return send_another(s, here, step, e, fn, key, call)
end

-- A new attempt: what an earlier one did is not done twice, unless a look shows that
-- nothing of it is left.
local function done_before(s, here, step, e, fn, key, call)
  if step.options.fresh_calls then return send_another(s, here, step, e, fn, key, call) end
  local answer = table.pack(hand_back(s, call.result))
  local verdict, _, blind = settle.look(s, e, call.intent, answer[1])
  if blind then error(blind, 0) end
  if verdict == "absent" then
    s:note(("%s was done by an earlier attempt, and what it made no longer stands: it is done "
      .. "again"):format(title(e)), step)
    return send_another(s, here, step, e, fn, key, call)
  end
  s:note(verdict == "stands" and ("%s was done by an earlier attempt and still stands")
    :format(title(e)) or ("%s was done by an earlier attempt"):format(title(e)), step)
  return table.unpack(answer, 1, answer.n)
end

-- The playbook caught the failure of a call in doubt and continues: first the call is
-- settled. That it fails again is no news, unless it is still in doubt then.
local function settle_pending(s, step)
  while step.pending and #step.pending > 0 do
    local one = table.remove(step.pending)
    local call = step.record.calls[one.key]
    if call and not call.result then
      local ok, e = xpcall(settle_doubt, control.handler, s, one.here, step, one.e, one.fn, one.key,
        call)
      if not ok and (control.of(e) or e.kind == "cancelled" or not call.result) then error(e, 0) end
    end
  end
end

-- The same for the steps around it: what changes in a step changes in those, too.
function settle_around(s, step)
  while step do
    settle_pending(s, step)
    step = step.here and step.here:innermost_step()
  end
end

--- Settles what a step, and those around it, have left in doubt and the playbook caught.
-- step: or nil. Raises when that cannot be done.
calls.settle_pending = settle_around

-- Under a rollback's replay nothing is sent: an answered call hands its answer back.
local function replayed(s, call)
  if call and call.result then return hand_back(s, call.result) end
  control.raise("rewound", "the replay has come to the end of what was done")
end

--- The gate's part for an effect that changes something.
function calls.run(s, here, step, e, fn)
  local key = here:join(here:unique(perform.name(e)))
  local call = step.record.calls[key]
  if s.rewinding then return replayed(s, call) end
  if not call then return send(s, here, step, e, fn, key) end
  if not kept.is_same(s, e, call.intent.fingerprint) then
    return changed(s, here, step, e, fn, key, call)
  end
  if not call.result then return settle_doubt(s, here, step, e, fn, key, call) end
  if call.attempt == step.attempt then return hand_back(s, call.result) end
  if call.result.error then
    return send(s, here, step, e, fn, key, call.intent, call.result.doubtful)
  end
  return done_before(s, here, step, e, fn, key, call)
end

--- Marks what a step has left in doubt as settled: its goal, or its `done` probe, is
-- reached.
function calls.reached(s, step)
  for _, call in ipairs(step.record.order) do
    if not call.result and step.record.calls[call.key] == call then
      settled(s, step, nil, call.key, {})
    end
  end
end

return calls
