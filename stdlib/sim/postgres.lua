--- A real PostgreSQL cluster: what stands behind a simulated RDS instance.
--
-- Configured small (8 MB of buffers, 1 MB WAL segments) and quick
-- (wal_retrieve_retry_interval 100 ms: with the default a promotion takes 5 s).
-- Durability against power loss is not wanted here, so fsync is off; a kill -9
-- loses nothing that the kernel has. Statements are neither logged nor counted where
-- they may hold a password. The simulator itself goes in through the
-- Unix socket as the superuser rdsadmin, everybody else through TCP with a
-- password, as on RDS, where the master user is no superuser either. SQL that comes in
-- from outside past the endpoint (/_sim/sql, a world's seed) runs as rdsinspector or the
-- master user. Neither can get at the server's files and programs: the roles that allow
-- it do not exist here, since before PostgreSQL 16 CREATEROLE is enough to grant them.
local crypto = require "native.crypto"
local errors = require "errors"
local fs = require "native.fs"
local hosts = require "sim.host"
local pq = require "native.pq"
local relay = require "native.relay"
local sys = require "native.sys"
local task = require "task"

local postgres = {}

local LAYOUT = 4
local SUPERUSER, REPLICATOR, INSPECTOR = "rdsadmin", "rdsrepladmin", "rdsinspector"
local PORT = 5432
local START_SECONDS, POLL_SECONDS = 60, 0.01

postgres.port, postgres.inspector = PORT, INSPECTOR

local SETTINGS = [[
# by drlua's simulator
include_if_exists = 'drlua.conf'
max_connections = 80
superuser_reserved_connections = 3
shared_buffers = 8MB
dynamic_shared_memory_type = mmap
fsync = off
wal_level = replica
wal_log_hints = on
min_wal_size = 8MB
max_wal_size = 64MB
wal_keep_size = 128MB
max_wal_senders = 8
archive_mode = on
archive_command = '/bin/true'
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
wal_receiver_timeout = 5s
wal_sender_timeout = 10s
max_standby_streaming_delay = 5s
max_worker_processes = 4
max_parallel_workers = 0
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%t:%r:%u@%d:[%p]:'
log_min_messages = warning
log_min_error_statement = panic
password_encryption = scram-sha-256
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.max = 200
pg_stat_statements.track_utility = off
]]

-- The socket's directory is closed to other accounts.
local ACCESS = ([[
local   all          %s                  trust
local   replication  %s                  trust
local   all          +rds_superuser      trust
host    all          %s,%s  all          reject
host    replication  %s  127.0.0.0/8  scram-sha-256
host    all          all           127.0.0.0/8  scram-sha-256
]]):format(SUPERUSER, SUPERUSER, SUPERUSER, INSPECTOR, REPLICATOR)

-- What RDS puts into every database.
local TEMPLATE_SQL = ([[
CREATE ROLE %s LOGIN REPLICATION;
CREATE ROLE rds_superuser;
CREATE ROLE rds_replication;
CREATE ROLE rds_iam;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
DO $$ BEGIN
  GRANT pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
EXCEPTION WHEN undefined_object THEN
END $$;
GRANT rds_replication TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE %s LOGIN IN ROLE rds_superuser, pg_read_all_data, pg_write_all_data;
SET allow_system_table_mods = on;
DELETE FROM pg_authid WHERE rolname IN
  ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files');
]]):format(REPLICATOR, INSPECTOR)

-- pgcrypto and friends are trusted and can be created by the master user; these cannot,
-- so they are there already. pg_stat_statements has views, which would make a new
-- database's schema public look as if somebody used it.
local EXTENSION_SQL = [[
SET allow_system_table_mods = on;
CREATE EXTENSION amcheck;
CREATE EXTENSION pg_stat_statements SCHEMA pg_catalog;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO rds_superuser;
]]

local Cluster = {}
Cluster.__index = Cluster

--- An identifier or a literal, quoted for SQL.
function postgres.identifier(name) return '"' .. name:gsub('"', '""') .. '"' end
function postgres.literal(text)
  if text:find("\\", 1, true) then return "E'" .. text:gsub("[\\']", "%0%0") .. "'" end
  return "'" .. text:gsub("'", "''") .. "'"
end

--- A loopback address that nobody listens on at `port`: every instance has one of
-- its own, as on AWS, and so PostgreSQL's usual port.
function postgres.free_address(port)
  for _ = 1, 100 do
    local a, b, c = crypto.random(3):byte(1, 3)
    local address = ("127.%d.%d.%d"):format(16 + a % 200, b, 1 + c % 254)
    local probe = relay.listen { host = address, port = port }
    if probe then
      probe:close()
      return address
    end
  end
  errors.raise { kind = "busy", message = ("no loopback address free for port %d"):format(port) }
end

-- Waits for a function of the host that is under way only once.
local function once(host, name, fn)
  host.memo = host.memo or {}
  host.memo[name] = host.memo[name] or task.spawn(fn)
  return host.memo[name]:wait()
end

--- The installed version, "15.14".
function postgres.version(host)
  return once(host, "version", function()
    return host:run({ host:bin() .. "/postgres", "--version" }):match("(%d+[%.%d]*)")
  end)
end

local function new(host)
  local dir = host:mkdir(host:path("c"))
  local self = setmetatable({ host = host, dir = dir, data = dir .. "/data", log = dir .. "/log" },
    Cluster)
  self.archive = host:mkdir(dir .. "/archive")
  self.address = postgres.free_address(PORT)
  host:keep(self)
  return self
end

-- RDS speaks TLS. A certificate of our own makes sslmode=require work; nobody vouches
-- for it, so verify-full does not. Without the openssl program there is no TLS.
local function certificate(host, data)
  local made = pcall(host.run, host, { "openssl", "req", "-new", "-x509", "-days", "3650", "-nodes",
    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=drlua-simulator",
    "-keyout", data .. "/server.key", "-out", data .. "/server.crt" })
  return made and "ssl = on\n" or ""
end

local function build_template(host, name)
  local self = new(host)
  host:run { host:bin() .. "/initdb", "-D", self.data, "-U", SUPERUSER, "--auth=trust", "-E",
    "UTF8",
    "--locale=C.UTF-8", "--wal-segsize=1", "--no-sync", "--no-instructions", "-k" }
  host:write(self.data .. "/pg_hba.conf", ACCESS)
  local conf = self.data .. "/postgresql.conf"
  host:write(conf, assert(fs.read(conf)) .. SETTINGS .. certificate(host, self.data))
  self:start()
  self:sql(TEMPLATE_SQL)
  for _, dbname in ipairs { "template1", "postgres" } do self:sql(EXTENSION_SQL, nil, dbname) end
  self:stop("INT")
  host:cache_store(name, self.data)
  return self.data
end

-- A stopped cluster to clone; kept in the user's cache between simulators.
local function template(host)
  return once(host, "template", function()
    local user = host.user and host.user.name or "self"
    local name = ("postgresql-%s-%s-%d"):format(postgres.version(host), user, LAYOUT)
    local kept = host.root .. "/template"
    if host:cache_fetch(name, kept) then return kept end
    return build_template(host, name)
  end)
end

--- A new, empty cluster, stopped.
function postgres.create(host)
  local from = template(host)
  local self = new(host)
  host:copy(from, self.data)
  return self
end

--- A cluster that continues a copied data directory (a base backup), stopped.
function postgres.from_copy(host, backup)
  local self = new(host)
  host:copy(backup, self.data)
  fs.remove(self.data .. "/standby.signal")
  fs.remove(self.data .. "/recovery.signal")
  return self
end

-- A value as a configuration file quotes it.
local function conf_literal(value)
  return "'" .. value:gsub("%c", " "):gsub("\\", "\\\\"):gsub("'", "''") .. "'"
end

local function settings(self, extra)
  local archive = self.archiving
    and ("test -f %s/%%f || cp %%p %s/%%f"):format(self.archive, self.archive) or "/bin/true"
  local lines = {
    ("listen_addresses = '%s'"):format(self.address),
    ("port = %d"):format(PORT),
    ("unix_socket_directories = '%s'"):format(self.dir),
    ("archive_command = '%s'"):format(archive),
  }
  for name, value in pairs(self.parameters or {}) do
    table.insert(lines, ("%s = %s"):format(name, conf_literal(value)))
  end
  for _, line in ipairs(extra or {}) do table.insert(lines, line) end
  self.host:write(self.data .. "/drlua.conf", table.concat(lines, "\n") .. "\n")
end

local function log_tail(self)
  local text = fs.read(self.log) or ""
  return text:sub(-1500)
end

-- postmaster.pid's eighth line says how far the server is.
local function state(self)
  local text = fs.read(self.data .. "/postmaster.pid")
  local line = text and select(3, text:find(("[^\n]*\n"):rep(7) .. "(%a+)"))
  return line, text
end

local function watch(self, proc)
  task.spawn(function()
    self.exit = task.await(proc:wait()) or {}
    if self.proc == proc then self.proc = nil end
    for _, condition in ipairs(self.ended) do condition.notify() end
  end)
end

--- Starts the server and waits until it takes connections (a standby: reads).
function Cluster:start(extra)
  settings(self, extra)
  fs.remove(self.data .. "/postmaster.pid")
  self.ended = {}
  self.exit = nil
  local proc = self.host:spawn({ self.host:bin() .. "/postgres", "-D", self.data },
    { signal = "QUIT", stdout = { file = self.log }, stderr = "stdout" })
  self.proc, self.pid = proc, proc.pid
  watch(self, proc)
  for _ = 1, START_SECONDS / POLL_SECONDS do
    local word = state(self)
    if word == "ready" or word == "standby" then return self end
    if self.exit then break end
    task.sleep(POLL_SECONDS)
  end
  self:kill()
  errors.raise { kind = "io", message = "PostgreSQL did not start: " .. log_tail(self) }
end

--- Whether the server process is there.
function Cluster:running() return self.proc ~= nil end

local function wait_end(self)
  local condition = task.condition()
  table.insert(self.ended, condition)
  while not self.exit do condition.wait() end
  self.proc = nil
end

--- Stops the server in order ("INT": clients are disconnected; "QUIT": at once).
function Cluster:stop(signal)
  if not self.proc then return end
  sys.kill(self.pid, signal or "INT")
  wait_end(self)
end

--- kill -9 of the server and all its children at once; waits until reaped.
function Cluster:kill()
  if not self.proc then return end
  local _, text = state(self)
  hosts.kill_tree(self.pid)
  wait_end(self)
  hosts.release_memory(text)
end

--- Runs SQL through the Unix socket as `user` (default: the superuser); returns the last
-- result.
function Cluster:sql(text, params, dbname, user)
  user = user or SUPERUSER
  local conn = errors.check("connect to the instance", task.await(pq.connect {
    host = self.dir, port = PORT, user = user, dbname = dbname or "postgres", timeout = 10,
    application_name = user,
  }))
  local result, message, kind, detail = task.await(conn:exec(text, params))
  conn:close()
  return errors.check("SQL", result, message, kind, detail)
end

--- Copies the running cluster into the directory `to` (made by pg_basebackup); a
-- stopped or killed one is copied as it lies, as a storage snapshot would.
function Cluster:backup(to)
  if not self.proc then return self.host:copy(self.data, to) end
  self.host:run { self.host:bin() .. "/pg_basebackup", "-h", self.dir, "-p", tostring(PORT), "-U",
    SUPERUSER,
    "-D", to, "-X", "stream", "-c", "fast", "--no-sync", "--no-manifest" }
end

--- Sets the password by which replicas of this cluster come in.
function Cluster:allow_replicas(password)
  self.replication_password = password
  self:sql(("ALTER ROLE %s PASSWORD %s"):format(REPLICATOR, postgres.literal(password)))
end

--- A standby that streams from `source` through address:port (a relay), stopped.
function postgres.replica(host, source, address, port)
  local self = new(host)
  self.replication_password = source.replication_password
  local env = { PGPASSWORD = source.replication_password }
  host:run({ host:bin() .. "/pg_basebackup", "-h", address, "-p", tostring(port), "-U", REPLICATOR,
    "-D", self.data, "-X", "stream", "-c", "fast", "--no-sync", "--no-manifest" }, { env = env })
  self:follow(address, port)
  return self
end

--- Makes the stopped cluster a standby of address:port.
function Cluster:follow(address, port)
  self.standby = {
    ("primary_conninfo = 'host=%s port=%d user=%s password=%s connect_timeout=3 sslmode=disable'")
      :format(address, port, REPLICATOR, self.replication_password),
    "hot_standby = on",
  }
  self.host:write(self.data .. "/standby.signal", "")
end

--- Starts it as what it is: a standby or a primary.
function Cluster:resume() return self:start(self.standby) end

--- Ends recovery; returns when the cluster accepts writes.
function Cluster:promote()
  self:sql("SELECT pg_promote(true, 60)")
  self.standby = nil
  settings(self)
  self:sql("SELECT pg_reload_conf()")
end

--- Turns the archiving of WAL on or off.
function Cluster:archive_wal(on)
  self.archiving = on
  settings(self, self.standby)
  if self.proc then self:sql("SELECT pg_reload_conf()") end
end

--- Ends the current WAL segment, so that all that is committed lies complete.
function Cluster:switch_wal()
  self:sql("SELECT pg_logical_emit_message(true, 'rds', 'heartbeat'); SELECT pg_switch_wal()")
end

local function recovery_settings(archives, target)
  local command = {}
  for _, dir in ipairs(archives) do
    table.insert(command, ("cp %s/%%f %%p 2>/dev/null"):format(dir))
  end
  local lines = {
    ("restore_command = '%s'"):format(table.concat(command, " || ")),
    "recovery_target_action = promote", "recovery_target_timeline = current",
  }
  if target then table.insert(lines, ("recovery_target_time = '%s'"):format(target)) end
  return lines
end

local function recovered(self)
  for _ = 1, START_SECONDS / POLL_SECONDS do
    if not self.proc then return false end
    local ok, result = pcall(self.sql, self, "SELECT pg_is_in_recovery()")
    if ok and result.rows[1][1] == false then return true end
    task.sleep(POLL_SECONDS)
  end
  return false
end

--- Replays WAL from the directories `archives` onto this copy of a base backup up
-- to and including commits at `target` ("2026-01-31 12:00:00+00"; nil: to the
-- end), and leaves it running as a primary.
function Cluster:recover(archives, target)
  self.host:write(self.data .. "/recovery.signal", "")
  local ok, e = pcall(self.start, self, recovery_settings(archives, target))
  if ok and recovered(self) then
    settings(self)
    self:sql("SELECT pg_reload_conf()")
    return
  end
  self:kill()
  -- Nothing was committed after the target: then the end of the WAL is the target.
  if target and log_tail(self):find("recovery ended before configured recovery target", 1,
    true) then
    return self:recover(archives, nil)
  end
  errors.raise {
    kind = "io", message = "recovery failed: " .. (ok and log_tail(self) or tostring(e)),
  }
end

--- Ends the server and removes its files.
function Cluster:destroy()
  self:kill()
  self.host:let_go(self)
  self.host:remove(self.dir)
end

return postgres
