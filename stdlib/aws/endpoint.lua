--- Where a service lives and how to sign for it, by the models' endpoint rules.
--
-- Rule sets are compiled when a service is first used; results are kept by their
-- parameters, so a client that makes the same kind of call again pays a lookup.
local errors = require "errors"
local region = require "aws.region"
local rules = require "aws.endpoint.rules"

local endpoint = {}

local compiled = setmetatable({}, { __mode = "k" }) -- rule set -> { evaluate, builtins, results }

local known = {
  service = true, rules = true, region = true, fips = true, dualstack = true, endpoint = true,
  params = true, signing_name = true,
}

local function prepared(set)
  local entry = compiled[set]
  if not entry then
    local builtins = {}
    for name, parameter in pairs(set.parameters or {}) do
      if parameter.builtIn then builtins[parameter.builtIn] = name end
    end
    entry = { evaluate = rules.compile(set), builtins = builtins, results = {}, count = 0 }
    compiled[set] = entry
  end
  return entry
end

local function parameters(entry, options)
  local params = {}
  for name, value in pairs(options.params or {}) do params[name] = value end
  local function builtin(id, value)
    local name = entry.builtins[id]
    if name and params[name] == nil then params[name] = value end
  end
  local plain, fips
  if options.region then plain, fips = region.plain(options.region) end
  builtin("AWS::Region", plain)
  builtin("AWS::UseFIPS", (options.fips or fips) and true or false)
  builtin("AWS::UseDualStack", options.dualstack and true or false)
  builtin("SDK::Endpoint", options.endpoint)
  return params
end

local function key_of(params)
  local names, parts = {}, {}
  for name in pairs(params) do table.insert(names, name) end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = params[name]
    parts[i] = name .. "\0"
      .. (type(value) == "table" and table.concat(value, "\1") or tostring(value))
  end
  return table.concat(parts, "\0")
end

local function scheme(declared, options, default_region)
  return {
    name = declared.name,
    signing_name = declared.signingName or options.signing_name or options.service,
    signing_region = declared.signingRegion or default_region,
    signing_region_set = declared.signingRegionSet,
    disable_double_encoding = declared.disableDoubleEncoding or false,
  }
end

--- The region to sign for when the rules name none: a pseudo region's real one.
local function signing_region(options)
  if not options.region then return nil end
  local plain = region.plain(options.region)
  if plain:find("%-global$") then return region.partition(plain).implicitGlobalRegion end
  return plain
end

local function result_of(found, options)
  local default_region = signing_region(options)
  local schemes = {}
  for i, declared in ipairs(found.properties.authSchemes or {}) do
    schemes[i] = scheme(declared, options, default_region)
  end
  local first = schemes[1] or scheme({ name = "sigv4" }, options, default_region)
  if not schemes[1] then schemes[1] = first end
  return {
    url = found.url,
    headers = found.headers,
    properties = found.properties,
    auth_schemes = schemes,
    signing_name = first.signing_name,
    signing_region = first.signing_region or first.signing_region_set
    and first.signing_region_set[1],
  }
end

local function check_options(options)
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for option in pairs(known) do table.insert(names, option) end
      table.sort(names)
      errors.misuse(3, "endpoint.resolve: unknown option %s; known: %s", tostring(name),
        table.concat(names, ", "))
    end
  end
end

--- Resolves an endpoint. Options:
--   service       its name, for messages and as signing name when nothing better is known
--   rules         the decoded rule set (model:endpoint_rules())
--   region        "eu-west-1"; pseudo regions ("fips-us-east-1", "aws-global") too
--   fips, dualstack   true or false
--   endpoint      a URL that replaces the one of the rules (settings.endpoint_url)
--   params        further parameters of the rule set by name (Bucket, AccountId...)
--   signing_name  the model's, for rules that name none
-- Returns { url, headers = { name = { values } }, properties, auth_schemes = { { name,
-- signing_name, signing_region, signing_region_set, disable_double_encoding } },
-- signing_name, signing_region } (shared: do not change it); the URL has no slash at
-- its end unless the rules or the setting put it there. Raises kind "endpoint" with
-- the rules' own message when there is none.
function endpoint.resolve(options)
  check_options(options)
  local entry = prepared(options.rules)
  local params = parameters(entry, options)
  local key = key_of(params) .. "\0" .. (options.signing_name or "")
  local result = entry.results[key]
  if result then return result end
  local found, message = entry.evaluate(params)
  if not found then
    errors.raise {
      kind = "endpoint", service = options.service, region = options.region,
      message = ("no endpoint for %s%s: %s"):format(options.service or "the service",
        options.region and " in " .. options.region or "", message),
    }
  end
  if entry.count >= 1000 then entry.results, entry.count = {}, 0 end -- a bucket a key may be many
  result = result_of(found, options)
  entry.results[key], entry.count = result, entry.count + 1
  return result
end

return endpoint
