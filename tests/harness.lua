--- The test harness. A test file:
--
--     local t = require "harness"
--     t.test("what must hold", function()
--       t.equal(1 + 1, 2)
--     end)
--
-- Each test runs as a task, and fails when it leaves an operation of the loop, an
-- open descriptor, a child process, or a temporary file behind. Lines printed:
-- "ok NAME", "not ok NAME" with the reason indented, "skip NAME: REASON"; the
-- runner (tests/run.lua) counts them. A test that does not end is ended after
-- WATCH_SECONDS, with the place where each of its tasks stood.
local clock = require "native.clock"
local errors = require "errors"
local http = require "native.http"
local loop = require "native.loop"
local sys = require "native.sys"
local task = require "task"

local harness = {}

local WATCH_SECONDS = 300

local spawned = setmetatable({}, { __mode = "k" })
local spawn = task.spawn
function task.spawn(...)
  local t = spawn(...)
  spawned[t] = true
  return t
end

local function fail(text, ...)
  error(errors.new { kind = "assertion", message = text:format(...),
    traceback = debug.traceback("", 3) }, 0)
end

local function show(value, depth)
  depth = depth or 0
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" or depth > 4 or errors.is(value) then return tostring(value) end
  local keys, parts = {}, {}
  for k in pairs(value) do table.insert(keys, k) end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(keys) do
    table.insert(parts, ("[%s]=%s"):format(show(k), show(value[k], depth + 1)))
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end
harness.show = show

local function same(a, b)
  if a == b then return math.type(a) == math.type(b) end
  if type(a) ~= "table" or type(b) ~= "table" then return a ~= a and b ~= b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

--- Equal, tables by content; integers and floats are different.
function harness.equal(actual, expected, what)
  if not same(actual, expected) then
    fail("%s%s expected, got %s", what and what .. ": " or "", show(expected), show(actual))
  end
end

function harness.ok(value, what)
  if not value then fail("%s", what or "a true value expected, got " .. tostring(value)) end
  return value
end

--- The text contains the plain string.
function harness.contains(text, part)
  if not tostring(text):find(part, 1, true) then
    fail("%s does not contain %s", show(tostring(text)), show(part))
  end
end

--- The text matches the Lua pattern.
function harness.matches(text, pattern)
  if not tostring(text):find(pattern) then
    fail("%s does not match %s", show(tostring(text)), show(pattern))
  end
end

--- fn(...) raises; returns the error object. pattern: of its message, or nil.
function harness.raises(pattern, fn, ...)
  local ok, e = pcall(fn, ...)
  if ok then fail("an error matching %s expected, none raised", show(pattern)) end
  e = errors.from(e)
  if pattern and not tostring(e):find(pattern) then
    fail("an error matching %s expected, got %s", show(pattern), show(tostring(e)))
  end
  return e
end

local SKIP = {}

--- Ends the current test as skipped, by name and with the reason.
function harness.skip(reason)
  error(setmetatable({ reason = reason }, SKIP), 0)
end

local cleanups

--- Runs fn when the test ends, whatever its outcome; last registered first.
function harness.cleanup(fn)
  table.insert(cleanups, fn)
end

local function run_cleanups()
  local first
  while #cleanups > 0 do
    local ok, e = pcall(table.remove(cleanups))
    if not ok then first = first or e end
  end
  if first then error(first, 0) end
end

-- Descriptors and children come from /proc, read by the shell's builtins: the
-- harness must work before native.fs does.
local function listing()
  local pipe = assert(io.popen(("for f in /proc/%d/fd/*; do l=$(readlink $f) && echo fd $l; done; "
    .. "cat /proc/%d/task/*/children"):format(sys.pid(), sys.pid())))
  local fds, children = {}, {}
  for line in pipe:lines() do
    local target = line:match("^fd (.*)$")
    if target then
      if not target:find("pipe:", 1, true) then table.insert(fds, target) end
    else
      for pid in line:gmatch("%d+") do
        if sys.alive(tonumber(pid)) then children[pid] = true end
      end
    end
  end
  pipe:close()
  return #fds, children, table.concat(fds, " ")
end

local function leaks(before_fds, before_children)
  collectgarbage() collectgarbage()
  http.close_idle()
  if loop.pending() > 0 then fail("%d operations left pending", loop.pending()) end
  local fds, children, names = listing()
  -- A thread that has told its end closes its descriptor a moment later.
  for _ = 1, 50 do
    if fds <= before_fds then break end
    loop.wait(0.02)
    fds, children, names = listing()
  end
  if fds > before_fds then fail("%d descriptors left open: %s", fds - before_fds, names) end
  local shell = 0
  for pid in pairs(children) do
    if not before_children[pid] then shell = shell + 1 end
  end
  if shell > 1 then fail("%d child processes left", shell - 1) end
end

-- Ends the process when the test has hung: nothing of it can be trusted any more. It
-- watches from within the loop's wait: an operation of its own would be one that the
-- tests count.
local wait = loop.wait
local function watch(name)
  spawned[task.current()] = true
  local deadline = clock.monotonic() + WATCH_SECONDS
  function loop.wait(seconds)
    local left = deadline - clock.monotonic()
    if left > 0 then return wait(math.min(seconds, left)) end
    print(("not ok %s\n  no end after %d s. Where its tasks stand:"):format(name, WATCH_SECONDS))
    for t in pairs(spawned) do
      if t.co then print("  " .. debug.traceback(t.co):gsub("\n", "\n  ")) end
    end
    os.exit(1)
  end
end

local function run(name, fn)
  cleanups = {}
  collectgarbage()
  local fds, children = listing()
  local ok, e = xpcall(task.run, function(raised)
    if getmetatable(raised) == SKIP then return raised end
    raised = errors.from(raised)
    raised.traceback = raised.traceback or debug.traceback("", 2)
    return raised
  end, function()
    watch(name)
    local ok, raised = xpcall(fn, function(x)
      if getmetatable(x) == SKIP then return x end
      x = errors.from(x)
      x.traceback = x.traceback or debug.traceback("", 2)
      return x
    end)
    local cleaned, left = pcall(run_cleanups)
    loop.wait = wait
    if ok and not cleaned then error(left, 0) end
    if not ok then error(raised, 0) end
  end)
  if ok then ok, e = pcall(leaks, fds, children) end
  if ok then
    print("ok " .. name)
  elseif getmetatable(e) == SKIP then
    print(("skip %s: %s"):format(name, e.reason))
  else
    local text = tostring(e) .. (errors.is(e) and e.traceback and "\n" .. e.traceback or "")
    print(("not ok %s\n  %s"):format(name, text:gsub("\n", "\n  ")))
  end
  io.stdout:flush()
end

local filter = arg and arg[1]

--- Declares and runs a test. With an argument to the file, only tests whose name
-- contains it.
function harness.test(name, fn)
  if filter and not name:find(filter, 1, true) then return end
  -- Inside the main task of `drlua script`; each test is its own task.
  run(name, fn)
end

return harness
