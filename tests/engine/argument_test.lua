-- A text that becomes a C string is refused when it has a zero byte, which would cut it
-- short. The stubs of docs/meta/native name every text that a native module takes; each
-- is in one of two tables here: those that are refused, and those that may be any bytes.
local t = require "harness"
local clock = require "native.clock"
local crypto = require "native.crypto"
local embed = require "native.embed"
local fs = require "native.fs"
local http = require "native.http"
local pq = require "native.pq"
local postgres = require "postgres"
local process = require "native.process"
local raw = require "raw"
local relay = require "native.relay"
local server = require "native.server"
local signal = require "native.signal"
local sqlite = require "native.sqlite"
local sys = require "native.sys"
local task = require "task"

local BAD = "a\0b"

-- What may hold any bytes: contents, and texts that are read with their length.
local any_bytes = {}
for key in ([[
  chain.fits.hash chain.hash.former
  crypto.base64.data crypto.crc32.data crypto.crc32c.data crypto.crc32c_portable.data
  crypto.crc64nvme.data crypto.equal.a crypto.equal.b crypto.es256.pem crypto.es256.text
  crypto.hex.data crypto.hmac_sha256.data crypto.hmac_sha256.key crypto.md5.data crypto.open.bound
  crypto.open.key crypto.open.nonce crypto.open.sealed crypto.seal.bound crypto.seal.key
  crypto.seal.nonce crypto.seal.text crypto.sha1.data crypto.sha256.data crypto.sha512.data
  crypto.unbase64.text crypto.unhex.text
  embed.list.prefix
  fs.overwrite.data fs.write.data
  gzip.compress.data gzip.decompress.data
  http.header.name http.header.text http.options.body
  json.decode.text
  model.crc32.data model.load.bytes model.open.service model.snake.name model.uncbor.bytes
  model.unpack.bytes
  pq.bytea.bytes pq.connection:copy_write.data
  process.child:write.data
  server.request:respond.body server.request:send.chunk
  sigv4.check_asymmetric.access_key_id sigv4.check_asymmetric.secret_access_key
  sigv4.check_asymmetric.signature sigv4.check_asymmetric.text sigv4.public_key.access_key_id
  sigv4.public_key.secret_access_key
  terminal.secret.prompt
]]):gmatch("%S+") do
  any_bytes[key] = true
end

local refused = {}

-- Calls that are fine but for the text they are given. ":name" is a method.
local function each(module, functions)
  for name, call in pairs(functions) do refused[(module .. "." .. name):gsub("%.:", ":")] = call end
end

each("fs", {
  ["stat.path"] = fs.stat, ["lstat.path"] = fs.lstat, ["list.path"] = fs.list,
  ["glob.pattern"] = fs.glob, ["mkdir.path"] = fs.mkdir, ["remove.path"] = fs.remove,
  ["remove_tree.path"] = fs.remove_tree, ["readlink.path"] = fs.readlink,
  ["realpath.path"] = fs.realpath, ["read.path"] = fs.read,
  ["lock.path"] = fs.lock, ["tempdir.prefix"] = fs.tempdir, ["statfs.path"] = fs.statfs,
  ["sync.path"] = fs.sync,
  ["rename.from"] = function(bad) fs.rename(bad, "x") end,
  ["rename.to"] = function(bad) fs.rename("x", bad) end,
  ["symlink.target"] = function(bad) fs.symlink(bad, "x") end,
  ["symlink.path"] = function(bad) fs.symlink("x", bad) end,
  ["chmod.path"] = function(bad) fs.chmod(bad, 0) end, ["chown.path"] = function(bad)
    fs.chown(bad, 0, 0)
  end,
  ["write.path"] = function(bad) fs.write(bad, "x") end,
  ["overwrite.path"] = function(bad) fs.overwrite(bad, 0, "x") end,
})

each("fs.lock", { [":holds.path"] = function(bad)
  local path = os.tmpname()
  t.cleanup(function() fs.remove(path) end)
  local lock <close> = assert(fs.lock(path))
  lock:holds(bad)
end })

each("sys", {
  ["getenv.name"] = sys.getenv, ["setenv.name"] = function(bad) sys.setenv(bad, "x") end,
  ["setenv.value"] = function(bad) sys.setenv("DRLUA_TEST", bad) end, ["user.name"] = sys.user,
  ["kill.signal"] = function(bad) sys.kill(sys.pid(), bad) end,
})

