-- run.pulse: code of a playbook that never waits can be stopped all the same.
local t = require "harness"
local program = require "program"

-- Endless code, by where it stands; `go` tells that it has begun.
local LOOPS = {
  step = 'dr.step("Spin", function() go() while true do end end)',
  run = 'go() while true do end',
  caught = 'dr.step("Spin", function() go() while true do pcall(function() '
    .. 'while true do end end) end end)',
  tried = 'dr.step("Spin", function() go() while true do dr.try(function() '
    .. 'while true do end end) end end)',
  coroutine = 'dr.step("Spin", function() coroutine.wrap(function() go() '
    .. 'while true do end end)() end)',
  sort = 'dr.step("Spin", function() table.sort({ 1, 2 }, function() go() '
    .. 'while true do end end) end)',
  gsub = 'dr.step("Spin", function() ("a"):gsub("a", function() go() while true do end end) end)',
  loaded = 'dr.step("Spin", function() go() load("while true do end")() end)',
  calls = 'dr.step("Spin", function() go() while true do dr.duration(80) end end)',
  done = 'dr.step("Spin", { done = function() go() while true do end end }, function() end)',
  when = 'dr.step("Spin", { when = function() go() while true do end end }, function() end)',
  wait = 'dr.wait_until("x", function() go() while true do end end)',
  branch = 'dr.parallel { function() dr.step("Spin", function() go() while true do end end) end, '
    .. 'function() dr.step("Wait", function() dr.sleep("1h") end) end }',
  check = 'dr.check("Spin", function() go() while true do end end)',
}

local function workspace(body)
  return program.workspace {
    ["a.lua"] = program.playbook('local function go() dr.note("spinning") end\n' .. body) }
end

-- Runs it and sends a signal, as often as there are names, each after the answer to the
-- one before.
local function signalled(w, verb, ...)
  local names, n = { ... }, 0
  local function send(line, proc)
    if n < #names and (line:find("spinning", 1, true) or line:find("again: stop at once", 1,
      true)) then
      n = n + 1
      proc:kill(names[n])
    end
  end
  return w.run({ verb, "a.lua", "--output", "json" }, { on_line = send, on_error_line = send })
end

for name, body in pairs(LOOPS) do
  t.test("interrupted while it spins: " .. name, function()
    local w = workspace(body)
    for _, signal in ipairs { "INT", "TERM" } do
      local r = signalled(w, "run", signal)
      t.equal(r.code, 130, ("%s: %s %s%s"):format(signal, tostring(r.signal), r.out, r.err))
      local events = program.events(r.out)
      t.equal(events[#events].event, "run_paused")
    end
    t.contains(w.run({ "runs" }).out, "interrupted")
  end)
end

t.test("a step that spins ends at its timeout, and the run goes on", function()
  for name, body in pairs {
    plain = "while true do end",
      caught = "while true do pcall(function() while true do end end) end",
    coroutine = "coroutine.wrap(function() while true do end end)()",
    sort = "table.sort({ 1, 2 }, function() while true do end end)",
  } do
    local w = workspace(([[
      local _, e = dr.step("Spin", { timeout = "300ms", optional = true }, function() %s end)
      dr.note(e.message)
      dr.step("After", function() probe.opaque("after") end)]]):format(body))
    local r = w.run { "a.lua", "--output", "json" }
    t.equal({ r.code, w.effects() }, { 0, { "opaque after" } }, name .. ": " .. r.out .. r.err)
    t.contains(r.out, "not done within its timeout of 0.3s")
  end
end)

t.test("other branches work on while one spins", function()
  local w = workspace [[
    local ended = false
    dr.parallel {
      function() dr.step("Spin", function() while not ended do end end) end,
      function() dr.step("Work", function() for i = 1,
        3 do dr.sleep("10ms") probe.opaque(i) end ended = true end) end,
    }]]
  local r = w.run { "a.lua" }
  t.equal({ r.code, #w.effects() }, { 0, 3 }, r.out .. r.err)
end)

t.test("plan, check and loading end at once when they are interrupted", function()
  local spin = 'io.open("/proc/self/stat"):close() while true do end'
  for verb, text in pairs {
    plan = program.playbook('dr.step("Spin", function() dr.note("spinning") print("spinning") '
      .. spin .. " end)"),
    check = program.playbook("",
      'ready = function() dr.check("Spin", function() dr.note("spinning") ' .. spin
      .. " end) end,"),
    run = 'print("spinning") ' .. spin,
  } do
    local w = program.workspace { ["a.lua"] = text }
    local proc = require("native.process")
    local sys = require "native.sys"
    local task = require "task"
    local child <close> = assert(proc.start { argv = { sys.exe(), verb, "a.lua" },
      cwd = w.directory, env = w.env,
      stdin = "null", stdout = "null", stderr = "null" })
    -- It computes from here on: its processor time tells.
    repeat
      task.sleep(0.05)
      local stat = require("native.fs").read(("/proc/%d/stat"):format(child.pid))
      local ticks = tonumber((stat:match("%) %a " .. ("%-?%d+ "):rep(10) .. "(%d+)")))
    until ticks > 30
    child:kill("INT")
    t.equal(task.await(child:wait()).signal, "INT", verb)
  end
end)
