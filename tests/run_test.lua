-- tests/run.lua, on small trees of test files: side by side, alone, hung, interrupted.
local t = require "harness"
local fs = require "native.fs"
local process = require "native.process"
local program = require "program"
local sys = require "native.sys"
local task = require "task"

local RUNNER = assert(fs.realpath("tests/run.lua"))

-- A directory with these files under tests/.
local function tree(files)
  local directory = program.directory()
  assert(fs.mkdir(directory .. "/tests", 448))
  for name, text in pairs(files) do
    assert(fs.write(directory .. "/tests/" .. name .. "_test.lua", text))
  end
  return directory
end

local function run(directory, ...)
  return program.run({ "script", RUNNER, ... }, { cwd = directory })
end

local function last_line(text) return text:match("([^\n]*)\n$") end

-- Lua text that waits for a file, at most 30 s, and fails without it.
local AWAIT = [[
local fs, task = require "native.fs", require "task"
local function await(path)
  for _ = 1, 1500 do
    if fs.stat(path) then return print("ok " .. path) end
    task.sleep(0.02)
  end
  print("not ok " .. path)
end
]]

t.test("files run side by side: each waits for what the other one does", function()
  local directory = tree { a = AWAIT .. 'fs.write("a", "") await "b"', b = AWAIT
    .. 'fs.write("b", "") await "a"' }
  local r = run(directory, "-j", "2")
  t.equal({ r.code, last_line(r.out) }, { 0, "2 passed, 0 failed, 0 skipped" }, r.out)
end)

t.test("one at a time with -j1; a serial file runs last, with nobody beside it", function()
  local alone = [[
local fs = require "native.fs"
print((fs.stat "busy" and "not ok " or "ok ") .. arg[0])
fs.write("busy", "")
require("task").sleep(0.05)
os.remove "busy"
]]
  local serial = "-- what it is about\n-- serial\n" .. alone
    .. 'print((fs.stat "c" and "ok" or "not ok") .. " c was before")'
  local directory = tree { a = serial, b = serial, c = alone .. 'fs.write("c", "")' }
  local r = run(directory, "-j1")
  t.equal({ r.code, last_line(r.out) }, { 0, "5 passed, 0 failed, 0 skipped" }, r.out)
  t.equal(run(directory, "-j", "3").code, 0)
end)

t.test("failures, skips and ends by code or signal are counted; output stays together", function()
  local chat = 'for _ = 1, 20 do print(arg[0]) io.stdout:flush() '
    .. 'require("task").sleep(0.001) end print "ok it"'
  local directory = tree { a = 'print "ok x" print "not ok y\\n  why" print "skip z: no z here"',
    b = "error 'broken'", c = 'require("native.sys").kill(require("native.sys").pid(), "KILL")',
    d = chat, e = chat }
  local r = run(directory, "-j", "5")
  t.equal(r.code, 1)
  t.equal(last_line(r.out), "3 passed, 3 failed, 1 skipped")
  t.contains(r.out, "  not ok y\n    why\nFAIL tests/a_test.lua: 1 passed, 1 failed")
  t.contains(r.out, "  tests/b_test.lua ended by exit 1")
  t.contains(r.out, "  tests/c_test.lua ended by signal KILL")
  t.contains(r.out, ("  tests/d_test.lua\n"):rep(20) .. "pass tests/d_test.lua: 1 passed, 0 failed")
  t.contains(r.out, "skip z: no z here\nFAIL tests/a_test.lua\nFAIL "
    .. "tests/b_test.lua\nFAIL tests/c_test.lua\n")
  t.equal(last_line(run(directory, "d_test", "e_test").out), "2 passed, 0 failed, 0 skipped")
  for _, wrong in ipairs { { "-j" }, { "-j", "no" }, { "-j0" }, { "--timeout" }, { "--loud" } } do
    t.equal(run(directory, table.unpack(wrong)).code, 2)
  end
end)

-- A test file that hangs outside of the loop (deaf to SIGTERM with a file "deaf"), after it started
-- a program in a group of its own; "pids" has both.
local HUNG = [[
local fs, process, signal = require "native.fs", require "native.process", require "native.signal"
local asked = fs.stat "deaf" and signal.next { "TERM" }
local child = process.start { argv = { "sleep", "1000" } }
fs.write("pids", require("native.sys").pid() .. " " .. child.pid .. "\n", { atomic = true })
while true do os.execute "sleep 0.1" end
]]

local function pids_of(directory)
  local text
  for _ = 1, 1500 do
    text = fs.read(directory .. "/pids")
    if text then break end
    task.sleep(0.02)
  end
  local a, b = t.ok(text, "the file has not started"):match("(%d+) (%d+)")
  return math.tointeger(tonumber(a)), math.tointeger(tonumber(b))
end

local function expect_gone(directory)
  local file, child = pids_of(directory)
  for _, pid in ipairs { file, child } do
    for _ = 1, 250 do
      if not sys.alive(pid) then break end
      task.sleep(0.02)
    end
    t.ok(not sys.alive(pid), "process " .. pid .. " is left")
  end
end

t.test("a hung file is stopped with all that it started, and has failed", function()
  local directory = tree { a = HUNG, b = 'print "ok b"' }
  assert(fs.write(directory .. "/deaf", ""))
  local r = run(directory, "--timeout", "1")
  t.equal({ r.code, last_line(r.out) }, { 1, "1 passed, 1 failed, 0 skipped" })
  t.contains(r.out, "tests/a_test.lua was stopped: no end within 1 s")
  expect_gone(directory)
end)

t.test("Ctrl-C ends the files and what they started, and leaves nothing", function()
  local directory = tree { a = HUNG }
  assert(fs.mkdir(directory .. "/tmp", 448))
  local proc <close> = assert(process.start { argv = { sys.exe(), "script", RUNNER },
    cwd = directory, stdin = "null", stdout = "null", stderr = "null",
    env = { TMPDIR = directory .. "/tmp" } })
  pids_of(directory)
  proc:kill("INT")
  t.equal(task.await(proc:wait()).code, 130)
  expect_gone(directory)
  t.equal(fs.list(directory .. "/tmp"), {})
end)
