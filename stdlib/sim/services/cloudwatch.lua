--- CloudWatch: metrics that are put, metrics of RDS instances that are really
-- measured when asked for, statistics over periods, alarms.
local alarms = require "sim.services.cloudwatch.alarms"
local measure = require "sim.services.cloudwatch.measure"
local paging = require "sim.paging"
local state = require "sim.state"

local service = {}

-- Two weeks at a minute each, times a few: more is dropped, oldest first.
local MOST_POINTS = 40000

function service.new_store()
  return { metrics = {}, alarms = {} }
end

for name, fn in pairs(alarms) do service[name] = fn end

local function metric_key(namespace, name, dimensions)
  local parts = {}
  for _, d in ipairs(dimensions or {}) do table.insert(parts, d.Name .. "=" .. d.Value) end
  table.sort(parts)
  return namespace .. "\0" .. name .. "\0" .. table.concat(parts, "\0")
end

local function metric(ctx, namespace, name, dimensions)
  local key = metric_key(namespace, name, dimensions)
  local found = ctx.store.metrics[key]
  if not found then
    found = { Namespace = namespace, MetricName = name, Dimensions = dimensions or {}, points = {} }
    ctx.store.metrics[key] = found
  end
  return found
end

--- Adds a point: { time, sum, count, min, max, unit, values }.
function service.add_point(ctx, namespace, name, dimensions, point)
  local found = metric(ctx, namespace, name, dimensions)
  table.insert(found.points, point)
  if #found.points > MOST_POINTS then table.remove(found.points, 1) end
  return found
end

local function to_point(ctx, datum)
  local time = datum.Timestamp or ctx:now()
  local set = datum.StatisticValues
  if set then
    return { time = time, sum = set.Sum, count = set.SampleCount, min = set.Minimum,
      max = set.Maximum,
      unit = datum.Unit }
  end
  local values = datum.Values or { datum.Value }
  local point = { time = time, sum = 0, count = 0, min = math.huge, max = -math.huge,
    unit = datum.Unit, values = {} }
  for i, value in ipairs(values) do
    local n = datum.Counts and datum.Counts[i] or 1
    point.sum, point.count = point.sum + value * n, point.count + n
    point.min, point.max = math.min(point.min, value), math.max(point.max, value)
    for _ = 1, math.min(n, 1000) do table.insert(point.values, value) end
  end
  return point
end

function service.put_metric_data(ctx, input)
  ctx:need(input, "Namespace")
  if input.Namespace:find("^AWS/") then
    ctx:fail("InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid.")
  end
  for _, datum in ipairs(input.MetricData or {}) do
    local found = service.add_point(ctx, input.Namespace, datum.MetricName, datum.Dimensions,
      to_point(ctx, datum))
    alarms.evaluate(ctx, found)
  end
  return {}
end

-- Merges points into periods: { start -> { sum, count, min, max, values, unit } }. As on
-- AWS a period has its start's time, and whole periods that begin within [from, to)
-- count, `from` rounded down.
local function buckets(points, from, to, period)
  local found = {}
  for _, p in ipairs(points) do
    local start = p.time // period * period
    if start >= from // period * period and start < to then
      local b = found[start]
        or { sum = 0, count = 0, min = math.huge, max = -math.huge, values = {}, unit = p.unit }
      found[start] = b
      b.sum, b.count = b.sum + p.sum, b.count + p.count
      b.min, b.max = math.min(b.min, p.min), math.max(b.max, p.max)
      for _, value in ipairs(p.values or {}) do table.insert(b.values, value) end
    end
  end
  return found
end

local statistics = {
  SampleCount = function(b) return b.count end,
  Sum = function(b) return b.sum end,
  Average = function(b) return b.sum / b.count end,
  Minimum = function(b) return b.min end,
  Maximum = function(b) return b.max end,
}

