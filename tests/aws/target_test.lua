-- Where calls go: what the rules say with what the client knows.
local aws = require "aws"
local t = require "harness"

local KEYS = { access_key_id = "AKID", secret_access_key = "secret" }

local function origin(service, options, operation, input)
  options.credentials = options.credentials or KEYS
  options.region = options.region or "us-west-2"
  local client = aws[service](options)
  return client:target(client:operation(operation), input or {}).origin
end

t.test("DynamoDB is asked at the account's own endpoint when the "
  .. "credentials tell the account", function()
  local known = { access_key_id = "AKID", secret_access_key = "secret",
    account_id = "111122223333" }
  local input = { TableName = "orders" }
  t.equal(origin("dynamodb", { credentials = known }, "DescribeTable", input),
    "https://111122223333.ddb.us-west-2.amazonaws.com")
  t.equal(origin("dynamodb", {}, "DescribeTable", input),
    "https://dynamodb.us-west-2.amazonaws.com")
  t.equal(origin("dynamodb", { credentials = known, endpoint_url = "http://127.0.0.1:8000" },
    "DescribeTable", input), "http://127.0.0.1:8000")
  t.equal(origin("rds", { credentials = known }, "DescribeDBInstances"),
    "https://rds.us-west-2.amazonaws.com")
end)
