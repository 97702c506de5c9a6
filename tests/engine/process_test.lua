-- native.process: real children, their streams, groups and ends.
local t = require "harness"
local fs = require "native.fs"
local process = require "native.process"
local sys = require "native.sys"
local task = require "task"

local function slurp(proc, stream)
  local parts = {}
  while true do
    local data, message, kind = task.await(proc:read(stream))
    if not data then
      t.equal({ message, kind }, { "end of file", "closed" })
      return table.concat(parts)
    end
    table.insert(parts, data)
  end
end

local function output(options)
  local proc <close> = assert(process.start(options))
  local text = slurp(proc, "stdout")
  return text, task.await(proc:wait())
end

-- Waits until the process is gone; a missing end is the test's own hang.
local function gone(pid)
  task.timeout(10, function()
    while sys.alive(pid) do task.sleep(0.005) end
  end)
end

-- A shell ignores interrupts for what it starts in the background.
t.test("a program does not inherit that interrupts are ignored", function()
  local directory = assert(fs.tempdir("drlua-test-"))
  t.cleanup(function() fs.remove_tree(directory) end)
  assert(fs.write(directory .. "/a.lua", [[
    local process, task = require "native.process", require "task"
    local proc <close> = process.start { argv = { "sh", "-c", "kill -INT $$; sleep 5" } }
    print(task.await(proc:wait()).signal)]], { mode = 384 }))
  t.equal((output { argv = { "sh", "-c", 'trap "" INT; exec "$0" script "$1"', sys.exe(),
    directory .. "/a.lua" } }), "INT\n")
end)

t.test("arguments reach the program as they are, and its code comes back", function()
  local text, ended = output { argv = { "printf", "%s|", "a b", "$HOME", "*", "", "\"" } }
  t.equal(text, "a b|$HOME|*||\"|")
  t.equal(ended, { code = 0 })
  t.equal(select(2, output { argv = { "sh", "-c", "exit 7" } }), { code = 7 })
  t.equal(select(2, output { argv = { "/bin/sh", "-c", "kill -9 $$" } }), { signal = "KILL" })
end)

t.test("environment: added to ours, taken away, or alone", function()
  sys.setenv("DRLUA_TEST_OURS", "1")
  local script = { "/bin/sh", "-c", "echo ${DRLUA_TEST_OURS-none} ${B-none}" }
  t.equal(output { argv = script }, "1 none\n")
  t.equal(output { argv = script, env = { B = "b c" } }, "1 b c\n")
  t.equal(output { argv = script, env = { DRLUA_TEST_OURS = false } }, "none none\n")
  t.equal(output { argv = script, env = { DRLUA_TEST_OURS = 2 } }, "2 none\n")
  t.equal(output { argv = { "/usr/bin/env" }, env = { A = "1" }, clear_env = true }, "A=1\n")
  sys.setenv("DRLUA_TEST_OURS", nil)
end)

t.test("standard input, a lot of it, through a filter and back", function()
  local proc <close> = assert(process.start { argv = { "tr", "a", "b" }, stdin = "pipe" })
  local data = ("a"):rep(1000000)
  local results = task.all {
    function()
      task.await(proc:write(data))
      proc:close_stdin()
    end,
    function() return slurp(proc, "stdout") end,
  }
  t.ok(results[2] == ("b"):rep(1000000))
  t.equal(task.await(proc:wait()), { code = 0 })
  t.equal(task.await(proc:wait()), { code = 0 }, "a second wait")
end)

t.test("streams: separate, joined, null, a file; and no descriptor of ours", function()
  local script = { "sh", "-c", "echo out; echo err >&2; ls /proc/self/fd | wc -l" }
  local proc = assert(process.start { argv = script })
  t.equal(slurp(proc, "stderr"), "err\n")
  t.equal(slurp(proc, "stdout"), "out\n4\n")
  proc:close()
  t.equal(output { argv = script, stderr = "stdout" }, "out\nerr\n4\n")
  local dir = assert(fs.tempdir("drlua-process."))
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  assert(fs.write(dir .. "/in", "from a file"))
  proc = assert(process.start { argv = { "cat" }, stdin = { file = dir .. "/in" },
    stdout = { file = dir .. "/out" }, stderr = "null" })
  t.equal(task.await(proc:wait()), { code = 0 })
  proc:close()
  t.equal(fs.read(dir .. "/out"), "from a file")
end)

t.test("a directory of its own, and the default signals", function()
  t.equal(output { argv = { "pwd" }, cwd = "/usr/bin" }, "/usr/bin\n")
  -- SIGPIPE is ignored in drlua; a child must die of it.
  t.equal(select(2, output { argv = { "sh", "-c", "kill -PIPE $$; echo survived" } }),
    { signal = "PIPE" })
end)

t.test("what cannot start says why", function()
  local proc, message, kind = process.start { argv = { "no-such-program-of-ours" } }
  t.equal({ proc, message, kind }, { nil, "no program \"no-such-program-of-ours\" in PATH",
    "missing" })
  proc, message, kind = process.start { argv = { "/etc/passwd" } }
  t.equal({ proc, message, kind }, { nil, "start /etc/passwd: execute: Permission denied",
    "denied" })
  proc, message, kind = process.start { argv = { "true" }, cwd = "/nowhere" }
  t.equal({ proc, message, kind },
    { nil, "start true: enter the directory /nowhere: No such file or directory", "missing" })
  proc, message = process.start { argv = { "cat" }, stdin = { file = "/nowhere" } }
  t.equal({ proc, message }, { nil, "start cat: open its stdin: No such file or directory" })
end)

