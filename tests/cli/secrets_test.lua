-- A canary in a secret parameter, looked for everywhere in every form it can take.
local t = require "harness"
local client = require "sim.client"
local crypto = require "native.crypto"
local fs = require "native.fs"
local json = require "native.json"
local process = require "native.process"
local program = require "program"
local sim = require "sim"
local sql = require "sql"
local sys = require "native.sys"
local task = require "task"

local CANARY = 'cAn4ry-7f3"q\\o/t+e é&x'

local function encoded(text)
  local percent = text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end)
  return { text, (text:gsub('["\\]', "\\%0")), percent,
    crypto.base64(text):sub(1, -5), crypto.base64("x" .. text):sub(3, -5),
    crypto.base64("xy" .. text):sub(5, -5) }
end

local function everything(w, texts)
  for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/*") or {}) do
    local found = fs.stat(path)
    if found and found.type == "file" then table.insert(texts, fs.read(path)) end
  end
  return table.concat(texts, "\n")
end

local function hidden(w, r)
  local all = everything(w, { r.out, r.err })
  for i, form in ipairs(encoded(CANARY)) do
    t.ok(not all:find(form, 1, true), ("form %d of the secret is shown: %s"):format(i, form))
  end
end

local PARAMS = 'params = { { "pw", secret = true, env = "CANARY" } },'

t.test("no form of a secret is shown or kept: as JSON, in a URL, as base64 at any place", function()
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local process = require "process"
    local got = dr.step("Read back", function()
      return process.run { "sh", "-c", 'for before in "" x xy; do printf %s "$before$PW" | base64 -w0; done',
        env = { PW = p.pw } }.stdout
    end)
    dr.note(got)
    local json = require "json"
    dr.step("As JSON", function() return json.encode { pw = p.pw, inner = json.encode { p.pw } } end)
    dr.step("Kept", function() if not got:find("Y0FuNHJ5", 1, true) then dr.fail("lost") end end)
    dr.step("Fails", function() error("with " .. p.pw) end)
  ]], PARAMS) }
  for _, output in ipairs { "text", "json" } do
    local r = w.run({ "a.lua", "--trace", "--output", output }, { env = { CANARY = CANARY } })
    t.equal(r.code, 1)
    t.contains(r.out .. r.err, "with ***")
    hidden(w, r)
  end
end)

t.test("a program gets a secret only by name, and never as an argument", function()
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local process = require "process"
    dr.step("Environment", function()
      local seen = process.run { "sh", "-c",
        "cat /proc/$$/environ; echo; echo ${CANARY:-unset} ${DRLUA_PARAM_PW:-unset}" }
      if not seen.stdout:find("unset unset", 1, true) then dr.fail("the child has it") end
    end)
    dr.step("Argument", function() process.run { "true", "--password=" .. p.pw } end)]], PARAMS) }
  for _, name in ipairs { "CANARY", "DRLUA_PARAM_PW" } do
    local r = w.run({ "a.lua" }, { env = { [name] = CANARY } })
    t.equal(r.code, 1)
    t.contains(r.out, "the secret pw is among the arguments")
    hidden(w, r)
  end
end)

t.test("the secret's own process keeps it to itself: no core, not readable by others", function()
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local process = require "process"
    dr.step("Limits", function()
      return process.run { "sh", "-c", "grep 'core file' /proc/$PPID/limits; stat -c %u /proc/$PPID/environ" }.stdout
    end)]], PARAMS) }
  local r = w.run({ "a.lua", "--output", "json" }, { env = { CANARY = CANARY } })
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "Max core file size        0 ")
end)

-- Every process below this one, by its id: what /proc shows of its arguments and variables.
local function descendants()
  local parents, found = {}, {}
  for _, name in ipairs(fs.list("/proc") or {}) do
    local stat = name:find("^%d+$") and fs.read("/proc/" .. name .. "/stat")
    if stat then parents[name] = stat:match("^.*%) %S (%d+)") end
  end
  for pid in pairs(parents) do
    local up = pid
    while up and up ~= tostring(sys.pid()) do up = parents[up] end
    if up and pid ~= up then
      local path = "/proc/" .. pid
      found[pid] = (fs.read(path .. "/cmdline") or "") .. "\0"
        .. (fs.read(path .. "/environ") or "")
    end
  end
  return found
end

-- While the playbook holds still, those that show the secret: the arguments of each.
local function shown_by_processes(w, arguments, options)
  local seen, count = {}, 0
  options.on_line = function(line)
    if not line:find("hold still", 1, true) then return end
    for _, text in pairs(descendants()) do
      count = count + 1
      if text:find(CANARY, 1, true) then
        table.insert(seen, (text:match("^(.-)%z%z"):gsub("%z", " ")))
      end
    end
    w.write("go", "on")
  end
  local r = w.run(arguments, options)
  t.equal(r.code, 0, r.out .. r.err)
  t.ok(count > 0, "no process was looked at")
  return seen, r
end

-- The program that is handed the secret on purpose holds it in its environment; another
-- has it by its input, which no one can read.
local HOLD = [[
    local process = require "process"
    local files = require "files"
    dr.step("Hold", function()
      dr.parallel {
        function() -- without children, which would inherit it
          process.run { "sh", "-c", "while [ ! -e go ]; do :; done # on purpose", env = { PW = p.pw } }
        end,
        function()
          process.run { "sh", "-c", "read pw; while [ ! -e go ]; do sleep 0.05; done", stdin = p.pw .. "\n" }
        end,
        function()
          process.run { "sh", "-c", "sleep 0.2" }
          dr.note "hold still"
          dr.wait_until("go", { every = "50ms", timeout = "20s" }, function() return files.exists "go" end)
        end,
      }
    end)]]

t.test("no process shows a secret but the one that was handed it "
  .. "on purpose, however it came", function()
  local ways = { { CANARY = CANARY }, { DRLUA_PARAM_PW = CANARY }, { PROD_PASSWORD = CANARY } }
  for i, env in ipairs(ways) do
    local w = program.workspace { ["a.lua"] = program.playbook(HOLD, PARAMS) }
    w.write("env/prod.lua", 'return { params = { pw = require("drlua").env "PROD_PASSWORD" } }')
    local arguments = { "a.lua", "--yes", "--output", "json" }
    if i == 3 then table.move({ "--env", "prod" }, 1, 2, 5, arguments) end
    local seen = shown_by_processes(w, arguments, { env = env })
    t.equal(#seen, 1, i .. ": " .. table.concat(seen, "; "))
    t.contains(seen[1], "on purpose")
  end
end)

t.test("a rehearsal hands its secrets over by a pipe, and leaves none behind", function()
  local w = program.workspace { ["a.lua"] = program.playbook(HOLD, PARAMS) }
  w.write("rehearsals/a.lua",
    ("return { speed = 240, secrets = { pw = %q }, world = {} }"):format(CANARY))
  w.write("tmp/keep", "")
  local seen, r = shown_by_processes(w, { "rehearse", "a.lua", "--output", "json" },
    { env = { TMPDIR = w.directory .. "/tmp" } })
  t.equal(#seen, 1, table.concat(seen, "; "))
  t.contains(seen[1], "on purpose")
  hidden(w, r)
  local pipe = assert(
    io.popen(("grep -rlF cAn4ry %s/state %s/tmp; true"):format(w.directory, w.directory)))
  t.equal(pipe:read("a"), "")
  pipe:close()
end)

t.test("secrets on the standard input must be a JSON object", function()
  local w = program.workspace { ["a.lua"] = program.playbook("dr.step('x', function() end)",
    PARAMS) }
  local r = w.run({ "a.lua" }, { env = { DRLUA_SECRETS = "stdin" } })
  t.equal(r.code, 2)
  t.contains(r.err, "there is no JSON object on the standard input")
end)

t.test("a secret that cannot be masked is told of", function()
  local w = program.workspace { ["a.lua"] = program.playbook("dr.step('x', function() end)",
    PARAMS) }
  local r = w.run({ "a.lua" }, { env = { CANARY = "abc" } })
  t.equal(r.code, 0, r.err)
  t.contains(r.err, "the secret pw is too short to be masked")
end)

t.test("the simulator shows no password: not in its state, calls, log, "
  .. "files or its servers' logs", function()
  local said = {}
  local s = sim.start { speed = 2000, log = function(text) table.insert(said, text) end }
  t.cleanup(function() s:stop() end)
  local first, second = "cAn4ry'one%d\\x", "cAn4ry'two%d\\x"
  client.ok(s, "rds", "CreateDBInstance",
    { DBInstanceIdentifier = "a", DBInstanceClass = "db.t3.micro",
    Engine = "postgres", MasterUsername = "shop", MasterUserPassword = first,
    AllocatedStorage = 20 })
  client.instance(s, "a")
  client.ok(s, "rds", "ModifyDBInstance", { DBInstanceIdentifier = "a", MasterUserPassword = second,
    ApplyImmediately = true })
  client.until_true("the new password", function() return s:instance("a").password == second end)
  local shape = client.instance(s, "a")
  client.fails(s, "InvalidParameterValue", "rds", "ModifyDBInstance", { DBInstanceIdentifier = "a",
    MasterUserPassword = "cAn4ry/@", ApplyImmediately = true })
  -- By a playbook, as the master user; one statement fails.
  local db = sql.connect { host = shape.Endpoint.Address, port = shape.Endpoint.Port, user = "shop",
    password = second,
    dbname = "postgres" }
  db:exec("CREATE ROLE reader LOGIN PASSWORD 'cAn4ry-reader'")
  t.raises("does not exist", db.exec, db, "ALTER ROLE nobody PASSWORD 'cAn4ry-nobody'")
  db:close()
  t.raises(nil, sql.connect,
    { host = shape.Endpoint.Address, port = shape.Endpoint.Port, user = "shop",
    password = "cAn4ry-wrong", dbname = "postgres" })
  for _, path in ipairs { "state", "calls" } do
    t.ok(not json.encode((client.admin(s, "GET", path))):find("cAn4ry", 1, true), path)
  end
  t.ok(not table.concat(said, "\n"):find("cAn4ry", 1, true), "its log")
  local pipe = assert(io.popen("grep -rlaF cAn4ry " .. s.host.root .. "; true"))
  t.equal(pipe:read("a"), "")
  pipe:close()
end)

t.test("killed by a fault, with cores allowed, it leaves none", function()
  for _, name in ipairs { "SEGV", "ABRT" } do
    local w = program.workspace { ["a.lua"] = program.playbook(([[
      local process = require "process"
      dr.step("Dies", function()
        process.run { "sh", "-c", "grep 'core file' /proc/self/limits >limits; kill -%s $PPID; sleep 10" }
      end)]]):format(name), PARAMS) }
    local env = { CANARY = CANARY }
    for k, v in pairs(w.env) do env[k] = v end
    local proc <close> = assert(process.start { argv = { "sh", "-c",
      'ulimit -c unlimited 2>/dev/null; "$@"; exit 7', "sh", sys.exe(), "a.lua", "--yes" },
      env = env, cwd = w.directory, stdin = "null", stdout = "null", stderr = "pipe" })
    local said = {}
    for data in function() return (task.await(proc:read("stderr"))) end do
      table.insert(said, data)
    end
    t.equal(task.await(proc:wait()).code, 7)
    t.ok(not table.concat(said):find("core dumped", 1, true), table.concat(said))
    for _, file in ipairs(fs.list(w.directory)) do t.ok(not file:find("core", 1, true), file) end
    t.matches(assert(fs.read(w.directory .. "/limits")), "Max core file size +0 +0 ")
  end
end)

t.test("other processes of the same account cannot look into it", function()
  if sys.exe():find("/asan/", 1, true) then
    t.skip("the sanitizer's leak checker must look into its own process")
  end
  local directory = program.directory()
  assert(fs.chmod(directory, tonumber("755", 8)))
  assert(fs.write(directory .. "/a.lua",
    'os.execute("stat -c %u /proc/$PPID/environ; cat /proc/$PPID/environ")',
    { mode = tonumber("644", 8) }))
  -- A copy: the tree may stand in a directory that is closed to others.
  local copy = directory .. "/drlua"
  assert(os.execute(("cp '%s' '%s' && chmod 755 '%s'"):format(sys.exe(), copy, copy)))
  local nobody = sys.uid() == 0 and { uid = 65534, gid = 65534 } or nil
  local proc <close
    > = assert(process.start { argv = { copy, "script", directory .. "/a.lua" }, user = nobody,
    env = { CANARY = CANARY, HOME = directory }, stdin = "null", stdout = "pipe",
    stderr = "stdout" })
  local said = {}
  for data in function() return (task.await(proc:read("stdout"))) end do
    table.insert(said, data)
  end
  task.await(proc:wait())
  t.matches(table.concat(said), "^0\n.*Permission denied")
end)
