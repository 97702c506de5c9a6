--- PostgreSQL for playbooks.
--
--     local db = sql.connect { host = "db.example.com", dbname = "app", user = "dr", password =
--     p.password } local newest = db:value("select max(id) from orders where region = $1", "eu")
--     for _, row in ipairs(db:query("select id, state from orders")) do print(row.id, row.state)
--     end db:transaction(function() db:exec("update ...") db:exec("insert ...") end) db:close()
--
-- query, row, value and each read: they run in a READ ONLY transaction, also under
-- plan. exec, transaction and copy_in are effects. Integers, floats and booleans come
-- as such, numeric and every other type as text, bytea as bytes, NULL as nil.
local confidential = require "confidential"
local duration = require "duration"
local effect = require "effect"
local errors = require "errors"
local nearest = require "nearest"
local native = require "native.pq"
local reads = require "sql.reads"
local task = require "task"
local text = require "text"
local unknown = require "unknown"

local sql = {}

-- What a read may be is judged by its text (sql/reads.lua), as it is read with these
-- settings: a session that has others would find other literals in it.
local READ_ONLY = "BEGIN READ ONLY; SET LOCAL standard_conforming_strings = on; "
  .. "SET LOCAL client_encoding = 'UTF8'"

-- How long a read may take, and what it may bring into memory.
local QUERY_TIMEOUT, MAX_ROWS, MAX_BYTES = "10m", 100000, 64 << 20
local FETCH_ROWS = 1000
local RECORDED_ROWS = 10000

-- So many statements of a transaction are enough to say what it would do; one that goes on
-- until the database says something else would go on for ever.
local REHEARSED = 20

local Database = {}
Database.__index = Database
Database.__name = "drlua.database"

-- What a database keeps to itself: conn, depth (of transactions), cursor (true while one
-- is open), holder (the task that it serves), limits (of a read). Not in its fields,
-- where a playbook could reach past the gate.
local inside = setmetatable({}, { __mode = "k" })

local function of(self)
  return inside[self]
    or errors.misuse(3, "a database of sql.connect expected: db:query(...), with a colon")
end

local names = { "host", "port", "dbname", "user", "password", "sslmode", "sslrootcert",
  "application_name", "options",
  "target_session_attrs", "timeout", "query_timeout", "max_rows", "max_bytes" }
local known = {}
for _, name in ipairs(names) do known[name] = true end

local passing = { resolve = true, connect = true, refused = true, timeout = true, reset = true,
  closed = true,
  busy = true }

-- Raises what a native returned instead of a value.
local function check(value, message, kind, detail)
  if value ~= nil then return value end
  local fields = {}
  for name, field in pairs(detail or {}) do fields[name] = field end
  fields.kind, fields.retryable = kind, passing[kind] or false
  fields.message = message
  if fields.sqlstate then fields.message = ("%s (SQLSTATE %s)"):format(message, fields.sqlstate) end
  if fields.detail then fields.message = fields.message .. ": " .. fields.detail end
  errors.raise(fields)
end

local function place(call)
  return ("%s:%s/%s"):format(tostring(call.host or "localhost"), tostring(call.port or 5432),
    tostring(call.dbname or call.user or ""))
end

local function validate(call)
  for key in pairs(call) do
    if not known[key] then
      errors.misuse(5, "sql.connect: unknown option \"%s\"%s", tostring(key),
        nearest.hint(tostring(key), names))
    end
  end
end

local function seconds(value, default)
  local found, message = duration.parse(value == nil and default or value)
  if not found then errors.misuse(4, "sql: %s", message) end
  return found
end

-- The limits of reads; 0 or false is none.
local function limits_of(call)
  local limits = { max_rows = call.max_rows or MAX_ROWS, max_bytes = call.max_bytes or MAX_BYTES }
  if call.max_rows == false then limits.max_rows = 0 end
  if call.max_bytes == false then limits.max_bytes = 0 end
  if call.query_timeout ~= false then
    limits.timeout = seconds(call.query_timeout, QUERY_TIMEOUT)
  end
  if limits.timeout == 0 then limits.timeout = nil end
  return limits
