--- The standard settings of a client: what the environment and the profile say
-- about region, endpoints, retries and S3.
--
-- Source: AWS SDKs and Tools Reference Guide, "Settings reference".
local config = require "aws.config"
local errors = require "errors"

local settings = {}

-- Regions that the legacy way sends to the global STS endpoint (as in botocore).
local legacy_sts = {}
for name in ([[ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 aws-global ca-central-1
  eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1
  us-west-2]]):gmatch("%S+") do legacy_sts[name] = true end

--- A setting that is one of some words, in either case; anything else is an error that
-- names its place.
function settings.one_of(cfg, variables, property, choices, otherwise)
  local value, where = cfg:setting(variables, property)
  if value == nil then return otherwise end
  local low = tostring(value):lower()
  for _, choice in ipairs(choices) do
    if low == choice then return low end
  end
  errors.raise {
    kind = "invalid",
    message = ("%s: one of %s expected, got %s"):format(where, table.concat(choices, ", "),
      tostring(value)),
  }
end

--- A setting that is a number, above `above` where that is given; anything else is an
-- error that names its place.
function settings.number(cfg, variables, property, otherwise, above)
  local value, where = cfg:setting(variables, property)
  if value == nil then return otherwise end
  local found = math.tointeger(tonumber(value)) or tonumber(value)
  if found and found == found and math.abs(found) < math.huge and (not above or found > above) then
    return found
  end
  errors.raise { kind = "invalid", message = ("%s: a number%s expected, got %s"):format(where,
    above and " above " .. above or "", tostring(value)) }
end

local one_of, number = settings.one_of, settings.number

--- A service id as in names of variables (AWS_ENDPOINT_URL_ROUTE_53) and sections.
local function identifier(service_id)
  return (service_id:gsub("[%s%-]+", "_"))
end

local function endpoint_setting(cfg, service_id)
  if cfg:flag({ "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" }, "ignore_configured_endpoint_urls",
    false) then
    return nil
  end
  local name = identifier(service_id)
  local url, where = cfg:setting { "AWS_ENDPOINT_URL_" .. name:upper(), "AWS_ENDPOINT_URL" }
  if url then return url, where end
  local profile, places = cfg:profile()
  if profile.services then
    local section, lines = cfg:services_section(profile.services)
    local nested = section[name:lower()]
    if type(nested) == "table" and (nested.endpoint_url or "") ~= "" then
      return nested.endpoint_url, lines[name:lower()]
    end
  end
  if (profile.endpoint_url or "") ~= "" then return profile.endpoint_url, places.endpoint_url end
end

--- The URL that replaces a service's endpoint, and where it is set; or nil. In
-- order: AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services section,
-- the profile's endpoint_url; none of them under AWS_IGNORE_CONFIGURED_ENDPOINT_URLS.
-- What is no URL is an error that names its place.
function settings.endpoint_url(cfg, service_id)
  local url, where = endpoint_setting(cfg, service_id)
  if url and not url:lower():find "^https?://[^/?#%s]+[^%s]*$" then
    errors.raise { kind = "invalid",
      message = ("%s: a URL (https://host) expected, got %s"):format(where, url) }
  end
  return url, where
end

local function nested(profile, name)
  return type(profile[name]) == "table" and profile[name] or {}
end

local function text_flag(value, what, otherwise)
  if value == nil or value == "" then return otherwise end
  local low = value:lower()
  if low == "true" or low == "false" then return low == "true" end
  errors.raise { kind = "invalid",
    message = ("%s: true or false expected, got %s"):format(what, value) }
end

--- S3's: addressing_style "auto" | "virtual" | "path", and the rest as rule-set
-- parameters have them.
local function s3_settings(cfg)
  local profile = cfg:profile()
  local s3 = nested(profile, "s3")
  local style = s3.addressing_style or "auto"
  if style ~= "auto" and style ~= "virtual" and style ~= "path" then
    errors.raise { kind = "invalid",
      message = "s3 addressing_style: auto, virtual or path expected, got " .. style }
  end
  return {
    addressing_style = style,
    accelerate = text_flag(s3.use_accelerate_endpoint, "s3 use_accelerate_endpoint", false),
    use_arn_region = cfg:flag({ "AWS_S3_USE_ARN_REGION" }, "s3_use_arn_region",
      text_flag(s3.use_arn_region, "s3 use_arn_region", true)),
    disable_multi_region_access_points = cfg:flag({ "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS" },
      "s3_disable_multiregion_access_points", false),
    us_east_1_regional = one_of(cfg, { "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT" },
      "s3_us_east_1_regional_endpoint",
      { "regional", "legacy" }, "regional") == "regional",
    disable_express_session_auth = cfg:flag({ "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH" },
      "s3_disable_express_session_auth", false),
  }
