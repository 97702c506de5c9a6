--- Real, throw-away PostgreSQL clusters for tests.
--
--     local cluster = postgres.start()        -- on a socket and a loopback port
--     task.await(pq.connect(cluster:at { dbname = "postgres" }))
--     cluster:stop()
--
-- A cluster runs as another user when we are root, without fsync, dies with us,
-- and is ended by its own process number.
local crypto = require "native.crypto"
local errors = require "errors"
local fs = require "native.fs"
local pq = require "native.pq"
local process = require "native.process"
local relay = require "native.relay"
local sys = require "native.sys"
local task = require "task"

local postgres = {}
postgres.__index = postgres
postgres.__close = function(self) self:stop() end

local function programs()
  local found = fs.glob("/usr/lib/postgresql/*/bin/postgres")
  return found[#found] and found[#found]:match("^(.*)/postgres$")
end

--- The folder of PostgreSQL's programs, or nil: then tests that need it are skipped.
postgres.bin = programs()

local function user()
  if sys.uid() ~= 0 then return nil end
  local entry = sys.user("postgres") or assert(sys.user("nobody"))
  return { uid = entry.uid, gid = entry.gid }
end

local function run(self, argv)
  local proc <close> = assert(process.start { argv = argv, user = self.user, cwd = "/",
    stdout = { file = self.dir .. "/log" }, stderr = "stdout", env = { LC_ALL = "C" } })
  local ended = task.await(proc:wait())
  if ended.code ~= 0 then
    errors.raise { message = argv[1] .. " failed: " .. (fs.read(self.dir .. "/log") or "") }
  end
end

-- Below the ports that the kernel hands out by itself, so that nobody gets it by chance
-- between this look and the cluster's start.
local function free_port()
  for _ = 1, 100 do
    local high, low = crypto.random(2):byte(1, 2)
    local probe = relay.listen { host = "127.0.0.1", port = 10000 + (high << 8 | low) % 20000 }
    if probe then
      local port = probe.port
      probe:close()
      return port
    end
  end
  errors.raise { kind = "busy", message = "no port between 10000 and 30000 is free on 127.0.0.1" }
end

local function own(self, path)
  if self.user then assert(fs.chown(path, self.user.uid, self.user.gid)) end
end

local CONFIG = [[
fsync = off
shared_buffers = 8MB
max_connections = 30
listen_addresses = '127.0.0.1'
unix_socket_directories = '%s'
port = %d
]]

-- One user without a password on the socket, everybody with one by TCP.
local ACCESS = [[
local all all trust
host all all 127.0.0.1/32 scram-sha-256
]]

--- Makes and starts a cluster; returns it when it accepts connections.
function postgres.start()
  local self = setmetatable({ dir = assert(fs.tempdir("drlua-pg.")), user = user(),
    port = free_port() }, postgres)
  self.data = self.dir .. "/data"
  assert(fs.write(self.dir .. "/log", ""))
  own(self, self.dir .. "/log")
  own(self, self.dir)
  run(self, { postgres.bin .. "/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N",
    "-E", "UTF8" })
  assert(fs.write(self.data .. "/postgresql.auto.conf", CONFIG:format(self.dir, self.port)))
  assert(fs.write(self.data .. "/pg_hba.conf", ACCESS))
  own(self, self.data .. "/postgresql.auto.conf")
  own(self, self.data .. "/pg_hba.conf")
  self:resume()
  return self
end

--- Starts a cluster that was killed or stopped.
function postgres:resume()
  self.proc = assert(process.start { argv = { postgres.bin .. "/postgres", "-D", self.data },
    user = self.user, cwd = "/", stdout = { file = self.dir .. "/log" }, stderr = "stdout",
    die_with_parent = "QUIT" })
  task.timeout(30, function()
    while true do
      local conn = task.await(pq.connect(self:at {}))
      if conn then return conn:close() end
      task.sleep(0.02)
    end
  end)
end

--- Options for pq.connect, over the socket as the superuser; `more` is put over them.
function postgres:at(more)
  local options = { host = self.dir, port = self.port, user = "postgres", dbname = "postgres",
    timeout = 10 }
  for k, v in pairs(more or {}) do options[k] = v end
  return options
end

--- Ends it at once (kill -9 of the whole cluster), leaving its files.
function postgres:kill()
  -- The processes of a cluster are in groups of their own; they end with the first.
  self.proc:kill("KILL")
  task.await(self.proc:wait())
  self.proc:close()
end

--- Ends it and removes it.
function postgres:stop()
  if self.proc then
    self.proc:kill("QUIT")
    task.await(self.proc:wait())
    self.proc:close()
    self.proc = nil
  end
  assert(fs.remove_tree(self.dir))
end

return postgres
