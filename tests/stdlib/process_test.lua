local t = require "harness"
local effect = require "effect"
local errors = require "errors"
local files = require "files"
local fs = require "native.fs"
local process = require "process"
local sys = require "native.sys"
local task = require "task"

t.test("output, code, input, environment, directory", function()
  local result = process.run { "sh", "-c", "cat; echo err >&2; echo $A; pwd", stdin = "in\n",
    env = { A = "b" },
    cwd = "/" }
  t.equal({ result.code, result.stdout, result.stderr }, { 0, "in\nb\n/\n", "err\n" })
  t.ok(result.seconds > 0)
  t.equal(process.run { "cat" }.stdout, "")
  t.equal(process.run { "true", stdin = ("x"):rep(1000000) }.code, 0)
  t.equal(#process.run { "sh", "-c",
    "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2" }.stderr, 2000000)
end)

t.test("another code is an error that tells the last words", function()
  local e = t.raises(nil, process.run, { "sh", "-c", "echo one >&2; echo two >&2; exit 3" })
  t.equal({ e.kind, e.code, e.stderr, e.message },
    { "failed", 3, "one\ntwo\n", "sh ended with code 3: one; two" })
  e = t.raises(nil, process.run, { "sh", "-c", "kill -9 $$" })
  t.equal({ e.signal, e.message }, { "KILL", "sh was ended by signal KILL" })
  t.equal(process.run { "sh", "-c", "exit 3", check = false }.code, 3)
  t.equal(process.run { "sh", "-c", "exit 3", codes = { 0, 3 } }.code, 3)
  e = t.raises("no program \"no%-such%-program\" in PATH", process.run, { "no-such-program" })
  t.equal(e.kind, "missing")
end)

t.test("a timeout stops the whole group", function()
  local pid
  local e = t.raises(nil, process.run, { "sh", "-c", "sleep 60 & echo $!; wait", timeout = "200ms",
    on_line = function(line) pid = tonumber(line) end })
  t.equal({ e.kind, e.message }, { "timeout", "sh did not end within 0.2s and was stopped" })
  task.timeout(10, function()
    while sys.alive(pid) do task.sleep(0.005) end
  end)
end)

-- Whether we still hold a child's pidfd: its handle is not closed yet.
local function watches_a_process()
  for _, name in ipairs(fs.list "/proc/self/fd") do
    if (fs.readlink("/proc/self/fd/" .. name) or ""):find("pidfd", 1, true) then return true end
  end
  return false
end

t.test("one that is cancelled is asked to end, and can still save its state", function()
  files.temporary(function(dir)
    local pid
    local running = task.spawn(process.run, { "sh", "-c",
      "trap 'echo saved > state; exit' TERM; echo $$; while :; do sleep 0.01; done", cwd = dir,
      on_line = function(line) pid = tonumber(line) end })
    while not pid do task.sleep(0.005) end
    running:cancel()
    t.raises("cancelled", running.wait, running)
    while sys.alive(pid) or watches_a_process() do task.sleep(0.005) end
    t.equal(files.read(dir .. "/state"), "saved\n")
  end)
end)

t.test("lines as they come", function()
  local lines = {}
  process.run { "sh", "-c", "printf 'a\\nb\\r\\n'; echo c >&2; printf d",
    on_line = function(line, stream) table.insert(lines, stream .. " " .. line) end }
  table.sort(lines)
  t.equal(lines, { "stderr c", "stdout a", "stdout b", "stdout d" })
end)

t.test("too much output, misuse", function()
  local e = t.raises("wrote more than 1000 B", process.run,
    { "head", "-c", "5000", "/dev/zero", max_output_bytes = 1000 })
  t.equal(e.kind, "full")
  t.raises("unknown option \"timout\"; did you mean timeout", process.run, { "true", timout = 1 })
  t.raises("a program's name", process.run, {})
  t.raises("is no duration", process.run, { "true", timeout = "soon" })
  t.raises("zero byte", process.run, { "sh", "-c", "true\0false" })
  t.raises("zero byte", process.run, { "true", env = { A = "b\0c" } })
  t.ok(process.find "sh")
  t.equal(process.find "no-such-program", nil)
end)

-- Programs that would never end by themselves once nobody reads their output.
local unread = {
  ["more output than allowed"] = { "wrote more than", { "sh", "-c", "echo $$ > pid; exec yes" },
    { max_output_bytes = 100000 } },
  ["more errors than allowed"] = { "wrote more than", { "sh", "-c", "echo $$ > pid; exec yes >&2" },
    { max_output_bytes = 100000 } },
  ["an error in on_line"] = { "no such line",
    { "sh", "-c", "echo $$ > pid; echo a; exec sleep 600" },
    { on_line = function() error("no such line", 0) end } },
  ["an error in on_line, input left"] = { "no such line",
    { "sh", "-c", "echo $$ > pid; echo a >&2; exec sleep 600" },
    { stdin = ("x"):rep(1000000), on_line = function() error("no such line", 0) end } },
  ["an error in on_line, of the kind cancelled"] = { "given up",
    { "sh", "-c", "echo $$ > pid; echo a; exec sleep 600" },
    { on_line = function() errors.raise { kind = "cancelled", message = "given up" } end } },
  ["an error in on_line, with a timeout"] = { "no such line",
    { "sh", "-c", "echo $$ > pid; echo a; exec sleep 600" },
    { timeout = "5m", on_line = function() error("no such line", 0) end } },
}

for what, case in pairs(unread) do
  t.test("a program whose output is not read to the end is ended: " .. what, function()
    files.temporary(function(dir)
      local call = { cwd = dir, table.unpack(case[2]) }
      for name, value in pairs(case[3]) do call[name] = value end
      t.raises(case[1], task.timeout, 60, process.run, call)
      t.ok(not sys.alive(tonumber(files.read(dir .. "/pid"))), "the program goes on")
    end)
  end)
end

t.test("the gate sees what it may: no values of variables, no input", function()
  local seen
  local former = effect.install(function(e)
    seen = e return { code = 0, stdout = "", stderr = "" }
  end)
  t.cleanup(function() effect.install(former) end)
  local argv = { "/usr/bin/kubectl", "scale", "deployment/app", "--replicas=3" }
  process.run { argv[1], argv[2], argv[3], argv[4], env = { TOKEN = "secret" }, stdin = "secret" }
  t.equal({ seen.kind, seen.operation, seen.read, seen.what }, { "process", "kubectl", false,
    "run kubectl scale deployment/app --replicas=3" })
  t.equal(seen.input, { argv = argv, env = { TOKEN = true } })
  process.run { "kubectl", "get", "pods", read = true }
  t.equal(seen.read, true)
end)
