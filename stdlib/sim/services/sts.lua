--- STS: who am I, and temporary credentials.
local crypto = require "native.crypto"

local service = {}

function service.get_caller_identity(ctx)
  local key = ctx.identity
  return { UserId = key.user_id, Account = key.account, Arn = key.arn }
end

local function session_token()
  return crypto.base64(crypto.random(96))
end

-- Temporary credentials, which the front knows until they expire.
local function issue(ctx, account, arn, user_id, seconds)
  local key = ctx.sim.keys:add {
    access_key_id = ctx:id("ASIA", 16), secret_access_key = crypto.base64(crypto.random(30)),
    account = account, session_token = session_token(), expires = math.floor(ctx:now() + seconds),
    arn = arn, user_id = user_id,
  }
  return { AccessKeyId = key.access_key_id, SecretAccessKey = key.secret_access_key,
    SessionToken = key.session_token,
    Expiration = key.expires }
end

local function check_duration(ctx, seconds, most)
  if seconds < 900 or seconds > most then
    ctx:fail("ValidationError",
      ("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy "
      .. "constraint: Member must have value between 900 and %d"):format(seconds, most))
  end
  return seconds
end

function service.assume_role(ctx, input)
  ctx:need(input, "RoleArn", "RoleSessionName")
  local account, role = input.RoleArn:match("^arn:aws[%w-]*:iam::(%d+):role/(.+)$")
  if not account then ctx:fail("ValidationError", input.RoleArn .. " is invalid") end
  local arn = ("arn:aws:sts::%s:assumed-role/%s/%s"):format(account, role:match("[^/]+$"),
    input.RoleSessionName)
  local id = "AROA" .. crypto.hex(crypto.sha256(input.RoleArn)):sub(1, 16):upper() .. ":"
    .. input.RoleSessionName
  local seconds = check_duration(ctx, input.DurationSeconds or 3600, 43200)
  return { Credentials = issue(ctx, account, arn, id, seconds), PackedPolicySize = 6,
    AssumedRoleUser = { AssumedRoleId = id, Arn = arn } }
end

function service.get_session_token(ctx, input)
  local seconds = check_duration(ctx, input.DurationSeconds or 43200, 129600)
  return { Credentials = issue(ctx, ctx.account, ctx.identity.arn, ctx.identity.user_id, seconds) }
end

return service
