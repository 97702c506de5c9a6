local client = require "client"
local fs = require "native.fs"
local guard = require "sim.guard"
local json = require "native.json"
local process = require "native.process"
local sim = require "sim"
local sys = require "native.sys"
local t = require "harness"
local task = require "task"

local function started(options)
  local s = sim.start(options)
  t.cleanup(function() s:stop() end)
  return s
end

-- The headers of a permitted change, with some replaced (false: left out).
local function headers(s, changed)
  local all = { ["Content-Type"] = "application/json", Authorization = "Bearer " .. s.token }
  for name, value in pairs(changed or {}) do all[name] = value or nil end
  local list = {}
  for name, value in pairs(all) do table.insert(list, { name, value }) end
  return list
end

local CHANGES = { { "POST", "faults", "[]" }, { "POST", "world", "{}" }, { "POST", "clock", "{}" },
  { "POST", "sink/chat", "{}" }, { "DELETE", "faults" }, { "DELETE", "calls" } }

local REFUSED = {
  { "no token", { Authorization = false }, 401 },
  { "another token", { Authorization = "Bearer 00000000000000000000000000000000" }, 401 },
  { "the token as a password", { Authorization = "Basic dGVzdDp0ZXN0" }, 401 },
  { "a form", { ["Content-Type"] = "application/x-www-form-urlencoded" }, 415 },
  { "plain text", { ["Content-Type"] = "text/plain" }, 415 },
  { "a type that begins like JSON", { ["Content-Type"] = "application/jsonp" }, 415 },
  { "a page", { Origin = "http://evil.example" }, 403 },
  { "a page without a name", { Origin = "null" }, 403 },
  { "a foreign name", { Host = "evil.example" }, 403 },
  { "a name that begins like ours", { Host = "127.0.0.1.evil.example:80" }, 403 },
}

