--- AWS Signature Version 4 and 4A: signing, presigning, checking.
--
-- A request is a plain table:
--
--     method = "GET", uri = "/a/b?x=1",            as it will be sent
--     headers = { {"Host", "..."}, ... },          ordered, repeats allowed; Host is required
--     body = "",                                   bytes
--     payload_hash = nil,                          stands for the body's SHA-256:
--                                                  "UNSIGNED-PAYLOAD",
--                                                  "STREAMING-UNSIGNED-PAYLOAD-TRAILER", or hex
--                                                  digits
--     region = "us-east-1", service = "rds",       with asymmetric, region is the region set ("*")
--     credentials = { access_key_id =, secret_access_key =, session_token = nil },
--     time = "20150830T123600Z",                   or seconds since the epoch; nil: now
--     normalize_path = true, double_encode = true, both false for S3
--     sign_body_header = false,                    true adds x-amz-content-sha256 (S3 demands it)
--     omit_session_token = false,                  true sends the token unsigned
--     expires = nil,                               1 to 604800 seconds: presign instead
--     asymmetric = false,                          SigV4A (multi-region access points)
--
-- A header X-Amz-Content-Sha256 in the request is taken at its word. Headers that
-- signing writes itself replace those of the request. Not signed, because proxies
-- change them: Authorization, Connection, Expect, Transfer-Encoding, Upgrade,
-- User-Agent, X-Amzn-Trace-Id.
--
-- Source: IAM User Guide, "Create a signed AWS API request"; SigV4A as in AWS's
-- published signing test suite.
local errors = require "errors"
local native = require "native.sigv4"

local sigv4 = {}

local known = {
  method = true, uri = true, headers = true, body = true, payload_hash = true, region = true,
  service = true, credentials = true, time = true, normalize_path = true, double_encode = true,
  sign_body_header = true, omit_session_token = true, expires = true, asymmetric = true,
}

local function check_options(request)
  for name in pairs(request) do
    if not known[name] then
      local names = {}
      for option in pairs(known) do table.insert(names, option) end
      table.sort(names)
      errors.misuse(3, "sigv4.sign: unknown option %s; known: %s", tostring(name),
        table.concat(names, ", "))
    end
  end
end

--- Signs a request. Returns `{ canonical_request, string_to_sign, signature,
-- headers, uri }`: the headers to send, in order, and the URI to send (with the
-- signature in it when `expires` was given). The request is left as it was.
function sigv4.sign(request)
  check_options(request)
  return native.sign(request)
end

--- Signs a request in place: request.headers becomes a new list with the
-- signature's headers at its end, or request.uri the presigned one. May be called
-- again for a retry. The request may hold fields of the caller's own. Makes less
-- garbage than sign; what clients call. Returns the request.
sigv4.apply = native.apply

--- Checks the signature of a request as received: method, uri, headers, body,
-- with `lookup = function(access_key_id, session_token)` that returns the secret
-- access key, or nil and (if it likes) a message and AWS's error code; and `now` in
-- seconds since the epoch (default: the real time). Returns region, service, access
-- key id and session token (or nil); or nil, a message and AWS's error code:
-- MissingAuthenticationToken, IncompleteSignature, InvalidClientTokenId,
-- SignatureDoesNotMatch (also for a time more than 15 minutes off), RequestExpired,
-- RequestTimeTooSkewed and AccessDenied (S3), AuthorizationQueryParametersError,
-- XAmzContentSHA256Mismatch. These are the names of the query and XML protocols;
-- JSON services say InvalidSignatureException, UnrecognizedClientException,
-- MissingAuthenticationTokenException, IncompleteSignatureException.
-- lookup must neither wait nor sign.
function sigv4.verify(request)
  return native.verify(request, request.lookup, request.now)
end

--- The public key (two 32-byte strings, X and Y on P-256) that SigV4A derives.
sigv4.public_key = native.public_key

--- The canonical request and the string to sign of the last call, for messages.
sigv4.last = native.last

return sigv4
