--- The journal of one run: an append-only list of events in SQLite.
--
-- WAL with synchronous=FULL: when add() has returned, the event survives a power
-- cut. Nothing is sent to the world before its intent is in here. The kinds of
-- events and their data are those that session.lua, step.lua and gate.lua add;
-- history.lua reads them back. Two processes may have a journal open: the run, and
-- somebody who approves, pauses or watches it.
local clock = require "native.clock"
local control = require "run.control"
local errors = require "errors"
local fs = require "native.fs"
local sqlite = require "native.sqlite"
local sys = require "native.sys"
local value = require "run.value"

local journal = {}
journal.__index = journal

local VERSION = 1

local SCHEMA = [[
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE sources (path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
]]

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
  control.raise("journal", ("the journal %s cannot be used: %s"):format(path, why), { cause = kind })
end

local function must(self, ok, message, kind)
  if ok == nil then unusable(self.path, message, kind) end
  return ok
end

local function connect(path, options)
  local db, message, kind = sqlite.open(path, options)
  if not db then unusable(path, message, kind) end
  return setmetatable({ path = path, db = db }, journal)
end

--- Makes the journal of a new run.
function journal.create(path)
  local self = connect(path, { busy_timeout = 10 })
  must(self, fs.chmod(path, 384)) -- 0600
  must(self, self.db:exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"))
  must(self, self.db:exec("BEGIN;" .. SCHEMA .. ("PRAGMA user_version=%d; COMMIT;"):format(VERSION)))
  return self
end

-- The format of the database. Where SQLite cannot make its files beside it (a read-only
-- disk), a journal that was closed in order is whole without them.
local function version_of(self, options)
  local rows, message, kind = self.db:rows("PRAGMA user_version")
  if not rows and options.readonly and tostring(message):find("unable to open", 1, true) then
    local wal = fs.stat(self.path .. "-wal")
    if wal and wal.size > 0 then
      unusable(self.path, "its last entries stand in journal.db-wal, which can be read only where files can be made "
        .. "beside it: copy the state directory to a disk that takes writes, and name the copy with --state")
    end
    self.db:close()
    self.db, message, kind = sqlite.open(self.path, { immutable = true })
    if self.db then rows, message, kind = self.db:rows("PRAGMA user_version") end
  end
  return must(self, rows, message, kind)[1].user_version
end

--- Opens an existing one. options: readonly (for looking only), busy_timeout (seconds
-- to wait for another program; 10).
function journal.open(path, options)
  options = options or {}
  if not fs.stat(path) then unusable(path, "it does not exist") end
  local self = connect(path, { busy_timeout = options.busy_timeout or 10, readonly = options.readonly })
  if not options.readonly then must(self, self.db:exec("PRAGMA synchronous=FULL")) end
  local version = version_of(self, options)
  if version ~= VERSION then
    self.db:close()
    if version == 0 then unusable(path, "it is empty: its run had not begun, so start a new one") end
    unusable(path, ("it has format %d, and this drlua writes format %d"):format(version, VERSION))
  end
  return self
end

-- A rehearsal's sweep kills this process at a chosen write: DRLUA_KILL_WRITE is
-- "before:17" or "after:17", and means something in a rehearsal only.
local function read_kill()
  if not sys.getenv("DRLUA_REHEARSAL") then return nil end
  local moment, n = (sys.getenv("DRLUA_KILL_WRITE") or ""):match("^(%l+):(%d+)$")
  return moment and { moment = moment, write = tonumber(n) }
end

local function kill_at(self, moment)
  if self.kill == nil then self.kill = read_kill() or false end
  if not self.kill then return end
  if moment == "before" then self.writes = (self.writes or 0) + 1 end
  if self.kill.moment == moment and self.kill.write == self.writes then sys.kill(sys.pid(), "KILL") end
end

--- Adds an event; data is a table of plain data. Returns its number, and the text of
-- data as events() would give it back. Raises a control error when it cannot be written.
function journal:add(kind, path, data, at)
  local text = value.encode(data or {}, ("the data of %s"):format(path ~= "" and path or kind))
  kill_at(self, "before")
  must(self, self.db:run("INSERT INTO events (time, kind, path, data) VALUES (?, ?, ?, ?)",
    at or clock.now(), kind, path, text))
  local seq = self.db:last_id()
  kill_at(self, "after")
  return seq, text
end

--- All events after number `after` (default: all), with data still as text in the
-- field `data`: value.decode it when it is needed.
function journal:events(after)
  return must(self, self.db:rows("SELECT seq, time, kind, path, data FROM events WHERE seq > ? ORDER BY seq",
    after or 0))
end

--- Events of one kind, oldest first; after: a number, only those behind it.
function journal:of_kind(kind, after)
  return must(self, self.db:rows(
    "SELECT seq, time, kind, path, data FROM events WHERE kind = ? AND seq > ? ORDER BY seq", kind, after or 0))
end

--- Reads a value of the run's head, or writes it.
function journal:meta(name, new)
  if new ~= nil then
    must(self, self.db:run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
      name, value.encode(new, name)))
    return new
  end
  local rows = must(self, self.db:rows("SELECT value FROM meta WHERE name = ?", name))
  return rows[1] and value.decode(rows[1].value)
end

--- Keeps the source text of a file of the playbook.
function journal:keep_source(path, text)
  must(self, self.db:run("INSERT INTO sources VALUES (?1, ?2) ON CONFLICT (path) DO UPDATE SET text = ?2",
    path, text))
end

--- The kept sources: path -> text.
function journal:sources()
  local found = {}
  for _, row in ipairs(must(self, self.db:rows("SELECT path, text FROM sources"))) do found[row.path] = row.text end
  return found
end

--- Makes several writes one transaction.
function journal:together(fn)
  must(self, self.db:exec("BEGIN IMMEDIATE"))
  local ok, e = pcall(fn)
  if not ok then
    self.db:exec("ROLLBACK")
    error(errors.from(e), 0)
  end
  must(self, self.db:exec("COMMIT"))
end

function journal:close()
  self.db:close()
end

return journal
