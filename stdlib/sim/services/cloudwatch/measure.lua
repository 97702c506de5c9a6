--- CloudWatch: what AWS/RDS metrics say of a real cluster, measured when somebody
-- asks; each measurement stays as a data point.
local measure = {}

-- A metric is measured again only when the last point is older (seconds).
local FRESH = 1

local LAG = [[
SELECT CASE
  WHEN NOT pg_is_in_recovery() THEN NULL
  WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
    THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
  WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
  ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8]]

local probes = {
  DatabaseConnections = { unit = "Count", measure = function(instance)
    return instance:sql(
      "SELECT count(*)::float8 FROM pg_stat_activity WHERE backend_type = 'client backend' "
      .. "AND usename <> 'rdsadmin'").rows[1][1]
  end },
  ReplicaLag = { unit = "Seconds", measure = function(instance)
    -- A link that swallows everything still looks like streaming for a while.
    if instance.link_cut then
      return instance:sql(
        "SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8")
        .rows[1][1]
    end
    return instance.source and instance:sql(LAG).rows[1][1]
  end },
  CPUUtilization = { unit = "Percent", measure = function(instance)
    return 2.0 + 1.5 * instance:sql("SELECT count(*)::float8 FROM "
      .. "pg_stat_activity WHERE state = 'active'").rows[1][1]
  end },
  FreeStorageSpace = { unit = "Bytes", measure = function(instance)
    local used = instance:sql(
      "SELECT sum(pg_database_size(oid))::float8 FROM pg_database").rows[1][1]
    return instance.shape.AllocatedStorage * (1 << 30) - used
  end },
  MaximumUsedTransactionIDs = { unit = "Count", measure = function(instance)
    return instance:sql("SELECT max(age(datfrozenxid))::float8 FROM pg_database").rows[1][1]
  end },
}

local function instance_of(ctx, dimensions)
  local id = #dimensions == 1 and dimensions[1].Name == "DBInstanceIdentifier"
    and dimensions[1].Value
  local store = ctx.sim.state:store(ctx.account, ctx.region, "rds")
  local instance = id and store.instances and store.instances[id]
  return instance and instance.cluster and instance.cluster:running() and instance or nil
end

--- Measures an AWS/RDS metric and adds the point; does nothing for other metrics,
-- and for an instance that is not running: AWS has no data then either.
function measure.sample(ctx, service, namespace, name, dimensions)
  local probe = namespace == "AWS/RDS" and probes[name]
  local instance = probe and instance_of(ctx, dimensions or {})
  if not instance then return end
  instance.measured = instance.measured or {}
  if ctx:now() - (instance.measured[name] or 0) < FRESH then return end
  instance.measured[name] = ctx:now()
  local ok, value = pcall(probe.measure, instance)
  if not ok or not value then return end
  service.add_point(ctx, namespace, name, dimensions,
    { time = ctx:now() - 0.001, sum = value, count = 1, min = value,
    max = value, unit = probe.unit, values = { value } })
end

--- Measures every metric of every instance once, so that ListMetrics shows them.
function measure.sample_all(ctx, service)
  local store = ctx.sim.state:store(ctx.account, ctx.region, "rds")
  for id in pairs(store.instances or {}) do
    for name in pairs(probes) do
      measure.sample(ctx, service, "AWS/RDS", name,
        { { Name = "DBInstanceIdentifier", Value = id } })
    end
  end
end

return measure
