--- Route 53: health checks, and the answers that name servers give by them.
local errors = require "errors"
local http = require "native.http"
local recovery = require "sim.services.route53_recovery_cluster"
local records = require "sim.services.route53.records"
local state = require "sim.state"
local task = require "task"

local health = {}

local PROBE_SECONDS = 4

--- Enters a health check: { id, config, status = "healthy" | "unhealthy" }; without
-- a status it is really probed when asked for.
function health.add_health_check(ctx, fields)
  local shape = { Id = fields.id or ctx.uuid(), CallerReference = fields.caller or ctx.uuid(),
    HealthCheckVersion = 1, HealthCheckConfig = fields.config or { Type = "TCP" } }
  local check = { shape = shape, status = fields.status, sim = ctx.sim, account = ctx.account }
  ctx.store.health_checks[shape.Id] = check
  return check
end

local function find(ctx, id)
  local check = ctx.store.health_checks[id]
  if not check then
    ctx:fail("NoSuchHealthCheck", "A health check with id " .. tostring(id) .. " does not exist.",
      { status = 404 })
  end
  return check
end

function health.create_health_check(ctx, input)
  ctx:need(input, "CallerReference", "HealthCheckConfig")
  for _, check in pairs(ctx.store.health_checks) do
    if check.shape.CallerReference == input.CallerReference then
      ctx:fail("HealthCheckAlreadyExists", "A health check has already been created "
        .. "with the specified caller "
        .. "reference.")
    end
  end
  local check = health.add_health_check(ctx,
    { caller = input.CallerReference, config = input.HealthCheckConfig })
  return { HealthCheck = check.shape,
    Location = "https://route53.amazonaws.com/2013-04-01/healthcheck/" .. check.shape.Id }
end

function health.get_health_check(ctx, input)
  return { HealthCheck = find(ctx, input.HealthCheckId).shape }
end

function health.list_health_checks(ctx)
  local list = {}
  for _, id in ipairs(state.sorted(ctx.store.health_checks)) do
    table.insert(list, ctx.store.health_checks[id].shape)
  end
  return { HealthChecks = list, IsTruncated = false, MaxItems = "100", Marker = "" }
end

function health.update_health_check(ctx, input)
  local shape = find(ctx, input.HealthCheckId).shape
  if input.HealthCheckVersion and input.HealthCheckVersion ~= shape.HealthCheckVersion then
    ctx:fail("HealthCheckVersionMismatch", "The specified version does not "
      .. "match the current version.")
  end
  for _, member in ipairs { "IPAddress", "Port", "ResourcePath", "FullyQualifiedDomainName",
    "SearchString", "FailureThreshold", "Inverted", "Disabled", "HealthThreshold",
    "ChildHealthChecks", "EnableSNI", "Regions", "AlarmIdentifier",
    "InsufficientDataHealthStatus" } do
    if input[member] ~= nil then shape.HealthCheckConfig[member] = input[member] end
  end
  shape.HealthCheckVersion = shape.HealthCheckVersion + 1
  return { HealthCheck = shape }
end

function health.delete_health_check(ctx, input)
  ctx.store.health_checks[find(ctx, input.HealthCheckId).shape.Id] = nil
  return {}
end

-- Asks the endpoint as a checker of Route 53 would.
local function probe(config)
  local where = config.IPAddress or config.FullyQualifiedDomainName
  if not where then return false, "Failure: no endpoint" end
  local scheme = config.Type:find("^HTTPS") and "https" or "http"
  local answer, message = task.await(http.request {
    method = "GET", url = ("%s://%s:%d%s"):format(scheme, where, config.Port
      or (scheme == "https" and 443 or 80),
      config.ResourcePath or "/"), verify = false, connect_timeout = PROBE_SECONDS,
      timeout = PROBE_SECONDS,
  })
  if not answer then return false, "Failure: " .. tostring(message) end
  local ok = answer.status >= 200 and answer.status < 400
  return ok, ("%s: HTTP Status Code %d"):format(ok and "Success" or "Failure", answer.status)
end

--- Whether a check is healthy, and its status in words.
function health.judge(check)
  local config = check.shape.HealthCheckConfig
  local healthy, text
  if check.status then
    healthy = check.status == "healthy"
    text = healthy and "Success: HTTP Status Code 200, OK" or "Failure: Connection timed out"
  elseif config.Type == "RECOVERY_CONTROL" then
    healthy = recovery.is_on(check.sim, check.account, config.RoutingControlArn)
    text = healthy and "Success: the routing control is On" or "Failure: the routing control is Off"
  elseif (config.Type or ""):find("^HTTP") then
    local ok, a, b = pcall(probe, config)
    if not ok then return false, "Failure: " .. tostring(errors.from(a)) end
    healthy, text = a, b
  else
    healthy, text = true, "Success: Connection established"
  end
  if config.Inverted then healthy = not healthy end
  return healthy, text
end

function health.get_health_check_status(ctx, input)
  local _, text = health.judge(find(ctx, input.HealthCheckId))
  local observations = {}
  for i, region in ipairs { "us-east-1", "us-west-1", "us-west-2", "eu-west-1",
    "ap-southeast-1" } do
    observations[i] = { Region = region, IPAddress = "54.183.255." .. i,
      StatusReport = { Status = text, CheckedTime = ctx:now() } }
  end
  return { HealthCheckObservations = observations }
end

-- Of the record sets under one name and type, those that answer: the primary while
-- it is healthy, else the secondary.
local function answering(store, sets)
  for _, role in ipairs { "PRIMARY", "SECONDARY" } do
    for _, record in ipairs(sets) do
      local check = store.health_checks[record.HealthCheckId or ""]
      local healthy = role == "SECONDARY" or not check or health.judge(check)
      if record.Failover == role and healthy then return { record } end
    end
  end
  local living = {}
  for _, record in ipairs(sets) do
    local check = store.health_checks[record.HealthCheckId or ""]
    if not check or (health.judge(check)) then table.insert(living, record) end
  end
  return #living > 0 and living or sets
end

--- What a name server of the zone answers: a list of values.
function health.resolve(store, zone, name, kind)
  local sets, values = {}, {}
  for _, record in ipairs(zone.records) do
    if record.Name == name and (record.Type == kind or record.Type == "CNAME") then
      table.insert(sets, record)
    end
  end
  for _, record in ipairs(answering(store, sets)) do
    for _, one in ipairs(record.ResourceRecords or {}) do table.insert(values, one.Value) end
    if record.AliasTarget then table.insert(values, records.normal(record.AliasTarget.DNSName)) end
  end
  return values
end

return health
