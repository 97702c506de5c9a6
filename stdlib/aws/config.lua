--- The shared config and credentials files as one set of profiles.
--
-- ~/.aws/config (AWS_CONFIG_FILE) has [default], [profile NAME], [sso-session
-- NAME] and [services NAME]; ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE) has
-- [NAME]. A property in the credentials file wins over the same one in the config
-- file; [profile default] wins over [default]. A file that does not exist is
-- empty; one that cannot be read or parsed is an error.
--
-- Source: AWS SDKs and Tools Reference Guide, "Using shared config and credentials
-- files to globally configure AWS SDKs and tools".
local errors = require "errors"
local ini = require "aws.ini"
local sys = require "native.sys"

local config = {}
local Config = {}
Config.__index = Config

--- Reads a whole file: its bytes, or nil, a message and "missing" or "denied" or "io".
function config.read(path)
  local file, message, code = io.open(path, "rb")
  if not file then
    return nil, message, code == 2 and "missing" or code == 13 and "denied" or "io"
  end
  local bytes, problem = file:read("a")
  file:close()
  if not bytes then return nil, path .. ": " .. tostring(problem), "io" end
  return bytes
end

--- The process's environment as a table that is read when asked.
config.environment = setmetatable({}, { __index = function(_, name) return sys.getenv(name) end })

--- Replaces a leading ~ by the home directory.
function config.expand(path, env)
  if path == "~" or path:find("^~/") then
    return (env.HOME or "") .. path:sub(2)
  end
  return path
end

local function set(env, name)
  local value = env[name]
  if value ~= "" then return value end
end

local function load_file(path, read)
  local text, message, kind = read(path)
  if text then return ini.parse(text, path) end
  if kind == "missing" then return {} end
  errors.raise { kind = kind or "io", message = "cannot read " .. tostring(message or path) }
end

local function merge(into, section, path)
  for name, value in pairs(section.values) do
    into.values[name] = value
    into.where[name] = path .. ":" .. section.lines[name]
  end
end

local function entry(map, name)
  map[name] = map[name] or { values = {}, where = {} }
  return map[name]
end

local kinds = { profile = "profiles", ["sso-session"] = "sso_sessions", services = "services" }

function Config:add_config(sections)
  local plain_default
  for _, section in ipairs(sections) do
    if section.kind == nil and section.name == "default" then
      plain_default = section
    elseif kinds[section.kind] then
      merge(entry(self[kinds[section.kind]], section.name), section, self.config_file)
    end
  end
  if plain_default and not self.profiles.default then
    merge(entry(self.profiles, "default"), plain_default, self.config_file)
  end
end

function Config:add_credentials(sections)
  for _, section in ipairs(sections) do
    if section.kind == nil then
      merge(entry(self.profiles, section.name), section, self.credentials_file)
    end
  end
end

--- Loads both files. Options: env (a table; default the process's environment),
-- read (default config.read), profile (default AWS_PROFILE, AWS_DEFAULT_PROFILE,
-- "default").
-- Raises kind "invalid" naming file and line, or "denied" and "io".
function config.load(options)
  options = options or {}
  local env, read = options.env or config.environment, options.read or config.read
  local named = options.profile or set(env, "AWS_PROFILE") or set(env, "AWS_DEFAULT_PROFILE")
  local self = setmetatable({
    env = env, read = read,
    profile_name = named or "default",
    profile_asked = named ~= nil, -- so that a missing one is an error
    profiles = {}, sso_sessions = {}, services = {},
    config_file = config.expand(set(env, "AWS_CONFIG_FILE") or "~/.aws/config", env),
    credentials_file = config.expand(set(env, "AWS_SHARED_CREDENTIALS_FILE")
      or "~/.aws/credentials", env),
  }, Config)
  self:add_config(load_file(self.config_file, read))
  self:add_credentials(load_file(self.credentials_file, read))
  return self
end

local function names(map)
  local list = {}
  for name in pairs(map) do table.insert(list, name) end
  table.sort(list)
  return list
end

--- Names of all profiles, sorted.
function Config:profile_names()
  return names(self.profiles)
end

local function find(self, map, what, name)
  local found = map[name]
  if found then return found.values, found.where end
  errors.raise {
    kind = "missing",
    message = ("%s %q is neither in %s nor in %s%s"):format(what, name, self.config_file,
      self.credentials_file,
      require("nearest").hint(name, names(map))),
  }
end

--- The properties of a profile (default: the one chosen by load), and where each
-- stands ("file:line"). A profile that was asked for and does not exist is an
-- error (kind "missing"); the unnamed default is then an empty table.
function Config:profile(name)
  if not name and not self.profile_asked and not self.profiles.default then return {}, {} end
  return find(self, self.profiles, "profile", name or self.profile_name)
end

--- The properties of an [sso-session NAME] section.
function Config:sso_session(name)
  return find(self, self.sso_sessions, "sso-session", name)
end

--- The nested properties of a [services NAME] section, by service.
function Config:services_section(name)
  return find(self, self.services, "services section", name)
end

--- A setting: the first of the environment variables that is set and not empty,
-- else the profile's property. Returns the text and where it comes from, or nil.
function Config:setting(variables, property)
  for _, variable in ipairs(variables) do
    local value = set(self.env, variable)
    if value then return value, variable end
  end
  if not property then return nil end
  local values, where = self:profile()
  local value = values[property]
  if value ~= nil and value ~= "" then return value, where[property] end
end

--- A setting that is true or false; anything else is an error that says where.
function Config:flag(variables, property, otherwise)
  local value, where = self:setting(variables, property)
  if value == nil then return otherwise end
  local low = tostring(value):lower()
  if low == "true" then return true end
  if low == "false" then return false end
  errors.raise { kind = "invalid",
    message = ("%s: true or false expected, got %s"):format(where, tostring(value)) }
end

--- The region: AWS_REGION, AWS_DEFAULT_REGION, the profile's region; or nil.
function Config:region()
  return self:setting({ "AWS_REGION", "AWS_DEFAULT_REGION" }, "region")
end

return config
