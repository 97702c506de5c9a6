-- drlua doc: services, operations, and what it says to a name that is not there.
local program = require "program"
local t = require "harness"

t.test("without a service: the list of all", function()
  local r = program.run { "doc" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "\nrds\n")
  t.contains(r.out, "\nroute53\n")
end)

t.test("a service: its operations and waits", function()
  local r = program.run { "doc", "rds" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "promote_read_replica")
  t.contains(r.out, "db_instance_available")
end)

t.test("an operation, in either form and after a dot or a blank", function()
  local r = program.run { "doc", "rds.promote_read_replica" }
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "DBInstanceIdentifier")
  t.contains(r.out, "rds:promote_read_replica {")
  t.equal(program.run({ "doc", "rds.PromoteReadReplica" }).out, r.out)
  t.equal(program.run({ "doc", "rds", "promote_read_replica" }).out, r.out)
end)

t.test("a name that is not there: exit 2 and the nearest", function()
  local r = program.run { "doc", "rdz" }
  t.equal(r.code, 2)
  t.contains(r.err, "did you mean rds?")
  r = program.run { "doc", "rds.promote_replica" }
  t.equal(r.code, 2)
  t.contains(r.err, "promote_read_replica")
end)

t.test("an operation's line is its own first sentence, not a remark before it", function()
  local r = program.run { "doc", "s3" }
  t.matches(r.out, "write_get_object_response +Passes transformed objects")
end)
