-- Durability: kill -9 in the middle of things, resume, divergence, the operator's words.
local t = require "harness"
local fs = require "native.fs"
local program = require "program"

local playbook = program.playbook

-- Runs a playbook and kills it with SIGKILL once the world has `n` effects; the last
-- one has happened, and its answer never came.
local function killed_after(w, n, arguments)
  assert(fs.write(w.world .. ".hang", ""))
  local r = w.run(arguments or { "a.lua", "--output", "json" }, {
    on_line = function(_, proc)
      if #w.effects() >= n then proc:kill("KILL") end
    end,
  })
  fs.remove(w.world .. ".hang")
  return r
end

-- A playbook whose last step tells on stdout (a note) until it is killed.
local function hanging(body)
  return playbook(([[
    dr.parallel {
      function()
%s
      end,
      function()
        dr.step("Tell", { done = function() return os.getenv("QUIET") ~= nil end }, function()
          for i = 1, 500 do dr.note("tick") probe.block(0.02) end
        end)
      end,
    }]]):format(body))
end

local function resume(w, arguments, env)
  env = env or {}
  env.QUIET = "1"
  return w.run({ "resume", "last", table.unpack(arguments or {}) }, { env = env })
end

t.test("kill -9 after an effect, before its answer: found by its name, not done twice", function()
  local w = program.workspace { ["a.lua"] = hanging [[
    dr.step("Before", function() return 1 end)
    local made = dr.step("Create", function() return probe.create("db").DBInstance.DBInstanceIdentifier end)
    dr.step("After", function() return made end)]] }
  local r = killed_after(w, 1)
  t.equal(r.signal, "KILL")
  t.equal(w.effects(), { "create db" })
  t.contains(w.run({ "runs" }).out, "stopped")
  t.contains(w.run({ "show", "last" }).out, "in doubt: create db")
  r = resume(w, { "--output", "json" })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "create db" })
  t.contains(r.out, "a look shows that it took effect")
  t.ok(not r.out:find('"step":"Before"', 1, true), "a finished step ran again")
end)

t.test("a message in doubt is sent again under one key, which its receiver knows", function()
  local s = require("sim").start {}
  t.cleanup(function() s:stop() end)
  local w = program.workspace { ["a.lua"] = playbook(([[
    local notify = require "toolbox.notify"
    local channels = { { kind = "webhook", name = "chat", url = "%s" } }
    dr.step("Tell", function() return notify.send(channels, "it has begun") end)
    dr.step("Tell of the end", function() return notify.send(channels,
      "it is over") end)]]):format(s:sink_url("chat"))) }
  t.equal(w.run({ "a.lua" },
    { env = { DRLUA_REHEARSAL = s.url, DRLUA_KILL_WRITE = "before:5" } }).signal, "KILL")
  t.equal(#s.sinks.chat, 1)
  t.contains(w.run({ "show", "last" }).out, "in doubt: POST to 127.0.0.1")
  local r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "sent again, which is safe")
  t.equal(#s.sinks.chat, 2)
  t.matches(s.sinks.chat[1].key, '^"%x+%-%x+%-%x+%-%x+%-%x+"$')
  local shown = w.run({ "show", "last" }).out
  t.ok(not shown:find("in doubt", 1, true), shown)
end)

t.test("kill -9 in a step with a temporary directory: what was in it is written again", function()
  local w = program.workspace { ["a.lua"] = hanging [[
    local files = require "files"
    dr.step("Create", function()
      return files.temporary(function(directory)
        files.write(directory .. "/x", "kept for a moment")
        files.rename(directory .. "/x", directory .. "/y")
        probe.create("db")
        return files.read(directory .. "/y")
      end)
    end)]] }
  t.equal(killed_after(w, 1).signal, "KILL")
  local r = resume(w, { "--output", "json" })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "create db" })
  t.contains(r.out, "kept for a moment")
end)

