--- Whose AWS account a plan or an approval speaks of: asked of STS, which needs no
-- permission, in the region that the change goes to; once a region.
local aws = require "aws"
local errors = require "errors"
local task = require "task"

local account = {}

local PATIENCE_SECONDS = 4
local known = {}

--- The account's number and who we are in it, or nil where STS does not answer.
function account.of(region)
  if region == "aws-global" then region = nil end
  local key = region or ""
  if known[key] == nil then
    local answer = errors.try(task.timeout, PATIENCE_SECONDS, function()
      return aws.sts({ region = region, max_attempts = 1 }):direct("GetCallerIdentity", {})
    end)
    known[key] = answer or false
  end
  local found = known[key]
  if found then return found.Account, found.Arn end
end

return account
