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
      j:add("step_started", path,
        { name = path, scope = "", attempt = 1, options = { budget = 60 } })
      j:add("step_succeeded", path,
        { name = path, seconds = 0.1, values = { n = 1, v1 = { id = "thing-" .. i } } })
    end
  end)
  local best = math.huge
  for _ = 1, 3 do
    local began = clock.monotonic()
    local h = history.read(j)
    for i = 1, 10000 do
      local path = "Step " .. i
      local step, expected = h:visit("", path)
      if expected or history.results(step).values.v1.id ~= "thing-" .. i then
        error("wrong replay")
      end
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
  local w = program.workspace {
    ["a.lua"] = program.playbook 'dr.step("x", function() probe.opaque("x") end)' }
  local r = w.run { "a.lua", "--state", disk .. "/state" }
  t.equal(r.code, 2)
  t.contains(r.err, "the state directory ")
  t.equal(w.effects(), {})
end)

local function owner(name) return { pid = 1, host = name, start_time = "1" } end

local function pair(path)
  local a, b = journal.open(path), journal.open(path)
  t.cleanup(function()
    a:close()
    b:close()
  end)
  return a, b
end

local function begun()
  local path = program.directory() .. "/journal.db"
  local j = journal.create(path)
  j:together(function()
    j:own(owner "first")
    j:meta("run", { id = "x" })
    j:keep_source("/a.lua", "return 1")
  end)
  j:add("run_started", "", {})
  return path, j
end

t.test("a new owner's epoch: the former one writes nothing "
  .. "more, not even meta; others may", function()
  local path, first = begun()
  t.cleanup(function() first:close() end)
  local second, other = pair(path)
  second:own(owner "second")
  second:add("note", "", { text = "second" })
  for _, write in ipairs {
    function() first:add("intent", "S", { key = "k" }) end,
    function() first:meta("status", "failed") end,
    function() first:keep_source("/b.lua", "return 2") end,
    function() first:together(function() first:meta("status", "failed") end) end,
    function() first:guard() end,
  } do
    local e = t.raises("the run was taken over: process 1 on second works on it", write)
    t.equal({ e.control, e.fenced }, { "journal", "taken over" })
  end
  t.equal(first:lost_to().how, "taken over")
  other:add("approved", "S", { by = "dora" })
  second:guard()
  second:add("note", "", {})
  t.equal(#second:events(), 4)
  t.equal(second:meta("status"), nil)
  t.equal(second:proof().fault, nil)
end)

t.test("a lock that is lost ends the ownership before the next entry", function()
  local path = begun()
  local j = journal.open(path)
  t.cleanup(function() j:close() end)
  local gone
  j:own(owner "me", function() return gone end)
  j:add("note", "", {})
  gone = "/locks/a"
  local e = t.raises("the lock /locks/a was removed or replaced",
    function() j:add("note", "", {}) end)
  t.equal(e.fenced, "stopped")
  gone = nil
  t.raises("the lock /locks/a was removed", function() j:add("note", "", {}) end)
  t.equal(#j:events(), 2)
end)

t.test("an owner that came and went since the journal was opened: "
  .. "what was read is out of date", function()
  local path, first = begun()
  first:close()
  local a, b = pair(path)
  b:own(owner "b")
  t.equal(t.raises("another process worked on the run", function() a:own(owner "a") end).kind,
    "locked")
  -- Who only adds is no owner.
  local c, d = pair(path)
  d:add("approved", "S", {})
  c:own(owner "c")
  t.equal(c:meta("process").host, "c")
end)

t.test("two who write in turn, and a transaction that is given up, keep the chain whole", function()
  local path, first = begun()
  local second = journal.open(path)
  t.cleanup(function()
    first:close()
    second:close()
  end)
  for i = 1, 20 do
    first:add("note", "", { n = i })
    second:add("lesson", "", { n = i })
    first:meta("status", "running")
    if i % 5 == 0 then
      t.raises("given up", function()
        second:together(function()
          second:add("lesson", "", { n = -1 })
          second:meta("status", "given up")
          error("given up")
        end)
      end)
    end
  end
  t.equal({ #first:of_kind "note", #first:of_kind "lesson" }, { 20, 20 })
  t.equal(first:meta("status"), "running")
  local proof = first:proof()
  t.equal(proof.fault, nil)
  t.equal(proof.entries, 64)
end)

t.test("head may lag behind the journal, never lead it, and is not gone without a word", function()
  local path, j = begun()
  local head = path:match("^(.*)/") .. "/head"
  local heads = { fs.read(head) }
  for i = 1, 6 do
    j:add("note", "", { n = i })
    table.insert(heads, fs.read(head))
  end
  j:close()
  for _, old in ipairs(heads) do
    assert(fs.write(head, old))
    journal.open(path):close()
  end
  -- One line is torn or damaged: the other counts.
  assert(fs.write(head, (heads[7]:sub(1, 96) .. ("x"):rep(96))))
  journal.open(path):close()
  for text, pattern in pairs { [("x"):rep(192)] = "which says how many entries",
    [""] = "which says how many entries" } do
    assert(fs.write(head, text))
    t.raises(pattern, journal.open, path)
  end
  fs.remove(head)
  t.raises("the file head next to it is missing", journal.open, path)
  local look = journal.open(path, { readonly = true })
  t.equal(#look:events(), 7)
  look:close()
end)

t.test("a journal copied without its log, or with nothing in it, is not called new", function()
  local path, j = begun()
  t.cleanup(function() j:close() end)
  for i = 1, 50 do j:add("note", "", { n = i }) end
  local directory = path:match("^(.*)/")
  for _, what in ipairs { { "journal.db" }, { "journal.db", "head" },
    { "journal.db-wal", "journal.db" } } do
    local copy = program.directory()
    for _, name in ipairs(what) do
      assert(fs.write(copy .. "/" .. name, assert(fs.read(directory .. "/" .. name))))
    end
    local e = t.raises("opy the whole directory of the run", journal.open, copy .. "/journal.db")
    t.contains(e.message, "journal.db-wal")
    t.ok(not e.message:find("start a new", 1, true), e.message)
  end
  local empty = program.directory() .. "/journal.db"
  assert(fs.write(empty, ""))
  t.raises("nothing is in it, so its entries are elsewhere", journal.open, empty)
end)

t.test("events of a kind, asked again and again, by whoever they are written", function()
  local path, j = begun()
  local other = journal.open(path)
  local reader = journal.open(path, { readonly = true })
  t.cleanup(function() for _, each in ipairs { j, other, reader } do each:close() end end)
  local last = 0
  for i = 1, 30 do
    j:add("note", "", { n = i })
    if i % 3 == 0 then other:add("pause_asked", "", { n = i }) end
    for _, each in ipairs { j, other, reader } do
      local all = each:of_kind "pause_asked"
      t.equal(#all, i // 3)
      table.insert(all, "the caller's own")
      t.equal(#each:of_kind("pause_asked", last), i % 3 == 0 and 1 or 0)
      t.equal(#each:of_kind "note", i)
    end
    if i % 3 == 0 then last = j:of_kind("pause_asked")[i // 3].seq end
  end
  t.raises("given up", function()
    j:together(function()
      j:add("note", "", {})
      t.equal(#j:of_kind "note", 31)
      error("given up")
    end)
  end)
  t.equal(#j:of_kind "note", 30)
  j:add("note", "", {})
  t.equal(#j:of_kind "note", 31)
end)
