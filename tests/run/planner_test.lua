-- run.planner: what a plan says, and the preview of an approval.
local dr = require "drlua"
local errors = require "errors"
local t = require "harness"
local planning = require "planning"
local program = require "program"

local absent, aws, change, changes = planning.absent, planning.aws, planning.change,
  planning.changes
local look, perform, verdict = planning.look, planning.perform, planning.verdict

-- Plans a playbook whose `run` is this text; returns the result and its steps by path.
local function plan(body, more)
  local w = program.workspace { ["a.lua"] = program.playbook(body, more) }
  local r = w.run { "plan", "a.lua", "--output", "json" }
  local steps = {}
  for _, e in ipairs(program.events(r.out)) do
    if e.plan then steps[e.path or e.step] = e.plan end
  end
  t.equal(w.effects(), {})
  return r, steps, w
end

t.test("what is known only after the run may be a text, a list, a handle", function()
  local r, steps = plan [[
    local made = dr.step("Make", function() return probe.opaque("it") end)
    dr.approve("go on with " .. made)
    dr.step("Tag", function()
      if #made.tags > 0 then probe.opaque("tag") end
      for _ in pairs(made.list) do probe.opaque("pair") end
      local list = #made.list > 0 and made.list or nil
      if list then probe.opaque("list") end
      local kept <close> = made.handle
    end)
    dr.step("Say " .. made.name .. "!", function() probe.opaque("say") end)]]
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(changes(steps.Tag), { "run tag", "run pair", "run list" })
  t.ok(steps["Approval: go on with (known after run)"], r.out)
  t.equal(changes(steps["Say (known after run)!"]), { "run say" })
end)

-- What the approval of each step says it would change, by path.
local function asked(body)
  local w = program.workspace { ["a.lua"] = program.playbook(body) }
  local r = w.run { "a.lua", "--yes", "--output", "json" }
  t.equal(r.code, 0, r.out .. r.err)
  local seen = {}
  for _, e in ipairs(program.events(r.out)) do
    if e.event == "approval_needed" then seen[e.path] = e.changes or {} end
  end
  return seen
end

t.test("each of several steps of one name is asked for with its own changes", function()
  t.equal(asked [[
    for i = 1, 3 do
      dr.step("Drop it", { approve = true }, function() probe.opaque("drop " .. i) end)
    end
    dr.parallel {
      function() dr.step("Drop it", { approve = true }, function() probe.opaque("left") end) end,
      function() dr.step("Drop it", { approve = true }, function() probe.opaque("right") end) end,
    }
    dr.step("Outer", function()
      dr.step("Drop it", { approve = true }, function() probe.opaque("inner") end)
      dr.step("Drop it", { approve = true }, function() probe.opaque("again") end)
    end)]], {
    ["Drop it"] = { "run drop 1" }, ["Drop it#2"] = { "run drop 2" },
      ["Drop it#3"] = { "run drop 3" },
    ["parallel.1/Drop it"] = { "run left" }, ["parallel.2/Drop it"] = { "run right" },
    ["Outer/Drop it"] = { "run inner" }, ["Outer/Drop it#2"] = { "run again" },
  })
end)

