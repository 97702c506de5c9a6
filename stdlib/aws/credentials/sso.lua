--- Credentials and bearer tokens of IAM Identity Center (SSO).
--
-- `aws sso login` leaves a token in ~/.aws/sso/cache, in a file named by the SHA-1 of
-- the sso-session's name (or of the start URL, in the older form without a session). A
-- session's token is refreshed while its registration lasts; the new one replaces the
-- file, so that the AWS CLI goes on with it.
local call = require "aws.credentials.call"
local clock = require "native.clock"
local confidential = require "confidential"
local crypto = require "native.crypto"
local errors = require "errors"
local json = require "native.json"

local sso = {}

local REFRESH_WINDOW = 900 -- seconds before its end in which a token is refreshed

local function fault(text, ...)
  errors.raise { kind = "credentials", message = text:format(...) }
end

local function login_hint(wanted)
  if wanted.session then return "run: aws sso login --sso-session " .. wanted.session end
  return "run: aws sso login --profile " .. wanted.profile
end

local function cache_path(context, wanted)
  local key = crypto.hex(crypto.sha1(wanted.session or wanted.start_url))
  return ("%s/.aws/sso/cache/%s.json"):format(context.env.HOME or "", key)
end

local function load_token(context, wanted)
  local path = cache_path(context, wanted)
  local text, message = context.config.read(path)
  if not text then
    fault("no SSO token: cannot read %s; %s", message or path, login_hint(wanted))
  end
  local token, problem = json.decode(text)
  if type(token) ~= "table" or type(token.accessToken) ~= "string"
    or not call.time(token.expiresAt) then
    fault("the SSO token in %s is damaged (%s); %s", path, problem or "no accessToken or expiresAt",
      login_hint(wanted))
  end
  for _, name in ipairs { "accessToken", "refreshToken", "clientSecret" } do
    confidential.token(token[name])
  end
  return token, path
end

local function may_refresh(token, now)
  local registered = call.time(token.registrationExpiresAt)
  return token.refreshToken and token.clientId and token.clientSecret and registered
    and registered > now
end

local function create_token(context, wanted, token)
  return call.perform(context, {
    service = "sso-oidc", operation = "CreateToken", region = wanted.region,
    input = { grantType = "refresh_token", clientId = token.clientId,
      clientSecret = token.clientSecret,
      refreshToken = token.refreshToken },
  })
end

local function save(context, path, token)
  local fs = require "native.fs"
  -- 0600
  local write = context.write
    or function(to, text) return fs.write(to, text, { mode = 384, atomic = true }) end
  -- a cache that cannot be written costs the next process a refresh, no more
  write(path, json.encode(token))
end

local function refresh(context, wanted, token, path)
  local now = context.now()
  local ok, answer = pcall(create_token, context, wanted, token)
  if not ok then return nil, answer end
  local fresh = {}
  for name, value in pairs(token) do fresh[name] = value end
  fresh.startUrl, fresh.region = wanted.start_url, wanted.region
  fresh.accessToken = confidential.token(answer.accessToken)
  fresh.refreshToken = confidential.token(answer.refreshToken) or token.refreshToken
  fresh.expiresAt = clock.format(now + (answer.expiresIn or 0), "rfc3339")
  save(context, path, fresh)
  return fresh
end

--- The access token of an SSO configuration (see sso.configuration): { token, expires }.
function sso.token(context, wanted)
  local token, path = load_token(context, wanted)
  local now = context.now()
  local expires = call.time(token.expiresAt)
  local problem
  if wanted.session and expires - now < REFRESH_WINDOW and may_refresh(token, now) then
    local fresh, e = refresh(context, wanted, token, path)
    problem = e
    if fresh then token, expires = fresh, call.time(fresh.expiresAt) end
  end
  if expires <= now then
    fault("the SSO token in %s expired at %s%s; %s", path, token.expiresAt,
      problem and " and was not refreshed (" .. tostring(problem) .. ")" or "", login_hint(wanted))
  end
  return { token = token.accessToken, expires = expires, source = path }
end

local function missing(profile, wanted, names)
  local absent = {}
  for _, name in ipairs(names) do
    if (wanted[name] or "") == "" then table.insert(absent, name) end
  end
  if #absent > 0 then
    fault("profile %q is configured for SSO but lacks %s", profile, table.concat(absent, ", "))
  end
end

--- The SSO configuration of a profile: { session, start_url, region, account_id,
-- role_name, profile }, or nil when it has none.
function sso.configuration(context, name)
  local profile = context.config:profile(name)
  name = name or context.config.profile_name
  if not profile.sso_session and not profile.sso_start_url and not profile.sso_account_id then
    return nil
  end
  local merged = { sso_start_url = profile.sso_start_url, sso_region = profile.sso_region }
  if profile.sso_session then
    for property, value in pairs((context.config:sso_session(profile.sso_session))) do
      if profile[property] and profile[property] ~= value then
        fault("%s differs between profile %q (%s) and sso-session %q (%s)", property, name,
          profile[property],
          profile.sso_session, value)
      end
      merged[property] = value
    end
  end
  missing(name, merged, { "sso_start_url", "sso_region" })
  return {
    profile = name, session = profile.sso_session, start_url = merged.sso_start_url,
    region = merged.sso_region, account_id = profile.sso_account_id,
    role_name = profile.sso_role_name,
  }
end

--- Credentials of the role that an SSO configuration names.
function sso.credentials(context, wanted)
  if not wanted.account_id and not wanted.role_name then
    fault("profile %q gives an SSO token, not credentials: it has neither "
      .. "sso_account_id nor sso_role_name",
      wanted.profile)
  end
  missing(wanted.profile, { sso_account_id = wanted.account_id, sso_role_name = wanted.role_name },
    { "sso_account_id", "sso_role_name" })
  local token = sso.token(context, wanted)
  local ok, output = pcall(call.perform, context, {
    service = "sso", operation = "GetRoleCredentials", region = wanted.region,
    input = { accessToken = token.token, accountId = wanted.account_id,
      roleName = wanted.role_name },
  })
  if not ok then
    if errors.from(output).status == 401 then
      fault("the SSO session is no longer valid; %s", login_hint(wanted))
    end
    error(output, 0)
  end
  local given = output.roleCredentials
  return confidential.keys {
    access_key_id = given.accessKeyId, secret_access_key = given.secretAccessKey,
    session_token = given.sessionToken, expires = given.expiration and given.expiration // 1000,
    account_id = wanted.account_id,
    source = ("SSO, role %s in account %s"):format(wanted.role_name, wanted.account_id),
  }
end

return sso
