--- Programs: run with arguments, never through a shell.
--
--     local pods = process.run { "kubectl", "get", "pods", "-o", "json", read = true, timeout =
--     "30s" } print(pods.code, pods.stdout)
--
-- Secrets go by `env` or `stdin`; arguments can be seen by everybody on the machine.
local caption = require "caption"
local clock = require "native.clock"
local confidential = require "confidential"
local duration = require "duration"
local effect = require "effect"
local errors = require "errors"
local fs = require "native.fs"
local nearest = require "nearest"
local native = require "native.process"
local sys = require "native.sys"
local task = require "task"
local text = require "text"
local unknown = require "unknown"

local process = {}

local OUTPUT_LIMIT = 64 << 20
local GRACE_SECONDS = 5

local options = { "env", "clear_env", "cwd", "stdin", "timeout", "read", "check", "codes",
  "on_line", "user", "what",
  "repeatable", "max_output_bytes" }
local known = {}
for _, name in ipairs(options) do known[name] = true end

local function validate(call)
  if type(call[1]) ~= "string" then
    errors.misuse(4, "process.run: a program's name as the first element expected")
  end
  for key in pairs(call) do
    if math.type(key) ~= "integer" and not known[key] then
      errors.misuse(4, "process.run: unknown option \"%s\"%s", tostring(key),
        nearest.hint(tostring(key), options))
    end
  end
end

-- The call with each field read once: what is judged is what is run, whatever a
-- metatable would give the second time.
local function plain(call)
  if unknown.is(call) then return { call } end
  local copy = {}
  for name, value in next, call do copy[name] = value end
  for _, name in ipairs(options) do copy[name] = call[name] end
  for i = 1, #call do copy[i] = call[i] end
  return copy
end

local function name_of(call)
  return tostring(call[1]):match("[^/]*$")
end