t.test("kill -9 before the effect: a look shows its absence, it is sent once", function()
  local w = program.workspace { ["a.lua"] = hanging [[
    dr.step("Create", function()
      probe.opaque("marker", { repeatable = true })
      return probe.create("db").DBInstance.Port
    end)]] }
  killed_after(w, 1)
  t.equal(w.effects(), { "opaque marker" })
  local r = resume(w)
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque marker", "opaque marker", "create db" })
end)

t.test("a call with an idempotency token is the same call again", function()
  local w = program.workspace {
    ["a.lua"] = hanging 'dr.step("Start", function() return probe.start("job").JobId end)' }
  killed_after(w, 1)
  local before = w.effects()
  t.matches(before[1], "^start job %x+%-%x+%-%x+%-%x+%-%x+$")
  local r = resume(w)
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), before)
end)

t.test("what cannot be settled is put to the operator: exit 4, then --settle", function()
  for answer, expected in pairs { done = 1, again = 2 } do
    local w = program.workspace {
      ["a.lua"] = hanging 'dr.step("Odd", function() return probe.opaque("x") end)' }
    killed_after(w, 1)
    local r = resume(w)
    t.equal(r.code, 4, r.out .. r.err)
    t.contains(r.out, "drlua cannot determine whether this call took effect: run x")
    t.equal(#w.effects(), 1)
    r = resume(w, { "--settle", answer })
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(#w.effects(), expected)
  end
end)

t.test("the done probe comes first: nothing is sent again", function()
  local w = program.workspace { ["a.lua"] = hanging [[
    dr.step("Odd", { done = function() return probe.count() > 0 and "found" end },
      function() return probe.opaque("x") end)]] }
  killed_after(w, 1)
  local r = resume(w, { "--output", "json" })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(#w.effects(), 1)
  t.contains(r.out, '"event":"step_skipped"')
  t.contains(r.out, '"result":"found"')
end)

t.test("calls of a step in flight that were answered hand back their results", function()
  local w = program.workspace { ["a.lua"] = hanging [[
    dr.step("Three", function()
      local a = probe.opaque("a")
      local b = probe.opaque("b")
      local c = probe.create("c")
      return { a, b, c.DBInstance.Port }
    end)]] }
  -- Let a and b answer; hang in c.
  local r = w.run({ "a.lua", "--output", "json" }, {
    on_line = function(line, proc)
      if line:find('"what":"run b"', 1, true) then fs.write(w.world .. ".hang", "") end
      if #w.effects() >= 3 then proc:kill("KILL") end
    end,
  })
  fs.remove(w.world .. ".hang")
  t.equal(r.signal, "KILL")
  t.equal(w.effects(), { "opaque a", "opaque b", "create c" })
  r = resume(w, { "--output", "json" })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque a", "opaque b", "create c" })
end)

t.test("a failed step that is tried again does not do again what stands", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("Make", function()
      local made = probe.create("db").DBInstance.Port
      if not os.getenv("GO") then dr.fail("not yet") end
      return made
    end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run({ "resume", "last" }, { env = { GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "create db" })
  t.contains(r.err, "was done by an earlier attempt and still stands")
end)

t.test("while nobody answers whether it stands, nothing is sent", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("Make", function()
      local made = probe.create("db").DBInstance.Port
      if not os.getenv("GO") then dr.fail("not yet") end
      return made
    end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  fs.write(w.world .. ".blind", "")
  local r = w.run({ "resume", "last" }, { env = { GO = "1" } })
  t.equal(r.code, 1)
  t.contains(r.out, "nobody answers")
  fs.remove(w.world .. ".blind")
  t.equal(w.run({ "resume", "last" }, { env = { GO = "1" } }).code, 0)
  t.equal(w.effects(), { "create db" })
end)

t.test("reads outside of steps, the clock and waits are the same on a replay", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    local count, at = probe.count(), dr.now()
    dr.step("Change", function() probe.opaque("x") end)
    local step = dr.step("Depends on " .. count, function() return { count, at } end)
    dr.step("Fail once", function()
      if not os.getenv("GO") then dr.fail("once") end
      if step[1] ~= count or step[2] ~= at then dr.fail("they differ") end
    end)
    probe.handle():close()]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run({ "resume", "last" }, { env = { GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
end)

local two_steps = playbook [[
    dr.step("One", function()
      return 1
    end)
    dr.step("Two", function() if not os.getenv("GO") then dr.fail("no") end end)]]

t.test("an edited playbook is refused, the step named, until --accept-changes", function()
  local w = program.workspace { ["a.lua"] = two_steps }
  t.equal(w.run({ "a.lua" }).code, 1)
  w.write("a.lua", (two_steps:gsub("return 1", "return 2")))
  local r = w.run({ "resume", "last" }, { env = { GO = "1" } })
  t.equal(r.code, 2)
  t.contains(r.err, 'it first differs at line 6, in step "One"')
  r = w.run({ "resume", "last", "--accept-changes" }, { env = { GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
end)

t.test("steps in another order are noticed even when the text is the same", function()
  local text = playbook [[
    local names = os.getenv("SWAP") and { "B", "A", "C" } or { "A", "B", "C" }
    for _, name in ipairs(names) do
      dr.step(name, function() if name == "C" and not os.getenv("GO") then dr.fail("no") end end)
    end]]
  local w = program.workspace { ["a.lua"] = text }
  t.equal(w.run({ "a.lua" }).code, 1)
  local r = w.run({ "resume", "last" }, { env = { GO = "1", SWAP = "1" } })
  t.equal(r.code, 1)
  t.contains(r.out, 'it now comes to step "B" where the run had "A"')
  t.equal(w.run({ "resume", "last" }, { env = { GO = "1" } }).code, 0)
end)

t.test("--skip STEP --because, and --from STEP", function()
  local w = program.workspace { ["a.lua"] = playbook [[
    dr.step("One", function() probe.opaque("one") end)
    dr.step("Two", function() probe.opaque("two") end)
    dr.step("Three", function() dr.fail("never works") end)
    dr.step("Four", function() if not os.getenv("GO") then dr.fail("no") end end)]] }
  t.equal(w.run({ "a.lua" }).code, 1)
  t.equal(w.run({ "resume", "last", "--skip", "Three" }).code, 2)
  local r = w.run { "resume", "last", "--skip", "Three", "--because", "the cache is empty anyway" }
  t.contains(r.err, "skip  Three: skipped by the operator: the cache is empty anyway")
  t.contains(r.out, 'step "Four" failed')
  r = w.run({ "resume", "last", "--from", "Two" }, { env = { GO = "1" } })
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(w.effects(), { "opaque one", "opaque two", "opaque two" })
  t.contains(w.run({ "report", "last" }).out, "the cache is empty anyway")
end)

t.test("a run that succeeded is not resumed; an unknown one is named", function()
  local w = program.workspace { ["a.lua"] = playbook 'dr.step("x", function() end)' }
  t.equal(w.run({ "a.lua" }).code, 0)
  t.contains(w.run({ "resume", "last" }).err, "has succeeded; there is nothing to resume")
  t.contains(w.run({ "resume", "nope" }).err, "no run nope in ")
end)

t.test("a damaged journal is a sentence, and nothing is sent", function()
  local w = program.workspace { ["a.lua"] = two_steps }
  t.equal(w.run({ "a.lua" }).code, 1)
  local id = fs.list(w.directory .. "/state/runs")[1]
  local path = w.directory .. "/state/runs/" .. id .. "/journal.db"
  fs.remove(path .. "-wal")
  fs.write(path, ("garbage"):rep(4000))
  local r = w.run({ "resume", id }, { env = { GO = "1" } })
  t.equal(r.code, 2)
  t.contains(r.err, "the journal ")
  t.contains(r.err, "it is damaged")
  t.contains(w.run({ "runs" }).out, "unreadable")
end)
