--- aws.credentials: the chain, roles, SSO, containers, programs, and keeping sets
-- fresh. The endpoints are functions here; the recorded exchanges of AWS's own suite
-- run in tests/conformance/credentials.lua.
local t = require "harness"
local clock = require "native.clock"
local credentials = require "aws.credentials"
local crypto = require "native.crypto"
local errors = require "errors"
local json = require "native.json"
local provider = require "aws.credentials.provider"
local sigv4 = require "aws.sigv4"
local task = require "task"

local NOW = 1700000000

local function options(world)
  local env = world.env or {}
  env.HOME = "/h"
  env.AWS_EC2_METADATA_DISABLED = env.AWS_EC2_METADATA_DISABLED or "true"
  local files = world.files or {}
  return {
    env = env, profile = world.profile, region = world.region, http = world.http, mfa = world.mfa,
    role = world.role,
    now = function() return world.now or NOW end,
    write = function(path, text) files[path] = text end,
    read = function(path)
      if files[path] then return files[path] end
      return nil, path .. ": No such file or directory", "missing"
    end,
  }
end

local function resolve(world) return credentials.resolve(options(world)) end
local function keys(set) return { set.access_key_id, set.secret_access_key, set.session_token } end
local function config(text) return { ["/h/.aws/config"] = text } end

--- An STS that answers every AssumeRole* with keys named after the role, and keeps
-- what it was asked.
local function sts(asked)
  return function(request)
    local form = {}
    for name, value in request.body:gmatch("([^&=]+)=([^&]*)") do
      form[name] = value:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end)
    end
    form.url = request.url
    for _, header in ipairs(request.headers) do
      if header[1] == "Authorization" then
        form.signed_by = header[2]:match("Credential=([^/]*)")
      end
    end
    table.insert(asked, form)
    local name = form.RoleArn:match("[^/]*$")
    return { status = 200, headers = {}, body = ([[
      <%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%sResult>
      <AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/%s/s</Arn>
      </AssumedRoleUser><Credentials><AccessKeyId>id-%s</AccessKeyId><SecretAccessKey>secret-%s</SecretAccessKey>
      <SessionToken>token-%s</SessionToken><Expiration>2023-11-14T23:13:20Z</Expiration></Credentials>
      </%sResult></%sResponse>]]):format(form.Action, form.Action, name, name, name, name, form.Action, form.Action) }
  end
end

t.test("the environment's keys come first, but not before a profile asked for", function()
  local world = {
    env = { AWS_ACCESS_KEY_ID = "E", AWS_SECRET_ACCESS_KEY = "S", AWS_SESSION_TOKEN = "T",
      AWS_PROFILE = "p" },
    files = { ["/h/.aws/credentials"] = "[p]\naws_access_key_id = P\naws_secret_access_key = PS" },
  }
  local set = resolve(world)
  t.equal(keys(set), { "E", "S", "T" })
  t.equal(set.source, "the environment")
  world.profile = "p"
  t.equal(keys(resolve(world)), { "P", "PS" })
  world.profile, world.env.AWS_ACCESS_KEY_ID, world.env.AWS_SECRET_ACCESS_KEY = nil, nil, nil
  set = resolve(world)
  t.equal(keys(set), { "P", "PS" })
  t.equal(set.source, 'profile "p" (/h/.aws/credentials:2)')
end)

t.test("static keys may stand in the config file, with a token", function()
  t.equal(keys(resolve { files = config
    "[default]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C" }), { "A",
      "B", "C" })
end)

t.test("half of a key pair is an error that names the other half", function()
  t.raises("AWS_SECRET_ACCESS_KEY is missing", resolve, { env = { AWS_ACCESS_KEY_ID = "E" } })
  t.raises("/h/.aws/config:2 has half of a key pair: aws_secret_access_key is missing", resolve,
    { files = config "[default]\naws_access_key_id = A" })
end)