-- "kubectl get pods": the words up to the first that may be a value.
local function title(call)
  local words = { name_of(call) }
  for i = 2, math.min(#call, 4) do
    local word = tostring(call[i])
    if not word:find("^[%w][%w_./:-]*$") or #word > 40 then break end
    table.insert(words, word)
  end
  return table.concat(words, " ")
end

-- Hands the complete lines of `pending` to on_line; returns the rest.
local function emit_lines(pending, stream, on_line, all)
  local from = 1
  while true do
    local stop = pending:find("\n", from, true)
    if not stop then break end
    on_line((pending:sub(from, stop - 1):gsub("\r$", "")), stream)
    from = stop + 1
  end
  if all and from <= #pending then on_line(pending:sub(from), stream) end
  return pending:sub(from)
end

local function read_all(proc, stream, call)
  local parts, size, pending = {}, 0, ""
  local limit = call.max_output_bytes or OUTPUT_LIMIT
  while true do
    local data, message, kind = task.await(proc:read(stream))
    if not data and kind ~= "closed" then errors.raise { kind = kind, message = message } end
    if not data then break end
    size = size + #data
    if size > limit then
      errors.raise { kind = "full",
        message = ("%s wrote more than %s"):format(title(call), text.size(limit)) }
    end
    table.insert(parts, data)
    if call.on_line then pending = emit_lines(pending .. data, stream, call.on_line) end
  end
  if call.on_line then emit_lines(pending, stream, call.on_line, true) end
  return table.concat(parts)
end

-- A program that does not read its input to the end is not an error.
local function feed(proc, data)
  if not data then return end
  local ok, message, kind = task.await(proc:write(data))
  if not ok and kind ~= "closed" then errors.raise { kind = kind, message = message } end
  proc:close_stdin()
end

-- First a word, then force; the whole group each time.
local function stop(proc)
  proc:kill("TERM")
  errors.try(task.timeout, GRACE_SECONDS, function() task.await(proc:wait()) end)
  proc:close()
end

-- fn, so that its error ends the program at once: nobody reads its output any more, and
-- on a full pipe it would wait for ever. A cancelled task cannot wait: see run.
local function ending(proc, fn, ...)
  local arguments = table.pack(...)
  return function()
    local ok, value = pcall(fn, proc, table.unpack(arguments, 1, arguments.n))
    if ok then return value end
    if not task.current().cancelled then stop(proc) end
    error(value, 0)
  end
end

local function collect(proc, call)
  local outputs = task.all {
    ending(proc, read_all, "stdout", call), ending(proc, read_all, "stderr", call),
    ending(proc, feed, call.stdin),
  }
  local ended = errors.check("wait for " .. title(call), task.await(proc:wait()))
  return { code = ended.code, signal = ended.signal, stdout = outputs[1], stderr = outputs[2] }
end

local function run(call)
  local limit, wrong
  if call.timeout then
    limit, wrong = duration.parse(call.timeout)
    if not limit then errors.misuse(3, "process.run: %s", wrong) end
  end
  local began = clock.monotonic()
  local proc = errors.check("run " .. name_of(call),
    native.start { argv = table.move(call, 1, #call, 1, {}),
    env = call.env, clear_env = call.clear_env, cwd = call.cwd, user = call.user,
    stdin = call.stdin and "pipe" or "null", die_with_parent = "TERM" })
  local result, e
  if limit then
    result, e = errors.try(task.timeout, limit, collect, proc, call)
  else
    result, e = errors.try(collect, proc, call)
  end
  if not result then
    if e.kind == "timeout" then
      stop(proc)
      errors.raise { kind = "timeout",
        message = ("%s did not end within %s and was stopped"):format(title(call),
        duration.format(limit)) }
    end
    if e.kind == "cancelled" then
      task.spawn(stop, proc) -- a cancelled task cannot wait
    else
      proc:close()
    end
    error(e, 0)
  end
  proc:close()
  result.seconds = clock.monotonic() - began
  return result
end

-- The last words of a program, for the sentence of its failure.
local function last_words(result)
  return text.last_lines(result.stderr ~= "" and result.stderr or result.stdout, 3, 400)
end

local function check(call, result)
  local accepted = call.codes or { 0 }
  for _, code in ipairs(accepted) do
    if result.code == code then return result end
  end
  local how = result.signal and "was ended by signal " .. result.signal
    or ("ended with code %d"):format(result.code)
  local words = last_words(result)
  errors.raise { kind = "failed", code = result.code, signal = result.signal,
    stdout = result.stdout, stderr = result.stderr,
    message = ("%s %s%s"):format(title(call), how, words ~= "" and ": " .. words or "") }
end

-- What the journal keeps of a call: the values of variables and the input stay out,
-- but for those not known yet.
local function input_of(call)
  local input = { argv = table.move(call, 1, #call, 1, {}), cwd = call.cwd,
    stdin = unknown.within(call.stdin) }
  if unknown.is(call.env) then
    input.env = call.env
  elseif call.env then
    input.env = {}
    for name, value in pairs(call.env) do
      if confidential.likely(name, value) then confidential.register("variable", value) end
      input.env[name] = unknown.within(value) or true
    end
  end
  return input
end

--- Runs a program in its own process group and returns { code =, stdout =,
-- stderr =, seconds = } (signal = instead of code when a signal ended it). One that
-- takes too long, or whose task is cancelled, is asked to end (SIGTERM), and forced to
-- after 5 s; one whose drlua is killed is asked to end as well.
--
-- call: a list of the program and its arguments, and
--   env        variables, added to ours; false takes one away; clear_env: only these
--   cwd        directory
--   stdin      text for its standard input (default: none)
--   timeout    "5m": then the whole process group is stopped, kind "timeout"
--   read       true: it changes nothing, so plan and check run it too
--   check      false: any code is fine; else another code than 0 raises kind "failed"
--              (with code, signal, stdout, stderr)
--   codes      the codes that are fine, {0} by default
--   on_line    function(line, "stdout"|"stderr"), called as lines come
--   user       { uid =, gid = }: run as, when we are root
--   what       text for a person, default the call as one would type it
--   repeatable true: running it twice does no more than once
--   max_output_bytes  default 64 MiB
function process.run(call)
  if type(call) ~= "table" then
    errors.misuse(2, "process.run: a table expected, got %s", type(call))
  end
  call = plain(call)
  local result = effect.perform({ kind = "process", operation = name_of(call),
    read = call.read or false, what = call.what or "run " .. caption.command(call),
    input = input_of(call), repeatable = call.repeatable }, function()
    validate(call)
    local result = run(call)
    return call.check == false and result or check(call, result)
  end)
  return result
end

--- The path of a program in PATH, or nil.
function process.find(name)
  if unknown.is(name) then return unknown.new("the path of a program") end
  for _, directory in ipairs(text.split(sys.getenv("PATH") or "/usr/local/bin:/usr/bin:/bin",
    ":")) do
    local path = directory .. "/" .. name
    local found = fs.stat(path)
    -- 0111: may be executed
    if found and found.type == "file" and found.mode & 73 ~= 0 then return path end
  end
end

return process
