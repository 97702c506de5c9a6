-- confidential: what is registered reaches the registry that a run installs.
local t = require "harness"
local confidential = require "confidential"
local secrets = require "run.secrets"

local function install()
  local registry = secrets.new()
  local former = confidential.install(registry)
  t.cleanup(function() confidential.install(former) end)
  return registry
end

t.test("registered before or after the registry came, once, by any floor", function()
  t.equal(confidential.register("thing", "before-4711"), "before-4711")
  local registry = install()
  confidential.register("thing", "after-4711")
  confidential.register("thing", "after-4711")
  t.equal(confidential.mask "before-4711 after-4711", "*** ***")
  t.equal(registry:conceal "before-4711", "***{thing.1}")
  t.equal(registry:conceal "after-4711", "***{thing.2}")
  confidential.install(nil)
  t.equal(confidential.mask "before-4711", "before-4711")
end)

t.test("too short a value, and anything but text, is left alone", function()
  local registry = install()
  for _, value in ipairs { "abcde", 123456789, true, {} } do
    t.equal(confidential.register("thing", value), value)
  end
  t.equal(confidential.register("thing", nil), nil)
  confidential.keys { secret_access_key = "test", session_token = "short" }
  t.equal(registry:mask "abcde test short", "abcde test short")
end)

t.test("of a set of keys the secret and the token; of a presigned URL its signature", function()
  install()
  confidential.keys { access_key_id = "AKIAEXAMPLE", secret_access_key = "wJalr/XUtn+FEMI",
    session_token = "IQoJb3//JpZ2==" }
  local url = "https://h/?Action=connect&X-Amz-Signature=0123456789abcdef"
  confidential.token(url)
  t.equal(confidential.mask "AKIAEXAMPLE wJalr/XUtn+FEMI IQoJb3//JpZ2== wJalr%2FXUtn%2BFEMI",
    "AKIAEXAMPLE *** *** ***")
  t.equal(confidential.mask(url), "https://h/?Action=connect&X-Amz-Signature=***")
end)

t.test("names that tell, and values that are words", function()
  for name, value in pairs { ["X-Api-Key"] = "a1b2c3d4", password = "correcthorse",
    authorization = "Basic x",
    DB_PASSWORD = "postgres", ["Private-Token"] = "glpat-1" } do
    t.ok(confidential.likely(name, value), name)
  end
  for name, value in pairs { ["Idempotency-Key"] = "a1b2c3d4", key = "orders",
    KMS_KEY = "arn:aws:kms:eu-west-1:1:key/x", SORT_KEY = "us-east-1", PAGE_TOKEN = "10",
    AWS_SHARED_CREDENTIALS_FILE = "/home/me/.aws/credentials",
    AWS_ACCESS_KEY_ID = "AKIAEXAMPLE4711", SecretName = "prod/db-4711",
    SSH_KEY_PATH = "/home/me/id_rsa",
    LOG_LEVEL = "debug-4711" } do
    t.ok(not confidential.likely(name, value), name)
  end
end)

t.test("the ends of a long text: a secret that is cut leaves no part", function()
  install()
  confidential.register("thing", "cut-in-two-4711")
  local filler = ("x"):rep(262144 - 7)
  for _, shown in ipairs { confidential.head(filler .. "cut-in-two-4711" .. filler),
    confidential.tail(filler .. "cut-in-two-4711" .. filler) } do
    t.ok(not shown:find("cut-", 1, true) and not shown:find("4711", 1, true))
    t.ok(#shown > 100000)
  end
end)
