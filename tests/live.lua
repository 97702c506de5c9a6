--- Runs inside the process of a test: real sessions with real journals in a directory of
-- their own, begun, killed at a write of the journal, resumed and rolled back.
--
--     local run = live.new(directory, { run = function() dr.step(...) end })
--     local first = run:begin { kill = { moment = "before", write = 3 } }
--     local second = run:resume { settle = { "Pay=done" } }
--
-- A kill is an error at that write, after which the session writes nothing and sends
-- nothing; its locks and its journal are freed, as the kernel does it for a dead process.
local control = require "run.control"
local effect = require "effect"
local errors = require "errors"
local fs = require "native.fs"
local gate = require "run.gate"
local harness = require "harness"
local history = require "run.history"
local life = require "run.life"
local lock = require "run.lock"
local playbook = require "run.playbook"
local state = require "run.state"
local sys = require "native.sys"
local time = require "model.time"
local undo = require "run.undo"

local live = {}
live.__index = live

local made = 0

--- A new directory for the state of runs: in memory, where there is any, since a journal is
-- synced at every write. Whoever asks removes it.
function live.directory()
  if not fs.stat("/dev/shm") then return assert(fs.tempdir("drlua-live-")) end
  made = made + 1
  local path = ("/dev/shm/drlua-live-%d-%d"):format(sys.pid(), made)
  assert(fs.mkdir(path, 448))
  return path
end

--- Makes a run that has not begun. directory: for its state; fields: of the playbook.
function live.new(directory, fields)
  gate.install()
  local t = { title = "Test" }
  for k, v in pairs(fields) do t[k] = v end
  local loaded = { definition = playbook.define(t), path = directory .. "/test.lua",
    sources = {} }
  return setmetatable({ state = state.open(directory), loaded = loaded, events = {} }, live)
end

-- Whether the session dies at this write.
local function strikes(kill, moment, kind, written)
  if type(kill) == "function" then return kill(moment, kind, written) end
  return kill and kill.moment == moment and kill.write == written
end

-- Dies at a write: it is not made ("before"), or it is the last one ("after").
local function arm(self, s, options)
  local written = 0
  if options.on_session then options.on_session(s) end
  local function die()
    s.killed = true
    control.raise("journal", "killed")
  end
  local add = s.journal.add
  function s.journal.add(j, kind, path, ...)
    if s.killed then die() end
    written = written + 1
    if strikes(options.kill, "before", kind, written) then die() end
    local result = table.pack(add(j, kind, path, ...))
    if options.on_write then options.on_write(kind, path, ...) end
    if strikes(options.kill, "after", kind, written) then die() end
    return table.unpack(result, 1, result.n)
  end
  self.session = s
end

local function session_options(self, options)
  return { operator = options.operator, assume_yes = options.assume_yes,
    accept_changes = options.accept_changes, out = function(e) table.insert(self.events, e) end }
end

-- What a dead process leaves: its journal as it is, and no lock.
local function abandon(s)
  for _, held in ipairs(s.locks.locks) do held.handle:close() end
  s.journal:close()
  return { outcome = "killed" }
end

local function drive(s, body)
  local ok, e = s:execute(body)
  local result
  if not s.killed then result = life.conclude(s, ok, e) end
  if s.killed then return abandon(s) end
  result.error, result.message = e, result.message or (e and tostring(e))
  return result
end

