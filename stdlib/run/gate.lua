--- The gate: what happens when code in a run touches the world.
--
-- A changing effect is a call: it is written down as an intent, with its token, before
-- it leaves, and as a result when the response has come. Whatever way leads to it again
-- (a retry, a resume, the operator's word), the record decides: an answered call hands
-- its answer back, one in doubt is settled first (settle.lua). Reads inside a step that
-- came before its first change are kept with that change's intent and handed back;
-- later ones are made again. Reads outside of steps are recorded, since the steps that
-- follow depend on them.
local calls = require "run.calls"
local control = require "run.control"
local effect = require "effect"
local perform = require "run.perform"
local reads = require "run.reads"
local scope = require "run.scope"

local gate = {}

local closed = false

local function handler(e, fn)
  local here = scope.current()
  if here then return here.session:gate(here, e, fn) end
  if closed then
    control.misuse("%s outside of the run (in a finalizer, or where an error is turned into "
      .. "text): put it into a step", e.what or e.kind)
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

gate.name, gate.describe = perform.name, perform.describe

--- What a read outside of steps answered when the run first made it, or nil; and its key.
gate.seen = reads.seen

--- Refuses a change in a step that says of itself that it only reads.
function gate.keep_promise(options, name, e)
  if options and options.risk == "read" then
    control.misuse("step \"%s\" has risk = \"read\", and %s changes something", name,
      e.what or gate.name(e))
  end
end

--- Refuses a program that would have a secret among its arguments, which everybody on
-- the machine can read.
function gate.guard_arguments(s, e)
  if e.kind ~= "process" or not s.secrets or type(e.input) ~= "table" then return end
  for _, word in ipairs(type(e.input.argv) == "table" and e.input.argv or {}) do
    local name = type(word) == "string" and s.secrets:within(word)
    if name then
      control.misuse("%s: the secret %s is among the arguments, which every user of this "
        .. "machine can read: hand it over by env or stdin", e.what or "process.run", name)
    end
  end
end

--- The gate of `run`, `resume` and `rollback`.
function gate.run(s, here, e, fn)
  if s.stopping then control.raise("interrupt", "interrupted") end
  gate.guard_arguments(s, e)
  local step = here:innermost_step()
  if e.read then return reads.run(s, here, step, e, fn) end
  if here:in_probe() then
    control.misuse("%s changes something, and a probe (done, goal, when, wait_until) may only read",
      e.what or gate.name(e))
  end
  if not step then
    control.misuse("%s changes something outside of a step: put it into a dr.step",
      e.what or gate.name(e))
  end
  gate.keep_promise(step.options, step.name, e)
  return calls.run(s, here, step, e, fn)
end

--- The gate while a playbook file is loaded.
function gate.load(_, _, e)
  control.misuse("%s at the top level of a file: a playbook does nothing until it is run, so "
    .. "put this into `run` or `ready`", e.what or gate.name(e))
end


return gate
