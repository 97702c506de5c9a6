--- Runs AWS's signing vectors: `drlua script tests/conformance/sigv4.lua DIR`.
-- DIR/sigv4/CASE/ holds context.json, request.txt and the expected texts; a file
-- that a case does not have is not compared.
local signing = require "signing"
local sigv4 = require "aws.sigv4"

signing.run("sigv4", arg[1], function(case, check)
  local request = case:request()
  local signed = sigv4.sign(request)
  check("header-canonical-request", signed.canonical_request)
  check("header-string-to-sign", signed.string_to_sign)
  check("header-signature", signed.signature)
  check("header-signed-request", case:format(request, signed.uri, signed.headers))

  request.expires, request.sign_body_header = case.context.expiration_in_seconds, false
  local presigned = sigv4.sign(request)
  check("query-canonical-request", presigned.canonical_request)
  check("query-string-to-sign", presigned.string_to_sign)
  check("query-signature", presigned.signature)
  check("query-signed-request", case:format(request, presigned.uri, presigned.headers))

  case:verifies(request, signed.uri, signed.headers)
  if not case.context.omit_session_token then
    case:verifies(request, presigned.uri, presigned.headers)
  end
end)
