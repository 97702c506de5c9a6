-- A change happens once: every way in which a call can end, times every way that leads to
-- it again, times every way in which its effect can be found again, times every kind of
-- target. Real targets: the simulator, PostgreSQL, an HTTP server, programs; the session
-- runs in this process, so that it can be killed at any write of its journal.
local t = require "harness"
local aws = require "aws"
local clock = require "native.clock"
local dr = require "drlua"
local fake = require "fake"
local fs = require "native.fs"
local http = require "http"
local live = require "live"
local loop = require "native.loop"
local pg = require "postgres"
local pq = require "native.pq"
local process = require "process"
local program = require "program"
local sim = require "sim"
local sql = require "sql"
local sys = require "native.sys"
local task = require "task"

-- How the call ends when it is made first.
local ENDS = { "answered", "answered with an error", "no answer", "5xx after the effect",
  "step timeout",
  "killed at every write", "owner replaced" }
-- What leads to it again.
local WAYS = { "retry", "operator's retry", "resume", "resume after failure", "rollback" }
-- How it can be found out whether it took effect.
local SORTS = { "token", "rule", "goal", "repeatable", "none" }
local TARGETS = { "AWS", "SQL", "HTTP", "process" }

-- Cells that cannot exist, and why.
local no_token = "it has no idempotency token"
local no_rule = "a rule looks by calls of AWS"
local no_5xx = "it has no such answer: it ends with a code, or without one"
local dead = "a dead process does not try again: a resume or a rollback leads on"
local fenced = "an owner that was replaced does not try again: the new one resumes"
local NOT = {
  { "*", "*", "token", "SQL", no_token }, { "*", "*", "token", "process", no_token },
  { "*", "*", "rule", "SQL", no_rule }, { "*", "*", "rule", "HTTP", no_rule },
  { "*", "*", "rule", "process", no_rule },
  { "5xx after the effect", "*", "*", "SQL", no_5xx },
  { "5xx after the effect", "*", "*", "process", no_5xx },
  { "killed at every write", "retry", "*", "*", dead },
  { "killed at every write", "operator's retry", "*", "*", dead },
  { "owner replaced", "retry", "*", "*", fenced },
  { "owner replaced", "operator's retry", "*", "*", fenced },
}

local function why_not(...)
  local cell = { ... }
  for _, row in ipairs(NOT) do
    local fits = true
    for i = 1, 4 do fits = fits and (row[i] == "*" or row[i] == cell[i]) end
    if fits then return row[5] end
  end
end

-- What is to be seen in the end. sendings: how often it is sent; effects: how often it
-- took effect; asked: how often the operator is asked, who says the truth.
local doubt = {
  token = { sendings = 2, effects = 1, asked = 0 }, rule = { sendings = 1, effects = 1, asked = 0 },
  goal = { sendings = 1, effects = 1, asked = 0 },
  repeatable = { sendings = 2, effects = 2, asked = 0 },
  none = { sendings = 1, effects = 1, asked = 1 },
}
local function always(row) return setmetatable({}, { __index = function() return row end }) end
local EXPECTED = {
  ["answered"] = always { sendings = 1, effects = 1, asked = 0 },
  ["answered with an error"] = always { sendings = 2, effects = 1, asked = 0 },
  ["no answer"] = doubt, ["5xx after the effect"] = doubt, ["step timeout"] = doubt,
  ["owner replaced"] = doubt,
}

-- Targets: make(cell) carries the call out; count(cell) gives how often it was sent, how
-- often it took effect, and its tokens; set(cell, how) says how its first sending ends.
local serial = 0

local function new_cell(fields)
  serial = serial + 1
  fields.id = ("cell%d"):format(serial)
  return fields
end

local HOW = { ["answered with an error"] = "refused", ["no answer"] = "lost",
  ["5xx after the effect"] = "late",
  ["step timeout"] = "hang" }