--- Begins it. options: kill = { moment = "before" | "after", write = n } (counted from the
-- session's first write on) or function(moment, kind, n), operator, assume_yes,
-- accept_changes, on_write(kind, path, data), on_session(s) (before it does anything).
-- Returns what life.conclude does, or { outcome = "killed" }.
function live:begin(options)
  options = options or {}
  local s = life.begin(self.state, self.loaded, {}, session_options(self, options))
  self.id = s.id
  arm(self, s, options)
  return drive(s, self.loaded.definition.run)
end

-- What `drlua resume --from` and `--skip` write down.
local function wishes(s, options)
  if options.skip then
    s:record("operator", options.skip, { skip = true,
      reason = "skipped by the operator: " .. options.because })
  end
  local paths = options.from and s.history:from(options.from)
  if not paths then return end
  local first = s.history.steps[paths[1]]
  for i, path in ipairs(paths) do
    s:record("operator", path, { again = true, since = i == 1 and first.began or nil })
  end
  local around = paths[1]:match("^(.*)/[^/]*$")
  while around do
    local step = s.history.steps[around]
    if step and step.name then s:record("operator", around, { retry = true }) end
    around = around:match("^(.*)/[^/]*$")
  end
end

local function reopen(self, options, more)
  local o = session_options(self, options)
  o.settle = options.settle
  for k, v in pairs(more or {}) do o[k] = v end
  local s = life.reopen(self.state, self.id, self.loaded, {}, o)
  arm(self, s, options)
  return s
end

--- Resumes it; a run in rollback goes on with that. options: as of begin, and settle (a
-- list of "CALL=done" or "CALL=again"), from, skip.
function live:resume(options)
  options = options or {}
  if self:status() == "rolling back" then return self:rollback(options) end
  local s = reopen(self, options)
  local ok, e = pcall(wishes, s, options)
  if s.killed then return abandon(s) end
  if not ok then
    s.locks:release()
    s.journal:close()
    error(e, 0)
  end
  return drive(s, self.loaded.definition.run)
end

--- Rolls it back.
function live:rollback(options)
  options = options or {}
  local s = reopen(self, options, { rolling_back = true })
  local definition = self.loaded.definition
  return drive(s, function(p) return undo.run(s, definition, p) end)
end

--- Another process becomes the owner of the run, as after `resume --takeover`.
function live:take_over()
  local j = self.state:open_run(self.id)
  j:own(lock.self(), function() end)
  j:close()
end

-- Opens the journal, calls fn with it, closes it.
local function look(self, fn)
  local j = self.state:open_run(self.id, { readonly = true })
  local ok, result = pcall(fn, j)
  j:close()
  if not ok then error(errors.from(result), 0) end
  return result
end

--- The status on record: "succeeded", "failed", "paused", "running" after a kill, ...
function live:status()
  return look(self, function(j) return j:meta("status") end)
end

--- The history read from its journal.
function live:history()
  return look(self, history.read)
end

--- The entries of its journal: { kind, path, data (text), ... }.
function live:entries()
  return look(self, function(j) return j:events() end)
end

-- A world for such runs -----------------------------------------------------------------

local World = {}
World.__index = World

--- A world in which changes are counted: { sent (names, in order), tokens, reads }. fails:
-- name -> list of what becomes of its sendings: "lost" (it takes effect and is not
-- answered), "refused", or false for an answer.
function live.world(fails)
  return setmetatable({ sent = {}, tokens = {}, reads = 0, fails = fails or {} }, World)
end

local lost = { kind = "timeout", message = "no response came" }
local refused = { kind = "http", status = 403, message = "refused" }

--- A change; its answer is "NAME 1" for the first sending. fields: more of its effect.
function World:change(name, fields)
  local e = { kind = "http", operation = "POST", what = name, input = { name = name } }
  for k, v in pairs(fields or {}) do e[k] = v end
  return effect.perform(e, function(token)
    table.insert(self.sent, name)
    table.insert(self.tokens, token)
    local n = 0
    for _, other in ipairs(self.sent) do n = n + (other == name and 1 or 0) end
    local how = (self.fails[name] or {})[n]
    if how then
      local failure = {}
      for k, v in pairs(how == "lost" and lost or refused) do failure[k] = v end
      errors.raise(failure)
    end
    return ("%s %d"):format(name, n)
  end)
end

--- A read: how many were made so far.
function World:read()
  return effect.perform({ kind = "http", operation = "GET", read = true, input = {} }, function()
    self.reads = self.reads + 1
    return self.reads
  end)
end

--- The texts of what a run has told in events of this kind, by a field.
function live:told(event, field)
  local list = {}
  for _, e in ipairs(self.events) do
    if e.event == event then table.insert(list, e[field or "text"]) end
  end
  return list
end

--- Declares a test in virtual time (model/time.lua). fn(start): start(body, fields) makes a
-- run whose state is removed when the test ends.
function live.test(name, fn)
  harness.test(name, function()
    local directory = live.directory()
    harness.cleanup(function() fs.remove_tree(directory) end)
    local n = 0
    time.run(fn, function(body, fields)
      n = n + 1
      local all = { run = body }
      for k, v in pairs(fields or {}) do all[k] = v end
      return live.new(directory .. "/" .. n, all)
    end)
  end)
end

return live
