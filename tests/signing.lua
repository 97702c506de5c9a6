--- Reading the signing vectors: a folder a case, context.json, request.txt and the
-- expected texts.
local cjson = require "cjson"
local sigv4 = require "aws.sigv4"
local vectors = require "vectors"

local signing = {}
local case = {}
case.__index = case

--- Splits a raw request: method, uri, headers, body.
local function parse_request(text)
  local head, body = text:match("^(.-)\r?\n\r?\n(.*)$")
  head, body = head or text, body or ""
  local lines = {}
  for line in (head .. "\n"):gmatch("(.-)\r?\n") do table.insert(lines, line) end
  local method, uri = lines[1]:match("^(%S+) (.*) HTTP/1%.1$")
  local headers = {}
  for i = 2, #lines do
    local name, value = lines[i]:match("^([^%s:][^:]*):(.*)$")
    if name then
      table.insert(headers, { name, value })
    elseif #headers > 0 and lines[i] ~= "" then -- a folded line belongs to the one above
      headers[#headers][2] = headers[#headers][2] .. "\n" .. lines[i]
    end
  end
  return method, uri, headers, body
end

function case:request()
  local method, uri, headers, body = parse_request(
    assert(vectors.read(self.path .. "/request.txt")))
  local context = self.context
  return {
    method = method, uri = uri, headers = headers, body = body,
    region = context.region, service = context.service,
    credentials = {
      access_key_id = context.credentials.access_key_id,
      secret_access_key = context.credentials.secret_access_key,
      session_token = context.credentials.token,
    },
    time = context.timestamp:gsub("[-:]", ""),
    normalize_path = context.normalize,
    sign_body_header = context.sign_body,
    omit_session_token = context.omit_session_token,
  }
end

--- The request in the form of the *-signed-request files.
function case.format(_, request, uri, headers)
  local lines = { ("%s %s HTTP/1.1"):format(request.method, uri) }
  for _, header in ipairs(headers) do table.insert(lines, header[1] .. ":" .. header[2]) end
  return table.concat(lines, "\n") .. "\n\n" .. request.body
end

--- The simulator's side accepts what was signed, unless paths are left as they are,
-- which only S3's name tells it.
function case.verifies(_, request, uri, headers)
  if not request.normalize_path then return end
  local region, message = sigv4.verify {
    method = request.method, uri = uri, headers = headers, body = request.body, now = 1440938160,
    lookup = function(id)
      return id == request.credentials.access_key_id and request.credentials.secret_access_key
        or nil
    end,
  }
  if region ~= request.region then error("verify refuses it: " .. tostring(message)) end
end

--- Runs fn(case, check) for each case; check(name, actual) compares with a file.
function signing.run(name, dir, fn)
  local suite = vectors.open(name, dir)
  for _, context in ipairs(suite:find("context.json")) do
    local path = context:match("^(.*)/")
    local self = setmetatable({ path = path, context = cjson.decode(vectors.read(context)) }, case)
    suite:case(path:match("[^/]*$"), function()
      fn(self, function(file, actual, accept)
        local expected = vectors.read(("%s/%s.txt"):format(path, file))
        expected = expected and expected:gsub("\n+$", "")
        actual = actual:gsub("\n+$", "")
        if expected and not (accept or rawequal)(expected, actual) then
          error(("%s: expected\n%s\ngot\n%s"):format(file, expected, actual), 0)
        end
      end)
    end)
  end
  suite:finish()
end

return signing
