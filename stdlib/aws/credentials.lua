--- Credentials by AWS's default chain.
--
-- credentials.resolve asks each source in the official order and returns the first
-- set; credentials.provider keeps a set fresh for runs of many hours. A source
-- that is configured but fails ends the search (its error says what it was), one
-- that is not configured is passed over; when none gives anything the error names
-- each with its reason.
--
-- A set: { access_key_id, secret_access_key, session_token, expires (seconds since
-- the epoch, or nil), account_id (or nil), source (text for a person) }.
--
-- Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers";
-- the order is that of the AWS CLI.
local confidential = require "confidential"
local config = require "aws.config"
local errors = require "errors"
local instants = require "aws.instants"
local profiles = require "aws.credentials.profile"

local credentials = {}

local known = {
  profile = true, region = true, env = true, read = true, write = true, http = true, now = true,
  mfa = true, config = true, role = true,
}

local function check_options(options, level)
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for option in pairs(known) do table.insert(names, option) end
      table.sort(names)
      errors.misuse(level + 1, "credentials: unknown option %s; known: %s", tostring(name),
        table.concat(names, ", "))
    end
  end
end

--- What sources work with: the files, the environment, the way out.
local function new_context(options)
  local env = options.env or config.environment
  local cfg = options.config
    or config.load { env = env, read = options.read, profile = options.profile }
  return {
    config = cfg, env = cfg.env, profile_explicit = options.profile ~= nil,
    region = options.region or cfg:region(),
    http = options.http, write = options.write, now = options.now or instants.seconds,
    mfa = options.mfa,
  }
end

local function from_container(context)
  return require("aws.credentials.container").get(context)
end

local function from_instance(context)
  return require("aws.credentials.instance").get(context)
end

local function web_identity_of_environment(context)
  local env = context.env
  local token_file, role_arn = env.AWS_WEB_IDENTITY_TOKEN_FILE or "", env.AWS_ROLE_ARN or ""
  if token_file == "" then return nil, "AWS_WEB_IDENTITY_TOKEN_FILE is not set" end
  if role_arn == "" then
    errors.raise { kind = "credentials",
      message = "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not" }
  end
  return require("aws.credentials.role").with_web_identity(context, {
    role_arn = role_arn, token_file = token_file, role_session_name = env.AWS_ROLE_SESSION_NAME,
  })
end

local named = {
  Environment = profiles.from_environment,
  EcsContainer = from_container,
  Ec2InstanceMetadata = from_instance,
}

--- `unless_profile`: left out when a profile was asked for by name.
local chain = {
  { name = "environment", get = profiles.from_environment, unless_profile = true },
  { name = "assumed role", get = function(context) return profiles.role(context, named) end },
  { name = "web identity", get = web_identity_of_environment, unless_profile = true },
  { name = "profile", get = profiles.own },
  { name = "container", get = from_container },
  { name = "EC2 instance", get = from_instance },
}

local function none(tried)
  local lines = {}
  for _, each in ipairs(tried) do
    table.insert(lines, ("  %s: %s"):format(each.source, each.why))
  end
  errors.raise {
    kind = "credentials",
    message = "no AWS credentials found; tried\n" .. table.concat(lines, "\n"),
    tried = tried,
  }
end

--- An error of a source, with its name and what was tried before.
local function failed(source, e, tried)
  e = errors.from(e)
  if e.kind == "cancelled" or e.kind == "misuse" or e.kind == "lua" then error(e, 0) end
  table.insert(tried, { source = source.name, why = e.message })
  errors.raise {
    kind = "credentials", message = ("credentials (%s): %s"):format(source.name, e.message),
    cause = e, tried = tried, code = e.code, status = e.status,
  }
end

local function search(context)
  local tried = {}
  for _, source in ipairs(chain) do
    if source.unless_profile and context.profile_explicit then
      table.insert(tried,
        { source = source.name, why = "not considered, since a profile was asked for" })
    else
      local ok, set, why = pcall(source.get, context)
      if not ok then failed(source, set, tried) end
      if set then return set end
      table.insert(tried, { source = source.name, why = why })
    end
  end
  none(tried)
end

local function resolve(options)
  local context = new_context(options)
  local set = confidential.keys(search(context))
  if not options.role then return set end
  return confidential.keys(require("aws.credentials.role").assume(context, options.role, set))
end

--- Finds a set of credentials. Options: profile (then the environment's keys are
-- not considered), region (for STS; default the setting), role = { role_arn,
-- role_session_name, external_id, duration_seconds, mfa_serial } (to assume with what
-- the chain gives), config (what config.load gave). For tests and unusual hosts: env
-- (a table in place of the environment), read (function(path)) and write
-- (function(path, text)) in place of the file system, http (function(request)) in place
-- of native.http, now (function), mfa (function(serial) -> code).
-- Raises kind "credentials", with `tried` = { { source, why } ... }.
function credentials.resolve(options)
  options = options or {}
  check_options(options, 1)
  return resolve(options)
end

--- A provider that keeps a set fresh: provider:get() -> set. See
-- aws.credentials.provider. Takes the options of credentials.resolve.
function credentials.provider(options)
  options = options or {}
  check_options(options, 1)
  local provider = require "aws.credentials.provider"
  return provider.new { fetch = function() return resolve(options) end, now = options.now }
end

--- The bearer token of the profile's SSO session: { token, expires, source }, or nil
-- when the profile names none.
function credentials.token(options)
  options = options or {}
  check_options(options, 1)
  local context = new_context(options)
  local sso = require "aws.credentials.sso"
  local wanted = sso.configuration(context)
  if wanted then return sso.token(context, wanted) end
end

return credentials