-- AWS: an operation of each sort.
local function aws_target()
  local s = sim.start { speed = 1, log = function() end, world = {
    instances = { { id = "shop", user = "shop", password = "a-good-password", db = "shop" } },
    vaults = { { name = "nightly" } },
    zones = { { id = "Z1", name = "x.example", records = {} } } } }
  t.cleanup(function() s:stop() end)
  for name, text in pairs { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test",
    AWS_REGION = "us-east-1", AWS_MAX_ATTEMPTS = "1" } do
    sys.setenv(name, text)
    t.cleanup(function() sys.setenv(name, nil) end)
  end
  local function create_record(cell)
    return aws.route53 {}:change_resource_record_sets { HostedZoneId = "Z1",
      ChangeBatch = { Changes = { {
      Action = "CREATE", ResourceRecordSet = { Name = cell.id .. ".x.example", Type = "A", TTL = 60,
        ResourceRecords = { { Value = "192.0.2.1" } } } } } } }
  end
  local operations = {
    token = { "StartBackupJob", function()
      return aws.backup {}:start_backup_job { BackupVaultName = "nightly",
        IamRoleArn = "arn:aws:iam::123456789012:role/backup",
        ResourceArn = "arn:aws:rds:us-east-1:123456789012:db:shop" }
    end },
    rule = { "CreateDBCluster", function(cell)
      return aws.rds {}:create_db_cluster { DBClusterIdentifier = cell.id,
        Engine = "aurora-postgresql",
        MasterUsername = "shop", MasterUserPassword = "a-good-password" }
    end },
    goal = { "ChangeResourceRecordSets", create_record },
    none = { "ChangeResourceRecordSets", create_record },
    repeatable = { "PutMetricAlarm", function(cell)
      return aws.cloudwatch {}:put_metric_alarm { AlarmName = cell.id, Namespace = "x",
        MetricName = "y",
        Period = 60, EvaluationPeriods = 1, Threshold = 1, Statistic = "Sum",
        ComparisonOperator = "GreaterThanThreshold" }
    end },
  }
  local FAULTS = { refused = { kind = "error", status = 403, code = "AccessDenied" },
    lost = { kind = "lost" },
    late = { kind = "error", status = 500, code = "InternalFailure", effect = true },
    hang = { kind = "hang", when = "after" } }
  local function calls_of(cell) return s.calls:list { operation = operations[cell.sort][1] } end
  return {
    set = function(cell, how)
      cell.before = #calls_of(cell)
      s:clear_faults()
      local fault = {}
      for k, v in pairs(FAULTS[how] or {}) do fault[k] = v end
      fault.operation, fault.count = operations[cell.sort][1], 1
      if how then s:fault(fault) end
    end,
    make = function(cell) return operations[cell.sort][2](cell) end,
    count = function(cell)
      local list, effects = calls_of(cell), 0
      for i = cell.before + 1, #list do effects = effects + (list[i].done and 1 or 0) end
      return #list - cell.before, effects
    end,
  }
end

-- HTTP: a server that heeds the Idempotency-Key of a call by token.
local function http_target()
  local cells = {}
  local server = fake.start(function(request)
    local cell = cells[request.target]
    local key = fake.header(request, "Idempotency-Key") or "?"
    cell.sendings, cell.tokens[key] = cell.sendings + 1, true
    local how = cell.sendings == 1 and cell.how or nil
    if how ~= "refused" and not (cell.sort == "token" and cell.keys[key]) then
      cell.effects, cell.keys[key] = cell.effects + 1, true
    end
    return { status = how == "refused" and 403 or how == "late" and 502 or 200,
      reset = how == "lost",
      silent = how == "hang", body = "{}" }
  end)
  t.cleanup(function() server:close() end)
  return {
    set = function(cell, how)
      cell.how, cell.sendings, cell.effects, cell.tokens, cell.keys = how, 0, 0, {}, {}
      cells["/" .. cell.id] = cell
    end,
    make = function(cell)
      http.post(server.url .. "/" .. cell.id, { timeout = "20s",
        repeatable = (cell.sort == "token" or cell.sort == "repeatable") or nil })
    end,
    count = function(cell) return cell.sendings, cell.effects, cell.tokens end,
  }
