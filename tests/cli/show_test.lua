-- What the verbs that look at runs do when the disk is read-only, when nobody takes what
-- they print, and which run they mean.
local fs = require "native.fs"
local journal = require "run.journal"
local process = require "native.process"
local program = require "program"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

-- Runs a shell's text with drlua and the arguments as "$@".
local function shell(w, text, arguments)
  local env = { DRLUA_TESTS = "1" }
  for k, v in pairs(w.env) do env[k] = v end
  local proc <close
    > = assert(process.start { argv = { "bash", "-c", text, "bash", sys.exe(),
      table.unpack(arguments) },
    env = env, cwd = w.directory, stdin = "null", stdout = "pipe", stderr = "stdout" })
  local out = ""
  while true do
    local data = task.await(proc:read "stdout")
    if not data then break end
    out = out .. data
  end
  return { code = task.await(proc:wait()).code, out = out }
end

local NOTE = program.playbook [[dr.step("One", function() probe.opaque("one") end)]]

local function ran(w, env)
  local r = w.run({ "a.lua", "--output", "json" }, { env = env })
  t.equal(r.code, 0, r.err)
  return program.events(r.out)[1].run
end

t.test("`last` is the newest run that is no rehearsal; of rehearsals only, the newest", function()
  local w = program.workspace { ["a.lua"] = NOTE }
  local rehearsal = { DRLUA_REHEARSAL = "1", AWS_ENDPOINT_URL = "http://127.0.0.1:1" }
  local function last()
    return program.events(w.run({ "show", "last", "--output", "json" }).out)[1].run
  end
  ran(w, rehearsal)
  local second = ran(w, rehearsal)
  t.equal(last(), second)
  local real = ran(w)
  t.equal(last(), real)
  ran(w, rehearsal)
  t.equal(last(), real)
  t.contains(w.run({ "resume", "last" }).err, ("run %s has succeeded"):format(real))
end)