t.test("when nothing is found the error names each source and why", function()
  local e = t.raises("no AWS credentials found", resolve, {})
  t.equal(e.kind, "credentials")
  t.equal(#e.tried, 6)
  for _, part in ipairs { "environment: AWS_ACCESS_KEY_ID is not set",
    'assumed role: profile "default" has no role_arn',
    "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set",
    'profile: profile "default" has no settings',
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "EC2 instance: AWS_EC2_METADATA_DISABLED is true" } do
    t.contains(e, part)
  end
  t.raises('profile "x" is neither in', resolve, { profile = "x" })
end)

t.test("an unknown option is refused", function()
  t.raises("unknown option profil; known: config", credentials.resolve, { profil = "x" })
end)

t.test("roles are assumed through a chain of profiles, each with its own options", function()
  local asked = {}
  local set = resolve { profile = "app", http = sts(asked), files = config [[
[profile app]
role_arn = arn:aws:iam::222222222222:role/App
source_profile = hub
region = eu-west-1
external_id = ext
role_session_name = me
duration_seconds = 1800
[profile hub]
role_arn = arn:aws:iam::111111111111:role/Hub
source_profile = base
region = us-west-2
[profile base]
aws_access_key_id = BASE
aws_secret_access_key = S
]] }
  t.equal(keys(set), { "id-App", "secret-App", "token-App" })
  t.equal(set.expires, 1700003600)
  t.equal(set.account_id, "123456789012")
  t.equal(#asked, 2)
  t.equal({ asked[1].RoleArn, asked[1].signed_by, asked[1].url },
    { "arn:aws:iam::111111111111:role/Hub", "BASE", "https://sts.eu-west-1.amazonaws.com/" })
  t.equal({ asked[2].RoleArn, asked[2].signed_by, asked[2].url },
    { "arn:aws:iam::222222222222:role/App", "id-Hub", "https://sts.eu-west-1.amazonaws.com/" })
  t.equal({ asked[2].ExternalId, asked[2].RoleSessionName, asked[2].DurationSeconds },
    { "ext", "me", "1800" })
  t.matches(asked[1].RoleSessionName, "^drlua%-%d+$")
end)

t.test("a profile may be its own source of static keys", function()
  local asked = {}
  local set = resolve { http = sts(asked), files = config [[
[default]
region = us-east-1
role_arn = arn:aws:iam::1:role/Self
source_profile = default
aws_access_key_id = BASE
aws_secret_access_key = S
]] }
  t.equal(set.access_key_id, "id-Self")
  t.equal(asked[1].signed_by, "BASE")
end)

t.test("what is wrong with a role's profile is said", function()
  local role = "role_arn = arn:aws:iam::1:role/R\n"
  local function fault(pattern, text, more)
    local world = more or {}
    world.files = config(text)
    t.equal(t.raises(pattern, resolve, world).kind, "credentials")
  end
  fault('"default" has role_arn but neither', "[default]\n" .. role)
  fault("has both source_profile and credential_source", "[default]\n" .. role
    .. "source_profile = a\ncredential_source = Environment\n[profile a]\nx = 1")
  fault("source_profile goes round in a circle: default, a, default", "[default]\n" .. role
    .. "source_profile = a\n[profile a]\nsource_profile = default\n" .. role)
  fault('profile "nope" is neither', "[default]\n" .. role .. "source_profile = nope")
  fault('credential_source "Magic" is not one of',
    "[default]\n" .. role .. "credential_source = Magic")
  fault("credential_source Environment gives no credentials", "[default]\n" .. role
    .. "credential_source = Environment")
  fault('source_profile "a" gives no credentials', "[default]\n" .. role
    .. "source_profile = a\n[profile a]\nregion = x")
end)

t.test("MFA codes are asked for, by device", function()
  local asked = {}
  resolve { http = sts(asked),
    mfa = function(serial) return serial == "arn:aws:iam::1:mfa/me" and "123456" end,
    files = config [[
[default]
region = us-east-1
role_arn = arn:aws:iam::1:role/R
credential_source = Environment
mfa_serial = arn:aws:iam::1:mfa/me
]], env = { AWS_ACCESS_KEY_ID = "E", AWS_SECRET_ACCESS_KEY = "S" }, profile = "default" }
  t.equal({ asked[1].SerialNumber, asked[1].TokenCode, asked[1].signed_by },
    { "arn:aws:iam::1:mfa/me", "123456", "E" })
end)

t.test("a role asked for by the caller, on top of what the chain gives", function()
  local asked = {}
  local set = resolve { http = sts(asked), role = { role_arn = "arn:aws:iam::9:role/Other",
    external_id = "ext" }, region = "us-east-2", env = { AWS_ACCESS_KEY_ID = "E",
    AWS_SECRET_ACCESS_KEY = "S" } }
  t.equal(set.access_key_id, "id-Other")
  t.equal({ asked[1].url, asked[1].ExternalId }, { "https://sts.us-east-2.amazonaws.com/", "ext" })
end)

t.test("a web identity: the environment's, unsigned, its token read from the file", function()
  local asked = {}
  local set = resolve { http = sts(asked), region = "us-east-1", files = { ["/token"] = "a.jwt\n" },
    env = {
    AWS_WEB_IDENTITY_TOKEN_FILE = "/token", AWS_ROLE_ARN = "arn:aws:iam::1:role/Pod",
    AWS_ROLE_SESSION_NAME = "pod",
  } }
  t.equal(set.access_key_id, "id-Pod")
  t.equal({ asked[1].Action, asked[1].WebIdentityToken, asked[1].RoleSessionName,
    asked[1].signed_by },
    { "AssumeRoleWithWebIdentity", "a.jwt", "pod" })
  t.raises("cannot read the web identity token /none", resolve, { region = "us-east-1",
    env = { AWS_WEB_IDENTITY_TOKEN_FILE = "/none", AWS_ROLE_ARN = "arn:aws:iam::1:role/Pod" } })
end)

t.test("STS is asked again after passing faults, three times, and not after a refusal", function()
  local base = { AWS_ACCESS_KEY_ID = "E", AWS_SECRET_ACCESS_KEY = "S" }
  local function with(answers)
    local count, asked = 0, {}
    local good = sts(asked)
    local ok, e = pcall(resolve,
      { env = base, region = "us-east-1", role = { role_arn = "arn:aws:iam::1:role/R" },
      http = function(request)
        count = count + 1
        local answer = answers[count]
        if answer == "reset" then return nil, "connection reset", "reset" end
        if not answer then return good(request) end
        return { status = answer, headers = {},
          body = ("<ErrorResponse><Error><Code>%s</Code><Message>m</Message>"
          .. "</Error></ErrorResponse>"):format(answer == 403 and "AccessDenied"
          or "InternalFailure") }
      end })
    return ok, count, e
  end
  local ok, count, e = with { 503, "reset" }
  t.equal({ ok, count, e.access_key_id }, { true, 3, "id-R" })
  ok, count = with { 500, 500, 500 }
  t.equal({ ok, count }, { false, 3 })
  ok, count, e = with { 403 }
  t.equal({ ok, count }, { false, 1 })
  t.equal({ e.kind, e.code, e.status }, { "credentials", "AccessDenied", 403 })
  t.contains(e, "sts.AssumeRole at https://sts.us-east-1.amazonaws.com: AccessDenied: m")
end)

local sso_config = [[
[default]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Admin
region = eu-west-1
[sso-session corp]
sso_region = us-east-2
sso_start_url = https://corp.awsapps.com/start
]]
local sso_cache = ("/h/.aws/sso/cache/%s.json"):format(crypto.hex(crypto.sha1("corp")))

local function sso_world(token, answers)
  local asked = {}
  return { files = { ["/h/.aws/config"] = sso_config, [sso_cache] = json.encode(token) },
    http = function(request)
    table.insert(asked, request)
    local answer = answers[request.url:match("^https://([^.]*)")]
    return { status = answer.status or 200, headers = {}, body = json.encode(answer.body) }
  end }, asked
end

local role_answer = {
  body = { roleCredentials = { accessKeyId = "A", secretAccessKey = "B", sessionToken = "C",
  expiration = 1700003600000 } } }

t.test("SSO: the cached token buys the role's keys", function()
  local world, asked = sso_world({ accessToken = "tok", expiresAt = "2023-11-15T22:13:20Z" },
    { portal = role_answer })
  local set = resolve(world)
  t.equal(keys(set), { "A", "B", "C" })
  t.equal({ set.expires, set.account_id }, { 1700003600, "123456789012" })
  t.equal(#asked, 1)
  t.contains(asked[1].url, "https://portal.sso.us-east-2.amazonaws.com/federation/credentials?")
end)

t.test("SSO: a token near its end is refreshed, and the cache file replaced", function()
  local token = { accessToken = "old", expiresAt = "2023-11-14T22:18:20Z", refreshToken = "R",
    clientId = "I",
    clientSecret = "S", registrationExpiresAt = "2024-01-01T00:00:00Z", kept = true }
  local world, asked = sso_world(token, { portal = role_answer,
    oidc = { body = { accessToken = "new", expiresIn = 3600, refreshToken = "R2" } } })
  resolve(world)
  t.equal(#asked, 2)
  t.contains(asked[1].url, "https://oidc.us-east-2.amazonaws.com/token")
  t.equal(json.decode(asked[1].body),
    { grantType = "refresh_token", clientId = "I", clientSecret = "S", refreshToken = "R" })
  local saved = json.decode(world.files[sso_cache])
  t.equal({ saved.accessToken, saved.refreshToken, saved.expiresAt, saved.kept },
    { "new", "R2", "2023-11-14T23:13:20Z", true })
end)

t.test("SSO: a refresh that fails leaves the token that still holds; an "
  .. "expired one says what to do", function()
  local token = { accessToken = "old", expiresAt = "2023-11-14T22:18:20Z", refreshToken = "R",
    clientId = "I",
    clientSecret = "S", registrationExpiresAt = "2024-01-01T00:00:00Z" }
  local down = { status = 400, body = { error = "invalid_grant" } }
  local world = sso_world(token, { portal = role_answer, oidc = down })
  t.equal(resolve(world).access_key_id, "A")
  token.expiresAt = "2023-11-14T22:00:00Z"
  local e = t.raises("expired at 2023%-11%-14T22:00:00Z and was not refreshed", resolve,
    (sso_world(token, { oidc = down })))
  t.contains(e, "aws sso login --sso-session corp")
  local refused = { status = 401, body = { message = "Session token not found or invalid" } }
  t.raises("no longer valid; run: aws sso login", resolve,
    (sso_world({ accessToken = "t", expiresAt = "2024-01-01T00:00:00Z" }, { portal = refused })))
end)

t.test("SSO: what the configuration lacks, contradicts, or the cache holds", function()
  t.raises("lacks sso_region", resolve, { files = config
    "[default]\nsso_start_url = u\nsso_account_id = 1\nsso_role_name = r" })
  t.raises("lacks sso_role_name", resolve, { files = config
    "[default]\nsso_start_url = u\nsso_region = r\nsso_account_id = 1" })
  t.raises("sso_region differs between profile", resolve,
    { files = config(sso_config .. "[default]\nsso_region = x") })
  local world = sso_world({ accessToken = "t" }, {})
  t.raises("is damaged", resolve, world)
  world.files[sso_cache] = "{"
  t.raises("is damaged", resolve, world)
end)

-- The key of the example in RFC 7515, appendix A.3.
local dpop_key = "-----BEGIN EC PRIVATE KEY-----\n" .. crypto.base64(crypto.unhex("30310201010420"
  .. "8e9b109e719098bf980487df1f5d77e9cb29606ebed2263b5f57c213df84f4b2"
  .. "a00a06082a8648ce3d030107"))
  .. "\n-----END EC PRIVATE KEY-----\n"

local function login_world(token, answer)
  local path = "/h/.aws/login/cache/" .. crypto.hex(crypto.sha256("arn:aws:iam::1:user/me"))
    .. ".json"
  local asked = {}
  return { env = { AWS_REGION = "us-east-1" }, files = {
    ["/h/.aws/config"] = "[default]\nlogin_session = arn:aws:iam::1:user/me",
    [path] = json.encode(token),
  }, http = function(request)
    table.insert(asked, request)
    return { status = answer.status or 200, headers = {}, body = json.encode(answer.body) }
  end }, asked, path
end

local function login_token(expires)
  return { accessToken = { accessKeyId = "A", secretAccessKey = "B", sessionToken = "C",
    accountId = "1",
    expiresAt = expires }, refreshToken = "R", clientId = "arn:aws:signin:::devtools/same-device",
    dpopKey = dpop_key,
    idToken = "kept" }
end

t.test("a login session: keys that hold are used as they are", function()
  local world, asked = login_world(login_token "2023-11-14T22:23:20Z", {})
  local set = resolve(world)
  t.equal(keys(set), { "A", "B", "C" })
  t.equal({ set.account_id, set.expires, #asked }, { "1", NOW + 600, 0 })
end)

local function unbase64url(text) return crypto.unbase64((text:gsub("-", "+"):gsub("_", "/"))) end

t.test("a login session near its end is refreshed, with a proof of its key", function()
  local world, asked, path = login_world(login_token "2023-11-14T22:14:20Z", { body = {
    accessToken = { accessKeyId = "A2", secretAccessKey = "B2", sessionToken = "C2" },
    tokenType = "aws_sigv4", expiresIn = 900, refreshToken = "R2",
  } })
  local set = resolve(world)
  t.equal(keys(set), { "A2", "B2", "C2" })
  t.equal(set.expires, NOW + 900)
  t.equal(asked[1].url, "https://us-east-1.signin.aws.amazon.com/v1/token")
  local jwt
  for _, header in ipairs(asked[1].headers) do
    if header[1] == "DPoP" then jwt = header[2] end
  end
  local header, payload, signature = jwt:match("^([^.]*)%.([^.]*)%.([^.]*)$")
  header, payload = json.decode(unbase64url(header)), json.decode(unbase64url(payload))
  t.equal({ header.typ, header.alg, header.jwk.crv }, { "dpop+jwt", "ES256", "P-256" })
  t.equal({ payload.htm, payload.htu, payload.iat }, { "POST", asked[1].url, NOW })
  t.equal(#unbase64url(signature), 64)
  local saved = json.decode(world.files[path])
  t.equal({ saved.refreshToken, saved.accessToken.accessKeyId, saved.accessToken.accountId,
    saved.idToken },
    { "R2", "A2", "1", "kept" })
end)

t.test("a login session that is not refreshed serves to its end, then says what to do", function()
  local denied = { status = 400,
    body = { error = "TOKEN_EXPIRED", message = "m", __type = "AccessDeniedException" } }
  t.equal(resolve((login_world(login_token "2023-11-14T22:14:20Z", denied))).access_key_id, "A")
  local e = t.raises("ended and was not refreshed", resolve,
    (login_world(login_token "2023-11-14T22:13:00Z", denied)))
  t.contains(e, "run: aws login --profile default")
  local token = login_token "2023-11-14T22:13:00Z"
  token.dpopKey = "nonsense"
  t.raises("not a private key of P%-256", resolve, (login_world(token, denied)))
  t.raises("is damaged", resolve, (login_world({ accessToken = {} }, denied)))
  t.raises("no login session: cannot read", resolve,
    { files = config "[default]\nlogin_session = other" })
end)

t.test("a container's endpoint: its token, its errors, and where it may be", function()
  local seen
  local function http(request)
    seen = request
    return { status = 200, headers = {},
      body = json.encode { AccessKeyId = "A", SecretAccessKey = "B", Token = "C",
      Expiration = "2023-11-14T23:13:20Z" } }
  end
  local set = resolve { http = http, files = { ["/t"] = "pod-token" }, env = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI = "http://169.254.170.23/v1/credentials",
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = "/t",
  } }
  t.equal(keys(set), { "A", "B", "C" })
  t.equal(seen.headers[2], { "Authorization", "pod-token" })
  for _, bad in ipairs { "http://evil.example/x", "http://169.254.170.2.evil.example/",
    "ftp://127.0.0.1/" } do
    t.raises("only this machine", resolve,
      { http = http, env = { AWS_CONTAINER_CREDENTIALS_FULL_URI = bad } })
  end
  for _, good in ipairs { "https://any.example/x", "http://127.0.0.1:99/x", "http://[::1]/x",
    "http://localhost/x" } do
    t.equal(resolve({ http = http,
      env = { AWS_CONTAINER_CREDENTIALS_FULL_URI = good } }).access_key_id, "A")
  end
  t.raises("more than one line", resolve, { http = http, env = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI = "http://127.0.0.1/",
    AWS_CONTAINER_AUTHORIZATION_TOKEN = "a\nb",
  } })
  t.raises("status 403: no", resolve, { env = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "/x" },
    http = function() return { status = 403, headers = {}, body = "no" } end })
end)

t.test("an instance's role; a machine that is none", function()
  local paths = {}
  local env = { AWS_EC2_METADATA_DISABLED = "false" }
  local set = resolve { env = env, http = function(request)
    local path = request.url:match("^http://169.254.169.254(.*)$")
    table.insert(paths, request.method .. " " .. path)
    if path:find("token$") then return { status = 200, headers = {}, body = "tok" } end
    if path:find("/$") then return { status = 200, headers = {}, body = "role-1" } end
    return { status = 200, headers = {}, body = json.encode { Code = "Success", AccessKeyId = "A",
      SecretAccessKey = "B", Token = "C", Expiration = "2023-11-14T23:13:20Z" } }
  end }
  t.equal(keys(set), { "A", "B", "C" })
  t.equal(set.outlives, true)
  t.equal(paths, { "PUT /latest/api/token", "GET /latest/meta-data/iam/security-credentials/",
    "GET /latest/meta-data/iam/security-credentials/role-1" })
  local e = t.raises("no AWS credentials found", resolve,
    { env = { AWS_EC2_METADATA_DISABLED = "false" },
    http = function() return nil, "no route to host", "connect" end })
  t.contains(e, "EC2 instance: http://169.254.169.254/latest/api/token does "
    .. "not answer: no route to host")
  t.raises("AssumeRoleUnauthorizedAccess", resolve, { env = { AWS_EC2_METADATA_DISABLED = "false" },
    http = function(request)
      local named = request.url:find("security%-credentials/.")
      return { status = 200, headers = {},
        body = named and '{"Code":"AssumeRoleUnauthorizedAccess"}' or "x" }
    end })
end)

t.test("a program's credentials; its failure shows its complaint, never its output", function()
  local function with(command)
    return { files = config("[default]\ncredential_process = " .. command) }
  end
  local set = resolve(
    with([[printf '{"Version":1,"AccessKeyId":"A","SecretAccessKey":"B","SessionToken":"C",]]
    .. [["Expiration":"2023-11-14T23:13:20Z"}']]))
  t.equal(keys(set), { "A", "B", "C" })
  t.equal(set.expires, 1700003600)
  t.raises("exited with code 3: no badge", resolve, with "echo no badge >&2; exit 3")
  t.raises("signal KILL", resolve, with "kill -9 $$")
  local e = t.raises("not JSON", resolve, with "echo SECRET")
  t.ok(not tostring(e):find("SECRET", 1, true))
  t.raises("Version 2", resolve, with [[echo '{"Version":2}']])
  t.raises("no AccessKeyId", resolve, with [[echo '{"Version":1}']])
end)

--- A provider over a list of results: a number is seconds until expiry, a text an error.
local function scripted(results)
  local world = { now = NOW, calls = 0 }
  world.provider = provider.new { now = function() return world.now end, fetch = function()
    world.calls = world.calls + 1
    local result = table.remove(results, 1)
    task.yield() -- as a call would
    if type(result) == "string" then errors.raise { kind = "credentials", message = result } end
    return { access_key_id = "set" .. world.calls, expires = result and world.now + result,
      outlives = world.outlives }
  end }
  return world
end

t.test("a set without an end is fetched once", function()
  local world = scripted {}
  for _ = 1, 5 do world.provider:get() end
  t.equal(world.calls, 1)
end)

t.test("15 minutes before its end a set is renewed beside the calls, "
  .. "10 minutes before, by them", function()
  local world = scripted { 3600, 3600, 3600 }
  t.equal(world.provider:get().access_key_id, "set1")
  world.now = world.now + 3600 - 901
  t.equal(world.provider:get().access_key_id, "set1")
  t.equal(world.calls, 1)
  world.now = world.now + 2
  t.equal(world.provider:get().access_key_id, "set1", "the caller does not wait")
  while world.provider.running do task.yield() end
  t.equal(world.provider:get().access_key_id, "set2")
  world.now = world.now + 3600 - 600
  t.equal(world.provider:get().access_key_id, "set3", "the caller waits")
end)

t.test("a set that lives a quarter of an hour is renewed in the last third of it", function()
  local world = scripted { 900, 900 }
  world.provider:get()
  world.now = world.now + 599
  t.equal(world.provider:get().access_key_id, "set1")
  t.equal(world.calls, 1)
  world.now = world.now + 152
  t.equal(world.provider:get().access_key_id, "set2")
end)

t.test("many callers, one renewal", function()
  local world = scripted { 3600 }
  local functions = {}
  for i = 1, 20 do functions[i] = function() return world.provider:get().access_key_id end end
  for _, id in ipairs(task.all(functions)) do t.equal(id, "set1") end
  t.equal(world.calls, 1)
end)

t.test("while the source is down the old set serves to its end, and the "
  .. "source is asked every minute", function()
  local world = scripted { 3600, "down", "down", "still down", 3600 }
  world.provider:get()
  world.now = world.now + 3600 - 300
  t.equal(world.provider:get().access_key_id, "set1")
  t.contains(world.provider:trouble(), "down")
  t.equal(world.provider:get().access_key_id, "set1")
  t.equal(world.calls, 2)
  world.now = world.now + 61
  t.equal(world.provider:get().access_key_id, "set1")
  t.equal(world.calls, 3)
  world.now = world.now + 300
  t.raises("still down", world.provider.get, world.provider)
  t.equal(world.provider:get().access_key_id, "set5", "an expired set asks at once")
  t.equal(world.provider:trouble(), nil)
end)

t.test("a set that had ended when it was given is used: whose clock is wrong, AWS says", function()
  local world = scripted { -3600, -3600, 3600 }
  t.equal(world.provider:get().access_key_id, "set1")
  world.now = world.now - 7200 -- set right
  t.equal(world.provider:get().access_key_id, "set1")
  t.equal(world.calls, 1)
end)

t.test("an instance's set serves past its end while its service is down", function()
  local world = scripted { 3600, "down", 3600 }
  world.outlives = true
  world.provider:get()
  world.now = world.now + 4000
  t.equal(world.provider:get().access_key_id, "set1")
  world.now = world.now + 61
  t.equal(world.provider:get().access_key_id, "set3")
end)

t.test("renew: AWS said that a set is no longer good", function()
  local world = scripted { 3600, 3600, "down" }
  local first = world.provider:get()
  t.equal(world.provider:renew(first), true)
  local second = world.provider:get()
  t.equal(second.access_key_id, "set2")
  t.equal(world.provider:renew(first), true, "another caller had renewed it")
  t.equal(world.calls, 2)
  t.raises("down", world.provider.renew, world.provider, second)
  t.equal(world.provider:get().access_key_id, "set2")
end)

t.test("renew: static keys cannot be renewed", function()
  local fixed = provider.new { fetch = function()
    return { access_key_id = "A", secret_access_key = "B" }
  end }
  t.equal(fixed:renew(fixed:get()), false)
end)

t.test("the requests for roles are signed so that they verify", function()
  local asked = {}
  local answer = sts(asked)
  local region
  local env = { AWS_ACCESS_KEY_ID = "E", AWS_SECRET_ACCESS_KEY = "S" }
  resolve { env = env, role = { role_arn = "arn:aws:iam::1:role/R" }, region = "us-east-1",
    http = function(request)
      region = sigv4.verify { method = request.method,
        uri = request.url:match("^https://[^/]*(.*)$"),
        headers = request.headers, body = request.body, now = clock.now(),
        lookup = function(id) return id == "E" and "S" or nil end }
      return answer(request)
    end }
  t.equal(region, "us-east-1")
end)

t.test("in a real home: files read, the refreshed token written for its owner alone", function()
  local fs = require "native.fs"
  local home = fs.tempdir "credentials"
  t.cleanup(function()
    for _, path in ipairs { sso_cache:sub(3), "/.aws/config" } do fs.remove(home .. path) end
    for _, path in ipairs { "/.aws/sso/cache", "/.aws/sso", "/.aws", "" } do
      fs.remove(home .. path)
    end
  end)
  for _, path in ipairs { "/.aws", "/.aws/sso", "/.aws/sso/cache" } do
    t.ok(fs.mkdir(home .. path))
  end
  local cache = home .. sso_cache:sub(3)
  t.ok(fs.write(home .. "/.aws/config", sso_config, {}))
  t.ok(fs.write(cache,
    json.encode { accessToken = "old", expiresAt = "2023-11-14T22:18:20Z", refreshToken = "R",
    clientId = "I", clientSecret = "S", registrationExpiresAt = "2024-01-01T00:00:00Z" }, {}))
  local set = credentials.resolve { env = { HOME = home }, now = function() return NOW end,
    http = function(request)
    local body = request.url:find("//oidc", 1, true) and { accessToken = "new", expiresIn = 3600 }
      or role_answer.body
    return { status = 200, headers = {}, body = json.encode(body) }
  end }
  t.equal(set.access_key_id, "A")
  t.equal(json.decode((fs.read(cache))).accessToken, "new")
  t.equal(fs.stat(cache).mode & 511, 384) -- 0600
end)

t.test("a role is assumed in the region that the call is for, not in its profile's", function()
  local ROLE = "role_arn = arn:aws:iam::1:role/r\n"
  local KEYS = "aws_access_key_id = A\naws_secret_access_key = B\n"
  local STS = "https://sts.%s.amazonaws.com/"
  local world, want
  local function by(text, env, region)
    world, want = { files = config(text), env = env or {}, region = region }, nil
  end
  local function check(name, region)
    local asked = {}
    world.http = sts(asked)
    world.files["/token"] = "a.web.token"
    resolve(world)
    want = STS:format(region)
    for _, each in ipairs(asked) do t.equal(each.url:gsub("/?$", "/"), want, name) end
    t.ok(#asked > 0, name)
  end
  local direct = "[default]\nregion = us-east-1\nsource_profile = base\n" .. ROLE
    .. "[profile base]\n" .. KEYS
  local chain = "[default]\nregion = us-east-1\nsource_profile = mid\n" .. ROLE
    .. "[profile mid]\nregion = eu-west-1\nsource_profile = base\n" .. ROLE .. "[profile base]\n"
    .. KEYS
  local web = "[default]\nregion = us-east-1\nweb_identity_token_file = /token\n" .. ROLE
  for name, text in pairs { direct = direct, chain = chain, web = web } do
    by(text, { AWS_REGION = "us-west-2" })
    check(name .. ", AWS_REGION", "us-west-2")
    by(text, { AWS_DEFAULT_REGION = "us-west-2" })
    check(name .. ", AWS_DEFAULT_REGION", "us-west-2")
    by(text, { AWS_REGION = "eu-west-1" }, "us-west-2")
    check(name .. ", the client's region", "us-west-2")
    by(text)
    check(name .. ", nothing else named", "us-east-1")
  end
  by(direct, nil, "aws-global")
  check("a service without regions", "us-east-1")
  by("[default]\n" .. KEYS, { AWS_REGION = "us-west-2" })
  world.role = { role_arn = "arn:aws:iam::1:role/r" }
  check("the client's role", "us-west-2")
end)

local function imds(script, env, settings_of)
  require("aws.credentials.instance").reset()
  local asked = 0
  env = env or {}
  env.AWS_EC2_METADATA_DISABLED = env.AWS_EC2_METADATA_DISABLED or "false"
  local ok, set = pcall(resolve, { env = env, files = settings_of and config(settings_of) or nil,
    http = function(request)
      if request.url:find("169.254.170", 1, true) then return nil, "no route", "connect" end
      asked = asked + 1
      local step = script[math.min(asked, #script)]
      if not step then return nil, "no route to host", "connect" end
      if step ~= "" then return { status = step, headers = {}, body = "" } end
      local body = "token"
      if request.method == "GET" then
        body = request.url:find("role$") and '{"AccessKeyId":"I","SecretAccessKey":"S","Token":"T"}'
          or "role"
      end
      return { status = 200, headers = {}, body = body }
    end })
  return ok and set.access_key_id, asked, not ok and tostring(set) or nil
end

t.test("an instance's service gets four attempts once it has "
  .. "responded, one while it is silent", function()
  t.equal({ imds { 503, 503, 503, "" } }, { "I", 6 })
  t.equal({ imds { "", 503, false, "" } }, { "I", 5 })
  local set, asked = imds { false }
  t.equal({ set, asked }, { false, 1 })
  set, asked = imds { 503 }
  t.equal({ set, asked }, { false, 4 })
  set, asked = imds({ 503 }, { AWS_METADATA_SERVICE_NUM_ATTEMPTS = "2" })
  t.equal({ set, asked }, { false, 2 })
  set, asked = imds({ false }, { AWS_METADATA_SERVICE_NUM_ATTEMPTS = "3" })
  t.equal({ set, asked }, { false, 3 })
end)

t.test("settings of the instance's service that are none are errors with their place", function()
  for _, row in ipairs {
    { "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode", "IPv5",
      "one of ipv4, ipv6 expected" },
    { "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint", "not a uri", "a URL" },
    { "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", "abc",
      "a number above 0 expected" },
    { "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", "0",
      "a number above 0 expected" },
    { "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", "nan",
      "a number above 0 expected" },
    { "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts", "-1",
      "a number above 0 expected" },
  } do
    local _, asked, why = imds({ "" }, { [row[1]] = row[3] })
    t.contains(why, row[1] .. ": " .. row[4])
    t.equal(asked, 0)
    _, asked, why = imds({ "" }, {}, ("[default]\n%s = %s"):format(row[2], row[3]))
    t.contains(why, "/h/.aws/config:2: " .. row[4])
    t.equal(asked, 0)
  end
  local _, _, why = imds({ "" }, { AWS_EC2_METADATA_DISABLED = "yes" })
  t.contains(why, "AWS_EC2_METADATA_DISABLED: true or false expected, got yes")
  t.equal(imds({ "" }, { AWS_EC2_METADATA_SERVICE_ENDPOINT = "http://127.0.0.1:1338/" }), "I")
end)

t.test("keys of blanks are none, and what stands around a key is no part of it", function()
  t.raises("no AWS credentials found", resolve,
    { env = { AWS_ACCESS_KEY_ID = " ", AWS_SECRET_ACCESS_KEY = "\t" } })
  t.raises("half of a key pair: AWS_SECRET_ACCESS_KEY is missing", resolve,
    { env = { AWS_ACCESS_KEY_ID = "A", AWS_SECRET_ACCESS_KEY = " " } })
  t.equal(keys(resolve { env = { AWS_ACCESS_KEY_ID = " A\n", AWS_SECRET_ACCESS_KEY = "S ",
    AWS_SESSION_TOKEN = "T\n" } }), { "A", "S", "T" })
end)

t.test("a role's duration that is no number is an error with its place", function()
  t.raises("/h/.aws/config:3: duration_seconds: a number of seconds expected, got 1h", resolve,
    { files = config("[default]\nrole_arn = arn:aws:iam::1:role/r\nduration_seconds = 1h\n"
      .. "source_profile = b\n[profile b]\n") })
end)
