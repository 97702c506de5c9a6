-- run.lock: who is named, who is kept out, and what is taken over from whom.
local t = require "harness"
local clock = require "native.clock"
local fs = require "native.fs"
local lock = require "run.lock"
local process = require "native.process"
local program = require "program"
local sys = require "native.sys"
local task = require "task"
local value = require "run.value"

local function place()
  local directory = program.directory()
  fs.mkdir(directory .. "/locks", 448)
  fs.mkdir(directory .. "/runs", 448)
  for _, id in ipairs { "20260101-a", "20260101-b" } do
    fs.mkdir(directory .. "/runs/" .. id, 448)
  end
  return directory .. "/locks"
end

local function take(locks, names, run, options)
  options = options or {}
  options.patience = 0.05
  local set = lock.take(locks, names, run, options)
  t.cleanup(function() set:release() end)
  return set
end

-- The sentence that a run is refused with; options as of lock.take.
local function refused(pattern, locks, names, run, options)
  options = options or {}
  options.patience = options.patience or 0.05
  return t.raises(pattern, lock.take, locks, names, run, options)
end

local function write_owner(path, owner)
  assert(fs.write(path .. ".owner", value.encode(owner), { mode = 384 }))
end

-- A process that has ended, as an owner.
local function dead()
  local proc <close> = assert(process.start { argv = { "/bin/sleep", "100" } })
  local owner = lock.self()
  owner.pid, owner.start_time = proc.pid, sys.start_time(proc.pid)
  proc:kill "KILL"
  task.await(proc:wait())
  owner.run, owner.since, owner.heartbeat = "20260101-a", clock.now(), clock.now()
  return owner
end

-- An owner on another machine, who was heard of `seconds` ago.
local function elsewhere(seconds, run)
  return { run = run or "20260101-a", pid = sys.pid(), start_time = sys.start_time(sys.pid()),
    host = "far",
    machine = "another", user = "dora", since = clock.now() - 900,
    heartbeat = clock.now() - seconds }
end

