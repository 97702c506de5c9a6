-- Region-wide outage: promote the cross-region read replica, bring the platform up
-- in the recovery region, and move traffic there.
--
--     drlua playbooks/region_failover.lua --env castmatch
--
-- Steps that depend on parameters you leave out (SQL, Kubernetes, ECS, DNS) are
-- reported as skipped.
local aws = require "aws"
local databases = require "toolbox.databases"
local dns = require "toolbox.dns"
local dr = require "drlua"
local http = require "http"
local kubernetes = require "toolbox.kubernetes"
local services = require "toolbox.services"
local terraform = require "toolbox.terraform"

local function login(p)
  return { dbname = p.db_name, user = p.db_user, password = p.db_password, sslmode = p.db_sslmode }
end

local function cluster(p)
  if p.eks_cluster then
    return { eks = aws.eks { region = p.dr_region }, name = p.eks_cluster, namespace = p.namespace }
  end
  return { kubeconfig = p.kubeconfig, context = p.kube_context, namespace = p.namespace }
end

local function has_cluster(p) return p.eks_cluster ~= nil or p.kube_context ~= nil end

-- The writes that the application saw acknowledged, from a place that outlives the
-- region: { rows =, last_at = }.
local function ledger(p)
  return http.get(p.ledger_url, { timeout = "10s" }):json()
end

-- Signs of life of the primary region, each independent of the others. That the
-- Health API is silent proves nothing: it is global and needs a support plan.
local function signs_of_life(p)
  local alive = {}
  local page, e = dr.try(function()
    return aws.rds { region = p.primary_region, timeout = p.probe_timeout }
      :describe_db_instances { DBInstanceIdentifier = p.primary }
  end)
  -- A refusal is an answer too: of a living region, to a wrong name or wrong credentials.
  local refused_by_aws = e and e.kind == "aws" and e.status and e.status < 500
  if page or refused_by_aws then
    table.insert(alive, "RDS answers in " .. p.primary_region
      .. (e and " (" .. tostring(e.code) .. ")" or ""))
  end
  dr.note(page and "the RDS API answers in " .. p.primary_region or "RDS: " .. tostring(e))
  -- A silent API is not a dead database: its address, where we have it, is tried too.
  local endpoint = p.primary_host and { Address = p.primary_host, Port = p.primary_port }
    or page and page.DBInstances[1].Endpoint
  if endpoint and p.db_user then
    local db, refused = dr.try(databases.connect, { Endpoint = endpoint }, login(p),
      p.probe_timeout)
    dr.note(db and "the primary database accepts connections" or "primary database: "
      .. tostring(refused))
    if db then
      table.insert(alive, "the primary database accepts connections")
      db:close()
    end
  end
  if p.health_url then
    local answer, silent = dr.try(http.get, p.health_url, { timeout = p.probe_timeout })
    if answer then table.insert(alive, p.health_url .. " is healthy") end
    dr.note(answer and p.health_url .. " is healthy" or "health: " .. tostring(silent))
  end
  return alive
end

local function confirm_outage(p)
  local alive = signs_of_life(p)
  if #alive == 0 then return "no sign of life from " .. p.primary_region end
  local found = table.concat(alive, "; ")
  if p.drill then
    dr.note("drill: going on although " .. found)
    return "drill: " .. found
  end
  dr.fail(("%s is not down: %s. Two writable primaries would take different writes. "
    .. "To move away from a living "
    .. "region stop its writers first, then give --drill yes"):format(p.primary_region, found))
end

-- How far the replica had come: read before the promotion, which ends replication.
local function replica_position(p, rds)
  local instance = databases.get(rds, p.replica)
  return databases.with(instance, login(p), function(db)
    return db:row [[
      select pg_is_in_recovery() as replica,
             coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn())::text as lsn,
             extract(epoch from pg_last_xact_replay_timestamp())::float8 as replayed_at]]
  end)
end

-- A query that would take longer than this does not hold up an approval.
local PATIENCE = "-c statement_timeout=20s"

local function quick(p)
  local patient = login(p)
  patient.options = PATIENCE
  return patient
end

