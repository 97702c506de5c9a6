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
