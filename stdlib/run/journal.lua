--- The journal of one run: an append-only list of entries, each under a hash chained to
-- the one before (chain.lua) and under the epoch of the run's owner.
--
-- When add() has returned, the entry survives a power cut. Nothing is sent to the world
-- before its intent is in here. The kinds of events and their data are those that
-- session.lua, step.lua and gate.lua add; history.lua reads them back. Values of the
-- run's head (kind "meta", by name) and the texts of its playbook (kind "source", by
-- path) are entries of the same chain.
--
-- Several processes may write: the run's owner, and those who approve or pause. Each
-- append says which entry it follows, so that no two can follow the same one; whoever
-- comes second reads what came in between, and an owner that finds a newer owner's epoch
-- there has been taken over, and writes nothing more.
--
-- Where entries are kept is the business of a store (store/sqlite.lua).
local chain = require "run.chain"
local clock = require "native.clock"
local control = require "run.control"
local entries = require "run.store.sqlite"
local errors = require "errors"
local proof = require "run.proof"
local sys = require "native.sys"
local value = require "run.value"

local journal = {}
journal.__index = journal

-- Kinds of entries that are no events, and where their newest texts are kept.
local hidden = { meta = "meta_text", source = "source_text" }

-- How often an append may find that somebody else's came first.
local TRIES = 1000

local function new(store)
  return setmetatable({ store = store, path = store.path, newest = { seq = 0, hash = chain.START },
    epochs = 0, meta_text = {}, source_text = {}, kinds = {} }, journal)
end

-- Takes note of an entry that stands; true for one that is an event.
local function keep(self, entry)
  if entry.epoch > self.epochs then self.epochs = entry.epoch end
  local kept = hidden[entry.kind] and self[hidden[entry.kind]]
  if not kept then return true end
  kept[entry.path] = entry.data
end

-- The same of many; returns the events among them.
local function keep_all(self, rows)
  local events, n = {}, 0
  for i = 1, #rows do
    if keep(self, rows[i]) then
      n = n + 1
      events[n] = rows[i]
    end
  end
  return events
end

local function advance(self, entry)
  self.newest = { seq = entry.seq, hash = entry.hash }
  return keep(self, entry)
end

