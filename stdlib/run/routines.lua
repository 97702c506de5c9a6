--- Coroutines as playbooks have them: what is done inside one may wait.
--
-- Lua's own cannot tell a wait of the task from the playbook's own yield. These hand a
-- wait on to the coroutine around them, up to the task, and keep the scope: code in a
-- coroutine belongs to the step that resumes it. A coroutine cannot be left by a yield
-- from within a step that has begun inside of it.
local control = require "run.control"
local errors = require "errors"
local pulse = require "run.pulse"
local task = require "task"

local routines = {}

-- Of each coroutine: scope (where it was resumed) and at_work.
local kept = setmetatable({}, { __mode = "k" })

local function of(co, word)
  local own = kept[co]
  if own then return own end
  if type(co) == "thread" then
    control.misuse("coroutine.%s: this coroutine is not the playbook's own", word)
  end
  control.misuse("coroutine.%s: a coroutine expected, got %s", word, type(co))
end

-- An error object learns its place while the stack that raised it is there.
local function with_place(e)
  return errors.is(e) and control.handler(e) or e
end

function routines.create(fn)
  if type(fn) ~= "function" then control.misuse("coroutine.create: a function expected, got %s",
    type(fn)) end
  local co = coroutine.create(function(...) return xpcall(fn, with_place, ...) end)
  kept[co] = {}
  return co
end

-- What must not be caught, as by pcall.
local function hand_on(ok, ...)
  if not ok and control.passes((...)) then error((...), 0) end
  return ok, ...
end

local function after(co, t, own, ok, ...)
  t.context, own.at_work = own.scope, false
  if not ok or coroutine.status(co) ~= "dead" then return hand_on(ok, ...) end
  return hand_on(...)
end

-- Resumes a coroutine: true and what it yields or returns, or false and its error.
local function resume(co, ...)
  local own, t = of(co, "resume"), task.current()
  if own.at_work or coroutine.status(co) ~= "suspended" then
    return false, ("cannot resume %s coroutine"):format(own.at_work and "non-suspended" or "dead")
  end
  own.scope, own.at_work = t.context, true
  return after(co, t, own, task.nest(co, ...))
end

routines.resume = resume

local function or_raise(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

function routines.wrap(fn)
  local co = routines.create(fn)
  return function(...) return or_raise(resume(co, ...)) end
end

function routines.yield(...)
  local own = kept[coroutine.running()]
  if not own then
    control.misuse(
      "coroutine.yield() outside of a coroutine: to wait use dr.sleep or dr.wait_until")
  end
  local here = task.current().context
  if here ~= own.scope then
    control.misuse("coroutine.yield() would leave %s before it has ended: let it return first",
      here and here.step and ("step \"%s\""):format(here.step.name) or "a step or check")
  end
  return coroutine.yield(...)
end

function routines.status(co)
  return of(co, "status").at_work and (co == coroutine.running() and "running" or "normal")
    or coroutine.status(co)
end

function routines.running()
  local co = coroutine.running()
  return co, kept[co] == nil
end

function routines.isyieldable(co)
  co = co or coroutine.running()
  return kept[co] ~= nil and coroutine.isyieldable(co)
end

--- An error of the library in a __close is raised, not handed back where nobody looks.
function routines.close(co)
  if of(co, "close").at_work then control.misuse("coroutine.close: this coroutine is at work") end
  local ok, e = coroutine.close(co)
  if not ok and errors.is(e) then error(e, 0) end
  return ok, e
end

--- The library for a playbook's globals.
function routines.library()
  pulse.start()
  return { create = routines.create, resume = routines.resume, wrap = routines.wrap,
    yield = routines.yield,
    status = routines.status, running = routines.running, isyieldable = routines.isyieldable,
    close = routines.close }
end

return routines
