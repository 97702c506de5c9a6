-- run.store.sqlite: entries that stand or do not, the formats, and what cannot be used.
package.path = "tests/?.lua;" .. package.path -- the harness is two levels up
local t = require "harness"
local chain = require "run.chain"
local entries = require "run.store.sqlite"
local fs = require "native.fs"
local program = require "program"
local sqlite = require "native.sqlite"
local sys = require "native.sys"
local value = require "run.value"

-- Nothing here needs to survive a power cut.
if fs.stat "/dev/shm" then sys.setenv("TMPDIR", "/dev/shm") end

local function closing(e)
  t.cleanup(function() e:close() end)
  return e
end

local function entry(seq, former, kind, path, data)
  local one = { seq = seq, epoch = 1, time = seq + 0.5, kind = kind or "note", path = path or "S",
    data = value.encode(data or { n = seq }) }
  one.hash = chain.hash(former, one)
  return one
end

-- A journal with a chain of these { kind, path, data }.
local function made(list)
  local path = program.directory() .. "/journal.db"
  local store, former = closing(entries.create(path)), chain.START
  for i, one in ipairs(list or {}) do
    local e = entry(i, former, one[1], one[2], one[3])
    t.equal(store:insert(e, former), true)
    store:mark(e)
    former = e.hash
  end
  return store, path
end

local MIXED = { { "meta", "status", "running" }, { "source", "/a.lua", { text = "one" } },
  { "note", "S" }, { "meta", "status", "failed" }, { "source", "/a.lua", { text = "two" } },
  { "source", "/b.lua", { text = "b" } }, { "lesson", "S" }, { "note", "T" } }

local function column(rows, name)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row[name] end
  return list
end

local function sql(path, text)
  local db = assert(sqlite.open(path))
  assert(db:exec(text))
  db:close()
end

t.test("an entry stands only behind the newest one, whoever writes", function()
  local store, path = made { { "note" } }
  local other = closing(entries.open(path, {}))
  local former = store:newest()
  local mine, theirs = entry(2, former), entry(2, former, "lesson")
  t.equal(other:insert(theirs, former), true)
  t.equal(store:insert(mine, former), false)
  t.equal(store:insert(entry(2, chain.START), chain.START), false)
  t.equal(store:newest(), theirs.hash)
  t.equal(column(store:after(0), "kind"), { "note", "lesson" })
  t.equal(store:insert(entry(3, theirs.hash), theirs.hash), true)
  t.equal(column(other:after(1), "seq"), { 2, 3 })
end)

t.test("what is read: entries, events, kinds, the newest of a name", function()
  local store, path = made(MIXED)
  local looking = closing(entries.open(path, { readonly = true }))
  for _, one in ipairs { store, looking } do
    t.equal(column(one:after(0), "seq"), { 1, 2, 3, 4, 5, 6, 7, 8 })
    t.equal(column(one:after(6), "seq"), { 7, 8 })
    t.equal(column(one:events(0), "seq"), { 3, 7, 8 })
    t.equal(column(one:events(3), "kind"), { "lesson", "note" })
    t.equal(column(one:of_kind("note", 0), "path"), { "S", "T" })
    t.equal(column(one:of_kind("note", 3), "path"), { "T" })
    t.equal({ one:meta "status", one:meta "none" }, { '"failed"' })
    t.equal(one:sources(), { ["/a.lua"] = "two", ["/b.lua"] = "b" })
    t.equal(one:remains(), one:after(0))
    t.equal(one:marked(), { seq = 8, hash = one:newest() })
    t.equal(chain.fault(one:after(0)), nil)
  end
  t.equal(fs.stat(path).mode & 511, 384)
  local e = t.raises("cannot be used", looking.insert, looking, entry(9, looking:newest()),
    looking:newest())
  t.equal(e.control, "journal")
end)

