-- Generated playbooks under plan and check: whatever they do, nothing in the world changes,
-- counted at the wire, in rows, processes and files. The seed is printed; DRLUA_SEED repeats
-- one, DRLUA_PLAYBOOKS says how many (20).
local t = require "harness"
local fs = require "native.fs"
local program = require "program"
local sim = require "sim"
local sys = require "native.sys"

local PASSWORD = "generated-test-password"
local SEED = math.tointeger(tonumber(sys.getenv("DRLUA_SEED") or os.time()))
local COUNT = tonumber(sys.getenv("DRLUA_PLAYBOOKS") or 20)

-- Numbers that are the same for the same seed, whatever else draws some.
local function generator(seed)
  local state = seed * 2654435761 % 2147483647 + 1
  return function(n)
    state = state * 48271 % 2147483647
    return state % n + 1
  end
end

-- Expressions and statements; $V is a value that came before, $B a block of statements,
-- $N a number that is used once.
local VALUES = {
  "$V.x", "$V[1]", "$V .. 'x'", "('%s-%d'):format($V, 1)", "#$V", "$V == 'x'", "$V < 5",
    "tostring($V)",
  "next($V)", "tonumber($V)", "$V.list or {}", "{ $V, a = $V }", "nil", "'shop'", "7", "{}",
    "dr.now()",
}
local READS = {
  "rds:describe_db_instances { DBInstanceIdentifier = 'shop' }",
    "rds:describe_db_instances { DBInstanceIdentifier = $V }",
  "rds:all('describe_db_instances', {}, 'DBInstances')",
    "db:query('select x from kept where x = $1', $V)",
  "db:value 'select count(*) from kept'", "files.exists(mark .. $N)", "files.read(mark)",
    "http.get(url)",
  "process.run({ 'look', 'at', read = true })",
    "rds:wait('db_instance_available', { DBInstanceIdentifier = 'shop' })",
}
local CHANGES = {
  "rds:modify_db_instance { DBInstanceIdentifier = 'shop', BackupRetentionPeriod = "
    .. "$N, ApplyImmediately = true }",
  "rds:create_db_instance { DBInstanceIdentifier = 'new$N', DBInstanceClass = "
    .. "'db.t3.micro', Engine = 'postgres' }",
  "rds:delete_db_instance { DBInstanceIdentifier = $V, SkipFinalSnapshot = true }",
  "rds:create_db_snapshot { DBInstanceIdentifier = 'shop', DBSnapshotIdentifier = 'snap$N' }",
  "db:exec('insert into kept values ($N)')", "db:exec('update kept set x = $1', $V)",
  "db:transaction(function() $B end)", "db:copy_in('copy kept from stdin', '$N\\n')",
  "process.run { 'touch', mark .. $N }", "process.run { 'touch', mark, $V }",
  "http.post(url, { json = { n = $N, v = $V } })", "http.get(url, { save_to = mark .. $N })",
  "files.write(mark .. $N, 'x')", "files.mkdir(mark .. $N)", "files.rename('a.lua', mark .. $N)",
    "files.remove(mark)",
  "files.write($V, $V)",
    "files.temporary(function(d) files.write(d .. '/x', 'x') "
      .. "files.rename(d .. '/x', mark .. $N) end)",
  "pcall(db.query, db, 'explain analyze create table made$N as select 1')",
    "db:exec 'select nextval(''seq'')'",
}
local BLOCKS = {
  "dr.step('S$N', function() $B return $E end)",
    "dr.step('S$N', { risk = 'irreversible' }, function() $B end)",
  "dr.step('S$N', { when = $E, optional = true }, function() $B end)",
  "dr.step('S$N', { done = function() $B return $E end, undo = function() "
    .. "$B end }, function() $B end)",
  "dr.parallel { function() $B end, function() $B end }",
    "dr.each({ 1, $E }, function(item) $B return item end)",
  "dr.check('C$N', function() $B return $E end)",
    "dr.wait_until('W$N', { timeout = '1s' }, function() $B return $E end)",
  "if $E then $B else $B end", "for i = 1, 3 do $B end", "for _, v in pairs($E or {}) do $B end",
  "for _, v in ipairs($E or {}) do $B end", "pcall(function() $B end)", "dr.try(function() $B end)",
  "for v in coroutine.wrap(function() $B coroutine.yield(1) $B end) do $B end",
  "pcall(dr.note, setmetatable({}, { __tostring = function() $B return 'n' end }))",
  "pcall(table.sort, { 2, 1 }, function(a, b) $B return a < b end)",
    "pcall(string.gsub, 'ab', 'a', function() $B end)",
  "do local x <close> = setmetatable({}, { __close = function() $B end }) end",
    "dr.approve('go ' .. tostring($V))",
  "if $E then dr.fail('no $N') end", "if $E then dr.skip('skip $N') end", "error('x$N')",
}

