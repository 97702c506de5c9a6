--- The changes that a plan has stopped, and which later reads depend on them.
--
-- A read of what such a change would have made cannot be answered by the world as it is:
--   "same"   it names what a change works on: its answer is known after the run only
--   "named"  a change mentions what it names, or may have made it: when it is not there
--            now, it may be there then
--   "near"   it asks the same service, database or machine: its answer may differ then
local errors = require "errors"
local settle = require "run.settle"
local unknown = require "unknown"

local stopped = {}
stopped.__index = stopped

function stopped.new()
  return setmetatable({ aws = {}, file = {}, process = {}, sql = {}, http = {} }, stopped)
end

-- AWS: what an input names

local naming = { "Identifier$", "Names?$", "Ids?$", "Arns?$", "ARNs?$", "Url$", "^[Cc]luster$",
  "^[Ss]ervice$",
  "^Bucket$", "^Key$", "^Prefix$" }

--- True for a member whose value says what a call is about ("DBInstanceIdentifier").
function stopped.names_something(member)
  if type(member) ~= "string" then return false end
  for _, pattern in ipairs(naming) do
    if member:find(pattern) then return true end
  end
  return false
end

-- All texts in a value, to list[text] = true; those under naming members only, if so asked.
local function texts_of(value, list, naming_only, named, depth)
  depth = depth or 0
  if type(value) == "string" and #value > 1 and (named or not naming_only) then
    list[value:gsub("%.$", "")] = true
  elseif type(value) == "table" and not unknown.is(value) and depth < 8 then
    for key, item in next, value do
      local says = type(key) == "number" and named or stopped.names_something(key)
      texts_of(item, list, naming_only, says, depth + 1)
    end
  end
  return list
end

-- What is made or changed, of "RestoreDBInstanceFromDBSnapshot": "dbinstance".
local function noun_of(operation)
  local noun = operation:match("^%u%l+(.+)$") or operation
  for _, word in ipairs { "From", "To", "In", "On", "With" } do
    noun = noun:match("^(.-%l)" .. word .. "%u") or noun
  end
  return noun:lower()
end

local function stem_of(member)
  local stem = member:gsub("^New", ""):gsub("^Target", ""):gsub("^Destination", "")
  for _, ending in ipairs { "Identifier", "Name", "Id", "Arn", "ARN", "Url" } do
    if #stem > #ending and stem:sub(-#ending) == ending then stem = stem:sub(1, -#ending - 1) end
  end
  return stem:lower()
end

local function is_aside(member)
  return member:find("^Source") or member:find("Role") or member:find("[Kk][Mm][Ss]")
end

