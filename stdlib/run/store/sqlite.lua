--- The entries of one journal in SQLite: what run/journal.lua asks of a store.
--
-- WAL with synchronous=FULL: an entry that was inserted survives a power cut. Number
-- and hash of the newest entry stand in the file `head` beside the database as well.
--
--     format 2   entries(seq, epoch, time, kind, path, data, hash), one chain (chain.lua)
--     format 1   events(seq, time, kind, path, data), meta and sources in tables; read as
--                it is, appended to by those who do not own the run, and brought to
--                format 2 by the first owner
local chain = require "run.chain"
local control = require "run.control"
local fs = require "native.fs"
local head = require "run.store.head"
local sqlite = require "native.sqlite"
local value = require "run.value"

local Entries = {}
Entries.__index = Entries

local entries = {}

local FORMAT = 2

-- The views are for people with an SQLite shell, and for events().
local SCHEMA = [[
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
  path TEXT NOT NULL, data TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX entries_of_meta ON entries (path, seq) WHERE kind = 'meta';
CREATE VIEW events AS SELECT seq, time, kind, path, data FROM entries
  WHERE kind <> 'meta' AND kind <> 'source';
CREATE VIEW meta AS SELECT path AS name, data AS value FROM entries AS e WHERE kind = 'meta'
  AND seq = (SELECT max(seq) FROM entries WHERE kind = 'meta' AND path = e.path);
CREATE VIEW sources AS SELECT path, json_extract(data, '$.text') AS text FROM entries AS e
  WHERE kind = 'source'
  AND seq = (SELECT max(seq) FROM entries WHERE kind = 'source' AND path = e.path);
PRAGMA user_version=2;
]]

local INSERT = ([[
INSERT INTO entries (seq, epoch, time, kind, path, data, hash) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
  WHERE ?8 = coalesce((SELECT hash FROM entries ORDER BY seq DESC LIMIT 1), 'START')]])
  :gsub("START", chain.START)

-- What is read, by format.
local SELECT = {
  {
    entries = [[SELECT seq, 0 AS epoch, time, kind, path, data FROM events WHERE seq > ?
      ORDER BY seq]],
    of_kind = [[SELECT seq, time, kind, path, data FROM events WHERE kind = ? AND seq > ?
      ORDER BY seq]],
    meta = "SELECT value AS data FROM meta WHERE name = ?",
  },
  {
    entries = [[SELECT seq, epoch, time, kind, path, data, hash FROM entries WHERE seq > ?
      ORDER BY seq]],
    of_kind = [[SELECT seq, time, kind, path, data FROM entries WHERE kind = ? AND seq > ?
      ORDER BY seq]],
    meta = [[SELECT data FROM entries WHERE kind = 'meta' AND path = ?
      ORDER BY seq DESC LIMIT 1]],
  },
}

-- SQLite tells little of what the disk said.
local LITTLE_BYTES = 300000

local function disk_full(path)
  local space = fs.statfs(path:match("^(.*)/[^/]*$") or ".")
  return space and space.free < LITTLE_BYTES
end

local function unusable(path, message, kind)
  local why = kind == "busy" and "it is locked by another program"
    or (kind == "full" or disk_full(path)) and "the disk is full"
    or tostring(message):find("unable to open", 1, true)
      and "it cannot be opened (a read-only disk, or another user's?)"
    or (kind == "corrupt" or kind == "invalid") and "it is damaged (" .. tostring(message) .. ")"
    or tostring(message)
  control.raise("journal", ("the journal %s cannot be used: %s"):format(path, why),
    { cause = kind })
end

local function must(self, ok, message, kind)
  if ok == nil then unusable(self.path, message, kind) end
  return ok
end

local function connect(path, options)
  local db, message, kind = sqlite.open(path, options)
  if not db then unusable(path, message, kind) end
  local directory = path:match("^(.*)/[^/]*$")
  return setmetatable({ path = path, head = directory and directory .. "/head" or "head", db = db },
    Entries)
end

