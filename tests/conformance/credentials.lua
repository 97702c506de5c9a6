--- Runs the credentials vectors: `drlua script tests/conformance/credentials.lua DIR`.
-- A case is a folder: env.json, fs/ (the file system), http-traffic.json (what the
-- endpoints answer, in order) and test-case.json. The requests that we make must be
-- the recorded ones, but for the session names and times in them.
local clock = require "native.clock"
local credentials = require "aws.credentials"
local errors = require "errors"
local json = require "native.json"
local vectors = require "vectors"

--- Recorded requests with their answers, in order.
local function exchanges(path)
  local list = {}
  for _, event in ipairs(json.decode(vectors.read(path)).events) do
    local action = event.action
    local last = list[#list]
    if action.Request then
      table.insert(list, { request = action.Request.request, sent = "", body = "" })
    elseif action.Response then
      last.answer = action.Response.response
    elseif action.Data then
      local text = action.Data.data.Utf8 or ""
      if action.Data.direction == "Request" then
        last.sent = last.sent .. text
      else
        last.body = last.body .. text
      end
    end
  end
  return list
end

--- A query or a form as a table, without what differs from call to call.
local function pairs_of(text)
  local found = {}
  for name, value in text:gmatch("([^&=?]+)=([^&]*)") do
    if name ~= "RoleSessionName" and name ~= "WebIdentityToken" then found[name] = value end
  end
  return found
end

local function place(url)
  return (url:gsub("%?.*$", ""):gsub("/+$", ""))
end

local function header(list, name)
  for _, pair in ipairs(list) do
    if pair[1]:lower() == name then return pair[2] end
  end
end

local compared = { "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds",
  "x-amz-sso_bearer_token" }

local function compare(request, recorded, sent)
  local function differ(what, expected, actual)
    errors.raise { kind = "assertion", message = ("%s: %s expected, got %s"):format(what, expected,
      tostring(actual)) }
  end
  if request.method ~= recorded.method then differ("method", recorded.method, request.method) end
  if place(request.url) ~= place(recorded.uri) then differ("URL", recorded.uri, request.url) end
  if not vectors.alike(pairs_of(recorded.uri:match("%?.*") or ""),
    pairs_of(request.url:match("%?.*") or "")) then
    differ("query", recorded.uri, request.url)
  end
  for _, name in ipairs(compared) do
    local wanted = recorded.headers[name]
    if wanted and header(request.headers, name) ~= wanted[1] then
      differ(name, wanted[1], header(request.headers, name))
    end
  end
  local mine, theirs = pairs_of(request.body or ""), pairs_of(sent)
  theirs.RoleArn = mine.RoleArn -- recorded with another role than the case's files name
  if not vectors.alike(theirs, mine) then differ("body", sent, request.body) end
end

local function replay(list)
  local at = 0
  return function(request)
    at = at + 1
    local exchange = list[at] or errors.raise { kind = "assertion", message = "a request too many: "
      .. request.url }
    compare(request, exchange.request, exchange.sent)
    local answer = exchange.answer and exchange.answer.Ok
    if not answer then return nil, "the recorded connection failed", "reset" end
    local headers = {}
    for name, values in pairs(answer.headers) do
      for _, value in ipairs(values) do table.insert(headers, { name, value }) end
    end
    return { status = answer.status, headers = headers, body = exchange.body }
  end, function() return at end
end

local function world(path, kind)
  local list = exchanges(path .. "/http-traffic.json")
  local http, count = replay(list)
  local env = json.decode(vectors.read(path .. "/env.json"))
  return {
    env = env, http = http, write = function() end,
    -- This part of the suite tests the profile alone, not the chain around it.
    profile = kind == "profile-provider" and (env.AWS_PROFILE or "default") or nil,
    read = function(name)
      local bytes = vectors.read(path .. "/fs" .. name)
      if bytes then return bytes end
      return nil, name .. ": No such file or directory", "missing"
    end,
  }, function()
    if count() < #list then
      return ("%d of %d recorded requests were made"):format(count(), #list)
    end
  end
end

local function check_set(expected, set)
  for _, name in ipairs { "access_key_id", "secret_access_key", "session_token" } do
    if set[name] ~= expected[name] then
      return ("%s: %s expected, got %s"):format(name, expected[name], tostring(set[name]))
    end
  end
  if expected.account_id and set.account_id ~= expected.account_id then
    return ("account %s expected, got %s"):format(expected.account_id, tostring(set.account_id))
  end
  if expected.expiry and set.expires ~= expected.expiry then
    return ("expiry %s expected, got %s"):format(expected.expiry, tostring(set.expires))
  end
end

local function check_token(expected, token)
  if token.token ~= expected.token then return "another token: " .. tostring(token.token) end
  if token.expires ~= math.floor(clock.parse(expected.expiration)) then
    return "another expiration"
  end
end

local function run(path, kind, case)
  local options, unused = world(path, kind)
  local token = kind == "default-token-provider-chain"
  local ok, result = pcall(token and credentials.token or credentials.resolve, options)
  local expected = case.result
  if expected.ErrorContains then
    if ok then return "an error expected" end
    local e = errors.from(result)
    if e.kind ~= "credentials" and e.kind ~= "missing" then
      return "an error of another kind: " .. tostring(e)
    end
    if os.getenv("VERBOSE") then
      print(("  %s\n  theirs: %s"):format(tostring(e), expected.ErrorContains))
    end
    return nil
  end
  if not ok then return tostring(errors.from(result)) end
  return (token and check_token or check_set)(expected.Ok, result) or unused()
end

local suite = vectors.open("credentials", arg[1])
for _, file in ipairs(suite:find("test-case.json")) do
  local path = file:match("^(.*)/")
  local kind, name = path:match("([^/]*)/([^/]*)$")
  suite:case(kind .. "/" .. name, run, path, kind, json.decode(vectors.read(file)))
end
suite:finish()