-- The members of an input that name what the operation works on, with their values: those
-- that its name speaks of, else all that name something.
local function targets_of(operation, input)
  local noun, meant, all = noun_of(operation), {}, {}
  for member, v in next, input do
    if stopped.names_something(member) and type(v) == "string" and not is_aside(member) then
      local stem = stem_of(member)
      all[member] = v
      if member:find("^Target") or noun:sub(1, #stem) == stem or stem:sub(1,
        #noun) == noun then meant[member] = v end
    end
  end
  return next(meant) and meant or all
end

-- Whether a text names this: as it is, or at the end of an ARN or URL.
local function names(text, value)
  if text == value then return true end
  return #text > #value and text:sub(-#value) == value
    and text:sub(-#value - 1, -#value - 1):find("[:/]") ~= nil
end

local function any_names(texts, values)
  for text in pairs(texts) do
    for value in pairs(values) do
      if names(text, value) then return true end
    end
  end
  return false
end

local function same_place(change, e)
  return change.service == e.service and (change.region == e.region or not change.region
    or not e.region)
end

-- A read is about the target of a change when it names one of its members, and names none
-- of them differently.
local function is_about(change, input, texts)
  local shared = false
  for member, value in pairs(change.targets) do
    local own = type(input) == "table" and rawget(input, member)
    if type(own) == "string" and not names(own, value) then return false end
    shared = shared or any_names(texts, { [value] = true })
  end
  return shared
end

local function of_aws(self, e)
  local found
  local texts = texts_of(e.input, {})
  for _, change in ipairs(self.aws) do
    local here = same_place(change, e)
    if here and is_about(change, e.input, texts) then return "same" end
    if any_names(texts, change.named) or any_names(change.named, texts) then found = "named" end
    found = found or (here and "near") or nil
  end
  return found
end

-- Files and programs

local function plain_path(path)
  if type(path) ~= "string" then return nil end
  path = path:gsub("/%./", "/"):gsub("//+", "/"):gsub("^%./", "")
  return #path > 1 and (path:gsub("/$", "")) or path
end

local function is_inside(path, directory)
  return path:sub(1, #directory + 1) == directory .. "/"
end

-- Whether a word of a program's arguments has to do with a path: it has it in it, or it is
-- a directory above.
local function mentions(argv, path)
  for _, word in ipairs(argv) do
    if word:find(path, 1, true) or is_inside(path, plain_path(word)) then return true end
  end
  return false
end

-- The part of a pattern of files.glob before its first wildcard.
local function fixed_part(path) return path:match("^[^*?%[]*") end

local function of_file(self, e)
  local path = plain_path(e.input and e.input.path)
  if not path then return nil end
  local found = #self.process > 0 and "named" or nil
  for _, change in ipairs(self.file) do
    local globbed = path ~= fixed_part(path) and change.path:find(fixed_part(path), 1, true) == 1
    if change.path == path or globbed or is_inside(change.path, path) then return "same" end
    if is_inside(path, change.path) then
      if change.operation ~= "make" then return "same" end
      found = "named"
    end
  end
  return found
end

local function of_process(self, e)
  local argv = stopped.words(e)
  local found = (#self.process > 0 or #self.file > 0) and "near" or nil
  for _, change in ipairs(self.file) do
    if mentions(argv, change.path) then return "named" end
  end
  for _, change in ipairs(self.process) do
    if change.program == argv[1] then return "named" end
    for i = 2, #argv do
      if #argv[i] > 3 and not argv[i]:find("^%-") and change.has[argv[i]] then return "named" end
    end
  end
  return found
end

-- Databases and web servers

-- Whether a stopped change mentions the host: a record that will lead to it, a program
-- that restores into it.
local function mentions_host(self, host)
  if not host or #host < 4 then return false end
  for _, change in ipairs(self.aws) do
    if change.texts[host] then return true end
  end
  for _, change in ipairs(self.process) do
    if mentions(change.argv, host) then return true end
  end
  return false
end

local function of_place(self, kind, e)
  local place = stopped.place(e)
  for _, change in ipairs(self[kind]) do
    if change.place == place then return "named" end
  end
  return place and mentions_host(self, place:match("^[^:/]+")) and "named" or nil
end

--- The words that a program is called with, as texts; {} for another effect.
function stopped.words(e)
  local words = {}
  local argv = type(e.input) == "table" and not unknown.is(e.input) and e.input.argv or nil
  for i, word in ipairs(type(argv) == "table" and argv or {}) do words[i] = tostring(word) end
  return words
end

--- Host and port of a database or web server, or nil.
function stopped.place(e)
  if e.kind == "sql" then return e.place and e.place:match("^[^/]*") end
  local url = type(e.input) == "table" and e.input.url
  local authority = type(url) == "string" and url:match("^%a+://([^/?#]*)")
  return authority and authority:gsub("^.*@", "") or nil
end

--- Takes down a change that was stopped.
function stopped:add(e)
  local input = type(e.input) == "table" and not unknown.is(e.input) and e.input or {}
  if e.kind == "aws" then
    table.insert(self.aws, { service = e.service, region = e.region,
      targets = targets_of(e.operation, input),
      named = texts_of(input, {}, true), texts = texts_of(input, {}) })
  elseif e.kind == "process" then
    local argv, has = stopped.words(e), {}
    for _, word in ipairs(argv) do has[word] = true end
    table.insert(self.process, { program = argv[1], argv = argv, has = has })
  elseif e.kind == "sql" or e.kind == "http" then
    table.insert(self[e.kind], { place = stopped.place(e) })
  end
  for _, path in ipairs { e.file or false, input.path or false, input.to or false, input.save_to
    or false } do
    path = plain_path(path)
    if path then table.insert(self.file, { path = path, operation = e.operation }) end
  end
end

--- What a read has to do with the changes: "same", "named", "near" or nil.
function stopped:relation(e)
  if e.kind == "aws" then return of_aws(self, e) end
  if e.kind == "file" then return of_file(self, e) end
  if e.kind == "process" then return of_process(self, e) end
  return of_place(self, e.kind, e)
end

local unreachable = { resolve = true, connect = true, refused = true, timeout = true, busy = true }

--- True for a failure of such a read that may be no more once the changes have been made.
function stopped.may_pass(e, failure)
  failure = errors.from(failure)
  if e.kind == "aws" then return settle.is_not_found(failure) or failure.status == 404 end
  if e.kind == "process" then return failure.kind == "failed" end
  return failure.kind == "missing" or (e.kind ~= "file" and unreachable[failure.kind] == true)
end

return stopped