--- Makes the journal of a new run, without entries.
function entries.create(path)
  local self = connect(path, { busy_timeout = 10 })
  must(self, fs.chmod(path, 384)) -- 0600
  must(self, head.create(self.head, 0, chain.START))
  must(self, self.db:exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"))
  must(self, self.db:exec("BEGIN;" .. SCHEMA .. "COMMIT;"))
  self.format = FORMAT
  return self
end

-- The format of the database. Where SQLite cannot make its files beside it (a read-only
-- disk), a journal that was closed in order is whole without them.
local function version_of(self, options)
  local rows, message, kind = self.db:rows("PRAGMA user_version")
  if not rows and options.readonly and tostring(message):find("unable to open", 1, true) then
    local wal = fs.stat(self.path .. "-wal")
    if wal and wal.size > 0 then
      unusable(self.path, "its last entries stand in journal.db-wal, which can be read only where "
        .. "files can be made beside it: copy the state directory to a disk that takes writes, and "
        .. "name the copy with --state")
    end
    self.db:close()
    self.db, message, kind = sqlite.open(self.path, { immutable = true })
    if self.db then rows, message, kind = self.db:rows("PRAGMA user_version") end
  end
  return must(self, rows, message, kind)[1].user_version
end

local function has_table(self, name)
  local rows = must(self, self.db:rows(
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name))
  return rows[1] ~= nil
end

-- A number that does not fit the tables is damage, too.
local function check_format(self, version)
  if version == 0 and not has_table(self, "entries") and not has_table(self, "events") then
    self.db:close()
    unusable(self.path, "nothing is in it, so its entries are elsewhere: in journal.db-wal, if "
      .. "that was not copied together with it. Copy the whole directory of the run (journal.db, "
      .. "journal.db-wal and head)")
  end
  if version < 1 or version > FORMAT then
    self.db:close()
    unusable(self.path, ("it has format %d, and this drlua knows formats up to %d: it was written "
      .. "by a newer drlua, or is damaged"):format(version, FORMAT))
  end
  if not has_table(self, version == 2 and "entries" or "events") then
    self.db:close()
    unusable(self.path, ("it says format %d, and its tables are of another"):format(version),
      "corrupt")
  end
  self.format = version
end

--- Opens an existing one. options: readonly (for looking only), busy_timeout (seconds to
-- wait for another program; 10). The write-ahead log stays as it is until trust().
function entries.open(path, options)
  if not fs.stat(path) then unusable(path, "it does not exist") end
  local self = connect(path, { busy_timeout = options.busy_timeout or 10,
    readonly = options.readonly, keep_wal = true })
  if not options.readonly then must(self, self.db:exec("PRAGMA synchronous=FULL")) end
  check_format(self, version_of(self, options))
  return self
end

--- Raises that the journal cannot be used. kind: what SQLite calls the fault.
function Entries:refuse(text, kind) unusable(self.path, text, kind) end

--- Called when the entries have been found whole: only now may the log be emptied.
function Entries:trust()
  self.db:keep_wal(false)
  must(self, self.db:exec("PRAGMA journal_mode=WAL"))
end

--- The entries after number `after`, oldest first.
function Entries:after(after)
  return must(self, self.db:rows(SELECT[self.format].entries, after))
end

-- The rows of one kind of columns, as far as SQLite can find them one by one.
local function rows_one_by_one(self)
  local found, missed, seq = {}, 0, 1
  local noted, sql = self:marked(), SELECT[self.format].entries:gsub("seq > .*$", "seq = ?")
  while missed < 1000 or noted and seq <= noted.seq do
    local rows = self.db:rows(sql, seq)
    missed = rows and rows[1] and 0 or missed + 1
    if rows and rows[1] then table.insert(found, rows[1]) end
    seq = seq + 1
  end
  return found
end

--- Of a damaged journal, the entries that can be read.
function Entries:remains()
  return self.db:rows(SELECT[self.format].entries, 0) or rows_one_by_one(self)
end

--- The same of those that are no meta and no source, without epoch and hash.
function Entries:events(after)
  return must(self, self.db:rows(
    "SELECT seq, time, kind, path, data FROM events WHERE seq > ? ORDER BY seq", after))
end

--- Events of one kind after number `after`.
function Entries:of_kind(kind, after)
  return must(self, self.db:rows(SELECT[self.format].of_kind, kind, after))
end

--- The newest value of a name, as text.
function Entries:meta(name)
  local rows = must(self, self.db:rows(SELECT[self.format].meta, name))
  return rows[1] and rows[1].data
end

--- The kept sources: path -> text.
function Entries:sources()
  local found = {}
  if self.format == 1 then
    local rows = must(self, self.db:rows("SELECT path, text FROM sources"))
    for _, row in ipairs(rows) do found[row.path] = row.text end
    return found
  end
  local rows = must(self, self.db:rows(
    "SELECT path, data FROM entries WHERE kind = 'source' ORDER BY seq"))
  for _, row in ipairs(rows) do
    found[row.path] = value.decode(row.data).text
  end
  return found
end

--- The hash of the newest entry.
function Entries:newest()
  local rows = must(self, self.db:rows("SELECT hash FROM entries ORDER BY seq DESC LIMIT 1"))
  return rows[1] and rows[1].hash or chain.START
end

--- Appends an entry, if the newest one's hash is `former`: then true. One statement, so
-- that nobody can come in between.
function Entries:insert(entry, former)
  return must(self, self.db:run(INSERT, entry.seq, entry.epoch, entry.time, entry.kind, entry.path,
    entry.data, entry.hash, former)) == 1
end

--- Adds an event to a journal of format 1, which has no chain; returns its number.
function Entries:insert_plain(time, kind, path, data)
  if self:upgraded() then
    unusable(self.path,
      "another process brought it to a newer format in the meantime: type the command again")
  end
  must(self, self.db:run("INSERT INTO events (time, kind, path, data) VALUES (?, ?, ?, ?)", time,
    kind, path, data))
  return self.db:last_id()
end

function Entries:begin() must(self, self.db:exec("BEGIN IMMEDIATE")) end
function Entries:commit() must(self, self.db:exec("COMMIT")) end
function Entries:rollback() self.db:exec("ROLLBACK") end

--- Notes the newest entry outside of the database.
function Entries:mark(newest) head.write(self.head, newest.seq, newest.hash) end

--- What is noted there: { seq, hash }, or nil and "missing" or "damaged".
function Entries:marked() return head.read(self.head) end

--- Brings a journal of format 1 to this one, inside of a transaction: its tables are
-- replaced by an empty chain. Returns what they held: the events, meta (name -> text)
-- and sources (path -> text).
function Entries:upgrade()
  local events, meta = self:after(0), {}
  local rows = must(self, self.db:rows("SELECT name, value FROM meta"))
  for _, row in ipairs(rows) do meta[row.name] = row.value end
  local sources = self:sources()
  must(self, self.db:exec("DROP TABLE events; DROP TABLE meta; DROP TABLE sources;" .. SCHEMA))
  self.format = FORMAT
  return events, meta, sources
end

--- True when another process has brought it to this format since it was opened.
function Entries:upgraded() return has_table(self, "entries") end

--- Prepares for upgrade(): a journal of this format is never without its head.
function Entries:before_upgrade()
  must(self, head.create(self.head, 0, chain.START))
end

function Entries:close() self.db:close() end

return entries