end

local function open(call)
  validate(call)
  limits_of(call)
  local options = {}
  for name, value in pairs(call) do options[name] = value end
  options.query_timeout, options.max_rows, options.max_bytes = nil, nil, nil
  options.timeout = seconds(call.timeout, "10s")
  options.port = math.tointeger(tonumber(call.port or 5432)) or call.port
  options.application_name = call.application_name or "drlua"
  return (check(task.await(native.connect(options))))
end

-- A password that is also a name is no secret, and would mask the name.
local function register_password(call)
  for _, name in ipairs { "user", "dbname", "host" } do
    if call[name] == call.password then return end
  end
  confidential.register("sql_password", call.password)
end

-- What the journal keeps: never the password.
local function input_of(call)
  register_password(call)
  return { host = call.host, port = call.port, dbname = call.dbname, user = call.user,
    password = unknown.within(call.password) }
end

-- Under plan a server may be there after the run only: its connection is unknown then, what
-- is read by it too, and what changes something is written down as by any other.
local function wrap(conn, call)
  local later = unknown.is(conn) and conn or nil
  local self = setmetatable({ place = place(call) }, Database)
  inside[self] = { conn = not later and conn or nil, later = later, depth = 0,
    limits = later and {} or limits_of(call) }
  return self
end

--- Connects. call: host, port (5432), dbname, user, password, sslmode, sslrootcert,
-- application_name ("drlua"), options, target_session_attrs, timeout ("10s", to connect).
-- Raises kind "resolve" "refused" "connect" "denied" "missing" (no such database) "busy"
-- (it is starting up, or full) "tls". Reads have limits, each of which may be false:
-- query_timeout ("10m") without the response, kind "timeout"; max_rows (100 000) and
-- max_bytes (64 MiB) of a query, row or value, kind "full". The connection closes with db:close(),
-- at the end of `local db <close>`, or with the last reference to it.
function sql.connect(call)
  local conn = effect.perform({ kind = "sql", operation = "connect", place = place(call),
    read = true, what = "connect to " .. place(call),
    input = input_of(call) }, function() return open(call) end)
  return wrap(conn, call)
end

--- Connects as soon as the server accepts: tries every `every` ("2s") for at most
-- `wait` ("5m"), each try with its own `timeout`. A refused login or a missing
-- database ends it at once.
function sql.wait_until_accepts(call)
  local each = {}
  for name, value in pairs(call) do
    if name ~= "every" and name ~= "wait" then each[name] = value end
  end
  local every, limit = seconds(call.every, "2s"), seconds(call.wait, "5m")
  local conn = effect.perform({ kind = "sql", operation = "connect", place = place(call),
    read = true, wait = true,
    what = ("%s to accept connections"):format(place(call)), input = input_of(call) }, function()
    local last
    local found, e = errors.try(task.timeout, limit, function()
      while true do
        local conn
        conn, last = errors.try(open, each)
        if conn then return conn end
        if not last.retryable then error(last, 0) end
        task.sleep(every)
      end
    end)
    if found then return found end
    if e.kind == "timeout" and last then
      errors.raise { kind = "timeout", retryable = true, cause = last,
        message = ("%s did not accept connections within %s: %s"):format(place(call),
          duration.format(limit),
          last.message) }
    end
    error(e, 0)
  end)
  return wrap(conn, each)
end

-- The connection, which nothing reaches while only the statements are asked for.
local function connection(self)
  local own = of(self)
  if own.dry then errors.misuse(5, "this cannot be part of a transaction that is only planned") end
  return own.conn or errors.misuse(5, "the connection to %s is closed", self.place)
end

local function raw(self, statement, params, limits)
  local conn = connection(self)
  return check(task.await(conn:exec(statement, params and params.n > 0 and params or nil, limits)))
end