t.test("a name given twice is one lock; one that another run "
  .. "holds is refused with its owner", function()
  local locks = place()
  local set = take(locks, { "a", "b", "a" }, "20260101-a")
  t.equal(#set.locks, 2)
  local e = refused("a is locked: run 20260101%-a holds it", locks, { "c", "a" }, "20260101-b")
  t.equal(e.kind, "locked")
  t.contains(e.message,
    ("end that process (kill %d) and then: drlua resume 20260101-a"):format(sys.pid()))
  -- None of the others was kept.
  take(locks, { "c" }, "20260101-b"):release()
  set:release()
  t.equal(take(locks, { "a" }, "20260101-b").abandoned, {})
end)

t.test("no names: nothing is locked", function()
  t.equal(#take(place(), {}, "20260101-a").locks, 0)
end)

t.test("a dead owner's lock is there to take, and its run is named", function()
  local locks = place()
  fs.write(locks .. "/a", "")
  write_owner(locks .. "/a", dead())
  t.equal(take(locks, { "a" }, "20260101-b").abandoned, { "20260101-a" })
end)

t.test("an owner that has not said who it is: no dead process is named", function()
  local locks = place()
  local handle <close> = assert(fs.lock(locks .. "/a"))
  local owner = dead()
  local reused = lock.self()
  reused.start_time, reused.run, reused.since = "1", "20260101-a", clock.now()
  for _, former in ipairs { owner, reused } do
    write_owner(locks .. "/a", former)
    local e = refused("has not said who it is", locks, { "a" }, "20260101-b")
    t.ok(not e.message:find(tostring(former.pid), 1, true), e.message)
  end
  fs.remove(locks .. "/a.owner")
  refused("has not said who it is", locks, { "a" }, "20260101-b")
  -- It says so a moment later.
  write_owner(locks .. "/a", owner)
  local writer = task.spawn(function()
    task.sleep(0.1)
    local new = lock.self()
    new.run, new.since, new.heartbeat = "20260101-a", clock.now(), clock.now()
    write_owner(locks .. "/a", new)
  end)
  refused(("process %d, since"):format(sys.pid()), locks, { "a" }, "20260101-b", { patience = 20 })
  writer:wait()
  t.ok(handle:holds(locks .. "/a"))
end)

t.test("an owner on another machine counts for its lease, whatever flock says", function()
  local locks = place()
  fs.write(locks .. "/a", "")
  write_owner(locks .. "/a", elsewhere(8))
  local e = refused("last heard of 8 s ago", locks, { "a" }, "20260101-b")
  t.contains(e.message, "if far is lost: drlua resume 20260101-a --takeover")
  t.ok(not e.message:find("kill", 1, true), e.message)
  refused("last heard of", locks, { "a" }, "20260101-a")
  take(locks, { "a" }, "20260101-a", { takeover = true }):release()
  write_owner(locks .. "/a", elsewhere(8))
  refused("last heard of", locks, { "a" }, "20260101-b", { takeover = true })
  write_owner(locks .. "/a", elsewhere(3600))
  take(locks, { "a" }, "20260101-b"):release()
  local gone = elsewhere(8)
  gone.released = true
  write_owner(locks .. "/a", gone)
  take(locks, { "a" }, "20260101-b"):release()
end)

-- The holder of a lock's file, and whether it is taken over from it.
local holders = {
  { "another machine's", function() return elsewhere(3600) end, true },
  { "another container's", function()
    local owner = lock.self()
    owner.namespace, owner.host = "pid:[1]", "box"
    owner.run, owner.since = "20260101-a", clock.now()
    return owner
  end, true },
  { "a dead process's", dead, true },
  { "nobody's", function() return nil end, false },
  { "another run's", function() return elsewhere(3600, "20260101-b") end, false },
  { "a living process's", function()
    local owner = lock.self()
    owner.run, owner.since = "20260101-a", clock.now()
    return owner
  end, false },
}

t.test("a takeover: only of the same run, only where the owner is not seen to live", function()
  for _, one in ipairs(holders) do
    local locks = place()
    local handle <close> = assert(fs.lock(locks .. "/a"))
    local owner = one[2]()
    if owner then write_owner(locks .. "/a", owner) end
    refused("is locked", locks, { "a" }, "20260101-a")
    if one[3] then
      take(locks, { "a" }, "20260101-a", { takeover = true })
      t.ok(not handle:holds(locks .. "/a"), one[1])
    else
      refused("is locked", locks, { "a" }, "20260101-a", { takeover = true })
      t.ok(handle:holds(locks .. "/a"), one[1])
    end
  end
end)

t.test("a run's own lock is taken over from a holder that never said who it is", function()
  local locks = place()
  local name = lock.of_run "20260101-a"
  local handle <close> = assert(fs.lock(locks .. "/../runs/20260101-a/lock"))
  refused("has not said who it is", locks, { name }, "20260101-a")
  take(locks, { name }, "20260101-a", { takeover = true })
  t.ok(not handle:holds(locks .. "/../runs/20260101-a/lock"))
end)

t.test("a lock's file that was removed or replaced is lost, and "
  .. "what is there is left alone", function()
  for _, how in ipairs { "removed", "replaced", "taken over" } do
    local locks = place()
    local set = take(locks, { "a", "b" }, "20260101-a")
    t.equal(set:lost(), nil)
    fs.remove(locks .. "/b")
    if how == "replaced" then fs.write(locks .. "/b", "") end
    fs.remove(locks .. "/b.owner")
    if how == "taken over" then take(locks, { "b" }, "20260101-b") end
    t.equal(set:lost(), locks .. "/b")
    local before = fs.read(locks .. "/b.owner")
    set:beat()
    set:release()
    t.equal(fs.read(locks .. "/b.owner"), before)
    t.ok(value.decode(fs.read(locks .. "/a.owner")).released)
  end
end)
