--- Credentials that a profile leads to: static keys, a role assumed with another
-- profile or a named source, a web identity, SSO, a program.
local errors = require "errors"

local profile = {}

local function fault(text, ...)
  errors.raise { kind = "credentials", message = text:format(...) }
end

local function value(text)
  if text and text:find "%S" then return text end
end

-- Of a shell's variable: what stands around a key is no part of it.
local function key(text)
  return value(text) and text:match "^%s*(.-)%s*$"
end

local function partial(what, missing)
  fault("%s has half of a key pair: %s is missing", what, missing)
end

--- AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
function profile.from_environment(context)
  local env = context.env
  local id, secret = key(env.AWS_ACCESS_KEY_ID), key(env.AWS_SECRET_ACCESS_KEY)
  if not id and not secret then return nil, "AWS_ACCESS_KEY_ID is not set" end
  if not id then partial("the environment", "AWS_ACCESS_KEY_ID") end
  if not secret then partial("the environment", "AWS_SECRET_ACCESS_KEY") end
  return {
    access_key_id = id,
    secret_access_key = secret,
    session_token = key(env.AWS_SESSION_TOKEN) or key(env.AWS_SECURITY_TOKEN),
    account_id = value(env.AWS_ACCOUNT_ID),
    source = "the environment",
  }
end

local function static(properties, where, name)
  local id, secret = value(properties.aws_access_key_id), value(properties.aws_secret_access_key)
  if not id and not secret then return nil end
  if not id then partial(where.aws_secret_access_key, "aws_access_key_id") end
  if not secret then partial(where.aws_access_key_id, "aws_secret_access_key") end
  return {
    access_key_id = id,
    secret_access_key = secret,
    session_token = value(properties.aws_session_token),
    account_id = value(properties.aws_account_id),
    source = ("profile %q (%s)"):format(name, where.aws_access_key_id),
  }
end

local function web_identity(context, properties, name)
  local token_file, role_arn = value(properties.web_identity_token_file), value(properties.role_arn)
  if not token_file then return nil end
  if not role_arn then fault("profile %q has web_identity_token_file but no role_arn", name) end
  return require("aws.credentials.role").with_web_identity(context, {
    role_arn = role_arn, token_file = token_file,
    role_session_name = value(properties.role_session_name),
    region = value(properties.region),
  })
end

local function from_sso(context, name)
  local sso = require "aws.credentials.sso"
  local wanted = sso.configuration(context, name)
  return wanted and sso.credentials(context, wanted)
end

local function from_login(context, properties, name)
  local session = value(properties.login_session)
  return session
    and require("aws.credentials.login").credentials(context, { session = session, profile = name })
end

local function from_process(properties)
  local command = value(properties.credential_process)
  return command
    and require("aws.credentials.process").get(command, value(properties.aws_account_id))
end

--- What a profile gives by itself, without assuming a role through another one. Static
-- keys of the credentials file come before a login session and a program, and these
-- before those of the config file.
function profile.own(context, asked)
  local properties, where = context.config:profile(asked)
  local name = asked or context.config.profile_name
  local keys = static(properties, where, name)
  local early = keys and where.aws_access_key_id:sub(1, #context.config.credentials_file)
    == context.config.credentials_file
  local set = web_identity(context, properties, name) or from_sso(context, asked) or early and keys
    or from_login(context, properties, name) or from_process(properties) or keys
  if set then return set end
  if not next(properties) then return nil, ("profile %q has no settings"):format(name) end
  return nil, ("profile %q has no aws_access_key_id, role_arn, sso_session, "
    .. "login_session or credential_process")
    :format(name)
end

local function wants_role(properties)
  return value(properties.role_arn) and not value(properties.web_identity_token_file)
end

local function has_static(properties)
  return value(properties.aws_access_key_id) or value(properties.aws_secret_access_key)
end

local base_of

local function duration_of(properties, where)
  local text = value(properties.duration_seconds)
  local seconds = math.tointeger(tonumber(text))
  if not text or seconds and seconds > 0 then return seconds end
  errors.raise { kind = "invalid",
    message = ("%s: duration_seconds: a number of seconds expected, got %s")
      :format(where.duration_seconds, text) }
end

--- The role of a profile, assumed with the credentials that it names. visited: the
-- names of the profiles that led here, in order.
local function assume(context, name, sources, visited)
  local properties, where = context.config:profile(name)
  local duration = duration_of(properties, where)
  local base = base_of(context, name, properties, sources, visited)
  return require("aws.credentials.role").assume(context, {
    role_arn = properties.role_arn,
    role_session_name = value(properties.role_session_name),
    external_id = value(properties.external_id),
    duration_seconds = duration,
    mfa_serial = value(properties.mfa_serial),
    region = value(properties.region),
  }, base)
end

local function from_named_source(context, name, source, sources)
  local get = sources[source]
  if not get then
    fault("profile %q: credential_source %q is not one of Environment, "
      .. "Ec2InstanceMetadata, EcsContainer", name, source)
  end
  local set, why = get(context)
  if set then return set end
  fault("profile %q: credential_source %s gives no credentials: %s", name, source, why)
end

local function from_source_profile(context, name, source, sources, visited)
  local properties, where = context.config:profile(source)
  for _, seen in ipairs(visited) do
    if seen == source and not (source == name and has_static(properties)) then
      fault("profile %q: source_profile goes round in a circle: %s, %s", name,
        table.concat(visited, ", "), source)
    end
  end
  if has_static(properties) then return static(properties, where, source) end
  if wants_role(properties) then
    return assume(context, source, sources, { table.unpack(visited), source })
  end
  local set, why = profile.own(context, source)
  if set then return set end
  fault("profile %q: source_profile %q gives no credentials: %s", name, source, why)
end

--- The credentials with which a profile's role is assumed.
function base_of(context, name, properties, sources, visited)
  local source, named = value(properties.source_profile), value(properties.credential_source)
  if source and named then
    fault("profile %q has both source_profile and credential_source", name)
  end
  if named then return from_named_source(context, name, named, sources) end
  if source then return from_source_profile(context, name, source, sources, visited) end
  fault("profile %q has role_arn but neither source_profile nor credential_source", name)
end

--- The role of the chosen profile, or nil and why there is none. sources: functions by
-- the names that credential_source knows.
function profile.role(context, sources)
  local properties = context.config:profile()
  local name = context.config.profile_name
  if not wants_role(properties) then return nil, ("profile %q has no role_arn"):format(name) end
  return assume(context, name, sources, { name })
end

return profile
