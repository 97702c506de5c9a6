--- Credentials of an EC2 instance's role, by the instance metadata service,
-- version 2 (a session token first; version 1 is not spoken).
--
-- The service is asked by every process that has no other credentials, most of which
-- do not run on EC2: one attempt of one second, unless settings say otherwise.
local call = require "aws.credentials.call"
local errors = require "errors"
local json = require "native.json"

local instance = {}

local TOKEN_LIFE = "21600" -- seconds
local ROLES = "/latest/meta-data/iam/security-credentials/"

local function number(context, variable, property, otherwise)
  return tonumber((context.config:setting({ variable }, property))) or otherwise
end

local function base_url(context)
  local url = context.config:setting({ "AWS_EC2_METADATA_SERVICE_ENDPOINT" }, "ec2_metadata_service_endpoint")
  if url then return (url:gsub("/+$", "")) end
  local mode = context.config:setting({ "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" },
    "ec2_metadata_service_endpoint_mode")
  return mode and mode:lower() == "ipv6" and "http://[fd00:ec2::254]" or "http://169.254.169.254"
end

--- Sends with the settings' attempts: the answer, or nil and why.
local function send(context, method, path, header)
  local timeout = number(context, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", 1)
  local attempts = number(context, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts", 1)
  local url = base_url(context) .. path
  local why
  for n = 1, attempts do
    local answer, message = call.send(context,
      { method = method, url = url, headers = { header }, connect_timeout = timeout, timeout = timeout })
    if answer and answer.status < 500 then return answer end
    why = answer and ("%s: status %d"):format(url, answer.status)
      or ("%s does not answer: %s"):format(url, tostring(message))
    if n < attempts then call.back_off(n) end
  end
  return nil, why
end

local function fault(text, ...)
  errors.raise { kind = "credentials", message = text:format(...) }
end

local function read_credentials(context, name, header)
  local answer, why = send(context, "GET", ROLES .. name, header)
  if not answer then fault("the instance's role %s: %s", name, why) end
  local given = answer.status == 200 and json.decode(answer.body)
  if type(given) ~= "table" or not given.AccessKeyId or not given.SecretAccessKey then
    fault("the instance metadata service gave no credentials of the role %s: %s", name,
      type(given) == "table" and (given.Message or given.Code) or "status " .. answer.status)
  end
  return {
    access_key_id = given.AccessKeyId, secret_access_key = given.SecretAccessKey, session_token = given.Token,
    expires = call.time(given.Expiration), account_id = given.AccountId,
    source = ("the role %s of this EC2 instance"):format(name), outlives = true,
  }
end

--- The instance's credentials, or nil and why there are none. `outlives` marks a set
-- that AWS goes on accepting past its end when its service cannot renew it.
function instance.get(context)
  if (context.env.AWS_EC2_METADATA_DISABLED or ""):lower() == "true" then
    return nil, "AWS_EC2_METADATA_DISABLED is true"
  end
  local answer, why = send(context, "PUT", "/latest/api/token",
    { "X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE })
  if not answer then return nil, why end
  if answer.status ~= 200 then
    return nil, ("the instance metadata service refuses a token: status %d"):format(answer.status)
  end
  local header = { "X-aws-ec2-metadata-token", answer.body }
  answer, why = send(context, "GET", ROLES, header)
  if not answer then return nil, why end
  local name = answer.status == 200 and answer.body:match("^[^\r\n]+")
  if not name then return nil, "this EC2 instance has no role" end
  return read_credentials(context, name, header)
end

return instance
