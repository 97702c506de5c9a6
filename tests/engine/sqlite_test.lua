-- native.sqlite: values, statements, errors, locks between two connections.
local t = require "harness"
local fs = require "native.fs"
local sqlite = require "native.sqlite"

local function temporary()
  local dir = assert(fs.tempdir("drlua-sqlite."))
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  return dir .. "/test.db"
end

local function memory()
  local db = assert(sqlite.open(":memory:"))
  t.cleanup(function() db:close() end)
  return db
end

t.test("values come back as they went in", function()
  local db = memory()
  assert(db:exec "CREATE TABLE v (i, f, s, b, n); CREATE TABLE other (x)")
  t.equal(db:run("INSERT INTO v VALUES (?, ?, ?, ?, ?)", math.maxinteger, 0.1, "a\0b\xff", true,
    nil), 1)
  t.equal(db:rows "SELECT * FROM v", { { i = math.maxinteger, f = 0.1, s = "a\0b\xff", b = 1 } })
  t.equal(db:last_id(), 1)
  t.equal(db:rows "SELECT x FROM other", {})
end)

t.test("parameters by name", function()
  local db = memory()
  t.equal(db:rows("SELECT :a AS a, $b AS b, :missing AS c", { a = 1, b = "two" }),
    { { a = 1, b = "two" } })
end)

t.test("changes are those of the statement", function()
  local db = memory()
  assert(db:exec "CREATE TABLE n (x INTEGER PRIMARY KEY)")
  t.equal(db:run "INSERT INTO n VALUES (1), (2), (3)", 3)
  t.equal(db:run "CREATE TABLE m (x)", 0)
  t.equal(db:run("DELETE FROM n WHERE x > ?", 1), 2)
  t.equal(db:run("DELETE FROM n WHERE x > ?", 100), 0)
end)

t.test("failures of the world come as nil, message, kind", function()
  local db = memory()
  assert(db:exec "CREATE TABLE u (x PRIMARY KEY, y CHECK (y > 0))")
  assert(db:run("INSERT INTO u VALUES (1, 1)"))
  local value, message, kind = db:run("INSERT INTO u VALUES (1, 1)")
  t.equal(value, nil)
  t.contains(message, "UNIQUE constraint failed")
  t.equal(kind, "exists")
  t.equal(select(3, db:run("INSERT INTO u VALUES (2, 0)")), "invalid")
  t.equal(select(3, db:rows "SELECT nothing FROM nowhere"), "invalid")
  t.equal(select(3, db:exec "NONSENSE"), "invalid")
  t.equal(db:rows "SELECT count(*) AS n FROM u", { { n = 1 } })
  t.equal(select(3, sqlite.open("/nonexistent/dir/x.db")), "missing")
end)

t.test("misuse raises", function()
  local db = memory()
  t.raises("2 parameters, 1 values", db.run, db, "SELECT ?, ?", 1)
  t.raises("a table cannot be stored", db.run, db, "SELECT ?, ?", 1, {})
  t.raises("one SQL statement expected", db.run, db, "SELECT 1; SELECT 2")
  t.raises("no SQL statement", db.run, db, "-- nothing")
  t.raises("unknown option \"read_only\" %(known: readonly, immutable, keep_wal, busy_timeout%)",
    sqlite.open, ":memory:", { read_only = true })
  db:close()
  db:close()
  t.raises("the database is closed", db.rows, db, "SELECT 1")
  t.equal(tostring(db), "database (closed)")
end)

t.test("a second writer waits no longer than it was told, then hears busy", function()
  local path = temporary()
  local first = assert(sqlite.open(path))
  local second = assert(sqlite.open(path, { busy_timeout = 0 }))
  t.cleanup(function() first:close() second:close() end)
  assert(first:exec "PRAGMA journal_mode=WAL; CREATE TABLE x (y)")
  assert(first:exec "BEGIN IMMEDIATE")
  t.equal(select(3, second:exec "BEGIN IMMEDIATE"), "busy")
  assert(first:exec "COMMIT")
  t.ok(second:exec "BEGIN IMMEDIATE")
  assert(second:exec "ROLLBACK")
end)

t.test("an immutable database's path is taken as it stands", function()
  local folder = assert(fs.tempdir "drlua-test-")
  t.cleanup(function() fs.remove_tree(folder) end)
  local path = folder .. "/a%41?b#c d"
  local db = assert(sqlite.open(path))
  assert(db:exec "CREATE TABLE x (y)")
  db:close()
  db = assert(sqlite.open(path, { immutable = true }))
  t.equal(#assert(db:rows "SELECT * FROM x"), 0)
  db:close()
  t.equal(fs.list(folder), { "a%41?b#c d" })
end)

t.test("read-only means it, and a file that is no database is corrupt", function()
  local path = temporary()
  local db = assert(sqlite.open(path))
  assert(db:exec "CREATE TABLE x (y)")
  db:close()
  db = assert(sqlite.open(path, { readonly = true }))
  t.equal(select(3, db:run "INSERT INTO x VALUES (1)"), "readonly")
  db:close()
  db = assert(sqlite.open(path, { immutable = true }))
  t.equal(select(3, db:run "INSERT INTO x VALUES (1)"), "readonly")
  t.equal(db:rows "SELECT count(*) AS n FROM x", { { n = 0 } })
  db:close()
  assert(fs.write(path, ("no database at all\n"):rep(100)))
  db = assert(sqlite.open(path))
  t.equal(select(3, db:rows "SELECT * FROM x"), "corrupt")
  db:close()
end)

t.test("many different statements do not pile up", function()
  local db = memory()
  for i = 1, 300 do t.equal(db:rows(("SELECT %d AS n"):format(i)), { { n = i } }) end
  t.equal(db:rows "SELECT 300 AS n", { { n = 300 } })
end)

t.test("a statement kept from before sees a changed schema", function()
  local db = memory()
  assert(db:exec "CREATE TABLE x (a)")
  assert(db:run "INSERT INTO x VALUES (1)")
  t.equal(db:rows "SELECT * FROM x", { { a = 1 } })
  assert(db:exec "ALTER TABLE x ADD COLUMN b DEFAULT 2")
  t.equal(db:rows "SELECT * FROM x", { { a = 1, b = 2 } })
end)

t.test("an open database is collected", function()
  local path = temporary()
  for _ = 1, 20 do
    local db = assert(sqlite.open(path))
    assert(db:rows "SELECT 1 AS x")
  end
end)

t.test("keep_wal: the log stays as it is when the database is closed", function()
  local path = temporary()
  local db = assert(sqlite.open(path, { keep_wal = true }))
  assert(db:exec "PRAGMA journal_mode=WAL; CREATE TABLE v (i); INSERT INTO v VALUES (1)")
  db:close()
  local kept = assert(fs.stat(path .. "-wal")).size
  t.ok(kept > 0)
  db = assert(sqlite.open(path, { keep_wal = true }))
  t.equal(db:rows "SELECT i FROM v", { { i = 1 } })
  db:keep_wal(false)
  db:close()
  t.equal(fs.stat(path .. "-wal"), nil)
end)
