--- Milliseconds to parse a DescribeDBInstances answer. Usage: parse.lua FILE REPEATS
local clock = require "native.clock"
local model = require "native.model"

local file = assert(io.open(arg[1], "rb"))
local body = file:read("a")
file:close()
local m = model.open("rds")
local answer = { status = 200, headers = { { "Content-Type", "text/xml" } }, body = body }
local count = #m:parse("DescribeDBInstances", answer).DBInstances
local best = math.huge
for _ = 1, tonumber(arg[2]) do
  local began = clock.monotonic()
  assert(m:parse("DescribeDBInstances", answer))
  best = math.min(best, clock.monotonic() - began)
end
print(("%.3f %d"):format(best * 1000, count))