each("crypto", {
  ["hasher.name"] = crypto.hasher, ["hash_file.name"] = function()
    crypto.hash_file("md5\0", "x")
  end,
  ["hash_file.path"] = function(bad) crypto.hash_file("md5", bad) end,
})

each("clock", {
  ["format.style"] = function() clock.format(0, "http\0") end, ["parse.text"] = clock.parse,
})
each("embed", { ["read.name"] = embed.read })
each("signal", { ["next.names"] = function() signal.next { "USR1\0" } end })

local function start(options)
  return function(bad)
    local call = { argv = { "true" } }
    for name, value in pairs(options(bad)) do call[name] = value end
    assert(process.start(call)):close()
  end
end
each("process", {
  ["options.argv"] = start(function(bad) return { argv = { "true", bad } } end),
  ["options.env"] = start(function(bad) return { env = { X = bad } } end),
  ["options.env (name)"] = start(function(bad) return { env = { [bad] = "x" } } end),
  ["options.cwd"] = start(function(bad) return { cwd = bad } end),
  ["options.stdin"] = start(function(bad) return { stdin = { file = bad } } end),
  ["options.stdin (word)"] = start(function() return { stdin = "null\0" } end),
  ["options.stdout"] = start(function(bad) return { stdout = { file = bad } } end),
  ["options.stderr"] = start(function(bad) return { stderr = { file = bad } } end),
  ["options.die_with_parent"] = start(function() return { die_with_parent = "TERM\0" } end),
})

local function with_child(fn)
  local child = assert(process.start { argv = { "cat" }, stdin = "pipe" })
  t.cleanup(function() child:close() end)
  return fn(child)
end
each("process.child", {
  [":read.stream"] = function() with_child(function(child) child:read "stdout\0" end) end,
  [":kill.signal"] = function() with_child(function(child) child:kill "TERM\0" end) end,
})

local function request(options)
  return function(bad)
    local call = { url = "http://127.0.0.1:1/" }
    for name, value in pairs(options(bad)) do call[name] = value end
    http.request(call):cancel()
  end
end
each("http", {
  ["options.url"] = request(function(bad) return { url = "http://127.0.0.1:1/" .. bad } end),
  ["options.method"] = request(function() return { method = "GET\0" } end),
  ["options.headers"] = request(function(bad) return { headers = { { "X", bad } } } end),
  ["options.headers (name)"] = request(function(bad) return { headers = { { bad, "x" } } } end),
  ["options.more_headers"] = request(function(bad) return { more_headers = { X = bad } } end),
  ["options.body (file)"] = request(function(bad) return { body = { file = bad } } end),
  ["options.sink"] = request(function(bad) return { sink = { file = bad } } end),
  ["options.ca_file"] = request(function(bad) return { ca_file = bad } end),
})

each("sqlite", { ["open.path"] = sqlite.open })
local function with_sqlite(fn)
  return function(bad)
    local db <close> = assert(sqlite.open ":memory:")
    fn(db, bad)
  end
end
each("sqlite.database", {
  [":exec.sql"] = with_sqlite(function(db) db:exec "create table a (b)\0" end),
  [":run.sql"] = with_sqlite(function(db) db:run "create table a (b)\0" end),
  [":rows.sql"] = with_sqlite(function(db) db:rows "select 1\0" end),
})

each("relay", { ["listen.options.host"] = function(bad) relay.listen { host = bad } end })
each("relay.relay", { [":target.address"] = function(bad)
  local one <close> = assert(relay.listen {})
  one:target(bad, 1)
end })

local function respond(how, answer)
  return function(bad)
    local srv = assert(server.listen {})
    local client = raw.connect(srv.port)
    t.cleanup(function() client:close() srv:close() end)
    client:send "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    local req = task.await(srv:accept())
    t.cleanup(function() req:reset() end)
    req[how](req, answer(bad))
  end
end
each("server", { ["listen.options.host"] = function(bad) server.listen { host = bad } end })
each("server.request", {
  [":header.name"] = respond("header", function(bad) return bad end),
  [":respond.headers"] = respond("respond",
    function(bad) return { headers = { { "X", bad } } } end),
  [":respond.headers (name)"] = respond("respond",
    function(bad) return { headers = { { bad, "x" } } } end),
  [":start.headers"] = respond("start", function(bad) return { headers = { { "X", bad } } } end),
})

