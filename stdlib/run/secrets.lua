--- The registry of secret values: everything that leaves the process is masked by
-- value.
--
-- Two forms. `mask` puts *** in place of a secret, for eyes. `conceal` names the
-- secret instead, for the journal: a step that hands back a connection string finds
-- its password again after a resume, though the journal never held it.
local crypto = require "native.crypto"

local secrets = {}
secrets.__index = secrets

local MASK = "***"
local SHORTEST = 4 -- a shorter value would mask half of every text
local SHORTEST_LINE = 8

function secrets.new()
  return setmetatable({ values = {}, order = {}, numbers = {} }, secrets)
end

local function percent(s, kept)
  return (s:gsub("[^%w%-_.~" .. (kept or "") .. "]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function lower(s) return (s:gsub("%%%x%x", string.lower)) end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b",
  ["\f"] = "\\f" }

-- As it stands inside a JSON string.
local function json(s)
  return (s:gsub('[%c"\\]', function(c) return short[c] or ("\\u%04x"):format(c:byte()) end))
end

-- The same by an encoder that leaves nothing but ASCII.
local function ascii_json(s)
  if not utf8.len(s) then return json(s) end
  return (json(s):gsub(utf8.charpattern, function(c)
    local code = utf8.codepoint(c)
    if code < 128 then return c end
    if code < 0x10000 then return ("\\u%04x"):format(code) end
    return ("\\u%04x\\u%04x"):format(0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF))
  end))
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&apos;" }

-- What the value comes to inside a base64 text, after `before` other bytes (modulo 3):
-- without the letters that share bits with its neighbours.
local function base64(s, before)
  local text = crypto.base64(("\0"):rep(before) .. s):gsub("=", "")
  local whole = (#s + before) % 3 == 0 and #text or #text - 1
  return text:sub(({ [0] = 1, 3, 4 })[before], whole)
end

-- Every form of a value, each with the mark that its name gets in a journal.
local function forms(s)
  local list = { { "", s }, { "%", percent(s) }, { "+", (percent(s):gsub("%%20", "+")) }, { '"', json(s) },
    { '""', json(json(s)) } }
  for before = 0, 2 do
    local form = base64(s, before)
    table.insert(list, { "=" .. before, form })
    table.insert(list, { "-" .. before, (form:gsub("%+", "-"):gsub("/", "_")) })
  end
  local uri = percent(s, "!'()*")
  for i, form in ipairs {
    lower(percent(s)), percent(s, "/"), lower(percent(s, "/")), uri, lower(uri), (uri:gsub("%%20", "+")),
    (json(s):gsub("/", "\\/")), ascii_json(s), (ascii_json(s):gsub("/", "\\/")),
    (s:gsub("[&<>\"']", entities)), (s:gsub("[&<>]", entities)), (s:gsub('[&<>"]', entities)),
    (s:gsub("'", "''")), (s:gsub("[\\']", "%0%0")), (s:gsub("'", "'\\''")), (s:gsub("'", "'\"'\"'")),
    ("%q"):format(s):sub(2, -2), crypto.hex(s), crypto.hex(s):upper(),
  } do table.insert(list, { "/" .. i, form }) end
  return list
end

local function register(self, name, value)
  for _, form in ipairs(forms(value)) do
    if #form[2] >= SHORTEST and not self.values[form[2]] then
      self.values[form[2]] = name .. form[1]
      table.insert(self.order, form[2])
    end
  end
end

--- True for a value that is too short to be found again in a text.
function secrets.too_short(value) return #tostring(value) < SHORTEST end

--- Registers the value of the secret `name`, and its forms inside a URL, a form, texts
-- of JSON (also one inside another), XML, SQL, Lua and the shell, hex and base64; of a
-- value of several lines also each line. A list is registered by its elements.
function secrets:add(name, value)
  if type(value) == "table" then
    for i, one in ipairs(value) do self:add(name .. "," .. i, one) end
    return
  end
  if math.type(value) then
    if not secrets.too_short(value) then self.numbers[value] = name end
    value = tostring(value)
  end
  if type(value) ~= "string" then return end
  register(self, name, value)
  local trimmed = value:match("^%s*(.-)%s*$")
  if trimmed ~= value then register(self, name .. "~", trimmed) end
  local n = 0
  for line in trimmed:gmatch("[^\r\n]+") do
    n = n + 1
    -- The heads of a key in PEM are no secret.
    if line ~= trimmed and #line >= SHORTEST_LINE and not line:find("^%-%-%-%-%-") then
      register(self, ("%s|%d"):format(name, n), line)
    end
  end
  table.sort(self.order, function(a, b)
    if #a == #b then return a < b end
    return #a > #b
  end)
end

local function replace(self, text, with)
  for _, form in ipairs(self.order) do
    local from = text:find(form, 1, true)
    while from do
      local mark = with(self.values[form])
      text = text:sub(1, from - 1) .. mark .. text:sub(from + #form)
      from = text:find(form, from + #mark, true)
    end
  end
  return text
end

local function each_leaf(data, fn, seen)
  if type(data) == "string" or math.type(data) then return fn(data) end
  if type(data) ~= "table" or seen[data] then return data end
  seen[data] = true
  local copy = setmetatable({}, getmetatable(data))
  for k, v in next, data do
    rawset(copy, type(k) == "string" and fn(k) or k, each_leaf(v, fn, seen))
  end
  seen[data] = nil
  return copy
end

--- The name of a secret that the text holds, or nil.
function secrets:within(text)
  for _, form in ipairs(self.order) do
    if text:find(form, 1, true) then return self.values[form]:match("^[%w_]*") end
  end
end

local function conceal(self, data, mark)
  if #self.order == 0 then return data end
  return each_leaf(data, function(leaf)
    if type(leaf) == "string" then return replace(self, leaf, mark) end
    local name = self.numbers[leaf]
    return name and mark(name .. "#") or leaf
  end, {})
end

--- The text, or a copy of the table, with *** for every secret.
function secrets:mask(data)
  return conceal(self, data, function() return MASK end)
end

--- The same with the secret's name in its place, for reveal.
function secrets:conceal(data)
  return conceal(self, data, function(name) return MASK .. "{" .. name .. "}" end)
end

--- Undoes conceal, as far as the values are known.
function secrets:reveal(data)
  if #self.order == 0 then return data end
  local by_name, numbers = {}, {}
  for form, name in pairs(self.values) do by_name[name] = form end
  for number, name in pairs(self.numbers) do numbers[name .. "#"] = number end
  return each_leaf(data, function(leaf)
    if type(leaf) ~= "string" then return leaf end
    return numbers[leaf:match("^%*%*%*{([^}]*)}$")] or (leaf:gsub("%*%*%*{([^}]*)}", by_name))
  end, {})
end

return secrets