-- A statement around a read, which must not take longer than a read may.
local function brief(self, statement)
  return raw(self, statement, nil, { timeout = of(self).limits.timeout })
end

-- One statement and no more: by the protocol that takes parameters the server refuses
-- a second one, so that a read cannot end its READ ONLY transaction and go on.
local function raw_one(self, statement, params)
  local conn = connection(self)
  local result, message, kind, detail = task.await(conn:exec(statement, params, of(self).limits))
  if kind == "full" and not detail then
    message = message .. ". Read them one by one (db:each), or ask for fewer"
  end
  return check(result, message, kind, detail)
end

local function params_of(...)
  local params = table.pack(...)
  for i = 1, params.n do
    if type(params[i]) == "table" and not unknown.is(params[i]) then
      errors.misuse(4,
        "parameter %d: a table cannot be sent (json.encode it, or use several parameters)", i)
    end
  end
  return params
end

-- A connection serves one task at a time: what another task sends in the middle of a
-- transaction would become a part of it.
local function claim(self)
  local own, me = of(self), task.current()
  local holder = own.holder
  local taken = own.depth > 0 or own.cursor or (own.conn and own.conn:status() == "busy")
  if taken and holder and holder ~= me and not holder.ended then
    errors.misuse(4, "the connection to %s is in use by another task: let "
      .. "each task connect for itself", self.place)
  end
  own.holder = me
end

local function release(self)
  local own = of(self)
  if own.depth == 0 and not own.cursor then own.holder = nil end
end

-- Ends what an iterator left open.
local function tidy(self)
  local own = of(self)
  if not own.cursor then return end
  own.cursor = nil
  if own.conn and own.conn:status() ~= "closed" then brief(self, "ROLLBACK") end
end

-- Runs what changes something: when the connection is lost over it nobody knows
-- whether it was done, so it must not be retried automatically.
local function uncertain(self, fn)
  local values = table.pack(pcall(fn))
  if values[1] then return table.unpack(values, 2, values.n) end
  local e = errors.from(values[2])
  local conn = of(self).conn
  if conn and conn:status() == "closed" then e.retryable, e.doubtful = false, true end
  error(e, 0)
end

-- An error before COMMIT was sent: the server takes the transaction back, whatever
-- became of the connection.
local function nothing_done(raised)
  local e = errors.from(raised)
  if e.kind ~= "cancelled" and e.kind ~= "control" then e.doubtful = false end
  return e
end

-- Runs fn in a transaction; on an error it is rolled back and the error raised.
local function within(self, begin, fn, ...)
  claim(self)
  tidy(self)
  local begun, why = pcall(brief, self, begin)
  if not begun then error(begin == READ_ONLY and why or nothing_done(why), 0) end
  local own = of(self)
  own.depth = own.depth + 1
  local values = table.pack(pcall(fn, ...))
  own.depth = own.depth - 1
  release(self)
  if values[1] then
    if begin == READ_ONLY then
      brief(self, "COMMIT")
    else
      uncertain(self, function() return raw(self, "COMMIT") end)
    end
    return table.unpack(values, 2, values.n)
  end
  -- What went wrong matters, not that the connection may be gone as well; a cancelled
  -- task cannot wait, so there the connection is closed.
  if own.conn and own.conn:status() ~= "closed" then
    local rolled_back, e = pcall(brief, self, "ROLLBACK")
    if not rolled_back and errors.from(e).kind == "cancelled" then self:close() end
  end
  error(begin == READ_ONLY and values[2] or nothing_done(values[2]), 0)
end

local function rows_of(result)
  local rows, columns = {}, result.columns
  for i, values in ipairs(result.rows) do
    local row = {}
    for j = 1, #columns do row[columns[j]] = values[j] end
    rows[i] = row
  end
  return rows
end

local function title(self, statement)
  return ("%s: %s"):format(self.place, text.excerpt(tostring(statement), 80))
end

