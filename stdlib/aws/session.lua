--- From a user's options and the shared settings to the parts of a client: region,
-- credentials, endpoint, retry mode. Files are read once, and credentials are shared
-- by the clients that ask for the same ones.
local caller = require "aws.caller"
local confidential = require "confidential"
local config = require "aws.config"
local credentials = require "aws.credentials"
local instants = require "aws.instants"
local quota = require "aws.quota"
local settings = require "aws.settings"

local session = {}

local VERSION = "1.0"

--- The options of a client, on top of the environment and the shared files.
--   region, profile, endpoint_url
--   role_arn, external_id, role_session_name, duration_seconds, mfa_serial
--                       the role to act in
--   credentials         { access_key_id, secret_access_key, session_token }, as they are
--   timeout             the deadline of each call: "10s"
--   max_attempts, retry_mode ("standard" "adaptive")
--   use_fips, use_dualstack, addressing_style ("path" "virtual" "auto")
--   ca_file, verify     how the endpoint is trusted
--   cluster_endpoints   of route53-recovery-cluster: { { Endpoint =, Region = } ... }
--   clock               { now, monotonic, sleep, random, parse, skew }, for tests
local OPTIONS = {}
for name in ([[
  region profile endpoint_url role_arn external_id role_session_name duration_seconds mfa_serial
  credentials timeout max_attempts retry_mode use_fips use_dualstack addressing_style ca_file verify
  cluster_endpoints clock]]):gmatch("%S+") do OPTIONS[name] = true end

local function check(service, options)
  if type(options) ~= "table" then
    caller.misuse(nil, "aws.%s: a table of options expected, got %s", service, type(options))
  end
  for name in pairs(options) do
    if not OPTIONS[name] then
      local known = {}
      for each in pairs(OPTIONS) do table.insert(known, each) end
      table.sort(known)
      caller.misuse(nil, "aws.%s: unknown option %s%s; known: %s", service, tostring(name),
        require("nearest").hint(tostring(name), known), table.concat(known, ", "))
    end
  end
end

local configs, providers = {}, {}

--- Forgets what was read and fetched (for tests).
function session.reset()
  configs, providers = {}, {}
end

local function config_of(profile)
  local env = config.environment
  local key = table.concat({ profile or "", env.AWS_PROFILE or "", env.AWS_DEFAULT_PROFILE or "",
    env.AWS_CONFIG_FILE or "", env.AWS_SHARED_CREDENTIALS_FILE or "", env.HOME or "" }, "\n")
  configs[key] = configs[key] or config.load { profile = profile }
  return configs[key], key
end

-- Services that have no regions: they are asked in the partition's own.
local GLOBAL = {}
for service in ([[
  account billingconductor budgets ce cloudfront health iam importexport networkmanager
  organizations route53 savingsplans shield sts support tax waf
]]):gmatch("%S+") do
  GLOBAL[service] = true
end

--- True for a service that has no regions.
function session.is_global(service) return GLOBAL[service] == true end

local function need_region(service, name)
  if name or GLOBAL[service] then return name or "aws-global" end
  caller.misuse(nil,
    "aws.%s: no region: give region =, or set AWS_REGION, or region in the profile", service)
end

local function check_region(name)
  if name ~= nil and (type(name) ~= "string" or not name:find("^[%w-]+$")) then
    caller.misuse(nil, "region: the name of a region expected, got %s", tostring(name))
  end
  return name
end

-- Parameters of the endpoint rules. An endpoint of the user's own has no names for
-- buckets below it unless they say so.
local function endpoint_params(loaded, options, url)
  local params = settings.endpoint_params(loaded)
  local style = options.addressing_style or loaded.s3.addressing_style
  params.ForcePathStyle = style == "path" or (url ~= nil and style ~= "virtual")
  return params
end

local ROLE = { "role_arn", "external_id", "role_session_name", "duration_seconds", "mfa_serial" }

local function fixed(set)
  if not (set.access_key_id and set.secret_access_key) then
    caller.misuse(nil, "credentials: access_key_id and secret_access_key are needed")
  end
  confidential.keys(set)
  return { get = function() return set end, renew = function() return false end }, "fixed:"
    .. set.access_key_id
end

