--- The simulator: time to its first answer, describe calls a second, memory, and the
-- time to a world with a primary and a cross-region replica.
local clock = require "native.clock"
local errors = require "errors"
local fs = require "native.fs"
local http = require "native.http"
local process = require "native.process"
local sigv4 = require "native.sigv4"
local sys = require "native.sys"
local task = require "task"

local LOAD_SECONDS, CONNECTIONS = 4, 16
local BODY = "Action=DescribeDBInstances&Version=2014-10-31"

local function verdict(name, value, limit, at_most)
  local good = at_most and value <= limit or not at_most and value >= limit
  print(("  %-44s %.2f (%s %g) %s"):format(name, value, at_most and "at most" or "at least", limit,
    good and "ok" or "SHORT"))
end

-- Starts `drlua sim` on a free port: the process, its URL, seconds until ready.
local function start(world)
  local began = clock.monotonic()
  local argv = { sys.exe(), "sim", "--listen", "127.0.0.1:0" }
  if world then table.move({ "--world", world }, 1, 2, #argv + 1, argv) end
  local proc = errors.check("start", process.start { argv = argv, stdin = "null", stdout = "pipe",
    stderr = "inherit", die_with_parent = true })
  local line = errors.check("drlua sim", task.await(proc:read("stdout", 200)))
  return proc, line:match("http://%S+"), clock.monotonic() - began
end

local function stop(proc)
  proc:kill("TERM")
  task.await(proc:wait())
  proc:close()
end

local function signed(url)
  return sigv4.sign { method = "POST", uri = "/", body = BODY, region = "us-east-1",
    service = "rds", headers = {
    { "Host", url:match("//(.*)") },
    { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" } },
    credentials = { access_key_id = "test", secret_access_key = "test" } }.headers
end

local function describe(url, headers)
  local answer = errors.check("call",
    task.await(http.request { method = "POST", url = url .. "/", headers = headers,
    body = BODY, timeout = 10 }))
  if answer.status ~= 200 then errors.raise { message = "status " .. answer.status } end
end

-- Calls a second: by wrk where it is installed, else by our own client, which takes
-- about as long for a call as the simulator does.
local function load(url)
  local headers = signed(url)
  local script = os.tmpname()
  local lines = { ("wrk.method, wrk.body = 'POST', %q"):format(BODY) }
  for _, pair in ipairs(headers) do
    table.insert(lines, ("wrk.headers[%q] = %q"):format(pair[1], pair[2]))
  end
  fs.write(script, table.concat(lines, "\n"))
  local wrk = io.popen(("wrk -t1 -c%d -d%d -s %s %s/ 2>/dev/null"):format(CONNECTIONS, LOAD_SECONDS,
    script, url))
  local rate = tonumber(wrk:read("a"):match("Requests/sec:%s*([%d.]+)"))
  wrk:close()
  os.remove(script)
  if rate then return rate, "wrk" end
  local began, count, workers = clock.monotonic(), 0, {}
  for i = 1, CONNECTIONS do
    workers[i] = function()
      while clock.monotonic() - began < LOAD_SECONDS do
        describe(url, headers)
        count = count + 1
      end
    end
  end
  task.all(workers)
  return count / (clock.monotonic() - began), "native.http"
end

-- Seconds of CPU time that the simulator has used; unlike calls a second it does not
-- depend on what else the machine does.
local function cpu_seconds(proc)
  local text = fs.read(("/proc/%d/stat"):format(proc.pid)):match("%) (.*)")
  local fields = {}
  for field in text:gmatch("%S+") do table.insert(fields, field) end
  return (tonumber(fields[12]) + tonumber(fields[13])) / 100
end

local function peak_mb(proc)
  return tonumber(fs.read(("/proc/%d/status"):format(proc.pid)):match("VmHWM:%s*(%d+)")) / 1024
end

local function world_file()
  local path = os.tmpname() .. ".lua"
  fs.write(path, [[return {
    instances = { { id = "shop", user = "shop", password = "a-good-password", db = "shop" } },
    replicas = { { id = "shop-dr", region = "us-west-2", source = "shop" } },
  }]])
  return path
end

local function empty()
  local ready = math.huge
  for _ = 1, 5 do
    local began = clock.monotonic()
    local proc, url = start()
    describe(url, signed(url))
    ready = math.min(ready, clock.monotonic() - began)
    stop(proc)
  end
  verdict("first signed answer, s", ready, 0.1, true)
end

local function loaded()
  local path = world_file()
  local proc, url, seconds = start(path)
  verdict("a world of primary and replica, s", seconds, 10, true)
  local before, began = cpu_seconds(proc), clock.monotonic()
  local rate, by = load(url)
  local calls = rate * math.min(LOAD_SECONDS, clock.monotonic() - began)
  verdict("describe calls a second (" .. by .. ")", rate, 10000, false)
  verdict("CPU microseconds a describe call", (cpu_seconds(proc) - before) / calls * 1e6, 100, true)
  verdict("peak memory after that, MB", peak_mb(proc), 40, true)
  stop(proc)
  os.remove(path)
end

empty()
loaded()
