-- Sessions of S3 Express: made once a bucket, signed with, renewed.
local t = require "harness"
local aws = require "aws"
local express = require "aws.express"
local fake = require "fake"
local lane = require "aws.lane"
local sigv4 = require "aws.sigv4"
local time = require "native.clock"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret", session_token = "own" }
local BUCKET = "dumps--usw2-az1--x-s3"

-- A directory bucket: CreateSession numbers its keys; `instead` may respond first.
local function start(instead)
  lane.reset()
  express.reset()
  local made = 0
  local server = fake.start(function(request, number)
    local other = instead and instead(request, number)
    if other then return other end
    if not request.target:find "[?&]session" then return { body = "content" } end
    made = made + 1
    return { body = (
      "<CreateSessionResult><Credentials><AccessKeyId>S%d</AccessKeyId><SecretAccessKey>secret%d"
      .. "</SecretAccessKey><SessionToken>token%d</SessionToken><Expiration>"
      .. "%s</Expiration></Credentials>"
      .. "</CreateSessionResult>"):format(made, made, made,
      time.format(time.now() + 300, "rfc3339")) }
  end)
  t.cleanup(function() server:close() end)
  local function client()
    return aws.s3 { region = "us-west-2", endpoint_url = server.url, credentials = KEYS }
  end
  return server, client
end

local function signer(request)
  local region, service, id = sigv4.verify { method = request.method, uri = request.target,
    headers = request.headers,
    body = request.body,
    lookup = function(id) return id == "AKIDEXAMPLE" and "secret" or id:gsub("S", "secret") end }
  return region and ("%s %s %s"):format(id, service, region) or service
end

t.test("calls to a directory bucket are signed with its session's keys", function()
  local server, client = start()
  local s3 = client()
  for _ = 1, 2 do t.equal(s3:get_object({ Bucket = BUCKET, Key = "k" }).Body, "content") end
  s3:put_object { Bucket = BUCKET, Key = "k", Body = "x" }
  client():get_object { Bucket = BUCKET, Key = "k" }
  t.equal(#server.requests, 5, "one session for all calls and clients of an identity")
  local session, get, put = server.requests[1], server.requests[2], server.requests[4]
  t.equal(signer(session), "AKIDEXAMPLE s3express us-west-2")
  t.equal({ fake.header(session, "x-amz-security-token"),
    fake.header(session, "x-amz-s3session-token") }, { "own" })
  for _, request in ipairs { get, put } do
    t.equal(signer(request), "S1 s3express us-west-2")
    t.equal(fake.header(request, "x-amz-s3session-token"), "token1")
    t.equal(fake.header(request, "x-amz-security-token"), nil)
    t.matches(fake.header(request, "authorization"), "x%-amz%-s3session%-token")
  end
end)

t.test("every bucket has its own session; other buckets have none", function()
  local server, client = start()
  client():get_object { Bucket = BUCKET, Key = "k" }
  client():get_object { Bucket = "other--usw2-az1--x-s3", Key = "k" }
  client():get_object { Bucket = "plain", Key = "k" }
  local signed = {}
  for i, request in ipairs(server.requests) do signed[i] = signer(request) end
  t.equal(signed, { "AKIDEXAMPLE s3express us-west-2", "S1 s3express us-west-2",
    "AKIDEXAMPLE s3express us-west-2",
    "S2 s3express us-west-2", "AKIDEXAMPLE s3 us-west-2" })
end)

t.test("a session that AWS calls expired is made again, once", function()
  local refused
  local server, client = start(function(request)
    if refused or request.target:find "session" then return nil end
    refused = true
    return { status = 400, body = "<Error><Code>ExpiredToken</Code><Message>old</Message></Error>" }
  end)
  t.equal(client():get_object({ Bucket = BUCKET, Key = "k" }).Body, "content")
  t.equal(signer(server.requests[#server.requests]), "S2 s3express us-west-2")
  t.equal(#server.requests, 4)
end)

t.test("a session near its end is renewed", function()
  local server, client = start()
  local real, ahead = require "aws.instants", 0
  local clock = setmetatable({ now = function() return real.now() + ahead end }, { __index = real })
  local s3 = aws.s3 { region = "us-west-2", endpoint_url = server.url, credentials = KEYS,
    clock = clock }
  s3:get_object { Bucket = BUCKET, Key = "k" }
  ahead = 280
  s3:get_object { Bucket = BUCKET, Key = "k" }
  t.equal(fake.header(server.requests[#server.requests], "x-amz-s3session-token"), "token2")
  t.equal(#server.requests, 4)
  t.ok(client)
end)

t.test("without the right to a session the call says so", function()
  local _, client = start(function(request)
    if not request.target:find "session" then return nil end
    return { status = 403,
      body = "<Error><Code>AccessDenied</Code><Message>no "
        .. "s3express:CreateSession</Message></Error>" }
  end)
  local e = t.raises("no s3express:CreateSession",
    function() client():get_object { Bucket = BUCKET, Key = "k" } end)
  t.equal({ e.operation, e.code }, { "CreateSession", "AccessDenied" })
end)

t.test("the setting without sessions signs with the identity's keys", function()
  require("native.sys").setenv("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "true")
  t.cleanup(function() require("native.sys").setenv("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", nil) end)
  local server, client = start()
  client():get_object { Bucket = BUCKET, Key = "k" }
  t.equal(#server.requests, 1)
  t.equal(signer(server.requests[1]), "AKIDEXAMPLE s3express us-west-2")
end)
