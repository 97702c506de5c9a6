-- ask, native.terminal: a secret typed at a terminal, which shows again afterwards.
local t = require "harness"
local ask = require "ask"
local fs = require "native.fs"
local process = require "native.process"
local program = require "program"
local sys = require "native.sys"
local task = require "task"

-- Runs a script at a pseudo-terminal below a shell that tells before and afterwards
-- whether the terminal shows what is typed. keys: { { prompt, keys }, ... }.
local function at_terminal(script, keys)
  program.needs_terminal()
  local directory = program.directory()
  assert(fs.write(directory .. "/a.lua", script))
  local shell = (
    "trap : INT QUIT HUP TERM; '%s' script %s/a.lua; echo code $?; stty -a | grep -o '[-]*echo '; "
    .. "stty -a | grep -o 'susp = [^;]*'"):format(sys.exe(), directory)
  local proc <close
    > = assert(process.start { argv = { "script", "-qec", shell, "/dev/null" }, stdin = "pipe",
    stdout = "pipe", stderr = "null", env = { TERM = "xterm", SHELL = "/bin/sh" } })
  local text, from = "", 1
  while true do
    local data = task.await(proc:read("stdout"))
    if not data then break end
    text = text .. data
    local _, stop = text:find(keys[1] and keys[1][1] or "\0", from)
    if stop then
      from = stop + 1
      task.await(proc:write(table.remove(keys, 1)[2]))
    end
  end
  task.await(proc:wait())
  return text
end

-- Says what it read, and that time went on meanwhile.
local SCRIPT = [[
local ask, task = require "ask", require "task"
local turns = 0
local clock = task.spawn(function() while true do task.sleep(0.01) turns = turns + 1 end end)
local text, message, kind = ask.secret "Code: "
clock:cancel() pcall(clock.wait, clock)
print(("%s, %s, %s"):format(text and #text .. " bytes: " .. text:sub(1, 20):gsub(".", "%0_") or "none", message, kind))
print("went on", turns > 3)
]]

t.test("time goes on until the line is complete", function()
  local text = at_terminal(SCRIPT:gsub("ask%.secret", function()
    return 'task.spawn(function() task.sleep(0.2) print "now" end) and ask.secret'
  end), { { "Code: ", "47" }, { "now", "11\n" } })
  t.contains(text, "4 bytes: 4_7_1_1_")
  t.contains(text, "went on\ttrue")
  t.matches(text, "\necho ")
end)

t.test("a line, an empty one, the end of input, and one that is too long", function()
  for keys, said in pairs { ["4711\n"] = "4 bytes: 4_7_1_1_", ["\n"] = "0 bytes: ",
    ["\4"] = "none, nothing was typed, closed", ["ab\127\127cd\n"] = "2 bytes: c_d_",
    [("x"):rep(1500) .. "\n"] = "1500 bytes: x_x_",
    [("x"):rep(5000) .. "\n"] = "none, a line of at most 4094 bytes can be typed, full" } do
    local text = at_terminal(SCRIPT, { { "Code: ", keys } })
    t.contains(text, said)
    t.contains(text, "code 0")
    t.ok(not text:find("4711", 1, true) and not text:find("xxxx", 1, true), text)
    t.matches(text, "\necho ")
    t.contains(text, "susp = ^Z")
  end
end)

t.test("Ctrl-C, and every other end of the process, gives the echo back", function()
  for keys, code in pairs { ["\3"] = 130, ["\28"] = 131 } do
    local text = at_terminal(SCRIPT, { { "Code: ", keys } })
    t.contains(text, "code " .. code)
    t.matches(text, "\necho ")
  end
  for name, code in pairs { TERM = 143, HUP = 129 } do
    local script = ('local sys, task = require "native.sys", require "task"\n'
      .. 'task.spawn(function() task.sleep(0.2) sys.kill(sys.pid(), "%s") end)\n'):format(name)
      .. SCRIPT
    local text = at_terminal(script, {})
    t.contains(text, "code " .. code)
    t.matches(text, "\necho ")
  end
  for how, code in pairs { ["os.exit(7, false)"] = 7, ["os.exit(8, true)"] = 8 } do
    local script = ('local task = require "task"\ntask.spawn(function() task.sleep(0.2) %s end)\n')
      :format(how) .. SCRIPT
    local text = at_terminal(script, {})
    t.contains(text, "code " .. code)
    t.matches(text, "\necho ")
  end
end)

t.test("a question is taken back by cancelling, or by a timeout; others wait for it", function()
  local text = at_terminal([[
    local ask, errors, task = require "ask", require "errors", require "task"
    print("timeout:", select(2, errors.try(task.timeout, 0.1, ask.secret, "First: ")).kind)
    local a = task.spawn(function() return ask.secret "Second: " end)
    local b = task.spawn(function() return ask.secret "Third: " end)
    print("second", #a:wait(), "third", #b:wait())
    local c = task.spawn(function() return ask.secret "Fourth: " end)
    task.sleep(0.1)
    ask.withdraw()
    print("withdrawn", select(2, errors.try(c.wait, c)).kind, select(2, errors.try(ask.secret, "Fifth: ")).kind)
  ]], { { "Second: ", "12\n" }, { "Third: ", "345\n" } })
  t.contains(text, "timeout:\ttimeout")
  t.contains(text, "second\t2\tthird\t3")
  t.contains(text, "withdrawn\tcancelled\tcancelled")
  t.ok(not text:find("Fifth", 1, true), text)
  t.matches(text, "\necho ")
end)

t.test("without a terminal it says so", function()
  local directory = program.directory()
  assert(fs.write(directory .. "/a.lua", 'print(require("ask").secret "Code: ")'))
  local proc <close
    > = assert(process.start { argv = { "setsid", "-w", sys.exe(), "script",
      directory .. "/a.lua" },
    stdin = "null", stdout = "pipe", stderr = "null" })
  local text = task.await(proc:read("stdout"))
  task.await(proc:wait())
  t.contains(text, "open the terminal")
  t.equal(ask.install(nil), nil)
end)
