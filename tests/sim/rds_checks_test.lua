local client = require "client"
local fs = require "native.fs"
local sim = require "sim"
local t = require "harness"

local function started(world)
  local s = sim.start { speed = 5000, world = world }
  t.cleanup(function() s:stop() end)
  return s
end

local function new(members)
  local input = { DBInstanceIdentifier = "new", DBInstanceClass = "db.t3.micro",
    Engine = "postgres",
    MasterUsername = "shop", MasterUserPassword = "secret-word" }
  for name, value in pairs(members) do input[name] = value end
  return input
end

t.test("classes and master users that RDS refuses are refused", function()
  local s = started()
  for _, members in ipairs { { DBInstanceClass = "nonsense" }, { DBInstanceClass = "db.t3" },
    { DBInstanceClass = "db.t3.huge" }, { MasterUsername = "admin" }, { MasterUsername = "Admin" },
    { MasterUsername = "user" }, { MasterUsername = "pg_x" }, { MasterUsername = "rdsinspector" },
    { MasterUsername = "1st" }, { MasterUserPassword = "short" },
    { BackupRetentionPeriod = 36 } } do
    client.fails(s, "InvalidParameterValue", "rds", "CreateDBInstance", new(members))
  end
  t.equal(s.state:store("123456789012", "us-east-1", "rds").instances, {})
end)

t.test("a new group shows every parameter of PostgreSQL, and its own as the user's", function()
  local s = started()
  client.ok(s, "rds", "CreateDBParameterGroup",
    { DBParameterGroupName = "own", DBParameterGroupFamily = "postgres15",
    Description = "ours" })
  local list, marker = {}, nil
  repeat
    local page = client.ok(s, "rds", "DescribeDBParameters",
      { DBParameterGroupName = "own", Marker = marker })
    table.move(page.Parameters, 1, #page.Parameters, #list + 1, list)
    marker = page.Marker
  until not marker
  t.ok(#list > 250, #list)
  local by_name = {}
  for _, one in ipairs(list) do by_name[one.ParameterName] = one end
  t.equal(by_name.work_mem.AllowedValues, "64-2147483647")
  t.equal(by_name.work_mem.ApplyType, "dynamic")
  t.equal(by_name.shared_buffers.ApplyType, "static")
  t.equal(by_name.archive_command.IsModifiable, false)
  t.ok(by_name["rds.force_ssl"])
end)

-- Values that would lead out of the database, or break its configuration.
local REFUSED = {
  { "archive_command", "id > %s" }, { "restore_command", "id > %s" },
  { "ssl_passphrase_command", "id > %s" }, { "session_preload_libraries", "x" },
  { "dynamic_library_path", "/tmp" }, { "listen_addresses", "*" },
  { "port", "1" }, { "data_directory", "/tmp" }, { "no_such_parameter", "1" },
  { "search_path", "x'\narchive_command = 'id > %s" }, { "x\narchive_command", "id > %s" },
  { "work_mem", "1" }, { "work_mem", "16MB" }, { "jit", "maybe" }, { "work_mem", "8192.5" },
}

t.test("parameters that would lead out of the database are refused, "
  .. "from calls and worlds alike", function()
  local s = started { parameter_groups = { { name = "own" } } }
  local mark = os.tmpname()
  os.remove(mark)
  for i, case in ipairs(REFUSED) do
    local name, value = case[1], case[2]:format(mark)
    client.fails(s, "InvalidParameterValue", "rds", "ModifyDBParameterGroup",
      { DBParameterGroupName = "own",
      Parameters = { { ParameterName = name, ParameterValue = value,
        ApplyMethod = "pending-reboot" } } })
    local values = { [name] = value }
    if value ~= "16MB" then
      t.raises(nil, s.load, s, { parameter_groups = { { name = "w" .. i, values = values } } })
    end
  end
  t.equal(client.ok(s, "rds", "DescribeDBParameters",
    { DBParameterGroupName = "own", Source = "user" }).Parameters, {})
  t.equal(fs.stat(mark), nil)
end)

t.test("an instance is started with its group's values, quoted", function()
  local s = started { parameter_groups = { { name = "own", values = { work_mem = "9MB",
    search_path = "\"it's\", public", shared_buffers = "{DBInstanceClassMemory/32768}",
    ["rds.force_ssl"] = "1" } } },
    instances = { { id = "shop", parameter_group = "own" } } }
  t.equal(s:sql("shop", "SHOW work_mem").rows[1][1], "9MB")
  t.equal(s:sql("shop", "SHOW search_path").rows[1][1], "\"it's\", public")
  t.equal(s:sql("shop", "SHOW shared_buffers").rows[1][1], "8MB")
end)

t.test("quotas of a world are enforced, and copies across regions are few at a time", function()
  local s = started { quotas = { instances = 1, snapshots = 2, snapshot_copies = 1 },
    instances = { { id = "shop" } }, timeline = { { instance = "shop", snapshot = "one" } } }
  client.fails(s, "InstanceQuotaExceeded", "rds", "CreateDBInstance", new {})
  s.clock:set_speed(1)
  local west = { region = "us-west-2" }
  local function copy(target)
    return { SourceDBSnapshotIdentifier = "arn:aws:rds:us-east-1:123456789012:snapshot:one",
      TargetDBSnapshotIdentifier = target }
  end
  t.equal(client.ok(s, "rds", "CopyDBSnapshot", copy "a", west).DBSnapshot.Status, "pending")
  t.contains(client.fails(s, "SnapshotQuotaExceeded", "rds", "CopyDBSnapshot", copy "b",
    west).message,
    "Cannot copy more than 1 snapshots across regions")
  s.clock:advance(s:takes "rds.snapshot_copy_region" + 1)
  client.until_true("the copy", function()
    return client.ok(s, "rds", "DescribeDBSnapshots", { DBSnapshotIdentifier = "a" }, west)
      .DBSnapshots[1].Status == "available"
  end)
  client.ok(s, "rds", "CopyDBSnapshot", copy "b", west)
  client.fails(s, "SnapshotQuotaExceeded", "rds", "CopyDBSnapshot", copy "c", west)
  t.raises("quotas", started, { quotas = { instance = 1 } })
end)

t.test("security groups and keys of another region are refused", function()
  local s = started { instances = { { id = "east", security_groups = { "sg-east" } },
    { id = "west", region = "us-west-2", security_groups = { "sg-west" } } } }
  t.contains(client.fails(s, "InvalidParameterValue", "rds", "CreateDBInstance",
    new { VpcSecurityGroupIds = { "sg-west" } }).message, "groupId= sg-west")
  client.fails(s, "InvalidParameterValue", "rds", "ModifyDBInstance", {
    DBInstanceIdentifier = "east",
    VpcSecurityGroupIds = { "sg-west" } })
  client.ok(s, "rds", "ModifyDBInstance", { DBInstanceIdentifier = "east", VpcSecurityGroupIds = {
    "sg-new" } })
  client.fails(s, "KMSKeyNotAccessibleFault", "rds", "CreateDBInstance",
    new { KmsKeyId = "arn:aws:kms:us-west-2:123456789012:key/x" })
  client.ok(s, "rds", "CreateDBInstance", new { VpcSecurityGroupIds = { "sg-east" },
    KmsKeyId = "arn:aws:kms:us-east-1:123456789012:key/x" })
end)
