--- The command line: finds the verb and returns the exit code.
local confidential = require "confidential"
local errors = require "errors"
local strict = require "strict"
local sys = require "native.sys"
local task = require "task"

local verbs = {}

local function complaint(...)
  require("cli.write").err(...)
end

-- A verb's module is loaded when it is used: a cold start reads little.
local function from(module, name)
  return function(parsed) return require(module)[name](parsed) end
end

verbs.run, verbs.resume, verbs.rollback = from("cli.start", "run"), from("cli.start", "resume"),
  from("cli.start", "rollback")
verbs.plan, verbs.check = from("cli.preview", "plan"), from("cli.preview", "check")
verbs.runs, verbs.show, verbs.report = from("cli.show", "runs"), from("cli.show", "show"),
  from("cli.show", "report")
verbs.approve, verbs.pause = from("cli.show", "approve"), from("cli.show", "pause")
verbs.verify = from("cli.verify", "verify")
verbs.list, verbs.help, verbs.new = from("cli.catalogue", "list"), from("cli.catalogue", "help"),
  from("cli.catalogue", "new")
verbs.version = from("cli.catalogue", "version")
verbs.rehearse = from("cli.rehearse", "rehearse")
verbs.sim = from("cli.simulate", "sim")
verbs.doc = from("cli.document", "doc")

-- drlua script FILE.lua [ARG ...]: plain Lua with the stdlib on its path.
local function script(args)
  local file = table.remove(args, 1)
  if not file then
    complaint("drlua script: name a Lua file to run\n")
    return 2
  end
  local chunk, message = loadfile(file, "t")
  if not chunk then
    complaint("drlua script: ", message, "\n")
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
  complaint("drlua script: ", e.traceback or tostring(e), "\n")
  return 1
end

-- The exit code of an error that stopped a verb before a run began.
local function code_of(e)
  if e.kind == "locked" then return 5 end
  return 2
end

local function complain(e, trace, json)
  local place = e.where or e.at
  local text = confidential.mask(place and ("%s: %s"):format(place, e.message) or e.message)
  if json then
    local value = require "run.value"
    local clock = require "native.clock"
    local event = { time = clock.format(clock.now(), "rfc3339"), event = "run_failed",
      run = value.null,
      error = text }
    require("cli.write").json(event)
  end
  complaint("drlua: ", text, "\n")
  if trace and e.traceback then complaint(confidential.mask(e.traceback), "\n") end
end

-- Verbs that are for nothing but what they print.
local tells = { plan = true, check = true, runs = true, show = true, report = true, verify = true,
  list = true, help = true, doc = true, version = true }

-- The exit code of a verb whose output may have been lost. What a run did, it did.
local function delivered(verb, code)
  local ok, message = sys.flush()
  if ok then return code end
  complaint("drlua: ", message, "\n")
  return tells[verb] and code == 0 and 1 or code
end

return function(argv)
  strict.guard()
  local words = table.move(argv, 1, #argv, 1, {})
  if words[1] == "script" then return script(table.move(words, 2, #words, 1, {})) end
  local parsed
  local ok, code = xpcall(function()
    parsed = require("cli.options").parse(words)
    if parsed.help then
      parsed.words = { parsed.verb }
      return require("cli.catalogue").help(parsed)
    end
    return task.run(verbs[parsed.verb], parsed)
  end, function(e)
    e = errors.from(e)
    if not e.traceback then e.traceback = debug.traceback(tostring(e), 2) end
    return e
  end)
  local verb = parsed and (parsed.help and "help" or parsed.verb)
  if ok then return delivered(verb, code) end
  local e = code
  complain(e, parsed and parsed.trace, parsed and parsed.output == "json")
  return delivered(verb, code_of(e))
end
