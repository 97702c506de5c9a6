--- Credentials of a container: Amazon ECS tasks and EKS Pod Identity.
--
-- AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is a path at 169.254.170.2;
-- AWS_CONTAINER_CREDENTIALS_FULL_URI a URL, which without TLS may only be the
-- machine itself or the agents' addresses, since it is sent a token that AWS_
-- CONTAINER_AUTHORIZATION_TOKEN_FILE (read each time) or ..._TOKEN gives.
local call = require "aws.credentials.call"
local confidential = require "confidential"
local errors = require "errors"
local json = require "native.json"
local text = require "text"

local container = {}

local ATTEMPTS, TIMEOUT = 3, 2
local AGENT = "http://169.254.170.2"
local allowed = { ["169.254.170.2"] = true, ["169.254.170.23"] = true, ["[fd00:ec2::23]"] = true,
  localhost = true, ["[::1]"] = true }

local function fault(form, ...)
  errors.raise { kind = "credentials", message = form:format(...) }
end

local function url_of(env)
  local relative, full = env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
    env.AWS_CONTAINER_CREDENTIALS_FULL_URI
  if (relative or "") ~= "" then return AGENT .. relative end
  if (full or "") == "" then return nil end
  local scheme, host = full:match("^(https?)://(%[[^%]]*%])")
  if not scheme then scheme, host = full:match("^(https?)://([^/:?#]+)") end
  if scheme == "https" or host and (allowed[host] or host:find("^127%.%d+%.%d+%.%d+$")) then
    return full
  end
  fault("AWS_CONTAINER_CREDENTIALS_FULL_URI is %s: without TLS only this machine and "
    .. "the addresses of the ECS and "
    .. "EKS agents are allowed", full)
end

local function authorization(context)
  local env = context.env
  local path, token = env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    env.AWS_CONTAINER_AUTHORIZATION_TOKEN
  if (path or "") ~= "" then
    local message
    token, message = context.config.read(path)
    if not token then
      fault("cannot read the container's authorization token %s", message or path)
    end
    token = token:gsub("%s+$", "")
  end
  if (token or "") == "" then return nil end
  if token:find("[\r\n]") then
    fault("the container's authorization token has more than one line")
  end
  return confidential.token(token)
end

local function get(context, url)
  local headers = { { "Accept", "application/json" } }
  local token = authorization(context)
  if token then table.insert(headers, { "Authorization", token }) end
  local why
  for n = 1, ATTEMPTS do
    local answer, message = call.send(context,
      { method = "GET", url = url, headers = headers, connect_timeout = TIMEOUT,
        timeout = TIMEOUT })
    if answer and answer.status == 200 then return answer.body end
    why = answer and ("status %d: %s"):format(answer.status, text.excerpt(answer.body, 200))
      or message
    if answer and answer.status < 500 and answer.status ~= 429 then break end
    if n < ATTEMPTS then call.back_off(n) end
  end
  fault("the container's credentials endpoint %s gave none: %s", url, why)
end

--- The container's credentials, or nil and why there are none.
function container.get(context)
  local url = url_of(context.env)
  if not url then
    return nil, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
      .. "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set"
  end
  local given, problem = json.decode(get(context, url))
  if type(given) ~= "table" or not given.AccessKeyId or not given.SecretAccessKey then
    fault("the container's credentials endpoint %s answered without keys: %s", url,
      problem or type(given) == "table" and given.Message or "no AccessKeyId")
  end
  return confidential.keys {
    access_key_id = given.AccessKeyId, secret_access_key = given.SecretAccessKey,
    session_token = given.Token, expires = call.time(given.Expiration),
    account_id = given.AccountId, source = "the container's credentials endpoint " .. url,
  }
end

return container