for _, name in ipairs { "host", "dbname", "user", "password", "sslmode", "sslrootcert",
  "application_name", "options", "target_session_attrs" } do
  refused["pq.options." .. name] = function(bad) pq.connect({ [name] = bad }):cancel() end
end

local cluster = postgres.bin and postgres.start()
local function statement(fn)
  return function(bad)
    if not cluster then t.skip "no PostgreSQL on this machine" end
    local conn = assert(task.await(pq.connect(cluster:at())))
    t.cleanup(function() conn:close() end)
    fn(conn, bad)
  end
end
each("pq.connection", {
  [":exec.sql"] = statement(function(conn) conn:exec "select 1\0" end),
  [":exec.sql (parameter)"] = statement(function(conn, bad)
    conn:exec("select $1::text", { bad })
  end),
  [":prepare.name"] = statement(function(conn, bad) conn:prepare(bad, "select 1") end),
  [":prepare.sql"] = statement(function(conn) conn:prepare("x", "select 1\0") end),
  [":exec_prepared.name"] = statement(function(conn, bad) conn:exec_prepared(bad) end),
  [":copy_out.sql"] = statement(function(conn, bad) conn:copy_out(bad) end),
  [":copy_in.sql"] = statement(function(conn, bad) conn:copy_in(bad) end),
  [":copy_end.error_text"] = statement(function(conn, bad)
    assert(task.await(conn:exec "create temporary table bad (x text)"))
    assert(task.await(conn:copy_in "copy bad from stdin"))
    conn:copy_end(bad)
  end),
})

local names = {}
for name in pairs(refused) do table.insert(names, name) end
table.sort(names)
for _, name in ipairs(names) do
  t.test(name .. " is refused with a zero byte in it", function()
    t.raises("zero byte", refused[name], BAD)
  end)
end

if cluster then cluster:stop() end

t.test("an option whose name has a zero byte in it is an unknown one", function()
  t.raises("unknown option", process.start, { argv = { "true" }, ["cwd\0x"] = "/" })
end)

-- The texts that a stub declares: "module.function.parameter", "class:method.parameter",
-- and "class.field" of the tables of options.
local function texts_of(stub)
  local keys, class, params = {}, nil, {}
  local function add(prefix, name, kind)
    local inner = kind:match("^{.*}")
    if inner and kind:find("string") and name == "options" then
      for field in inner:gmatch("([%w_]+): string") do
        table.insert(keys, prefix .. name .. "." .. field)
      end
    elseif kind:find("string") or kind:find('"') then
      table.insert(keys, prefix .. name)
    end
  end
  for line in stub:gmatch("[^\n]+") do
    class = line:match("^%-%-%-@class native%.([%w_.]+)") or class
    local field, kind = line:match("^%-%-%-@field ([%w_]+)%??%s+(.+)")
    local arguments = kind and kind:match("^fun%(self,?%s*(.-)%)")
    if arguments then
      for name, of in arguments:gmatch("([%w_]+)%??: ([^,:{}]+)") do
        add(class .. ":" .. field .. ".", name, of)
      end
      for name, of in arguments:gmatch("([%w_]+)%??: (string[%[%]]+)") do
        if name == "headers" or name == "body" then add(class .. ":" .. field .. ".", name, of) end
      end
    elseif kind and class:find("options$") then
      add(class .. ".", field, kind)
    end
    local parameter, of = line:match("^%-%-%-@param ([%w_]+)%??%s+(.+)")
    if parameter and not of:find("^fun%(") then table.insert(params, { parameter, of }) end
    local called = line:match("^function ([%w_.]+)%(")
    if called then
      for _, param in ipairs(params) do add(called .. ".", param[1], param[2]) end
      params = {}
    end
  end
  return keys
end

t.test("every text that a native module takes is in one of the two tables", function()
  local count = 0
  for _, file in ipairs(assert(fs.list "docs/meta/native")) do
    for _, key in ipairs(texts_of(assert(fs.read("docs/meta/native/" .. file)))) do
      count = count + 1
      t.ok(refused[key] or any_bytes[key], key .. " is in neither table")
      t.ok(not (refused[key] and any_bytes[key]), key .. " is in both tables")
    end
  end
  t.ok(count > 80, "only " .. count .. " texts were found in the stubs")
end)
