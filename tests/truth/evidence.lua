--- What responses show: the members of each resource in each of its states, with the day
-- when each was first seen, and the order of states.
local json = require "native.json"
local published = require "published"

local evidence = {}

-- Structures that have a state of their own: its member, and that of the ARN.
local STATED = {
  rds = { DBInstance = { "DBInstanceStatus", "DBInstanceArn" },
    DBCluster = { "Status", "DBClusterArn" },
    DBSnapshot = { "Status", "DBSnapshotArn" },
    DBClusterSnapshot = { "Status", "DBClusterSnapshotArn" } },
  ecs = { Service = { "status", "serviceArn" }, Task = { "lastStatus", "taskArn" } },
}

local function walk(walker, model, ref, value, owner, path)
  local shape = model.shapes[ref.shape]
  local composed = shape.type == "structure" or shape.type == "list"
  if not composed or type(value) ~= "table" or value == json.null then return end
  if shape.type == "structure" then
    local stated = (STATED[walker.service] or {})[ref.shape]
    if stated and type(value[stated[1]]) == "string" then
      owner, path = { name = ref.shape, state = value[stated[1]], id = value[stated[2]] }, ""
      walker.resource(owner)
    end
    for name, each in pairs(value) do
      local member = shape.members[name]
      if member then
        local below = path .. "." .. name
        walker.member(owner, below, ref.shape .. "." .. name)
        walk(walker, model, member, each, owner, below)
      end
    end
  else
    for _, each in ipairs(value) do walk(walker, model, shape.member, each, owner, path .. "[]") end
  end
end

--- Walks a response. walker.member(owner, path, shape_member) is called for each member:
-- owner is { name, state, id } of the resource around it, or { name = the operation };
-- walker.resource(owner) for each resource.
function evidence.walk(service, operation, output, walker)
  local model = published.open(service)
  local ref = model and model.operations[operation] and model.operations[operation].output
  if not ref then return end
  walker.service = service
  walk(walker, model, ref, output, { name = operation }, "")
end

local function below(map, key)
  map[key] = map[key] or {}
  return map[key]
end

-- What one resource showed in one state and not in another depends on the state; that two
-- resources differ may have any reason, the age of a recording among them.
local function settle(self, lives)
  for name, resources in pairs(lives) do
    for _, states in pairs(resources) do
      for state, paths in pairs(states) do
        for other, shown in pairs(states) do
          for path in pairs(other ~= state and shown or {}) do
            local absent = below(self.states[name][state], "absent")
            absent[path] = absent[path] or not paths[path] or nil
          end
        end
      end
    end
  end
end

local function observe(self, lives, lasts, record)
  local operation = record.service .. "." .. record.operation
  evidence.walk(record.service, record.operation, record.output, {
    resource = function(owner)
      local name = record.service .. "." .. owner.name
      below(below(below(self.states, name), owner.state), "members")
      below(self.answered, operation)[owner.state] = true
      local life = ("%s/%s"):format(record.sequence.test or record.path, owner.id or record.path)
      owner.paths = below(below(below(lives, name), life), owner.state)
      local last = lasts[name .. life]
      if last and last ~= owner.state then
        below(self.moves, name)[last .. " to " .. owner.state] = true
      end
      lasts[name .. life] = owner.state
    end,
    member = function(owner, path, shape_member)
      local name = record.service .. "." .. owner.name
      below(self.members, name)[path] = true
      self.shapes[record.service .. "." .. shape_member] = true
      if owner.state then
        self.states[name][owner.state].members[path], owner.paths[path] = true, true
      end
    end,
  })
end

--- What recordings show, added to what is known already (facts, as this returns them):
-- members[owner][path]; states[owner][state] = { members, absent }: seen in the state, or
-- missing there and shown by the same resource in another; answered[operation][state];
-- shapes[structure.member]; errors[service.code] = texts; moves[owner]["a to b"]: one resource
-- was seen in the state b after a.
function evidence.of(list, facts)
  local self, lives, lasts = facts or {}, {}, {}
  for _, part in ipairs { "members", "states", "answered", "shapes", "errors",
    "moves" } do
    below(self, part)
  end
  for _, record in ipairs(list) do
    if record.error then
      local texts = below(self.errors, record.service .. "." .. record.error.code)
      texts[record.error.message] = true
    else
      below(self.members, record.service .. "." .. record.operation)
      observe(self, lives, lasts, record)
    end
  end
  settle(self, lives)
  return self
end

return evidence
