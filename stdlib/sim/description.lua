--- What the description of a world may hold: its sections and the fields of their
-- entries. docs/simulator.md says what each means.
local durations = require "sim.durations"
local errors = require "errors"
local faults = require "sim.faults"
local fields = require "sim.fields"
local writers = require "sim.writers"

local description = {}

-- The sections and the fields of their entries, each with its kind (see sim.fields).
local place_fields = { region = "text", account = "text" }

local function with_place(own)
  for name, kind in pairs(place_fields) do own[name] = own[name] or kind end
  return own
end

local entries = {
  keys = { access_key_id = "text!", secret_access_key = "text!", account = "text",
    session_token = "text", expires = "number", arn = "text", user_id = "text", user = "text" },
  policies = { Version = "text", Id = "text", Statement = "table!", principal = "text" },
  parameter_groups = with_place { name = "text!", family = "text", description = "text",
    values = "table" },
  subnet_groups = with_place { name = "text!", description = "text", vpc = "text",
    subnets = "texts" },
  instances = with_place { id = "text!", class = "text", port = "port", multi_az = "flag",
    retention = "count", parameter_group = "text", security_groups = "texts",
    subnet_group = "text", encrypted = "flag", deletion_protection = "flag", storage = "count",
    tags = "table", copy_tags = "flag", engine = "text", engine_version = "text", db = "text",
    user = "text", password = "text", sql = "names" },
  replicas = with_place { id = "text!", source = "text!", source_region = "text",
    class = "text", port = "port", multi_az = "flag", retention = "count",
    parameter_group = "text", security_groups = "texts", subnet_group = "text", tags = "table",
    storage = "count", deletion_protection = "flag" },
  clusters = with_place { id = "text!", user = "text", password = "text", db = "text",
    members = "texts", sql = "names", retention = "count", class = "text", port = "port",
    tags = "table", engine_version = "text", security_groups = "texts",
    deletion_protection = "flag" },
  timeline = with_place { instance = "text", sql = "names", backup = "text", snapshot = "text",
    age = "duration", status = "text", tags = "table", copy_to = "text", copy_as = "text",
    wait = "duration" },
  vaults = with_place { name = "text!" },
  zones = { id = "text", account = "text", name = "text!", comment = "text", private = "flag",
    caller = "text", records = "items" },
  ecs = with_place { cluster = "text!", services = "items" },
  scaling = with_place { cluster = "text!", service = "text!", min = "count", max = "count" },
  routing_controls = { name = "text!", arn = "text", account = "text", state = "text" },
  health_checks = { id = "text", account = "text", status = "text", config = "table",
    caller = "text" },
  metrics = with_place { namespace = "text!", name = "text!", dimensions = "table",
    values = "list!", unit = "text" },
}

-- Lists inside entries: section -> field -> what its items may have.
local inner = {
  ecs = { services = { name = "text!", desired = "count", image = "text", family = "text",
    environment = "items", launch_type = "text", tags = "items",
    load_balancers = "items" } },
  zones = { records = { Name = "text!", Type = "text!", TTL = "count", values = "texts",
    SetIdentifier = "text", Weight = "count", Region = "text", Failover = "text",
    MultiValueAnswer = "flag",
    HealthCheckId = "text",
    AliasTarget = "table", GeoLocation = "table", ResourceRecords = "items" } },
}

-- Sections whose entries somebody else checks, and those that are no list.
local others = {
  title = "text", durations = "any", quotas = "table", status_lag = "duration", health = "table",
    alarms = "items",
  writers = "items",
    faults = "items",
}

local sections = {}
for name in pairs(entries) do sections[name] = "items" end
for name, kind in pairs(others) do sections[name] = kind end

local function refuse(text, ...)
  errors.raise { kind = "invalid", message = "world: " .. text:format(...) }
end

-- A rehearsal file has its world in a field of that name.
local function refuse_rehearsal(given)
  if given.world == nil then return end
  refuse("this is a rehearsal file, which `drlua rehearse` takes; a world is what its field "
    .. "\"world\" holds")
end

local function check_fields(section, list)
  for i, one in ipairs(list) do
    local where = ("world: %s[%d]"):format(section, i)
    fields.check(where, one, entries[section])
    for field, known in pairs(inner[section] or {}) do
      for k, item in ipairs(one[field] or {}) do fields.check(("%s.%s[%d]"):format(where, field,
        k), item, known) end
    end
  end
end

--- Raises kind "invalid" with a sentence unless `given` describes a world.
function description.check(given)
  if type(given) ~= "table" then refuse("a table expected, not %s", type(given)) end
  refuse_rehearsal(given)
  for name, value in pairs(given) do
    if not sections[name] then
      refuse("no section \"%s\"; known: %s", tostring(name), fields.names(sections))
    end
    fields.expect("world: " .. name, value, sections[name])
    if entries[name] then check_fields(name, value) end
  end
  fields.check("world: quotas", given.quotas or {}, { instances = "count", snapshots = "count",
    snapshot_copies = "count" })
  if given.durations then durations.profile(given.durations) end
  for _, one in ipairs(given.faults or {}) do faults.validate(one) end
  for _, one in ipairs(given.writers or {}) do writers.check(one) end
  for name, spec in pairs(given.health or {}) do
    fields.check(("world: health.%s"):format(tostring(name)), spec, { region = "text",
      account = "text",
      instance = "text", service = "text" })
  end
end

return description