-- A statement inside a transaction: whoever let the transaction pass may look at it, and
-- what the transaction is shown as names it. True: it is not to be sent, since only the
-- statements are asked for.
local function announce(self, statement)
  local own = of(self)
  local e = own.effect
  if e and e.part then e.part(statement) end
  if e then e:name(statement) end
  if own.dry then
    own.dry = own.dry + 1
    if own.dry > REHEARSED then
      errors.raise { kind = "control", control = "enough", message = "enough was seen" }
    end
  end
  return own.dry
end

-- Reads inside a transaction of the caller belong to it.
local function read(self, statement, ...)
  local params = params_of(...)
  local within_transaction = of(self).depth > 0
  if not unknown.is(statement) then reads.refuse(statement, 3, within_transaction) end
  if within_transaction then
    claim(self)
    if announce(self, statement) then return unknown.new("rows of " .. self.place) end
    return raw_one(self, statement, params)
  end
  return effect.perform({ kind = "sql", operation = "query", place = self.place, read = true,
    what = "read from " .. title(self, statement),
    input = { sql = statement, params = params, server = of(self).later } }, function()
    return within(self, READ_ONLY, raw_one, self, statement, params)
  end)
end

--- The rows of a query: a list of { column = value }. Parameters are $1, $2, ...
function Database:query(statement, ...)
  local result = read(self, statement, ...)
  if unknown.is(result) then return result end
  return rows_of(result)
end

--- The first row { column = value }, or nil.
function Database:row(statement, ...)
  local result = read(self, statement, ...)
  if unknown.is(result) then return result end
  return rows_of(result)[1]
end

--- The first column of the first row; nil when there is none, or when it is NULL.
function Database:value(statement, ...)
  local result = read(self, statement, ...)
  if unknown.is(result) then return result end
  return result.rows[1] and result.rows[1][1]
end

local function open_cursor(self, statement, params)
  local own = of(self)
  claim(self)
  tidy(self)
  if own.depth == 0 then
    brief(self, READ_ONLY)
    own.cursor = true
  else
    announce(self, statement)
  end
  raw_one(self, "DECLARE drlua_rows NO SCROLL CURSOR FOR " .. statement, params)
end

-- The next rows of the cursor; fewer than FETCH_ROWS are the last ones, which end it.
local function fetch(self)
  local limits = { timeout = of(self).limits.timeout, max_rows = FETCH_ROWS }
  local rows = rows_of(raw(self, ("FETCH %d FROM drlua_rows"):format(FETCH_ROWS), nil, limits))
  if #rows < FETCH_ROWS then
    brief(self, "CLOSE drlua_rows")
    tidy(self)
    release(self)
  end
  return rows
end