-- Opened to be written: everything is proved first, and then known without a query.
local function trust(self)
  local rows, fault = proof.read(self.store)
  if fault then
    self.store:close()
    proof.refuse(self.store, fault)
  end
  self.store:trust()
  if self.store.format > 1 then self.newest = { seq = #rows, hash = rows[#rows].hash } end
  self.loaded = keep_all(self, rows)
  return self
end

--- The journal over the entries of a run in any store (see store/sqlite.lua). options:
-- readonly (for looking only: nothing is proved), new (there are none yet).
function journal.over(kept, options)
  local self = new(kept)
  if options.readonly or options.new then return self end
  return trust(self)
end

--- Makes the journal of a new run in a file.
function journal.create(path)
  return journal.over(entries.create(path), { new = true })
end

--- Opens the one in a file. options: readonly (for looking only: nothing is proved),
-- busy_timeout (seconds to wait for another program; 10). Raises a control error when it
-- cannot be used, among others because an entry is damaged or missing.
function journal.open(path, options)
  options = options or {}
  return journal.over(entries.open(path, options), options)
end

--- Proves a journal that was opened for looking: { entries = count, hash = of the newest
-- one, format =, fault = nil or { entry =, text = } }.
function journal:proof()
  local ok, rows, fault = pcall(proof.read, self.store)
  if not ok then return { fault = { text = errors.from(rows).message } } end
  local newest = rows[#rows]
  return { entries = #rows, hash = newest and newest.hash, format = self.store.format,
    fault = fault }
end

--- A sentence when its newest entries are damaged or missing: a look that costs little.
function journal:glance() return proof.glance(self.store) end

--- From here on a damaged journal, opened for looking, gives what can be read of it.
function journal:salvage() self.broken = true end

-- The entries that can be read and understood.
local function remains(self)
  local found = {}
  for _, row in ipairs(self.store:remains()) do
    if type(row.data) == "string" and pcall(value.decode, row.data) then
      table.insert(found, row)
    end
  end
  return found
end

-- A rehearsal's sweep kills this process at a chosen write: DRLUA_KILL_WRITE is
-- "before:17", "within:17" (written, and not yet noted in head) or "after:17", and means
-- something in a rehearsal only.
local function read_kill()
  if not sys.getenv("DRLUA_REHEARSAL") then return nil end
  local moment, n = (sys.getenv("DRLUA_KILL_WRITE") or ""):match("^(%l+):(%d+)$")
  return moment and { moment = moment, write = tonumber(n) }
end

local function kill_at(self, moment)
  if self.kill == nil then self.kill = read_kill() or false end
  if not self.kill then return end
  if moment == "before" then self.writes = (self.writes or 0) + 1 end
  if self.kill.moment == moment and self.kill.write == self.writes then
    sys.kill(sys.pid(), "KILL")
  end
end

-- Ends the ownership of this process, for good. how: "taken over" or "stopped".
local function lose(self, how, text)
  self.lost = { how = how, text = text }
  control.raise("journal", text, { fenced = how })
end

local function taken_over(self)
  local ok, owner = pcall(value.decode, self.meta_text.process or "")
  owner = ok and type(owner) == "table" and owner or {}
  lose(self, "taken over", ("the run was taken over: process %s on %s works on it%s. This one has "
    .. "stopped, and sends nothing more"):format(tostring(owner.pid or "?"),
    tostring(owner.host or "?"),
    owner.since and " since " .. clock.format(owner.since, "rfc3339") or ""))
end

-- Reads what others have appended since.
local function catch_up(self)
  local rows = self.store:after(self.newest.seq)
  local fault = chain.fault(rows, self.newest)
  if fault then proof.refuse(self.store, fault) end
  for _, row in ipairs(rows) do
    if advance(self, row) and self.loaded then table.insert(self.loaded, row) end
  end
  if self.epoch and self.epochs > self.epoch then taken_over(self) end
  return #rows
end

local function follow(self)
  if self.store:newest() == self.newest.hash then return end
  if catch_up(self) == 0 then
    proof.refuse(self.store, { text = "its newest entries are gone since this process wrote them" })
  end
end

-- Before anything is written under the owner's epoch. A lock that is gone may be in the
-- hands of the run's next owner, who then stands in the journal.
local function check_owner(self)
  if not self.epoch then return end
  if self.lost then lose(self, self.lost.how, self.lost.text) end
  local gone = self.held and self.held()
  if not gone then return end
  follow(self)
  lose(self, "stopped", ("the lock %s was removed or replaced while this process held it, so "
    .. "another run may work on the same resources. This one has stopped, and sends nothing more. "
    .. "See what `drlua runs` lists before it is resumed"):format(gone))
end

local function append(self, kind, path, text, at)
  check_owner(self)
  at = at or clock.now()
  if self.store.format == 1 then return self.store:insert_plain(at, kind, path, text) end
  for _ = 1, TRIES do
    local former = self.newest
    local entry = { seq = former.seq + 1, epoch = self.epoch or 0, time = at, kind = kind,
      path = path, data = text }
    entry.hash = chain.hash(former.hash, entry)
    if self.store:insert(entry, former.hash) then
      advance(self, entry)
      return entry.seq
    end
    follow(self)
  end
  self.store:refuse("others write to it without a pause", "busy")
end

-- Outside of a transaction an entry stands at once.
local function note(self)
  if not self.inside and self.store.format > 1 then self.store:mark(self.newest) end
end

--- Adds an event; data is a table of plain data. Returns its number, and the text of
-- data as events() would give it back. Raises a control error when it cannot be written,
-- with `fenced` when this process is no longer the run's owner.
function journal:add(kind, path, data, at)
  local text = value.encode(data or {}, ("the data of %s"):format(path ~= "" and path or kind))
  kill_at(self, "before")
  local seq = append(self, kind, path, text, at)
  self.loaded = nil
  kill_at(self, "within")
  note(self)
  kill_at(self, "after")
  return seq, text
end

local function select_events(rows, after)
  local found = {}
  for _, row in ipairs(rows) do
    if not hidden[row.kind] and row.seq > after then table.insert(found, row) end
  end
  return found
end

--- All events after number `after` (default: all), with data still as text in the
-- field `data`: value.decode it when it is needed.
function journal:events(after)
  if self.broken then return select_events(remains(self), after or 0) end
  local loaded = self.loaded
  if loaded and (after or 0) == 0 then
    self.loaded = nil
    return loaded
  end
  return self.store:events(after or 0)
end

-- All events of a kind. What was read once is kept: a run asks before every step whether
-- somebody wants it to pause.
local function all_of(self, kind)
  local known = self.kinds[kind] or { upto = 0, events = {} }
  self.kinds[kind] = known
  local newest = self.newest.seq
  for _, event in ipairs(self.store:of_kind(kind, known.upto)) do
    table.insert(known.events, event)
    newest = math.max(newest, event.seq)
  end
  known.upto = math.max(known.upto, newest)
  return known.events
end

--- Events of one kind, oldest first; after: a number, only those behind it.
function journal:of_kind(kind, after)
  if self.inside or self.broken then return self.store:of_kind(kind, after or 0) end
  local events = all_of(self, kind)
  local first = #events + 1
  while first > 1 and events[first - 1].seq > (after or 0) do first = first - 1 end
  return table.move(events, first, #events, 1, {})
end

local function newest_remaining(self, name)
  local text
  for _, row in ipairs(remains(self)) do
    if row.kind == "meta" and row.path == name then text = row.data end
  end
  return text
end

--- Reads a value of the run's head, or writes it.
function journal:meta(name, given)
  if given ~= nil then
    append(self, "meta", name, value.encode(given, name))
    note(self)
    return given
  end
  local text
  if self.broken then
    text = newest_remaining(self, name)
  else
    text = self.meta_text[name] or self.store:meta(name)
  end
  return text and value.decode(text)
end

--- Keeps the source text of a file of the playbook.
function journal:keep_source(path, text)
  local data = value.encode({ text = text }, path)
  if self.source_text[path] == data then return end
  append(self, "source", path, data)
  note(self)
end

--- The kept sources: path -> text.
function journal:sources()
  if not next(self.source_text) then return self.store:sources() end
  local found = {}
  for path, data in pairs(self.source_text) do found[path] = value.decode(data).text end
  return found
end

local function copy(t)
  local c = {}
  for k, v in pairs(t) do c[k] = v end
  return c
end

--- Makes several writes one transaction.
function journal:together(fn)
  if self.inside then return fn() end
  local before = { newest = self.newest, epoch = self.epoch, epochs = self.epochs,
    format = self.store.format, meta_text = copy(self.meta_text),
    source_text = copy(self.source_text) }
  self.store:begin()
  self.inside = true
  local ok, e = pcall(function()
    if self.store.format > 1 then follow(self) end
    fn()
    self.store:commit()
  end)
  self.inside = nil
  if not ok then
    self.store:rollback()
    self.store.format, before.format = before.format, nil
    for k, v in pairs(before) do self[k] = v end
    self.epoch, self.loaded = before.epoch, nil
    error(errors.from(e), 0)
  end
  note(self)
end

-- Begins the chain over the entries of a journal of format 1.
local function upgrade(self)
  local events, meta, sources = self.store:upgrade()
  for _, e in ipairs(events) do append(self, e.kind, e.path, e.data, e.time) end
  for path, text in pairs(sources) do self:keep_source(path, text) end
  for name, text in pairs(meta) do append(self, "meta", name, text) end
end

--- Makes this process the run's owner: from here on everything it writes is under a new
-- epoch, and the former owner, should it still live, can write nothing more. owner: who it
-- is, { pid, start_time, host, ... }; held: a function that returns the name of a lock
-- that this process has lost, or nil. Raises an error of kind "locked" when another owner
-- came and went since the journal was opened: what was read of it is out of date.
function journal:own(owner, held)
  local old, known = self.store.format == 1, self.epochs
  if old then self.store:before_upgrade() end
  self:together(function()
    if self.epochs ~= known or old and self.store:upgraded() then
      errors.raise { kind = "locked", message = "another process worked on the run in the "
        .. "meantime: see how it stands now with `drlua show`, then resume it" }
    end
    if old then upgrade(self) end
    self.epoch, self.held = self.epochs + 1, held
    owner.epoch = self.epoch
    self:meta("process", owner)
  end)
end

--- Raises (a control error with `fenced`) when this process is no longer the run's owner;
-- add() does so by itself.
function journal:guard()
  if not self.epoch then return end
  check_owner(self)
  follow(self)
end

--- Why this process is no longer the run's owner: { how = "taken over" or "stopped", text },
-- or nil.
function journal:lost_to() return self.lost end

function journal:close()
  self.store:close()
end

return journal