-- What the replica has and lacks at this moment, in sentences.
local function replica_now(p, rds)
  if not p.db_user then
    return "How far the replica is behind is not known: no db_user is given."
  end
  local instance = databases.get(rds, p.replica)
  local lag = databases.with(instance, quick(p), function(db)
    return db:value [[select
      extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8]]
  end)
  local behind = lag
    and ("The replica replayed its last transaction %s ago"):format(dr.duration(lag))
    or "The replica has replayed no transaction since it was started"
  if not (p.rpo_table and p.ledger_url) then
    return behind .. "; rows at stake cannot be counted without rpo_table and ledger_url."
  end
  local kept = databases.with(instance, quick(p), function(db)
    return db:value("select count(*) from " .. db:identifier(p.rpo_table))
  end)
  local acknowledged = ledger(p).rows
  return ("%s; %d of %d rows that the application saw acknowledged are not in %s, and are lost.")
    :format(behind, math.max(0, acknowledged - kept), acknowledged, p.rpo_table)
end

local function primary_endpoint(p)
  if p.primary_host then return { Address = p.primary_host, Port = p.primary_port } end
  local rds = aws.rds { region = p.primary_region, timeout = p.probe_timeout }
  return databases.get(rds, p.primary).Endpoint
end

-- Who can be seen writing to the primary at this moment.
local function primary_now(p)
  if not p.db_user then
    return "Whether anybody writes to the primary is not known: no db_user is given."
  end
  local seen, silent = dr.try(function()
    local db = databases.connect({ Endpoint = primary_endpoint(p) }, quick(p), p.probe_timeout)
    local rows, e = dr.try(db.query, db, [[
      select distinct usename || ' from ' || coalesce(client_addr::text, 'its own host') as who
      from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by 1]])
    db:close()
    return rows or error(e, 0)
  end)
  if not seen then
    return ("The primary database cannot be reached (%s): nobody is seen writing to it.")
      :format(tostring(silent))
  end
  local names = {}
  for i, row in ipairs(seen) do names[i] = row.who end
  return #names == 0 and "The primary database is reached, and nobody is connected to it."
    or ("THE PRIMARY IS ALIVE, and connected to it are: %s."):format(table.concat(names, ", "))
end

local function sentence_of(fn, ...)
  local text, e = dr.try(fn, ...)
  return text or "This could not be found out: " .. tostring(e)
end

-- What whoever approves the promotion should know.
local function promotion_now(p, rds)
  return table.concat({
    ("%s in %s stops replicating from %s for good and becomes a primary. Going back means building "
      .. "a new replica, with everything written here since."):format(p.replica, p.dr_region,
      p.primary_region),
    sentence_of(replica_now, p, rds),
    sentence_of(primary_now, p),
  }, "\n")
end

-- RPO, counted. In rows where a ledger tells what the application had acknowledged;
-- in seconds between the last acknowledged write and the last one that survived.
local function measure_loss(p, db, position, outage_started)
  local kept = db:row(
    ([[select count(*) as rows, extract(epoch from max(%s))::float8 as last_at from %s]])
    :format(db:identifier(p.rpo_column), db:identifier(p.rpo_table)))
  local acknowledged = p.ledger_url and ledger(p)
  local last_acknowledged = acknowledged and acknowledged.last_at or outage_started
  local survived = kept.last_at or position.replayed_at
  local seconds = survived and math.max(0, last_acknowledged - survived)
  local rows = acknowledged and math.max(0, acknowledged.rows - kept.rows)
  dr.measure("rpo", {
    seconds = seconds,
    rows = rows,
    detail = acknowledged
      and ("%d rows acknowledged, %d kept in %s"):format(acknowledged.rows, kept.rows, p.rpo_table)
      or ("%d rows kept in %s; without ledger_url lost rows cannot be counted"):format(kept.rows,
        p.rpo_table),
  })
  return { rows_lost = rows, seconds_lost = seconds, rows_kept = kept.rows }
end

local function sql_checks(p, db)
  for _, check in ipairs(p.checks or {}) do
    dr.check(check.name, function()
      local value = db:value(check.sql)
      if value == false or value == nil or value == 0 then
        dr.fail(("%s: the query answers %s: %s"):format(check.name, tostring(value), check.sql))
      end
    end)
  end
end

local function deploy_kubernetes(p)
  local target = cluster(p)
  for _, path in ipairs(p.manifests or {}) do kubernetes.apply(target, path) end
  if p.helm_release then
    kubernetes.helm_release(target, p.helm_release, p.helm_chart, { values = p.helm_values })
  end
  for deployment, replicas in pairs(p.deployments or {}) do
    kubernetes.scale(target, deployment, replicas)
  end
  for deployment in pairs(p.deployments or {}) do kubernetes.wait_rollout(target, deployment) end
end

