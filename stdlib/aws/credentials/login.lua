--- Credentials of an `aws login` session: the console's sign-in, kept by the AWS CLI.
--
-- The profile's login_session names a file in ~/.aws/login/cache (or in
-- AWS_LOGIN_CACHE_DIRECTORY), by the SHA-256 of the name. It holds keys that live at most
-- 15 minutes, a refresh token that buys new ones, and the private key whose possession
-- each refresh proves (DPoP, RFC 9449). What a refresh gives goes back to the file.
--
-- Source: AWS CLI User Guide, "Login for AWS local development using console
-- credentials"; the form of the file is the CLI's.
local call = require "aws.credentials.call"
local clock = require "native.clock"
local confidential = require "confidential"
local config = require "aws.config"
local crypto = require "native.crypto"
local errors = require "errors"
local json = require "native.json"

local login = {}

local REFRESH_WINDOW = 300 -- seconds before the keys' end in which they are replaced

local function fault(text, ...)
  errors.raise { kind = "credentials", message = text:format(...) }
end

local function hint(profile)
  return "run: aws login --profile " .. profile
end

local function cache_path(context, session)
  local folder = context.env.AWS_LOGIN_CACHE_DIRECTORY or ""
  if folder == "" then folder = "~/.aws/login/cache" end
  local key = crypto.hex(crypto.sha256((session:gsub("^%s+", ""):gsub("%s+$", ""))))
  return ("%s/%s.json"):format(config.expand(folder, context.env), key)
end

local function load(context, wanted)
  local path = cache_path(context, wanted.session)
  local text, message = context.config.read(path)
  if not text then
    fault("no login session: cannot read %s; %s", message or path, hint(wanted.profile))
  end
  local token = json.decode(text)
  local keys = type(token) == "table" and token.accessToken
  if type(keys) ~= "table" or not keys.accessKeyId or not call.time(keys.expiresAt) then
    fault("the login session in %s is damaged; %s", path, hint(wanted.profile))
  end
  for _, name in ipairs { "refreshToken", "dpopKey" } do confidential.token(token[name]) end
  return token, path
end

local function base64url(text)
  return (crypto.base64(text):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

--- The proof for one request to a URL (RFC 9449, section 4.2).
local function proof(pem, url, now)
  local usable, x, y = crypto.es256(pem, "")
  if not usable then return nil end
  local header = json.encode({ typ = "dpop+jwt", alg = "ES256",
    jwk = { kty = "EC", crv = "P-256", x = base64url(x), y = base64url(y) } }, { sort = true })
  local payload = json.encode({ htm = "POST", htu = url, iat = math.floor(now),
    jti = crypto.uuid() }, { sort = true })
  local text = base64url(header) .. "." .. base64url(payload)
  return text .. "." .. base64url((crypto.es256(pem, text)))
end

local function ask(context, token)
  return call.perform(context, {
    service = "signin", operation = "CreateOAuth2Token",
    region = token.signInRegion or context.region,
    input = { tokenInput = { clientId = token.clientId, refreshToken = token.refreshToken,
      grantType = "refresh_token" } },
    headers = function(url)
      local text = proof(token.dpopKey, url:gsub("/$", "") .. "/v1/token", context.now())
      if not text then fault("the login session's dpopKey is not a private key of P-256") end
      return { { "DPoP", text } }
    end,
  })
end

local function refresh(context, token)
  if not (token.refreshToken and token.dpopKey and token.clientId) then
    return nil, "it has no refreshToken, dpopKey or clientId"
  end
  local ok, answer = pcall(ask, context, token)
  if not ok then
    local e = errors.from(answer)
    local reason = type(e.fields) == "table" and e.fields.error
    return nil, (reason and reason .. ": " or "") .. e.message
  end
  local given = answer.tokenOutput
  local fresh = {}
  for name, value in pairs(token) do fresh[name] = value end
  fresh.refreshToken = confidential.token(given.refreshToken)
  fresh.accessToken = {
    accessKeyId = given.accessToken.accessKeyId,
    secretAccessKey = given.accessToken.secretAccessKey,
    sessionToken = given.accessToken.sessionToken, accountId = token.accessToken.accountId,
    expiresAt = clock.format(context.now() + given.expiresIn, "rfc3339"),
  }
  return fresh
end

local function save(context, path, token)
  local fs = require "native.fs"
  -- 0600
  local write = context.write
    or function(to, text) return fs.write(to, text, { mode = 384, atomic = true }) end
  -- The refresh token was used up: without the new one in the file the session ends
  -- with this process, and its next user gets a sentence about `aws login`.
  write(path, json.encode(token))
end

--- The keys of a login session. wanted: session (the profile's login_session), profile.
function login.credentials(context, wanted)
  local token, path = load(context, wanted)
  local now = context.now()
  if call.time(token.accessToken.expiresAt) - now < REFRESH_WINDOW then
    local fresh, why = refresh(context, token)
    if fresh then
      token = fresh
      save(context, path, token)
    elseif call.time(token.accessToken.expiresAt) <= now then
      fault("the login session in %s ended and was not refreshed: %s; %s", path, why,
        hint(wanted.profile))
    end
  end
  local keys = token.accessToken
  return confidential.keys {
    access_key_id = keys.accessKeyId, secret_access_key = keys.secretAccessKey,
    session_token = keys.sessionToken, expires = call.time(keys.expiresAt),
    account_id = keys.accountId,
    source = ("the login session of profile %q"):format(wanted.profile),
  }
end

return login
