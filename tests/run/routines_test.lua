-- run.routines: coroutines of playbooks, in which effects wait as they do anywhere.
local t = require "harness"
local program = require "program"

-- Runs `run` with this text; the notes it made, the result, and the workspace.
local function run(body)
  local w = program.workspace { ["a.lua"] = program.playbook(body) }
  local r = w.run { "a.lua", "--output", "json" }
  local notes = {}
  for _, e in ipairs(program.events(r.out)) do
    if e.event == "note" and e.text then table.insert(notes, e.text) end
  end
  return notes, r, w
end

-- An effect that really waits.
local ECHO = [[
    local process = require "process"
    local function echo(x) return (process.run { "echo", tostring(x),
      read = true }.stdout:gsub("\n", "")) end
]]

t.test("what a coroutine does may wait, between its yields as well", function()
  for name, body in pairs {
    wrap = [[ for s in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(echo(i)) end end) do
      out[#out + 1] = s
    end ]],
    create = [[ local co = coroutine.create(function(a) local b = coroutine.yield(echo(a)) return echo(b) end)
      out[1] = select(2, coroutine.resume(co, 1))
      out[2] = select(2, coroutine.resume(co, 2))
      out[3] = coroutine.status(co) == "dead" and "3" or "not dead" ]],
    nested = [[ local outer = coroutine.wrap(function()
        for s in coroutine.wrap(function() for i = 1, 2 do coroutine.yield(echo(i)) end end) do
          coroutine.yield(s)
        end
        return echo(3)
      end)
      for i = 1, 3 do out[i] = outer() end ]],
    index = [[ local lazy = setmetatable({}, { __index = function(_, k) return echo(k) end })
      for i = 1, 3 do out[i] = lazy[i] end ]],
    close = [[ for i = 1, 3 do
        local x <close> = setmetatable({}, { __close = function() out[i] = echo(i) end })
      end ]],
    pcall = [[ for i = 1, 3 do
        out[i] = select(2, pcall(coroutine.wrap(function() return echo(i) end)))
      end ]],
    each = [[ out = dr.each({ 1, 2, 3 },
        function(i) return coroutine.wrap(function() return echo(i) end)() end) ]],
  } do
    local notes, r = run(ECHO .. ([[
    local out = {}
    dr.step("Count", function() %s end)
    dr.note(table.concat(out, ","))
    dr.step("After", function() return echo("fine") end)]]):format(body))
    t.equal({ r.code, notes }, { 0, { "1,2,3" } }, name .. ": " .. r.out .. r.err)
  end
end)

t.test("steps in a coroutine have their path, their record and their scope", function()
  local notes, r, w = run [[
    local next_step = coroutine.wrap(function()
      for i = 1, 3 do
        dr.step("Part " .. i, function() return probe.opaque("part " .. i) end)
        coroutine.yield(i)
      end
    end)
    for i = 1, 3 do dr.note("did " .. next_step()) end
    local co = coroutine.create(function() dr.step("Left", function() coroutine.yield() end) end)
    local ok, e = coroutine.resume(co)
    dr.note(tostring(ok) .. " " .. e.message)
    dr.step("Last", function() end)]]
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque part 1", "opaque part 2", "opaque part 3" })
  t.equal(table.move(notes, 1, 3, 1, {}), { "did 1", "did 2", "did 3" })
  t.contains(notes[#notes], "coroutine.yield() would leave step \"Left\" before it has ended")
  t.equal(program.names(r.out, "step_succeeded"), { "Part 1", "Part 2", "Part 3", "Last" })
end)

t.test("where C calls back nothing can wait: refused with the place, and nothing is poisoned",
  function()
  for name, body in pairs {
    gsub = '("a b"):gsub("%a", function() return echo(1) end)',
    sort = "table.sort({ 2, 1 }, function(a, b) echo(1) return a < b end)",
    tostring = 'tostring(setmetatable({}, { __tostring = function() return echo(1) end }))',
    inside = '("a"):gsub("a", coroutine.wrap(function() return echo(1) end))',
    step = '("a"):gsub("a", function() dr.step("Inner", function() end) end)',
    sleep = '("a"):gsub("a", function() dr.sleep("1s") end)',
    wait = '("a"):gsub("a", function() dr.wait_until("x", function() return true end) end)',
    parallel = '("a"):gsub("a", function() dr.parallel { function() end } end)',
    handler = 'local _, e = xpcall(error, function() return echo(1) end, "x") error(e, 0)',
    load = 'load(function() return echo(1) end)() error "no chunk"',
  } do
    local notes, r = run(ECHO .. ([[
    local _, e = dr.step("Wrong", { optional = true }, function()
      %s
    end)
    dr.note(tostring(e))
    dr.note(dr.step("After", function() return echo("fine") end))]]):format(body))
    t.equal({ r.code, notes[#notes] }, { 0, "fine" }, name .. ": " .. r.out .. r.err)
    t.ok(notes[1] ~= "nil", name .. " was not refused")
    if name ~= "handler" and name ~= "load" then
      t.matches(r.out,
        "cannot wait here, in a function that string.gsub, table.sort or tostring calls")
      t.matches(r.out, "a%.lua:%d+")
    end
  end
end)

t.test("yield, resume and close where they do not belong", function()
  local notes, r = run [[
    local function try(...) dr.note(tostring(select(2, dr.try(...)))) end
    try(coroutine.yield)
    try(coroutine.resume, (coroutine.running()))
    try(coroutine.close, (coroutine.running()))
    try(coroutine.create, 1)
    local co
    co = coroutine.create(function() try(coroutine.close,
      co) dr.note(coroutine.status(co)) return 1 end)
    coroutine.resume(co)
    dr.note(tostring(select(2, coroutine.resume(co))))
    dr.note(tostring(select(2, coroutine.running())) .. tostring(coroutine.isyieldable()))
    try(coroutine.wrap(function() dr.fail "inside" end))]]
  t.equal(r.code, 0, r.out .. r.err)
  for i,
    text in ipairs {
      "coroutine.yield() outside of a coroutine: to wait use dr.sleep or dr.wait_until",
    "this coroutine is not the playbook's own", "this coroutine is not the playbook's own",
      "a function expected",
    "this coroutine is at work", "running", "cannot resume dead coroutine", "truefalse",
      "inside" } do
    t.contains(notes[i], text)
  end
end)

t.test("an interrupt passes through coroutines that wait, and none can catch it", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Wait", function()
      local co = coroutine.create(function() dr.note("waiting") dr.sleep("1h") end)
      pcall(coroutine.resume, co)
      probe.opaque("went on")
    end)]] }
  local r = w.run({ "a.lua", "--output", "json" }, { on_line = function(line, proc)
    if line:find('"waiting"', 1, true) then proc:kill("INT") end
  end })
  t.equal({ r.code, #w.effects() }, { 130, 0 }, r.out .. r.err)
end)

t.test("another branch cannot resume a coroutine that waits", function()
  local notes, r = run [[
    local co = coroutine.create(function() dr.sleep("300ms") return "mine" end)
    local started = false
    dr.parallel {
      function() started = true dr.note(tostring(select(2, coroutine.resume(co)))) end,
      function()
        while not started do dr.sleep("10ms") end
        dr.note(coroutine.status(co) .. ": " .. tostring(select(2, coroutine.resume(co))))
      end,
    }]]
  t.equal({ r.code, notes }, { 0, { "normal: cannot resume non-suspended coroutine", "mine" } },
    r.out .. r.err)
end)
