-- run.stopped: which reads a stopped change would alter.
local dr = require "drlua"
local errors = require "errors"
local t = require "harness"
local planning = require "planning"
local program = require "program"

local absent, aws, change, changes = planning.absent, planning.aws, planning.change,
  planning.changes
local look, perform, verdict = planning.look, planning.perform, planning.verdict

t.test("a read of what a stopped change would have made is unknown, not absent", function()
  local function db(id) return { DBInstanceIdentifier = id } end
  local function read(operation, input, service, code)
    return function()
      local found = aws(operation, input, absent(code), service)
      if found.x ~= 1 then change(2) end
    end
  end
  local function file(operation, input)
    return function() perform({ kind = "file", operation = operation, input = input }) end
  end
  local function look_at(path)
    return function()
      perform({ kind = "file", read = true, operation = "read", input = { path = path } },
        errors.new { kind = "missing", message = path .. ": No such file" })
      change(2)
    end
  end
  local function call(...)
    local argv = { ... }
    return function() perform({ kind = "process", operation = argv[1],
      input = { argv = argv } }) end
  end
  local function query(place, kind)
    return function()
      perform({ kind = "sql", read = true, operation = "query", place = place,
        input = { sql = "x" } },
        errors.new { kind = kind or "missing", message = "relation does not exist" })
      change(2)
    end
  end
  local function asks(...)
    local argv = { ... }
    return function()
      perform({ kind = "process", read = true, operation = argv[1], input = { argv = argv } },
        errors.new { kind = "failed", message = "NotFound" })
      change(2)
    end
  end
  for name, row in pairs {
    created = { function() aws("CreateDBInstance", db "new") end, read("DescribeDBInstances",
      db "new"), 1 },
    restored = { function() aws("RestoreDBInstanceToPointInTime",
      { SourceDBInstanceIdentifier = "shop",
      TargetDBInstanceIdentifier = "new" }) end, read("DescribeDBInstances", db "new"), 1 },
    copied = { function() aws("CopyDBSnapshot", { SourceDBSnapshotIdentifier = "old",
      TargetDBSnapshotIdentifier = "new" }) end, read("DescribeDBSnapshots",
        { DBSnapshotIdentifier = "new" }), 1 },
    by_arn = { function() aws("CreateDBInstance", db "new") end,
      read("DescribeTags", { ResourceName = "arn:aws:rds:eu-west-1:1:db:new" }), 1 },
    in_a_list = { function() aws("UpdateService", { cluster = "c", service = "web" }, nil,
      "ecs") end,
      read("DescribeServices", { cluster = "c", services = { "web" } }, "ecs", "ServiceNotFound"),
        1 },
    secret = { function() aws("PutSecretValue", { SecretId = "db/password", SecretString = "x" },
      nil,
      "secretsmanager") end, read("GetSecretValue", { SecretId = "db/password",
        VersionStage = "AWSPENDING" },
      "secretsmanager", "ResourceNotFoundException"), 1 },
    by_backup = { function() aws("StartRestoreJob", { RecoveryPointArn = "arn:x", Metadata = {
      DBInstanceIdentifier = "new" } }, nil, "backup") end, read("DescribeDBInstances", db "new"),
        1 },
    typo = { function() aws("CreateDBInstance", db "new") end, read("DescribeDBInstances",
      db "mew"), "may" },
    other_key = { function() aws("PutObject", { Bucket = "b", Key = "one" }, nil, "s3") end,
      read("GetObject", { Bucket = "b", Key = "two" }, "s3", "NoSuchKey"), "may" },
    same_key = { function() aws("PutObject", { Bucket = "b", Key = "one" }, nil, "s3") end,
      read("GetObject", { Bucket = "b", Key = "one" }, "s3", "NoSuchKey"), 1 },
    written = { file("write", { path = "/d/x" }), look_at "/d/x", 1 },
    written_below = { file("write", { path = "/d/x" }), look_at "/d", 1 },
    made = { file("make", { path = "/d" }), look_at "/d/x", 1 },
    renamed = { file("rename", { path = "/a", to = "/b" }), look_at "/b", 1 },
    other_file = { file("write", { path = "/d/x" }), look_at "/d/y", "would" },
    unpacked = { call("gunzip", "/tmp/dump.sql.gz"), look_at "/tmp/dump.sql", 1 },
    listed = { file("write", { path = "/d/x.json" }), look_at "/d/*.json", 1 },
    saved = { function() perform({ kind = "http", operation = "GET", input = { url = "http://h/x",
      save_to = "/d/x" } }) end, look_at "/d/x", 1 },
    sunk = { function() perform({ kind = "aws", service = "s3", operation = "GetObject",
      region = "r", file = "/d/x",
      input = { Bucket = "b", Key = "k" } }) end, look_at "/d/x", 1 },
    applied = { call("kubectl", "apply", "-f", "x.yaml"), asks("kubectl", "get", "deployment/api"),
      1 },
    other_program = { call("kubectl", "apply"), asks("terraform", "show"), "may" },
    table_made = { function() perform({ kind = "sql", operation = "exec", place = "h:5432/a",
      input = {} }) end,
      query "h:5432/b", 1 },
    database_restored = { call("pg_restore", "--host=db.example.com", "x.dump"),
      query "db.example.com:5432/a", 1 },
    name_moved = { function() aws("ChangeResourceRecordSets", { HostedZoneId = "Z",
      ChangeBatch = { Changes = { {
      ResourceRecordSet = { Name = "db.example.com." } } } } }, nil, "route53") end,
      query("db.example.com:5432/a", "refused"), 1 },
    other_database = { function() perform({ kind = "sql", operation = "exec", place = "h:5432/a",
      input = {} }) end,
      query "i:5432/a", "would" },
  } do
    t.equal(verdict(row[1], row[2]), row[3], name)
  end
end)

