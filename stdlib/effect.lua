--- The one gate between this process and the world.
--
-- Whatever touches the world outside goes through effect.perform. By itself it
-- calls the function; a run installs a handler that journals intents and results,
-- replays, or stops what would change something (see docs/architecture.md).
local errors = require "errors"
local task = require "task"

local effect = {}

local handler

local kinds = { aws = true, sql = true, process = true, http = true, file = true }

--- Performs an effect: fn(token) does it and returns its values.
--
-- e: a table with
--   kind        "aws" "sql" "process" "http" "file"
--   read        true when it changes nothing
--   wait        true for a wait until something holds (read as well): not waited for under plan
--   what        text for a person: "promote the replica app-dr in us-west-2"
--   input       what is sent; holds unknown values under plan, so validate inside fn
--   place       of SQL: "host:port/database"
--   service, operation, region, account      of AWS
--   token_member  name of the input's idempotency token, when the operation has one
--   repeatable  true when sending it twice does no more than sending it once
--   file        path of a file that the effect also writes
--   call        function(operation, input): another AWS operation by the same client,
--               for finding out whether an interrupted call had its effect
--   check       function(): validates the input without sending it, raises when wrong
--   global      true for a service of AWS that has no regions
--   secret_members  function(side, value, fn): the "input" or "output" with fn(member, name) in
--               place of each member that AWS's model marks sensitive; of AWS
--   whose       function() -> the account that the call would go to, or nil and why it is
--               not known; of AWS
--   undecided   true: whom it goes to is known only after the run
--   rehearse    function(): adds to `what` what the effect would do, without doing it
-- A handler may set e.recorded: the values are kept whole, so they should be plain data;
-- and e.progress, function(text): what takes long reports by it how far it is;
-- and e.part, function(statement): a transaction calls it before each of its statements, and
-- an error in it ends the transaction; and e.again, function(): called before what was sent
-- without success is sent once more, and an error in it ends the call.
-- The token is a string that names this very call for good, or nil: then fn makes its own.
function effect.perform(e, fn)
  if not kinds[e.kind] then errors.misuse(2, "effect of unknown kind %s", tostring(e.kind)) end
  if not handler then return fn() end
  if not task.can_wait() then
    errors.raise { kind = "misuse",
      message = ("%s cannot wait here, in a function that string.gsub, table.sort or "
      .. "tostring calls: collect first, then call"):format(tostring(e.what or e.kind)) }
  end
  return handler(e, fn)
end

--- True when a handler is installed: without one, callers on a hot path may do
-- their work at once, without describing it.
function effect.installed() return handler ~= nil end

--- Installs the handler(e, fn), or none for nil; returns the former one.
function effect.install(new)
  local former = handler
  handler = new
  return former
end

return effect
