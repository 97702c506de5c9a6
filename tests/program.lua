--- Runs drlua itself as a child, as a person or a program would.
local fs = require "native.fs"
local json = require "run.value"
local process = require "native.process"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

local program = {}

--- A temporary directory that is gone when the test ends.
function program.directory()
  local path = assert(fs.tempdir("drlua-test-"))
  t.cleanup(function() os.execute("rm -rf '" .. path .. "'") end)
  return path
end

local function slurp(proc, stream, on_line)
  local text, seen = "", 1
  while true do
    local data = task.await(proc:read(stream))
    if not data then return text end
    text = text .. data
    while on_line do
      local stop = text:find("\n", seen, true)
      if not stop then break end
      on_line(text:sub(seen, stop - 1), proc)
      seen = stop + 1
    end
  end
end

--- Runs drlua with these arguments. options: env, cwd, on_line = function(line, proc)
-- for each line of stdout, on_error_line for stderr. Returns { code, signal, out, err }.
function program.run(arguments, options)
  options = options or {}
  local argv = { sys.exe(), table.unpack(arguments) }
  local env = { DRLUA_TESTS = "1" }
  for k, v in pairs(options.env or {}) do env[k] = v end
  local proc <close> = assert(process.start { argv = argv, env = env, cwd = options.cwd,
    stdin = "null", stdout = "pipe", stderr = "pipe" })
  local texts = task.all {
    function() return slurp(proc, "stdout", options.on_line) end,
    function() return slurp(proc, "stderr", options.on_error_line) end,
  }
  local ended = task.await(proc:wait())
  return { code = ended.code, signal = ended.signal, out = texts[1], err = texts[2] }
end

--- The JSON lines of an output.
function program.events(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do table.insert(list, json.decode(line)) end
  return list
end

--- The names of the events, in order; with a second argument only that event's.
function program.names(text, only)
  local list = {}
  for _, e in ipairs(program.events(text)) do
    if not only or e.event == only then table.insert(list, only and e.step or e.event) end
  end
  return list
end

--- A workspace: a directory with a state and a world file, and a function that runs
-- drlua there. files: name -> text.
function program.workspace(files)
  local directory = program.directory()
  local self = { directory = directory, world = directory .. "/world" }
  local here = fs.realpath("tests/cli/stdlib")
  self.env = { DRLUA_STATE = directory .. "/state", PROBE_WORLD = self.world, DRLUA_STDLIB = here }
  function self.write(name, text)
    if name:find("/") then fs.mkdir(directory .. "/" .. name:match("^(.*)/"), 448) end
    assert(fs.write(directory .. "/" .. name, text, { mode = 384 }))
  end
  for name, text in pairs(files or {}) do self.write(name, text) end
  function self.run(arguments, options)
    options = options or {}
    options.cwd = directory
    local env = {}
    for k, v in pairs(self.env) do env[k] = v end
    for k, v in pairs(options.env or {}) do env[k] = v end
    options.env = env
    return program.run(arguments, options)
  end
  --- The effects that the world has seen, in order.
  function self.effects()
    local list = {}
    for line in (fs.read(self.world) or ""):gmatch("[^\n]+") do table.insert(list, line) end
    return list
  end
  return self
end

--- Skips the current test where no pseudo-terminal can be had (/dev/pts is not mounted).
function program.needs_terminal()
  local proc <close> = assert(process.start { argv = { "script", "-qec", "test -t 0", "/dev/null" },
    stdin = "null", stdout = "null", stderr = "null" })
  if task.await(proc:wait()).code ~= 0 then t.skip("no pseudo-terminal here") end
end

--- Runs drlua in a workspace at a pseudo-terminal. answers: { { prompt, answer }, ... }:
-- when the output shows `prompt`, `answer` is typed with a return; a function is called
-- instead; one that begins with "raw:" is typed as it is. Returns the output and the exit
-- code.
function program.typed(w, arguments, answers, more_env)
  program.needs_terminal()
  local quoted = {}
  for i, a in ipairs { sys.exe(), table.unpack(arguments) } do quoted[i] = "'" .. a .. "'" end
  local env = { TERM = "xterm", DRLUA_TESTS = "1" }
  for k, v in pairs(w.env) do env[k] = v end
  for k, v in pairs(more_env or {}) do env[k] = v end
  local proc <close> = assert(process.start { argv = { "script", "-qec", table.concat(quoted, " "),
    "/dev/null" }, env = env, cwd = w.directory, stdin = "pipe", stdout = "pipe", stderr = "null" })
  local text, from = "", 1
  while true do
    local data = task.await(proc:read("stdout"))
    if not data then break end
    text = text .. data
    local answer = answers[1]
    local _, stop = text:find(answer and answer[1] or "\0", from, true)
    if answer and stop then
      from = stop
      table.remove(answers, 1)
      local words = answer[2]
      if type(words) == "function" then
        words()
      else
        task.await(proc:write(words:match("^raw:(.*)$") or words .. "\n"))
      end
    end
  end
  return text, task.await(proc:wait()).code
end

--- A playbook's text around the body of its `run`.
function program.playbook(body, more)
  return ([[
local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Test", %s
  run = function(p)
%s
  end,
}
]]):format(more or "", body)
end

return program