-- All rows of the cursor, for the record: rows that are read outside of a step are kept.
local function fetch_all(self)
  local rows = {}
  repeat
    local more = fetch(self)
    table.move(more, 1, #more, #rows + 1, rows)
    if #rows > RECORDED_ROWS then
      tidy(self)
      errors.misuse(1,
        "db:each outside of a step keeps its rows in the journal, and these are more than %d: "
        .. "put the loop into a dr.step", RECORDED_ROWS)
    end
  until #more < FETCH_ROWS
  return { rows = rows }
end

-- The first rows, with a function that fetches the next ones where there may be more.
local function fetch_first(self)
  local rows = fetch(self)
  if #rows < FETCH_ROWS then return { rows = rows } end
  return { rows = rows, more = function() return fetch(self) end }
end

-- Goes through the rows of a page, and of those that its function `more` gives.
local function iterate(page)
  local rows, more, at = page.rows, page.more, 0
  return function()
    at = at + 1
    if at > #rows and more then
      rows, at = more(), 1
      if #rows < FETCH_ROWS then more = nil end
    end
    return rows[at]
  end
end

--- Iterates over the rows of a query, however many: `for row in db:each(sql, ...)`.
-- It reads by a cursor, 1000 rows at a time, in a READ ONLY transaction that ends with
-- the loop. Nothing else can use the connection meanwhile. Outside of a step its rows are
-- kept, as of every read there: at most 10 000.
function Database:each(statement, ...)
  local params = params_of(...)
  local nested = of(self).depth > 0
  if not unknown.is(statement) then reads.refuse(statement, 2, nested) end
  if nested then
    if of(self).dry and announce(self, statement) then
      return iterate { rows = { unknown.new(self.place) } }
    end
    open_cursor(self, statement, params)
    return iterate { rows = {}, more = function() return fetch(self) end }
  end
  local e = { kind = "sql", operation = "each", place = self.place, read = true,
    what = "read from " .. title(self, statement),
    input = { sql = statement, params = params, server = of(self).later } }
  local page = effect.perform(e, function()
    open_cursor(self, statement, params)
    return e.recorded and fetch_all(self) or fetch_first(self)
  end)
  if unknown.is(page) then page = { rows = { page[1] } } end
  return iterate(page)
end

--- Runs a statement that changes something; returns the number of rows affected and
-- the rows of a RETURNING. Without parameters the text may hold several statements.
-- Outside of db:transaction it stands alone, so VACUUM or CREATE DATABASE work.
function Database:exec(statement, ...)
  local params = params_of(...)
  local function run()
    claim(self)
    local nested = of(self).depth > 0
    if not nested then
      tidy(self)
    elseif announce(self, statement) then
      return unknown.new("rows changed"), unknown.new("rows returned")
    end
    local result = nested and raw(self, statement, params)
      or uncertain(self, function() return raw(self, statement, params) end)
    release(self)
    return result.affected, rows_of(result)
  end
  if of(self).depth > 0 then return run() end
  return effect.perform({ kind = "sql", operation = "exec", place = self.place, read = false,
    what = "change " .. title(self, statement), input = { sql = statement, params = params } }, run)
end

-- A function(e, statement) that adds the statement to what e is shown as.
local function naming(what)
  local statements = {}
  return function(e, statement)
    table.insert(statements, text.excerpt(tostring(statement), 80))
    e.what = text.shorten(what .. ": " .. table.concat(statements, "; "), 240)
  end
end

-- Goes through a transaction's function without the database, so that its statements are
-- known: each of them returns an unknown value. What fails in it then is for the run.
local function rehearse(self, e, fn)
  local own = of(self)
  claim(self)
  own.depth, own.dry, own.effect = own.depth + 1, 0, e
  local ok, failure = pcall(fn)
  own.depth, own.dry, own.effect = own.depth - 1, nil, nil
  release(self)
  failure = not ok and errors.from(failure) or nil
  if failure and failure.kind == "control" and failure.control ~= "enough" then
    error(failure, 0)
  end
end

--- Runs fn in a transaction: committed when fn returns, rolled back when it raises.
-- The transaction is one effect: it happened as a whole, or not at all. Returns fn's
-- values. options: `isolation` ("serializable", "repeatable read"), `what` (text for a
-- person). Inside another transaction it is part of that one.
function Database:transaction(fn, options)
  options = options or {}
  if of(self).depth > 0 then
    claim(self)
    return fn()
  end
  local begin = "BEGIN"
    .. (options.isolation and " ISOLATION LEVEL " .. options.isolation:upper() or "")
  local e = { kind = "sql", operation = "transaction", place = self.place, read = false,
    what = options.what or "a transaction on " .. self.place, input = {},
    name = options.what and function() end or naming("a transaction on " .. self.place) }
  function e.rehearse() rehearse(self, e, fn) end
  return effect.perform(e, function()
    of(self).effect = e
    local values = table.pack(pcall(within, self, begin, fn))
    of(self).effect = nil
    if not values[1] then error(values[2], 0) end
    return table.unpack(values, 2, values.n)
  end)
end

local function cancel(self)
  local conn = of(self).conn
  if conn and conn:status() ~= "closed" then conn:cancel() end
end

-- Awaits a piece of a COPY, for as long as a query may take.
local function next_piece(self)
  local own = of(self)
  if not own.limits.timeout then return task.await(own.conn:copy_read()) end
  local piece = table.pack(pcall(task.timeout, own.limits.timeout, task.await,
    own.conn:copy_read()))
  if piece[1] then return table.unpack(piece, 2, piece.n) end
  if errors.from(piece[2]).kind ~= "timeout" then error(piece[2], 0) end
  return nil, ("%s: no response within %s"):format(self.place, duration.format(own.limits.timeout)),
    "timeout"
end

local function copy_rows(self, statement, fn)
  check(task.await(of(self).conn:copy_out(statement, { timeout = of(self).limits.timeout })))
  while true do
    local data, message, kind, detail = next_piece(self)
    if data then
      fn(data)
    elseif message == "end of copy" then
      return true
    else
      check(nil, message, kind, detail)
    end
  end
end

--- Runs a COPY ... TO STDOUT and hands its data to fn(chunk) as it comes.
function Database:copy_out(statement, fn)
  if not unknown.is(statement) then reads.refuse_copy(statement, 2, of(self).depth > 0) end
  local function run()
    claim(self)
    local ok, e = pcall(copy_rows, self, statement, fn)
    if ok then return true end
    cancel(self)
    error(e, 0)
  end
  if of(self).depth > 0 then
    return announce(self, statement) and unknown.new(statement) or run()
  end
  return effect.perform({ kind = "sql", operation = "copy_out", place = self.place, read = true,
    what = "read from " .. title(self, statement),
    input = { sql = statement, server = of(self).later } }, function()
    return within(self, READ_ONLY, run)
  end)
end

--- Runs a COPY ... FROM STDIN with the data: a string, or a function that returns the
-- next chunk or nil. An error in the function fails the COPY. Returns the rows copied.
function Database:copy_in(statement, data)
  local function feed()
    local chunk = data
    if type(data) == "function" then chunk = data() end
    while chunk do
      check(task.await(of(self).conn:copy_write(chunk)))
      chunk = type(data) == "function" and data() or nil
    end
  end
  local function run()
    claim(self)
    if of(self).depth == 0 then tidy(self) end
    check(task.await(of(self).conn:copy_in(statement)))
    local ok, e = pcall(feed)
    release(self)
    if ok then return check(task.await(of(self).conn:copy_end())).affected end
    cancel(self)
    error(e, 0)
  end
  if of(self).depth > 0 then
    return announce(self, statement) and unknown.new(statement) or run()
  end
  local size = type(data) == "string" and #data or unknown.within(data)
  return effect.perform({ kind = "sql", operation = "copy_in", place = self.place, read = false,
    what = "change " .. title(self, statement), input = { sql = statement, data = size } }, run)
end

--- "idle" "busy" "transaction" "failed" or "closed".
function Database:status()
  local own = of(self)
  local conn = own.conn or own.later
  return conn and conn:status() or "closed"
end

--- The server's messages (NOTICE, WARNING) since the last call.
function Database:notices()
  local conn = of(self).conn
  return conn and conn:notices() or {}
end

--- A name as PostgreSQL reads it back: "orders", "public"."Orders" for "public.Orders".
-- luacheck: no self
function Database:identifier(name)
  return sql.identifier(name)
end

--- Closes the connection; closing twice is fine.
function Database:close()
  local own = of(self)
  if own.conn then own.conn:close() end
  own.conn, own.later = nil, nil
end

Database.__close = Database.close

function Database:__tostring()
  return ("database %s%s"):format(self.place, of(self).conn and "" or " (closed)")
end

--- Quotes a name for use in SQL; a dot parts schema and name.
function sql.identifier(name)
  if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
    errors.misuse(2, "sql.identifier: a name expected, got %s", tostring(name))
  end
  local parts = text.split(name, ".")
  for i, part in ipairs(parts) do parts[i] = '"' .. part:gsub('"', '""') .. '"' end
  return table.concat(parts, ".")
end

--- Bytes as a parameter of type bytea.
sql.bytes = native.bytea

return sql
