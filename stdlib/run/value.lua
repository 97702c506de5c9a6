--- Values in the journal: Lua data to text and back, exactly.
--
-- The text is JSON, so that a journal can be read with any tool. What JSON cannot
-- say has a form of its own: {"$bytes":"hex"} for strings that are not UTF-8,
-- {"$pairs":[[k,v],...]} for tables with keys other than text or 1..n, {"$error":{}}
-- for error objects, {"$number":"inf"}. Integers and floats stay apart.
local confidential = require "confidential"
local errors = require "errors"
local json = require "native.json"

local value = {}

--- JSON's null, the same as aws.null.
value.null = json.null

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c)
  return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function quote(s)
  return '"' .. s:gsub('[%c"\\\127]', escape) .. '"'
end
value.quote = quote

local function hex(s)
  return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function refuse(path, text)
  errors.raise { kind = "invalid",
    message = ("%s is %s, and only plain data can be kept in the journal"):format(
    path, text) }
end

local function is_list(t, n)
  local count = 0
  for _ in next, t do count = count + 1 end
  return count == n and n > 0
end

--- How deep tables may lie in each other: what reads a journal back takes little more.
value.DEPTH = 100

local write -- value, out, path, open

local function write_list(t, n, out, path, open)
  table.insert(out, "[")
  for i = 1, n do
    if i > 1 then table.insert(out, ",") end
    write(t[i], out, ("%s[%d]"):format(path, i), open)
  end
  table.insert(out, "]")
end

local function sorted(t)
  local keys, plain = {}, true
  for k in next, t do
    table.insert(keys, k)
    plain = plain and type(k) == "string"
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and type(a) ~= "boolean" then return a < b end
    return type(a) .. tostring(a) < type(b) .. tostring(b)
  end)
  return keys, plain
end

local function write_pairs(t, keys, out, path, open)
  table.insert(out, '{"$pairs":[')
  open.depth = open.depth + 2 -- two lists more
  for i, k in ipairs(keys) do
    table.insert(out, i > 1 and ",[" or "[")
    write(k, out, path .. " (a key)", open)
    table.insert(out, ",")
    write(t[k], out, ("%s[%s]"):format(path, tostring(k)), open)
    table.insert(out, "]")
  end
  table.insert(out, "]}")
  open.depth = open.depth - 2
end

local function write_object(t, out, path, open)
  local keys, plain = sorted(t)
  if not plain or (keys[1] and keys[1]:sub(1, 1) == "$") then
    return write_pairs(t, keys, out, path, open)
  end
  table.insert(out, "{")
  for i, k in ipairs(keys) do
    if not utf8.len(k) then return refuse(path, "a table with a key of raw bytes") end
    table.insert(out, (i > 1 and "," or "") .. quote(k) .. ":")
    write(t[k], out, path .. "." .. k, open)
  end
  table.insert(out, "}")
end

local function write_table(t, out, path, open)
  if open[t] then refuse(path, "a table that contains itself") end
  open[t] = true
  open.depth = (open.depth or 0) + 1
  if open.depth > value.DEPTH then refuse(path:sub(1, 60) .. "...", "nested too deep") end
  local meta = getmetatable(t)
  if errors.is(t) then
    table.insert(out, '{"$error":')
    write_object(t, out, path, open)
    table.insert(out, "}")
  elseif type(meta) == "table" and (meta.__index or meta.__gc or meta.__call or meta.__close) then
    refuse(path, "an object with methods")
  elseif is_list(t, #t) then
    write_list(t, #t, out, path, open)
  elseif next(t) == nil and meta ~= nil and value.is_array(t) then
    table.insert(out, "[]")
  else
    write_object(t, out, path, open)
  end
  open[t] = nil
  open.depth = open.depth - 1
end

local function write_number(n, out)
  if math.type(n) == "integer" then return table.insert(out, ("%d"):format(n)) end
  if n ~= n then return table.insert(out, '{"$number":"nan"}') end
  if n == math.huge or n == -math.huge then
    return table.insert(out, ('{"$number":"%s"}'):format(n > 0 and "inf" or "-inf"))
  end
  local text = ("%.17g"):format(n)
  if tonumber(("%.15g"):format(n)) == n then text = ("%.15g"):format(n) end
  table.insert(out, text:find("[.e]") and text or text .. ".0")
end

function write(v, out, path, open)
  local kind = type(v)
  if kind == "string" then
    table.insert(out, utf8.len(v) and quote(v) or ('{"$bytes":"%s"}'):format(hex(v)))
  elseif kind == "number" then
    write_number(v, out)
  elseif kind == "boolean" then
    table.insert(out, tostring(v))
  elseif v == nil or v == value.null then
    table.insert(out, "null")
  elseif kind == "table" then
    write_table(v, out, path, open)
  else
    refuse(path, "a " .. kind)
  end
end

--- Text of a value. what: its name for the error raised when it holds anything but
-- plain data ("the result of step X").
function value.encode(v, what)
  local out = {}
  write(v, out, what or "the value", {})
  return table.concat(out)
end

--- True for an empty table that is known to be a list.
function value.is_array(t)
  return json.is_array(t)
end

local special = {
  ["$bytes"] = function(v)
    return (v:gsub("%x%x", function(c) return string.char(tonumber(c, 16)) end))
  end,
  ["$error"] = function(v) return errors.new(v) end,
  ["$number"] = function(v)
    return v == "nan" and 0 / 0 or v == "inf" and math.huge or -math.huge
  end,
  ["$pairs"] = function(v)
    local t = {}
    for _, pair in ipairs(v) do t[pair[1]] = pair[2] end
    return t
  end,
}

-- Puts the values in place that JSON has no form for.
local function revive(v)
  if type(v) ~= "table" then return v end
  for k, item in next, v do v[k] = revive(item) end
  local key, item = next(v)
  if special[key] and next(v, key) == nil then return special[key](item) end
  return v
end

--- The value of a text that encode made; raises on damaged text.
function value.decode(text)
  local v, message, kind = json.decode(text)
  if v == nil and kind then
    errors.raise { kind = "corrupt",
      message = ("an entry of the journal is damaged (%s): %s"):format(
      tostring(message), confidential.mask(text):sub(1, 60)) }
  end
  if text:find('{"$', 1, true) then return revive(v) end
  return v
end

--- Packs values (nil among them) for encode.
function value.pack(...)
  local n = select("#", ...)
  local list = { n = n }
  for i = 1, n do
    local v = (select(i, ...))
    list["v" .. i] = v
  end
  return list
end

--- The values of a packed table.
function value.unpack(list)
  local values = {}
  for i = 1, list.n do values[i] = list["v" .. i] end
  return table.unpack(values, 1, list.n)
end

return value