t.test("a transaction keeps others out until it ends; given up, nothing of it stands", function()
  local store, path = made { { "note" } }
  local other = closing(entries.open(path, { busy_timeout = 0.05 }))
  local former = store:newest()
  for _, ending in ipairs { "rollback", "commit" } do
    store:begin()
    t.equal(store:insert(entry(2, former), former), true)
    t.raises("locked by another program", other.begin, other)
    t.raises("locked by another program", other.insert, other, entry(2, former), former)
    t.equal(#other:after(0), 1)
    store[ending](store)
    t.equal(#other:after(0), ending == "commit" and 2 or 1)
  end
end)

t.test("the log is left as it is until the entries have been found whole", function()
  local _, path = made(MIXED)
  local copy = program.directory() .. "/journal.db"
  for _, suffix in ipairs { "", "-wal" } do
    assert(fs.write(copy .. suffix, assert(fs.read(path .. suffix))))
  end
  local log = fs.read(copy .. "-wal")
  t.ok(#log > 0)
  for _, options in ipairs { { readonly = true }, {} } do
    local one = entries.open(copy, options)
    t.equal(#one:after(0), 8)
    one:close()
    t.ok(fs.read(copy .. "-wal") == log, "the log was touched")
  end
  local one = entries.open(copy, {})
  one:trust()
  t.equal(#one:after(0), 8)
  one:close()
  t.equal(fs.stat(copy .. "-wal"), nil)
  one = closing(entries.open(copy, {}))
  t.equal(#one:after(0), 8)
end)

t.test("what cannot be used is said in one sentence, and stays as it is", function()
  for what, case in pairs {
    ["it does not exist"] = function(path) fs.remove(path) end,
    ["nothing is in it"] = function(path) assert(fs.write(path, "")) end,
    ["it is damaged"] = function(path) assert(fs.write(path, ("no database "):rep(100))) end,
    ["it has format 3"] = function(path) sql(path, "PRAGMA user_version=3") end,
    ["it has format -1"] = function(path) sql(path, "PRAGMA user_version=-1") end,
    ["it says format 1, and its tables"] = function(path) sql(path, "PRAGMA user_version=1") end,
    ["it says format 2, and its tables"] = function(path)
      sql(path, "DROP VIEW events; DROP VIEW meta; DROP VIEW sources; DROP TABLE entries")
    end,
  } do
    local path = program.directory() .. "/journal.db"
    entries.create(path):close()
    case(path)
    local before = fs.read(path)
    for _, options in ipairs { {}, { readonly = true } } do
      local e = t.raises("the journal .* cannot be used: ", entries.open, path, options)
      t.contains(e.message, what)
      t.equal({ e.kind, e.control }, { "control", "journal" }, what)
    end
    t.ok(fs.read(path) == before, what .. ": it was changed")
  end
end)

local FORMAT1 = [[
CREATE TABLE events (seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL,
  path TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO events VALUES (1, 1.5, 'run_started', '', '{}'), (2, 2.5, 'note', 'S', '{"n":2}');
INSERT INTO meta VALUES ('status', '"failed"'), ('run', '{"id":"x"}');
INSERT INTO sources VALUES ('/a.lua', 'return 1');
PRAGMA user_version=1;]]

t.test("format 1: read as it is, added to, and brought to this one, or not at all", function()
  local path = program.directory() .. "/journal.db"
  sql(path, FORMAT1)
  local first, second = closing(entries.open(path, {})), closing(entries.open(path, {}))
  t.equal({ first.format, first:meta "status", first:sources() },
    { 1, '"failed"', { ["/a.lua"] = "return 1" } })
  t.equal(second:insert_plain(3.5, "approved", "S", "{}"), 3)
  t.equal(column(first:after(1), "kind"), { "note", "approved" })
  for _, ending in ipairs { "rollback", "commit" } do
    first:before_upgrade()
    first:begin()
    local events, meta, sources = first:upgrade()
    t.equal(column(events, "seq"), { 1, 2, 3 })
    t.equal(events[2], { seq = 2, epoch = 0, time = 2.5, kind = "note", path = "S",
      data = '{"n":2}' })
    t.equal(meta, { status = '"failed"', run = '{"id":"x"}' })
    t.equal(sources, { ["/a.lua"] = "return 1" })
    first[ending](first)
    first.format = ending == "commit" and 2 or 1
    t.equal(second:upgraded(), ending == "commit")
  end
  t.equal({ first:after(0), first:newest(), first:marked() },
    { {}, chain.START, { seq = 0, hash = chain.START } })
  t.raises("brought it to a newer format", second.insert_plain, second, 4.5, "approved", "S", "{}")
end)
