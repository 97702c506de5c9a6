--- Calls a second of this client. Usage: calls.lua URL COUNT IN_FLIGHT; prints the rate,
-- the peak memory in MiB and the CPU seconds used.
local aws = require "aws"
local clock = require "native.clock"
local task = require "task"

local url, count, in_flight = arg[1], tonumber(arg[2]), tonumber(arg[3])
local rds = aws.rds { region = "us-west-2", endpoint_url = url,
  credentials = { access_key_id = "AKIDEXAMPLE", secret_access_key = "secret" } }

local INPUT = { DBInstanceIdentifier = "app-dr" }
rds:describe_db_instances(INPUT) -- the first one opens the connection

local left = count
local function worker()
  while left > 0 do
    left = left - 1
    local answer = rds:describe_db_instances(INPUT)
    assert(answer.DBInstances)
  end
end

local workers = {}
for i = 1, in_flight do workers[i] = worker end
local began, cpu = clock.monotonic(), os.clock()
task.all(workers)
local seconds = clock.monotonic() - began

local peak = 0
for line in io.lines("/proc/self/status") do
  peak = tonumber(line:match("^VmHWM:%s+(%d+)")) or peak
end
print(("%.0f %.1f %.2f"):format(count / seconds, peak / 1024, os.clock() - cpu))
