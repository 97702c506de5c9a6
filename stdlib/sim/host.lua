--- The machine under the simulator's databases: where they live, as whom their
-- processes run, which programs are called.
--
-- Everything lies under one root, in /dev/shm when that is roomy (copying is two
-- to four times faster there), else in TMPDIR. The file `owner` in it names the
-- process it belongs to; a later simulator removes the roots, and ends the
-- servers, of owners that are gone. PostgreSQL does not run as root: started by
-- root we use the account postgres, else nobody.
local crypto = require "native.crypto"
local errors = require "errors"
local fs = require "native.fs"
local process = require "native.process"
local sys = require "native.sys"
local task = require "task"

local host = {}

local PREFIX = "drlua-sim-"
local ROOMY_BYTES = 1 << 30

local Host = {}
Host.__index = Host

local function exists(path) return fs.stat(path) ~= nil end

local function newest_bin()
  local found = fs.glob("/usr/lib/postgresql/*/bin/postgres") or {}
  table.sort(found, function(a, b)
    return tonumber(a:match("/(%d+)/bin")) < tonumber(b:match("/(%d+)/bin"))
  end)
  local last = found[#found]
  if last then return last:match("^(.*)/postgres$") end
  for dir in (sys.getenv("PATH") or ""):gmatch("[^:]+") do
    if exists(dir .. "/initdb") and exists(dir .. "/postgres") then return dir end
  end
  errors.raise {
    kind = "missing",
    message = "no PostgreSQL server programs here (initdb, postgres): "
      .. "install the package postgresql",
  }
end

-- Whether other accounts than root get through to a directory.
local function reachable(path)
  local real = fs.realpath(path)
  while real and real ~= "" do
    local stat = fs.stat(real)
    if not stat or stat.mode & 1 == 0 then return false end
    real = real:match("^(.*)/[^/]*$")
  end
  return real ~= nil
end

local function base_dir(user)
  local shm = fs.statfs("/dev/shm")
  if shm and shm.free >= ROOMY_BYTES and exists("/dev/shm/.") then return "/dev/shm" end
  local tmp = sys.getenv("TMPDIR")
  if tmp and tmp ~= "" and (not user or reachable(tmp)) then return tmp end
  return "/tmp"
end

-- The account that PostgreSQL runs as: nil when we are not root.
local function unprivileged()
  if sys.uid() ~= 0 then return nil end
  local user = sys.user("postgres") or sys.user("nobody")
  if not user then
    errors.raise { kind = "missing",
      message = "neither an account postgres nor nobody to run PostgreSQL as" }
  end
  return user
end

local function own(self, path)
  if self.user then errors.check("chown " .. path, fs.chown(path, self.user.uid, self.user.gid)) end
end

--- Makes a directory that belongs to the account of the servers.
function Host:mkdir(path)
  errors.check("make " .. path, fs.mkdir(path, tonumber("700", 8)))
  own(self, path)
  return path
end

--- Writes a file that the servers can read.
function Host:write(path, text)
  errors.check("write " .. path,
    fs.write(path, text, { mode = tonumber("600", 8), atomic = false }))
  own(self, path)
end

--- Opens a root of its own. options.data_dir: the directory to make it in.
function host.open(options)
  local self = setmetatable({ user = unprivileged(), serial = 0, clusters = {} }, Host)
  self.base = options.data_dir or base_dir(self.user)
  if self.user and not reachable(self.base) then
    errors.raise { kind = "denied",
      message = ("%s is closed to the account %s, as which PostgreSQL runs: name another "
      .. "directory"):format(self.base, self.user.name or self.user.uid) }
  end
  local name = ("%s%d-%s"):format(PREFIX, sys.pid(), crypto.hex(crypto.random(3)))
  self.root = self.base .. "/" .. name
  -- It gets its name when it has its owner: another simulator's sweep must not see
  -- it without.
  local unfinished = self:mkdir(self.base .. "/." .. name)
  local owner = ("%d %s\n"):format(sys.pid(), tostring(sys.start_time(sys.pid())))
  errors.check("write owner", fs.write(unfinished .. "/owner", owner, { atomic = false }))
  errors.check("rename " .. unfinished, fs.rename(unfinished, self.root))
  return self
end

--- A path in the root that nothing has yet.
function Host:path(kind)
  self.serial = self.serial + 1
  return ("%s/%s%d"):format(self.root, kind, self.serial)
end

--- The directory of PostgreSQL's programs.
function Host:bin()
  self.bin_dir = self.bin_dir or newest_bin()
  return self.bin_dir
end

local function environment(extra)
  local env = { PATH = sys.getenv("PATH") or "/usr/bin:/bin", LC_ALL = "C.UTF-8", TZ = "UTC",
    HOME = "/" }
  for k, v in pairs(extra or {}) do env[k] = v end
  return env
end

--- Starts a program as the unprivileged account. options: env, stdout, stderr (as
-- native.process has them; "null"), signal: what the kernel sends it when we die
-- ("KILL").
function Host:spawn(argv, options)
  options = options or {}
  local proc, message, kind = process.start {
    argv = argv, env = environment(options.env), clear_env = true, cwd = self.root,
    user = self.user and
      { uid = self.user.uid, gid = self.user.gid }, die_with_parent = options.signal or "KILL",
    stdin = "null", stdout = options.stdout or "null", stderr = options.stderr or "null",
  }
  return errors.check("start " .. argv[1], proc, message, kind)
end

local function drain(proc, stream)
  local parts = {}
  while true do
    local data = task.await(proc:read(stream, 65536))
    if not data then break end
    table.insert(parts, data)
  end
  return table.concat(parts)
end

--- Runs a program to its end; returns what it printed. A failure raises, with
-- the program's own words.
function Host:run(argv, options)
  local proc <close
    > = self:spawn(argv, { env = options and options.env, stdout = "pipe", stderr = "stdout" })
  local output = drain(proc, "stdout")
  local status = errors.check(argv[1], task.await(proc:wait()))
  if status.code ~= 0 then
    errors.raise {
      kind = "io", status = status,
      message = ("%s failed (%s): %s"):format(argv[1]:match("[^/]+$"),
        status.code and "exit " .. status.code or "signal " .. tostring(status.signal),
        output:gsub("%s+$", "")),
    }
  end
  return output
end

--- Copies a directory with all that is in it.
function Host:copy(from, to)
  self:run { "cp", "-a", "--reflink=auto", from, to }
end

-- As whom we are: what belongs to the servers is copied to places that do not.
local function as_ourselves(argv)
  local proc <close> = errors.check("start " .. argv[1], process.start {
    argv = argv, env = environment(), clear_env = true, stdin = "null", stdout = "null",
    stderr = "null",
  })
  return task.await(proc:wait())
end

--- Removes a directory with all that is in it.
function Host.remove(_, path) fs.remove_tree(path) end

local function cache_dir()
  local home = sys.getenv("XDG_CACHE_HOME")
  if not home or home == "" then home = (sys.getenv("HOME") or "/tmp") .. "/.cache" end
  return home .. "/drlua"
end

--- Copies a finished directory into the cache under `name`; another simulator
-- may have been faster, and a cache that cannot be written is done without.
function Host.cache_store(_, name, from)
  local dir = cache_dir()
  as_ourselves { "mkdir", "-p", dir }
  local staging = ("%s/%s.%d"):format(dir, name, sys.pid())
  local copied = as_ourselves { "cp", "-a", from, staging }
  if copied and copied.code == 0 and fs.rename(staging, dir .. "/" .. name) then return end
  fs.remove_tree(staging)
end

--- Copies the cached directory `name` to `to`; false when there is none.
function Host.cache_fetch(_, name, to)
  local from = cache_dir() .. "/" .. name
  if not exists(from) then return false end
  local status = as_ourselves { "cp", "-a", "--reflink=auto", from, to }
  return status ~= nil and status.code == 0
end

local function children(pid)
  local text = fs.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""
  local pids = {}
  for child in text:gmatch("%d+") do table.insert(pids, math.tointeger(tonumber(child))) end
  return pids
end

--- Kills a server and its children with SIGKILL, all at once.
function host.kill_tree(pid)
  sys.kill(pid, "STOP")
  local pids = children(pid)
  table.insert(pids, 1, pid)
  for _, one in ipairs(pids) do sys.kill(one, "KILL") end
end

-- Ends the server that a dead simulator left in this data directory.
local function end_stray(data)
  local text = fs.read(data .. "/postmaster.pid")
  local pid = text and math.tointeger(tonumber(text:match("^(%d+)")))
  if pid and sys.alive(pid) and fs.realpath(("/proc/%d/cwd"):format(pid)) == fs.realpath(data) then
    host.kill_tree(pid)
  end
  host.release_memory(text)
end

--- Frees the System V segment that a killed server left; text: its postmaster.pid.
function host.release_memory(text)
  local id = text and text:match("\n[ \t]*%d+[ \t]+(%d+)[ \t]*\n")
  if id then as_ourselves { "ipcrm", "-m", id } end
end

local function owned(root)
  local text = fs.read(root .. "/owner")
  local pid, start = (text or ""):match("^(%d+) (%S+)")
  pid = math.tointeger(tonumber(pid))
  return pid and sys.alive(pid) and tostring(sys.start_time(pid)) == start
end

--- Removes what simulators that were killed left behind.
function Host:sweep()
  for _, root in ipairs(fs.glob(self.base .. "/" .. PREFIX .. "*") or {}) do
    if root ~= self.root and not owned(root) then
      for _, data in ipairs(fs.glob(root .. "/*/data") or {}) do end_stray(data) end
      self:remove(root)
    end
  end
end

--- Keeps an eye on a cluster until it is destroyed, so that none outlives us.
function Host:keep(cluster) self.clusters[cluster] = true end
function Host:let_go(cluster) self.clusters[cluster] = nil end

--- Kills the clusters that nobody has destroyed.
function Host:close_clusters()
  for cluster in pairs(self.clusters) do pcall(cluster.kill, cluster) end
end

--- Removes the root. The servers in it have been ended by their owners.
function Host:close()
  self:remove(self.root)
end

return host
