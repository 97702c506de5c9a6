--- moto's server as a peer for tests: an AWS that we did not write, which checks our
-- signatures and IAM permissions.
local errors = require "errors"
local fs = require "native.fs"
local http = require "native.http"
local process = require "native.process"
local sys = require "native.sys"
local task = require "task"

local moto = {}

local VENV = sys.getenv "DRLUA_VENV" or "build/venv"

--- True when moto is installed.
function moto.present() return fs.stat(VENV .. "/bin/moto_server") ~= nil end

--- Starts a server on a free port: `{ url, stop() }`.
function moto.start()
  local child = errors.check("start moto", process.start {
    argv = { VENV .. "/bin/moto_server", "-H", "127.0.0.1", "-p", "0" }, stdin = "null",
    stdout = "null", stderr = "pipe", die_with_parent = true,
    env = { PATH = sys.getenv "PATH", HOME = sys.getenv "HOME", PYTHONUNBUFFERED = "1" } })
  local text, url = "", nil
  while not url do
    local data = task.await(child:read("stderr", 4096))
    if not data then errors.raise { kind = "failed", message = "moto did not start:\n" .. text } end
    text = text .. data
    url = text:match("Running on (http://[%d.:]+)")
  end
  -- It logs every request: read on, or the pipe fills up.
  local reader = task.spawn(function()
    while task.await(child:read("stderr", 65536)) do end -- luacheck: ignore
  end)
  return {
    url = url,
    stop = function()
      child:kill("KILL")
      reader:wait()
      task.await(child:wait())
      child = nil -- its descriptors go with it
    end,
  }
end

--- From now on every call must be signed rightly by a key of moto's IAM and allowed.
function moto.check_auth(server)
  local answer = errors.check("switch on moto's checks", task.await(http.request { method = "POST",
    url = server.url .. "/moto-api/reset-auth", headers = { { "Content-Type", "text/plain" } },
    body = "0", timeout = 10 }))
  if answer.status ~= 200 then
    errors.raise { kind = "failed", message = "moto's reset-auth: " .. answer.status }
  end
end

return moto
