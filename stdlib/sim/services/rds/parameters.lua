--- RDS: the parameters of parameter groups: those of the installed PostgreSQL, as its
-- server lists them, with RDS's way of showing and refusing them.
--
-- What would lead out of the database (commands, libraries, files, addresses) cannot be
-- modified, on RDS as here: parameters end up in the server's configuration.
local parameters = {}

local TYPES = { BOOLEAN = "boolean", BOOL = "boolean", INTEGER = "integer", REAL = "float",
  STRING = "string",
  ENUM = "string" }

-- Parts of names that RDS keeps to itself.
local KEPT = { "_command$", "_library$", "_file$", "_director", "^archive_", "^restore_",
  "^recovery_", "^primary_",
  "^unix_socket", "^ssl", "^krb_", "^bonjour", "^data_", "^hba_", "^ident_", "^lc_messages$",
  "^log_line_prefix$",
  "^log_destination$", "^logging_collector$", "^syslog", "^event_", "^cluster_name$",
  "^listen_addresses$", "^port$",
  "^fsync$", "^full_page_writes$", "^wal_level$", "^wal_log_hints$", "^hot_standby$",
  "^jit_provider$",
  "^dynamic_library_path$", "^extension_destdir$", "^local_preload", "^session_preload",
  "^external_pid",
  "^log_filename$", "^synchronous_standby_names$", "^timezone_abbreviations$",
  "^default_tablespace$",
  "^temp_tablespaces$" }

-- Modifiable, shown and kept, but not handed to the small servers of a simulation.
local UNAPPLIED = { shared_buffers = true, huge_pages = true, shared_preload_libraries = true,
  max_connections = true,
  superuser_reserved_connections = true, min_wal_size = true, max_wal_size = true,
  wal_keep_size = true,
  wal_buffers = true, max_worker_processes = true }

-- RDS has these besides PostgreSQL's own.
local OF_RDS = {
  { "rds.force_ssl", "boolean", "0,1", "dynamic", "Force SSL connections." },
  { "rds.logical_replication", "boolean", "0,1", "static", "Enables logical decoding." },
  { "rds.log_retention_period", "integer", "1440-10080", "dynamic",
  "Retention of logs in minutes." },
  { "rds.restrict_password_commands", "boolean", "0,1", "static",
  "Restricts password-related commands." },
}

local function kept(name)
  for _, pattern in ipairs(KEPT) do
    if name:find(pattern) then return true end
  end
  return false
end

local function allowed(kind, least, most)
  if TYPES[kind] == "boolean" then return "0,1" end
  if least ~= "" and most ~= "" then return ("%s-%s"):format(least, most) end
  return nil
end

-- A line of `postgres --describe-config`: name, context, group, type, default, least,
-- most, description, more.
local function row_of(line)
  local f = {}
  for text in (line .. "\t"):gmatch("(.-)\t") do table.insert(f, text) end
  if not TYPES[f[4] or ""] then return nil end
  return {
    ParameterName = f[1]:lower(), Description = f[8], Source = "engine-default",
    ApplyType = f[2] == "postmaster" and "static" or "dynamic", DataType = TYPES[f[4]],
    AllowedValues = allowed(f[4], f[6], f[7]), IsModifiable = not kept(f[1]:lower()), kind = f[4],
    least = tonumber(f[6]), most = tonumber(f[7]),
  }
end

--- All parameters: a list sorted by name, and the same by name. Members with lower-case
-- names are ours.
function parameters.catalogue(host)
  if host.parameters then return host.parameters.list, host.parameters.by_name end
  local list, by_name = {}, {}
  for line in host:run({ host:bin() .. "/postgres", "--describe-config" }):gmatch("[^\n]+") do
    table.insert(list, row_of(line))
  end
  for _, one in ipairs(OF_RDS) do
    table.insert(list, { ParameterName = one[1], DataType = one[2], AllowedValues = one[3],
      ApplyType = one[4],
      Description = one[5], Source = "engine-default", IsModifiable = true, kind = "RDS" })
  end
  table.sort(list, function(a, b) return a.ParameterName < b.ParameterName end)
  for _, row in ipairs(list) do by_name[row.ParameterName] = row end
  host.parameters = { list = list, by_name = by_name }
  return list, by_name
end

--- What DescribeDBParameters shows of a parameter; value: what its group sets, or nil.
function parameters.shown(row, value)
  return {
    ParameterName = row.ParameterName, Description = row.Description, DataType = row.DataType,
    ApplyType = row.ApplyType, AllowedValues = row.AllowedValues, IsModifiable = row.IsModifiable,
    Source = value and "user" or row.Source, ParameterValue = value, ApplyMethod = "pending-reboot",
  }
end

local function fits(row, value)
  -- a formula, {DBInstanceClassMemory/32768}
  if value:find("^{") then return row.kind == "INTEGER" end
  if row.DataType == "boolean" then return value == "0" or value == "1" or value == "on"
    or value == "off" end
  if row.DataType ~= "integer" and row.DataType ~= "float" then return true end
  local number = tonumber(value)
  if not number or row.DataType == "integer" and not math.tointeger(number) then return false end
  return (not row.least or number >= row.least) and (not row.most or number <= row.most)
end

--- What RDS says to setting `name` to `value`, or nil when it takes it.
function parameters.refusal(host, name, value)
  local _, by_name = parameters.catalogue(host)
  local row = by_name[name:lower()]
  if not row then return ("Could not find parameter with name: %s"):format(name) end
  if not row.IsModifiable then return ("The parameter %s cannot be modified."):format(name) end
  if value and (value:find("%c") or not fits(row, value)) then
    return ("Invalid parameter value: %s for: %s allowed values are: %s"):format(value, name,
      row.AllowedValues or "text without control characters")
  end
  return nil
end

--- Whether a world may set `name` to `value`: as RDS, and with PostgreSQL's units ("16MB").
function parameters.world_refusal(host, name, value)
  if tostring(value):find("^[%d.]+%s*%a+$") then value = nil end
  return parameters.refusal(host, name, value and tostring(value))
end

--- Of a group's values those that a server is started with.
function parameters.applied(values)
  local found = {}
  for name, value in pairs(values or {}) do
    if not UNAPPLIED[name] and not name:find("^rds%.") and not tostring(value):find("^{") then
      found[name] = tostring(value)
    end
  end
  return found
end

return parameters
