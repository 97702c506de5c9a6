--- Who calls: the signature's claim is read, its key looked up, its signature
-- checked; and, where a world asks for it, whether policy lets the call through.
local crypto = require "native.crypto"
local sigv4 = require "native.sigv4"

local auth = {}

auth.default_account = "123456789012"

local Keys = {}
Keys.__index = Keys

local function fault(status, code, message)
  return nil, { status = status, code = code, message = message }
end

--- The keys known at first: test/test in the default account.
function auth.new()
  local self = setmetatable({ keys = {} }, Keys)
  self:add { access_key_id = "test", secret_access_key = "test", account = auth.default_account }
  return self
end

--- Adds a key: { access_key_id, secret_access_key, account, session_token, expires,
-- arn, user_id }.
function Keys:add(key)
  key.account = key.account or auth.default_account
  key.arn = key.arn
    or ("arn:aws:iam::%s:user/%s"):format(key.account, key.user or key.access_key_id)
  key.user_id = key.user_id or "AIDA" .. crypto.hex(crypto.sha256(key.arn)):sub(1, 16):upper()
  self.keys[key.access_key_id] = key
  return key
end

--- Forgets the keys that came with the simulator: a world names its own.
function Keys:clear() self.keys = {} end

function Keys:remove(access_key_id) self.keys[access_key_id] = nil end

local MISSING =
  "The request must contain either a valid (registered) AWS access key ID or X.509 certificate."

--- A header of a request by its lower-case name, or nil.
function auth.header(request, name)
  for _, pair in ipairs(request.headers) do
    if pair[1]:lower() == name then return pair[2] end
  end
  return nil
end

--- What a request says of its signer, unchecked: { access_key_id, region, service },
-- or nil and the error to answer with.
function auth.claim(request)
  local scope = auth.header(request, "authorization")
  local id, region, service
  if scope then
    id, region, service = scope:match("Credential=([^/,%s]+)/%d+/([^/]+)/([^/]+)/aws4_request")
  else
    scope = request.target:match("[?&]X%-Amz%-Credential=([^&]+)")
    if not scope then return fault(403, "MissingAuthenticationToken", MISSING) end
    scope = scope:gsub("%%2[Ff]", "/")
    id, region, service = scope:match("^([^/]+)/%d+/([^/]+)/([^/]+)/aws4_request$")
  end
  if id then return { access_key_id = id, region = region, service = service } end
  return fault(400, "IncompleteSignature",
    "The credential in the request does not name access key, date, region "
    .. "and service: " .. scope:gsub("Signature=.*", "Signature=..."))
end

local function usable(key, token, now)
  if not key or key.session_token ~= token then
    return nil, "The security token included in the request is invalid.", "InvalidClientTokenId"
  end
  if key.expires and key.expires <= now then
    return nil, "The security token included in the request is expired", "ExpiredToken"
  end
  return key.secret_access_key
end

--- Checks a request's signature: the key that made it, or nil and the error.
function Keys:check(request, now)
  local region, message, id = sigv4.verify(request, function(id, token)
    return usable(self.keys[id], token, now)
  end, now)
  if not region then return fault(id == "IncompleteSignature" and 400 or 403, id, message) end
  return self.keys[id]
end

return auth
