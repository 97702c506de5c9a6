-- sql against a real PostgreSQL.
local t = require "harness"
local effect = require "effect"
local postgres = require "postgres"
local program = require "program"
local relay = require "native.relay"
local sql = require "sql"
local task = require "task"
local unknown = require "unknown"

if not postgres.bin then
  t.test("PostgreSQL", function() t.skip("no PostgreSQL on this machine") end)
  return
end
local cluster = postgres.start()

local function call(more)
  local options = cluster:at(more)
  options.timeout = more and more.timeout or "5s"
  return options
end

local function connect(more)
  local db = sql.connect(call(more))
  t.cleanup(function() db:close() end)
  return db
end

t.test("query, row, value, with parameters", function()
  local db = connect()
  t.equal(db:query("select g as n, g::text as s from generate_series(1, $1) g", 2),
    { { n = 1, s = "1" }, { n = 2, s = "2" } })
  t.equal(db:row("select $1::int as a, $2::text as b", 1, nil), { a = 1 })
  t.equal(db:row "select 1 where false", nil)
  t.equal(db:value("select $1::bool", false), false)
  t.equal(db:value "select null", nil)
  t.equal(db:value("select $1", "it's"), "it's")
  t.matches(tostring(db), "^database .*/postgres$")
end)

t.test("a query cannot write; exec can, and tells what it did", function()
  local db = connect()
  t.equal(db:exec "create table w (x int primary key); insert into w values (1)", 1)
  local e = t.raises("read%-only transaction %(SQLSTATE 25006%)", db.query, db,
    "with x as (insert into w values (2) returning x) table x")
  t.equal(e.kind, "readonly")
  t.equal(db:status(), "idle")
  local affected, rows = db:exec("insert into w values ($1), ($2) returning x", 2, 3)
  t.equal({ affected, rows }, { 2, { { x = 2 }, { x = 3 } } })
  e = t.raises("duplicate key .* %(SQLSTATE 23505%): Key %(x%)=%(1%) already exists",
    db.exec, db, "insert into w values (1)")
  t.equal({ e.kind, e.sqlstate, e.retryable }, { "exists", "23505", false })
  t.equal(db:exec "vacuum w", 0)
  t.equal(db:value "select count(*) from w", 3)
end)

t.test("a text with a zero byte in it is refused, not cut short", function()
  local db = connect()
  db:exec "create table uncut (i int, t text)"
  db:exec "insert into uncut select g, 'a' from generate_series(1, 5) g"
  t.raises("zero byte", db.exec, db, "delete from uncut\0 where i = 1")
  t.raises("zero byte", db.query, db, "select 1\0")
  t.raises("parameter 1: .* zero byte .* sql.bytes", db.exec, db, "update uncut set t = $1",
    "ab\0cd")
  t.equal(db:query "select t, count(*) as n from uncut group by t", { { t = "a", n = 5 } })
  t.equal(db:value("select $1::bytea", sql.bytes "ab\0cd"), "ab\0cd")
end)

