local t = require "harness"
local aws = require "aws"
local clock = require "native.clock"
local effect = require "effect"
local errors = require "errors"
local fake = require "fake"
local files = require "files"
local lane = require "aws.lane"
local observer = require "aws.observer"
local sys = require "native.sys"
local task = require "task"

fake.own_settings()

local KEYS = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" }

-- Real time for sockets; sleeps are noted and cost next to nothing, so that a test of
-- back-off does not back off.
local function test_clock()
  local offset, slept = 0, {}
  return {
    now = clock.now, parse = clock.parse, random = function() return 1 end, slept = slept,
    monotonic = function() return clock.monotonic() + offset end,
    sleep = function(seconds)
      table.insert(slept, seconds) offset = offset + seconds task.yield()
    end,
    advance = function(seconds) offset = offset + seconds end,
  }
end

local function start(script, options)
  lane.reset()
  local server = fake.start(script)
  t.cleanup(function() server:close() end)
  local all = { region = "us-west-2", endpoint_url = server.url, credentials = KEYS,
    clock = test_clock() }
  for k, v in pairs(options or {}) do all[k] = v end
  return server, all, all.clock
end

local IDENTITY = [[<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/test</Arn><UserId>AIDA</UserId><Account>123456789012</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>]]

local function xml_error(code, message)
  return ("<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"
    .. "<RequestId>req-9</RequestId></ErrorResponse>"):format(code, message or "no")
end

local OK = { body = IDENTITY }
local THROTTLED = { status = 400, body = xml_error("Throttling", "Rate exceeded") }
local BROKEN = { status = 500, body = xml_error("InternalFailure", "sorry") }

t.test("a call is signed, sent and parsed", function()
  local server, options = start(OK)
  local answer = aws.sts(options):get_caller_identity {}
  t.equal(answer.Account, "123456789012")
  local request = server.requests[1]
  t.equal(request.method, "POST")
  t.equal(request.body, "Action=GetCallerIdentity&Version=2011-06-15")
  t.matches(fake.header(request, "Authorization"),
    "^AWS4%-HMAC%-SHA256 Credential=AKIDEXAMPLE/%d+/us%-west%-2/sts/aws4_request, SignedHeaders=")
  t.matches(fake.header(request, "User-Agent"), "^drlua/")
end)

t.test("an error of AWS is an object and a sentence", function()
  local _, options = start { status = 404,
    body = xml_error("DBInstanceNotFound", "DBInstance app-dr not found.") }
  local e = t.raises("rds.DescribeDBInstances of app%-dr in us%-west%-2 failed: "
    .. "DBInstance app%-dr not found. "
    .. "%(DBInstanceNotFound, request req%-9%). Next: list what is there",
    function() aws.rds(options):describe_db_instances { DBInstanceIdentifier = "app-dr" } end)
  t.ok(errors.is(e))
  for name, value in pairs { kind = "aws", code = "DBInstanceNotFound", request_id = "req-9",
    service = "rds", operation = "DescribeDBInstances", region = "us-west-2", status = 404,
    retryable = false, resource = "app-dr" } do
    t.equal(e[name], value, name)
  end
end)

