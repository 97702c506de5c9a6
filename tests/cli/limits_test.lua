-- Limits at the command line: what a plan says of them, what is refused before anything
-- begins, and what a run and its resumes refuse to send.
local fs = require "native.fs"
local program = require "program"
local sim = require "sim"
local t = require "harness"

local playbook = program.playbook

local DELETING = [[
  local process = require "process"
  for i = 1, 3 do
    dr.step("Delete " .. i, function() process.run { "kubectl", "delete", "pod", "web-" .. i } end)
  end
  dr.step("Make", function() probe.create("db") end)]]

t.test("a plan shows what it would delete, and says which limits it would exceed", function()
  local w = program.workspace { ["a.lua"] = playbook(DELETING,
    "limits = { deletes = 5, regions = 'us-west-2' },"),
    ["env/strict.lua"] = "return { limits = function(p) return { deletes = 2 } end }",
    ["none.lua"] = playbook(DELETING),
    ["far.lua"] = playbook(DELETING, "limits = { regions = { 'eu-west-1' } },"),
    ["clean.lua"] = playbook('dr.step("One", function() end)') }
  local r = w.run { "plan", "a.lua" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "Deletes: 3  (limits: 5 at most; in us-west-2)")
  t.ok(not r.out:find("LIMIT"))
  r = w.run { "plan", "a.lua", "--env", "strict" }
  t.contains(r.out,
    "LIMIT EXCEEDED, it would be refused: it would delete 3 things, and this run may delete "
    .. "2 things at most")
  r = w.run { "plan", "far.lua" }
  t.contains(r.out, "LIMIT  create db: this run may change things in eu-west-1 only, and "
    .. "this call goes to us-west-2")
  t.contains(r.out, "LIMIT EXCEEDED, it would be refused: create db")
  t.contains(w.run({ "plan", "none.lua" }).out, "Deletes: 3\n")
  t.ok(not w.run({ "plan", "clean.lua" }).out:find("Deletes"))
  local events = program.events(
    w.run({ "plan", "a.lua", "--env", "strict", "--output", "json" }).out)
  local found = events[#events].result.limits
  t.equal({ found.deletes, found.limit, #found.faults }, { 3, 2, 1 })
end)

t.test("limits that are none, or leave nothing, are refused before anything starts", function()
  for limits, sentence in pairs {
    ["{ delets = 1 }"] = "limits: unknown field delets; did you mean deletes?",
    ["5"] = "limits is a table or a function",
    ["function() return { deletes = -1 } end"] = "limits.deletes is a whole",
    ["{ regions = { 'us-east-1' } }"] = "so nothing could be changed" } do
    local w = program.workspace {
      ["a.lua"] = playbook('dr.step("One", function() probe.opaque("one") end)',
        "limits = " .. limits .. ","),
      ["env/x.lua"] = "return { limits = { regions = { 'us-west-2' } } }" }
    for _, verb in ipairs { "run", "plan" } do
      local r = w.run { verb, "a.lua", "--env", "x" }
      t.equal(r.code, 2, limits .. r.out)
      t.contains(r.err, sentence)
    end
    t.equal(fs.stat(w.env.DRLUA_STATE), nil)
  end
end)

-- Deletes "name" by a program, which the world sees.
local DELETE = [[
  local function delete(name, more)
    local fields = { input = { argv = { "kubectl", "delete", "pod", name } }, what = "delete " .. name }
    for k, v in pairs(more or {}) do fields[k] = v end
    probe.opaque(name, fields)
  end]]

t.test("a run refuses the deletion beyond its limit, with --yes and on every resume", function()
  local w = program.workspace { ["a.lua"] = playbook(DELETE .. [[
    for i = 1, 3 do
      dr.step("Delete " .. i, { risk = "irreversible", retries = { times = 2, every = "0.01s" } },
        function() delete("x" .. i) end)
    end]], "limits = { deletes = 2 },") }
  local r = w.run { "a.lua", "--yes" }
  t.equal(r.code, 1)
  t.contains(r.out,
    "this run may delete 2 things at most (limits.deletes), and with delete x3 it would be 3 "
    .. "(deleted so far: delete x1; delete x2). It was not sent")
  t.contains(r.out, "a.lua:")
  for _, words in ipairs { { "resume", "last", "--yes" },
    { "resume", "last", "--from", "Delete 3", "--yes" } } do
    t.equal(w.run(words).code, 1)
  end
  t.equal(w.effects(), { "opaque x1", "opaque x2" })
  -- A step that is done again deletes once more, and that counts.
  r = w.run { "resume", "last", "--from", "Delete 2", "--yes" }
  t.equal(r.code, 1)
  t.contains(r.out, "it would be 3 (deleted so far: delete x1; delete x2)")
  t.equal(w.effects(), { "opaque x1", "opaque x2" })
end)

t.test("a deletion sent again counts once: a retry, a resume "
  .. "after a kill, after a failure", function()
  local w = program.workspace { ["a.lua"] = playbook(DELETE .. [[
    local files = require "files"
    dr.step("One", function()
      delete("a", { repeatable = true })
      delete("b")
      if not files.exists(os.getenv("PROBE_WORLD") .. ".ok") then dr.fail("half way") end
    end)]], "limits = { deletes = 2 },") }
  fs.write(w.world .. ".hang", "")
  w.run({ "a.lua" }, { on_error_line = function(_, proc)
    while #w.effects() == 0 do require("task").sleep(0.02) end
    proc:kill("KILL")
  end })
  fs.remove(w.world .. ".hang")
  t.equal(w.effects(), { "opaque a" })
  local r = w.run { "resume", "last" }
  t.contains(r.out, "half way")
  t.equal(w.effects(), { "opaque a", "opaque a", "opaque b" })
  fs.write(w.world .. ".ok", "")
  r = w.run { "resume", "last" }
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(#w.effects(), 3)
end)

t.test("a limit of the environment holds for the playbook, and for its rollback", function()
  local w = program.workspace { ["a.lua"] = playbook(DELETE .. [[
    for i = 1, 2 do
      dr.step("Make " .. i, { undo = function() delete("y" .. i) end }, function() probe.opaque("make " .. i) end)
    end
    dr.step("Stop", function() dr.fail("no") end)]], "limits = { deletes = 5 },"),
    ["env/x.lua"] = "return { limits = { deletes = 1 } }" }
  t.equal(w.run({ "a.lua", "--env", "x" }).code, 1)
  local r = w.run { "rollback", "last" }
  t.equal(r.code, 1, r.out)
  t.contains(r.out, "this run may delete 1 thing at most")
  t.equal(w.effects(), { "opaque make 1", "opaque make 2", "opaque y2" })
end)

t.test("accounts and regions: AWS is asked whose credentials they are, under plan, too", function()
  local s = sim.start {
    world = { instances = { { id = "shop", user = "shop", password = "secret-word", db = "shop" } },
    zones = { { id = "Z1", name = "shop.example", records = {} } } }, speed = 200,
    log = function() end }
  t.cleanup(function() s:stop() end)
  local body = [[
    local aws = require "aws"
    local function tag(region)
      dr.step("Tag in " .. region, function()
        aws.rds { region = region }:add_tags_to_resource { ResourceName = "arn:aws:rds:" .. region
          .. ":123456789012:db:shop", Tags = { { Key = "a", Value = "b" } } }
      end)
    end
    dr.step("DNS", function()
      aws.route53 { region = "us-east-1" }:change_resource_record_sets { HostedZoneId = "Z1", ChangeBatch = {
        Changes = { { Action = "UPSERT", ResourceRecordSet = { Name = "a.shop.example", Type = "A", TTL = 60,
          ResourceRecords = { { Value = "192.0.2.1" } } } } } } }
    end)
    tag(p.region)]]
  local function verdict(limits, region)
    local w = program.workspace { ["a.lua"] = playbook(body, 'params = { { "region" } }, limits = '
      .. limits .. ",") }
    for name, value in pairs { DRLUA_STDLIB = "", AWS_ENDPOINT_URL = s.url,
      AWS_ACCESS_KEY_ID = "test", AWS_SECRET_ACCESS_KEY = "test", AWS_REGION = "us-east-1",
      AWS_CONFIG_FILE = "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE = "/dev/null" } do
      w.env[name] = value
    end
    w.write("a.lua", (playbook(body, 'params = { { "region" } }, limits = ' .. limits .. ","):gsub(
      'local probe = require "toolbox.probe"', "")))
    local planned = w.run { "plan", "a.lua", "--region", region }
    local ran = w.run { "a.lua", "--yes", "--region", region }
    return ran, planned
  end
  local ran, planned = verdict('{ accounts = { "123456789012" }, regions = { "us-east-1" } }',
    "us-east-1")
  t.equal(ran.code, 0, ran.out .. ran.err)
  t.ok(not planned.out:find("LIMIT"), planned.out)
  ran, planned = verdict('{ accounts = { "999999999999" } }', "us-east-1")
  t.equal(ran.code, 1)
  t.contains(ran.out,
    "this run may change things in account 999999999999 only, and this call goes to account "
    .. "123456789012. It was not sent")
  t.contains(planned.out, "this call goes to account 123456789012")
  local function tags()
    local n = 0
    for _, call in ipairs(s.calls:list()) do
      if call.operation == "AddTagsToResource" then n = n + 1 end
    end
    return n
  end
  t.equal(tags(), 1)
  ran, planned = verdict('{ regions = { "us-east-1" } }', "us-west-2")
  t.equal(ran.code, 1)
  t.contains(ran.out,
    "this run may change things in us-east-1 only, and this call goes to us-west-2")
  t.contains(planned.out, "this call goes to us-west-2")
  t.equal(tags(), 1)
end)