t.test("a source that a change only reads is read as it is", function()
  local _, steps = look(function()
    dr.step("Snapshot", function()
      aws("CreateDBSnapshot", { DBInstanceIdentifier = "shop", DBSnapshotIdentifier = "before" })
    end)
    dr.step("Look", function()
      local found = aws("DescribeDBInstances", { DBInstanceIdentifier = "shop" },
        { Class = "db.t3.micro" })
      change(found.Class)
    end)
    dr.step("Modify", function() aws("ModifyDBInstance", { DBInstanceIdentifier = "shop" }) end)
    dr.step("Again", function()
      local found = aws("DescribeDBInstances", { DBInstanceIdentifier = "shop" },
        { Class = "db.t3.micro" })
      change(tostring(found.Class))
    end)
  end)
  t.equal(changes(steps.Look), { "change db.t3.micro" })
  t.equal(changes(steps.Again), { "change (known after run)" })
end)

t.test("a change on what an earlier one would have made is in the plan, and in its policy",
  function()
  local s = require("sim").start {}
  t.cleanup(function() s:stop() end)
  local w = program.workspace { ["a.lua"] = [[
local aws, dr = require "aws", require "drlua"
return dr.playbook { title = "Restore", run = function()
  local rds = aws.rds { region = "us-east-1" }
  dr.step("Restore", function()
    rds:restore_db_instance_from_db_snapshot { DBInstanceIdentifier = "new",
      DBSnapshotIdentifier = "s" }
  end)
  dr.step("Widen", function()
    local found = rds:describe_db_instances { DBInstanceIdentifier = "new" }.DBInstances[1]
    if #found.VpcSecurityGroups > 0 then
      rds:modify_db_instance { DBInstanceIdentifier = found.DBInstanceIdentifier,
        ApplyImmediately = true }
    end
    rds:reboot_db_instance { DBInstanceIdentifier = "new" }
  end)
end }]] }
  local env = { AWS_ENDPOINT_URL = s.url, AWS_ACCESS_KEY_ID = "test",
    AWS_SECRET_ACCESS_KEY = "test" }
  local r = w.run({ "plan", "a.lua" }, { env = env })
  t.equal(r.code, 0, r.err)
  t.contains(r.out,
    "change rds.ModifyDBInstance (us-east-1)  DBInstanceIdentifier=(known after run)")
  t.contains(r.out, "change rds.RebootDBInstance (us-east-1)  DBInstanceIdentifier=new")
  t.ok(not r.out:find("stop here", 1, true), r.out)
  local policy = w.run({ "plan", "a.lua", "--iam" }, { env = env }).out
  for _, action in ipairs { "RestoreDBInstanceFromDBSnapshot", "DescribeDBInstances",
    "ModifyDBInstance",
    "RebootDBInstance" } do t.contains(policy, '"rds:' .. action .. '"') end
  t.equal(#s.calls:list { mutating = true }, 0)
end)
