--- Credentials that a program prints (credential_process).
--
-- The command is run by /bin/sh, since it is written as one is typed. Its standard
-- error is part of the message when it fails; its output never is.
local call = require "aws.credentials.call"
local confidential = require "confidential"
local errors = require "errors"
local json = require "native.json"
local task = require "task"
local text = require "text"

local process = {}

local TIMEOUT = 60 -- seconds; such programs may ask a browser or a device
local OUTPUT_LIMIT = 65536

local function fault(form, ...)
  errors.raise { kind = "credentials", message = form:format(...) }
end

local function read_all(child, stream)
  local parts, size = {}, 0
  while true do
    local data = task.await(child:read(stream, OUTPUT_LIMIT))
    if not data or size > OUTPUT_LIMIT then return table.concat(parts) end
    table.insert(parts, data)
    size = size + #data
  end
end

local function run(command)
  local native = require "native.process"
  local child, message = native.start {
    argv = { "/bin/sh", "-c", command }, stdin = "null", stdout = "pipe", stderr = "pipe",
    die_with_parent = true,
  }
  if not child then fault("credential_process cannot be started: %s", message) end
  local ok, results = pcall(task.timeout, TIMEOUT, task.all, {
    function() return read_all(child, "stdout") end,
    function() return read_all(child, "stderr") end,
    function() return (task.await(child:wait())) end,
  })
  if not ok then
    child:kill("KILL")
    fault("credential_process: %s", tostring(errors.from(results)))
  end
  return table.unpack(results, 1, 3)
end

--- Runs the command of a profile. account_id: the profile's, for programs that print
-- none.
function process.get(command, account_id)
  local output, complaint, ended = run(command)
  if type(ended) ~= "table" or ended.code ~= 0 then
    fault("credential_process exited with %s%s",
      ended and (ended.signal and "signal " .. ended.signal
      or "code " .. tostring(ended.code)) or "an unknown state",
      complaint ~= "" and ": " .. text.excerpt(complaint, 500) or "")
  end
  local given = json.decode(output)
  if type(given) ~= "table" then fault("credential_process printed something that is not JSON") end
  if given.Version ~= 1 then
    fault("credential_process printed Version %s; 1 is the one that is known",
      tostring(given.Version))
  end
  if not given.AccessKeyId or not given.SecretAccessKey then
    fault("credential_process printed no AccessKeyId or no SecretAccessKey")
  end
  return confidential.keys {
    access_key_id = given.AccessKeyId, secret_access_key = given.SecretAccessKey,
    session_token = given.SessionToken, expires = call.time(given.Expiration),
    account_id = given.AccountId or account_id, source = "credential_process",
  }
end

return process
