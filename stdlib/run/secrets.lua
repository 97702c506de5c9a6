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
local SHORTEST_BASE64 = 7

function secrets.new()
  return setmetatable({ values = {}, order = {} }, secrets)
end

local function percent(s)
  return (s:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- As it stands inside a JSON string.
local function json(s)
  return (s:gsub('[%c"\\]', function(c)
    local short = ({ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" })[c]
    return short or ("\\u%04x"):format(c:byte())
  end))
end

-- What the value comes to inside a base64 text, after `before` other bytes (modulo 3):
-- without the letters that share bits with its neighbours.
local function base64(s, before)
  local text = crypto.base64(("\0"):rep(before) .. s):gsub("=", "")
  local whole = (#s + before) % 3 == 0 and #text or #text - 1
  return text:sub(({ [0] = 1, 3, 4 })[before], whole)
end

local function register(self, name, form, shortest)
  if #form < (shortest or SHORTEST) or self.values[form] then return end
  self.values[form] = name
  table.insert(self.order, form)
  table.sort(self.order, function(a, b) return #a > #b end)
end

--- Registers the value of the secret `name`, and its forms inside a URL, a form, a JSON
-- text (also one inside another), and base64.
function secrets:add(name, value)
  if type(value) ~= "string" then return end
  register(self, name, value)
  register(self, name .. "%", percent(value))
  register(self, name .. "+", (percent(value):gsub("%%20", "+")))
  register(self, name .. '"', json(value))
  register(self, name .. '""', json(json(value)))
  for before = 0, 2 do
    local form = base64(value, before)
    register(self, name .. "=" .. before, form, SHORTEST_BASE64)
    register(self, name .. "-" .. before, (form:gsub("%+", "-"):gsub("/", "_")), SHORTEST_BASE64)
  end
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

local function each_string(data, fn, seen)
  if type(data) == "string" then return fn(data) end
  if type(data) ~= "table" or seen[data] then return data end
  seen[data] = true
  local copy = setmetatable({}, getmetatable(data))
  for k, v in next, data do rawset(copy, each_string(k, fn, seen), each_string(v, fn, seen)) end
  seen[data] = nil
  return copy
end

--- The name of a secret that the text holds, or nil.
function secrets:within(text)
  for _, form in ipairs(self.order) do
    if text:find(form, 1, true) then return (self.values[form]:gsub("[^%w_]+%d?$", "")) end
  end
end

--- The text, or a copy of the table, with *** for every secret.
function secrets:mask(data)
  if #self.order == 0 then return data end
  return each_string(data, function(s)
    return replace(self, s, function() return MASK end)
  end, {})
end

--- The same with the secret's name in its place, for reveal.
function secrets:conceal(data)
  if #self.order == 0 then return data end
  return each_string(data, function(s)
    return replace(self, s, function(name) return MASK .. "{" .. name .. "}" end)
  end, {})
end

--- Undoes conceal, as far as the values are known.
function secrets:reveal(data)
  if #self.order == 0 then return data end
  local by_name = {}
  for form, name in pairs(self.values) do by_name[name] = form end
  return each_string(data, function(s)
    return (s:gsub("%*%*%*{([^}]*)}", by_name))
  end, {})
end

return secrets
