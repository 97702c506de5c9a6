--- aws.settings: which setting wins, and what a wrong one says.
local t = require "harness"
local config = require "aws.config"
local settings = require "aws.settings"

local function load(text, env, service_id)
  env = env or {}
  env.HOME = "/h"
  return settings.load {
    service_id = service_id or "RDS",
    config = config.load { env = env, read = function(path)
      if path == "/h/.aws/config" and text then return text end
      return nil, path, "missing"
    end },
  }
end

t.test("what holds when nothing is set", function()
  local s = load()
  t.equal({ s.region, s.endpoint_url, s.max_attempts, s.ca_bundle }, {})
  t.equal({ s.fips, s.dualstack, s.retry_mode, s.sts_regional, s.account_id_endpoint_mode },
    { false, false, "standard", true, "preferred" })
  t.equal(s.s3.addressing_style, "auto")
end)

local file = [[
[default]
region = eu-west-1
services = local
endpoint_url = http://profile
use_fips_endpoint = true
retry_mode = adaptive
max_attempts = 7
s3 =
  addressing_style = path
  use_accelerate_endpoint = true
[services local]
rds =
  endpoint_url = http://rds.section
route_53 =
  endpoint_url = http://route53.section
]]

t.test("an endpoint's URL: by service, then for all; environment, then profile", function()
  local url = function(env, id) return load(file, env, id).endpoint_url end
  t.equal(url({ AWS_ENDPOINT_URL = "http://all", AWS_ENDPOINT_URL_RDS = "http://rds" }),
    "http://rds")
  t.equal(url({ AWS_ENDPOINT_URL = "http://all", AWS_ENDPOINT_URL_S3 = "http://s3" }), "http://all")
  t.equal(url({}), "http://rds.section")
  t.equal(url({}, "Route 53"), "http://route53.section")
  t.equal(url({ AWS_ENDPOINT_URL_ROUTE_53 = "http://r" }, "Route 53"), "http://r")
  t.equal(url({}, "S3"), "http://profile")
  t.equal(url({ AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "true", AWS_ENDPOINT_URL = "http://all" }),
    nil)
  t.equal(load(file).endpoint_source, "/h/.aws/config:12")
end)

t.test("the profile's settings, and the environment over them", function()
  local s = load(file, { AWS_RETRY_MODE = "standard", AWS_REGION = "us-west-2" })
  t.equal({ s.region, s.region_source, s.fips, s.retry_mode, s.max_attempts },
    { "us-west-2", "AWS_REGION", true, "standard", 7 })
  t.equal({ s.s3.addressing_style, s.s3.accelerate }, { "path", true })
end)

t.test("wrong values name their place and the right ones", function()
  t.raises("AWS_RETRY_MODE: one of standard, adaptive, legacy expected, got fast", load, file,
    { AWS_RETRY_MODE = "fast" })
  t.raises("/h/.aws/config:2: a number expected, got many", load, "[default]\nmax_attempts = many")
  t.raises("AWS_USE_FIPS_ENDPOINT: true or false expected, got 1", load, nil,
    { AWS_USE_FIPS_ENDPOINT = "1" })
  t.raises("addressing_style: auto, virtual or path expected, got dns", load,
    "[default]\ns3 =\n  addressing_style = dns")
  for _, url in ipairs { "not a uri", "host:4566", "ftp://host", "http://", "http://a b" } do
    t.raises("AWS_ENDPOINT_URL_RDS: a URL %(https://host%) expected, got ", load, nil,
      { AWS_ENDPOINT_URL_RDS = url })
    t.raises("/h/.aws/config:2: a URL", load, "[default]\nendpoint_url = " .. url)
  end
  t.raises('services section "local"', load, "[default]\nservices = local")
end)

t.test("endpoint parameters", function()
  local legacy = { AWS_STS_REGIONAL_ENDPOINTS = "legacy", AWS_REGION = "eu-west-1" }
  t.equal(settings.endpoint_params(load(nil, legacy, "STS")).UseGlobalEndpoint, true)
  legacy.AWS_REGION = "eu-south-2"
  t.equal(settings.endpoint_params(load(nil, legacy, "STS")).UseGlobalEndpoint, false)
  local p = settings.endpoint_params(load(file), "123456789012")
  t.equal({ p.AccountId, p.ForcePathStyle, p.Accelerate, p.UseGlobalEndpoint },
    { "123456789012", true, true, false })
end)