local function Playbook(draw)
  local self = { n = 0, names = { "p" }, budget = 60 }
  local function pick(list) return list[draw(#list)] end
  local fill, block
  function fill(text, depth)
    return (text:gsub("%$([VBNE])", function(kind)
      if kind == "N" then
        self.n = self.n + 1
        return tostring(self.n)
      end
      if kind == "V" then return pick(self.names) end
      if kind == "E" then return fill(pick(draw(3) == 1 and READS or VALUES), depth + 1) end
      return block(depth + 1)
    end))
  end
  local function statement(depth)
    local choice = draw(10)
    if choice <= 3 and depth < 5 then return fill(pick(BLOCKS), depth) end
    local list = choice <= 7 and CHANGES or choice <= 9 and READS or VALUES
    local text = fill(pick(list), depth)
    if draw(2) == 1 then return ("keep(function() return %s end)"):format(text) end
    if draw(2) == 1 then return ("pcall(function() return %s end)"):format(text) end
    return ("local _ = %s"):format(text)
  end
  function block(depth)
    local lines = {}
    for _ = 1, draw(3) do
      if self.budget <= 0 then break end
      self.budget = self.budget - 1
      -- In a block of its own: what follows a return or an error would not load.
      table.insert(lines, "do " .. statement(depth) .. " end")
    end
    return table.concat(lines, " ")
  end
  self.names = { "made", "v1", "v2", "v3", "p" }
  local lines = {}
  for _ = 1, 3 + draw(4) do table.insert(lines,
    ("    dr.try(function() %s end)"):format(block(0))) end
  return table.concat(lines, "\n")
end

local TEXT = [[
local aws, dr, files, http = require "aws", require "drlua", require "files", require "http"
local process, sql = require "process", require "sql"
local function body(p)
    local mark, url = p.mark, p.url
    local rds = aws.rds { region = "us-east-1" }
    local db = sql.connect { host = p.host, dbname = "shop", user = "shop",
      password = "]] .. PASSWORD .. [[" }
    local made = dr.%s("First", function() return process.run { "touch", mark } end)
    local v1, v2, v3
    local function keep(fn) v1, v2, v3 = fn(), v1, v2 end
%s
end
return dr.playbook { title = "Generated", params = { { "mark" }, { "url" }, { "host" } },
  run = body, ready = body }
]]

-- What there is: rows, files and what they hold, programs started, posts.
local function state_of(s, w)
  local function value(query) return tostring(s:sql("shop", query,
    { dbname = "shop" }).rows[1][1]) end
  local files = {}
  for _, name in ipairs(fs.list(w.directory)) do
    if name ~= "state" and name ~= "a.lua" then files[name] = fs.read(w.directory .. "/" .. name)
      or "directory" end
  end
  return { rows = value "select coalesce(sum(x), 0) || ' in ' || count(*) from kept", seq = value
    "select last_value || ' ' || is_called from seq",
      tables = value "select count(*) from pg_class", files = files,
    playbook = fs.read(w.directory .. "/a.lua"), posts = #(s.sinks.chat or {}) }
end

-- Programs that write down that they were started.
local function programs(w)
  local bin = w.directory .. "/bin"
  assert(fs.mkdir(bin, 448))
  for _, name in ipairs { "touch", "look" } do
    assert(fs.write(bin .. "/" .. name,
      ('#!/bin/sh\n[ %s = look ] || echo "$0 $*" >> %s/started\n'):format(name,
      w.directory), { mode = 448 }))
  end
  return bin .. ":" .. sys.getenv "PATH"
end

t.test(("%d generated playbooks change nothing under plan and check (seed %d)"):format(COUNT, SEED),
  function()
  local s = sim.start { speed = 2000, world = { instances = { { id = "shop", user = "shop",
    password = PASSWORD,
    db = "shop",
      sql = "create table kept (x int); insert into kept values (1); create sequence seq;" } } } }
  t.cleanup(function() s:stop() end)
  local w = program.workspace {}
  local env = { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test", PATH = programs(w) }
  local arguments = { "--mark", w.directory .. "/mark", "--url", s.url .. "/_sim/sink/chat",
    "--host",
    s:instance("shop").shape.Endpoint.Address }
  s.calls:clear()
  local codes = {}
  for i = 1, COUNT do
    local draw = generator(SEED + i)
    local text = Playbook(draw)
    for _, verb in ipairs { "plan", "check" } do
      w.write("a.lua", TEXT:format(verb == "plan" and "step" or "check", text))
      local before = state_of(s, w)
      local r = w.run({ verb, "a.lua", table.unpack(arguments) }, { env = env })
      local what = ("DRLUA_SEED=%d DRLUA_PLAYBOOKS=1, %s: %s%s\n%s"):format(SEED + i - 1, verb,
        r.out, r.err, text)
      t.ok(r.code and r.code <= 3, "ended by " .. tostring(r.signal or r.code) .. ": " .. what)
      t.ok(not r.err:find("stdlib/", 1, true), "shows insides: " .. what)
      t.equal(state_of(s, w), before, what)
      t.equal(#s.calls:list { mutating = true }, 0, what)
      codes[r.code] = (codes[r.code] or 0) + 1
    end
  end
  -- Most of them get somewhere.
  t.ok((codes[0] or 0) > 0, "none could be planned: " .. t.show(codes))
end)