local function provider_of(options, key, cfg, region_name)
  if options.credentials then return fixed(options.credentials) end
  local parts = { key, tostring(config.environment.AWS_ACCESS_KEY_ID), region_name or "" }
  local asked = { profile = options.profile, region = region_name, config = cfg }
  local role = {}
  for _, name in ipairs(ROLE) do
    parts[#parts + 1] = tostring(options[name])
    role[name] = options[name]
  end
  asked.role = role.role_arn and role or nil
  key = table.concat(parts, "\n")
  providers[key] = providers[key] or credentials.provider(asked)
  return providers[key], key
end

local MODES = { standard = "standard", adaptive = "adaptive", legacy = "standard" }

local function mode_of(name)
  return MODES[name]
    or caller.misuse(nil, "retry_mode: standard or adaptive expected, got %s", tostring(name))
end

local function serialize_options(loaded, service)
  return {
    checksum = loaded.request_checksum_calculation,
    compress_from_bytes = not loaded.disable_request_compression
    and loaded.request_min_compression_size_bytes,
    omit_bucket = service == "s3" or nil,
  }
end

local function user_agent(loaded)
  local app = loaded.user_agent_app_id
  return ("drlua/%s%s"):format(VERSION, app and " app/" .. app:gsub("[^%w!#$%%&'*+.^_`|~-]", "-")
    or "")
end

local Parts = {}

function Parts.credentials_for(self) return self.credentials:get() end

--- After AWS said that the set has run out: true when there is another one now.
function Parts.renew_credentials(self, used)
  local ok, renewed = pcall(self.credentials.renew, self.credentials, used)
  return ok and renewed
end

--- The token of services that take one: AWS_BEARER_TOKEN_SERVICE, or the profile's SSO
-- session.
function Parts.bearer_token(self)
  local name = "AWS_BEARER_TOKEN_" .. self.signing_name:upper():gsub("[^%w]", "_")
  local given = config.environment[name]
  if given and given ~= "" then return confidential.token(given) end
  local found = credentials.token(self.token_source)
  if found then return confidential.token(found.token) end
  caller.misuse(nil,
    "aws.%s takes a token of IAM Identity Center: name an sso_session in the profile, or set %s",
    self.service, name)
end

session.methods = Parts

local function seconds(options)
  if options.timeout == nil then return nil end
  local value, wrong = require("duration").parse(options.timeout)
  if not value then caller.misuse(nil, "timeout: %s", wrong) end
  return value
end

-- The endpoints of an ARC cluster, each a client of its own region.
local function cluster_of(service, model, options)
  if not options.cluster_endpoints then return nil end
  if service ~= "route53-recovery-cluster" or #options.cluster_endpoints == 0 then
    caller.misuse(nil, "cluster_endpoints: the list ClusterEndpoints of a cluster expected, for "
      .. "route53-recovery-cluster")
  end
  local members = {}
  for i, each in ipairs(options.cluster_endpoints) do
    local own = {}
    for name, value in pairs(options) do own[name] = value end
    own.cluster_endpoints, own.endpoint_url, own.region, own.max_attempts = nil, each.Endpoint,
      each.Region, 1
    members[i] = require("aws.client").new(session.parts(service, model, own))
  end
  return { members = members }
end

-- Two services that AWS has left behind take nothing newer than Signature Version 2.
local function check_signature(service, metadata)
  if metadata.signature_version ~= "v2" then return end
  caller.misuse(nil, "aws.%s: %s takes only Signature Version 2, which drlua does not "
    .. "speak: use the AWS CLI, or move "
    .. "to a newer service", service, metadata.service_full_name or service)
end

--- The parts of a client of a service: see aws/client.lua.
function session.parts(service, model, options)
  check(service, options)
  local cfg, key = config_of(options.profile)
  local metadata = model:metadata()
  check_signature(service, metadata)
  local loaded = settings.load { config = cfg, service_id = metadata.service_id or service,
    region = check_region(options.region) }
  local first = options.cluster_endpoints and options.cluster_endpoints[1]
  local name = need_region(service, loaded.region or first and first.Region)
  local url = options.endpoint_url or loaded.endpoint_url
  local provider, identity = provider_of(options, key, cfg, name)
  return {
    cluster = cluster_of(service, model, options),
    service = service, model = model, region = name, endpoint_url = url or false,
    endpoint_params = endpoint_params(loaded, options, url),
    serialize_options = serialize_options(loaded, service),
    credentials = provider, token_source = { profile = options.profile, config = cfg },
    clock = options.clock or instants, targets = {}, timeout = seconds(options),
    retry_mode = mode_of(options.retry_mode or loaded.retry_mode),
    attempts = quota.attempts(service, options.max_attempts or loaded.max_attempts),
    use_fips = options.use_fips or loaded.fips,
    use_dualstack = options.use_dualstack or loaded.dualstack,
    ca_file = options.ca_file or loaded.ca_bundle,
    verify = options.verify ~= false, signing_name = metadata.signing_name
    or metadata.endpoint_prefix,
    user_agent = user_agent(loaded),
    share_key = table.concat({ service, name or "", url or "", identity }, "\n"),
  }
end

return session