t.test("a step would stop, or may, by what it touched", function()
  local function notify() return perform({ kind = "http", operation = "POST",
    input = { url = "https://chat/x" } }) end
  local function fail() dr.fail "too late" end
  for name, row in pairs {
    plain = { notify, fail, "would" },
    read = { notify, function() aws("DescribeDBInstances", { DBInstanceIdentifier = "a" },
      {}) fail() end, "would" },
    absent = { notify, function() aws("DescribeDBInstances", { DBInstanceIdentifier = "a" },
      absent()) end, "would" },
    missing = { notify, function() perform({ kind = "file", read = true,
      input = { path = "/no/file" } },
      errors.new { kind = "missing", message = "No such file" }) end, "would" },
    index = { notify, function(u) if u.x then fail() end end, "may" },
    compared = { notify, function(u) if u.x == "available" then return end fail() end, "may" },
    length = { notify, function(u) if #u < 2 then fail() end end, "may" },
    text = { notify, function(u) if ("%s"):format(u) ~= "x" then fail() end end, "may" },
    called = { notify, function(u) u.client:stop() fail() end, "may" },
    sent = { notify, function(u) aws("DescribeDBInstances", { DBInstanceIdentifier = u.id },
      {}) fail() end, "may" },
    near = { function() aws("CreateDBInstance", { DBInstanceIdentifier = "b" }) end,
      function() aws("DescribeDBInstances", {}, {}) fail() end, "may" },
    far = { function() aws("CreateDBInstance", { DBInstanceIdentifier = "b" }) end,
      function() aws("DescribeTable", { TableName = "t" }, {}, "dynamodb") fail() end, "would" },
    kept = { function() return { notify() } end, function() fail() end, "would" },
    leaked = { function() return notify().count > 5 end, fail, "may" },
    broken = { function() dr.fail "first" end, fail, "would" },
    after_broken = { function() dr.fail "first" end, function(u) return u.x < 5 or fail() end,
      "may" },
  } do
    t.equal(verdict(row[1], row[2]), row[3], name)
  end
end)

t.test("what is compared outside of steps may lead to anything; what is only handed on does not",
  function()
  for name, row in pairs {
    handed = { function() end, "would" }, indexed = { function(u) return u.a.b end, "would" },
    compared = { function(u) return u.a > 5 end, "may" }, length = { function(u) return #u > 0 end,
      "may" },
    looped = { function(u) for _ in ipairs(u) do end end, "may" },
  } do
    local _, steps = look(function()
      local made = dr.step("Make", function() return change(1) end)
      row[1](made)
      dr.step("Stop", function() dr.fail "now" end)
    end)
    t.equal(steps.Stop.unsure and "may" or "would", row[2], name)
  end
end)

t.test("a failure between steps ends the plan there, with what was found", function()
  for name, row in pairs {
    sure = { function() dr.fail "no traffic" end, nil },
      unsure = { function(u) if u.x ~= 1 then dr.fail "no traffic" end end, true },
  } do
    local found = look(function()
      local made = dr.step("Make", function() return change(1) end)
      row[1](made)
    end)
    t.contains(found.stop, "no traffic")
    t.equal({ #found.steps, found.unsure }, { 1, row[2] }, name)
  end
  local _, e = look(function() return dr.nothing.x end)
  t.contains(e.message, "attempt to index")
end)

t.test("a condition and a probe that depend on what only the run knows do not hide changes",
  function()
  local _, steps = look(function()
    local made = dr.step("Make", function() return change(1) end)
    dr.step("When", { when = function() return made.count > 5 end }, function() change(2) end)
    dr.step("Plain", { when = made.count > 5 }, function() change(3) end)
    dr.step("Off", { when = false }, function() change(4) end)
    dr.step("Done", { done = function() return #made > 0 end }, function() change(5) end)
    dr.step("Really", { done = function() return true end }, function() change(6) end)
  end)
  for name, n in pairs { When = 1, Plain = 1, Off = 0, Done = 1, Really = 0 } do
    t.equal(#(steps[name].changes or {}), n, name)
  end
  t.equal({ steps.When.uncertain, steps.Off.skipped ~= nil, steps.Really.already }, { true, true,
    true })
end)

t.test("a loop that only an unknown value would end is left, and the plan goes on", function()
  for name, loop in pairs {
    change = function(u) repeat change(1) until u.state == "done" end,
    read = function(u) repeat local x = aws("DescribeDBInstances",
      { Id = u.id }) until x.state == "done" end,
    wait = function() repeat local x = perform { kind = "aws", service = "rds", operation = "W",
      read = true,
      wait = true, input = {} } until x == "done" end,
    touch = function(u) while u.n < 5 or u.n ~= 7 do dr.now() end end,
    caught = function(u) while u.n ~= 7 do pcall(change, 1) end end,
  } do
    local _, steps = look(function()
      local made = dr.step("Make", function() return change(1) end)
      dr.step("Loop", function() loop(made) end)
      dr.step("After", function() change(2) end)
    end)
    t.matches(steps.Loop.stop, "again and again: only what the run will know ends this loop", name)
    t.equal({ steps.Loop.unsure, #steps.After.changes }, { true, 1 }, name)
    t.ok(#(steps.Loop.changes or {}) <= 3, name)
  end
end)

-- Words of the library, each handed a value that only the run will know.
local WORDS = [==[
local aws, dr, files, http = require "aws", require "drlua", require "files", require "http"
local process, sql, json, text, time, duration = require "process", require "sql", require "json",
  require "text", require "time", require "duration"
local databases, dns, kubernetes = require "toolbox.databases", require "toolbox.dns",
  require "toolbox.kubernetes"
local services, terraform, notify = require "toolbox.services", require "toolbox.terraform",
  require "toolbox.notify"
local backups, integrity = require "toolbox.backups", require "toolbox.integrity"
local list = {
  function(u) http.get(u) end, function(u) http.get(u, { timeout = u }) end,
    function(u) http.post("http://x/", { json = { u } }) end,
  function(u) http.request { url = u, method = u } end,
  function(u) sql.connect { host = u, port = u, user = u } end,
  function(u) local db <close> = sql.connect { host = u } db:query("select $1", u) db:exec(u) end,
  function(u) local db <close> = sql.wait_until_accepts { host = u, wait = u } db:value(u) end,
  function(u) process.run { u, "x", timeout = u } end, function(u) process.run { "true", u,
    read = true } end,
  function(u) process.run { "true", env = u, cwd = u, stdin = u } end,
    function(u) process.run(u) end,
  function(u) process.find(u) end,
  function(u) files.read(u) files.exists(u) files.stat(u) files.list(u) files.glob(u) end,
  function(u) files.write(u, u) files.mkdir(u) files.remove(u) files.rename(u, u) files.write("x",
    u) end,
  function(u) return text.trim(u), text.split(u, ","), text.lines(u), text.fill("${a}", { a = u }),
    text.size(u), text.indent(u), text.count(u, "x"), text.shorten(u, 5), text.table { { u } }  end,
  function(u) return time.parse(u), time.format(u), time.add(u, "1h"), time.since(u),
    time.left(u) end,
  function(u) return json.encode { u }, json.decode(u) end,
  function(u) return duration.parse(u), duration.format(u), dr.seconds(u), dr.duration(u),
    dr.format_time(u), dr.env(u) end,
  function(u) aws.rds { region = u }:describe_db_instances {} end,
  function(u) aws.rds { region = "us-east-1" }:describe_db_instances { DBInstanceIdentifier = u } end,
  function(u) aws.rds { region = "us-east-1" }:describe_db_instances(u) end,
  function(u) aws.rds { region = "us-east-1" }:wait("db_instance_available", u) end,
  function(u) for x in aws.rds { region = "us-east-1" }:each("describe_db_instances",
    { DBInstanceIdentifier = u }) do dr.note(x.A) end end,
  function(u) aws.s3 { region = "us-east-1" }:download { Bucket = u, Key = u, path = u } end,
  function(u) aws.s3 { region = "us-east-1" }:upload { Bucket = u, Key = u, path = u } end,
  function(u) aws.s3 { region = "us-east-1" }:list(u, u) end,
  function(u) aws.s3 { region = "us-east-1" }:newest(u, u, { before = u }) end,
  function(u) aws.s3 { region = "us-east-1" }:folders(u, u) end,
  function(u) aws.s3 { region = "us-east-1" }:head(u, u) end,
  function(u) dr.sleep(u) end, function(u) dr.each(u, function(x) dr.note(x) end) end,
    function(u) dr.each({ 1 }, { limit = u }, function() end) end,
  function(u) dr.wait_until(u, { every = u, timeout = u }, function() return u end) end,
    function(u) dr.check(u, function() return u, u end) end,
  function(u) dr.note(u) dr.measure("rpo", { seconds = u, rows = u,
    detail = u }) dr.incident_started(u) end,
  function(u) dr.skip(u) end, function(u) dr.step(u, { budget = u, timeout = u },
    function() end) end,
  function(u) dr.approve(u) end, function(u) dr.step("x", { approve = u, when = u, retries = u },
    function() end) end,
  function(u) dr.step("x", { approve = { text = u, people = u, deadline = u } },
    function() end) end,
  function(u) local rds = aws.rds { region = "us-east-1" } databases.get(rds,
    u) databases.promote(rds, u, { retention = u }) databases.wait_promoted(rds, u,
    { grace = "1m" }) end,
  function(u) databases.with({ Endpoint = u }, { user = u },
    function(db) databases.prove_writable(db) end) end,
  function(u) local r = aws.route53 {} dns.find(r, u, u, "A") dns.point(r, u, dns.record { name = u,
    kind = "CNAME", target = u, ttl = 60 }, "x") end,
  function(u) kubernetes.read({ context = u }, { "get", u }) kubernetes.scale({ namespace = u }, u,
    u) kubernetes.apply({}, u) kubernetes.wait_rollout({}, u) end,
  function(u) kubernetes.read({}, u) end,
  function(u) local e = aws.ecs { region = "us-east-1" } services.scale(e, u, u,
    u) services.wait_stable(e, u, { u }) services.desired_counts(e, u, { u }) end,
  function(u) terraform.init(u) terraform.has_changes(u, { a = u }) terraform.apply(u,
    { a = u }) end,
  function(u) notify.send({ { kind = "slack", url = u } }, u) end,
  function(u) return os.date("%Y", u), os.time { year = u, month = 1, day = 1 }, ("x"):rep(u), u
    .. "x", tostring(u), tonumber(u), #u, next(u), math.max(u, 1), string.format("%d", u),
    table.concat({ u }), table.unpack(u), select("#", u), utf8.char(1), ipairs(u) end,
}
return dr.playbook { title = "t", run = function()
  local u = dr.step("Make", function() return process.run { "echo", "5" } end)
  for i, fn in ipairs(list) do dr.step("S" .. i, function() fn(u) end) end
end }
]==]

t.test("the library takes what is known only after the run, wherever a text or number is expected",
  function()
  local w = program.workspace { ["a.lua"] = WORDS }
  -- Nothing is there to be read: whatever is not unknown would fail.
  local r = w.run({ "plan", "a.lua" }, { env = { AWS_ENDPOINT_URL = "http://127.0.0.1:9",
    AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test", AWS_EC2_METADATA_DISABLED = "true" } })
  t.equal(r.code, 0, r.err)
  t.ok(not r.out:find("stop here", 1, true), r.out)
  t.ok(not r.out:find("depends on values that only", 1, true), r.out)
  for _, text in ipairs { "DescribeDBInstances ((known after run))", "wait   wait for",
    "change run (known after run) x",
    "change s3.PutObject (us-east-1)  Bucket=(known after run)",
      "kubectl --namespace '(known after run)'" } do t.contains(r.out, text) end
end)

t.test("a failure that an unknown value may have led to does not hide what follows it", function()
  local _, steps = look(function()
    local made = dr.step("Make", function() return change(1) end)
    dr.step("Check", function()
      for _, failure in ipairs(made.failures) do dr.fail("failed: " .. tostring(failure)) end
      if made.state ~= "available" then dr.fail "not available" end
      change(2)
    end)
    dr.step("Sure", function()
      dr.fail "no"
      change(3)
    end)
  end)
  t.contains(steps.Check.stop, "failed: (known after run)")
  t.equal({ steps.Check.unsure, changes(steps.Check) }, { true, { "change 2" } })
  t.equal({ steps.Sure.unsure, changes(steps.Sure) }, { nil, {} })
end)
