--- Lua's own functions over unknown values, for plan, check and the preview of an approval.
--
-- An unknown value may reach string.format, tonumber or table.concat, in a playbook or in
-- the toolbox, and C functions know nothing of it. While a plan is made they are replaced
-- by ones that hand the unknown on; text that is put together is unknown as well, and shows
-- (known after run) in its place. For other values they do what they always do, so that a
-- run whose approval is being previewed goes on as it would.
local duration = require "duration"
local json = require "json"
local text = require "text"
local time = require "time"
local unknown = require "unknown"

local lift = {}

local function any(...)
  for i = 1, select("#", ...) do
    local v = (select(i, ...))
    if unknown.is(v) then return v end
  end
end

-- An unknown value in the place of `found`, which prints as `shown`.
local function instead_of(found, shown)
  unknown.touch()
  return unknown.new(unknown.origin(found), shown)
end

-- A function that answers unknown when one of its arguments is.
local function over(fn)
  return function(...)
    local found = any(...)
    if found then return instead_of(found) end
    return fn(...)
  end
end

-- A function that answers unknown when there is one anywhere in its arguments.
local function over_all(fn)
  return function(...)
    local found = unknown.within { ... }
    if found then return instead_of(found) end
    return fn(...)
  end
end

-- The directives of a format, each unknown argument shown as text.
local function lifted_format(format)
  return function(pattern, ...)
    if unknown.is(pattern) then return instead_of(pattern, tostring(pattern)) end
    local found = any(...)
    if not found then return format(pattern, ...) end
    local arguments, n = table.pack(...), 0
    local shown = pattern:gsub("%%[-+ #0]*%d*%.?%d*([%a%%])", function(kind)
      if kind == "%" then return nil end
      n = n + 1
      if not unknown.is(arguments[n]) then return nil end
      arguments[n] = tostring(arguments[n])
      return "%s"
    end)
    return instead_of(found, format(shown, table.unpack(arguments, 1, arguments.n)))
  end
end

local function lifted_concat(concat)
  return function(list, ...)
    local found = any(list, ...)
    if found then return instead_of(found) end
    local texts
    for i, v in ipairs(list) do
      if unknown.is(v) then
        found, texts = v, texts or table.move(list, 1, #list, 1, {})
        texts[i] = tostring(v)
      end
    end
    if not found then return concat(list, ...) end
    return instead_of(found, concat(texts, ...))
  end
end

-- An unknown item in a list does not come to a sort's comparison.
local function lifted_sort(sort)
  return function(list, ...)
    if unknown.is(list) then return unknown.touch() end
    for _, v in ipairs(list) do
      if unknown.is(v) then return unknown.touch(true) end
    end
    return sort(list, ...)
  end
end

-- Of a list that is unknown nothing is kept.
local function on_list(fn)
  return function(list, ...)
    if unknown.is(list) then return instead_of(list) end
    return fn(list, ...)
  end
end

local left_alone = { dump = true, pack = true, packsize = true, random = true, randomseed = true,
  type = true }

-- What is replaced, by library and name.
local function replacements()
  local list = {}
  local function add(library, name, lifted)
    table.insert(list, { library = library, name = name, fn = library[name],
      lifted = lifted(library[name]) })
  end
  for _, library in ipairs { string, math, utf8, text, time, duration } do
    for name, fn in pairs(library) do
      if type(fn) == "function" and not left_alone[name] then
        add(library, name, library == string and name == "format" and lifted_format or over)
      end
    end
  end
  add(table, "concat", lifted_concat)
  add(table, "sort", lifted_sort)
  add(table, "insert", on_list)
  add(table, "remove", on_list)
  add(json, "encode", over_all)
  add(json, "decode", over)
  add(os, "date", over)
  add(os, "time", over_all)
  add(_G, "tonumber", over)
  return list
end

local installed, users = nil, 0

--- Replaces the functions, until as many calls of lift.remove.
function lift.install()
  users = users + 1
  if installed then return end
  installed = replacements()
  for _, one in ipairs(installed) do rawset(one.library, one.name, one.lifted) end
end

--- Puts the functions back.
function lift.remove()
  users = users - 1
  if users > 0 or not installed then return end
  for _, one in ipairs(installed) do rawset(one.library, one.name, one.fn) end
  installed = nil
end

--- Calls fn(...) with the functions replaced; returns its values.
function lift.during(fn, ...)
  lift.install()
  local function restore(ok, ...)
    lift.remove()
    if not ok then error((...), 0) end
    return ...
  end
  return restore(pcall(fn, ...))
end

--- For the globals of a playbook: functions over unknown values that only playbooks have,
-- while the others are replaced.
function lift.globals(env)
  if not installed then return end
  local next_of, show, length = env.next, env.tostring, env.rawlen
  env.next = function(t, key)
    if unknown.is(t) then return unknown.next(t, key) end
    return next_of(t, key)
  end
  env.tostring = function(v)
    if unknown.is(v) then return v end
    return show(v)
  end
  env.rawlen = function(v)
    if unknown.is(v) then return #v end
    return length(v)
  end
end

return lift
