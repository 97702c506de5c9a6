--- Which members of an operation's input and output are secrets: those whose shape AWS's
-- model marks `sensitive`, and a few that the models leave unmarked.
--
--     local members = sensitive.of(model, "ModifyDBInstance")
--     sensitive.replace(members.input, input, function(value, name) return "***" end)
local confidential = require "confidential"
local unknown = require "unknown"

local sensitive = {}

-- Text members whose names say what they are, and which some models leave unmarked: the
-- MasterUserPassword of docdb, the AuthToken of elasticache, the authorizationToken of
-- ecr, the passwords of mq, iot, emr and lightsail, the keys of lakeformation and
-- lightsail, the ClientSecret of elbv2, the HECToken of firehose, the SecretToken of
-- codepipeline, the shared secret of invoicing.
local unmarked = { "password$", "secretaccesskey$", "secretkey$", "sessiontoken$", "authtoken$",
  "authorizationtoken$", "accesstoken$", "refreshtoken$", "apitoken$", "hectoken$", "secrettoken$",
  "clientsecret$", "sharedsecret$", "privatekey$", "privatekeybase64$" }

local function is_unmarked_secret(name, kind)
  if kind ~= "string" and kind ~= "blob" then return false end
  local lower = name:lower()
  for _, pattern in ipairs(unmarked) do
    if lower:find(pattern) then return true end
  end
  return false
end

-- The shapes of a model, each read once: { sensitive =, members = { name = id },
-- secrets = { name = true }, each = id, key = id }.
local models = setmetatable({}, { __mode = "k" })

local function shape_of(known, id)
  local shape = known.shapes[id]
  if shape then return shape end
  local found = known.model:shape(id) or {}
  shape = { sensitive = found.sensitive, secrets = {} }
  if found.members then
    shape.members = {}
    for _, member in ipairs(found.members) do
      shape.members[member.name] = member.shape
      shape.secrets[member.name] = is_unmarked_secret(member.name, member.type) or nil
    end
  end
  shape.each = (found.member or found.value or {}).shape
  known.shapes[id] = shape
  return shape
end

-- True where a secret can be reached from the shape.
local function leads(known, id, visited)
  if known.leads[id] ~= nil then return known.leads[id] end
  if visited[id] then return false end
  visited[id] = true
  local shape = shape_of(known, id)
  local found = shape.sensitive or next(shape.secrets) ~= nil
    or (shape.each ~= nil and leads(known, shape.each, visited))
  for _, member in pairs(not found and shape.members or {}) do
    found = found or leads(known, member, visited)
  end
  if found then known.leads[id] = true end
  return found or false
end

local function root(known, id)
  if not id then return nil end
  local visited = {}
  if leads(known, id, visited) then return { known = known, id = id } end
  -- Nothing was found from here, so not from any shape on the way either.
  for each in pairs(visited) do known.leads[each] = false end
end

--- The secret members of an operation: { input =, output = }, each nil where there are
-- none, else for sensitive.replace. Cheap to ask again: kept by operation.
function sensitive.of(model, operation)
  local known = models[model]
  if not known then
    known = { model = model, shapes = {}, leads = {}, operations = {} }
    models[model] = known
  end
  local members = known.operations[operation]
  if not members then
    local found = model:operation(operation) or {}
    members = { input = root(known, found.input), output = root(known, found.output) }
    known.operations[operation] = members
  end
  return members
end

local walk

-- levels of a value; what is deeper holds itself, and is refused when it is sent
local DEEPEST = 100

local function copy_of(value)
  local copy = setmetatable({}, getmetatable(value))
  for k, v in next, value do rawset(copy, k, v) end
  return copy
end

local function walk_table(known, shape, value, fn, depth)
  local copy
  for key, item in next, value do
    local id = shape.members and shape.members[key] or shape.each
    local new = item
    if shape.secrets[key] then
      new = fn(item, key)
    elseif id then
      new = walk(known, id, item, fn, key, depth + 1)
    end
    if new ~= item then
      copy = copy or copy_of(value)
      rawset(copy, key, new)
    end
  end
  return copy or value
end

function walk(known, id, value, fn, name, depth)
  local shape = shape_of(known, id)
  if shape.sensitive then return fn(value, name) end
  if type(value) ~= "table" or depth > DEEPEST or unknown.is(value) or not leads(known, id, {}) then
    return value
  end
  return walk_table(known, shape, value, fn, depth)
end

--- The value with fn(member, name) in place of each secret member; a copy where something
-- is replaced. root: of sensitive.of. name: the member's, of a list or map's element its
-- key.
function sensitive.replace(root_of, value, fn)
  if not root_of or type(value) ~= "table" then return value end
  return walk(root_of.known, root_of.id, value, fn, nil, 1)
end

-- Members that some models mark although they hold names: masked by value they would mask
-- the names of runs and databases everywhere.
local function holds_names(name)
  local lower = name:lower()
  return lower:find("tags?$") or lower:find("name$") or lower:find("description$")
    or lower:find("label$") or lower:find("metadata$")
end

local function register_text(name, text, named)
  if confidential.likely(name, text) then return confidential.register("aws_" .. name, text, 4) end
  -- A setting, an address: masked, but no reason to refuse it as a program's argument.
  if not named and #text >= 8 and not confidential.is_plain(text) then
    confidential.register("aws_" .. name, text, 8, { plain = true })
  end
end

local function register(name, value, depth, named)
  named = named or holds_names(name)
  if type(value) == "string" then
    register_text(name, value, named)
    -- A secret of Secrets Manager is a JSON object, as a rule.
    local fields = value:find("^%s*{") and require("native.json").decode(value)
    if type(fields) == "table" then
      for key, field in pairs(fields) do
        if confidential.likely(key, field) then confidential.register("aws_" .. name, field, 4) end
      end
    end
  elseif type(value) == "table" and depth < DEEPEST and not unknown.is(value) then
    for key, item in next, value do
      register(type(key) == "string" and key or name, item, depth + 1, named)
    end
  end
  return value
end

--- Registers the secret members of a value, so that they are masked wherever they go.
function sensitive.register(root_of, value)
  sensitive.replace(root_of, value, function(member, name)
    return register(type(name) == "string" and name or "secret", member, 1)
  end)
end

return sensitive
