--- Random values that fit a shape of a service model, from a seed: the same seed,
-- the same values.
local values = {}

-- Values in one value at most: shapes may refer to each other without end.
local MOST = 5000

local generator = {}
generator.__index = generator

--- @param m a model of aws.model; @param seed integer
-- @param plain true: strings and blobs of small letters only
-- @param most values in one value, 5000 by default
function values.new(m, seed, plain, most)
  return setmetatable({ model = m, state = seed % 2147483647 + 1, shapes = {}, plain = plain,
    left = most or MOST }, generator)
end

-- Park and Miller's generator, so that a seed means the same everywhere.
function generator:number(n)
  self.state = self.state * 48271 % 2147483647
  return self.state % n + 1
end

function generator:shape(id)
  local shape = self.shapes[id]
  if not shape then
    shape = assert(self.model:shape(id))
    self.shapes[id] = shape
  end
  return shape
end

local LETTERS = { "a", "Z", "0", "-", "é", "<", "&", '"', "+", "%", "日本", "/", ":", "=", "'", "~" }

function generator:text(plain, min)
  local parts = { "x" }
  for i = 2, math.max(self:number(8) + 3, (min or 0)) do
    parts[i] = plain and string.char(96 + self:number(26)) or LETTERS[self:number(#LETTERS)]
  end
  return table.concat(parts) .. "z"
end

function generator:blob()
  if self.plain then return self:text(true) end
  local bytes = {}
  for i = 1, self:number(12) do bytes[i] = string.char(self:number(256) - 1) end
  return table.concat(bytes)
end

local SCALARS = {
  string = function(self, member, min)
    return self:text(self.plain or (member and member.location ~= nil), min)
  end,
  blob = function(self) return self:blob() end,
  boolean = function(self) return self:number(2) == 1 end,
  integer = function(self, member, min)
    if member and member.location == "statusCode" then return 200 end
    return math.max(self:number(100000) + 1000, min or 0)
  end,
  long = function(self) return self:number(100000) * 90071992547 end,
  float = function(self) return self:number(64) + 1 / 4 end,
  double = function(self) return self:number(100000) / 8 + 1000.5 end,
  timestamp = function(self) return 1600000000 + self:number(100000000) end,
}

function generator:structure(shape, depth)
  local result, members = {}, shape.members
  if shape.union then members = { members[self:number(#members)] } end
  for _, member in ipairs(members) do
    if self.left < 0 then break end
    local wanted = member.required or member.location == "statusCode" or shape.union
      or (depth < 5 and self:number(3) > 1)
    if wanted then result[member.name] = self:member(member, depth) end
  end
  -- An empty structure in a list would leave no trace in a form.
  if depth > 0 and depth < 12 and next(result) == nil and members[1] then
    result[members[1].name] = self:member(members[1], depth)
  end
  return result
end

function generator:member(member, depth) return self:value(member.shape, depth + 1, member) end

--- A value for the shape of that number.
function generator:value(id, depth, member)
  depth = depth or 0
  self.left = self.left - 1
  local shape = self:shape(id)
  local scalar = SCALARS[shape.type]
  if scalar then return scalar(self, member, shape.min) end
  if shape.document then return { note = self:text() } end
  if depth > 12 or self.left < 0 then return {} end
  if shape.type == "structure" then return self:structure(shape, depth) end
  local result = {}
  for i = 1, math.max(depth > 6 and 0 or self:number(2), shape.min or 0) do
    if shape.type == "list" then
      result[i] = self:member(shape.member, depth)
    else
      result["k" .. i .. self:text(true)] = self:member(shape.value, depth)
    end
  end
  return result
end

return values
