--- Where a call goes and how it is signed: the endpoint rules' answer in the form that
-- the hot path wants, kept per client and operation.
local endpoint = require "aws.endpoint"
local errors = require "errors"
local lane = require "aws.lane"

local target = {}

local AUTH = { sigv4 = "sigv4", ["sigv4-s3express"] = "sigv4", sigv4a = "sigv4a", none = "none",
  bearer = "bearer" }

local function split(url)
  local scheme, authority, path = url:match("^(%a[%w+.-]*)://([^/?#]+)([^?#]*)")
  if not scheme then
    errors.raise { kind = "endpoint",
      message = ("%s is no URL: write http:// or https:// before the host"):format(url) }
  end
  return scheme:lower(), authority, (path:gsub("/+$", ""))
end

-- The Host header as HTTP clients write it: without the scheme's own port.
local function host_header(scheme, authority)
  if scheme == "https" then return (authority:gsub(":443$", "")) end
  return (authority:gsub(":80$", ""))
end

local function is_local(authority)
  local host = authority:gsub(":%d+$", "")
  return host:find("^%d+%.%d+%.%d+%.%d+$") or host:find("^%[") or host == "localhost"
end

-- The first scheme that we can do; the rules list them in the order of preference.
local function choose(schemes)
  for _, scheme in ipairs(schemes) do
    if AUTH[scheme.name] then return scheme end
  end
  return schemes[1]
end

local function region_set(scheme)
  local set = scheme.signing_region_set
  return type(set) == "table" and table.concat(set, ",") or set
end

local function unsigned(op)
  local auth = op.model.auth
  return op.model.authtype == "none" or type(auth) == "table" and #auth > 0
    and auth[1] == "smithy.api#noAuth"
end

-- Services that take a token of IAM Identity Center in place of a signature.
local function by_token(client, op)
  local auth = op.model.auth
  if type(auth) == "table" then return auth[1] == "smithy.api#httpBearerAuth" end
  return op.model.authtype == "bearer" or client.model:metadata().signature_version == "bearer"
end

local function headers_of(found)
  local list = {}
  for name, values in pairs(found.headers or {}) do
    for _, value in ipairs(values) do table.insert(list, { name, value }) end
  end
  return list[1] and list or nil
end

local function make(client, op, found)
  local scheme, authority, path = split(found.url)
  local chosen = choose(found.auth_schemes)
  local auth = AUTH[chosen.name] or "sigv4"
  local signing_region = auth == "sigv4a" and region_set(chosen) or chosen.signing_region
    or client.region
  if unsigned(op) then auth = "none" elseif by_token(client, op) then auth = "bearer" end
  -- The region that is asked: of services without regions that of their only one.
  local shown = auth ~= "sigv4a" and chosen.signing_region or client.region
  return {
    origin = scheme .. "://" .. authority, path = path, host = host_header(scheme, authority),
    scheme = scheme, is_local = is_local(authority), headers = headers_of(found), auth = auth,
    signing_region = signing_region, signing_name = chosen.signing_name,
    express = chosen.name == "sigv4-s3express" or nil,
    no_double_encoding = chosen.disable_double_encoding or nil, region = shown or nil,
    lane = lane.of(client.service, shown, client.endpoint_url or ""),
  }
end

local made = setmetatable({}, { __mode = "k" }) -- what the rules gave -> client -> target

local function of_result(client, op, found)
  local by_client = made[found]
  if not by_client then
    by_client = setmetatable({}, { __mode = "k" })
    made[found] = by_client
  end
  local known = by_client[client]
  if not known then
    known = { signed = nil, unsigned = nil }
    by_client[client] = known
  end
  local key = unsigned(op) and "unsigned" or "signed"
  known[key] = known[key] or make(client, op, found)
  return known[key]
end

-- The account of the credentials, for services whose rules give every account an
-- endpoint of its own.
local function account_of(client, op, mode)
  local declared = client.model:endpoint_rules().parameters
  if not (declared and declared.AccountId) then return nil end
  if client.endpoint_url or mode == "disabled" or unsigned(op) or not client.credentials then
    return nil
  end
  return client.credentials:get().account_id
end

local function parameters(client, op, input)
  local params = {}
  for name, value in pairs(client.endpoint_params or {}) do params[name] = value end
  params.AccountId = account_of(client, op, params.AccountIdEndpointMode)
  for name, static in pairs(op.model.staticContextParams or {}) do params[name] = static.value end
  for name, member in pairs(op.model.contextParams or {}) do params[name] = input[member] end
  for name, where in pairs(op.model.operationContextParams or {}) do
    params[name] = require("aws.jmespath").compile(where.path)(input)
  end
  return params
end

local function resolve(client, op, input)
  return endpoint.resolve {
    service = client.service, rules = client.model:endpoint_rules(), region = client.region or nil,
    fips = client.use_fips, dualstack = client.use_dualstack, endpoint = client.endpoint_url or nil,
    params = parameters(client, op, input), signing_name = client.signing_name,
  }
end

-- S3 said where a bucket is: calls about it go there from then on.
local function in_region(client, region)
  return setmetatable({ region = region, targets = {} }, { __index = client })
end

--- The target of a call: origin, path, host, auth ("sigv4" "sigv4a" "bearer" "none"),
-- signing_region, signing_name, region (for people), lane.
function target.of(client, op, input)
  local elsewhere = client.bucket_regions and client.bucket_regions[input.Bucket]
  if elsewhere and elsewhere ~= client.region then
    return target.of(in_region(client, elsewhere), op, input)
  end
  local fixed = client.targets[op.name]
  if fixed then return fixed end
  local found = of_result(client, op, resolve(client, op, input))
  if not op.model.contextParams and not op.model.operationContextParams then
    client.targets[op.name] = found
  end
  return found
end

--- The target with an operation's host prefix ("data." of some operations) put before
-- the host; an endpoint on this machine goes without.
function target.prefixed(found, prefix)
  if not prefix or prefix == "" or found.is_local then return found.origin, found.host end
  return found.scheme .. "://" .. prefix .. found.origin:sub(#found.scheme + 4), prefix
    .. found.host
end

return target
