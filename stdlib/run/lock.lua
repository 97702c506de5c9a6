--- Locks: one run at a time on the same resources.
--
-- A lock is a file in STATE/locks, held by flock: the kernel frees it when its owner
-- dies, so a dead owner's lock is simply there to take. The file NAME.owner beside it says
-- who has it, and when that process last said that it lives.
--
-- Between machines that share the directory flock may not hold (or hold on after its
-- owner is lost). There the owner's word counts for LEASE seconds; after that, or with
-- `takeover`, the lock is taken. A former owner that lives after all is kept out by its
-- lock's file, which is another one by then, and by the epoch in the journal.
local clock = require "native.clock"
local errors = require "errors"
local fs = require "native.fs"
local sys = require "native.sys"
local task = require "task"
local value = require "run.value"

local lock = {}

local Set = {}
Set.__index = Set

local LEASE = 60 -- seconds; Set:beat() is called every 10

-- How long a holder has to write down who it is.
local PATIENCE, PAUSE = 1, 0.02

local function file_name(name)
  return (name:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end)):sub(1, 200)
end

--- The name of a run's own lock, which lies with its journal.
function lock.of_run(id)
  return "run " .. id
end

local function path_of(directory, name)
  local id = name:match("^run (%d%S+)$")
  if id then return ("%s/../runs/%s/lock"):format(directory, id) end
  return directory .. "/" .. file_name(name)
end

local function owner_of(path)
  local text = fs.read(path .. ".owner")
  local ok, owner = pcall(value.decode, text or "")
  return ok and type(owner) == "table" and owner or nil
end

-- Which start of which machine, and which of its process namespaces: what a process id
-- means, it means there.
local function place()
  local machine = fs.read("/proc/sys/kernel/random/boot_id")
  return machine and machine:gsub("%s", ""), (fs.readlink("/proc/self/ns/pid"))
end

--- Who this process is: { pid, start_time, host, machine, namespace, user }.
function lock.self()
  local user, machine, namespace = sys.user(), place()
  return { pid = sys.pid(), start_time = sys.start_time(sys.pid()), host = sys.hostname(),
    machine = machine, namespace = namespace, user = user and user.name or tostring(sys.uid()) }
end

local function same_kernel(owner)
  if owner.machine then return owner.machine == place() end
  return owner.host == sys.hostname()
end

--- Whether the process of an owner lives: "alive", "dead", or "unseen" where that cannot
-- be seen from here (another machine, another container, nobody named).
function lock.sees(owner)
  if not (owner and owner.pid and same_kernel(owner)) then return "unseen" end
  local _, namespace = place()
  if owner.namespace and owner.namespace ~= namespace then return "unseen" end
  local alive = sys.alive(owner.pid) and sys.start_time(owner.pid) == owner.start_time
  return alive and "alive" or "dead"
end

local function refuse(name, path, owner)
  local sight = lock.sees(owner)
  local text
  if sight == "dead" or not owner then
    text = ("%s is locked by a process that has not said who it is; `fuser -v '%s'` shows it")
      :format(name, path)
  elseif sight == "alive" then
    text = ("%s is locked: run %s holds it (%s on %s, process %d, since %s); to take over, end "
      .. "that process (kill %d) and then: drlua resume %s"):format(name, owner.run, owner.user,
      owner.host, owner.pid, clock.format(owner.since, "rfc3339"), owner.pid, owner.run)
  else
    local age = math.max(0, math.floor(clock.now() - (owner.heartbeat or owner.since)))
    text = ("%s is locked: run %s holds it (%s on %s, since %s, last heard of %d s ago). Whether "
      .. "that process lives cannot be seen from here: end it on %s; if %s is lost: drlua resume "
      .. "%s --takeover")
      :format(name, owner.run, owner.user, owner.host, clock.format(owner.since, "rfc3339"), age,
      owner.host, owner.host, owner.run)
  end
  errors.raise { kind = "locked", owner = owner, message = text }
end

local function write_owner(path, owner)
  owner.heartbeat = clock.now()
  fs.write(path .. ".owner", value.encode(owner), { mode = 384, atomic = true })
end

local function try(path)
  local handle, message, kind = fs.lock(path)
  if handle or kind == "busy" then return handle end
  errors.raise { kind = "state",
    message = ("the lock %s cannot be taken: %s"):format(path, message) }
end

-- The lock, or nil and its owner. One who has just come may not have written down its
-- name yet: the name there is then a dead process's, and is read again.
local function try_patiently(path, patience)
  local deadline = clock.monotonic() + (patience or PATIENCE)
  while true do
    local handle, owner = try(path), owner_of(path)
    if handle or lock.sees(owner) == "alive" or clock.monotonic() >= deadline then
      return handle, owner
    end
    if owner and lock.sees(owner) == "unseen" then return nil, owner end
    task.sleep(PAUSE)
  end
end

-- Whether the former owner's word still counts, although the kernel gives the lock away.
local function leased(owner)
  if not owner or owner.released or same_kernel(owner) then return false end
  return clock.now() - (owner.heartbeat or 0) < LEASE
end

-- Whether a lock may be taken from its holder: from the same run's only, and never from a
-- process that is seen to live.
local function may_take(holder, name, run)
  if not holder then return name == lock.of_run(run) end
  return holder.run == run and lock.sees(holder) ~= "alive"
end

local function take(path, name, owner, options)
  local handle, holder = try_patiently(path, options.patience)
  local kept = not handle or leased(holder)
  local forced = kept and options.takeover and may_take(holder, name, owner.run)
  if forced and not handle then
    fs.remove(path)
    handle = try(path)
  end
  if not handle or kept and not forced then
    if handle then handle:close() end
    refuse(name, path, holder)
  end
  write_owner(path, owner)
  return { name = name, path = path, handle = handle, former = holder, forced = forced }
end

local function sorted(names)
  local list, seen = {}, {}
  for _, name in ipairs(names) do
    if not seen[name] then table.insert(list, name) end
    seen[name] = true
  end
  table.sort(list)
  return list
end

--- Takes all locks of `names` for a run, or none: then an error of kind "locked" is
-- raised that names the holder. options.takeover: those of the same run, too, that an
-- owner holds whose life cannot be seen from here; options.patience: seconds that a holder
-- has to say who it is (1). Returns the set, with the runs of
-- dead owners in `abandoned`, and in `taken_from` the owner that a takeover was from.
function lock.take(directory, names, run, options)
  local owner = lock.self()
  owner.run, owner.since = run, clock.now()
  local set = setmetatable({ owner = owner, locks = {}, abandoned = {} }, Set)
  for _, name in ipairs(sorted(names)) do
    local ok, held = pcall(take, path_of(directory, name), name, owner, options or {})
    if not ok then
      set:release()
      error(held, 0)
    end
    table.insert(set.locks, held)
    local former = held.former
    if held.forced then set.taken_from = former or {} end
    if former and former.run ~= run and not former.released then
      table.insert(set.abandoned, former.run)
    end
  end
  return set
end

--- The path of a lock of the set that is no longer this process's, since its file was
-- removed or replaced, or nil.
function Set:lost()
  for _, held in ipairs(self.locks) do
    if not held.handle:holds(held.path) then return held.path end
  end
end

local function write_all(self)
  for _, held in ipairs(self.locks) do
    if held.handle:holds(held.path) then pcall(write_owner, held.path, self.owner) end
  end
end

--- Says that the owner is alive.
function Set:beat() write_all(self) end

--- Gives all locks of the set back.
function Set:release()
  self.owner.released = true
  write_all(self)
  for _, held in ipairs(self.locks) do held.handle:close() end
  self.locks = {}
end

return lock
