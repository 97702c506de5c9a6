--- A scripted HTTP server inside the test's own process: real sockets, and an answer,
-- a reset or silence for each request as the script says.
local native = require "native.server"
local sys = require "native.sys"
local task = require "task"

local fake = {}

local Fake = {}
Fake.__index = Fake

local function answer(self, request, step)
  if step.delay then task.sleep(step.delay) end
  if step.silent then
    table.insert(self.held, request) -- kept open, never answered
    return
  end
  if step.reset then request:reset() return end
  request:respond { status = step.status or 200, headers = step.headers or {}, body = step.body
    or "",
    cut_after_bytes = step.cut_after_bytes }
end

local function serve(self)
  while true do
    local request = task.await(self.server:accept())
    if not request then return end
    table.insert(self.requests, { method = request.method, target = request.target,
      headers = request.headers, body = request.body })
    local step = self.script
    if type(step) == "function" then
      step = step(self.requests[#self.requests], #self.requests)
    elseif step[1] then
      step = step[math.min(#self.requests, #step)]
    end
    table.insert(self.answers, task.spawn(answer, self, request, step))
  end
end

--- Starts a server on a free port. script: one step, a list of steps (the last one
-- repeats), or function(request, number) that returns one. A step: status, headers,
-- body; delay (seconds); reset; silent; cut_after_bytes.
function fake.start(script)
  local self = setmetatable({ script = script, requests = {}, answers = {}, held = {} }, Fake)
  self.server = assert(native.listen { host = "127.0.0.1", port = 0 })
  self.url = ("http://127.0.0.1:%d"):format(self.server.port)
  self.accepting = task.spawn(serve, self)
  return self
end

--- Ends it; connections that are open are closed.
function Fake:close()
  self.accepting:cancel()
  pcall(self.accepting.wait, self.accepting)
  for _, each in ipairs(self.answers) do
    each:cancel()
    pcall(each.wait, each)
  end
  for _, request in ipairs(self.held) do pcall(request.reset, request) end
  self.held = {}
  self.server:close()
end

--- Takes the settings of whoever runs the tests out of this process.
function fake.own_settings()
  for _, name in ipairs { "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT", "AWS_CA_BUNDLE",
    "AWS_SDK_UA_APP_ID" } do sys.setenv(name, nil) end
  sys.setenv("AWS_CONFIG_FILE", "/nonexistent")
  sys.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
end

--- The value of a request's header, or nil.
function fake.header(request, name)
  for _, pair in ipairs(request.headers) do
    if pair[1]:lower() == name:lower() then return pair[2] end
  end
end

return fake