t.test("passing faults and throttles are tried again, three attempts in all", function()
  local server, options, time = start { BROKEN, THROTTLED, OK }
  t.equal(aws.sts(options):get_caller_identity({}).Account, "123456789012")
  t.equal(#server.requests, 3)
  t.equal(time.slept[1], 0.05, "after a 500")
  t.equal(time.slept[2], 2.0, "after a throttle, second attempt")
  t.equal(fake.header(server.requests[3], "amz-sdk-request"), "attempt=3; max=3")
end)

t.test("then it fails with the last answer", function()
  local server, options = start(BROKEN)
  local e = t.raises("failed: sorry. %(InternalFailure, request req%-9%) after 3 attempts",
    function() aws.sts(options):get_caller_identity {} end)
  t.equal(#server.requests, 3)
  t.equal(e.attempts, 3)
  t.equal(e.retryable, true)
end)

t.test("dynamodb has four attempts; max_attempts is obeyed", function()
  local body = '{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"x"}'
  local server, options = start { status = 500, body = body }
  t.raises("after 4 attempts", function() aws.dynamodb(options):list_tables {} end)
  t.equal(#server.requests, 4)
  server, options = start(BROKEN, { max_attempts = 1 })
  t.raises("InternalFailure", function() aws.sts(options):get_caller_identity {} end)
  t.equal(#server.requests, 1)
end)

t.test("x-amz-retry-after decides when it is longer", function()
  local _, options, time = start {
    { status = 503, body = xml_error("X"), headers = { { "x-amz-retry-after", "1500" } } }, OK }
  aws.sts(options):get_caller_identity {}
  t.equal(time.slept[1], 1.5)
end)

t.test("a client error is not tried again", function()
  local server, options = start { status = 403,
    body = xml_error("AccessDenied", "User is not authorized") }
  local e = t.raises("Next: the identity in use lacks the permission",
    function() aws.sts(options):get_caller_identity {} end)
  t.equal(#server.requests, 1)
  t.equal(e.retryable, false)
end)

t.test("a dropped connection is tried again by reads", function()
  local server, options = start { { reset = true }, OK }
  aws.sts(options):get_caller_identity {}
  t.equal(#server.requests, 2)
end)

t.test("what may have been carried out and cannot be repeated "
  .. "is in doubt, not sent again", function()
  local server, options = start { reset = true }
  local e = t.raises("It may have been carried out all the same: look at the "
    .. "resource before repeating it",
    function() aws.rds(options):promote_read_replica { DBInstanceIdentifier = "app-dr" } end)
  t.equal(#server.requests, 1)
  t.equal(e.in_doubt, true)
  t.equal(e.doubtful, true)
  server, options = start(BROKEN)
  e = t.raises("sorry",
    function() aws.rds(options):promote_read_replica { DBInstanceIdentifier = "app-dr" } end)
  t.equal(#server.requests, 1)
  t.equal(e.in_doubt, true)
end)

t.test("but a throttle refused it before it began", function()
  local server, options = start { THROTTLED, { body = "<PromoteReadReplicaResponse>"
    .. "<PromoteReadReplicaResult>"
    .. "<DBInstance><DBInstanceIdentifier>app-dr</DBInstanceIdentifier></DBInstance>"
    .. "</PromoteReadReplicaResult>"
    .. "</PromoteReadReplicaResponse>" } }
  local answer = aws.rds(options):promote_read_replica { DBInstanceIdentifier = "app-dr" }
  t.equal(answer.DBInstance.DBInstanceIdentifier, "app-dr")
  t.equal(#server.requests, 2)
end)

t.test("a call with a token is repeated with the same token", function()
  local server, options = start { { reset = true }, { body = '{"BackupJobId":"b-1"}' } }
  local answer = aws.backup(options):start_backup_job { BackupVaultName = "v",
    ResourceArn = "arn:x", IamRoleArn = "arn:y" }
  t.equal(answer.BackupJobId, "b-1")
  local first = server.requests[1].body:match('"IdempotencyToken":"([^"]+)"')
  t.ok(first)
  t.equal(server.requests[2].body:match('"IdempotencyToken":"([^"]+)"'), first)
end)

t.test("a repeated call that then finds its work done says so", function()
  local _, options = start { BROKEN,
    { status = 404, body = xml_error("DBInstanceNotFound", "gone") } }
  t.raises("An earlier attempt got no answer and may have succeeded", function()
    aws.rds(options):delete_db_instance { DBInstanceIdentifier = "x", SkipFinalSnapshot = true }
  end)
end)

t.test("one deadline holds for all attempts", function()
  local server, options = start({ silent = true }, { timeout = 0.3 })
  local began = clock.monotonic()
  local e = t.raises("region us%-west%-2 does not answer %(sts at 127.0.0.1:%d+: ", function()
    aws.sts(options):get_caller_identity {}
  end)
  t.ok(clock.monotonic() - began < 5)
  t.equal(e.kind, "timeout")
  t.equal(e.retryable, true)
  t.ok(#server.requests >= 1)
end)

t.test("a silent region costs one deadline: then calls fail at once, "
  .. "until a probe gets through", function()
  local steps = { { silent = true }, { silent = true }, { silent = true }, OK }
  local server, options, time = start(function(_, n) return steps[math.min(n, #steps)] end,
    { timeout = 0.2 })
  local sts = aws.sts(options)
  local first = t.raises("does not answer", function() sts:get_caller_identity {} end)
  local sent = #server.requests
  local second = t.raises("does not answer", function() sts:get_caller_identity {} end)
  t.equal(#server.requests, sent, "nothing was sent")
  t.equal(second.reason, first.reason)
  t.equal(second.at_once, true)
  -- another client, the same lane
  t.raises("does not answer", function() aws.sts(options):get_caller_identity {} end)
  t.equal(#server.requests, sent)
  time.advance(6)
  for n = sent + 1, 10 do steps[n] = OK end
  steps[sent + 1] = OK
  server.script = OK
  t.equal(sts:get_caller_identity({}).Account, "123456789012")
  t.equal(sts:get_caller_identity({}).Account, "123456789012")
end)

t.test("an answer with an error keeps the breaker closed", function()
  local server, options = start(BROKEN)
  local sts = aws.sts(options)
  for _ = 1, 2 do t.raises("InternalFailure", function() sts:get_caller_identity {} end) end
  t.equal(#server.requests, 6)
end)

t.test("an open breaker lets a mutation through only after a ping", function()
  local server, options, time = start({ silent = true }, { timeout = 0.2 })
  local rds = aws.rds(options)
  t.raises("does not answer", function() rds:describe_db_instances {} end)
  time.advance(6)
  server.script = function(request)
    if request.method == "GET" then return { status = 404 } end
    return { body = "<RebootDBInstanceResponse><RebootDBInstanceResult/>"
      .. "</RebootDBInstanceResponse>" }
  end
  local sent = #server.requests
  rds:reboot_db_instance { DBInstanceIdentifier = "x" }
  t.equal(server.requests[sent + 1].method, "GET")
  t.equal(server.requests[sent + 2].method, "POST")
end)

t.test("a wrong clock is corrected from the answer and the call repeated", function()
  local server, options, time = start(function(_, n)
    if n > 1 then return OK end
    return { status = 403, body = xml_error("RequestTimeTooSkewed"),
      headers = { { "Date", clock.format(clock.now() + 3600, "http") } } }
  end)
  aws.sts(options):get_caller_identity {}
  t.equal(#server.requests, 2)
  t.equal(#time.slept, 0)
  local function at(request) return clock.parse(fake.header(request, "X-Amz-Date")) end
  local moved = at(server.requests[2]) - at(server.requests[1])
  t.ok(moved > 3500 and moved < 3700, "moved by " .. moved)
  aws.sts(options):get_caller_identity {}
  t.equal(#server.requests, 3, "later calls are right at once")
end)

t.test("a wrong clock is corrected for calls that left together, and "
  .. "where an answer has no code", function()
  local _, options = start(function(request)
    local at = clock.parse(fake.header(request, "X-Amz-Date"))
    if at > clock.now() + 3000 then return OK end
    return { status = 403, headers = { { "Date", clock.format(clock.now() + 3600, "http") } },
      body = request.method ~= "HEAD" and xml_error("SignatureDoesNotMatch") or "" }
  end)
  local sts, s3 = aws.sts(options), aws.s3(options)
  local calls = {}
  for i = 1, 4 do calls[i] = function() return sts:get_caller_identity({}).Account end end
  t.equal(task.all(calls), { "123456789012", "123456789012", "123456789012", "123456789012" })
  options.clock.skew = nil
  s3:head_bucket { Bucket = "b" }
  t.equal(math.floor(options.clock.skew / 60 + 0.5), 60)
end)

t.test("a wrong signature with a right clock is told as it is", function()
  local server, options = start { status = 403, body = xml_error("SignatureDoesNotMatch"),
    headers = { { "Date", clock.format(clock.now(), "http") } } }
  t.raises("SignatureDoesNotMatch.*Next: the secret access key does not belong", function()
    aws.sts(options):get_caller_identity {}
  end)
  t.equal(#server.requests, 1)
end)

t.test("a throttle holds back the other calls to that service and region", function()
  local _, options, time = start { THROTTLED, OK }
  local sts = aws.sts(options)
  sts:get_caller_identity {}
  local before = #time.slept
  lane.list()[1]:throttled(3, time.monotonic())
  sts:get_caller_identity {}
  t.ok(#time.slept == before + 1 and time.slept[before + 1] > 2.9, "held back")
end)

t.test("the quota of retries ends them", function()
  local server, options = start(BROKEN)
  local sts = aws.sts(options)
  for _ = 1, 20 do t.raises("InternalFailure", function() sts:get_caller_identity {} end) end
  t.equal(#server.requests, 20 + 500 // 14)
end)

t.test("wrong input is refused with the playbook's line, and nothing is sent", function()
  local server, options = start(OK)
  local rds = aws.rds(options)
  local e = t.raises("DBInstanceIdentifer",
    function() rds:promote_read_replica { DBInstanceIdentifer = "x" } end)
  t.contains(e.message, "DBInstanceIdentifier")
  t.contains(e.where, "call_test.lua")
  t.equal(e.kind, "misuse")
  e = t.raises("rds has no operation describe_db_instnaces; did you mean describe_db_instances%?",
    function() rds:describe_db_instnaces {} end)
  t.contains(e.where, "call_test.lua")
  t.raises("a table of parameters expected, got string",
    function() rds:describe_db_instances "x" end)
  t.raises("unknown call option timout",
    function() rds:describe_db_instances({}, { timout = 3 }) end)
  t.equal(#server.requests, 0)
end)

t.test("services by any spelling; unknown ones name the nearest", function()
  local _, options = start(OK)
  t.equal(aws.route53_recovery_cluster(options).service, "route53-recovery-cluster")
  t.equal(aws["route53-recovery-cluster"](options).service, "route53-recovery-cluster")
  t.equal(aws.application_autoscaling(options).service, "application-autoscaling")
  t.raises("AWS has no service rdss in its models; did you mean rds%?",
    function() return aws.rdss end)
  t.raises("unknown option regoin; did you mean region%?", function() aws.rds { regoin = "x" } end)
end)

t.test("under a handler a call is described, and gets the run's token", function()
  local server, options = start { body = '{"BackupJobId":"b-1"}' }
  local seen
  local former = effect.install(function(e, fn) seen = e return fn("token-of-the-run") end)
  t.cleanup(function() effect.install(former) end)
  aws.backup(options):start_backup_job { BackupVaultName = "v", ResourceArn = "arn:x",
    IamRoleArn = "arn:y" }
  t.equal(seen.kind, "aws")
  t.equal(seen.read, false)
  t.equal(seen.service, "backup")
  t.equal(seen.operation, "StartBackupJob")
  t.equal(seen.region, "us-west-2")
  t.equal(seen.token_member, "IdempotencyToken")
  t.contains(server.requests[1].body, '"IdempotencyToken":"token-of-the-run"')
  t.equal(seen.check(), nil)
  t.equal(seen.call("describe_backup_job", { BackupJobId = "b-1" }).BackupJobId, "b-1")
end)

t.test("a handler can stop a call before anything is sent", function()
  local server, options = start(OK)
  local former = effect.install(function(e, fn) if e.read then return fn() end return "stopped" end)
  t.cleanup(function() effect.install(former) end)
  t.equal(aws.rds(options):reboot_db_instance { DBInstanceIdentifier = "x" }, "stopped")
  t.equal(#server.requests, 0)
end)

t.test("retries are told to whoever watches", function()
  local _, options = start { BROKEN, OK }
  local events = {}
  local former = observer.install(function(event) table.insert(events, event) end)
  t.cleanup(function() observer.install(former) end)
  aws.sts(options):get_caller_identity {}
  t.equal(#events, 1)
  t.equal(events[1].event, "retry")
  t.equal(events[1].reason, "InternalFailure")
end)

t.test("expired credentials are fetched anew once", function()
  local server, options = start { { status = 403, body = xml_error("ExpiredToken") }, OK }
  local sts = aws.sts(options)
  local renewed = 0
  sts.credentials = { set = KEYS, get = function(self) return self.set end,
    renew = function(self, used)
      renewed = renewed + 1
      t.equal(used, KEYS)
      self.set = { access_key_id = "AKIDNEW", secret_access_key = "other" }
      return true
    end }
  sts:get_caller_identity {}
  t.equal(renewed, 1)
  t.equal(#server.requests, 2)
  t.contains(fake.header(server.requests[2], "Authorization"), "Credential=AKIDNEW/")
end)

t.test("SourceRegion makes the presigned URL of a cross-region copy", function()
  local server, options = start { body = "<CopyDBSnapshotResponse>"
    .. "<CopyDBSnapshotResult/></CopyDBSnapshotResponse>" }
  aws.rds(options)
    :copy_db_snapshot { SourceDBSnapshotIdentifier = "arn:aws:rds:us-east-1:1:snapshot:s",
    TargetDBSnapshotIdentifier = "copy", SourceRegion = "us-east-1" }
  local body = server.requests[1].body
  t.ok(not body:find("SourceRegion=", 1, true))
  local url = body:match("PreSignedUrl=([^&]+)"):gsub("%%(%x%x)",
    function(h) return string.char(tonumber(h, 16)) end)
  t.contains(url, "Action=CopyDBSnapshot")
  t.contains(url, "DestinationRegion=us-west-2")
  t.matches(url, "X%-Amz%-Credential=AKIDEXAMPLE%%2F%d+%%2Fus%-east%-1%%2Frds%%2Faws4_request")
  t.contains(url, "X-Amz-Expires=3600")
end)

t.test("route 53 ids lose their prefix", function()
  local server, options = start { body = "<GetChangeResponse><ChangeInfo><Id>"
    .. "/change/C1</Id><Status>INSYNC</Status>"
    .. "<SubmittedAt>2024-01-01T00:00:00Z</SubmittedAt></ChangeInfo></GetChangeResponse>" }
  options.region = nil
  local answer = aws.route53(options):get_change { Id = "/change/C1" }
  t.equal(answer.ChangeInfo.Status, "INSYNC")
  t.matches(server.requests[1].target, "/change/C1$")
end)

t.test("S3 errors inside a 200 are errors, and tried again", function()
  local copied = '<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>'
  local server, options = start {
    { body = '<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>We had '
      .. 'a problem</Message></Error>' },
    { body = '<?xml version="1.0"?>\n<CopyObjectRes' }, { body = copied } }
  local answer = aws.s3(options):copy_object { Bucket = "b", Key = "k",
    CopySource = { Bucket = "a", Key = "ä b" } }
  t.equal(answer.CopyObjectResult.ETag, '"x"')
  t.equal(#server.requests, 3)
  t.equal(fake.header(server.requests[1], "x-amz-copy-source"), "a/%C3%A4%20b")
end)

t.test("S3 keys of any characters go into path and signature as they are", function()
  local server, options = start { body = "data" }
  local answer = aws.s3(options):get_object { Bucket = "dumps", Key = "daily/07 & ä+?.gz" }
  t.equal(answer.Body, "data")
  t.equal(server.requests[1].target, "/dumps/daily/07%20%26%20%C3%A4%2B%3F.gz")
  t.equal(fake.header(server.requests[1], "x-amz-content-sha256"),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
end)

t.test("folders are the common prefixes", function()
  local server, options = start { body = "<ListBucketResult><CommonPrefixes><Prefix>"
    .. "daily/</Prefix></CommonPrefixes>"
    .. "<CommonPrefixes><Prefix>weekly/</Prefix></CommonPrefixes></ListBucketResult>" }
  t.equal(aws.s3(options):folders("dumps", "x/"), { "daily/", "weekly/" })
  t.contains(server.requests[1].target, "delimiter=%2F")
end)

t.test("lists of keys are asked for encoded, and decoded", function()
  local server, options = start { body = "<ListBucketResult><EncodingType>"
    .. "url</EncodingType><Prefix>a%20b/</Prefix>"
    .. "<Contents><Key>a%20b/%01+c</Key></Contents></ListBucketResult>" }
  local answer = aws.s3(options):list_objects_v2 { Bucket = "dumps", Prefix = "a b/" }
  t.contains(server.requests[1].target, "encoding-type=url")
  t.equal(answer.Prefix, "a b/")
  t.equal(answer.Contents[1].Key, "a b/\1 c")
end)

t.test("a bucket in another region is followed there, and found at once the next time", function()
  local server, options = start(function(request)
    if fake.header(request, "Authorization"):find("/eu-west-1/s3/", 1, true) then
      return { body = "data" }
    end
    return { status = 301, headers = { { "x-amz-bucket-region", "eu-west-1" } },
      body = "<Error><Code>PermanentRedirect</Code><Message>The bucket is in this region: "
        .. "eu-west-1</Message></Error>" }
  end)
  local s3 = aws.s3(options)
  t.equal(s3:get_object({ Bucket = "dumps", Key = "k" }).Body, "data")
  t.equal(#server.requests, 2)
  t.equal(s3:get_object({ Bucket = "dumps", Key = "k" }).Body, "data")
  t.equal(#server.requests, 3)
end)

t.test("a body can go to a file", function()
  local data = ("0123456789"):rep(100000)
  local _, options = start { body = data, headers = { { "x-amz-checksum-crc32", "AAAAAA==" } } }
  local path = os.tmpname()
  t.cleanup(function() os.remove(path) end)
  local answer = aws.s3(options):get_object({ Bucket = "b", Key = "k" }, { sink = { file = path } })
  t.equal(answer.ContentLength, #data)
  local file = assert(io.open(path, "rb"))
  t.equal(file:read("a"), data)
  file:close()
end)

t.test("a body that goes to a file is a change of that file, "
  .. "however the option is written", function()
  local server, options = start { body = "data" }
  local path = os.tmpname()
  t.cleanup(function() os.remove(path) end)
  local seen = {}
  local former = effect.install(function(e, fn)
    table.insert(seen, e)
    if e.read then return fn() end
  end)
  t.cleanup(function() effect.install(former) end)
  local s3, asked = aws.s3(options), 0
  local turning = setmetatable({}, { __index = function(_, key)
    asked = key == "file" and asked + 1 or asked
    return key == "file" and asked > 1 and path or nil
  end })
  local hidden = setmetatable({},
    { __pairs = function() return next, { sink = { file = path } } end })
  for _, call in ipairs { { sink = { file = path } }, { sink = { file = path, append = true } },
    hidden } do
    s3:get_object({ Bucket = "b", Key = "k" }, call)
    t.equal({ seen[#seen].read, seen[#seen].file }, { false, path })
    t.contains(seen[#seen].what, " to " .. path)
  end
  t.equal(#server.requests, 0)
  t.raises("sink", s3.get_object, s3, { Bucket = "b", Key = "k" }, { sink = turning })
  s3:get_object({ Bucket = "b", Key = "k" },
    setmetatable({}, { __index = { sink = { file = path } } }))
  t.equal(io.open(path):read("a"), "")
  -- In a directory of our own it is no change.
  files.temporary(function(directory)
    s3:get_object({ Bucket = "b", Key = "k" }, { sink = { file = directory .. "/x" } })
    t.ok(seen[#seen].read)
    t.equal(files.read(directory .. "/x"), "data")
  end)
end)

t.test("an error's text does not go to the file", function()
  local _, options = start { status = 404, body = "<Error><Code>NoSuchKey</Code>"
    .. "<Message>none</Message></Error>" }
  local path = os.tmpname()
  t.cleanup(function() os.remove(path) end)
  t.raises("NoSuchKey", function()
    aws.s3(options):get_object({ Bucket = "b", Key = "k" }, { sink = { file = path } })
  end)
end)

t.test("a body can come from a file", function()
  local server, options = start {}
  local path = os.tmpname()
  t.cleanup(function() os.remove(path) end)
  local file = assert(io.open(path, "wb"))
  file:write("0123456789")
  file:close()
  aws.s3(options):put_object { Bucket = "b", Key = "k",
    Body = { file = path, offset = 2, length = 5 } }
  t.equal(server.requests[1].body, "23456")
  t.equal(fake.header(server.requests[1], "x-amz-content-sha256"), "UNSIGNED-PAYLOAD")
end)

t.test("in adaptive mode throttles slow the calls that follow", function()
  local _, options, time = start({ THROTTLED, OK }, { retry_mode = "adaptive" })
  local sts = aws.sts(options)
  for _ = 1, 5 do sts:get_caller_identity {} end
  t.ok(lane.list()[1].limiter.enabled)
  t.ok(#time.slept >= 4, "calls waited for their turn: " .. #time.slept)
end)

t.test("a cancelled call leaves nothing behind and tells the breaker nothing", function()
  local _, options = start { silent = true }
  local calling = task.spawn(function() aws.sts(options):get_caller_identity {} end)
  for _ = 1, 3 do task.sleep(0.01) end
  calling:cancel()
  t.equal(t.raises("cancelled", calling.wait, calling).kind, "cancelled")
  t.equal(lane.list()[1].breaker.reason, nil)
end)

t.test("no region is an error with the ways to give one", function()
  local e = t.raises("aws.rds: no region: give region =, or set AWS_REGION", function()
    aws.rds { credentials = KEYS }
  end)
  t.contains(e.where, "call_test.lua")
end)

t.test("a service without regions is told by the region that it lives in", function()
  lane.reset()
  local time = test_clock()
  local route53 = aws.route53 { region = "us-west-2", credentials = KEYS, clock = time }
  local found = route53:target(route53:operation "ListHostedZones", {})
  t.equal(found.host, "route53.amazonaws.com")
  t.equal(found.signing_region, "us-east-1")
  t.equal(found.region, "us-east-1")
  t.equal(aws.route53 { credentials = KEYS }:target(route53:operation "ListHostedZones", {}).region,
    "us-east-1")
  local rds = aws.rds { region = "eu-west-1", credentials = KEYS }
  t.equal(rds:target(rds:operation "DescribeDBInstances", {}).region, "eu-west-1")
end)

t.test("services that take a token get it", function()
  local server, options = start { body = '{"displayName":"me"}' }
  local client = aws.codecatalyst(options)
  t.raises("takes a token of IAM Identity Center: name an sso_session in the "
    .. "profile, or set AWS_BEARER_TOKEN_",
    function() client:verify_session {} end)
  t.equal(#server.requests, 0)
  local name = "AWS_BEARER_TOKEN_" .. client.signing_name:upper():gsub("[^%w]", "_")
  sys.setenv(name, "secret-token")
  t.cleanup(function() sys.setenv(name, nil) end)
  client:verify_session {}
  t.equal(fake.header(server.requests[1], "Authorization"), "Bearer secret-token")
end)
