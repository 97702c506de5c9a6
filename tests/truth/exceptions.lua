--- Where drlua differs from what was recorded, and why. A reason that begins with "open: "
-- is a difference that should go: it is counted apart, and listed.
local exceptions = {}

--- Of waits: by "service.wait", { pattern of the condition not met, reason }.
local STATUS_ALONE = "AWS's own waiter, which looks at the status alone: kept as AWS has it, and "
  .. "db_instance_settled is ours for the whole"
local WRITES_FIRST = "the wait ends as soon as the database can take writes: what is tidied up "
  .. "later must not hold up a recovery"
local PARTS = { "^a security group is ", "^a parameter group is applying", " is pending$",
  "^the read replication is ", "^a domain membership is ", "^an option group is failed",
  "^the master secret is " }

local function all(reason, ...)
  local rules = {}
  for _, pattern in ipairs { ... } do table.insert(rules, { pattern, reason }) end
  return rules
end

exceptions.waits = {
  ["rds.db_instance_available"] = all(STATUS_ALONE, table.unpack(PARTS)),
  ["rds.db_instance_renamed"] = all(WRITES_FIRST, table.unpack(PARTS)),
  ["rds.read_replica_promoted"] = all(WRITES_FIRST, table.unpack(PARTS)),
  ["rds.db_cluster_available"] = all("AWS's own waiter, which looks at the status alone",
    " is pending$", "^the master secret is ", "abling$"),
  ["rds.db_cluster_renamed"] = all(WRITES_FIRST, " is pending$", "^the master secret is ",
    "abling$"),
  ["rds.db_instance_deleted"] = all("AWS's own waiter: a describe with a filter has an empty list",
    "^the response is a list"),
  ["rds.db_cluster_deleted"] = all("AWS's own waiter: a describe with a filter has an empty list",
    "^the response is a list"),
  ["ecs.services_stable"] = all("AWS's own waiter: no service that was asked for is unstable",
    "^there is nothing in services"),
  ["ecs.deployment_completed"] = all("the wait is for the rollout of the new deployment; "
    .. "services_stable is for the counts of tasks", " tasks are running$",
    "^there are %d+ deployments"),
}

return exceptions
