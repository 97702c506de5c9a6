-- The gate, tried by every route that a playbook has: under plan and check nothing in
-- the world may change, whatever the playbook writes. The world is a simulated AWS, a
-- real PostgreSQL, a web server, and the file system.
local fs = require "native.fs"
local program = require "program"
local sim = require "sim"
local t = require "harness"

local PASSWORD = "gate-test-password"

-- Lua of a step's body; `act` and `rds` and `db` are the playbook's.
local ROUTES = {
  -- the plain ones
  'rds:create_db_instance { DBInstanceIdentifier = "new", DBInstanceClass = '
    .. '"db.t3.micro", Engine = "postgres" }',
  'rds:delete_db_instance { DBInstanceIdentifier = "shop", SkipFinalSnapshot = true }',
  'rds:call("StopDBInstance", { DBInstanceIdentifier = "shop" })',
  'db:exec "insert into kept values (1)"',
  'db:transaction(function() db:exec "insert into kept values (1)" end)',
  'db:copy_in("copy kept from stdin", "1\\n")',
  'db:transaction(function() db:copy_in("copy kept from stdin", "1\\n") end)',
  'db:transaction(function() db:query "select nextval(\'seq\')" db:value '
    .. '"select nextval(\'seq\')" end)',
  'db:transaction(function() for _ in db:each "select nextval(\'seq\')" '
    .. 'do db:exec "commit" end end)',
  'db:transaction(function() db:copy_out("copy (select nextval(\'seq\')) to stdout", print) end)',
  'db:transaction(function() db:transaction(function() db:exec "insert into '
    .. 'kept values (1)" end) end)',
  'db:transaction(function() pcall(db.exec, db, "insert into kept values (1)") '
    .. 'files.write(mark, "x") end)',
  'db:transaction(function() while true do pcall(db.exec, db, "insert into '
    .. 'kept values (1)") end end)',
  'db:transaction(function() error "x" end) db:exec "insert into kept values (1)"',
  'process.run { "touch", mark }', 'process.run { "sh", "-c", "touch " .. mark }',
  'http.post(url, { json = {} })', 'http.put(url, { body = "x" })', 'http.delete(url)',
  'http.request { method = "post", url = url, body = "" }',
  'http.get(url, { save_to = mark })', 'http.post(url, { read = true })',
  'files.write(mark, "x")', 'files.mkdir(mark)', 'files.rename("a.lua", mark)',
  'files.remove("a.lua")',
  -- past the gate: insides of the library
  'rds:direct("StopDBInstance", { DBInstanceIdentifier = "shop" })',
  'rds:try("StopDBInstance", { DBInstanceIdentifier = "shop" })',
  'rds:execute(rds:operation("StopDBInstance"), { DBInstanceIdentifier = "shop" }, {}, "read")',
  'rds.shared.operations.StopDBInstance.rule = "read" rds:stop_db_instance { '
    .. 'DBInstanceIdentifier = "shop" }',
  'rds.execute = function() end',
  'aws.rds = nil',
  'rawset(rds, "shared", 1) rds:stop_db_instance { DBInstanceIdentifier = "shop" }',
  'db.conn:exec "insert into kept values (1)"',
  'db.depth = 1 db:exec "insert into kept values (1)"',
  's3:get_object({ Bucket = "dumps", Key = "k" }, { sink = { file = mark } })',
  's3:get_object({ Bucket = "dumps", Key = "k" }, setmetatable({}, { __index = { '
    .. 'sink = { file = mark } } }))',
  'for _ in s3:pages("list_objects_v2", { Bucket = "dumps" }, { sink = { '
    .. 'file = mark } }) do break end',
  'local n = 0 http.request(setmetatable({ url = url }, { __index = function(_, k) if k '
    .. '== "save_to" then n = n + 1 '
    .. 'return n > 1 and mark or nil end end }))',
  -- several statements in a read
  'db:query "explain analyze create table zz as select 1"',
  'db:query "explain (analyze) select 1 as x into zz"',
  'db:query "commit; insert into kept values (1)"',
  'db:query "select 1; commit; insert into kept values (1); begin"',
  'for _ in db:each "select 1; commit; insert into kept values (1)" do break end',
  'db:copy_out("commit; insert into kept values (1); copy kept to stdout", print)',
  'db:query("copy kept to program \'touch " .. mark .. "\'")',
  'db:value "insert into kept values (1) returning 1"',
  'db:query "select nextval(\'seq\')"',
  'db:query("select lo_export(0, \'" .. mark .. "\')")',
  'db:value "select pg_terminate_backend(pg_backend_pid())"',
  'for _ in db:each "select pg_notify(\'a\', \'b\')" do break end',
  'db:query "select dblink_exec(\'dbname=shop\', \'insert into kept values (1)\')"',
  'db:query "select query_to_xml(\'select pg_reload_conf()\', true, true, \'\')"',
  'db:copy_out("copy (select \'to stdout\') to program \'touch " .. mark .. "\'", print)',
  'db:query "set transaction read write" db:query "insert into kept values (1)"',
  -- Lua itself
  'os.execute("touch " .. mark)', 'os.remove("a.lua")', 'os.rename("a.lua", mark)', 'os.tmpname()',
  'os.exit(0)', 'io.popen("touch " .. mark)', 'io.open(mark, "w")', 'io.open("a.lua", "r+")',
  'io.output(mark)', 'io.tmpfile()', 'package.loadlib("x", "y")',
  'package.loaded["native.fs"].write(mark, "x")', 'package.searchers[2]("native.fs")',
  'package.preload["native.fs"]()', 'require("native.fs").write(mark, "x")',
  'require("native.process")', 'require("run.gate")', 'require("run.session")', 'require("sim")',
  'require("sim.host")', 'require("effect")', 'require("cli.main")', 'require("task")',
  'require("toolbox.../native/fs")', 'require("aws.client")',
  'require("_G").os.execute("touch " .. mark)',
  'require("package").loadlib("x", "y")', 'require("debug").getregistry()',
  'debug.getupvalue(files.write, 1)', 'debug.setmetatable("", {})', 'debug.sethook(function() end)',
  'dofile(mark)', 'loadfile(mark)', 'load(string.dump(function() end), "x", "b")()',
  'load("\\27Lua")()', 'load("return os.execute(...)", "x", "t", _G)("touch " .. mark)',
  'load("os.execute(...)", "x", "t", _ENV)("touch " .. mark)',
  'load(("").dump(function() end), "x", "b")', '_ENV = nil os.execute("true")',
  '_G._G.os.execute("touch " .. mark)', 'getmetatable(_G).__index = function() end',
  'getmetatable("").__index.find = function() return 1 end io.open(mark, "w")',
  'getmetatable(io.open("a.lua")).__gc = function() files.write(mark, "x") end collect()',
  'setmetatable({}, { __gc = function() files.write(mark, "x") end }) collect()',
  'local m = {} setmetatable({}, m) m.__gc = function() files.write(mark, "x") end '
    .. 'setmetatable({}, m) collect()',
  'local x <close> = setmetatable({}, { __close = function() files.write(mark, "x") end })',
  'setmetatable(select(2, dr.try(error, "x")), { __tostring = function() '
    .. 'files.write(mark, "x") return "" end })',
  'getmetatable(select(2, dr.try(error, "x"))).__tostring = function() files.write(mark, "x") '
    .. 'return "" end error "x"',
  'error(setmetatable({}, { __tostring = function() files.write(mark, "x") return "!" end }))',
  'error(setmetatable({}, { __index = function() files.write(mark, "x") end }))',
  'require("errors").from = function() files.write(mark, "x") end',
  'require("text").trim = function() end', 'require("errors").try = function() end',
  'dr.step = nil', 'string.find = nil ("x"):find("x")',
  -- other places for code to run in
  'coroutine.wrap(function() files.write(mark, "x") end)()',
  'coroutine.wrap(function() rds:stop_db_instance { DBInstanceIdentifier = "shop" } end)()',
  'local co = coroutine.create(function() coroutine.yield() files.write(mark, "x") end) '
    .. 'coroutine.resume(co) coroutine.resume(co)',
  'local co = coroutine.create(function() local x <close> = '
    .. 'setmetatable({}, { __close = function() '
    .. 'files.write(mark, "x") end }) '
    .. 'coroutine.yield() end) coroutine.resume(co) coroutine.close(co)',
  'coroutine.yield(1)', 'xpcall(error, function() files.write(mark, "x") end, "x")',
  'pcall(files.write, mark, "x")',
  'dr.try(files.write, mark, "x")', 'table.sort({ 2, 1 }, function() files.write(mark, "x") end)',
  '("x"):gsub("x", function() files.write(mark, "x") return "" end)',
  'dr.parallel { function() files.write(mark, "x") end, function() '
    .. 'os.execute("touch " .. mark) end }',
  'dr.each({ 1 }, function() files.write(mark, "x") end)',
  'dr.check("c", function() files.write(mark, "x") end)',
  'dr.wait_until("w", function() files.write(mark, "x") return true end)',
  'dr.step("inner", { done = function() files.write(mark, "x") end }, function() end)',
  'dr.step("inner", { when = function() files.write(mark, "x") end }, function() end)',
  'dr.step("inner", { undo = function() files.write(mark, "x") end }, function() '
    .. 'files.write(mark, "y") end)',
  'process.run { "true", read = true, on_line = function() files.write(mark, "x") end }',
  'process.run { "echo", "x", read = true, on_line = function() files.write(mark, "x") end }',
  'dr.note(setmetatable({}, { __tostring = function() files.write(mark, "x") return "n" end }))',
  'print(setmetatable({}, { __tostring = function() files.write(mark, "x") return "n" end }))',
  'return setmetatable({}, { __pairs = function() files.write(mark, "x") return next, {} end })',
  'files.temporary(function(d) files.write(d .. "/x", "x") files.rename(d .. "/x", mark) end)',
}