t.test("changes need a loopback name, JSON and the token; a page "
  .. "is refused with all of them", function()
  local s = started()
  for _, change in ipairs(CHANGES) do
    local method, path, body = table.unpack(change)
    for _, case in ipairs(REFUSED) do
      local answer = client.raw(s, method, path, headers(s, case[2]), body)
      t.equal(answer.status, case[3], ("%s %s with %s"):format(method, path, case[1]))
      t.ok(json.decode(answer.body).error, case[1])
    end
    t.equal(client.raw(s, method, path, headers(s), body).status, 200, path)
  end
  t.equal(#s.sinks.chat, 1)
end)

t.test("reads need a loopback name and no page", function()
  local s = started()
  for _, path in ipairs { "calls", "state", "faults", "clock", "sink/chat" } do
    t.equal(client.raw(s, "GET", path).status, 200)
    t.equal(client.raw(s, "GET", path, { { "Host", "localhost:80" } }).status, 200)
    t.equal(client.raw(s, "GET", path, { { "Host", "[::1]:80" } }).status, 200)
    t.equal(client.raw(s, "GET", path, { { "Host", "evil.example" } }).status, 403)
    t.equal(client.raw(s, "GET", path, { { "Origin", s.url } }).status, 403)
  end
end)

t.test("a sink's URL opens this sink only", function()
  local s = started()
  local json_only = { { "Content-Type", "application/json" } }
  local path = s:sink_url("chat"):match("/_sim/(.*)")
  t.equal(client.raw(s, "POST", path, json_only, "{}").status, 200)
  for _, other in ipairs { (path:gsub("chat", "other")), (path:gsub("sink/chat", "faults")),
    "sink/chat?key=0",
    "sink/chat" } do
    t.equal(client.raw(s, "POST", other, json_only, "[]").status, 401, other)
  end
end)

t.test("only with open_to_network other machines may reach it, "
  .. "and then reads need the token", function()
  for _, listen in ipairs { "0.0.0.0:0", "[::]:0", "10.1.2.3:0" } do
    t.contains(t.raises("invalid", function()
      local ok, e = pcall(sim.start, { listen = listen })
      t.ok(not ok)
      error(e.kind .. ": " .. e.message, 0)
    end).message, "--open-to-network")
  end
  local said = {}
  local s = started { listen = "0.0.0.0:0", open_to_network = true,
    log = function(x) table.insert(said, x) end }
  t.contains(table.concat(said), "open to other machines")
  s.url = s.url:gsub("0%.0%.0%.0", "127.0.0.1")
  t.equal(client.raw(s, "GET", "state").status, 401)
  t.equal(client.raw(s, "GET", "state", headers(s, { Host = "sim.example" })).status, 200)
  t.equal(client.raw(s, "GET", "health/none").status, 404)
end)

t.test("a host that is this machine only", function()
  for host, is in pairs { localhost = true, ["127.0.0.1"] = true, ["127.9.8.7"] = true,
    ["::1"] = true, ["0.0.0.0"] = false, ["127.0.0.1.example"] = false,
    ["localhost.example"] = false, [""] = false,
    ["127.1"] = false } do
    t.equal(guard.loopback(host), is, host)
  end
end)

-- What `drlua sim` prints until it listens.
local function printed(env)
  local proc <close> = process.start { argv = { sys.exe(), "sim", "--listen", "127.0.0.1:0" },
    env = env,
    stdin = "null", stdout = "pipe", stderr = "inherit", die_with_parent = true }
  local text = ""
  while not text:find("listening on http://%S+\n") do
    text = text .. assert(task.await(proc:read("stdout", 500)))
  end
  local s = { url = text:match("listening on (%S+)"), token = text:match("^token (%S+)\n")
    or env and env.DRLUA_SIM_TOKEN }
  local answer = client.raw(s, "POST", "clock", client.headers(s), "{}")
  proc:kill("TERM")
  task.await(proc:wait())
  return text, answer.status, s.token
end

t.test("drlua sim prints its token on a line of its own, or takes DRLUA_SIM_TOKEN", function()
  local text, status, token = printed()
  t.matches(text, "^token %x+\nlistening on http://127%.0%.0%.1:%d+\n$")
  t.equal(status, 200)
  t.equal(#token, 32)
  text, status = printed { DRLUA_SIM_TOKEN = "a-token-of-the-caller" }
  t.matches(text, "^listening on ")
  t.equal(status, 200)
end)

t.test("a token that could be guessed or not sent is refused", function()
  t.raises("DRLUA_SIM_TOKEN", sim.start, { token = "short" })
  t.raises("DRLUA_SIM_TOKEN", sim.start, { token = "with a space in it" })
end)

-- SQL by which a role gets at programs, files or other roles' rights on the host.
local ESCAPES = {
  "COPY (SELECT 1) TO PROGRAM 'id > %s'",
  "SET ROLE shop; GRANT pg_execute_server_program TO shop; COPY (SELECT 1) TO PROGRAM 'id > %s'",
  "SET ROLE shop; CREATE ROLE x IN ROLE pg_execute_server_program",
  "RESET SESSION AUTHORIZATION; COPY (SELECT 1) TO PROGRAM 'id > %s'",
  "SET ROLE rdsadmin; COPY (SELECT 1) TO PROGRAM 'id > %s'",
  "COPY (SELECT 1) TO '%s'",
  "SELECT pg_read_file('/etc/passwd')",
  "SELECT lo_import('/etc/passwd')",
  "ALTER ROLE shop SUPERUSER",
  "ALTER ROLE rdsadmin PASSWORD 'x'",
  "ALTER SYSTEM SET archive_command = 'id > %s'",
  "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
}

t.test("SQL from outside changes tables, and reaches neither programs nor files", function()
  local s = started {
    world = { instances = { { id = "shop", user = "shop", password = "secret-word", db = "shop",
    sql = "CREATE TABLE orders (id int)" } } } }
  local mark = os.tmpname()
  os.remove(mark)
  t.cleanup(function() os.remove(mark) end)
  for _, text in ipairs { "INSERT INTO orders VALUES (1)", "ALTER TABLE orders ADD n int",
    "TRUNCATE orders",
    "SELECT count(*) FROM pg_stat_activity" } do
    local answer, status = client.admin(s, "POST", "sql", { instance = "shop", sql = text })
    t.equal(status, 200, text .. ": " .. tostring(answer.error))
  end
  for _, escape in ipairs(ESCAPES) do
    local text = escape:format(mark)
    local _, status = client.admin(s, "POST", "sql", { instance = "shop", sql = text })
    t.equal(status, 400, text)
    _, status = client.admin(s, "POST", "world",
      { timeline = { { instance = "shop", sql = text } } })
    t.equal(status, 400, "world: " .. text)
    t.equal(fs.stat(mark), nil, text)
  end
  local answer = client.admin(s, "POST", "sql", { instance = "shop",
    sql = "SELECT usesuper FROM pg_user WHERE usename = current_user" })
  t.equal(answer.rows[1][1], false)
end)

t.test("a new database has nothing in public, and pg_stat_statements is there", function()
  local s = started {
    world = { instances = { { id = "shop", user = "shop", password = "secret-word",
    db = "shop" } } } }
  local function count(from) return s:sql("shop", "SELECT count(*) FROM " .. from).rows[1][1] end
  t.equal(count("pg_class WHERE relnamespace = 'public'::regnamespace"), 0)
  t.equal(count("pg_views WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"), 0)
  t.ok(count("pg_stat_statements") >= 0)
end)