end

--- Reads all settings for a service. Options: config (what config.load gave; default
-- loads it), service_id ("RDS", "Route 53"), region (wins over the setting).
-- Returns { service_id, region, region_source, fips, dualstack, endpoint_url, endpoint_source,
-- retry_mode, max_attempts (or nil), sts_regional, account_id_endpoint_mode,
-- ca_bundle, user_agent_app_id, request_checksum_calculation,
-- response_checksum_validation, disable_request_compression,
-- request_min_compression_size_bytes, s3 = {...} }. Raises kind "invalid" naming the
-- variable or the file and line of a wrong value.
function settings.load(options)
  local cfg = options.config or config.load()
  local region, region_source = cfg:region()
  if options.region then region, region_source = options.region, "the caller" end
  local url, url_source = settings.endpoint_url(cfg, options.service_id)
  return {
    service_id = options.service_id,
    region = region, region_source = region_source,
    fips = cfg:flag({ "AWS_USE_FIPS_ENDPOINT" }, "use_fips_endpoint", false),
    dualstack = cfg:flag({ "AWS_USE_DUALSTACK_ENDPOINT" }, "use_dualstack_endpoint", false),
    endpoint_url = url, endpoint_source = url_source,
    retry_mode = one_of(cfg, { "AWS_RETRY_MODE" }, "retry_mode",
      { "standard", "adaptive", "legacy" }, "standard"),
    max_attempts = number(cfg, { "AWS_MAX_ATTEMPTS" }, "max_attempts"),
    sts_regional = one_of(cfg, { "AWS_STS_REGIONAL_ENDPOINTS" }, "sts_regional_endpoints",
      { "regional", "legacy" }, "regional") == "regional",
    account_id_endpoint_mode = one_of(cfg, { "AWS_ACCOUNT_ID_ENDPOINT_MODE" },
      "account_id_endpoint_mode",
      { "preferred", "disabled", "required" }, "preferred"),
    ca_bundle = (cfg:setting({ "AWS_CA_BUNDLE" }, "ca_bundle")),
    user_agent_app_id = (cfg:setting({ "AWS_SDK_UA_APP_ID" }, "sdk_ua_app_id")),
    request_checksum_calculation = one_of(cfg, { "AWS_REQUEST_CHECKSUM_CALCULATION" },
      "request_checksum_calculation", { "when_supported", "when_required" }, "when_supported"),
    response_checksum_validation = one_of(cfg, { "AWS_RESPONSE_CHECKSUM_VALIDATION" },
      "response_checksum_validation", { "when_supported", "when_required" }, "when_supported"),
    disable_request_compression = cfg:flag({ "AWS_DISABLE_REQUEST_COMPRESSION" },
      "disable_request_compression", false),
    request_min_compression_size_bytes = number(cfg, { "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES" },
      "request_min_compression_size_bytes", 10240),
    s3 = s3_settings(cfg),
  }
end

-- The same parameter means another thing in each of the two sets that have it.
local function use_global(loaded)
  if loaded.service_id == "STS" then
    return not loaded.sts_regional and legacy_sts[loaded.region] or false
  end
  return not loaded.s3.us_east_1_regional and loaded.region == "us-east-1"
end

--- The endpoint parameters that settings decide, by the names that rule sets use.
-- account_id: of the credentials, or nil. A service's set ignores what it does not
-- declare.
function settings.endpoint_params(loaded, account_id)
  local s3 = loaded.s3
  return {
    AccountId = account_id,
    AccountIdEndpointMode = loaded.account_id_endpoint_mode,
    ForcePathStyle = s3.addressing_style == "path",
    Accelerate = s3.accelerate,
    UseArnRegion = s3.use_arn_region,
    DisableMultiRegionAccessPoints = s3.disable_multi_region_access_points,
    DisableS3ExpressSessionAuth = s3.disable_express_session_auth,
    UseGlobalEndpoint = use_global(loaded),
  }
end

return settings
