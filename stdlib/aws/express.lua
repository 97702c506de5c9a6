--- Sessions of S3 Express One Zone: calls to a directory bucket are signed with keys that
-- CreateSession gives for that bucket, good for five minutes. A session is shared by the
-- clients of one identity and kept fresh like any other credentials.
--
-- Source: Amazon S3 user guide, "Authorizing Zonal endpoint API operations with
-- CreateSession".
local instants = require "aws.instants"
local provider = require "aws.credentials.provider"

local express = {}

local sessions = {} -- identity and bucket -> provider

local function create(client, bucket)
  local given = client:direct("CreateSession", { Bucket = bucket }).Credentials
  return { access_key_id = given.AccessKeyId, secret_access_key = given.SecretAccessKey,
    session_token = given.SessionToken, expires = given.Expiration,
    source = "the S3 Express session of " .. bucket }
end

--- The provider of a bucket's session: provider:get() gives the set to sign with (see
-- aws/credentials/provider.lua), whose token goes into the header x-amz-s3session-token.
-- Raises what CreateSession raises.
function express.session(client, bucket)
  local key = client.share_key .. "\n" .. bucket
  if not sessions[key] then
    sessions[key] = provider.new { fetch = function() return create(client, bucket) end,
      now = function() return instants.of(client.clock) end }
  end
  return sessions[key]
end

--- Forgets all sessions (for tests).
function express.reset()
  sessions = {}
end

return express
