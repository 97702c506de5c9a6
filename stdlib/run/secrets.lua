--- The registry of secret values: everything that leaves the process is masked by
-- value.
--
-- Two forms. `mask` puts *** in place of a secret, for eyes. `conceal` names the
-- secret instead, for the journal: a step that hands back a connection string finds
-- its password again after a resume, though the journal never held it. A text that
-- holds such a mark by itself (***{) keeps it as text: conceal writes ***{} for it.
--
-- Declared secrets come again from where they came. A secret that was only observed (a
-- token of AWS, a password that a response held) has nowhere to come from: its value is
-- handed to the journal sealed (run/seal.lua) when the journal first names it.
local confidential = require "confidential"
local errors = require "errors"
local finder = require "run.finder"
local forms = require "run.forms"
local sys = require "native.sys"
local values = require "run.value"

local secrets = {}
secrets.__index = secrets

local MASK = "***"
local SHORTEST = finder.SHORTEST -- a shorter value would mask half of every text
local SHORTEST_LINE = 8

--- Makes a registry. options.plain_marks: that of a journal whose texts were written
-- without escaping the marks they held.
function secrets.new(options)
  return setmetatable({ finder = finder.new(), numbers = {}, by_name = {}, observed = {},
    counts = {}, sealed = {}, pending = {}, lost = {}, argument = {},
    escapes = not (options and options.plain_marks) }, secrets)
end

local function register(self, name, value)
  for _, each in ipairs(forms.of(value)) do
    local mark, form = name .. each[1], each[2]
    if #form >= SHORTEST then
      self.by_name[mark] = self.by_name[mark] or form
      self.finder:add(form, mark)
    end
  end
end

local function is_observed(mark) return mark:find("^[%w_]+%.%d") ~= nil end

--- True for a value that is too short to be found again in a text.
function secrets.too_short(value) return #tostring(value) < SHORTEST end

--- Registers the value of the secret `name`, and its forms inside a URL, a form, texts
-- of JSON (also one inside another), XML, SQL, languages and the shell, hex and base64;
-- of a value of several lines also each line. A list is registered by its elements.
function secrets:add(name, value)
  if type(value) == "table" then
    for i, one in ipairs(value) do self:add(name .. "," .. i, one) end
    return
  end
  if math.type(value) then
    if not secrets.too_short(value) then
      self.numbers[value] = name
      self.by_name[name .. "#"] = value
    end
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
end

--- Registers a value that came up while the run went on; kind: what it is
-- ("sql_password"). options.plain: a program may have it as an argument. Known values
-- keep their names.
function secrets:observe(kind, value, options)
  if self.finder.marks[value] then return end
  kind = kind:gsub("[^%w_]", "_")
  local name
  repeat
    self.counts[kind] = (self.counts[kind] or 0) + 1
    name = ("%s.%d"):format(kind, self.counts[kind])
  until not self.observed[name] and not self.lost[name]
  self.observed[name] = value
  self.argument[name] = options and options.plain or nil
  self:add(name, value)
end

--- Takes in what an earlier process sealed: the value of an observed secret, or nil where
-- it cannot be opened.
function secrets:restore(name, value)
  self.sealed[name] = true
  if value == nil then
    self.lost[name] = true
    return
  end
  self.observed[name] = value
  self:add(name, value)
end

--- From here on keep(name, value) is called once for every observed secret that conceal
-- names, before conceal returns: the journal has it sealed before what names it. vault:
-- { close = function(text) -> sealed, open = function(sealed) -> text or nil, digest =
-- function(text) }, for what is sealed by its place.
function secrets:keep(keep, vault)
  self.keeper, self.vault = keep, vault
  for _, name in ipairs(self.pending) do keep(name, self.observed[name]) end
  self.pending = {}
end

-- An observed secret is named for the first time.
local function named(self, name)
  if not name or not self.observed[name] or self.sealed[name] then return end
  self.sealed[name] = true
  if not self.keeper then return table.insert(self.pending, name) end
  local ok, e = pcall(self.keeper, name, self.observed[name])
  if ok then return end
  self.sealed[name] = nil
  error(e, 0)
end

local Sealed = { __name = "sealed value" }
local any_sealed = false -- a run without secrets need not look for any

--- Marks a value, whatever it is, as one to be sealed as a whole where it stands: conceal
-- seals it, mask shows ***, reveal gives the value back.
function secrets.sealed(data)
  any_sealed = true
  return setmetatable({ data }, Sealed)
end

local function each_leaf(data, fn, seen)
  if type(data) == "string" or math.type(data) then return fn(data) end
  if type(data) ~= "table" or seen[data] then return data end
  if getmetatable(data) == Sealed then return fn(data) end
  seen[data] = true
  local copy = setmetatable({}, getmetatable(data))
  for k, v in next, data do
    rawset(copy, type(k) == "string" and fn(k) or k, each_leaf(v, fn, seen))
  end
  seen[data] = nil
  return copy
end

--- The name of a secret that the text holds, or nil. Not of one that may be a program's
-- argument.
function secrets:within(text)
  for _, form in ipairs(self.finder:within(text)) do
    local name = self.finder.marks[form]:match("^[%w_]+%.?%d*")
    if not self.argument[name] then return name:match("^[%w_]*") end
  end
end

local function conceal(self, data, mark, clear, seal)
  return each_leaf(data, function(leaf)
    if type(leaf) == "string" then return self.finder:replace(leaf, mark, clear) end
    if type(leaf) == "table" then return seal(leaf[1]) end
    local name = self.numbers[leaf]
    return name and mark(name .. "#") or leaf
  end, {})
end

local function same(text) return text end

--- The text, or a copy of the table, with *** for every secret.
function secrets:mask(data)
  if #self.finder.order == 0 and type(data) ~= "table" then return data end
  return conceal(self, data, function() return MASK end, same, function() return MASK end)
end

--- The same with *** for declared secrets alone.
function secrets:mask_declared(data)
  return conceal(self, data, function(name) return not is_observed(name) and MASK end, same,
    function() return MASK end)
end

-- Whether any text of the data has the beginning of a mark.
local function has_mark(data, seen)
  if type(data) == "string" then return data:find("***{", 1, true) ~= nil end
  if type(data) ~= "table" or seen[data] then return false end
  seen[data] = true
  for k, v in next, data do
    if type(k) == "string" and k:find("***{", 1, true) or has_mark(v, seen) then return true end
  end
  seen[data] = nil
  return false
end

local function escape(text)
  if not text:find("***{", 1, true) then return text end
  return (text:gsub("%*%*%*{", "***{}"))
end

-- Without a run's directory there is no key, and nothing to be read back.
local function seal(self, data)
  if not self.vault then return MASK end
  return MASK .. "{!" .. self.vault.close(values.encode(data)) .. "}"
end

local function unseal(self, sealed)
  local text = self.vault and self.vault.open(sealed)
  if text then return values.decode(text) end
  if not self.escapes then return MASK .. "{!" .. sealed .. "}" end
  errors.raise { kind = "state",
    message = "a response that this run had from AWS holds a secret, which is sealed in "
    .. "the journal, and the key to it (the file `key` next to the journal) is missing or "
    .. "another run's: bring the key "
    .. "back, or do the step again with --from" }
end

--- The same with the secret's name in its place, for reveal.
function secrets:conceal(data)
  if #self.finder.order == 0 and not any_sealed and not (self.escapes and has_mark(data, {})) then
    return data
  end
  return conceal(self, data, function(name)
    named(self, name:match("^[%w_]+%.%d+"))
    return MASK .. "{" .. name .. "}"
  end, self.escapes and escape or same, function(sealed) return seal(self, sealed) end)
end

--- A name (of a step, a check) with the names of its secrets in their place. Those that it
-- has by itself stay as they are: it is not revealed again.
function secrets:name_of(text)
  if #self.finder.order == 0 then return text end
  return self.finder:replace(text, function(mark)
    named(self, mark:match("^[%w_]+%.%d+"))
    return MASK .. "{" .. mark .. "}"
  end, same)
end

--- True for the value of a secret that the playbook declares.
function secrets:is_declared(text)
  local name = self.finder.marks[text]
  return name ~= nil and not is_observed(name)
end

--- A digest of a text that says nothing of it without the run's key; nil where there is no
-- key.
function secrets:digest(text)
  return self.vault and self.vault.digest(text)
end

local function value_of(self, name)
  local value = self.by_name[name]
  if value ~= nil then return value end
  if name == "" and self.escapes then return "***{" end
  local base = name:match("^[%w_]+%.%d+")
  if base and self.lost[base] then
    errors.raise { kind = "state",
      message = ("the secret %s that an earlier process of this run came to know is "
      .. "sealed in the journal, and the key to it (the file `key` next to the journal) is "
      .. "missing or another run's: "
      .. "bring the key back, or do the step that gave it again with --from"):format(base) }
  end
end

--- Undoes conceal, as far as the values are known. Raises kind "state" for one whose seal
-- cannot be opened.
function secrets:reveal(data)
  if not any_sealed and not has_mark(data, {}) then return data end
  return each_leaf(data, function(leaf)
    if type(leaf) == "table" then return leaf[1] end
    if type(leaf) ~= "string" or not leaf:find("***{", 1, true) then return leaf end
    local name = leaf:match("^%*%*%*{([^}]*)}$")
    if name and name:find("^!") then return unseal(self, name:sub(2)) end
    local number = name and value_of(self, name)
    if math.type(number) then return number end
    return (leaf:gsub("%*%*%*{([^}]*)}", function(each) return value_of(self, each) end))
  end, {})
end

--- A variable of the process's environment, or nil. One whose name says that it is a
-- secret is registered by its name, so that a resume finds it again; in a file that is
-- loaded there is no registry yet, and it is registered for whichever comes.
function secrets.variable(name, registry)
  local value = sys.getenv(name)
  if not value or not confidential.telling(name) then return value end
  if registry then
    registry:add(name, value)
  elseif confidential.likely(name, value) then
    confidential.register("variable", value)
  end
  return value
end

--- Data of a journal as eyes see it, without any registry: *** for the marks that conceal
-- made, and those that a text had by itself as they were.
function secrets.shown(data)
  return each_leaf(data, function(leaf)
    if type(leaf) ~= "string" then return leaf end
    return (leaf:gsub("%*%*%*{([^}]*)}", function(name) return name == "" and "***{" or MASK end))
  end, {})
end

return secrets
