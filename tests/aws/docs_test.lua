local t = require "harness"
local docs = require "aws.docs"
local model = require "native.model"

t.test("an operation: parameters with types and marks, errors, an example", function()
  local text = docs.text("rds", "promote_read_replica")
  t.contains(text, "rds.promote_read_replica (PromoteReadReplica)")
  t.matches(text, "\n  DBInstanceIdentifier +string +required\n")
  t.matches(text, "\n  BackupRetentionPeriod +integer\n")
  t.contains(text, "DBInstanceNotFoundFault")
  t.contains(text, 'local rds = aws.rds { region = "us-west-2" }')
  t.contains(text, 'DBInstanceIdentifier = "...",')
  t.contains(text, "never sent again once it may have been carried out")
  t.contains(docs.text("rds", "PromoteReadReplica"), "rds.promote_read_replica")
end)

t.test("waits and pages that belong to it", function()
  local text = docs.text("rds", "describe_db_instances")
  t.contains(text, "db_instance_available")
  t.contains(text, "read_replica_promoted")
  t.contains(text, 'client:each("describe_db_instances", {...}, "DBInstances")')
end)

t.test("an example holds what is required, nested too, and is Lua", function()
  local text = docs.text("route53", "change_resource_record_sets")
  local example = text:match("Example\n(.*)$")
  t.contains(example, "HostedZoneId")
  t.ok(load(example), example)
end)

t.test("a service lists its operations and waits", function()
  local text = docs.text "rds"
  t.contains(text, "promote_read_replica")
  t.contains(text, "Waits")
  t.contains(docs.text(), "route53-recovery-cluster")
  t.contains(docs.text "route53_recovery_cluster", "update_routing_control_state")
end)

t.test("what is not there names the nearest", function()
  t.raises("AWS has no service rsd in its models; did you mean", docs.text, "rsd")
  t.raises("did you mean promote_read_replica%?", docs.text, "rds", "promote_read_replca")
end)

t.test("every operation of the services of recoveries has a page and a valid example", function()
  for _, service in ipairs { "rds", "route53", "backup", "ecs", "dynamodb", "s3", "eks", "lambda",
    "wafv2" } do
    for _, name in ipairs(model.open(service):operations()) do
      local text = docs.text(service, name)
      t.ok(load(text:match("Example\n(.*)$")), service .. "." .. name)
    end
  end
end)
