-- Credentials in use, wherever they came from: what a server says back of them is shown
-- nowhere, and a code of an MFA device is asked for without stopping the run.
local t = require "harness"
local crypto = require "native.crypto"
local fake = require "fake"
local fs = require "native.fs"
local json = require "json"
local program = require "program"

local SECRET, TOKEN = "wJalrXUtnFEMI/K7MDENG+bPxRfi-4711", "IQoJb3JpZ2luX2VjEXAMPLE//4711+TOKEN=="
local ROLE = "arn:aws:iam::123456789012:role/recovery"

local function header(request, name)
  for _, pair in ipairs(request.headers) do
    if pair[1]:lower() == name then return pair[2] end
  end
end

local ASSUMED = [[<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%sResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken>
<Expiration>2037-01-01T00:00:00Z</Expiration></Credentials></%sResult></%sResponse>]]

-- STS, the container's agent, an instance's metadata, SSO; anything else is refused as AWS
-- does it, with the request in the message.
local function cloud()
  local self = { codes = {} }
  local keys = json.encode { Code = "Success", AccessKeyId = "ASIA1", SecretAccessKey = SECRET,
    Token = TOKEN,
    Expiration = "2037-01-01T00:00:00Z" }
  self.server = fake.start(function(request)
    local action = request.body:match("Action=(Assume%w*)")
    if action then
      table.insert(self.codes, request.body:match("TokenCode=(%w*)"))
      return { body = ASSUMED:format(action, action, SECRET, TOKEN, action, action),
        headers = { { "Content-Type", "text/xml" } } }
    elseif request.target == "/latest/api/token" then
      return { body = "metadata-token-4711" }
    elseif request.target:find("/security%-credentials/$") then
      return { body = "recovery" }
    elseif request.target == "/keys" or request.target:find("/security%-credentials/recovery$") then
      return { body = keys }
    elseif request.target:find("/federation/credentials", 1, true) then
      return { body = json.encode { roleCredentials = { accessKeyId = "ASIASSO",
        secretAccessKey = SECRET,
        sessionToken = TOKEN, expiration = 2114380800000 } }, headers = { { "Content-Type",
        "application/json" } } }
    end
    return { status = 403,
      body = ("<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The canonical "
      .. "request was x-amz-security-token:%s; key %s; %s</Message></Error></ErrorResponse>")
      :format(
      header(request, "x-amz-security-token") or "none", SECRET, TOKEN) }
  end)
  t.cleanup(function() self.server:close() end)
  return self
end

local WORK = [[
    local rds = aws.rds { region = "us-east-1" }
    dr.step("Look", { optional = true, risk = "read" }, function() return rds:describe_db_instances {} end)
    dr.note(tostring(select(2, dr.try(rds.describe_db_instances, rds, {}))))
    dr.step("Change", function() rds:promote_read_replica { DBInstanceIdentifier = "x" } end)]]

local function workspace(c, config, env)
  local w = program.workspace { ["a.lua"] = program.playbook('local aws = require "aws"\n'
    .. WORK) }
  w.write("config", (config or ""):gsub("URL", c.server.url))
  for name, value in pairs { AWS_ENDPOINT_URL = c.server.url,
    AWS_CONFIG_FILE = w.directory .. "/config", AWS_SHARED_CREDENTIALS_FILE = w.directory
    .. "/none", AWS_EC2_METADATA_DISABLED = "true", HOME = w.directory,
    AWS_MAX_ATTEMPTS = "1", AWS_ACCESS_KEY_ID = "", AWS_SECRET_ACCESS_KEY = "",
    AWS_SESSION_TOKEN = "" } do
    w.env[name] = value
  end
  for name, value in pairs(env or {}) do
    w.env[name] = value:gsub("URL", c.server.url):gsub("HERE", w.directory)
  end
  return w
end

