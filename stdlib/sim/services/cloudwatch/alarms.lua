--- CloudWatch: alarms on one metric, judged whenever a point comes in.
local state = require "sim.state"

local alarms = {}

local MEMBERS = { "AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions",
  "InsufficientDataActions", "MetricName", "Namespace", "Statistic", "ExtendedStatistic",
  "Dimensions", "Period",
  "Unit", "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator",
  "TreatMissingData" }

function alarms.put_metric_alarm(ctx, input)
  ctx:need(input, "AlarmName", "EvaluationPeriods", "ComparisonOperator")
  local old = ctx.store.alarms[input.AlarmName]
  local alarm = { AlarmArn = ctx:arn("alarm:" .. input.AlarmName), StateValue = "INSUFFICIENT_DATA",
    StateReason = "Unchecked: Initial alarm creation", StateUpdatedTimestamp = ctx:now(),
    history = {} }
  if old then
    for _, name in ipairs { "StateValue", "StateReason", "StateUpdatedTimestamp" } do
      alarm[name] = old[name]
    end
  end
  for _, name in ipairs(MEMBERS) do alarm[name] = input[name] end
  if alarm.ActionsEnabled == nil then alarm.ActionsEnabled = true end
  alarm.Dimensions = alarm.Dimensions or {}
  alarm.AlarmConfigurationUpdatedTimestamp = ctx:now()
  ctx.store.alarms[input.AlarmName] = alarm
  return {}
end

--- Puts an alarm into a state: "OK", "ALARM" or "INSUFFICIENT_DATA".
function alarms.set(ctx, alarm, value, reason)
  if alarm.StateValue == value then return end
  alarm.StateValue, alarm.StateReason, alarm.StateUpdatedTimestamp = value, reason, ctx:now()
end

local compare = {
  GreaterThanThreshold = function(a, b) return a > b end,
  GreaterThanOrEqualToThreshold = function(a, b) return a >= b end,
  LessThanThreshold = function(a, b) return a < b end,
  LessThanOrEqualToThreshold = function(a, b) return a <= b end,
}

local function same_metric(alarm, metric)
  if alarm.Namespace ~= metric.Namespace or alarm.MetricName ~= metric.MetricName
    or #alarm.Dimensions ~= #metric.Dimensions then
    return false
  end
  for _, d in ipairs(alarm.Dimensions) do
    local seen = false
    for _, other in ipairs(metric.Dimensions) do
      seen = seen or (d.Name == other.Name and d.Value == other.Value)
    end
    if not seen then return false end
  end
  return true
end

local function value_of(alarm, point)
  local s = alarm.Statistic
  if s == "Sum" then return point.sum elseif s == "Minimum" then return point.min elseif s
    == "Maximum" then
    return point.max elseif s == "SampleCount" then return point.count end
  return point.sum / point.count
end

--- Judges the alarms on a metric by its newest points.
function alarms.evaluate(ctx, metric)
  for _, name in ipairs(state.sorted(ctx.store.alarms)) do
    local alarm = ctx.store.alarms[name]
    local breaches = compare[alarm.ComparisonOperator]
    if breaches and same_metric(alarm, metric) then
      local bad, seen = 0, 0
      for i = #metric.points, math.max(1, #metric.points - alarm.EvaluationPeriods + 1), -1 do
        seen = seen + 1
        if breaches(value_of(alarm, metric.points[i]), alarm.Threshold) then bad = bad + 1 end
      end
      local alarming = bad >= (alarm.DatapointsToAlarm or alarm.EvaluationPeriods)
      alarms.set(ctx, alarm, alarming and "ALARM" or "OK",
        ("Threshold Crossed: %d out of the last %d datapoints were "
        .. "beyond the threshold (%s)."):format(bad, seen, tostring(alarm.Threshold)))
    end
  end
end

local function find(ctx, name)
  local alarm = ctx.store.alarms[name]
  if not alarm then
    ctx:fail("ResourceNotFound", "Unknown: " .. tostring(name), { status = 404 })
  end
  return alarm
end

function alarms.set_alarm_state(ctx, input)
  alarms.set(ctx, find(ctx, input.AlarmName), input.StateValue, input.StateReason)
  return {}
end

local function wanted(alarm, input)
  if input.StateValue and alarm.StateValue ~= input.StateValue then return false end
  if input.AlarmNamePrefix and alarm.AlarmName:sub(1, #input.AlarmNamePrefix)
    ~= input.AlarmNamePrefix then
    return false
  end
  if not input.AlarmNames or #input.AlarmNames == 0 then return true end
  for _, name in ipairs(input.AlarmNames) do
    if name == alarm.AlarmName then return true end
  end
  return false
end

local function shown(alarm)
  local copy = {}
  for k, v in pairs(alarm) do if k ~= "history" then copy[k] = v end end
  return copy
end

function alarms.describe_alarms(ctx, input)
  local list = {}
  for _, name in ipairs(state.sorted(ctx.store.alarms)) do
    local alarm = ctx.store.alarms[name]
    if wanted(alarm, input) then table.insert(list, shown(alarm)) end
  end
  return { MetricAlarms = list, CompositeAlarms = {} }
end

function alarms.delete_alarms(ctx, input)
  for _, name in ipairs(input.AlarmNames or {}) do find(ctx, name) end
  for _, name in ipairs(input.AlarmNames or {}) do ctx.store.alarms[name] = nil end
  return {}
end

local function set_actions(ctx, input, enabled)
  for _, name in ipairs(input.AlarmNames or {}) do
    local alarm = ctx.store.alarms[name]
    if alarm then alarm.ActionsEnabled = enabled end
  end
  return {}
end

function alarms.enable_alarm_actions(ctx, input) return set_actions(ctx, input, true) end
function alarms.disable_alarm_actions(ctx, input) return set_actions(ctx, input, false) end

return alarms
