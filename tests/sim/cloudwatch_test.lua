local client = require "client"
local sim = require "sim"
local t = require "harness"

local function started(world)
  local s = sim.start { speed = 1000, world = world }
  t.cleanup(function() s:stop() end)
  return s
end

local function put(s, value, extra)
  local datum = { MetricName = "Errors", Value = value }
  for k, v in pairs(extra or {}) do datum[k] = v end
  client.ok(s, "cloudwatch", "PutMetricData", { Namespace = "Shop", MetricData = { datum } })
end

local function statistics(s, input)
  local now = s.clock:now()
  local all = { Namespace = "Shop", MetricName = "Errors", StartTime = now - 7200,
    EndTime = now + 60,
    Period = 3600 * 24, Statistics = { "Sum", "Average", "Minimum", "Maximum", "SampleCount" } }
  for k, v in pairs(input or {}) do all[k] = v end
  return client.ok(s, "cloudwatch", "GetMetricStatistics", all).Datapoints
end

t.test("cloudwatch: statistics are computed from what was put", function()
  local s = started()
  local now = s.clock:now()
  for _, value in ipairs { 4.0, 1.0, 7.0 } do put(s, value, { Timestamp = now, Unit = "Count" }) end
  local data = statistics(s, { StartTime = now - 86400 * 2 })
  t.equal(#data, 1)
  t.equal({ data[1].Sum, data[1].Average, data[1].Minimum, data[1].Maximum, data[1].SampleCount,
    data[1].Unit },
    { 12.0, 4.0, 1.0, 7.0, 3.0, "Count" })
  local p = statistics(s, { StartTime = now - 86400 * 2, ExtendedStatistics = { "p50" } })
  t.equal(p[1].ExtendedStatistics.p50, 4.0)
end)

t.test("cloudwatch: a period that has begun is in the range, "
  .. "whenever in it its points lie", function()
  local s = started()
  local minute = s.clock:now() // 60 * 60
  put(s, 1.0, { Timestamp = minute - 60 + 50 })
  t.equal(#statistics(s, { Period = 60, StartTime = minute - 600, EndTime = minute - 59 }), 1)
  t.equal(#statistics(s, { Period = 60, StartTime = minute - 600, EndTime = minute - 60 }), 0)
  t.equal(#statistics(s, { Period = 60, StartTime = minute - 2, EndTime = minute }), 1)
end)

t.test("cloudwatch: periods and dimensions keep data apart", function()
  local s = started()
  local minute = s.clock:now() // 60 * 60
  put(s, 1.0, { Timestamp = minute - 180 })
  put(s, 2.0, { Timestamp = minute - 120 })
  put(s, 9.0, { Timestamp = minute - 120, Dimensions = { { Name = "Service", Value = "web" } } })
  local data = statistics(s, { Period = 60 })
  t.equal(#data, 2)
  t.equal({ data[1].Sum, data[2].Sum }, { 1.0, 2.0 })
  data = statistics(s, { Period = 60, Dimensions = { { Name = "Service", Value = "web" } } })
  t.equal({ #data, data[1].Sum }, { 1, 9.0 })
  t.equal(#client.ok(s, "cloudwatch", "ListMetrics", { Namespace = "Shop" }).Metrics, 2)
  local query = { Id = "e",
    MetricStat = { Stat = "Maximum", Period = 60, Metric = { Namespace = "Shop",
    MetricName = "Errors" } } }
  local found = client.ok(s, "cloudwatch", "GetMetricData",
    { StartTime = minute - 600, EndTime = minute + 60,
    MetricDataQueries = { query } }).MetricDataResults[1]
  t.equal(found.Values, { 2.0, 1.0 })
end)

t.test("cloudwatch: what is wrong is refused", function()
  local s = started()
  local now = s.clock:now()
  client.fails(s, "InvalidParameterValue", "cloudwatch", "GetMetricStatistics",
    { Namespace = "N", MetricName = "m",
    StartTime = now, EndTime = now, Period = 60, Statistics = { "Sum" } })
  client.fails(s, "InvalidParameterValue", "cloudwatch", "PutMetricData",
    { Namespace = "AWS/RDS", MetricData = {
    { MetricName = "m", Value = 1.0 } } })
  client.fails(s, "ResourceNotFound", "cloudwatch", "SetAlarmState",
    { AlarmName = "none", StateValue = "OK",
    StateReason = "x" })
end)

t.test("cloudwatch: an alarm follows its metric, and can be set by hand", function()
  local s = started()
  client.ok(s, "cloudwatch", "PutMetricAlarm",
    { AlarmName = "errors", Namespace = "Shop", MetricName = "Errors",
    Statistic = "Sum", Period = 60, EvaluationPeriods = 1, Threshold = 5.0,
    ComparisonOperator = "GreaterThanThreshold" })
  local function state()
    return client.ok(s, "cloudwatch", "DescribeAlarms",
      { AlarmNames = { "errors" } }).MetricAlarms[1].StateValue
  end
  t.equal(state(), "INSUFFICIENT_DATA")
  put(s, 6.0)
  t.equal(state(), "ALARM")
  put(s, 1.0)
  t.equal(state(), "OK")
  client.ok(s, "cloudwatch", "SetAlarmState",
    { AlarmName = "errors", StateValue = "ALARM", StateReason = "drill" })
  t.equal(state(), "ALARM")
  client.ok(s, "cloudwatch", "DisableAlarmActions", { AlarmNames = { "errors" } })
  t.equal(client.ok(s, "cloudwatch", "DescribeAlarms",
    { StateValue = "ALARM" }).MetricAlarms[1].ActionsEnabled, false)
  client.ok(s, "cloudwatch", "DeleteAlarms", { AlarmNames = { "errors" } })
  t.equal(#client.ok(s, "cloudwatch", "DescribeAlarms").MetricAlarms, 0)
end)

t.test("cloudwatch: a world's metrics and alarms", function()
  local s = started { metrics = { { namespace = "Shop", name = "Errors", values = { 1, 2, 30 } } },
    alarms = { { AlarmName = "errors", Namespace = "Shop", MetricName = "Errors", Statistic = "Sum",
      Period = 60,
      EvaluationPeriods = 1, Threshold = 5.0, ComparisonOperator = "GreaterThanThreshold",
      state = "ALARM" } } }
  local total = 0
  for _, point in ipairs(statistics(s, { Period = 60 })) do total = total + point.Sum end
  t.equal(total, 33.0)
  t.equal(client.ok(s, "cloudwatch", "DescribeAlarms").MetricAlarms[1].StateValue, "ALARM")
end)