t.test("words too many are refused", function()
  local w = program.workspace { ["a.lua"] = NOTE }
  local id = ran(w)
  for _, words in ipairs { { "runs", id }, { "list", "a" }, { "show", id, "x" },
    { "report", id, "x" }, { "resume", id, "x" }, { "rollback", id, "x" }, { "pause", id, "x" },
    { "approve", id, "One", "x" },
    { "version", "x" }, { "help", "run", "x" }, { "sim", "x" }, { "doc", "rds", "x", "y" } } do
    local r = w.run(words)
    t.equal(r.code, 2, words[1])
    t.equal(r.out, "")
    t.contains(r.err, ("drlua %s takes "):format(words[1]))
    t.contains(r.err, ('remove "%s"'):format(words[#words == 4 and 4 or #words]))
  end
  t.contains(w.run({ "rehearse", "a.lua", "b.lua" }).err, "b.lua: one playbook at a time")
  t.equal(#w.effects(), 1)
end)

t.test("output that cannot be written is no success of a verb that only tells", function()
  local w = program.workspace { ["a.lua"] = NOTE }
  w.write("playbooks/a.lua", NOTE)
  local id = ran(w)
  for _, words in ipairs { { "runs" }, { "runs", "--output", "json" }, { "show", id },
    { "report", id }, { "plan", "a.lua" }, { "plan", "a.lua", "--output", "json" },
    { "plan", "a.lua", "--iam" }, { "list" },
    { "help" }, { "help", "a.lua" }, { "runs", "--help" }, { "doc" }, { "doc", "rds" },
    { "version" } } do
    for _, lost in ipairs { "/dev/full", "&-" } do
      local r = shell(w, '"$@" 2>&1 >' .. lost, words)
      t.equal(r.code, 1, table.concat(words, " ") .. " to " .. lost .. ": " .. r.out)
      t.contains(r.out, "drlua: the output could not be written")
    end
  end
  local r = shell(w, '"$@" 2>&1 >/dev/full', { "show", "nothing" })
  t.equal(r.code, 2, r.out)
end)

t.test("a run goes on when nobody reads it any more, and its end is its own", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("One", function() probe.opaque("one") end)
    dr.step("Wait", function()
      while not require("files").exists(os.getenv("PROBE_WORLD") .. ".gone") do dr.sleep("0.02s") end
    end)
    for i = 1, 5 do dr.step("After " .. i, function() probe.opaque("after") end) end]] }
  for _, how in ipairs { { "--output", "json" }, { "--output", "text" } } do
    fs.remove(w.world .. ".gone")
    fs.remove(w.world)
    local r = shell(w, [[set -o pipefail
      "$@" 2>&1 | { head -n 1 >/dev/null; exec <&-; : >"$PROBE_WORLD.gone"; }]], { "a.lua", table.unpack(how) })
    t.equal(r.code, 0, r.out)
    t.equal(#w.effects(), 6)
    t.equal(program.events(w.run({ "show", "last", "--output", "json" }).out)[1].status,
      "succeeded")
  end
  for _, lost in ipairs { "/dev/full", "&-" } do
    local r = shell(w, '"$@" 2>&1 >' .. lost, { "a.lua", "--output", "json" })
    t.equal(r.code, 0, r.out)
    t.contains(r.out, "drlua: the output could not be written")
  end
end)

-- Runs drlua where the workspace's state directory is mounted read-only.
local READ_ONLY = [[unshare -rm sh -c 'mount --bind "$DRLUA_STATE" "$DRLUA_STATE" &&
  mount -o remount,ro,bind "$DRLUA_STATE" && exec "$@"' sh "$@"]]

t.test("runs, show and report read a state directory on a read-only disk", function()
  local w = program.workspace { ["a.lua"] = NOTE }
  local id = ran(w)
  if shell(w, READ_ONLY, { "version" }).code ~= 0 then t.skip("no private mount namespace here") end
  local path = ("%s/runs/%s"):format(w.env.DRLUA_STATE, id)
  t.equal(fs.stat(path .. "/journal.db-wal"), nil)
  local function reads()
    local r = shell(w, READ_ONLY, { "runs" })
    t.equal(r.code, 0, r.out)
    t.contains(r.out, id)
    t.contains(r.out, "succeeded")
    r = shell(w, READ_ONLY, { "show", "last" })
    t.equal(r.code, 0, r.out)
    t.matches(r.out, "done +%S+ +One")
    r = shell(w, READ_ONLY, { "report", "last" })
    t.equal(r.code, 0, r.out)
    t.contains(r.out, "# Test")
    return r.out
  end
  local before = fs.list(path)
  reads()
  t.equal(fs.list(path), before)

  -- A journal that somebody has open, or that a killed run left behind, is read with its WAL.
  local j = journal.open(path .. "/journal.db")
  t.cleanup(function() j:close() end)
  j:add("note", "", { text = "from the WAL" })
  t.contains(reads(), "from the WAL")

  -- A copy that lacks the index of its WAL would be read without its last entries.
  for _, name in ipairs { "journal.db", "journal.db-wal" } do
    assert(fs.write(path .. "/copy-" .. name, assert(fs.read(path .. "/" .. name))))
  end
  j:close()
  for _, name in ipairs { "journal.db", "journal.db-wal" } do
    assert(fs.rename(path .. "/copy-" .. name, path .. "/" .. name))
  end
  local r = shell(w, READ_ONLY, { "show", "last" })
  t.equal(r.code, 2, r.out)
  t.contains(r.out, "its last entries stand in journal.db-wal")
  t.contains(w.run({ "report", "last" }).out, "from the WAL")
end)

t.test("show says as data what is left, whose approval is waited for, and what to type", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Tell", { optional = true }, function() dr.fail("refused") end)
    dr.step("Burn it", { approve = { text = "for good", people = 2 } }, function() end)]] }
  local id = program.events(w.run({ "a.lua", "--yes", "--output", "json" }).out)[1].run
  local function shown() return program.events(w.run({ "show", id, "--output", "json" }).out)[1] end
  local found = shown()
  t.equal(found.status, "paused")
  t.equal(found.left.optional_failed, { { step = "Tell", reason = "refused" } })
  t.equal(#found.waiting, 1)
  t.equal({ found.waiting[1].step, found.waiting[1].text, found.waiting[1].given,
    found.waiting[1].people },
    { "Burn it", "for good", 1, 2 })
  t.equal(#found.waiting[1].by, 1)
  t.equal(found.next, { ("drlua approve %s 'Burn it'"):format(id), "drlua resume " .. id })
  local text = w.run({ "show", id }).out
  t.contains(text, "waits for approval: Burn it (1 of 2 given, by ")
  t.contains(text, "1 optional step failed")
end)
