--- Runs the test files side by side, each in a process of its own, and counts.
--
-- Usage: drlua script tests/run.lua [-j N] [--timeout SECONDS] [FILTER...]: only files
-- whose path contains one of the filters; N files at a time, by default as many as there
-- are processors; one that takes longer than the timeout is stopped, and has failed.
-- A file with the line "-- serial" among its first lines (it measures time, or needs
-- the whole machine) runs alone, after the others. What a file prints stays together.
-- Ends with the line "N passed, N failed, N skipped".
local clock = require "native.clock"
local errors = require "errors"
local fs = require "native.fs"
local process = require "native.process"
local signal = require "native.signal"
local sys = require "native.sys"
local task = require "task"

-- The timeout is for what the harness cannot end by itself: a hang outside of the loop.
local FILE_SECONDS, GRACE_SECONDS = 1200, 5
local MARKER, MARKER_LINES = "-- serial", 20
-- How long each file took when it last ran: the longest one starts first.
local TIMES = "build/test-times"

local function usage(message)
  io.stderr:write("tests/run.lua: ", message,
    "\nusage: drlua script tests/run.lua [-j N] [--timeout SECONDS] [FILTER...]\n")
  os.exit(2, true)
end

local function options()
  local found, i = { jobs = sys.cpus(), seconds = FILE_SECONDS, filters = {} }, 0
  local function count(name, text)
    if text == "" then
      i = i + 1
      text = arg[i]
    end
    local n = math.tointeger(tonumber(text))
    return n and n > 0 and n or usage(name .. " wants a whole number above 0")
  end
  while i < #arg do
    i = i + 1
    local jobs = arg[i]:match("^%-j(.*)$")
    if jobs then
      found.jobs = count("-j", jobs)
    elseif arg[i] == "--timeout" then
      found.seconds = count("--timeout", "")
    elseif arg[i]:find("^%-") then
      usage("unknown option " .. arg[i])
    else
      table.insert(found.filters, arg[i])
    end
  end
  return found
end

local function descending_by(times)
  return function(a, b)
    local x, y = times[a] or math.huge, times[b] or math.huge
    if x ~= y then return x > y end
    return a < b
  end
end

local function test_files()
  local found, pipe = {}, assert(io.popen("find tests -name '*_test.lua' | LC_ALL=C sort"))
  for line in pipe:lines() do table.insert(found, line) end
  pipe:close()
  return found
end

local function wanted(path, filters)
  for _, filter in ipairs(filters) do
    if path:find(filter, 1, true) then return true end
  end
  return #filters == 0
end

local function is_serial(path)
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    if line == MARKER then return true end
    if number == MARKER_LINES then return false end
  end
end

local function read_times()
  local times = {}
  for path, seconds in (fs.read(TIMES) or ""):gmatch("(%S+) ([%d.]+)\n") do
    times[path] = tonumber(seconds)
  end
  return times
end

-- A folder without build/ is no failure: then the order is that of the names.
local function write_times(times)
  local lines = {}
  for path, seconds in pairs(times) do table.insert(lines, ("%s %.2f\n"):format(path, seconds)) end
  table.sort(lines)
  fs.write(TIMES, table.concat(lines))
end

