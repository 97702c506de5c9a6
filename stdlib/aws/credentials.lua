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
local config = require "aws.config"
local errors = require "errors"

local credentials = {}

local known = {
  profile = true, region = true, env = true, read = true, http = true, now = true, config = true,
}

local function check_options(options)
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for option in pairs(known) do table.insert(names, option) end
      table.sort(names)
      errors.misuse(3, "credentials: unknown option %s; known: %s", tostring(name), table.concat(names, ", "))
    end
  end
end

--- What sources work with: the files, the environment, the way out.
local function new_context(options)
  local env = options.env or config.environment
  return {
    config = options.config or config.load { env = env, read = options.read, profile = options.profile },
    env = env,
    profile_explicit = options.profile ~= nil,
    region = options.region,
    http = options.http,
    now = options.now or os.time,
  }
end

local function partial(what, missing)
  errors.raise {
    kind = "credentials",
    message = ("%s has half of a key pair: %s is missing"):format(what, missing),
  }
end

local function value(text)
  if text ~= "" then return text end
end

--- AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
local function from_environment(context)
  local env = context.env
  local id, secret = value(env.AWS_ACCESS_KEY_ID), value(env.AWS_SECRET_ACCESS_KEY)
  if not id and not secret then return nil, "AWS_ACCESS_KEY_ID is not set" end
  if not id then partial("the environment", "AWS_ACCESS_KEY_ID") end
  if not secret then partial("the environment", "AWS_SECRET_ACCESS_KEY") end
  return {
    access_key_id = id,
    secret_access_key = secret,
    session_token = value(env.AWS_SESSION_TOKEN) or value(env.AWS_SECURITY_TOKEN),
    account_id = value(env.AWS_ACCOUNT_ID),
    source = "the environment",
  }
end

--- aws_access_key_id and aws_secret_access_key of a profile.
local function from_profile(context, name)
  local profile, where = context.config:profile(name)
  name = name or context.config.profile_name
  local id, secret = value(profile.aws_access_key_id), value(profile.aws_secret_access_key)
  if not id and not secret then return nil, ("profile %q has no aws_access_key_id"):format(name) end
  if not id then partial(where.aws_secret_access_key, "aws_access_key_id") end
  if not secret then partial(where.aws_access_key_id, "aws_secret_access_key") end
  return {
    access_key_id = id,
    secret_access_key = secret,
    session_token = value(profile.aws_session_token),
    account_id = value(profile.aws_account_id),
    source = ("profile %q (%s)"):format(name, where.aws_access_key_id),
  }
end

local chain = {
  { name = "environment", get = from_environment, unless_profile = true },
  { name = "shared files", get = from_profile },
}

local function none(tried)
  local lines = {}
  for _, each in ipairs(tried) do table.insert(lines, ("  %s: %s"):format(each.source, each.why)) end
  errors.raise {
    kind = "credentials",
    message = "no AWS credentials found; tried\n" .. table.concat(lines, "\n"),
    tried = tried,
  }
end

--- Finds a set of credentials. Options: profile (then the environment's keys are
-- not considered), region (for STS), env (a table in place of the environment),
-- read (function(path) in place of the file system), http (function(request) in
-- place of native.http), now (function), config (what config.load gave).
-- Raises kind "credentials", with `tried` = { { source, why } ... }.
function credentials.resolve(options)
  options = options or {}
  check_options(options)
  local context = new_context(options)
  local tried = {}
  for _, source in ipairs(chain) do
    if source.unless_profile and context.profile_explicit then
      table.insert(tried, { source = source.name, why = "not considered, since a profile was asked for" })
    else
      local set, why = source.get(context)
      if set then return set end
      table.insert(tried, { source = source.name, why = why })
    end
  end
  none(tried)
end

return credentials