t.test("misuse raises and names the option", function()
  t.raises("option \"argv\"", process.start, {})
  t.raises("argv%[2%]: a string expected, got table", process.start, { argv = { "true", {} } })
  t.raises("zero byte", process.start, { argv = { "echo", "a\0b" } })
  t.raises("unknown option \"timeout\"", process.start, { argv = { "true" }, timeout = 1 })
  t.raises("option \"stdout\": \"null\"", process.start, { argv = { "true" }, stdout = "stdout" })
  t.raises("option \"env\": A: a string or false", process.start,
    { argv = { "true" }, env = { A = {} } })
  t.raises("option \"die_with_parent\"", process.start,
    { argv = { "true" }, die_with_parent = "NONE" })
  local proc <close> = assert(process.start { argv = { "sleep", "60" } })
  t.raises("no pipe", proc.write, proc, "x")
  local reading = proc:read("stdout")
  t.raises("being read already", proc.read, proc, "stdout")
  reading:cancel()
  proc:read("stdout"):cancel()
  t.raises("unknown signal", proc.kill, proc, "NONE")
  proc:close()
  proc:close()
  t.raises("is closed", proc.read, proc, "stdout")
end)

t.test("kill reaches the whole group, also after its leader has ended", function()
  local proc <close> = assert(process.start { argv = { "sh", "-c", "sleep 60 & echo $!" } })
  local pid = tonumber((task.await(proc:read("stdout"))))
  gone(proc.pid)
  t.ok(sys.alive(pid))
  t.ok(proc:kill("KILL"))
  t.equal(slurp(proc, "stdout"), "")
  t.equal(task.await(proc:wait()), { code = 0 })
  gone(pid)
  t.equal(select(3, proc:kill("KILL")), "missing")
end)

t.test("a collected process is killed with its group, and reaped", function()
  local pids = {}
  do
    local proc = assert(process.start { argv = { "sh", "-c", "sleep 60 & echo $!; wait" } })
    pids[1], pids[2] = proc.pid, tonumber((task.await(proc:read("stdout"))))
  end
  collectgarbage()
  collectgarbage()
  gone(pids[1])
  gone(pids[2])
  t.equal(fs.stat("/proc/" .. pids[1]), nil, "reaped")
end)

t.test("close while somebody reads and waits ends both", function()
  local proc = assert(process.start { argv = { "sleep", "60" }, stdin = "pipe" })
  local results = task.all {
    function() return { task.await(proc:read("stdout")) } end,
    function() return { task.await(proc:wait()) } end,
    function() return { task.await(proc:write(("x"):rep(1000000))) } end,
    function() task.sleep(0.01) proc:close() end,
  }
  t.equal(results[1][3], "closed")
  t.equal(results[2], { { signal = "KILL" } })
  t.equal(results[3][3], "closed")
end)

t.test("a task cancelled while it reads leaves the process usable", function()
  local proc <close> = assert(process.start { argv = { "cat" }, stdin = "pipe" })
  t.raises("no end within", task.timeout, 0.01, function() task.await(proc:read("stdout")) end)
  task.await(proc:write("still here"))
  t.equal(task.await(proc:read("stdout")), "still here")
end)

t.test("writing to one that reads no more", function()
  local proc <close> = assert(process.start { argv = { "true" }, stdin = "pipe" })
  task.await(proc:wait())
  local ok, message, kind = task.await(proc:write("x"))
  t.equal({ ok, kind }, { nil, "closed" })
  t.contains(message, "has stopped reading its input")
end)

t.test("another user, completely", function()
  if sys.uid() ~= 0 then t.skip("needs root") end
  local nobody = assert(sys.user("nobody"))
  local user = { uid = nobody.uid, gid = nobody.gid }
  local text = output { argv = { "cat", "/proc/self/status" }, user = user, cwd = "/" }
  local ids = ("%d\t"):rep(3) .. "%d\n"
  t.contains(text, "Uid:\t" .. ids:format(nobody.uid, nobody.uid, nobody.uid, nobody.uid))
  t.contains(text, "Gid:\t" .. ids:format(nobody.gid, nobody.gid, nobody.gid, nobody.gid))
  t.matches(text, "\nGroups:%s*\n")
  t.matches(text, "\nCapEff:%s*0+\n")
  t.equal(sys.uid(), 0)
end)

t.test("a child that must not outlive us dies with us, also as another user", function()
  local dir = assert(fs.tempdir("drlua-process."))
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  local user = sys.uid() == 0 and "user = { uid = 65534, gid = 65534 }, " or ""
  assert(fs.write(dir .. "/parent.lua", ([[
    local process = require "native.process"
    local child = assert(process.start { argv = { "sleep", "60" }, cwd = "/", %sdie_with_parent = true })
    io.stdout:write(child.pid, "\n")
    io.stdout:flush()
    require "task".await(child:wait())
  ]]):format(user)))
  local parent <close> = assert(process.start { argv = { sys.exe(), "script", dir
    .. "/parent.lua" } })
  local child = tonumber((task.await(parent:read("stdout"))))
  t.ok(sys.alive(child))
  sys.kill(parent.pid, "KILL") -- the parent alone, not the group
  task.await(parent:wait())
  gone(child)
end)