-- The processes below one, with the time each began: a number alone may be another's by then.
local function descendants(pid, list)
  list = list or {}
  for child in (fs.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
    child = math.tointeger(tonumber(child))
    table.insert(list, { pid = child, began = sys.start_time(child) })
    descendants(child, list)
  end
  return list
end

-- Ends a file's process and all that it started, which may be in groups of their own.
local function stop(proc)
  local below = descendants(proc.pid)
  proc:kill("TERM")
  local ended = errors.try(task.timeout, GRACE_SECONDS, function() task.await(proc:wait()) end)
  if not ended then proc:kill("KILL") end
  for _, one in ipairs(below) do
    if one.began and sys.start_time(one.pid) == one.began then sys.kill(one.pid, "KILL") end
  end
end

local running = {}

local function how_it_ended(path, ended, e, seconds)
  if e and e.kind == "timeout" then
    return ("%s was stopped: no end within %d s"):format(path, seconds)
  end
  if e then return ("%s was stopped: %s"):format(path, tostring(e)) end
  if ended.signal then return ("%s ended by signal %s"):format(path, ended.signal) end
  if ended.code ~= 0 then return ("%s ended by exit %d"):format(path, ended.code) end
end

-- Runs one file; returns how it ended, when not well, and the seconds it took.
local function run(path, output, seconds)
  local began = clock.monotonic()
  -- Into a file, not a pipe: a process that a broken test left behind would hold that open.
  local proc <close> = assert(process.start { argv = { sys.exe(), "script", path }, stdin = "null",
    stdout = { file = output }, stderr = "stdout", die_with_parent = "TERM" })
  running[path] = proc
  local ended, e = errors.try(task.timeout, seconds, function() return task.await(proc:wait()) end)
  running[path] = nil
  if e then stop(proc) end
  return how_it_ended(path, ended, e, seconds), clock.monotonic() - began
end

-- Counts a file's output, prints what is no "ok", and its line.
local function tell(result, output)
  local lines = {}
  for line in (fs.read(output) or ""):gmatch("[^\n]+") do
    if line:find("^ok ") then
      result.passed = result.passed + 1
    elseif line:find("^skip ") then
      table.insert(result.skipped, line)
    else
      if line:find("^not ok ") then result.failed = result.failed + 1 end
      table.insert(lines, "  " .. line)
    end
  end
  if result.how then
    result.failed = result.failed + 1
    table.insert(lines, "  " .. result.how)
  end
  table.insert(lines, ("%s %s: %d passed, %d failed (%.1f s)"):format(result.failed == 0 and "pass"
    or "FAIL",
    result.path, result.passed, result.failed, result.seconds))
  print(table.concat(lines, "\n"))
  io.stdout:flush()
end

local function run_and_tell(path, seconds, results, directory)
  local output = directory .. "/" .. path:gsub("/", ".")
  local result = { path = path, passed = 0, failed = 0, skipped = {} }
  result.how, result.seconds = run(path, output, seconds)
  tell(result, output)
  table.insert(results, result)
end

local function run_files(files, jobs, seconds, results, directory)
  local work = {}
  for i, path in ipairs(files) do
    work[i] = function() run_and_tell(path, seconds, results, directory) end
  end
  task.all(work, { limit = jobs })
end

-- The files in two lists: those that can run beside others, longest first, and those
-- that run alone.
local function arrange(filters, times)
  local together, alone = {}, {}
  for _, path in ipairs(test_files()) do
    if wanted(path, filters) then table.insert(is_serial(path) and alone or together, path) end
  end
  table.sort(together, descending_by(times))
  return together, alone
end

-- A signal ends every file by its process's number, then this.
local function watch_signals(directory)
  return task.spawn(function()
    local name = task.await(signal.next { "INT", "TERM", "HUP" })
    if not name then return end
    local stopping = {}
    for _, proc in pairs(running) do table.insert(stopping, function() stop(proc) end) end
    task.all(stopping)
    fs.remove_tree(directory)
    os.exit(name == "INT" and 130 or 143, true)
  end)
end

local function summary(results)
  local passed, failed, skipped = 0, 0, 0
  table.sort(results, function(a, b) return a.path < b.path end)
  for _, result in ipairs(results) do
    for _, line in ipairs(result.skipped) do print(line) end
    skipped = skipped + #result.skipped
  end
  for _, result in ipairs(results) do
    if result.failed > 0 then print("FAIL " .. result.path) end
    passed, failed = passed + result.passed, failed + result.failed
  end
  print(("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
  return failed == 0
end

local chosen = options()
sys.setenv("DRLUA_TESTS", "1")
local directory = assert(fs.tempdir("drlua-tests."))
local times, results = read_times(), {}
local watcher = watch_signals(directory)
local together, alone = arrange(chosen.filters, times)
run_files(together, chosen.jobs, chosen.seconds, results, directory)
run_files(alone, 1, chosen.seconds, results, directory)
watcher:cancel()
fs.remove_tree(directory)
for _, result in ipairs(results) do times[result.path] = result.seconds end
write_times(times)
os.exit(summary(results) and 0 or 1, true)
