--- The command line: finds the verb and returns the exit code.
local errors = require "errors"
local strict = require "strict"
local task = require "task"

local verbs = {}

--- drlua script FILE.lua [ARG ...]: plain Lua with the stdlib on its path.
function verbs.script(args)
  local file = table.remove(args, 1)
  if not file then
    io.stderr:write("drlua script: name a Lua file to run\n")
    return 2
  end
  local chunk, message = loadfile(file, "t")
  if not chunk then
    io.stderr:write("drlua script: ", message, "\n")
    return 1
  end
  args[0] = file
  rawset(_G, "arg", args)
  -- Modules beside the script, and in the directory above it, can be required.
  local folder = file:match("^(.*)/[^/]*$") or "."
  package.path = ("%s/?.lua;%s/../?.lua;%s"):format(folder, folder, package.path)
  local ok, e = pcall(task.run, chunk, table.unpack(args))
  if ok then return 0 end
  e = errors.from(e)
  io.stderr:write("drlua script: ", e.traceback or tostring(e), "\n")
  return 1
end

return function(argv)
  strict.guard()
  local args = table.move(argv, 2, #argv, 1, {})
  local verb = verbs[argv[1] or ""]
  if not verb then
    io.stderr:write("drlua: verbs: script\n")
    return 2
  end
  return verb(args)
end
