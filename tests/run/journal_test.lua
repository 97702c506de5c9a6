-- run.journal: what survives, what cannot be written is said and nothing is sent.
-- serial
local t = require "harness"
local fs = require "native.fs"
local history = require "run.history"
local journal = require "run.journal"
local clock = require "native.clock"
local program = require "program"
local sqlite = require "native.sqlite"
local sys = require "native.sys"

t.test("events, head and sources come back as they were", function()
  local path = program.directory() .. "/j.db"
  local j = journal.create(path)
  j:meta("run", { id = "x", n = 1 })
  j:keep_source("/a.lua", "return 1")
  local first = j:add("note", "", { text = "ä" }, 5.5)
  local seq, text = j:add("intent", "S", { key = "k" })
  t.equal(seq, first + 1)
  t.equal(j:events(first)[1].data, text)
  j:close()
  t.equal(fs.stat(path).mode & 511, 384)
  j = journal.open(path)
  t.equal(j:meta("run"), { id = "x", n = 1 })
  t.equal(j:meta("none"), nil)
  t.equal(j:sources(), { ["/a.lua"] = "return 1" })
  t.equal(#j:events(), 2)
  t.equal(#j:events(first), 1)
  t.equal(j:of_kind("note")[1].time, 5.5)
  j:close()
end)

t.test("ten thousand steps are read for replay in under 0.2 s", function()
  local j = journal.create(program.directory() .. "/j.db")
  j:together(function()
    for i = 1, 10000 do
      local path = "Step " .. i
      j:add("step_started", path, { name = path, scope = "", attempt = 1, options = { budget = 60 } })
      j:add("step_succeeded", path, { name = path, seconds = 0.1, values = { n = 1, v1 = { id = "thing-" .. i } } })
    end
  end)
  local best = math.huge
  for _ = 1, 3 do
    local began = clock.monotonic()
    local h = history.read(j)
    for i = 1, 10000 do
      local path = "Step " .. i
      local step, expected = h:visit("", path)
      if expected or history.results(step).values.v1.id ~= "thing-" .. i then error("wrong replay") end
    end
    best = math.min(best, clock.monotonic() - began)
  end
  j:close()
  -- A plain build on an idle machine; the sanitized one is several times slower.
  t.ok(best < 2, "replay took " .. best .. " s")
  print(("# replay of 10000 steps: %.3f s"):format(best))
end)

t.test("a journal of another format, a missing one, one that another program holds", function()
  local path = program.directory() .. "/j.db"
  t.raises("it does not exist", journal.open, path)
  journal.create(path):close()
  local other = assert(sqlite.open(path))
  assert(other:exec("PRAGMA user_version=99"))
  t.raises("it has format 99", journal.open, path)
  assert(other:exec("PRAGMA user_version=2; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE"))
  local j = journal.open
  local e = t.raises("it is locked by another program", function()
    local held = j(path, { busy_timeout = 0.1 })
    local ok, raised = pcall(held.add, held, "note", "", {})
    held:close()
    if not ok then error(raised, 0) end
  end)
  t.equal(e.control, "journal")
  assert(other:exec("ROLLBACK"))
  other:close()
end)

-- A small file system of its own, which only root can have.
local function mounted(options)
  if sys.uid() ~= 0 then t.skip("only root can mount a small file system") end
  local path = program.directory() .. "/disk"
  fs.mkdir(path, 448)
  if not os.execute(("mount -t tmpfs -o %s drlua-test '%s' 2>/dev/null"):format(options, path)) then
    t.skip("no file system can be mounted here")
  end
  t.cleanup(function() os.execute("umount -l '" .. path .. "'") end)
  return path
end

t.test("a full disk: one sentence, and no effect without its intent", function()
  local disk = mounted "size=600k"
  local w = program.workspace { ["a.lua"] = program.playbook [[
    for i = 1, 200 do
      dr.step("Step " .. i, function() probe.opaque("e" .. i) return ("x"):rep(9000) end)
    end]] }
  local r = w.run { "a.lua", "--state", disk .. "/state" }
  t.equal(r.code, 1, r.out .. r.err)
  t.contains(r.out, "the disk is full")
  local n = #w.effects()
  t.ok(n > 5 and n < 200, "effects: " .. n)
  os.execute(("mount -o remount,size=20m '%s'"):format(disk))
  local id = fs.list(disk .. "/state/runs")[1]
  local j = journal.open(("%s/state/runs/%s/journal.db"):format(disk, id), { readonly = true })
  t.ok(#j:of_kind("intent") >= n, "an effect left without an intent")
  j:close()
end)

t.test("a read-only disk: refused before anything starts", function()
  local disk = mounted "size=1m"
  fs.mkdir(disk .. "/state", 448)
  os.execute(("mount -o remount,ro '%s'"):format(disk))
  local w = program.workspace { ["a.lua"] = program.playbook 'dr.step("x", function() probe.opaque("x") end)' }
  local r = w.run { "a.lua", "--state", disk .. "/state" }
  t.equal(r.code, 2)
  t.contains(r.err, "the state directory ")
  t.equal(w.effects(), {})
end)
