-- The recordings that the repository keeps hold; a recording that is not what the client
-- reads, or a wait that ends too early, fails.
local judge = require "judge"
local promises = require "promises"
local reading = require "reading"
local recorded = require "recorded"
local simulated = require "simulated"
local t = require "harness"

local KEPT = "tests/truth/recordings"

t.test("what was recorded from AWS holds", function()
  local result = judge.run(KEPT)
  t.equal(result.failures, {})
  t.equal(result.passed > 60, true)
  for _, each in ipairs(result.skipped) do t.contains(each.path, "README") end
end)

local function of(operation)
  for _, record in ipairs(recorded.read(KEPT)) do
    if record.operation == operation and not record.error then return record end
  end
end

t.test("a recording that is read otherwise is a failure, whatever differs", function()
  local changes = {
    text = function(i) i.DBInstanceIdentifier = i.DBInstanceIdentifier .. "<&>x " end,
    number = function(i) i.AllocatedStorage = "x" end,
    time = function(i) i.InstanceCreateTime = "not a time" end,
  }
  for what, change in pairs(changes) do
    local record = of "DescribeDBInstances"
    t.equal(reading.check(record), {}, "as recorded")
    change(record.output.DBInstances[1])
    local ok, faults = pcall(reading.check, record)
    t.equal(ok and #faults == 0, what == "text", what)
  end
end)

t.test("a member that AWS's model does not know is listed", function()
  local record = of "DescribeDBInstances"
  record.output.DBInstances[1].Unheard = "x"
  local faults, unknown = reading.check(record)
  t.equal({ #faults, unknown }, { 0, { "DescribeDBInstances.DBInstances[1].Unheard" } })
end)

t.test("times of recordings are read by their calendar", function()
  for text, seconds in pairs { ["1970-01-01T00:00:00Z"] = 0, ["2000-02-29T12:00:00Z"] = 951825600,
    ["2017-11-21T19:58:24.5Z"] = 1511294304.5, ["2017-11-21T14:58:24-05:00"] = 1511294304 } do
    t.equal(recorded.seconds(text), seconds, text)
  end
  t.equal(recorded.seconds("yesterday"), nil)
end)

t.test("AWS's handlers want more of an instance than its status", function()
  local done = promises.of.rds.db_instance_settled
  local function faults(fields)
    fields.DBInstanceStatus = fields.DBInstanceStatus or "available"
    return #done { DBInstances = { fields } }
  end
  t.equal(faults {}, 0)
  t.equal(faults { DBParameterGroups = { { ParameterApplyStatus = "pending-reboot" } } }, 0)
  for _, fields in ipairs { { DBInstanceStatus = "backing-up" },
    { VpcSecurityGroups = { { Status = "adding" } } },
    { DBParameterGroups = { { ParameterApplyStatus = "applying" } } },
    { PendingModifiedValues = { DBInstanceClass = "db.r6g.large" } },
    { StatusInfos = { { StatusType = "read replication", Status = "error" } } } } do
    t.equal(faults(fields), 1)
  end
end)

local function answer(operation, fields)
  fields.DBInstanceArn = "arn:aws:rds:us-east-1:123456789012:db:shop"
  local output = operation:find("^Describe") and { DBInstances = { fields } }
    or { DBInstance = fields }
  return { service = "rds", operation = operation, input = { DBInstanceIdentifier = "shop" },
    output = output }
end

local function not_found(text)
  return { service = "rds", operation = "DescribeDBInstances",
    input = { DBInstanceIdentifier = "shop" },
    failure = { code = "DBInstanceNotFound", message = text } }
end

t.test("what the simulator shows and AWS was not seen to show is a failure", function()
  local function failures(...)
    local found = {}
    simulated.check({ ... }, {}, function(_, what, faults)
      if #faults > 0 then table.insert(found, what) end
    end, function() end)
    return found
  end
  local function describe(status, fields)
    fields = fields or {}
    fields.DBInstanceStatus = status
    return answer("DescribeDBInstances", fields)
  end
  local cases = {
    { {}, describe("available", { LatestRestorableTime = 1 }) },
    { { "rds.DBInstance.LatestRestorableTime in creating" },
      describe("creating", { LatestRestorableTime = 1 }) },
    { { "rds.DBInstance.TdeCredentialArn in available" },
      describe("available", { TdeCredentialArn = "x" }) },
    { {}, answer("DeleteDBInstance", { DBInstanceStatus = "deleting" }) },
    { { "rds.DeleteDBInstance answers the state available" },
      answer("DeleteDBInstance", { DBInstanceStatus = "available" }) },
    { {}, not_found "DBInstance shop not found." },
    { { "rds.DBInstanceNotFound of DescribeDBInstances" }, not_found "There is no shop." },
    { { "rds.DBInstance from rebooting to available" }, describe "creating",
      describe "available", describe "rebooting" },
    { {}, describe "creating", describe "available", describe "rebooting", describe "modifying",
      describe "available" },
  }
  for i, case in ipairs(cases) do
    t.equal(failures(table.unpack(case, 2)), case[1], "case " .. i)
  end
end)