end

-- SQL: a procedure that takes effect, commits, and then ends as the cell says.
local PROCEDURE = [[
create table plan(cell text primary key, how text, sendings int);
create table effects(cell text);
create procedure make(c text) language plpgsql as $$
declare h text; n int;
begin
  update plan set sendings = sendings + 1 where cell = c returning how, sendings into h, n;
  commit;
  if n > 1 then h := null; end if;
  if h = 'refused' then raise exception 'refused'; end if;
  insert into effects values (c);
  commit;
  if h = 'lost' then perform pg_terminate_backend(pg_backend_pid()); end if;
  if h = 'hang' then perform pg_sleep(5); end if;
end $$;]]

local function sql_target()
  if not pg.bin then return nil end
  local cluster = pg.start()
  t.cleanup(function() cluster:stop() end)
  -- Past the gate: the judge is no part of the run.
  local judge = assert(task.await(pq.connect(cluster:at {})))
  local function ask(text, ...) return assert(task.await(judge:exec(text, { ... }))).rows end
  assert(task.await(judge:exec(PROCEDURE)))
  t.cleanup(function() judge:close() end)
  return {
    set = function(cell, how) ask("insert into plan values ($1, $2, 0)", cell.id, how or "") end,
    make = function(cell)
      local db <close> = sql.connect { host = cluster.dir, port = cluster.port, user = "postgres",
        dbname = "postgres" }
      db:exec("call make($1)", cell.id)
    end,
    count = function(cell)
      local rows = ask("select sendings, (select count(*) from effects where cell = $1) "
        .. "from plan where cell = $1", cell.id)
      return rows[1][1], rows[1][2]
    end,
    step = { repeatable = true },
  }
end

-- Programs: a script that takes effect, and then ends as the cell says.
local SCRIPT = [[
how=$(cat "$1.how" 2>/dev/null); rm -f "$1.how"
echo x >>"$1.sendings"
[ "$how" = refused ] && exit 1
echo x >>"$1.effects"
[ "$how" = lost ] && kill -9 $$
[ "$how" = hang ] && exec sleep 60
exit 0
]]

local function process_target()
  local directory = program.directory()
  local function lines(path) return select(2, (fs.read(path) or ""):gsub("\n", "")) end
  return {
    set = function(cell, how)
      cell.path = directory .. "/" .. cell.id
      if how then assert(fs.write(cell.path .. ".how", how)) end
    end,
    make = function(cell)
      process.run { "sh", "-c", SCRIPT, "sh", cell.path,
        repeatable = cell.sort == "repeatable" or nil }
    end,
    count = function(cell)
      return lines(cell.path .. ".sendings"), lines(cell.path .. ".effects")
    end,
    -- A program whose step is over is ended in the background.
    stop = function()
      for _ = 1, 500 do
        if loop.pending() == 0 then break end
        task.sleep(0.02)
      end
    end,
  }
end

-- A goal that is not reached is given some seconds; the clock of the run skips them.
local skipped = 0
local boottime = clock.boottime

local function goal_of(cell)
  return function()
    local _, effects = cell.target.count(cell)
    if effects == 0 then skipped = skipped + 10 end
    return effects > 0 and "reached" or nil
  end
end

local function options_of(cell, way)
  return {
    retries = way == "retry" and { times = 1, every = "1ms" } or nil,
    timeout = cell.ends == "step timeout" and "1h" or nil,
    goal = cell.sort == "goal" and goal_of(cell) or nil,
    within = cell.sort == "goal" and "1m" or nil,
    repeatable = cell.sort == "repeatable" and cell.target.step and true or nil,
    undo = { function() cell.undone = cell.undone + 1 end, partial = true },
  }