t.test("what a query brings into memory is limited", function()
  local db = connect { max_rows = 1000, max_bytes = 100000 }
  t.equal(#db:query "select g from generate_series(1, 1000) g", 1000)
  for _, case in ipairs {
    { "more than 1000 rows%. Read them one by one %(db:each%)",
      "select generate_series(1, 1000000000)" },
    { "more than 100000 bytes", "select repeat('x', 1000 + 0 * generate_series(1, 1000000000))" },
    { "more than 100000 bytes", "select repeat('x', 200000)" },
  } do
    for _, verb in ipairs { "query", "row", "value" } do
      local e = t.raises(case[1], db[verb], db, case[2])
      t.equal({ e.kind, e.retryable }, { "full", false })
    end
    t.equal(db:value "select 1", 1)
    t.raises(case[1], db.transaction, db, function() db:query(case[2]) end)
    t.equal({ db:status(), db:value "select 1" }, { "idle", 1 })
  end
  local count, bytes = 0, 0
  for row in db:each "select g, repeat('x', 1000) as x from generate_series(1, 2500) g" do
    count, bytes = count + 1, bytes + #row.x
  end
  t.equal({ count, bytes }, { 2500, 2500000 })
  t.equal(#connect { max_rows = false }:query "select g from generate_series(1, 100001) g", 100001)
  t.raises("more than 100000 rows", db.query, connect(),
    "select g from generate_series(1, 100001) g")
  local _, rows = db:exec "select repeat('x', 1000) from generate_series(1, 1001)"
  t.equal(#rows, 1001)
end)

t.test("a query that is not answered ends", function()
  local db = connect { query_timeout = "50ms" }
  for _, read in ipairs {
    function() db:query "select pg_sleep(600)" end,
    function() db:value "select pg_sleep(600)" end,
    function() db:transaction(function() db:row "select pg_sleep(600)" end) end,
    function()
      for _ in db:each "select pg_sleep(600) from generate_series(1, 2)" do t.ok(false) end
    end,
    function() db:copy_out("copy (select pg_sleep(600)) to stdout", print) end,
    function()
      db:copy_out("copy (select pg_sleep(600 * (g - 1)), repeat('x', 10000) from "
        .. "generate_series(1, 2) g) to stdout",
        function() end)
    end,
  } do
    local e = t.raises(nil, read)
    t.equal({ e.kind, e.retryable }, { "timeout", true }, e.message)
    t.equal(db:value "select 1", 1)
  end
  t.equal(connect { query_timeout = false }:value "select 1 from pg_sleep(0.1)", 1)
  db:exec "select pg_sleep(0.1)"
end)

t.test("nor is a server waited for that has gone silent", function()
  local between = assert(relay.listen {})
  t.cleanup(function() between:close() end)
  between:target(("%s/.s.PGSQL.%d"):format(cluster.dir, cluster.port))
  local db = connect { host = "127.0.0.1", port = between.port, password = "x",
    query_timeout = "50ms" }
  t.equal(db:value "select 1", 1)
  between:cut(true)
  t.equal(t.raises("no response within 0.05 s", db.query, db, "select 1").kind, "timeout")
end)

t.test("a transaction is kept as a whole, or not at all", function()
  local db = connect()
  db:exec "create table tx (x int)"
  t.equal(db:transaction(function()
    db:exec "insert into tx values (1)"
    t.equal(db:value "select count(*) from tx", 1)
    return "kept"
  end), "kept")
  t.raises("changed my mind", db.transaction, db, function()
    db:exec "insert into tx values (2)"
    db:transaction(function() db:exec "insert into tx values (3)" end)
    error("changed my mind", 0)
  end)
  local e = t.raises("division by zero", db.transaction, db, function() db:exec "select 1 / 0" end)
  t.equal(e.sqlstate, "22012")
  t.equal(db:query "select x from tx", { { x = 1 } })
  t.raises("no end within", task.timeout, 0.05, db.transaction, db, function()
    db:exec "insert into tx values (4)"
    db:exec "select pg_sleep(60)"
  end)
  t.equal(connect():query "select x from tx", { { x = 1 } })
end)

t.test("a connection serves one task at a time", function()
  local db = connect()
  db:exec "create table shared (x int)"
  local refused = 0
  t.raises("rolled back", task.all, {
    function()
      db:transaction(function()
        db:exec "insert into shared values (1)"
        while refused < 2 do task.sleep(0.001) end
        error("rolled back", 0)
      end)
    end,
    function()
      while db:status() ~= "transaction" do task.sleep(0.001) end
      t.raises("is in use by another task", db.exec, db, "insert into shared values (2)")
      refused = 1
      t.raises("is in use by another task", db.query, db, "select 1")
      refused = 2
    end,
  })
  t.equal(db:value "select count(*) from shared", 0)
  -- One after the other is fine, also after an error.
  pcall(db.exec, db, "nonsense")
  pcall(db.query, db, "nonsense")
  t.equal(task.all { function() return db:value "select 1" end }, { 1 })
end)

t.test("whoever lets a transaction pass sees each of its "
  .. "statements first, and may refuse it", function()
  local db, seen = connect(), {}
  local effects = 0
  local former = effect.install(function(e, fn)
    effects = effects + 1
    e.part = function(statement)
      table.insert(seen, statement)
      if statement:find("drop") then error("not that", 0) end
    end
    return fn()
  end)
  t.cleanup(function() effect.install(former) end)
  db:exec "create temporary table parts (id int)"
  db:transaction(function()
    db:exec "insert into parts values (1)"
    db:transaction(function() db:query "select 1" end)
    local rows = db:each "select 2 as n"
    t.equal(rows(), { n = 2 })
  end)
  t.equal(seen, { "insert into parts values (1)", "select 1", "select 2 as n" })
  t.raises("not that", db.transaction, db, function()
    db:exec "delete from parts"
    db:exec "drop table parts"
  end)
  t.equal(db:value "select count(*) from parts", 1)
  -- After it, a statement stands alone again.
  seen = {}
  db:exec "insert into parts values (2)"
  t.equal(seen, {})
  t.equal(effects, 5)
end)

t.test("no read gets out of its READ ONLY transaction", function()
  local db = connect()
  db:exec "create table kept (x int)"
  for word, statement in pairs { COMMIT = "commit; insert into kept values (1); begin",
    SET = "set transaction read write; insert into kept values (1)" } do
    t.raises(word .. " is no query", db.query, db, statement)
    t.raises(word .. " is no query", db.each, db, statement)
    t.raises("takes a COPY", db.copy_out, db, statement .. "; copy kept to stdout", print)
  end
  t.raises("42601", db.query, db, "select 1; commit; insert into kept values (1)")
  t.raises("42601", db.each, db, "select 1; commit; insert into kept values (1)")
  t.raises("42601", db.copy_out, db, "copy kept to stdout; commit; insert into kept values (1)",
    print)
  t.raises("COPY is no query", db.query, db, "/* x */ copy kept to program 'true'")
  t.raises("DO is no query", db.query, db, "-- x\ndo $$ begin end $$")
  t.raises("takes a COPY", db.copy_out, db, "copy kept to program 'true'", print)
  t.raises("takes a COPY", db.copy_out, db, "copy (select 'to stdout') to '/tmp/drlua-kept'", print)
  t.raises("takes a COPY", db.copy_out, db, "copy kept to /* to stdout */ program 'true'", print)
  t.raises("takes a COPY", db.copy_out, db, "delete from kept", print)
  t.raises("read%-only", db.copy_out, db,
    "copy (insert into kept values (1) returning x) to stdout", print)
  t.equal(db.conn, nil)
  db.depth = 1
  t.raises("INSERT is no query", db.query, db, "insert into kept values (2)")
  t.raises("read%-only", db.query, db,
    "with x as (insert into kept values (2) returning x) select * from x")
  t.raises("EXPLAIN ANALYZE runs", db.query, db, "explain analyze insert into kept values (2)")
  t.equal(db:value "select count(*) from kept", 0)
  t.equal(db:status(), "idle")
end)

t.test("EXPLAIN ANALYZE runs nothing that writes; a plain EXPLAIN explains all", function()
  local db = connect()
  db:exec "create table seen (x int)"
  db:exec "prepare maker as select 1 as y"
  for _, statement in ipairs { "create table made as select 1",
    "create materialized view made as select 1", "select 1 as y into made",
    "(select 1 as y into made)", "with w as (select 1) select * into made from w",
    "create table made as execute maker", "insert into seen values (1)", "delete from seen",
    "execute maker",
    "declare made cursor for select 1", "refresh materialized view made" } do
    for _, explain in ipairs { "explain analyze ", "EXPLAIN ANALYSE ", "explain analyze verbose ",
      "explain/**/analyze ",
      "explain (analyze) ", "explain (verbose, ANALYZE true, costs off) ",
      "; explain (buffers off, analyze 1)" } do
      t.raises("EXPLAIN ANALYZE runs its statement", db.query, db, explain .. statement)
      t.raises("EXPLAIN ANALYZE runs its statement", db.each, db, explain .. statement)
    end
  end
  t.equal(db:value "select count(*) from pg_class where relname = 'made'", 0)
  for _, statement in ipairs { "explain insert into seen values (1)",
    "explain (costs off) delete from seen", "explain analyze select 1",
    "explain analyze (select 1)", "explain (analyze, timing off) values (1)",
    "explain analyze verbose with w as (select 1) table w", "explain analyze select 'into'" } do
    t.ok(#db:query(statement) > 0, statement)
  end
  t.equal(db:value "select count(*) from seen", 0)
end)

t.test("a read is read with the settings it was judged by, whatever the session says", function()
  local statement = "select '\\'' || pg_create_restore_point('x') --'"
  for name, db in pairs {
    options = connect { options = "-c standard_conforming_strings=off -c client_encoding=GBK" },
    session = connect() } do
    db:exec "set standard_conforming_strings = off"
    local before = db:value "select pg_current_wal_insert_lsn()"
    t.raises("SQLSTATE 42601", db.query, db, statement)
    t.raises("is no read", db.query, db, "select E'\\'' || pg_create_restore_point('x') --'")
    t.equal(db:value "select pg_current_wal_insert_lsn()", before, name)
    t.equal(db:value "show standard_conforming_strings", "on")
  end
end)

t.test("what acts although READ ONLY is refused by name, however it is written", function()
  local db = connect()
  local before = db:value "select pg_current_wal_insert_lsn()"
  for _, expression in ipairs {
    "pg_create_restore_point('x')", "PG_CREATE_RESTORE_POINT ('x')",
    "pg_catalog.pg_create_restore_point('x')", '"pg_create_restore_point"(\'x\')',
    '"pg_catalog" /* ( */ . "pg_create_restore_point" -- (\n (\'x\')',
    'U&"pg\\005fcreate_restore_point"(\'x\')', "'' || pg_create_restore_point('x')",
    "E'\\'' || pg_create_restore_point('x') --'", "E''\n'\\'' || pg_create_restore_point('x') --'",
    "$$'$$ || pg_create_restore_point('x') --'", "$a$ $$ $a$ || pg_create_restore_point('x') --$$",
    "/* /* */ ' */ pg_create_restore_point('x') --'", "-- '\r pg_create_restore_point('x') --'",
    "pg_logical_emit_message(false, 'a', 'b')", "pg_switch_wal()", "pg_notify('a', 'b')",
    "pg_promote(false)", "pg_terminate_backend(1)", "pg_cancel_backend(1)", "pg_reload_conf()",
    "pg_rotate_logfile()", "pg_advisory_lock(1)", "pg_try_advisory_xact_lock(1)", "pg_stat_reset()",
    "pg_stat_reset_shared('io')", "pg_stat_statements_reset()",
    "pg_create_physical_replication_slot('x')", "pg_drop_replication_slot('x')",
    "pg_replication_origin_create('x')", "lo_export(1, '/tmp/x')", "pg_file_write('x', 'y', false)",
    "dblink_exec('dbname=x', 'select 1')", "query_to_xml('select pg_promote()', true, true, '')",
    "cursor_to_xml('c', 1, true, true, '')", "set_config('transaction_read_only', 'off', true)",
    "aws_lambda.invoke('x', 'y')",
  } do
    local statement = "select " .. expression
    t.equal(t.raises(nil, db.query, db, statement).kind, "misuse", statement)
    t.equal(t.raises(nil, db.each, db, statement).kind, "misuse", statement)
    local copy = ("copy (%s\n) to stdout"):format(statement)
    t.equal(t.raises(nil, db.copy_out, db, copy, print).kind, "misuse", copy)
  end
  for _, statement in ipairs { "values (pg_reload_conf())",
    "with x as (select pg_reload_conf()) table x",
    "explain analyze select pg_reload_conf()", "select * from pg_reload_conf()" } do
    local e = t.raises("pg_reload_conf%(%) is no read: .* Use "
      .. "db:exec, which is an effect$", function()
      local row = db:row(statement)
      return row
    end)
    t.contains(e.where, "sql_test.lua")
  end
  for _, statement in ipairs { "reindex table pg_class", "notify a", "lock table pg_class",
    "checkpoint", "analyze",
    "prepare p as select 1", "execute p", "listen a", "load 'plpgsql'", "alter system reset all",
    "" } do
    t.raises("is no query: use db:exec", db.query, db, statement)
  end
  t.equal(db:value "select pg_current_wal_insert_lsn()", before)
  -- An effect may, and so may a part of one.
  db:exec "select pg_create_restore_point('x')"
  t.equal(db:transaction(function() return db:value "select pg_try_advisory_xact_lock(1)" end),
    true)
end)

t.test("names in literals, comments and columns, and functions "
  .. "that only tell, are no matter", function()
  local db = connect()
  for _, statement in ipairs {
    "select 'pg_promote()' as x", "select $$pg_promote()$$ as x",
    "select $q$ pg_promote() $q$ as x", "select E'it\\'s pg_promote()' as x",
    "select 1 as x -- pg_promote()", "select 1 as x /* pg_promote() */",
    'select 1 as "pg_promote"', "select 1 as dblink", "(select 'a''b pg_promote()' as x)",
    "show work_mem", "explain select 1", "table pg_class", "values (1)",
    "with x as (select 1) select * from x",
    "select pg_is_in_recovery(), pg_stat_get_db_stat_reset_time(1), "
      .. "pg_last_xact_replay_timestamp()",
    "select pg_size_pretty(pg_database_size(current_database())), count(*) from pg_stat_activity",
    "select * from pg_replication_slots", "select 5 - -1 as x, 2*3 as y, $1::int as z",
  } do
    db:query(statement, table.unpack(statement:find("$1", 1, true) and { 1 } or {}))
  end
end)

t.test("nothing called in a READ ONLY transaction lifts it", function()
  local db = connect()
  db:exec [[create table untouched (x int);
    create function sneak(what text) returns int language plpgsql as $$ begin
      execute what; insert into untouched values (1); return 1; end $$]]
  for _, what in ipairs { "set transaction read write", "set local transaction_read_only = off",
    "select set_config('transaction_read_only', 'off', true)",
    "select set_config('transaction_read_only', 'off', false)",
    "set session characteristics as transaction read write",
    "set default_transaction_read_only = off" } do
    -- "cannot execute INSERT in a read-only transaction", or "read-write mode must be set before
    -- any query".
    t.raises("read%-[ow]", db.value, db, "select sneak($1)", what)
    t.raises("read%-[ow]", function() return db:each("select sneak($1)", what)() end)
  end
  t.raises("transaction commands is not implemented", db.value, db, "select sneak($1)", "commit")
  t.equal(db:value "select count(*) from untouched", 0)
end)

t.test("a change over which the connection was lost is in doubt, a read is not", function()
  local admin, db = connect(), connect()
  local function lose(fn)
    local pid = db:value "select pg_backend_pid()"
    local results = task.all {
      function()
        local _, e = require "errors".try(fn)
        return e
      end,
      function()
        while admin:value("select state from pg_stat_activity where pid = $1", pid) ~= "active" do
          task.sleep(0.002)
        end
        admin:exec("select pg_terminate_backend($1)", pid)
      end,
    }
    return results[1]
  end
  local e = lose(function() db:exec "select pg_sleep(60)" end)
  t.equal({ e.kind, e.retryable, e.doubtful }, { "closed", false, true })
  db = connect()
  e = lose(function() db:query "select pg_sleep(60)" end)
  t.equal({ e.kind, e.retryable, e.doubtful }, { "closed", true, nil })
  db = connect()
  -- Nothing of it was committed: that is certain.
  e = lose(function() db:transaction(function() db:exec "select pg_sleep(60)" end) end)
  t.equal({ e.kind, e.retryable, e.doubtful }, { "closed", true, false })
end)

t.test("each passes the gate: counted, stopped, and with all "
  .. "its rows where they are kept", function()
  local db, seen = connect(), {}
  local recorded
  local former = effect.install(function(e, fn)
    if e.operation ~= "each" then return fn() end
    table.insert(seen, e.what)
    e.recorded = recorded
    return fn()
  end)
  t.cleanup(function() effect.install(former) end)
  local function count(n)
    local found = 0
    for row in db:each("select g as n from generate_series(1, $1) g", n) do
      found = found + row.n
    end
    return found
  end
  for _, way in ipairs { false, true } do
    recorded = way
    for _, n in ipairs { 0, 1, 999, 1000, 1001, 2500 } do t.equal(count(n), n * (n + 1) // 2, n) end
    t.equal(db:status(), "idle")
  end
  t.equal(#seen, 12)
  t.contains(seen[1], "select g as n from generate_series")
  t.equal(count(10000), 50005000)
  t.raises("put the loop into a dr.step", count, 10001)
  t.equal({ db:status(), db:value "select 1" }, { "idle", 1 })
  effect.install(function(e) return unknown.new(e.what) end)
  local n = 0
  for row in db:each("select $1", unknown.new "id") do
    n = n + 1
    t.ok(unknown.is(row) and unknown.is(row.x))
  end
  t.equal(n, 1)
end)

t.test("rows read outside of steps are those of the first time, after a resume as well", function()
  local at = cluster:at {}
  local w = program.workspace { ["a.lua"] = ([[
local dr, files, sql = require "drlua", require "files", require "sql"
return dr.playbook { title = "Rows", run = function()
  local db = sql.connect { host = "%s", port = %d, user = "%s", dbname = "postgres" }
  for _, n in ipairs { 1, 1500 } do
    local last
    local query = "select clock_timestamp()::text as x from generate_series(1, $1)"
    for row in db:each(query, n) do last = row.x end
    dr.note(n .. " " .. last)
  end
  dr.step("Inside", function()
    if not files.exists "ok" then
      dr.fail "not yet"
    end
    db:transaction(function() db:exec "create table reported (x int)" end)
  end)
end }]]):format(at.host, at.port, at.user) }
  local function notes(r)
    local list = {}
    for _, e in ipairs(program.events(r.out)) do
      if e.event == "note" then table.insert(list, e.text) end
    end
    return list
  end
  local first = w.run { "a.lua", "--output", "json" }
  t.equal({ first.code, #notes(first) }, { 1, 2 }, first.out .. first.err)
  w.write("ok", "")
  local second = w.run { "resume", "last", "--output", "json" }
  t.equal({ second.code, notes(second) }, { 0, notes(first) }, second.out .. second.err)
  t.contains(second.out, ": create table reported (x int)")
  t.contains(w.run({ "report", "last" }).out, ": create table reported (x int)")
end)

t.test("what a transaction would do is known without doing it, and "
  .. "it is shown as what it does", function()
  local db = connect()
  db:exec "create table moved (x int)"
  local shown, former
  former = effect.install(function(e, fn)
    if e.operation ~= "transaction" then return fn() end
    e.rehearse()
    shown = e.what
    return unknown.new "it"
  end)
  t.cleanup(function() effect.install(former) end)
  local function plan(fn, options)
    shown = nil
    local result = db:transaction(fn, options)
    t.ok(unknown.is(result))
    t.equal(db:status(), "idle")
    return shown
  end
  local place = "a transaction on " .. tostring(db):match("^database (.*)$")
  t.equal(plan(function()
    local n = db:exec "insert into moved values (1)"
    for _, row in ipairs(db:query "select x from moved") do
      db:exec("update moved set x = $1", row.x)
    end
    if n > 0 then db:exec "never" end
    db:copy_in("copy moved from stdin", "1\n")
  end), place .. ": insert into moved values (1); select x from moved; update moved set x "
    .. "= $1; copy moved from stdin")
  t.equal(plan(function() db:exec "delete from moved" error "broken" end),
    place .. ": delete from moved")
  t.equal(plan(function() db:exec "delete from moved" end, { what = "empty moved" }), "empty moved")
  t.matches(plan(function() repeat local n = db:exec "delete from moved" until n == 0 end),
    ": delete from moved; ")
  t.equal(plan(function() end), place)
  effect.install(nil)
  t.equal(db:value "select count(*) from moved", 0)
  -- Carried out, it is named after what it did.
  effect.install(function(e, fn) return fn(), e.what == shown or table.insert(shown, e) end)
  shown = {}
  db:transaction(function() db:exec "insert into moved values (7)" end)
  effect.install(nil)
  t.contains(shown[1].what, ": insert into moved values (7)")
  t.equal(db:value "select x from moved", 7)
end)

t.test("each reads any number of rows", function()
  local db = connect()
  local sum = 0
  for row in db:each("select g as n from generate_series(1, $1) g", 2500) do sum = sum + row.n end
  t.equal(sum, 3126250)
  for row in db:each "select generate_series(1, 5000) as n" do
    if row.n == 3 then break end
  end
  t.equal(db:value "select 1", 1)
  for _ in db:each "select 1 where false" do t.ok(false) end
  t.equal(db:status(), "idle")
  t.raises("does not exist", function()
    for _ in db:each "select * from nowhere" do t.ok(false) end
  end)
  t.equal(db:value "select 2", 2)
end)

t.test("copy, both ways", function()
  local db = connect()
  db:exec "create table c (a int, b text)"
  t.equal(db:copy_in("copy c from stdin", "1\tone\n2\ttwo\n"), 2)
  local n = 2
  t.equal(db:copy_in("copy c from stdin", function()
    n = n + 1
    return n <= 1000 and n .. "\tx\n" or nil
  end), 998)
  local parts = {}
  db:copy_out("copy (select a from c order by a) to stdout",
    function(chunk) table.insert(parts, chunk) end)
  t.equal(select(2, table.concat(parts):gsub("\n", "")), 1000)
  t.raises("broken source", db.copy_in, db, "copy c from stdin",
    function() error("broken source", 0) end)
  t.raises("broken sink", db.copy_out, db, "copy c to stdout",
    function() error("broken sink", 0) end)
  t.equal(db:value "select count(*) from c", 1000)
  t.equal(t.raises("invalid input syntax", db.copy_in, db, "copy c from stdin", "x\ty\n").sqlstate,
    "22P02")
end)

t.test("names are quoted, a wrong call is named", function()
  t.equal(sql.identifier 'public.We"ird', '"public"."We""ird"')
  t.equal(connect():identifier "a", '"a"')
  t.raises("a name expected", sql.identifier, "")
  t.raises("unknown option \"pasword\"; did you mean password", sql.connect, { pasword = "x" })
  t.raises("a table cannot be sent", connect().query, connect(), "select $1", {})
  local db = connect()
  db:close()
  db:close()
  t.raises("is closed", db.query, db, "select 1")
  t.matches(tostring(db), "%(closed%)$")
end)

t.test("connecting fails with a kind", function()
  t.equal(t.raises("does not exist %(SQLSTATE 3D000%)", sql.connect,
    call { dbname = "nowhere" }).kind, "missing")
  local probe = assert(relay.listen {})
  local port = probe.port
  probe:close()
  local e = t.raises("Connection refused", sql.connect, call { host = "127.0.0.1", port = port })
  t.equal({ e.kind, e.retryable }, { "refused", true })
end)

t.test("waiting until a server accepts", function()
  local r = assert(relay.listen {})
  t.cleanup(function() r:close() end)
  local options = call { host = "127.0.0.1", port = r.port, user = "nobody_here" }
  options.every, options.wait = "10ms", "300ms"
  local e = t.raises("did not accept connections within 0.3s: ", sql.wait_until_accepts, options)
  t.equal(e.kind, "timeout")
  options.wait = "30s"
  local waiting = task.spawn(sql.wait_until_accepts, options)
  task.sleep(0.05)
  r:target("127.0.0.1", cluster.port)
  e = t.raises("no password supplied", waiting.wait, waiting)
  t.equal(e.kind, "denied")
  local db = sql.wait_until_accepts(call {})
  t.equal(db:value "select 1", 1)
  db:close()
end)

t.test("the gate: what reads, what changes; a transaction is one effect", function()
  local db = connect()
  local seen = {}
  local former
  former = effect.install(function(e, fn)
    table.insert(seen, e.operation .. (e.read and " read" or " change"))
    return fn()
  end)
  t.cleanup(function() effect.install(former) end)
  db:query "select 1"
  db:exec "create temp table g (x int)"
  db:transaction(function()
    db:exec "insert into g values (1)"
    db:query "select * from g"
  end)
  t.equal(seen, { "query read", "exec change", "transaction change" })
end)

cluster:stop()
