-- run.sensitive: what AWS and playbooks make secret is in no journal, output or report, and
-- a resume has it again.
local t = require "harness"
local crypto = require "native.crypto"
local fake = require "fake"
local fs = require "native.fs"
local json = require "json"
local program = require "program"
local sqlite = require "native.sqlite"
local values = require "run.value"

local NEEDLE = "4711-canary" -- in every secret

local function lambda_answer(variables)
  return { FunctionName = "f", Environment = { Variables = variables } }
end

-- A secretsmanager, a lambda and a chat in one.
local function cloud()
  local self = { put = {},
    lambda = { DB_PASSWORD = "lambda 4711-canary", ENDPOINT = "https://4711-canary.internal" },
    used = {}, draws = 0 }
  local function answer(body) return { status = 200, body = json.encode(body),
    headers = { { "Content-Type",
    "application/x-amz-json-1.1" } } } end
  self.server = fake.start(function(request)
    local target
    for _, pair in ipairs(request.headers) do
      if pair[1]:lower() == "x-amz-target" then target = pair[2]:match("[^.]*$") end
    end
    if target == "GetSecretValue" then
      return answer { ARN = "a", Name = "n", VersionId = ("v"):rep(32),
        SecretString = '{"user":"shop","password":"json 4711-canary"}' }
    elseif target == "GetRandomPassword" then
      self.draws = self.draws + 1
      return answer { RandomPassword = ("drawn %d 4711-canary"):format(self.draws) }
    elseif target == "PutSecretValue" then
      table.insert(self.put, json.decode(request.body).SecretString)
      if self.silent then return { reset = true } end
      return answer { ARN = "a", Name = "n", VersionId = ("v"):rep(32) }
    elseif request.target:find("/functions/f/configuration", 1, true) then
      if request.method == "PUT" then
        self.lambda = json.decode(request.body).Environment.Variables
      end
      return answer(lambda_answer(self.lambda))
    end
    table.insert(self.used, request.body)
    return { status = 200, body = "thanks for " .. request.body }
  end)
  t.cleanup(function() self.server:close() end)
  return self
end