end

-- A run of one step with the cell's call. later: how many attempts fail after it.
local function run_of(cell, way, later)
  cell.undone, cell.asked = 0, 0
  return live.new(cell.directory, { run = function()
    dr.step("Change", options_of(cell, way), function()
      cell.target.make(cell)
      if later > 0 then
        later = later - 1
        dr.fail "later"
      end
    end)
  end })
end

local function truth(cell)
  cell.asked = cell.asked + 1
  local _, effects = cell.target.count(cell)
  return effects > 0 and "done" or "again"
end

-- The operator at the terminal: tries a failed step again, and tells the truth.
local function person(cell)
  return { ask_failure = function() return "retry" end,
    ask_settled = function() return truth(cell) end,
    forget = function() end }
end

-- Resumes until the run has succeeded; a question is answered by the command that it
-- prints, and the truth.
local function lead_on(cell, run, result)
  for _ = 1, 5 do
    if result.outcome == "succeeded" then return result end
    local key = result.outcome == "paused" and result.message:match("%-%-settle '(.-)=done'")
    result = run:resume { settle = key and { ("%s=%s"):format(key, truth(cell)) } or nil }
  end
  return result
end

-- Where the process dies on the way "resume": once the end of the call is there, and
-- before it has led to anything else.
local function dies_after(ends)
  local sent = false
  return function(moment, kind)
    if moment == "after" then
      sent = sent or kind == "intent"
      return kind == "result" and (ends == "answered" or ends == "answered with an error")
    end
    return sent and ends ~= "answered" and ends ~= "answered with an error" and kind ~= "note"
  end
end

-- The step's timeout is over as soon as the call that hangs has taken effect.
local function hurry(cell)
  return function(s)
    local sleep_until, over = s.sleep_until, false
    function s.sleep_until(self, at)
      if over or at - self:now() < 60 then return sleep_until(self, at) end
      local wait_until = clock.monotonic() + 10
      repeat
        task.sleep(0.005)
        local _, effects = cell.target.count(cell)
      until effects > 0 or clock.monotonic() > wait_until
      over = true
    end
  end
end

-- The first session on each way; returns what it ended with.
local function first_session(cell, run, way)
  local how = {}
  if way == "operator's retry" then how.operator = person(cell) end
  if way == "resume" and cell.ends ~= "owner replaced" then how.kill = dies_after(cell.ends) end
  if cell.ends == "step timeout" then how.on_session = hurry(cell) end
  if cell.ends == "owner replaced" then
    how.on_write = function(kind)
      if kind == "intent" then run:take_over() end
    end
  end
  return run:begin(how)
end

local function fails_later(cell, way)
  local leads_by_failure = way == "retry" or way == "operator's retry"
    or way == "resume after failure"
    or way == "rollback"
  if cell.ends == "owner replaced" then return way == "resume after failure" and 1 or 0 end
  return cell.ends == "answered" and leads_by_failure and 1 or 0
end

local function expect_counts(cell, expected, what)
  local sendings, effects, tokens = cell.target.count(cell)
  t.equal({ sendings = sendings, effects = effects, asked = cell.asked }, expected, what)
  local n = 0
  for _ in pairs(tokens or {}) do n = n + 1 end
  t.ok(n <= 1, ("%s: %d tokens"):format(what, n))
end

-- The same token in every intent of the call.
local function expect_one_token(run, what)
  local seen
  for _, entry in ipairs(run:entries()) do
    local token = entry.kind == "intent" and entry.data:match('"token":"([^"]*)"')
    t.ok(not token or not seen or token == seen, what .. ": another token")
    seen = token or seen
  end
end

-- After a rollback: sent no more, and undone if it may stand.
local function roll_back(cell, run, what)
  local sendings = cell.target.count(cell)
  local may_stand = cell.ends ~= "answered with an error"
  local result = run:rollback()
  t.equal(result.outcome, "rolled back", what .. ": " .. tostring(result.message))
  t.equal((cell.target.count(cell)), sendings, what .. ": sent again")
  t.equal(cell.undone, may_stand and 1 or 0, what .. ": undone")
