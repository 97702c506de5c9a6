local t = require "harness"
local aws = require "aws"
local clock = require "native.clock"
local crypto = require "native.crypto"
local fake = require "fake"
local json = require "native.json"
local lane = require "aws.lane"
local sigv4 = require "aws.sigv4"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret",
  session_token = "session/token" }
local AT = clock.parse "2026-01-31T12:00:00Z"
local TIME = { now = function() return AT end, monotonic = clock.monotonic, sleep = function() end,
  random = math.random, parse = clock.parse }

-- What a server that checks signatures says of a presigned request.
local function verified(host, uri, headers, at)
  local list = { { "Host", host } }
  for _, pair in ipairs(headers or {}) do table.insert(list, pair) end
  return sigv4.verify { method = "GET", uri = uri, headers = list, body = "", now = at or AT + 5,
    lookup = function(id) return id == KEYS.access_key_id and KEYS.secret_access_key or nil end }
end

t.test("a database's token is a presigned connect, without the scheme", function()
  local rds = aws.rds { region = "us-west-2", credentials = KEYS, clock = TIME }
  local token = rds:auth_token { hostname = "db.example.com", port = 5432, username = "app user" }
  local host, uri = token:match("^(db.example.com:5432)(/%?.*)$")
  t.ok(host)
  t.contains(uri, "Action=connect&DBUser=app%20user")
  t.contains(uri, "X-Amz-Expires=900")
  local region, service = verified(host, uri)
  t.equal(region, "us-west-2")
  t.equal(service, "rds-db")
  t.raises("rds:auth_token needs port",
    function() rds:auth_token { hostname = "x", username = "y" } end)
end)

t.test("Aurora DSQL's tokens", function()
  local dsql = aws.dsql { region = "us-east-1", credentials = KEYS, clock = TIME }
  t.contains(dsql:auth_token { hostname = "c.dsql.us-east-1.on.aws" }, "Action=DbConnect&")
  t.contains(dsql:auth_token { hostname = "c.dsql.us-east-1.on.aws", admin = true, expires = 60 },
    "Action=DbConnectAdmin&")
end)

t.test("an EKS token is a presigned GetCallerIdentity of the cluster's region", function()
  local eks = aws.eks { region = "eu-west-1", credentials = KEYS, clock = TIME }
  local token, expires = eks:token "platform"
  t.equal(expires, AT + 840)
  local encoded = token:match("^k8s%-aws%-v1%.([%w_-]+)$"):gsub("-", "+"):gsub("_", "/")
  local url = crypto.unbase64(encoded .. ("="):rep(-#encoded % 4))
  local host, uri = url:match("^https://([^/]+)(/.*)$")
  t.equal(host, "sts.eu-west-1.amazonaws.com")
  t.contains(uri, "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id")
  local region, service = verified(host, uri, { { "x-k8s-aws-id", "platform" } })
  t.equal(region, "eu-west-1")
  t.equal(service, "sts")
  t.equal(verified(host, uri, { { "x-k8s-aws-id", "other" } }), nil)
end)

t.test("a kubeconfig of the cluster with that token", function()
  lane.reset()
  local server = fake.start { body = '{"cluster":{"name":"platform",'
    .. '"endpoint":"https://x.eks.amazonaws.com",'
    .. '"certificateAuthority":{"data":"Q0E="}}}' }
  t.cleanup(function() server:close() end)
  local eks = aws.eks { region = "eu-west-1", credentials = KEYS, endpoint_url = server.url }
  local text = eks:kubeconfig("platform", { namespace = "app" })
  local config = json.decode(text)
  t.equal(config.clusters[1].cluster.server, "https://x.eks.amazonaws.com")
  t.equal(config.clusters[1].cluster["certificate-authority-data"], "Q0E=")
  t.equal(config.contexts[1].context.namespace, "app")
  t.matches(config.users[1].user.token, "^k8s%-aws%-v1%.")
  t.equal(config["current-context"], "platform")
end)
