-- native.signal: signals to ourselves, and to a child that has its usual ones.
local t = require "harness"
local fs = require "native.fs"
local process = require "native.process"
local signal = require "native.signal"
local sys = require "native.sys"
local task = require "task"

t.test("a signal asked for comes as a value", function()
  t.cleanup(signal.reset)
  local op = signal.next { "USR1", "USR2" }
  sys.kill(sys.pid(), "USR2")
  t.equal(task.await(op), "USR2")
  sys.kill(sys.pid(), "USR1") -- nobody asks now, and yet it waits
  t.equal(task.await(signal.next { "USR1" }), "USR1")
end)

t.test("two askers, each its own", function()
  t.cleanup(signal.reset)
  local results = task.all {
    function() return task.await(signal.next { "USR1" }) end,
    function() return task.await(signal.next { "USR2" }) end,
    function()
      sys.kill(sys.pid(), "USR2")
      sys.kill(sys.pid(), "USR1")
    end,
  }
  t.equal({ results[1], results[2] }, { "USR1", "USR2" })
end)

t.test("after a cancel and after reset the signal acts as usual again", function()
  local dir = assert(fs.tempdir("drlua-signal."))
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  for _, way in ipairs { "op:cancel()", "op = nil collectgarbage() collectgarbage()",
    "sys.kill(sys.pid(), 'TERM') assert(task.await(op) == 'TERM') signal.reset()" } do
    assert(fs.write(dir .. "/child.lua", ([[
      local signal, sys, task = require "native.signal", require "native.sys", require "task"
      local op = signal.next { "TERM" }
      %s
      io.stdout:write("alive\n") io.stdout:flush()
      sys.kill(sys.pid(), "TERM")
      io.stdout:write("survived\n") io.stdout:flush()
    ]]):format(way)))
    local child <close> = assert(process.start { argv = { sys.exe(), "script", dir
      .. "/child.lua" } })
    t.equal(task.await(child:read("stdout")), "alive\n")
    t.equal(task.await(child:wait()), { signal = "TERM" })
  end
end)

t.test("children do not inherit the block", function()
  t.cleanup(signal.reset)
  local op = signal.next { "TERM" }
  local child <close> = assert(process.start { argv = { "sh", "-c",
    "kill -TERM $$; echo survived" } })
  t.equal(task.await(child:wait()), { signal = "TERM" })
  op:cancel()
end)

t.test("misuse raises", function()
  t.raises("\"KILL\" cannot be waited for", signal.next, { "KILL" })
  t.raises("\"SIGINT\" cannot be waited for", signal.next, { "SIGINT" })
  t.raises("a list of signal names", signal.next, {})
end)
