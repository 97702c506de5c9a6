-- Secrets by the ways on which they come in and go out: at the edge of what is shortened, in
-- other programs' forms, in marks that a foreign text holds, in every place that a run shows.
local t = require "harness"
local crypto = require "native.crypto"
local fake = require "fake"
local fs = require "native.fs"
local postgres = require "postgres"
local program = require "program"

local CANARY = "c4n<ry'&7fzkqvw\"q\\z-2x"
local PARAMS = 'params = { { "pw", secret = true, env = "CANARY" } },'

local HEAD = [[
    local http, process, sql, json = require "http", require "process", require "sql", require "json"
    local files, text = require "files", require "text"
]]

-- All that the run left but its key, and what was said.
local function everything(w, ...)
  local texts = { ... }
  for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/*") or {}) do
    if fs.stat(path).type == "file" and not path:find("/key$") then
      table.insert(texts, (assert(fs.read(path))))
    end
  end
  return table.concat(texts, "\n")
end

local function absent(all, form, where)
  local at = all:find(form, 1, true)
  t.ok(not at, ("%s shows %q: %s"):format(where, form,
    all:sub(math.max((at or 1) - 120, 1), (at or 1) + 40)))
end

-- Runs a body to its end, and again by a resume, in both outputs; returns everything.
local function said(body, env, needle)
  local all = {}
  for _, output in ipairs { "text", "json" } do
    local w = program.workspace { ["a.lua"] = program.playbook(HEAD .. body, PARAMS) }
    local options = { env = { CANARY = CANARY } }
    for name, value in pairs(env or {}) do options.env[name] = value end
    local first = w.run({ "a.lua", "--trace", "--output", output }, options)
    t.ok(first.code <= 1, first.out .. first.err)
    local again = w.run({ "resume", "last", "--trace", "--output", output }, options)
    t.contains(first.out .. first.err, needle or "***")
    table.insert(all, everything(w, first.out, first.err, again.out, again.err,
      w.run({ "show", "last", "--output", output }).out, w.run({ "report", "last" }).out,
      w.run({ "runs", "--output", output }).out))
  end
  return table.concat(all, "\n")
end

-- Texts that are shortened, with the secret across the edge: what is before it, in characters.
local edges = {
  ["a program's last words"] = { limit = 400, body = [[
    dr.step("S", function() process.run { "sh", "-c", 'cat >&2; exit 3', stdin = ("x"):rep(BEFORE) .. p.pw } end)]] },
  ["a server's response"] = { limit = 200, body = [[
    dr.step("S", function() http.post(URL, { body = ("x"):rep(BEFORE) .. p.pw }) end)]] },
  ["a response that is no JSON"] = { limit = 80, body = [[
    dr.step("S", function() http.post(URL .. "/fine", { body = ("x"):rep(BEFORE) .. p.pw }):json() end)]] },
  ["a statement"] = { limit = 80, body = [[
    dr.step("S", function() sql.connect { host = "127.0.0.1", port = 1, user = "u", dbname = "d", password = "p" }
      :query("select '" .. ("x"):rep(BEFORE) .. p.pw .. "'") end)]] },
  ["text.shorten"] = { limit = 60, body = [[
    dr.note(text.shorten(("x"):rep(BEFORE) .. p.pw, 60)) dr.fail "over ***"]] },
  ["the text of an approval"] = { limit = 60, body = [[
    dr.step(("x"):rep(BEFORE) .. p.pw, { optional = true }, function() dr.fail(("x"):rep(BEFORE) .. p.pw) end)]] },
}

for what, edge in pairs(edges) do
  t.test("cut at the edge, a secret leaves no part: " .. what, function()
    local server = fake.start(function(request)
      return { status = request.target == "/fine" and 200 or 500, body = request.body }
    end)
    t.cleanup(function() server:close() end)
    for inside = 4, #CANARY, 6 do
      local before = edge.limit - inside
      local body = ("local URL, BEFORE = %q, %d\n"):format(server.url, before) .. edge.body
      local all = said(body, nil, what == "a statement" and "refused" or "xxx")
      absent(all, "c4n", what)
      absent(all, "xxx" .. CANARY:sub(1, 3), what)
    end
  end)
end

-- Forms that other programs make of a value; each is said by a program, whose words the run
-- shows, notes, keeps as a result and fails with.
local forms = {
  raw = CANARY,
  go = (CANARY:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("[&<>]",
    function(c) return ("\\u%04x"):format(c:byte()) end)),
  python_html = CANARY:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub('"', "&quot;"):gsub("'", "&#x27;"),
  go_html = CANARY:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub('"', "&#34;"):gsub("'", "&#39;"),
  repr = CANARY:gsub("[\\']", "\\%0"),
  c = CANARY:gsub('[\\"]', "\\%0"),
  twice = CANARY:gsub("[^%w%-_.~]", function(c) return ("%%25%02X"):format(c:byte()) end),
  base64 = crypto.base64("user:" .. CANARY),
  hex = crypto.hex(CANARY),
}

for name, form in pairs(forms) do
  t.test("a secret is masked in the form " .. name, function()
    local all = said([[
      local got = dr.step("Say", function()
        return process.run { "printenv", "FORM", read = true, env = { FORM = os.getenv "SHAPE" } }.stdout end)
      dr.note(got)
      dr.check("it", function() return false, got end)]], { SHAPE = "[" .. form .. "]" })
    absent(all, form, name)
    absent(all, "7fzkqvw", name)
    absent(all, crypto.hex "7fzkqvw", name)
  end)
end

-- Values that no parameter declares.
local observed = {
  ["os.getenv"] = 'dr.note(os.getenv "MY_API_TOKEN")',
  ["dr.env"] = 'dr.note(dr.env "MY_API_TOKEN")',
  ["a header"] = [[dr.step("S", { optional = true }, function()
    http.post(os.getenv "URL", { headers = { Authorization = "Bearer " .. os.getenv "WORD" }, body = os.getenv "WORD" })
    end)]],
  ["another header"] = [[dr.step("S", { optional = true }, function()
    http.post(os.getenv "URL", { headers = { ["X-Api-Key"] = os.getenv "WORD" }, body = os.getenv "WORD" }) end)]],
  ["a basic header"] = [[dr.step("S", { optional = true }, function()
    http.post(os.getenv "URL", { headers = { Authorization = "Basic " .. os.getenv "BASIC" }, body = os.getenv "WORD" })
    end)]],
  ["a URL"] = [[dr.step("S", { optional = true }, function()
    http.post(os.getenv("URL"):gsub("//", "//me:" .. os.getenv "WORD" .. "@"), { body = os.getenv "WORD" }) end)]],
  ["a query"] = [[dr.step("S", { optional = true }, function()
    http.post(os.getenv "URL", { query = { access_token = os.getenv "WORD" }, body = os.getenv "WORD" }) end)]],
  ["a program's variable"] = [[dr.step("S", { optional = true }, function()
    process.run { "sh", "-c", "echo with $PGPASSWORD >&2; exit 3", env = { PGPASSWORD = os.getenv "WORD" } } end)]],
}

for how, body in pairs(observed) do
  t.test("a credential that came by " .. how .. " is masked", function()
    local server = fake.start(function(request)
      return { status = 500, body = "said " .. request.body }
    end)
    t.cleanup(function() server:close() end)
    local all = said(body .. '\ndr.fail "over ***"',
      { WORD = "0b5erved-w0rd", MY_API_TOKEN = "0b5erved-w0rd",
      BASIC = crypto.base64 "me:0b5erved-w0rd", URL = server.url })
    absent(all, "0b5erved", how)
    absent(all, (crypto.base64 "me:0b5erved-w0rd":gsub("=", "")), how)
  end)
end

t.test("the password of sql.connect is masked where the server says it back", function()
  if not postgres.bin then t.skip("no PostgreSQL on this machine") end
  local cluster <close> = postgres.start()
  local all = said(([[
    dr.step("S", function()
      local db <close> = sql.connect { host = %q, port = %d, user = %q, dbname = %q, password = "0b5" .. "erved-w0rd" }
      dr.note(db:value("select 'it is 0b5' || 'erved-w0rd'"))
      db:value("select ('it is 0b5' || 'erved-w0rd')::int")
    end)]]):format(cluster.dir, cluster.port, "postgres", "postgres"))
  absent(all, "0b5erved-w0rd", "sql")
end)

t.test("a mark that a foreign text holds stays text, after a resume too", function()
  local used = {}
  local server = fake.start(function(request)
    if request.method == "GET" then return { body = "hello ***{pw} ***{} ****{pw}" } end
    table.insert(used, request.body)
    return { body = "" }
  end)
  t.cleanup(function() server:close() end)
  local w = program.workspace { ["a.lua"] = program.playbook(HEAD .. ([[
    local body = dr.step("Read", { risk = "read" }, function() return http.get(%q).body end)
    local outside = http.get(%q).body
    dr.step("Stop", function() if not files.exists "go" then dr.fail("stopped: " .. body) end end)
    dr.step("Tell", function() http.post(%q, { body = body .. "|" .. outside .. "|" .. p.pw }) end)]])
    :format(server.url, server.url, server.url), PARAMS) }
  local r = w.run({ "a.lua" }, { env = { CANARY = CANARY } })
  t.equal(r.code, 1)
  t.contains(r.out, "stopped: hello ***{pw} ***{} ****{pw}")
  w.write("go", "on")
  r = w.run({ "resume", "last" }, { env = { CANARY = CANARY } })
  t.equal(r.code, 0, r.out .. r.err)
  local text = "hello ***{pw} ***{} ****{pw}"
  t.equal(used, { text .. "|" .. text .. "|" .. CANARY })
  t.contains(w.run({ "report", "last" }).out, [[stopped: hello \*\*\*{pw} \*\*\*{} \*\*\*\*{pw}]])
end)
