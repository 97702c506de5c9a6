--- RDS: tags, events, log files, engine versions.
local fs = require "native.fs"
local lookup = require "sim.services.rds.lookup"

local service = {}

-- The shape whose TagList an ARN names.
local function tagged(ctx, arn)
  local kind = arn:match("^arn:aws[%w-]*:rds:[^:]*:%d*:([%w-]+):")
  if kind == "db" then return lookup.instance(ctx, arn).shape end
  if kind == "cluster" and ctx.store.clusters[lookup.name(arn)] then
    return ctx.store.clusters[lookup.name(arn)].shape
  end
  if kind == "snapshot" then return lookup.snapshot(ctx, arn).shape end
  return ctx:fail("InvalidParameterValue",
    ("The specified resource name does not match an RDS resource in this "
    .. "region: %s"):format(arn))
end

function service.list_tags_for_resource(ctx, input)
  ctx:need(input, "ResourceName")
  return { TagList = tagged(ctx, input.ResourceName).TagList or {} }
end

function service.remove_tags_from_resource(ctx, input)
  ctx:need(input, "ResourceName")
  local shape, gone, kept = tagged(ctx, input.ResourceName), {}, {}
  for _, key in ipairs(input.TagKeys or {}) do gone[key] = true end
  for _, tag in ipairs(shape.TagList or {}) do
    if not gone[tag.Key] then table.insert(kept, tag) end
  end
  shape.TagList = kept
  return {}
end

function service.add_tags_to_resource(ctx, input)
  ctx:need(input, "ResourceName")
  local keys = {}
  for _, tag in ipairs(input.Tags or {}) do table.insert(keys, tag.Key) end
  service.remove_tags_from_resource(ctx, { ResourceName = input.ResourceName, TagKeys = keys })
  local shape = tagged(ctx, input.ResourceName)
  for _, tag in ipairs(input.Tags or {}) do
    table.insert(shape.TagList, { Key = tag.Key, Value = tag.Value or "" })
  end
  return {}
end

function service.describe_events(ctx, input)
  local now = ctx:now()
  local from = input.StartTime or now - 60 * (input.Duration or 60)
  local to = input.EndTime or now
  local list = {}
  for i, event in ipairs(ctx.store.events) do
    local named = not input.SourceIdentifier
      or event.SourceIdentifier == input.SourceIdentifier:lower()
    local typed = not input.SourceType or event.SourceType == input.SourceType
    if named and typed and event.Date >= from and event.Date <= to then
      event.serial = ("%08d"):format(i)
      table.insert(list, event)
    end
  end
  local output = lookup.page(ctx, input, list, "serial", "Events")
  for i, event in ipairs(output.Events) do
    local copy = {}
    for k, v in pairs(event) do if k ~= "serial" then copy[k] = v end end
    output.Events[i] = copy
  end
  return output
end

--- The automated backups of instances that have them, with their restore windows.
function service.describe_db_instance_automated_backups(ctx, input)
  local list = {}
  for _, instance in ipairs(lookup.ordered(ctx.store.instances)) do
    local shape = instance.shape
    local wanted = not input.DBInstanceIdentifier or lookup.name(input.DBInstanceIdentifier)
      == instance.id
    if wanted and instance.backup then
      table.insert(list, { DBInstanceArn = shape.DBInstanceArn, DbiResourceId = shape.DbiResourceId,
        Region = ctx.region, DBInstanceIdentifier = instance.id, Status = "active",
        Engine = shape.Engine, EngineVersion = shape.EngineVersion,
        AllocatedStorage = shape.AllocatedStorage, Encrypted =
          shape.StorageEncrypted, BackupRetentionPeriod = shape.BackupRetentionPeriod,
          RestoreWindow = {
          EarliestTime = instance.backup.time, LatestTime = instance:latest_restorable() } })
    end
  end
  return lookup.page(ctx, input, list, "DBInstanceIdentifier", "DBInstanceAutomatedBackups")
end

local LOG_NAME = "error/postgresql.log"

local function log_file(ctx, input)
  ctx:need(input, "DBInstanceIdentifier")
  local instance = lookup.instance(ctx, input.DBInstanceIdentifier)
  return instance.cluster and instance.cluster.log
end

function service.describe_db_log_files(ctx, input)
  local path = log_file(ctx, input)
  local stat = path and fs.stat(path)
  local wanted = stat
    and (not input.FilenameContains or LOG_NAME:find(input.FilenameContains, 1, true))
  return { DescribeDBLogFiles = wanted and {
    { LogFileName = LOG_NAME, LastWritten = math.floor(stat.mtime * 1000), Size = stat.size } }
    or {} }
end

function service.download_db_log_file_portion(ctx, input)
  local path = log_file(ctx, input)
  if not path or input.LogFileName ~= LOG_NAME then
    ctx:fail("DBLogFileNotFoundFault", ("DBLog File: %s, is not found on the DB instance"):format(
      tostring(input.LogFileName)))
  end
  local lines = {}
  for line in (fs.read(path) or ""):gmatch("[^\n]*\n") do table.insert(lines, line) end
  local first = 1
  if input.Marker and input.Marker ~= "0" then first = (math.tointeger(tonumber(input.Marker)) or 0)
    + 1
  elseif input.NumberOfLines
    and not input.Marker then first = math.max(1, #lines - input.NumberOfLines + 1) end
  local last = math.min(#lines, first + (input.NumberOfLines or 10000) - 1)
  return { LogFileData = table.concat(lines, "", first, last), Marker = tostring(last),
    AdditionalDataPending = last < #lines }
end

function service.describe_db_engine_versions(ctx, input)
  local version = ctx.sim:postgres_version()
  local wanted = (not input.Engine or input.Engine == "postgres") and (not input.EngineVersion
    or version:find(input.EngineVersion, 1, true) == 1)
  return { DBEngineVersions = wanted and { {
    Engine = "postgres", EngineVersion = version, DBParameterGroupFamily = "postgres"
    .. version:match("^%d+"),
    DBEngineDescription = "PostgreSQL", DBEngineVersionDescription = "PostgreSQL " .. version,
    Status = "available",
  } } or {} }
end

return service
