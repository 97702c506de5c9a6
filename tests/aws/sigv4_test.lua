--- aws.sigv4: AWS's documented examples, and the checking side.
local t = require "harness"
local crypto = require "native.crypto"
local sigv4 = require "aws.sigv4"

local keys = { access_key_id = "AKIAIOSFODNN7EXAMPLE",
  secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" }

local function s3(method, uri, headers, more)
  table.insert(headers, 1, { "Host", "examplebucket.s3.amazonaws.com" })
  local request = {
    method = method, uri = uri, headers = headers, region = "us-east-1", service = "s3",
    credentials = keys, time = "20130524T000000Z", normalize_path = false, double_encode = false,
    sign_body_header = not (more and more.expires),
  }
  for k, v in pairs(more or {}) do request[k] = v end
  return request
end

-- Amazon S3 API Reference, "Examples: Signature calculations in AWS SigV4".
t.test("S3's documented examples", function()
  t.equal(sigv4.sign(s3("GET", "/test.txt", { { "Range", "bytes=0-9" } })).signature,
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
  t.equal(sigv4.sign(s3("PUT", "/test%24file.text", {
    { "Date", "Fri, 24 May 2013 00:00:00 GMT" }, { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
  }, { body = "Welcome to Amazon S3." })).signature,
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
  t.equal(sigv4.sign(s3("GET", "/?lifecycle", {})).signature,
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
  t.equal(sigv4.sign(s3("GET", "/?max-keys=2&prefix=J", {})).signature,
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
end)

-- The same reference, "Authenticating requests: using query parameters".
t.test("S3's documented presigned URL", function()
  local r = sigv4.sign(s3("GET", "/test.txt", {}, { expires = 86400 }))
  t.equal(r.signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
  t.contains(r.uri,
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524")
  t.contains(r.canonical_request, "\nUNSIGNED-PAYLOAD")
end)

-- IAM User Guide, the ListUsers example.
t.test("IAM's documented example", function()
  local r = sigv4.sign {
    method = "GET", uri = "/?Action=ListUsers&Version=2010-05-08",
    headers = {
      { "Host", "iam.amazonaws.com" },
      { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" },
    },
    region = "us-east-1", service = "iam", time = "20150830T123600Z",
    credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "wJalrXUtnFEMI/"
      .. "K7MDENG+bPxRfiCYEXAMPLEKEY" },
  }
  t.equal(r.signature, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
end)

local NOW = 1440938160 -- 2015-08-30T12:36:00Z

local function rds(more)
  local request = {
    method = "POST", uri = "/", body = "Action=DescribeDBInstances&Version=2014-10-31",
    headers = {
      { "Host", "rds.us-west-2.amazonaws.com" },
      { "Content-Type", "application/x-www-form-urlencoded" },
      { "User-Agent", "drlua" }, { "X-Amzn-Trace-Id", "Root=1-1" },
    },
    region = "us-west-2", service = "rds", credentials = keys, time = NOW,
  }
  for k, v in pairs(more or {}) do request[k] = v end
  return request
end

local function verify(request, more)
  local received = {
    method = request.method, uri = request.uri, headers = request.headers, body = request.body,
    now = NOW,
    lookup = function(id) return id == keys.access_key_id and keys.secret_access_key or nil end,
  }
  for k, v in pairs(more or {}) do received[k] = v end
  return sigv4.verify(received)
end

t.test("a signed request verifies, with region, service, key and token", function()
  local region, service, id, token = verify(sigv4.apply(rds()))
  t.equal(region, "us-west-2")
  t.equal(service, "rds")
  t.equal(id, keys.access_key_id)
  t.equal(token, nil)
  local with_token = rds { credentials = { access_key_id = keys.access_key_id,
    secret_access_key = keys.secret_access_key, session_token = "Fwo/+=token" } }
  t.equal(select(4, verify(sigv4.apply(with_token))), "Fwo/+=token")
  t.equal(select(4,
    verify(sigv4.apply(rds { credentials = with_token.credentials, expires = 60 }))), "Fwo/+=token")
end)

t.test("headers that proxies change are not signed", function()
  local request = sigv4.apply(rds())
  request.headers[3][2] = "another agent"
  request.headers[4][2] = "Root=2-2"
  t.equal((verify(request)), "us-west-2")
end)

t.test("apply signs again for a retry, leaving one set of headers", function()
  local request = sigv4.apply(rds())
  request.time = NOW + 60
  sigv4.apply(request)
  t.equal(#request.headers, 6)
  t.equal((verify(request, { now = NOW + 60 })), "us-west-2")
end)

local function refused(code, request, more)
  local region, message, actual = verify(request, more)
  t.equal(region, nil)
  t.equal(actual, code)
  t.ok(#message > 10)
  return message
end

t.test("what was changed on the way is refused", function()
  for _, change in ipairs {
    function(r) r.method = "GET" end,
    function(r) r.uri = "/?x" end,
    function(r) r.uri = "/other" end,
    function(r) r.body = r.body .. " " end,
    function(r) r.headers[1] = { "Host", "rds.us-east-1.amazonaws.com" } end,
    function(r) r.headers[2] = { "Content-Type", "text/plain" } end,
    function(r) table.remove(r.headers, 2) end,
    function(r) table.insert(r.headers, { "Content-Type", "text/plain" }) end,
  } do
    local request = sigv4.apply(rds())
    change(request)
    refused("SignatureDoesNotMatch", request)
  end
end)

t.test("a wrong secret, an unknown key, and what lookup says of one", function()
  local request = sigv4.apply(rds())
  refused("SignatureDoesNotMatch", request, { lookup = function() return "wrong" end })
  refused("SignatureDoesNotMatch", request, { lookup = function() return "" end })
  t.contains(refused("InvalidClientTokenId", request, { lookup = function() end }),
    "security token")
  t.contains(refused("ExpiredToken", request, {
    lookup = function() return nil, "The security token "
      .. "included in the request is expired", "ExpiredToken" end,
  }), "expired")
  t.raises("no such world", verify, request, { lookup = function() error("no such world") end })
  t.raises("must not", verify, request, { lookup = function() sigv4.sign(rds()) end })
  t.equal((verify(request)), "us-west-2", "and the signer goes on working")
end)

t.test("the time may be off by 15 minutes, not more", function()
  local request = sigv4.apply(rds())
  t.equal((verify(request, { now = NOW + 900 })), "us-west-2")
  t.equal((verify(request, { now = NOW - 900 })), "us-west-2")
  t.equal(refused("SignatureDoesNotMatch", request, { now = NOW + 901 }),
    "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z "
      .. "(20150830T125101Z - 15 min.)")
  t.contains(refused("SignatureDoesNotMatch", request, { now = NOW - 901 }),
    "Signature not yet current")
  refused("RequestExpired", sigv4.apply(rds { service = "ec2" }), { now = NOW + 901 })
  refused("RequestTimeTooSkewed",
    sigv4.apply(rds { service = "s3", normalize_path = false, double_encode = false }),
    { now = NOW + 901 })
end)

t.test("a presigned request lives as long as it says", function()
  local request = sigv4.apply(rds { method = "GET", body = "", expires = 3600 })
  t.equal((verify(request, { now = NOW + 3600 })), "us-west-2")
  refused("RequestExpired", request, { now = NOW + 3601 })
  request.uri = request.uri:gsub("Expires=3600", "Expires=7200")
  refused("SignatureDoesNotMatch", request)
  request.uri = request.uri:gsub("Expires=7200", "Expires=700000")
  refused("AuthorizationQueryParametersError", request)
  t.raises("1 to 604800", sigv4.sign, rds { expires = 604801 })
end)

t.test("incomplete signatures are named", function()
  refused("MissingAuthenticationToken", rds())
  local function with(authorization)
    local request = sigv4.apply(rds())
    request.headers[#request.headers] = { "Authorization", authorization }
    return request
  end
  refused("IncompleteSignature", with("AWS AKID:abc"))
  t.contains(refused("IncompleteSignature", with("AWS4-HMAC-SHA256 "
    .. "SignedHeaders=host, Signature=00")), "Credential")
  t.contains(refused("IncompleteSignature",
    with("AWS4-HMAC-SHA256 Credential=A/20150830/us-west-2/rds/aws4_request, Signature=00")),
    "SignedHeaders")
  t.contains(refused("IncompleteSignature",
    with("AWS4-HMAC-SHA256 Credential=A/20150830/us-west-2/rds/aws4_request, SignedHeaders=host")),
    "Signature")
  t.contains(refused("IncompleteSignature",
    with("AWS4-HMAC-SHA256 Credential=A/20150830/aws4_request, SignedHeaders=host, Signature=00")),
    "slash-delimited")
  t.contains(refused("IncompleteSignature",
    with("AWS4-HMAC-SHA256 Credential=A/20150830/us-west-2/rds/aws4_request, "
      .. "SignedHeaders=date, Signature=0")), "Host")
  t.contains(refused("SignatureDoesNotMatch",
    with("AWS4-HMAC-SHA256 Credential=A/20150829/us-west-2/rds/aws4_request, "
      .. "SignedHeaders=host, Signature=0")),
    "20150829")
  t.contains(refused("SignatureDoesNotMatch",
    with("AWS4-HMAC-SHA256 Credential=A/20150830/us-west-2/rds/aws5_request, "
      .. "SignedHeaders=host, Signature=0")),
    "aws5_request")
end)

t.test("signed headers listed again and again are refused, not followed", function()
  local request = sigv4.apply(rds())
  for _ = 1, 200 do table.insert(request.headers, 1, { "Host", ("h"):rep(50) }) end
  local authorization = request.headers[#request.headers]
  authorization[2] = authorization[2]:gsub("SignedHeaders=[^,]*", "SignedHeaders="
    .. ("host;"):rep(3000) .. "host")
  refused("SignatureDoesNotMatch", request)
end)

t.test("S3: a body that does not have the hash that was signed", function()
  local request = sigv4.apply(s3("PUT", "/key", {}, { body = "true", time = NOW }))
  t.equal((verify(request)), "us-east-1")
  request.body = "lies"
  refused("XAmzContentSHA256Mismatch", request)
  for _, word in ipairs { "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER" } do
    request = sigv4.apply(s3("PUT", "/key", {}, { body = "true", payload_hash = word, time = NOW }))
    request.body = "anything"
    t.equal((verify(request)), "us-east-1", word)
  end
end)

t.test("S3 takes paths as they come; other services normalise them", function()
  local r = sigv4.sign(s3("GET", "/a//b/../c%2fd e+f", {}))
  t.matches(r.canonical_request, "^GET\n/a//b/%.%./c%%2Fd%%20e%%2Bf\n")
  r = sigv4.sign(rds { uri = "/a//b/../c%2fd/./x:y*/" })
  t.matches(r.canonical_request, "^POST\n/a/c%%252fd/x%%3Ay%%2A/\n")
end)

t.test("queries are sorted by name, then value, and encoded once", function()
  local r = sigv4.sign(rds { uri = "/?b=2&a=%7e&a=&a&c&a%2fb=x y&A=1&a-=1&&" })
  t.equal(r.canonical_request:match("^POST\n/\n(.-)\n"), "A=1&a=&a=&a=~&a%2Fb=x%20y&a-=1&b=2&c=")
end)

t.test("header values are folded", function()
  local headers = { { "Host", "h" }, { "X-B", "  a \t  b\n c  " }, { "X-A", "" }, { "x-b", "d" } }
  local r = sigv4.sign(rds { headers = headers })
  t.contains(r.canonical_request, "host:h\nx-a:\nx-amz-date:20150830T123600Z\nx-b:a b "
    .. "c,d\n\nhost;x-a;x-amz-date;x-b\n")
end)

t.test("keys of many regions and services, and longer than the cache takes", function()
  for round = 1, 3 do
    for i = 1, 150 do
      local request = rds { region = "region-" .. i % 30, service = "service-" .. i }
      t.equal((verify(sigv4.apply(request))), request.region, round)
    end
  end
  local secret = ("s"):rep(300)
  local request = sigv4.apply(rds { credentials = { access_key_id = "A",
    secret_access_key = secret } })
  t.equal((verify(request, { lookup = function() return secret end })), "us-west-2")
  refused("SignatureDoesNotMatch", request, { lookup = function() return secret .. "s" end })
end)

t.test("the presigned form of a URI that has a query, or an empty one", function()
  t.matches(sigv4.sign(rds { uri = "/?a=b", expires = 5 }).uri, "^/%?a=b&X%-Amz%-Algorithm=")
  t.matches(sigv4.sign(rds { uri = "/?", expires = 5 }).uri, "^/%?X%-Amz%-Algorithm=")
  t.matches(sigv4.sign(rds { uri = "/?a=?", expires = 5 }).uri, "^/%?a=%?&X%-Amz%-Algorithm=")
  t.equal((verify(sigv4.apply(rds { uri = "/?a=?", expires = 5 }))), "us-west-2")
  t.matches(sigv4.sign(rds { uri = "/", expires = 5 }).uri, "^/%?X%-Amz%-Algorithm=")
end)

t.test("SigV4A signs for a set of regions, and is checked with the derived key", function()
  local request = sigv4.apply(rds { service = "s3", region = "*", asymmetric = true,
    sign_body_header = true, normalize_path = false, double_encode = false })
  t.equal((verify(request)), "*")
  request.body = request.body .. "x"
  refused("XAmzContentSHA256Mismatch", request)
  request = sigv4.apply(rds { service = "s3", region = "us-west-2,us-east-1", asymmetric = true,
    expires = 100, normalize_path = false, double_encode = false })
  t.equal((verify(request)), "us-west-2,us-east-1")
  request.uri = request.uri:gsub("us%-east%-1", "us-east-2")
  refused("SignatureDoesNotMatch", request)
end)

t.test("what is wrong with a request is said", function()
  t.raises("no Host header", sigv4.sign, rds { headers = {} })
  t.raises("unknown option regoin; known: asymmetric, body", sigv4.sign, rds { regoin = "x" })
  t.raises("20150830T123600Z", sigv4.sign, rds { time = "2015-08-30" })
  t.raises("headers%[1%] must be a pair", sigv4.sign, rds { headers = { { "Host" } } })
  t.raises("region: a string expected, got boolean", sigv4.sign, rds { region = false })
  t.raises("no secret access key", sigv4.sign,
    rds { credentials = { access_key_id = "x", secret_access_key = "" } })
end)

t.test("damaged requests are refused, whatever the damage", function()
  math.randomseed(20150830)
  for _ = 1, 2000 do
    local request = sigv4.apply(rds { expires = math.random(2) == 1 and 60 or nil })
    local target = math.random(2) == 1 and request.expires and "uri" or "header"
    local text = target == "uri" and request.uri or request.headers[#request.headers][2]
    local at = math.random(#text)
    local damaged = text:sub(1, at - 1) .. string.char(math.random(0, 255))
      .. text:sub(at + math.random(0, 2))
    if target == "uri" then
      request.uri = damaged
    else
      request.headers[#request.headers][2] = damaged
    end
    if crypto.equal(damaged, text) == false then
      local region = verify(request)
      -- Some damage is to what does not count: a space, the case of a hex digit.
      t.ok(region == nil or damaged:lower():gsub("[ ,]", "") == text:lower():gsub("[ ,]", "")
        or target == "header" and request.expires, "accepted: " .. damaged)
    end
  end
end)