end

local function play(cell, way, what)
  cell.target.set(cell, HOW[cell.ends])
  local run = run_of(cell, way, fails_later(cell, way))
  local first = first_session(cell, run, way)
  if cell.ends == "owner replaced" then
    t.contains(first.message, "taken over", what)
    t.equal((cell.target.count(cell)), 1, what .. ": sent by an owner that was replaced")
  end
  if way == "rollback" then return roll_back(cell, run, what) end
  local last = lead_on(cell, run, first)
  t.equal(last.outcome, "succeeded", what .. ": " .. tostring(last.message))
  local expected = EXPECTED[cell.ends][cell.sort]
  -- The goal is asked before the step is tried again.
  expect_counts(cell, expected, what)
  expect_one_token(run, what)
end

-- Killed before and after each write of the journal, until a run comes to its end.
local function play_kills(cell, way, what)
  local plays = 0
  for write = 1, 30 do
    for _, moment in ipairs { "before", "after" } do
      local one = new_cell { ends = cell.ends, sort = cell.sort, target = cell.target,
        directory = cell.directory }
      one.target.set(one, nil)
      local run = run_of(one, way, way == "resume after failure" and 1 or 0)
      local first = run:begin { kill = { moment = moment, write = write } }
      if first.outcome ~= "killed" then return plays end
      local place = ("%s, killed %s write %d"):format(what, moment, write)
      plays = plays + 1
      if way == "rollback" then
        local record = run:history().steps.Change
        local intent = record and next(record.calls) ~= nil
        local result = run:rollback()
        t.equal(result.outcome, "rolled back", place .. ": " .. tostring(result.message))
        t.equal(one.undone, intent and 1 or 0, place .. ": undone")
      else
        local last = lead_on(one, run, first)
        t.equal(last.outcome, "succeeded", place .. ": " .. tostring(last.message))
        local _, effects = one.target.count(one)
        t.ok(effects == 1 or effects == 2 and one.sort == "repeatable",
          ("%s: %d effects"):format(place, effects))
        t.ok(one.asked == 0 or one.sort == "none" and one.asked == 1,
          place .. ": asked " .. one.asked)
        expect_one_token(run, place)
      end
    end
  end
  t.ok(false, what .. ": no run came to its end")
end

local makers = { AWS = aws_target, SQL = sql_target, HTTP = http_target, process = process_target }
local total, absent, histories = 0, 0, 0

for _, name in ipairs(TARGETS) do
  for _, ends in ipairs(ENDS) do
    t.test(("%s, %s: the change happens once"):format(name, ends), function()
      clock.boottime = function() return boottime() + skipped end
      t.cleanup(function() clock.boottime = boottime end)
      local target = makers[name]()
      if not target then t.skip("PostgreSQL's programs are not installed") end
      local base = live.directory()
      t.cleanup(function() fs.remove_tree(base) end)
      for _, way in ipairs(WAYS) do
        for _, sort in ipairs(SORTS) do
          total = total + 1
          if why_not(ends, way, sort, name) then
            absent = absent + 1
          else
            local cell = new_cell { ends = ends, sort = sort, target = target,
              directory = base .. "/" .. serial }
            local what = ("%s, %s, %s, %s"):format(ends, way, sort, name)
            if ends == "killed at every write" then
              histories = histories + play_kills(cell, way, what)
            else
              play(cell, way, what)
              histories = histories + 1
            end
          end
        end
      end
      if target.stop then target.stop() end
    end)
  end
end

t.test("the table is complete", function()
  t.equal(total, #ENDS * #WAYS * #SORTS * #TARGETS)
  print(("# %d cells, %d of them cannot exist; %d runs"):format(total, absent, histories))
end)