local function hidden(w, ...)
  local texts = { ... }
  for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/*") or {}) do
    if fs.stat(path).type == "file" then table.insert(texts, (assert(fs.read(path)))) end
  end
  local all = table.concat(texts, "\n")
  for _, secret in ipairs { SECRET, TOKEN, "metadata-token-4711", "sso-token-4711",
    "web-token-4711",
    "agent-token-4711" } do
    for _, form in ipairs { secret,
      (secret:gsub("[/+=]", function(c) return ("%%%02X"):format(c:byte()) end)),
      (secret:gsub("/", "\\/")), secret:sub(1, 16) } do
      local at = all:find(form, 1, true)
      t.ok(not at, "shown: " .. all:sub(math.max((at or 1) - 200, 1), (at or 1) + 40))
    end
  end
end

local STATIC = "aws_access_key_id = AKIA1\naws_secret_access_key = " .. SECRET .. "\n"
local sources = {
  ["the environment"] = { env = { AWS_ACCESS_KEY_ID = "AKIA1", AWS_SECRET_ACCESS_KEY = SECRET,
    AWS_SESSION_TOKEN = TOKEN } },
  ["a profile"] = { config = "[default]\n" .. STATIC .. "aws_session_token = " .. TOKEN .. "\n" },
  ["a role assumed with a profile"] = { config = "[default]\nrole_arn = " .. ROLE
    .. "\nsource_profile = base\n[profile base]\n" .. STATIC },
  ["a program"] = { config = "[default]\ncredential_process = cat HERE/keys.json\n" },
  ["a web identity"] = { env = { AWS_WEB_IDENTITY_TOKEN_FILE = "HERE/token",
    AWS_ROLE_ARN = ROLE } },
  ["a container"] = { env = { AWS_CONTAINER_CREDENTIALS_FULL_URI = "URL/keys",
    AWS_CONTAINER_AUTHORIZATION_TOKEN = "agent-token-4711" } },
  ["an instance"] = { env = { AWS_EC2_METADATA_DISABLED = "false",
    AWS_EC2_METADATA_SERVICE_ENDPOINT = "URL" } },
  ["SSO"] = { config = "[default]\nsso_session = s\nsso_account_id = "
    .. "123456789012\nsso_role_name = r\n"
    .. "[sso-session s]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n" },
}

for source, case in pairs(sources) do
  t.test("what a server says back of the keys of " .. source .. " is shown nowhere", function()
    local c = cloud()
    local w = workspace(c, case.config, case.env)
    w.write("config", ((case.config or ""):gsub("HERE", w.directory)))
    w.write("token", "web-token-4711")
    w.write("keys.json", json.encode { Version = 1, AccessKeyId = "ASIA1", SecretAccessKey = SECRET,
      SessionToken = TOKEN, Expiration = "2037-01-01T00:00:00Z" })
    os.execute("mkdir -p " .. w.directory .. "/.aws/sso/cache")
    w.write(".aws/sso/cache/" .. crypto.hex(crypto.sha1 "s") .. ".json",
      json.encode { accessToken = "sso-token-4711",
      expiresAt = "2037-01-01T00:00:00Z" })
    for _, output in ipairs { "text", "json" } do
      local r = w.run { "a.lua", "--trace", "--output", output }
      t.equal(r.code, 1, r.out .. r.err)
      t.contains(r.out .. r.err, "x-amz-security-token:***")
      local again = w.run { "resume", "last", "--trace", "--output", output }
      hidden(w, r.out, r.err, again.out, again.err,
        w.run({ "show", "last", "--output", output }).out,
        w.run({ "report", "last" }).out)
      local plan = w.run { "plan", "a.lua", "--output", output }
      hidden(w, plan.out, plan.err)
    end
  end)
end

local MFA = "[default]\nrole_arn = " .. ROLE
  .. "\nsource_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n"
  .. "[profile base]\n" .. STATIC

local function with_mfa(body)
  local c = cloud()
  local w = workspace(c, MFA)
  w.write("a.lua", program.playbook([[local rds = require("aws").rds { region = "us-east-1" }
]] .. body))
  return w, c
end

t.test("a code of an MFA device is asked for, unseen, while the run goes on", function()
  local w, c = with_mfa [[
    dr.parallel {
      function() dr.step("Look", { optional = true }, function() rds:describe_db_instances {} end) end,
      function() dr.sleep "300ms" dr.note "the run goes on" end,
    }]]
  local text = program.typed(w, { "a.lua" }, { { "the run goes on", "471112" } })
  t.equal(c.codes, { "471112" })
  t.contains(text, "MFA code for arn:aws:iam::1:mfa/me:")
  t.ok(not text:find("471112", 1, true), text)
end)

t.test("Ctrl-C at the question for a code ends the run, in a read and in a change", function()
  for _, call in ipairs { "rds:describe_db_instances {}",
    'rds:promote_read_replica { DBInstanceIdentifier = "x" }' } do
    local w, c = with_mfa(('dr.step("Call", function() %s end)'):format(call))
    local text, code = program.typed(w, { "a.lua" }, { { "MFA code", "raw:\3" } })
    t.equal(code, 130, text)
    t.contains(text, "interrupted")
    t.equal(c.codes, {})
    t.contains(w.run({ "show", "last" }).out, "interrupted")
  end
end)