local function deploy_services(p)
  local ecs = aws.ecs { region = p.dr_region }
  local names = {}
  for name in pairs(p.ecs_services) do table.insert(names, name) end
  table.sort(names)
  for _, name in ipairs(names) do services.scale(ecs, p.ecs_cluster, name, p.ecs_services[name]) end
  services.wait_stable(ecs, p.ecs_cluster, names, nil, p.ecs_services)
  return services.desired_counts(ecs, p.ecs_cluster, names)
end

local function dns_record(p, endpoint)
  return dns.record {
    name = p.record, kind = p.record_type, target = p.dns_target or endpoint.Address,
    alias_zone = p.alias_zone, ttl = p.record_ttl,
    set_identifier = p.set_identifier, failover = p.set_identifier and "PRIMARY" or nil,
    health_check = p.health_check,
  }
end

-- Routing controls answer while Route 53's record API, which lives in us-east-1, does not.
local function routing(p)
  return aws.route53_recovery_cluster { cluster_endpoints = p.routing_endpoints, timeout = "15s" }
end

local function switch(p, on, off)
  local entries = {}
  for _, arn in ipairs(on or {}) do
    table.insert(entries, { RoutingControlArn = arn, RoutingControlState = "On" })
  end
  for _, arn in ipairs(off or {}) do
    table.insert(entries, { RoutingControlArn = arn, RoutingControlState = "Off" })
  end
  routing(p):update_routing_control_states { UpdateRoutingControlStateEntries = entries }
end

local function check_routing(p)
  for state, arns in pairs { On = p.routing_on, Off = p.routing_off } do
    for _, arn in ipairs(arns or {}) do
      local now = routing(p):get_routing_control_state {
        RoutingControlArn = arn }.RoutingControlState
      if now ~= state then dr.fail(("the routing control %s is %s, not %s"):format(arn, now,
        state)) end
    end
  end
end

-- The record as it is; with an answer to what its silence means.
local function record_now(p, wanted)
  local record, silent = dr.try(dns.find, aws.route53 {}, p.zone, wanted.Name, wanted.Type,
    wanted.SetIdentifier)
  if silent and silent.status == nil and silent.kind ~= "control"
    and p.primary_region == "us-east-1" then
    dr.fail(("Route 53's record API does not answer (%s). It lives in us-east-1: while that region "
      .. "is down no record can be changed. Move the traffic by routing controls or health-checked "
      .. "failover records made beforehand, or resume this run when the API answers")
      :format(silent.message))
  end
  if silent then error(silent, 0) end
  return record
end

