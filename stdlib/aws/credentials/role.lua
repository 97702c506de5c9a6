--- Credentials by assuming a role: with other credentials, or with the token of a
-- web identity (IAM roles for service accounts and other OpenID Connect providers).
local ask = require "ask"
local call = require "aws.credentials.call"
local clock = require "native.clock"
local confidential = require "confidential"
local errors = require "errors"

local role = {}

local function session_name(prefix)
  return ("%s-%d"):format(prefix, math.floor(clock.now() * 1000))
end

-- The region whose STS is asked: the one that the call is for. A profile names its home,
-- which may be the region that is down, so it counts only where nothing else is named.
local function sts_region(context, wanted)
  if context.region and context.region ~= "aws-global" then return context.region end
  return wanted.region or context.region
end

local function set_from(output, source)
  local given = output.Credentials
  local arn = output.AssumedRoleUser and output.AssumedRoleUser.Arn
  return confidential.keys {
    access_key_id = given.AccessKeyId,
    secret_access_key = given.SecretAccessKey,
    session_token = given.SessionToken,
    expires = call.time(given.Expiration),
    account_id = arn and arn:match("^arn:[^:]*:sts::(%d+):"),
    source = source,
  }
end

--- Asks for the code of an MFA device at the terminal.
local function ask_code(context, serial)
  if context.mfa then return context.mfa(serial) end
  local code, message = ask.secret(("MFA code for %s: "):format(serial))
  if code then return code end
  errors.raise {
    kind = "credentials",
    message = ("the role asks for a code of the MFA device %s, and it cannot be asked for: %s")
      :format(serial,
      tostring(message)),
  }
end

--- Assumes a role. wanted: role_arn, role_session_name, external_id, duration_seconds,
-- mfa_serial, region (of the profile: used when the call has none). base: the credentials
-- to sign with.
function role.assume(context, wanted, base)
  local output = call.perform(context, {
    service = "sts", operation = "AssumeRole", region = sts_region(context, wanted),
    credentials = base,
    input = {
      RoleArn = wanted.role_arn,
      RoleSessionName = wanted.role_session_name or session_name "drlua",
      ExternalId = wanted.external_id,
      DurationSeconds = wanted.duration_seconds,
      SerialNumber = wanted.mfa_serial,
      TokenCode = wanted.mfa_serial and ask_code(context, wanted.mfa_serial) or nil,
    },
  })
  return set_from(output,
    ("the role %s, assumed with %s"):format(wanted.role_arn, base.source or "given credentials"))
end

local function read_token(context, path)
  local token, message = context.config.read(path)
  if token then return confidential.token((token:gsub("%s+$", ""))) end
  errors.raise { kind = "credentials", message = "cannot read the web identity token "
    .. tostring(message or path) }
end

--- Assumes a role with the token in a file, which is read each time, since
-- Kubernetes replaces it. wanted: role_arn, token_file, role_session_name, region.
function role.with_web_identity(context, wanted)
  local output = call.perform(context, {
    service = "sts", operation = "AssumeRoleWithWebIdentity", region = sts_region(context, wanted),
    input = {
      RoleArn = wanted.role_arn,
      RoleSessionName = wanted.role_session_name or session_name "drlua",
      WebIdentityToken = read_token(context, wanted.token_file),
    },
  })
  return set_from(output,
    ("the role %s, assumed with the token in %s"):format(wanted.role_arn, wanted.token_file))
end

return role
