--- Lua's own functions over unknown values, for plan.
--
-- Under plan an unknown value may reach string.format, tonumber or table.concat, in a
-- playbook or in the toolbox, and C functions know nothing of it. While a plan is made
-- they are replaced by ones that hand the unknown on; text that is put together shows
-- (known after run) in its place. The process that plans does nothing else.
local unknown = require "unknown"

local lift = {}

local function any(...)
  for i = 1, select("#", ...) do
    local v = (select(i, ...))
    if unknown.is(v) then return v end
  end
end

-- A function that answers unknown when one of its arguments is.
local function over(fn)
  return function(...)
    local found = any(...)
    if found then return unknown.new(unknown.origin(found)) end
    return fn(...)
  end
end

-- The directives of a format, each unknown argument shown as text.
local function lifted_format(format)
  return function(text, ...)
    if unknown.is(text) then return text end
    if not any(...) then return format(text, ...) end
    local arguments, n = table.pack(...), 0
    local shown = text:gsub("%%[-+ #0]*%d*%.?%d*([%a%%])", function(kind)
      if kind == "%" then return nil end
      n = n + 1
      if not unknown.is(arguments[n]) then return nil end
      arguments[n] = tostring(arguments[n])
      return "%s"
    end)
    return format(shown, table.unpack(arguments, 1, arguments.n))
  end
end

local function lifted_concat(concat)
  return function(list, ...)
    local found = any(list, ...)
    if found then return found end
    local texts = {}
    for i, v in ipairs(list) do texts[i] = unknown.is(v) and tostring(v) or v end
    return concat(texts, ...)
  end
end

local libraries = { string = string, math = math, utf8 = utf8 }
local left_alone = { format = true, dump = true, pack = true, packsize = true, random = true, randomseed = true,
  type = true, char = true }

-- An unknown item in a list does not come to a sort's comparison.
local function lifted_sort(sort)
  return function(list, ...)
    if unknown.is(list) then return end
    for _, v in ipairs(list) do if unknown.is(v) then return end end
    return sort(list, ...)
  end
end

--- Replaces the functions, once for the whole process.
function lift.install()
  for _, library in pairs(libraries) do
    for name, fn in pairs(library) do
      if type(fn) == "function" and not left_alone[name] then rawset(library, name, over(fn)) end
    end
  end
  rawset(string, "format", lifted_format(string.format))
  rawset(table, "concat", lifted_concat(table.concat))
  rawset(table, "sort", lifted_sort(table.sort))
  for _, name in ipairs { "insert", "remove" } do
    local fn = table[name]
    rawset(table, name, function(list, ...)
      if unknown.is(list) then return nil end
      return fn(list, ...)
    end)
  end
  rawset(_G, "tonumber", over(tonumber))
  local date = os.date
  rawset(os, "date", function(format, t)
    if unknown.is(t) then return tostring(t) end
    return date(format, t)
  end)
end

return lift
