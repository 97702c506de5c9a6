-- native.pq against a real PostgreSQL.
local t = require "harness"
local loop = require "native.loop"
local postgres = require "postgres"
local pq = require "native.pq"
local relay = require "native.relay"
local task = require "task"

if not postgres.bin then
  t.test("PostgreSQL", function() t.skip("no PostgreSQL on this machine") end)
  return
end
local cluster = postgres.start()

local function connect(more)
  local conn = assert(task.await(pq.connect(cluster:at(more))))
  t.cleanup(function() conn:close() end)
  return conn
end

local function exec(conn, sql, params) return assert(task.await(conn:exec(sql, params))) end

local function fails(kind, value, message, got, detail)
  t.equal(value, nil)
  t.equal(got, kind, message)
  return message, detail
end

t.test("values of every kind, there and back", function()
  local conn = connect()
  local sql = "SELECT $1 AS i, $2 AS big, $3 AS f, $4 AS b, $5::text AS s, $6::bytea "
    .. "AS bytes, $7::int AS none, "
    .. "1.50::numeric AS n, NULL AS null, true AS t, 'NaN'::float8 AS "
    .. "nan, '\\x00ff'::bytea AS bytea"
  local result = exec(conn, sql, { 42, 2 ^ 40 // 1 | 0, 0.1, false, "häß", pq.bytea "a\0b", nil,
    n = 7 })
  local row = result.rows[1]
  t.equal({ row[1], row[2], row[3], row[4], row[5], row[6], row[7] },
    { 42, 2 ^ 40 // 1 | 0, 0.1, false, "häß", "a\0b", nil })
  t.equal({ row[8], row[9], row[10], row[12] }, { "1.50", nil, true, "\0\xff" })
  t.ok(row[11] ~= row[11])
  t.equal(result.columns[1], "i")
  t.equal(#result.columns, 12)
  t.equal(result.types[1], 23)
  t.equal(result.n, 1)
  t.equal(result.command, "SELECT 1")
  t.equal(exec(conn, "SELECT $1::bytea AS x", { pq.bytea("\1\2abc\0") }).rows, { { "\1\2abc\0" } })
  t.equal(exec(conn, "SELECT $1::text", { ("x"):rep(1000000) }).rows[1][1], ("x"):rep(1000000))
end)

t.test("many rows, several statements, affected", function()
  local conn = connect()
  local result = exec(conn, "SELECT g, g * 2 AS double FROM generate_series(1, 100000) g")
  t.equal(result.n, 100000)
  t.equal(result.rows[100000], { 100000, 200000 })
  t.equal(exec(conn, "SELECT 1; SELECT 2 AS two").rows, { { 2 } })
  exec(conn, "CREATE TEMP TABLE x (y int)")
  t.equal(exec(conn, "INSERT INTO x SELECT generate_series(1, 7)").affected, 7)
  t.equal(exec(conn, "DELETE FROM x WHERE y > $1", { 3 }).affected, 4)
  t.equal(exec(conn, "").rows, {})
end)

t.test("errors tell PostgreSQL's fields", function()
  local conn = connect()
  local message, detail = fails("missing", task.await(conn:exec "SELECT * FROM nowhere"))
  t.equal(message,
    ("%s port %d database postgres: relation \"nowhere\" does not exist"):format(cluster.dir,
      cluster.port))
  t.equal(detail.sqlstate, "42P01")
  t.equal(detail.position, 15)
  t.equal(detail.severity, "ERROR")
  exec(conn, "CREATE TEMP TABLE u (x int PRIMARY KEY)")
  exec(conn, "INSERT INTO u VALUES (1)")
  message, detail = fails("exists", task.await(conn:exec("INSERT INTO u VALUES ($1)", { 1 })))
  t.contains(message, "duplicate key")
  t.equal({ detail.detail, detail.constraint, detail.table },
    { "Key (x)=(1) already exists.", "u_pkey", "u" })
  fails("readonly", task.await(conn:exec "BEGIN READ ONLY; CREATE TABLE z (a int)"))
  t.equal(conn:status(), "failed")
  exec(conn, "ROLLBACK")
  t.equal(conn:status(), "idle")
  fails("invalid", task.await(conn:exec("SELECT 1 / $1", { 0 })))
  fails("timeout", task.await(conn:exec "SET statement_timeout = '10ms'; SELECT pg_sleep(10)"))
end)

t.test("prepared statements and notices", function()
  local conn = connect()
  t.equal(task.await(conn:prepare("twice", "SELECT $1::int * 2")), true)
  t.equal(assert(task.await(conn:exec_prepared("twice", { 21 }))).rows, { { 42 } })
  t.equal(assert(task.await(conn:exec_prepared("twice", { 4 }))).rows, { { 8 } })
  fails("invalid", task.await(conn:exec_prepared("thrice", {})))
  fails("invalid", task.await(conn:prepare("bad", "SELEC")))
  exec(conn, "DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
  t.equal(conn:notices(), { "NOTICE:  one", "WARNING:  two" })
  t.equal(conn:notices(), {})
end)

t.test("status follows the transaction", function()
  local conn = connect()
  t.equal(conn:status(), "idle")
  exec(conn, "BEGIN")
  t.equal(conn:status(), "transaction")
  local op = conn:exec "SELECT 1"
  t.equal(conn:status(), "busy")
  t.raises("busy with another operation", conn.exec, conn, "SELECT 2")
  assert(task.await(op))
  conn:close()
  conn:close()
  t.equal(conn:status(), "closed")
  fails("closed", conn:exec "SELECT 1")
  t.matches(tostring(conn), "%(closed%)$")
end)

t.test("many connections at once", function()
  local calls = {}
  for i = 1, 12 do
    calls[i] = function()
      local conn = connect()
      return exec(conn, "SELECT $1::int FROM pg_sleep(0.05)", { i }).rows[1][1]
    end
  end
  local results = task.all(calls)
  for i = 1, 12 do t.equal(results[i], i) end
end)

t.test("connecting fails with a reason, and never with the password", function()
  local secret = "s3cret-w0rd"
  local function refused(kind, more)
    local message, detail = fails(kind, task.await(pq.connect(cluster:at(more))))
    t.equal(message:find(secret, 1, true), nil)
    return message, detail
  end
  local admin = connect()
  exec(admin, "CREATE ROLE app LOGIN PASSWORD '" .. secret .. "'")
  local tcp = { host = "127.0.0.1", user = "app", password = secret }
  t.equal(exec(connect(tcp), "SELECT current_user::text").rows, { { "app" } })
  tcp.password = secret .. "x"
  local message, detail = refused("denied", tcp)
  t.contains(message, "no connection to 127.0.0.1 port " .. cluster.port)
  t.contains(message, "FATAL: password authentication failed for user \"app\"")
  t.equal(message:find("LOCATION", 1, true), nil)
  t.equal(detail.sqlstate, "28P01")
  refused("missing", { dbname = "nowhere" })
  local free = assert(relay.listen {})
  local port = free.port
  free:close()
  refused("refused", { host = "127.0.0.1", port = port })
  refused("resolve", { host = "no-such-host.invalid" })
  refused("connect", { host = "/nowhere" })
  refused("invalid", { sslmode = "nonsense" })
  t.raises("unknown option \"passwd\"", pq.connect, { passwd = "x" })
  t.raises("one name or address", pq.connect, { host = "a,b" })
end)

t.test("a name is resolved, and the time limit is ours", function()
  local admin = connect()
  exec(admin, "ALTER ROLE app PASSWORD 'p'")
  local conn = connect { host = "localhost", user = "app", password = "p" }
  t.equal(exec(conn, "SELECT 1").rows, { { 1 } })
  local silent = assert(relay.listen {})
  t.cleanup(function() silent:close() end)
  silent:target("127.0.0.1", cluster.port)
  silent:cut(true)
  local message = fails("connect",
    task.await(pq.connect(cluster:at { host = "127.0.0.1", port = silent.port,
    timeout = 0.2 })))
  t.contains(message, "no response within 0.2 s")
end)

t.test("cancel ends the statement, and the connection goes on", function()
  local conn = connect()
  local results = task.all {
    function() return { task.await(conn:exec "SELECT pg_sleep(60)") } end,
    function()
      task.sleep(0.05)
      conn:cancel()
    end,
  }
  fails("cancelled", table.unpack(results[1], 1, 4))
  for i = 1, 20 do t.equal(exec(conn, "SELECT " .. i).rows, { { i } }) end
  t.equal(conn:cancel(), true)
  t.equal(exec(conn, "SELECT 1").rows, { { 1 } })
end)

t.test("a statement given up half-way is cancelled, and the connection goes on", function()
  local conn = connect()
  local watcher = connect()
  for i = 1, 5 do
    t.raises("no end within", task.timeout, 0.02,
      function() task.await(conn:exec "SELECT pg_sleep(60)") end)
    t.equal(conn:status(), "busy")
    t.equal(exec(conn, "SELECT " .. i).rows, { { i } })
    local running = exec(watcher, "SELECT count(*)::int FROM pg_stat_activity WHERE "
      .. "query LIKE 'SELECT pg_sleep%' "
      .. "AND state = 'active'")
    t.equal(running.rows, { { 0 } })
  end
  t.raises("no end within", task.timeout, 0.02, function()
    task.await(conn:exec "SELECT repeat('x', 1000) FROM generate_series(1, 10000000)")
  end)
  t.equal(exec(conn, "SELECT 7").rows, { { 7 } })
  -- Given up and forgotten at once.
  conn:exec "SELECT pg_sleep(60)"
  conn = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  t.equal(loop.pending(), 0)
end)

t.test("COPY out and in", function()
  local conn = connect()
  exec(conn, "CREATE TEMP TABLE c (a int, b text)")
  t.equal(task.await(conn:copy_in "COPY c FROM STDIN"), true)
  t.raises("in the middle of a COPY", conn.exec, conn, "SELECT 1")
  t.raises("not in such a COPY", conn.copy_read, conn)
  for i = 1, 100 do
    local lines = {}
    for j = 1, 1000 do lines[j] = ("%d\trow %d\n"):format(i * 1000 + j, j) end
    t.equal(task.await(conn:copy_write(table.concat(lines))), true)
  end
  t.equal(assert(task.await(conn:copy_end())).affected, 100000)
  t.equal(task.await(conn:copy_out "COPY (SELECT * FROM c ORDER BY a) TO STDOUT"), true)
  local parts = {}
  while true do
    local data, message, kind = task.await(conn:copy_read())
    if not data then
      t.equal({ message, kind }, { "end of copy", "closed" })
      break
    end
    table.insert(parts, data)
  end
  local text = table.concat(parts)
  t.equal(select(2, text:gsub("\n", "")), 100000)
  t.equal(text:sub(1, 11), "1001\trow 1\n")
  t.equal(exec(conn, "SELECT count(*)::int FROM c").rows, { { 100000 } })
end)

t.test("a COPY that fails, is ended with a text, or given up", function()
  local conn = connect()
  exec(conn, "CREATE TEMP TABLE c (a int)")
  assert(task.await(conn:copy_in "COPY c FROM STDIN"))
  task.await(conn:copy_write "no number\n")
  local message, detail = fails("invalid", task.await(conn:copy_end()))
  t.contains(message, "invalid input syntax")
  t.equal(detail.sqlstate, "22P02")
  assert(task.await(conn:copy_in "COPY c FROM STDIN"))
  task.await(conn:copy_write "1\n")
  t.contains(fails("cancelled", task.await(conn:copy_end("we changed our mind"))),
    "we changed our mind")
  t.equal(exec(conn, "SELECT count(*)::int FROM c").rows, { { 0 } })
  assert(task.await(conn:copy_out "COPY (SELECT generate_series(1, 10000000)) TO STDOUT"))
  t.ok(task.await(conn:copy_read()))
  conn:cancel()
  t.equal(exec(conn, "SELECT 1").rows, { { 1 } })
  assert(task.await(conn:copy_in "COPY c FROM STDIN"))
  conn:cancel()
  t.equal(exec(conn, "SELECT 2").rows, { { 2 } })
  fails("invalid", task.await(conn:exec "COPY c TO STDOUT"))
  t.equal(exec(conn, "SELECT 3").rows, { { 3 } })
  fails("invalid", task.await(conn:copy_in "SELECT 1"))
  fails("missing", task.await(conn:copy_in "COPY nowhere FROM STDIN"))
  t.equal(exec(conn, "SELECT 4").rows, { { 4 } })
end)

t.test("a COPY that began or ended while nobody listened any more", function()
  local conn = connect()
  exec(conn, "CREATE TEMP TABLE c (a int)")
  local function finish_unheard(op)
    while not op:done() do task.sleep(0.001) end
    op:cancel()
  end
  finish_unheard(conn:copy_in "COPY c FROM STDIN")
  t.equal(exec(conn, "SELECT 1").rows, { { 1 } })
  finish_unheard(conn:copy_out "COPY (SELECT generate_series(1, 1000000)) TO STDOUT")
  t.equal(exec(conn, "SELECT 2").rows, { { 2 } })
  assert(task.await(conn:copy_out "COPY (SELECT generate_series(1, 1000000)) TO STDOUT"))
  finish_unheard(conn:copy_read())
  t.equal(exec(conn, "SELECT 3").rows, { { 3 } })
  assert(task.await(conn:copy_in "COPY c FROM STDIN"))
  finish_unheard(conn:copy_end())
  t.equal(exec(conn, "SELECT 4").rows, { { 4 } })
  finish_unheard(conn:exec "SELECT 5")
  t.equal(exec(conn, "SELECT 6").rows, { { 6 } })
end)

t.test("a lost connection is closed, and says what PostgreSQL said", function()
  local admin, conn = connect(), connect()
  local pid = exec(conn, "SELECT pg_backend_pid()").rows[1][1]
  local results = task.all {
    function() return { task.await(conn:exec "SELECT pg_sleep(60)") } end,
    function()
      task.sleep(0.05)
      exec(admin, "SELECT pg_terminate_backend($1)", { pid })
    end,
  }
  local message = fails("closed", table.unpack(results[1], 1, 4))
  t.contains(message, "terminating connection due to administrator command")
  t.equal(conn:status(), "closed")
  fails("closed", conn:exec "SELECT 1")
end)

t.test("a connection through a network that fails", function()
  local r = assert(relay.listen {})
  t.cleanup(function() r:close() end)
  r:target(cluster.dir .. "/.s.PGSQL." .. cluster.port)
  local conn = connect { host = "127.0.0.1", port = r.port }
  t.equal(exec(conn, "SELECT 1").rows, { { 1 } })
  local results = task.all {
    function() return { task.await(conn:exec "SELECT pg_sleep(60)") } end,
    function()
      task.sleep(0.02)
      r:drop()
    end,
  }
  fails("closed", table.unpack(results[1], 1, 4))
  t.equal(conn:status(), "closed")
end)

t.test("closing while a statement runs ends it", function()
  local conn = connect()
  local results = task.all {
    function() return { task.await(conn:exec "SELECT pg_sleep(60)") } end,
    function()
      task.sleep(0.02)
      conn:close()
    end,
  }
  fails("closed", table.unpack(results[1], 1, 4))
end)

t.test("cancelled while it connects, and while it resolves", function()
  for _, host in ipairs { "127.0.0.1", "localhost", cluster.dir } do
    for _ = 1, 5 do
      local op = pq.connect(cluster:at { host = host, user = "app", password = "p" })
      loop.wait(0)
      op:cancel()
      t.equal(select(3, op:result()), "cancelled")
    end
  end
  pq.connect(cluster:at { host = "localhost" })
  collectgarbage()
  collectgarbage()
  t.equal(loop.pending(), 0)
end)

t.test("misuse raises", function()
  local conn = connect()
  t.raises("parameter 1: a table cannot be sent", conn.exec, conn, "SELECT $1", { {} })
  t.equal(exec(conn, "SELECT 1").rows, { { 1 } })
end)

cluster:stop()