-- The source is kept as it is: no secret is written in it.
local function workspace(c, body)
  body = body:gsub("4711%-canary", '4711-" .. "canary')
  local w = program.workspace { ["a.lua"] = ([[
local dr, aws, http, files, json = require "drlua", require "aws", require "http", require "files", require "json"
return dr.playbook { title = "Secrets", run = function(p)
  local sm, lambda = aws.secretsmanager { region = "us-east-1" }, aws.lambda { region = "us-east-1" }
  local function use(value) http.post("%s/use", { body = value }) end
%s
end }]]):format(c.server.url, body) }
  for name, value in pairs { AWS_ENDPOINT_URL = c.server.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test", AWS_EC2_METADATA_DISABLED = "true" } do w.env[name] = value end
  return w
end

-- Everything that the run left or said, but for its key.
local function hidden(w, ...)
  local texts = { ... }
  for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/*") or {}) do
    local found = fs.stat(path)
    if found.type == "file" and not path:find("/key$") then
      table.insert(texts, (assert(fs.read(path))))
    end
  end
  local all = table.concat(texts, "\n")
  for _, form in ipairs { NEEDLE, "4711%-canary", crypto.hex(NEEDLE),
    (crypto.base64(NEEDLE):sub(1, -5)) } do
    local at = all:find(form, 1, true)
    t.ok(not at, "shown: " .. all:sub(math.max((at or 1) - 200, 1), (at or 1) + 30))
  end
end

-- The body of a playbook up to where it stops once, and what it must have afterwards.
local ways = {
  ["a read outside of steps"] = {
    before = 'local v = json.decode(sm:get_secret_value { SecretId = "n" }.SecretString).password',
    use = "v", is = "json 4711-canary" },
  ["a read in a step, its result"] = {
    before = [[local v = dr.step("Get", { risk = "read" }, function()
      return sm:get_secret_value { SecretId = "n" }.SecretString end)]],
    use = "v", is = '{"user":"shop","password":"json 4711-canary"}' },
  ["a drawn password that is put away"] = {
    before = [[local v = dr.step("Draw", function()
      local drawn = sm:get_random_password {}.RandomPassword
      sm:put_secret_value { SecretId = "n", SecretString = drawn }
      return { login = { user = "shop", password = drawn } } end).login.password]],
    use = "v", is = "drawn 1 4711-canary" },
  ["a change's answer"] = {
    before = [[local v = dr.step("Set", function()
      local variables = lambda:get_function_configuration { FunctionName = "f" }.Environment.Variables
      variables.DB_PASSWORD = "changed 4711-canary"
      local after = lambda:update_function_configuration { FunctionName = "f", Environment = { Variables = variables } }
      return after.Environment.Variables end)]],
    use = 'v.DB_PASSWORD .. " " .. v.ENDPOINT',
    is = "changed 4711-canary https://4711-canary.internal" },
  ["dr.secret, with other characters around it"] = {
    before = [[local v = dr.step("Make", function()
      return "postgres://u:" .. dr.secret("made&4711-canary") .. "@h" end)]],
    use = "v", is = "postgres://u:made&4711-canary@h" },
  ["dr.secret of a table"] = {
    before = 'local v = dr.step("Make", function() return dr.secret { a = { "deep '
      .. '4711-canary" } } end).a[1]',
    use = "v", is = "deep 4711-canary" },
  ["the answer of a server that says it back"] = {
    before = [[local v = dr.step("Say", function() dr.secret("said 4711-canary")
      return http.post(URL, { json = { say = "said 4711-canary" } }).body end)]],
    use = "v", is = 'thanks for {"say":"said 4711-canary"}' },
}

for way, case in pairs(ways) do
  t.test("in no journal, output or report, and there again after a resume: " .. way, function()
    local c = cloud()
    local w = workspace(c, ('local URL = %q\n%s\n' .. [[
  dr.note("it is " .. %s)
  dr.step("Stop", function() if not files.exists "go" then dr.fail("stopped with " .. %s) end end)
  dr.step("Use", function() use(%s) end)]]):format(c.server.url, case.before, case.use, case.use, case.use))
    for _, output in ipairs { "text", "json" } do
      local first = w.run { "a.lua", "--output", output, "--trace" }
      t.equal(first.code, 1, first.out .. first.err)
      t.contains(first.out .. first.err, "stopped with ")
      w.write("go", "on")
      c.used = {}
      local again = w.run { "resume", "last", "--output", output, "--trace" }
      t.equal(again.code, 0, again.out .. again.err)
      t.equal(c.used, { case.is })
      hidden(w, first.out, first.err, again.out, again.err,
        w.run({ "show", "last", "--output", output }).out,
        w.run({ "report", "last" }).out)
      assert(fs.remove(w.directory .. "/go"))
      c.draws = 0
    end
  end)
end

-- How many different calls the journal's intents are.
local function tokens_of(w)
  local path = assert(fs.glob(w.directory .. "/state/runs/*/journal.db"))[1]
  local db <close> = assert(sqlite.open(path, { readonly = true }))
  local seen, count = {}, 0
  for _, row in ipairs(assert(db:rows "SELECT data FROM events WHERE kind = 'intent'")) do
    local token = values.decode(row.data).token
    if not seen[token] then count = count + 1 end
    seen[token] = true
  end
  return count
end

t.test("a call in doubt: its input comes back as it was, and another one is noticed", function()
  for _, drawn in ipairs { "read", "fixed", "other" } do
    local c = cloud()
    local w = workspace(c, ([[
      dr.step("Draw", function()
        local drawn = %s
        sm:put_secret_value { SecretId = "n", SecretString = drawn }
      end)]]):format(({ read = "sm:get_random_password {}.RandomPassword", fixed = '"fixed 4711-canary"',
      other = 'os.getenv "WORD" .. " 4711-canary"' })[drawn]))
    w.env.AWS_MAX_ATTEMPTS = "1"
    c.silent = true
    local first = w.run({ "a.lua", "--output", "json" }, { env = { WORD = "first" } })
    t.ok(first.code ~= 0, first.out)
    c.silent = false
    local again = w.run({ "resume", "last", "--output", "json" }, { env = { WORD = "second" } })
    hidden(w, first.out, first.err, again.out, again.err)
    t.equal(again.code, 0, again.out .. again.err)
    t.ok(#c.put >= 2, "sent " .. #c.put)
    t.equal(c.put[#c.put], drawn == "other" and "second 4711-canary" or c.put[1])
    t.equal(tokens_of(w), drawn == "other" and 2 or 1)
  end
end)

t.test("without its key a run says what is missing, and shows nothing", function()
  for _, way in ipairs { "a read in a step, its result", "a change's answer",
    "a read outside of steps" } do
    local c = cloud()
    local case = ways[way]
    local w = workspace(c, ('%s\n' .. [[
      dr.step("Stop", function() if not files.exists "go" then dr.fail "stopped" end end)
      dr.step("Use", function() use(%s) end)]]):format(case.before, case.use))
    t.equal(w.run({ "a.lua" }).code, 1)
    local key = assert(fs.glob(w.directory .. "/state/runs/*/key"))[1]
    t.equal(assert(fs.stat(key)).mode & 511, 384)
    local text = fs.read(key)
    assert(fs.remove(key))
    w.write("go", "on")
    local r = w.run { "resume", "last" }
    t.equal(r.code, 1, r.out .. r.err)
    t.contains(r.out, "bring the key back")
    hidden(w, r.out, r.err)
    assert(fs.write(key, text, { mode = 384 }))
    r = w.run { "resume", "last" }
    t.equal(r.code, 0, r.out .. r.err)
    t.equal(c.used, { case.is })
  end
end)

t.test("dr.secret refuses what it cannot hide", function()
  local w = workspace(cloud(), [[
    for _, value in ipairs { 5, true, "abc" } do dr.note(tostring(select(2, dr.try(dr.secret, value)))) end
    dr.secret("unused-4711-canary")]])
  local r = w.run { "a.lua" }
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.err, "dr.secret takes a text, or a table of texts, not a number")
  t.contains(r.err, "fewer than 4 characters")
  hidden(w, r.out, r.err)
end)

t.test("plan and check mask what they read", function()
  local c = cloud()
  local w = workspace(c, [[
    local v = json.decode(sm:get_secret_value { SecretId = "n" }.SecretString).password
    dr.step("Show " .. v, function() dr.note(v) sm:put_secret_value { SecretId = "n", SecretString = v } end)]])
  for _, output in ipairs { "text", "json" } do
    local r = w.run { "plan", "a.lua", "--output", output }
    t.equal(r.code, 0, r.out .. r.err)
    hidden(w, r.out, r.err)
  end
  t.equal(c.put, {})
end)

t.test("a step whose name holds a secret keeps its place, under another name", function()
  local c = cloud()
  local w = workspace(c, [[
    local v = dr.secret("named/4711-canary")
    dr.step("Connect with " .. v, function() use "once" end)
    dr.check("that " .. v, function() end)
    dr.step("Stop at " .. v, function() if not files.exists "go" then dr.fail "stopped" end end)]])
  t.equal(w.run({ "a.lua" }).code, 1)
  w.write("go", "on")
  local r = w.run { "resume", "last", "--output", "json" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(c.used, { "once" })
  hidden(w, r.out, r.err, w.run({ "show", "last" }).out, w.run({ "report", "last" }).out)
end)
