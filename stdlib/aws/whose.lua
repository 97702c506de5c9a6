--- Whose account the calls of a client go to: asked of STS with the client's own
-- credentials, which needs no permission; once for each set of credentials.
local errors = require "errors"
local task = require "task"

local whose = {}

local PATIENCE_SECONDS = 10
local known = {}

-- In the region that the calls go to, which answers when they can be answered; a service
-- without regions is asked for in the region that is set for this process.
local function ask(client, credentials)
  local region = client.region ~= "aws-global" and client.region or nil
  local sts = require("aws").sts { region = region, credentials = credentials, max_attempts = 2 }
  return sts:direct("GetCallerIdentity", {}).Account
end

--- The account's number; nil and the reason where it is not known. Where STS does not
-- answer, the account that came with the credentials (of a role, of SSO) is taken.
function whose.account(client)
  local credentials, e = errors.try(function() return client:credentials_for() end)
  if not credentials then return nil, e and e.message or "the calls are not signed" end
  local key = tostring(credentials.access_key_id)
  if not known[key] then
    known[key], e = errors.try(task.timeout, PATIENCE_SECONDS, ask, client, credentials)
  end
  return known[key] or credentials.account_id, e and e.message
end

return whose
