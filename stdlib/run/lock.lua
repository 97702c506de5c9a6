--- Locks: one run at a time on the same resources.
--
-- A lock is a file in STATE/locks, held by flock: the kernel frees it when its owner
-- dies, so a dead owner's lock is simply there to take. Its text says who has it.
local clock = require "native.clock"
local errors = require "errors"
local fs = require "native.fs"
local sys = require "native.sys"
local value = require "run.value"

local lock = {}

local function file_name(name)
  return (name:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end)):sub(1, 200)
end

local function owner_of(path)
  local text = fs.read(path .. ".owner")
  local ok, owner = pcall(value.decode, text or "")
  return ok and type(owner) == "table" and owner or nil
end

local function refusal(name, owner)
  local who = owner and ("run %s holds it (%s on %s, process %d, since %s)"):format(owner.run, owner.user,
    owner.host, owner.pid, clock.format(owner.since, "rfc3339")) or "another run holds it"
  local take = owner and ("; to take over, end that process (kill %d) and then: drlua resume %s"):format(
    owner.pid, owner.run) or ""
  errors.raise { kind = "locked", owner = owner,
    message = ("%s is locked: %s%s"):format(name, who, take) }
end

local function write_owner(path, owner)
  owner.heartbeat = clock.now()
  fs.write(path .. ".owner", value.encode(owner), { mode = 384, atomic = true })
end

--- The name of a run's own lock, which lies beside its journal.
function lock.of_run(id)
  return "run " .. id
end

local function path_of(directory, name)
  local id = name:match("^run (%d%S+)$")
  if id then return ("%s/../runs/%s/lock"):format(directory, id) end
  return directory .. "/" .. file_name(name)
end

local function take(directory, name, owner)
  local path = path_of(directory, name)
  local handle, message, kind = fs.lock(path)
  if not handle then
    if kind == "busy" then return nil, owner_of(path) end
    errors.raise { kind = "state", message = ("the lock %s cannot be taken: %s"):format(path, message) }
  end
  local former = owner_of(path)
  write_owner(path, owner)
  return { name = name, path = path, handle = handle, former = former }
end

--- Takes all locks of `names` for a run, or none: then an error of kind "locked" is
-- raised that names the holder. Returns the set, with the runs of dead owners in
-- `abandoned`.
function lock.take(directory, names, run)
  local user = sys.user()
  local owner = { run = run, pid = sys.pid(), start_time = sys.start_time(sys.pid()), host = sys.hostname(),
    user = user and user.name or tostring(sys.uid()), since = clock.now() }
  local set = { owner = owner, locks = {}, abandoned = {} }
  table.sort(names)
  for _, name in ipairs(names) do
    local held, holder = take(directory, name, owner)
    if not held then
      lock.release(set)
      refusal(name, holder)
    end
    table.insert(set.locks, held)
    if held.former and held.former.run ~= run and not held.former.released then
      table.insert(set.abandoned, held.former.run)
    end
  end
  return set
end

--- Says that the owner is alive.
function lock.beat(set)
  for _, held in ipairs(set.locks) do pcall(write_owner, held.path, set.owner) end
end

--- Gives all locks of the set back.
function lock.release(set)
  for _, held in ipairs(set.locks) do
    set.owner.released = true
    pcall(write_owner, held.path, set.owner)
    held.handle:close()
  end
  set.locks = {}
end

return lock
