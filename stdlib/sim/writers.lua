--- Writers: an application that inserts a row after the other, through the
-- instance's endpoint as any client, and keeps the ledger of what was acknowledged.
-- A rehearsal compares the ledger with what survived: RPO in rows.
--
-- Row n has id n; the table is made when it is not there. A statement that gets no
-- answer within `timeout` counts as failed: it may or may not be in the table, and
-- the ledger does not have it.
local errors = require "errors"
local fields = require "sim.fields"
local postgres = require "sim.postgres"
local pq = require "native.pq"
local task = require "task"

local writers = {}

local Writer = {}
Writer.__index = Writer

local known = { instance = "text!", region = "text", account = "text", table = "text",
  column = "text",
  interval = "seconds", name = "text", timeout = "positive", retry = "flag", dbname = "text" }

local function connect(self)
  local endpoint = self.instance.shape.Endpoint
  local conn = errors.check("writer", task.await(pq.connect {
    host = endpoint.Address, port = endpoint.Port, user = self.instance.shape.MasterUsername,
    password = self.instance.password, dbname = self.dbname or self.instance.shape.DBName
    or "postgres",
    timeout = self.timeout, application_name = "writer " .. self.name,
  }))
  return conn
end

local function exec(conn, ...)
  return errors.check("writer", task.await(conn:exec(...)))
end

local function prepare(self, conn)
  exec(conn, ("CREATE TABLE IF NOT EXISTS %s (id bigint PRIMARY KEY, %s "
    .. "timestamptz NOT NULL DEFAULT "
    .. "clock_timestamp())"):format(self.table, self.column))
  self.ready = true
end

local function insert(self, conn)
  local id = self.last_id + 1
  local result = task.timeout(self.timeout, exec, conn,
    ("INSERT INTO %s (id) VALUES ($1) ON CONFLICT (id) DO NOTHING"):format(self.table), { id })
  self.last_id, self.rows = id, self.rows + result.affected
  self.last_at = self.sim.clock:now()
end

local function failed(self, e)
  if errors.from(e).kind == "cancelled" then error(e, 0) end
  self.first_failed_at = self.first_failed_at or self.sim.clock:now()
  self.error = tostring(e)
end

-- One connection's life; raises when it breaks.
local function session(self)
  local conn = task.timeout(self.timeout * 2, connect, self)
  local ok, e = pcall(function()
    if not self.ready then prepare(self, conn) end
    while true do
      insert(self, conn)
      task.sleep(self.interval)
    end
  end)
  conn:close()
  if not ok then error(e, 0) end
end

local function run(self)
  repeat
    local ok, e = pcall(session, self)
    if not ok then failed(self, e) end
    if self.retry then task.sleep(math.max(self.interval, 0.1)) end
  until not self.retry
  self.ended = true
end

--- Raises kind "invalid" unless these are options of a writer.
function writers.check(options) fields.check("a writer", options, known) end

--- Starts a writer. options: instance (identifier), region, account, table
-- ("drlua_writer"), column ("written_at"), interval (seconds; 0.01), name ("writer"),
-- timeout (seconds; 2), retry (go on after a failure; false).
function writers.start(sim, options)
  writers.check(options)
  local self = setmetatable({
    sim = sim, name = options.name or "writer", instance = sim:instance(options.instance, options),
    table = postgres.identifier(options.table or "drlua_writer"):gsub("%.", '"."'),
    column = postgres.identifier(options.column or "written_at"),
    interval = options.interval or 0.01, timeout = options.timeout or 2,
    retry = options.retry or false, dbname = options.dbname, rows = 0, last_id = 0,
  }, Writer)
  if sim.writers[self.name] then sim.writers[self.name]:stop() end
  sim.writers[self.name] = self
  self.task = sim:background("writer " .. self.name, function() run(self) end)
  return self
end

--- The ledger: { rows, last_id, last_at, first_failed_at, error, running }; times in
-- seconds since the epoch.
function Writer:ledger()
  return {
    rows = self.rows, last_id = self.last_id, last_at = self.last_at,
    first_failed_at = self.first_failed_at, error = self.error, running = not self.ended,
  }
end

--- Ends the writer; its ledger stays.
function Writer:stop()
  self.task:cancel()
  pcall(self.task.wait, self.task)
  self.ended = true
end

return writers
