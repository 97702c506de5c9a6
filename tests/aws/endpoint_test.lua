--- aws.endpoint, aws.endpoint.rules and aws.region, on rule sets of our own. The
-- models' sets are covered by the vectors (tests/conformance/endpoints.lua).
local t = require "harness"
local endpoint = require "aws.endpoint"
local functions = require "aws.endpoint.functions"
local region = require "aws.region"
local rules = require "aws.endpoint.rules"

local function ref(name) return { ref = name } end
local function call(fn, ...) return { fn = fn, argv = { ... } } end
local function assign(name, condition)
  condition.assign = name
  return condition
end

local set = {
  version = "1.0",
  parameters = {
    Region = { type = "string", builtIn = "AWS::Region" },
    UseFIPS = { type = "boolean", builtIn = "AWS::UseFIPS", required = true, default = false },
    UseDualStack = { type = "boolean", builtIn = "AWS::UseDualStack", required = true,
      default = false },
    Endpoint = { type = "string", builtIn = "SDK::Endpoint" },
    Bucket = { type = "string" },
  },
  rules = {
    { type = "endpoint", conditions = { call("isSet", ref "Endpoint") },
      endpoint = { url = ref "Endpoint" } },
    { type = "tree", conditions = { call("isSet", ref "Region"),
      assign("p", call("aws.partition", ref "Region")) },
      rules = {
        { type = "endpoint", conditions = { call("booleanEquals", ref "UseFIPS", true) },
          endpoint = { url = "https://thing-fips.{Region}.{p#dnsSuffix}" } },
        { type = "endpoint",
          conditions = { call("isSet", ref "Bucket"),
            assign("arn", call("aws.parseArn", ref "Bucket")) },
          endpoint = {
            url = "https://{arn#resourceId[0]}.thing.{{x}}.{p#dnsSuffix}",
            headers = { ["x-account"] = { "{arn#accountId}" } },
            properties = { authSchemes = { { name = "sigv4a", signingName = "thing-arn",
              signingRegionSet = { "*" }, disableDoubleEncoding = true } } },
          } },
        { type = "endpoint", conditions = { call("stringEquals", ref "Region", "aws-global") },
          endpoint = { url = "https://thing.{p#dnsSuffix}",
            properties = { authSchemes = { { name = "sigv4", signingRegion = "us-east-1" } } } } },
        { type = "endpoint", conditions = {},
          endpoint = { url = "https://thing.{Region}.{p#dnsSuffix}" } },
      } },
    { type = "error", conditions = {}, error = "Invalid Configuration: Missing Region" },
  },
}

local function resolve(options)
  options.service, options.rules = "thing", set
  return endpoint.resolve(options)
end

t.test("a region, its partition, FIPS, and an endpoint that replaces all", function()
  t.equal(resolve { region = "eu-west-1" }.url, "https://thing.eu-west-1.amazonaws.com")
  t.equal(resolve { region = "cn-north-1" }.url, "https://thing.cn-north-1.amazonaws.com.cn")
  t.equal(resolve { region = "eu-west-1", fips = true }.url,
    "https://thing-fips.eu-west-1.amazonaws.com")
  t.equal(resolve { region = "fips-eu-west-1" }.url, "https://thing-fips.eu-west-1.amazonaws.com")
  t.equal(resolve { region = "eu-west-1-fips" }.url, "https://thing-fips.eu-west-1.amazonaws.com")
  t.equal(resolve { region = "eu-west-1", endpoint = "http://localhost:4566" }.url,
    "http://localhost:4566")
end)

t.test("how to sign: what the rules say, else the service and the region", function()
  local r = resolve { region = "eu-west-1" }
  t.equal({ r.signing_name, r.signing_region, r.auth_schemes[1].name },
    { "thing", "eu-west-1", "sigv4" })
  t.equal(resolve { region = "eu-west-1", signing_name = "other" }.signing_name, "other")
  t.equal(resolve { region = "aws-global" }.signing_region, "us-east-1")
  t.equal(resolve { region = "fips-eu-west-1" }.signing_region, "eu-west-1")
  r = resolve { region = "eu-west-1",
    params = { Bucket = "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap" } }
  t.equal(r.url, "https://accesspoint.thing.{x}.amazonaws.com")
  t.equal(r.headers, { ["x-account"] = { "123456789012" } })
  t.equal(r.auth_schemes,
    { { name = "sigv4a", signing_name = "thing-arn", signing_region = "eu-west-1",
    signing_region_set = { "*" }, disable_double_encoding = true } })
end)

t.test("results are kept by their parameters", function()
  local a = resolve { region = "eu-west-3" }
  t.ok(rawequal(a, resolve { region = "eu-west-3" }))
  t.ok(not rawequal(a, resolve { region = "eu-west-3", params = { Bucket = "b" } }))
  for i = 1, 1500 do resolve { region = "eu-west-3", params = { Bucket = "b" .. i } } end
  t.equal(resolve { region = "eu-west-3" }.url, a.url)
end)

t.test("no endpoint: the rules' words, with service and region", function()
  local e = t.raises("no endpoint for thing: Invalid Configuration: Missing Region", resolve, {})
  t.equal(e.kind, "endpoint")
  t.raises("unknown option regoin", resolve, { regoin = "x" })
  t.raises("UseFIPS: boolean expected, got string", resolve,
    { region = "x", params = { UseFIPS = "yes" } })
end)

t.test("malformed rule sets are refused", function()
  t.raises("unknown function nosuch", rules.compile, { rules = { { type = "error", error = "x",
    conditions = { call("nosuch") } } } })
  t.raises("unknown kind of rule", rules.compile, { rules = { { type = "magic" } } })
  t.raises("malformed template", rules.compile,
    { rules = { { type = "error", conditions = {}, error = "{x" } } })
end)

t.test("the library's functions on what they do not want", function()
  for name, more in pairs {
    ["aws.partition"] = {}, ["aws.parseArn"] = {}, isValidHostLabel = { true }, uriEncode = {},
    parseURL = {}, ["aws.isVirtualHostableS3Bucket"] = { true }, stringEquals = { "a" },
    substring = { 0, 1, false }, getAttr = { "a[0]" }, split = { "," },
  } do
    t.ok(not functions[name](nil, table.unpack(more)), name)
  end
  t.equal(functions.substring("abc", 1, 1, false), nil)
  t.equal(functions.parseURL("https://h:70x/"), nil)
  t.equal(functions.parseURL("https://h"), { scheme = "https", authority = "h", path = "",
    normalizedPath = "/", isIp = false })
  t.equal(functions.getAttr({ a = { b = { 7 } } }, "a.b[0]"), 7)
  t.equal(functions.getAttr({ a = {} }, "a.b[3]"), nil)
  t.equal(functions.split("a--b--c", "--", 2), { "a", "b--c" })
  t.equal(functions.coalesce(nil, false, 1), false)
  t.equal(functions.ite(false, 1, 2), 2)
end)

t.test("partitions and regions", function()
  t.equal(region.partition("eu-central-2").name, "aws")
  t.equal(region.partition("us-gov-west-1").name, "aws-us-gov")
  t.equal(region.partition("us-iso-west-9").dnsSuffix, "c2s.ic.gov")
  t.equal(region.partition("nowhere").name, "aws")
  t.equal(region.known("eu-west-1"), true)
  t.equal(region.known("eu-west-99"), false)
  t.equal(region.description("eu-west-1"), "Europe (Ireland)")
  local names = region.names("aws-us-gov")
  t.equal(names, { "us-gov-east-1", "us-gov-west-1" })
end)
