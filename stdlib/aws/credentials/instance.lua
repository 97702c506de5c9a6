--- Credentials of an EC2 instance's role, by the instance metadata service,
-- version 2 (a session token first; version 1 is not spoken).
--
-- The service is asked by every process that has no other credentials, most of which
-- do not run on EC2: one attempt of one second while it is silent, four once it has
-- responded. Settings can say otherwise.
local call = require "aws.credentials.call"
local confidential = require "confidential"
local errors = require "errors"
local json = require "native.json"
local settings = require "aws.settings"

local instance = {}

local TOKEN_LIFE = "21600" -- seconds
local ROLES = "/latest/meta-data/iam/security-credentials/"

local function base_url(cfg)
  local url, where = cfg:setting({ "AWS_EC2_METADATA_SERVICE_ENDPOINT" },
    "ec2_metadata_service_endpoint")
  if url and not url:find "^https?://[^/%s]+/*$" then
    errors.raise { kind = "invalid",
      message = ("%s: a URL (http://host) expected, got %s"):format(where, url) }
  end
  local mode = settings.one_of(cfg, { "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" },
    "ec2_metadata_service_endpoint_mode", { "ipv4", "ipv6" }, "ipv4")
  if url then return (url:gsub("/+$", "")) end
  return mode == "ipv6" and "http://[fd00:ec2::254]" or "http://169.254.169.254"
end

local ATTEMPTS = 4

local answered = {} -- base URL -> true: the service is there

--- The settings of a fetch: url, timeout, attempts (nil: as the service deserves).
local function way_to(context)
  local cfg = context.config
  return {
    url = base_url(cfg),
    timeout = settings.number(cfg, { "AWS_METADATA_SERVICE_TIMEOUT" }, "metadata_service_timeout",
      1, 0),
    attempts = settings.number(cfg, { "AWS_METADATA_SERVICE_NUM_ATTEMPTS" },
      "metadata_service_num_attempts", nil, 0),
  }
end

--- The response, or nil and why there is none.
local function send(context, way, method, path, header)
  local url, why = way.url .. path, nil
  for n = 1, way.attempts or ATTEMPTS do
    local answer, message = call.send(context,
      { method = method, url = url, headers = { header }, connect_timeout = way.timeout,
        timeout = way.timeout })
    if answer then answered[way.url] = true end
    if answer and answer.status < 500 then return answer end
    why = answer and ("%s: status %d"):format(url, answer.status)
      or ("%s does not answer: %s"):format(url, tostring(message))
    if not way.attempts and not answered[way.url] then break end
    if n < (way.attempts or ATTEMPTS) then call.back_off(n) end
  end
  return nil, why
end

--- Forgets whether the service has responded (for tests).
function instance.reset()
  answered = {}
end

local function fault(text, ...)
  errors.raise { kind = "credentials", message = text:format(...) }
end

local function read_credentials(context, way, name, header)
  local answer, why = send(context, way, "GET", ROLES .. name, header)
  if not answer then fault("the instance's role %s: %s", name, why) end
  local given = answer.status == 200 and json.decode(answer.body)
  if type(given) ~= "table" or not given.AccessKeyId or not given.SecretAccessKey then
    fault("the instance metadata service gave no credentials of the role %s: %s", name,
      type(given) == "table" and (given.Message or given.Code) or "status " .. answer.status)
  end
  return confidential.keys {
    access_key_id = given.AccessKeyId, secret_access_key = given.SecretAccessKey,
    session_token = given.Token, expires = call.time(given.Expiration),
    account_id = given.AccountId, source = ("the role %s of this EC2 instance"):format(name),
    outlives = true,
  }
end

--- The instance's credentials, or nil and why there are none. `outlives` marks a set
-- that AWS goes on accepting past its end when its service cannot renew it.
function instance.get(context)
  if context.config:flag({ "AWS_EC2_METADATA_DISABLED" }, nil, false) then
    return nil, "AWS_EC2_METADATA_DISABLED is true"
  end
  local way = way_to(context)
  local answer, why = send(context, way, "PUT", "/latest/api/token",
    { "X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE })
  if not answer then return nil, why end
  if answer.status ~= 200 then
    return nil, ("the instance metadata service refuses a token: status %d"):format(answer.status)
  end
  local header = { "X-aws-ec2-metadata-token", confidential.token(answer.body) }
  answer, why = send(context, way, "GET", ROLES, header)
  if not answer then return nil, why end
  local name = answer.status == 200 and answer.body:match("^[^\r\n]+")
  if not name then return nil, "this EC2 instance has no role" end
  return read_credentials(context, way, name, header)
end

return instance