return dr.playbook {
  title   = "Region failover",
  summary = "Promote the cross-region replica and move traffic to the recovery region.",
  targets = { rto = "4h", rpo = "1h" },

  params = {
    { "primary_region", type = "region", default = "us-east-1", help = "the region that failed" },
    { "dr_region", type = "region", default = "us-west-2", help = "the region to recover in" },
    { "primary", help = "identifier of the primary database instance", required = true },
    { "replica", help = "identifier of the cross-region read replica", required = true },
    { "backup_retention", type = "int", default = 7,
      help = "days; a promoted replica has no backups until it is set" },
    { "backup_window", pattern = "^%d%d:%d%d%-%d%d:%d%d$", required = false,
      help = "UTC, as 03:00-04:00" },
    { "promotion_grace", type = "duration", default = "5m",
      help = "how long AWS may leave the replica as it is after it accepted the promotion" },
    { "primary_host", required = false,
      help = "the primary database's address: tried although the region's API is silent" },
    { "primary_port", type = "int", default = 5432 },
    { "probe_timeout", type = "duration", default = "10s",
      help = "how long a sign of life may take" },
    { "drill", type = "bool", default = false, help = "go on although the primary region answers" },
    { "outage_started", type = "time", required = false,
      help = "RTO counts from here; default: the start of the run" },
    { "health_url", type = "url", required = false,
      help = "the service's health check in the primary region" },

    { "db_name", default = "postgres" },
    { "db_user", required = false, help = "without it the SQL steps are skipped" },
    { "db_password", secret = true, env = "DB_PASSWORD", required = false },
    { "db_sslmode", type = "enum", choices = { "disable", "prefer", "require", "verify-full" },
      default = "prefer" },
    { "rpo_table", required = false,
      help = "a table that the application writes all the time; RPO is read from it" },
    { "rpo_column", default = "created_at", help = "its timestamp column" },
    { "ledger_url", type = "url", required = false,
      help = "answers {rows, last_at} of acknowledged writes, from outside the "
        .. "region: RPO counted in rows" },
    { "checks", type = "list", required = false,
      help = "SQL checks: { { name=, sql= } }; each must answer true" },

    { "terraform_dir", required = false, help = "applied with region and environment=dr" },
    { "eks_cluster", required = false,
      help = "EKS cluster of the recovery region; or kube_context" },
    { "kubeconfig", required = false },
    { "kube_context", required = false, help = "context of the recovery cluster" },
    { "namespace", required = false },
    { "manifests", type = "list", required = false, help = "paths for kubectl apply" },
    { "deployments", type = "list", required = false, help = "{ name = replicas }" },
    { "helm_release", required = false },
    { "helm_chart", required = false },
    { "helm_values", type = "list", required = false },
    { "ecs_cluster", required = false },
    { "ecs_services", type = "list", required = false, help = "{ name = desired count }" },

    { "routing_on", type = "list", required = false,
      help = "ARNs of ARC routing controls that let traffic into the recovery region" },
    { "routing_off", type = "list", required = false,
      help = "those that let it into the primary region" },
    { "routing_endpoints", type = "list", required = false,
      help = "the ARC cluster's endpoints, kept at hand: { { Endpoint=, Region= } }" },
    { "zone", required = false,
      help = "hosted zone id of the service's record; without it DNS is left alone" },
    { "record", required = false, help = "the record to move" },
    { "record_type", required = false },
    { "record_ttl", type = "int", default = 60 },
    { "dns_target", required = false,
      help = "where the record should point; default: the promoted database" },
    { "alias_zone", required = false,
      help = "makes an alias: hosted zone id of the load balancer's region" },
    { "set_identifier", required = false, help = "of a failover record set" },
    { "health_check", required = false, help = "Route 53 health check of the record" },
    { "health_check_host", required = false,
      help = "what that health check should probe from now on" },
  },

  control_planes = function(p)
    return { failed_region = p.primary_region }
  end,

  ready = function(p)
    local rds = aws.rds { region = p.dr_region }
    dr.check("The replica exists and is available", function()
      local replica = databases.get(rds, p.replica)
      if replica.DBInstanceStatus ~= "available" then
        dr.fail(("%s is %s"):format(p.replica, replica.DBInstanceStatus))
      end
    end)
    dr.check("The replica streams from the primary", function()
      local replica = databases.get(rds, p.replica)
      if not databases.source(replica) then
        dr.fail(p.replica .. " is not a read replica of anything")
      end
      local state = databases.replication(replica)
      if state ~= "replicating" then
        dr.fail(("replication of %s is %s"):format(p.replica, state or "not reported"))
      end
    end)
    if p.db_user then
      dr.check("The replica takes this login and lags less than the RPO", function()
        databases.with(databases.get(rds, p.replica), login(p), function(db)
          local lag = db:value [[select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end::float8]]
          local target = dr.run().targets.rpo
          if lag and lag > target then
            dr.fail(("the replica lags %s, and the RPO is %s"):format(dr.duration(lag),
              dr.duration(target)))
          end
        end)
      end)
    end
    if p.routing_on then
      dr.check("The routing controls answer", function()
        for _, arn in ipairs(p.routing_on) do
          routing(p):get_routing_control_state { RoutingControlArn = arn }
        end
      end)
    elseif p.zone and p.primary_region == "us-east-1" then
      dr.note("Route 53's record API lives in us-east-1: in an outage of that region the record "
        .. "cannot be changed. Prepare routing controls (routing_on, routing_off) or "
        .. "health-checked failover records")
    end
    if p.zone then
      dr.check("The DNS record exists and its TTL is short", function()
        local record = dns.find(aws.route53 {}, p.zone, p.record, p.record_type or "CNAME",
          p.set_identifier)
        if not record then dr.fail(("no record %s in zone %s"):format(p.record, p.zone)) end
        if record.TTL and record.TTL > 300 then
          dr.fail(("the TTL of %s is %d s: clients would follow that late"):format(p.record,
            record.TTL))
        end
      end)
    end
    if p.ecs_cluster then
      dr.check("The recovery region knows the services", function()
        local names = {}
        for name in pairs(p.ecs_services or {}) do table.insert(names, name) end
        services.describe(aws.ecs { region = p.dr_region }, p.ecs_cluster, names)
      end)
    end
    if has_cluster(p) then
      dr.check("The recovery cluster answers",
        function() kubernetes.read(cluster(p), { "get", "nodes" }) end)
    end
  end,

  run = function(p)
    local rds = aws.rds { region = p.dr_region }
    if p.outage_started then dr.incident_started(p.outage_started) end

    dr.step("Confirm the outage", { risk = "read", budget = "5m" },
      function() return confirm_outage(p) end)

    local position = dr.step("Note the replica's position", {
      risk = "read", budget = "1m", when = p.db_user ~= nil,
    }, function() return replica_position(p, rds) end)

    local endpoint = dr.step("Promote the replica", {
      risk = "irreversible",
      approve = function() return promotion_now(p, rds) end,
      budget = "30m",
      done = function()
        return databases.is_promoted(rds, p.replica) and databases.get(rds, p.replica).Endpoint
      end,
    }, function()
      databases.promote(rds, p.replica,
        { retention = p.backup_retention, window = p.backup_window })
      return databases.wait_promoted(rds, p.replica, { grace = p.promotion_grace }).Endpoint
    end)

    local function with_database(fn)
      return databases.with({ Endpoint = endpoint }, login(p), fn)
    end

    dr.step("Prove that the promoted database takes writes", {
      risk = "reversible", budget = "2m", repeatable = true, when = p.db_user ~= nil,
    }, function()
      databases.wait_connectable({ Endpoint = endpoint }, login(p))
      return with_database(databases.prove_writable)
    end)

    dr.parallel {
      function()
        dr.step("Check the promoted database",
          { budget = "10m", when = p.db_user ~= nil and p.checks ~= nil },
          function() with_database(function(db) sql_checks(p, db) end) end)
        dr.step("Count what was lost", {
          risk = "read", budget = "2m", when = p.db_user ~= nil and p.rpo_table ~= nil,
        }, function()
          local started = p.outage_started or dr.run_started()
          return with_database(function(db) return measure_loss(p, db, position, started) end)
        end)
      end,
      function()
        dr.step("Apply the recovery infrastructure",
          { budget = "30m", when = p.terraform_dir ~= nil }, function()
          local variables = { region = p.dr_region, environment = "dr" }
          terraform.init(p.terraform_dir)
          if terraform.has_changes(p.terraform_dir, variables) then
            terraform.apply(p.terraform_dir, variables)
          end
        end)
        dr.step("Deploy to the recovery cluster", { budget = "45m", when = has_cluster(p) },
          function() deploy_kubernetes(p) end)
        dr.step("Start the services", { budget = "15m", when = p.ecs_cluster ~= nil },
          function() return deploy_services(p) end)
      end,
    }

    dr.step("Switch the traffic to the recovery region", {
      budget = "2m", when = p.routing_on ~= nil,
      undo = function() switch(p, p.routing_off, p.routing_on) end,
    }, function() switch(p, p.routing_on, p.routing_off) end)

    dr.step("Point the health check at the recovery region", {
      budget = "2m", when = p.health_check ~= nil and p.health_check_host ~= nil,
    }, function()
      aws.route53 {}:update_health_check {
        HealthCheckId = p.health_check, FullyQualifiedDomainName = p.health_check_host,
      }
    end)

    dr.step("Point DNS at the recovery region", {
      budget = "10m", when = p.zone ~= nil and p.record ~= nil,
      undo = function(before)
        if before then
          dns.point(aws.route53 {}, p.zone, before, "drlua: back to the primary region")
        end
      end,
    }, function()
      local route53 = aws.route53 {}
      local wanted = dns_record(p, endpoint)
      local before = record_now(p, wanted)
      dns.point(route53, p.zone, wanted, "drlua: failover to " .. p.dr_region)
      return before
    end)

    dr.step("Verify the recovery", { risk = "read", budget = "5m" }, function()
      dr.check("The promoted database is a primary of its own", function()
        if not databases.is_promoted(rds, p.replica) then
          dr.fail(("%s in %s is not a primary that serves"):format(p.replica, p.dr_region))
        end
      end)
      dr.check("Automated backups are on", function()
        local instance = databases.get(rds, p.replica)
        if instance.BackupRetentionPeriod ~= p.backup_retention then
          dr.fail(("backups of %s are kept %s days, not %d"):format(p.replica,
            tostring(instance.BackupRetentionPeriod),
            p.backup_retention))
        end
      end)
      if p.routing_on then
        dr.check("The routing controls send traffic to the recovery region",
          function() check_routing(p) end)
      end
      if p.zone and p.record then
        dr.check("DNS answers the recovery region", function()
          local wanted = dns_record(p, endpoint)
          local record = dns.find(aws.route53 {}, p.zone, wanted.Name, wanted.Type,
            wanted.SetIdentifier)
          if not dns.points_at(record, dns.target(wanted)) then
            dr.fail(("%s answers %s, not %s"):format(p.record, tostring(dns.target(record)),
              dns.target(wanted)))
          end
        end)
      end
    end)
  end,

  rehearsal = "rehearsals/region_failover.lua",
}
