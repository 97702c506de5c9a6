-- What playbooks see of a client.
local aws = require "aws"
local facade = require "run.facade"
local t = require "harness"

local function client()
  return aws.rds { region = "us-east-1",
    credentials = { access_key_id = "AKID", secret_access_key = "secret" } }
end

t.test("operations are there, whoever used them before; what makes "
  .. "calls past the gate is not", function()
  local real = client()
  t.equal(type(real.describe_db_instances), "function")
  local seen = facade.client(real)
  for _, name in ipairs { "describe_db_instances", "promote_read_replica", "wait", "each" } do
    t.equal(type(seen[name]), "function", name)
  end
  for _, name in ipairs { "direct", "try_direct", "execute", "serialize", "operation",
    "credentials", "credentials_for",
    "clock", "model", "shared", "targets" } do
    t.equal(seen[name], nil, name)
  end
  t.equal({ seen.service, seen.region }, { "rds", "us-east-1" })
  t.raises("cannot be set", function() seen.describe_db_instances = print end)
end)

t.test("a client's insides stay hidden after it used them", function()
  local real = client()
  for _, name in ipairs { "direct", "operation", "check" } do
    t.equal(type(real[name]), "function", name)
  end
  for _, name in ipairs { "direct", "operation", "check" } do
    t.equal(facade.client(real)[name], nil, name)
  end
end)

t.test("a method that is called with a dot is refused with the right form", function()
  local seen = facade.client(client())
  for _, name in ipairs { "describe_db_instances", "wait", "each", "all", "pages", "call", "try",
    "find",
      "auth_token" } do
    t.raises(("rds%%.%s: call it with a colon, rds:%s%%("):format(name, name), function()
      seen[name] { DBInstanceIdentifier = "shop-dr" }
    end)
  end
  t.raises("call it with a colon", function() seen.describe_db_instances(client(), {}) end)
  t.raises("call it with a colon", function() seen.describe_db_instances() end)
end)
