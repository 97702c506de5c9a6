--- The points of a sweep: where a rehearsal is disturbed, and how.
--
-- A disturbance is { kill = "before:17" } (drlua is killed at a journal write) or
-- { fault = {...} } (an AWS call is broken). A point has one for the run (`first`), one
-- for what follows it, the resume or the rollback (`second`), or both.
local points = {}

-- Ways to break a call. `after` and `count` are added: this one call, once.
local breaks = {
  { name = "throttled", fault = { kind = "throttle" } },
  { name = "500 before the effect",
    fault = { kind = "error", status = 500, code = "InternalFailure" } },
  { name = "500 after the effect",
    fault = { kind = "error", status = 500, code = "InternalFailure", effect = true } },
  { name = "reset before the effect", fault = { kind = "reset", when = "before" } },
  { name = "reset after the effect", fault = { kind = "reset", when = "after" } },
  { name = "lost answer", fault = { kind = "lost" } },
  { name = "expired credentials", fault = { kind = "expired" } },
  -- Long enough that no retry inside the call saves it: the step fails, and is resumed.
  { name = "12 times 500", fault = { kind = "error", status = 500, code = "InternalFailure" },
    count = 12 },
}

local function kills(writes, where)
  local list = {}
  for n = 1, writes do
    for _, moment in ipairs { "before", "after" } do
      table.insert(list, { what = ("%s killed %s journal write %d"):format(where, moment, n),
        kill = ("%s:%d"):format(moment, n) })
    end
  end
  return list
end

local function broken_calls(calls, where, first)
  local list = {}
  for n = first or 1, #calls do
    local call = calls[n]
    for _, one in ipairs(breaks) do
      -- A read has no effect that could come before its end.
      if call.mutating or not one.name:find("after the effect", 1, true) then
        local fault = { after = n - (first or 1), count = one.count or 1 }
        for k, v in pairs(one.fault) do fault[k] = v end
        table.insert(list, { what = ("%s call %d (%s.%s): %s"):format(where, n, call.service,
          tostring(call.operation), one.name), fault = fault })
      end
    end
  end
  return list
end

--- The disturbances of a process that makes so many journal writes and these AWS calls.
-- only: "writes" or "calls" leaves the others out. first: the number of its first call
-- in the list.
function points.disturbances(where, writes, calls, only, first)
  local list = {}
  if only ~= "calls" then list = kills(writes, where) end
  if only ~= "writes" then
    local broken = broken_calls(calls, where, first)
    table.move(broken, 1, #broken, #list + 1, list)
  end
  return list
end

--- Points with one disturbance each, as `field` ("first" or "second").
function points.singles(disturbances, field)
  local list = {}
  for i, one in ipairs(disturbances) do list[i] = { what = one.what, [field] = one } end
  return list
end

--- `n` points of two disturbances, drawn at random: one of `first`, then one of `second`.
function points.pairs(first, second, n)
  local list = {}
  if #first == 0 or #second == 0 then return list end
  for i = 1, n do
    local a, b = first[math.random(#first)], second[math.random(#second)]
    list[i] = { what = a.what .. ", then " .. b.what, first = a, second = b }
  end
  return list
end

--- Gives every point its number.
function points.number(list)
  for i, point in ipairs(list) do point.number = i end
  return list
end

--- `limit` of the points, chosen by the seeded generator, in their order.
function points.sample(list, limit)
  if not limit or limit >= #list then return list end
  local indexes, chosen = {}, {}
  for i = 1, #list do indexes[i] = i end
  for i = 1, limit do
    local j = math.random(i, #indexes)
    indexes[i], indexes[j] = indexes[j], indexes[i]
  end
  indexes = table.move(indexes, 1, limit, 1, {})
  table.sort(indexes)
  for _, i in ipairs(indexes) do table.insert(chosen, list[i]) end
  return chosen
end

return points