-- "p99": linear between the neighbours.
local function percentile(b, text)
  local share = tonumber(text:match("^p([%d.]+)$"))
  if not share or #b.values == 0 then return nil end
  table.sort(b.values)
  local at = 1 + (#b.values - 1) * share / 100
  local low = math.floor(at)
  local high = math.min(low + 1, #b.values)
  return b.values[low] + (b.values[high] - b.values[low]) * (at - low)
end

local function statistic(b, name)
  local fn = statistics[name]
  if fn then return fn(b) * 1.0 end
  return percentile(b, name)
end

local function points_of(ctx, namespace, name, dimensions)
  measure.sample(ctx, service, namespace, name, dimensions)
  local found = ctx.store.metrics[metric_key(namespace, name, dimensions)]
  return found and found.points or {}
end

function service.get_metric_statistics(ctx, input)
  ctx:need(input, "Namespace", "MetricName", "StartTime", "EndTime", "Period")
  if input.StartTime >= input.EndTime then
    ctx:fail("InvalidParameterValue",
      "The parameter StartTime must be less than the parameter EndTime.")
  end
  local points = points_of(ctx, input.Namespace, input.MetricName, input.Dimensions)
  local found = buckets(points, input.StartTime, input.EndTime, input.Period)
  local data = {}
  for _, start in ipairs(state.sorted(found)) do
    local b = found[start]
    local datum = { Timestamp = start, Unit = b.unit or "None" }
    for _, name in ipairs(input.Statistics or {}) do datum[name] = statistic(b, name) end
    for _, name in ipairs(input.ExtendedStatistics or {}) do
      datum.ExtendedStatistics = datum.ExtendedStatistics or {}
      datum.ExtendedStatistics[name] = statistic(b, name)
    end
    table.insert(data, datum)
  end
  return { Label = input.MetricName, Datapoints = data }
end

local function metric_result(ctx, query, input)
  local stat = query.MetricStat
  local wanted = stat.Metric
  local points = points_of(ctx, wanted.Namespace, wanted.MetricName, wanted.Dimensions)
  local found = buckets(points, input.StartTime, input.EndTime, stat.Period)
  local times, values = state.sorted(found), {}
  if input.ScanBy ~= "TimestampAscending" then
    table.sort(times, function(a, b) return a > b end)
  end
  for i, start in ipairs(times) do values[i] = statistic(found[start], stat.Stat) or 0.0 end
  return { Id = query.Id, Label = query.Label or wanted.MetricName, Timestamps = times,
    Values = values,
    StatusCode = "Complete" }
end

function service.get_metric_data(ctx, input)
  ctx:need(input, "MetricDataQueries", "StartTime", "EndTime")
  local results = {}
  for i, query in ipairs(input.MetricDataQueries) do
    if not query.MetricStat then
      ctx:fail("ValidationError", "drlua's simulator computes no metric expressions: "
        .. tostring(query.Expression))
    end
    local metric_asked = query.MetricStat.Metric
    for _, member in ipairs { "Namespace", "MetricName" } do
      if not metric_asked[member] then
        ctx:fail("MissingParameter",
          ("The parameter MetricDataQueries.member.%d.MetricStat.Metric.%s is required.")
          :format(i, member))
      end
    end
    if query.ReturnData ~= false then table.insert(results, metric_result(ctx, query, input)) end
  end
  return { MetricDataResults = results, Messages = {} }
end

local function fits(one, input)
  if input.Namespace and one.Namespace ~= input.Namespace then return false end
  if input.MetricName and one.MetricName ~= input.MetricName then return false end
  for _, filter in ipairs(input.Dimensions or {}) do
    local seen = false
    for _, d in ipairs(one.Dimensions) do
      seen = seen or (d.Name == filter.Name and (not filter.Value or d.Value == filter.Value))
    end
    if not seen then return false end
  end
  return true
end

function service.list_metrics(ctx, input)
  measure.sample_all(ctx, service)
  local keys = {}
  for _, key in ipairs(state.sorted(ctx.store.metrics)) do
    if fits(ctx.store.metrics[key], input) then table.insert(keys, key) end
  end
  local page, token = paging.cut(keys,
    { token = input.NextToken, limit = 500, key = function(key) return key end,
    invalid = function() ctx:fail("InvalidParameterValue", "Invalid nextToken") end })
  local list = {}
  for i, key in ipairs(page) do
    local one = ctx.store.metrics[key]
    list[i] = { Namespace = one.Namespace, MetricName = one.MetricName,
      Dimensions = one.Dimensions }
  end
  return { Metrics = list, NextToken = token }
end

--- GET /_sim/state's part.
function service.inspect(store)
  local seen = {}
  for name, alarm in pairs(store.alarms) do seen[name] = alarm end
  return { alarms = seen }
end

--- A world's `metrics`: { { region, namespace, name, dimensions = { Name = Value },
-- unit, values = {...} (a minute each, the last one now) } } and `alarms`.
function service.load(ctx, world)
  for _, one in ipairs(world.metrics or {}) do
    local dimensions = {}
    for _, name in ipairs(state.sorted(one.dimensions or {})) do
      table.insert(dimensions, { Name = name, Value = one.dimensions[name] })
    end
    local now = ctx:now()
    for i, value in ipairs(one.values) do
      service.add_point(ctx, one.namespace, one.name, dimensions,
        { time = now - 60 * (#one.values - i), sum = value,
        count = 1, min = value, max = value, unit = one.unit, values = { value } })
    end
  end
  for _, alarm in ipairs(world.alarms or {}) do
    alarms.put_metric_alarm(ctx, alarm)
    if alarm.state then
      alarms.set(ctx, ctx.store.alarms[alarm.AlarmName], alarm.state, "as the world says")
    end
  end
end

return service
