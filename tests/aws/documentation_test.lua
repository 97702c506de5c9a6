local documentation = require "aws.documentation"
local model = require "aws.model"
local t = require "harness"

local function installed()
  if not documentation.html("sts") then t.skip("docs.bin is not beside the program") end
end

t.test("texts of services, operations and members, down to what lists hold", function()
  installed()
  t.contains(model.doc("rds"), "Relational Database Service")
  t.contains(model.doc("rds", "PromoteReadReplica"), "Promotes a read replica")
  t.contains(model.doc("rds", "PromoteReadReplica", "BackupRetentionPeriod"),
    "automated backups are retained")
  local text, values = documentation.text("ec2", "DescribeInstances", "Reservations", "Instances",
    "State", "Name")
  t.contains(text, "state of the instance")
  t.contains(table.concat(values, " "), "terminated")
end)

t.test("what is not there is nil", function()
  installed()
  t.equal(model.doc("nothing"), nil)
  t.equal(model.doc("rds", "Nothing"), nil)
  t.equal(model.doc("rds", "PromoteReadReplica", "Nothing"), nil)
  t.equal(model.doc("rds", "PromoteReadReplica", "BackupRetentionPeriod", "Deeper"), nil)
end)

t.test("HTML becomes plain text", function()
  local html = "<p>One <code>a&lt;b</code>\n  two.</p> <ul> <li> <p>x &amp; "
    .. "y</p> </li> <li>z</li></ul>"
  t.equal(documentation.plain(html), "One a<b two.\n\n- x & y\n\n- z")
end)
