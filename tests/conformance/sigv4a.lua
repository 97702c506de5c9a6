--- Runs AWS's SigV4A vectors: `drlua script tests/conformance/sigv4a.lua DIR`.
-- ECDSA signatures are random, so both ours and the vector's are checked with the
-- key that we derive, and that key against the vector's.
local cjson = require "cjson"
local crypto = require "native.crypto"
local native = require "native.sigv4"
local signing = require "signing"
local sigv4 = require "aws.sigv4"
local vectors = require "vectors"

local function same_key(case, request)
  local text = vectors.read(case.path .. "/public-key.json")
  if not text then return end
  local expected = cjson.decode(text)
  local x, y = sigv4.public_key(request.credentials.access_key_id,
    request.credentials.secret_access_key)
  if crypto.hex(x) ~= expected.X:lower() or crypto.hex(y) ~= expected.Y:lower() then
    error("another public key: " .. crypto.hex(x) .. " " .. crypto.hex(y), 0)
  end
end

--- Equal but for the signature, which runs to the end of its line or parameter.
local function same_but_signature(expected, actual)
  local function without(text) return (text:gsub("(Signature=)%x+", "%1")) end
  return without(expected) == without(actual)
end

signing.run("sigv4a", arg[1], function(case, check)
  local request = case:request()
  request.asymmetric = true
  same_key(case, request)
  local function genuine(text)
    local keys = request.credentials
    return function(expected, actual)
      return native.check_asymmetric(keys.access_key_id, keys.secret_access_key, text, expected)
        and native.check_asymmetric(keys.access_key_id, keys.secret_access_key, text, actual)
    end
  end

  local signed = sigv4.sign(request)
  check("header-canonical-request", signed.canonical_request)
  check("header-string-to-sign", signed.string_to_sign)
  check("header-signature", signed.signature, genuine(signed.string_to_sign))
  check("header-signed-request", case:format(request, signed.uri, signed.headers),
    same_but_signature)

  request.expires, request.sign_body_header = case.context.expiration_in_seconds, false
  local presigned = sigv4.sign(request)
  check("query-canonical-request", presigned.canonical_request)
  check("query-string-to-sign", presigned.string_to_sign)
  check("query-signature", presigned.signature, genuine(presigned.string_to_sign))
  check("query-signed-request", case:format(request, presigned.uri, presigned.headers),
    same_but_signature)

  case:verifies(request, signed.uri, signed.headers)
  if not case.context.omit_session_token then
    case:verifies(request, presigned.uri, presigned.headers)
  end
end)