local TEXT = [[
local aws, dr, files, http = require "aws", require "drlua", require "files", require "http"
local process, sql = require "process", require "sql"
return dr.playbook { title = "Route", params = { { "mark" }, { "url" }, { "host" } },
  %s = function(p)
    local mark, url = p.mark, p.url
    local rds = aws.rds { region = "us-east-1" }
    local s3 = aws.s3 { region = "us-east-1", endpoint_url = p.url, credentials = {
      access_key_id = "a", secret_access_key = "b" } }
    local db = sql.connect { host = p.host, dbname = "shop", user = "shop", password = "]] .. PASSWORD .. [[" }
    local function collect() for _ = 1, 200 do local _ = ("x"):rep(100000) end end
    %s, function()
      %s
    end)
  end,
}
]]

local function playbook(verb, body)
  if verb == "plan" then return TEXT:format("run", 'dr.step("S"', body) end
  return TEXT:format("ready", 'dr.check("C"', body)
end

local function world()
  return { instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop",
    sql = "create table kept (x int); create sequence seq;" } } }
end

local function changed(s)
  local list = {}
  for _, call in ipairs(s.calls:list { mutating = true }) do table.insert(list, call.operation) end
  return list
end


t.test("plan and check change nothing, by whatever route", function()
  local s = sim.start { world = world(), speed = 2000 }
  t.cleanup(function() s:stop() end)
  s.calls:clear()
  local host = s:instance("shop").shape.Endpoint.Address
  local w = program.workspace {}
  local mark, url = w.directory .. "/mark", s:sink_url("gate")
  local env = { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test" }
  for _, route in ipairs(ROUTES) do
    for _, verb in ipairs { "plan", "check" } do
      w.write("a.lua", playbook(verb, route))
      local r = w.run({ verb, "a.lua", "--mark", mark, "--url", url, "--host", host },
        { env = env })
      local name = verb .. ": " .. route
      t.ok(r.code == 0 or r.code == 1 or r.code == 2 or r.code == 3,
        name .. " ended " .. tostring(r.code or r.signal))
      t.ok(not r.err:find("stdlib/", 1, true), name .. " shows insides: " .. r.err)
      t.equal(fs.stat(mark), nil, name)
      t.ok(fs.stat(w.directory .. "/a.lua"), name)
      t.equal(changed(s), {}, name)
    end
  end
  t.equal(s:sql("shop", "select count(*) from kept", { dbname = "shop" }).rows[1][1], 0)
  t.equal(s:sql("shop", "select is_called from seq", { dbname = "shop" }).rows[1][1], false)
  t.equal(s:sql("shop", "select count(*) from pg_class where relname = 'zz'",
    { dbname = "shop" }).rows[1][1], 0)
  t.equal(fs.list(w.directory .. "/state/runs") or {}, {})
  -- The same playbook does change the world when it is run.
  w.write("a.lua", playbook("plan", 'db:exec "insert into kept values (1)" files.write(mark, "x")'))
  local r = w.run({ "a.lua", "--mark", mark, "--url", url, "--host", host }, { env = env })
  t.equal(r.code, 0, r.err)
  t.ok(fs.stat(mark))
  t.equal(s:sql("shop", "select count(*) from kept", { dbname = "shop" }).rows[1][1], 1)
end)
