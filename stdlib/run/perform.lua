--- Carrying an effect out: the function behind it is called, the step shows that it
-- waits, and the world hears of the call.
local control = require "run.control"
local errors = require "errors"

local perform = {}

--- "rds.PromoteReadReplica", "sql", ...: the name of an effect's operation.
function perform.name(e)
  if e.kind == "aws" then return ("%s.%s"):format(e.service, e.operation) end
  return e.operation and ("%s.%s"):format(e.kind, e.operation) or e.kind
end

--- The fields of an effect that outputs and the journal show.
function perform.describe(e)
  return { kind = e.kind, name = perform.name(e), service = e.service, operation = e.operation,
    region = e.region, account = e.account, what = e.what, mutating = not e.read,
    message = e.message }
end

local function emit_call(s, here, e, fields)
  local step = here:innermost_step()
  local event = perform.describe(e)
  event.step, event.path = step and step.name, step and step.path
  for k, v in pairs(fields) do event[k] = v end
  s:emit("call", event)
end

local function outcome(e)
  return { message = e.message, kind = e.kind, code = e.code, status = e.status,
    sqlstate = e.sqlstate, request_id = e.request_id }
end

--- Calls fn(token) and reports it. Returns the packed values, the error object of a
-- failure (then the values mean nothing), and the seconds it took.
function perform.call(s, here, e, fn, token)
  local before = s:now()
  local result = table.pack(xpcall(fn, control.handler, token))
  local failed = not result[1] and errors.from(result[2]) or nil
  emit_call(s, here, e, { seconds = s:now() - before, error = failed and outcome(failed),
    status = failed and failed.status or nil })
  return table.pack(table.unpack(result, 2, result.n)), failed, s:now() - before
end

--- What takes long (a wait, a transfer) reports how far it is: the step waits for it.
-- Returns a function that ends that.
function perform.follow(s, step, e)
  local what, last = (e.what or perform.name(e)):gsub("^wait for ", ""), nil
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

return perform
