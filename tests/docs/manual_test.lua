-- The manuals' examples, run. A fenced block of Lua in README.md and docs/ says after
-- its language what becomes of it:
--
--     lua playbook        loaded, planned and shown by `drlua help`
--     lua run             the body of a playbook's `run`: planned, then run
--     lua ready           the body of a playbook's `ready`: checked
--     lua script          run by `drlua script`
--     lua moto            the same against moto, for services that the simulator lacks
--     lua fragment        compiled, as it stands between braces
--     lua                 compiled
--
-- file=PATH keeps the block in the manual's workspace, where later blocks of the same
-- manual and the rehearsals find it. A world of the simulator is there for them all.
local fs = require "native.fs"
local moto = require "moto"
local program = require "program"
local sim = require "sim"
local t = require "harness"

local PASSWORD = "secret-word"

local function world()
  return {
    instances = { { id = "shop", user = "shop", password = PASSWORD, db = "shop", retention = 7,
      sql = "create table orders (id int primary key, state text not null, total int not null);"
        .. "insert into orders select n, 'new', n from generate_series(1, 100) n" } },
    replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } },
    vaults = { { name = "nightly" } },
    timeline = { { instance = "shop", backup = "nightly", age = "26h" } },
    zones = { { id = "Z1", name = "shop.example", records = {
      { Name = "db.shop.example", Type = "CNAME", TTL = 60, values = { "endpoint:shop" } } } } },
    ecs = { { cluster = "shop", services = { { name = "web", desired = 2 } } } },
    health = { shop = { region = "us-east-1", instance = "shop" } },
  }
end

-- What a body of `run` or `ready` has at hand.
local AROUND = [[
local aws, dr, files, http, json = require "aws", require "drlua", require "files", require "http", require "json"
local process, sql, text, time = require "process", require "sql", require "text", require "time"
local backups, databases = require "toolbox.backups", require "toolbox.databases"
local dns, integrity = require "toolbox.dns", require "toolbox.integrity"
local notify, services = require "toolbox.notify", require "toolbox.services"
local _ = { aws, dr, files, http, json, process, sql, text, time, backups, databases, dns, integrity, notify, services }
return dr.playbook { title = "An example", params = { { "db_password", secret = true, env = "DB_PASSWORD" },
  { "url" }, { "chat_url" } },
%s = function(p)
%s
end }
]]

local manuals = { "README.md" }
for _, name in ipairs(assert(fs.list("docs"))) do
  if name:find("%.md$") then table.insert(manuals, "docs/" .. name) end
end

-- The blocks of a manual: { kind, file, code, line }.
local function blocks_of(path)
  local blocks, open, number = {}, nil, 0
  for line in (assert(fs.read(path)) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    if open and line:find("^```%s*$") then
      open.code = table.concat(open.lines, "\n") .. "\n"
      table.insert(blocks, open)
      open = nil
    elseif open then
      table.insert(open.lines, line)
    elseif line:find("^```") then
      local words = line:match("^```(.*)$")
      open = { lua = words:find("^lua") ~= nil, kind = words:match("^lua (%l+)%f[%s\0]") or "lua",
        file = words:match("file=(%S+)"), lines = {}, line = number, path = path }
      if open.kind == "file" then open.kind = "lua" end
    end
  end
  return blocks
end

local function place(block) return ("%s:%d"):format(block.path, block.line) end

local function expect_zero(block, what, r)
  t.equal(r.code, 0, ("%s (%s): %s%s"):format(place(block), what, r.out, r.err))
end

local run = {}

-- Compiles; a lone table body or expression is fine as well.
function run.lua(block)
  local name = "@" .. place(block)
  local chunk, message = load(block.code, name, "t")
  t.ok(chunk or load("return " .. block.code, name, "t"), message)
end

function run.fragment(block)
  local chunk, message = load("return {" .. block.code .. "}", "@" .. place(block), "t")
  t.ok(chunk, message)
end

local function write(w, block, text)
  local name = block.file or ("example_%d.lua"):format(block.line)
  w.write(name, text or block.code)
  return name
end

function run.playbook(block, w)
  local name = write(w, block)
  expect_zero(block, "help", w.run { "help", name })
end

function run.run(block, w)
  local name = write(w, block, AROUND:format("run", block.code))
  local urls = { "--url", w.url, "--chat-url", w.chat_url }
  expect_zero(block, "plan", w.run { "plan", name, table.unpack(urls) })
  expect_zero(block, "run", w.run { name, "--yes", table.unpack(urls) })
end

function run.ready(block, w)
  local name = write(w, block, AROUND:format("ready", block.code))
  expect_zero(block, "check", w.run { "check", name, "--url", w.url, "--chat-url", w.chat_url })
end

function run.script(block, w)
  expect_zero(block, "script", w.run { "script", write(w, block) })
end

function run.moto(block, w)
  if not w.moto then return end
  expect_zero(block, "script",
    w.run({ "script", write(w, block) }, { env = { AWS_ENDPOINT_URL = w.moto } }))
end

local function workspace(url, chat_url)
  local w = program.workspace()
  for _, name in ipairs { "playbooks", "playbooks/env", "playbooks/rehearsals" } do
    assert(fs.mkdir(w.directory .. "/" .. name, 448))
  end
  for name, value in pairs { AWS_ENDPOINT_URL = url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test", AWS_REGION = "us-east-1", AWS_CONFIG_FILE = "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE = "/dev/null", AWS_EC2_METADATA_DISABLED = "true",
    DB_PASSWORD = PASSWORD, SIM_URL = url } do w.env[name] = value end
  w.env.DRLUA_STDLIB, w.url, w.chat_url = "", url, chat_url
  return w
end

local function wants(blocks, kind)
  for _, block in ipairs(blocks) do
    if block.lua and block.kind == kind then return true end
  end
  return false
end

for _, path in ipairs(manuals) do
  local blocks = blocks_of(path)
  t.test("the examples of " .. path, function()
    local url = "http://127.0.0.1:1"
    local chat_url = url
    if wants(blocks, "run") or wants(blocks, "ready") or wants(blocks, "script") then
      local s = sim.start { world = world(), speed = 600 }
      t.cleanup(function() s:stop() end)
      url, chat_url = s.url, s:sink_url("chat")
    end
    local w = workspace(url, chat_url)
    if wants(blocks, "moto") and moto.present() then
      local server = moto.start()
      t.cleanup(function() server.stop() end)
      w.moto = server.url
    end
    for _, block in ipairs(blocks) do
      if block.lua then
        local fn = t.ok(run[block.kind], ("%s: a block of unknown kind %s"):format(place(block),
          block.kind))
        if block.file then w.write(block.file, block.code) end
        fn(block, w)
      end
    end
    for _, block in ipairs(blocks) do
      if block.file and block.file:find("/rehearsals/", 1, true) then
        local playbook = block.file:gsub("rehearsals/", "")
        expect_zero(block, "rehearse", w.run { "rehearse", playbook, "--seed", "7" })
      end
    end
  end)
end

t.test("the links between the manuals lead somewhere", function()
  for _, path in ipairs(manuals) do
    local directory = path:match("^(.*/)") or ""
    for target in assert(fs.read(path)):gmatch("%]%(([%w_/.-]+)%)") do
      t.ok(fs.stat(directory .. target), ("%s names %s, which is not there"):format(path, target))
    end
  end
end)
