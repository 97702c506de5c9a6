--- HTTP for playbooks: GET and HEAD are reads, everything else is an effect.
--
--     local response = http.get("https://example.com/health", { timeout = "10s" })
--     print(response.status, response.headers["content-type"], response:json().state)
--     http.post(url, { json = { text = "Failover has begun" } })
--
-- A response is { status =, headers = {lower-case name = value}, body =, seconds = }
-- with the method json(). A status that is not expected, and every failure on the
-- way, raises an error: kind, message, retryable; for a status also status, body.
local confidential = require "confidential"
local crypto = require "native.crypto"
local caption = require "caption"
local duration = require "duration"
local effect = require "effect"
local errors = require "errors"
local files = require "files"
local json = require "json"
local native = require "native.http"
local nearest = require "nearest"
local task = require "task"
local text = require "text"
local unknown = require "unknown"

local http = {}

local options = { "method", "url", "headers", "query", "json", "form", "body", "timeout",
  "connect_timeout", "expect", "follow", "reuse", "verify", "ca_file", "save_to", "max_body_bytes",
  "what", "repeatable",
  "message" }
local known = {}
for _, name in ipairs(options) do known[name] = true end

-- Failures that pass. After the later ones the request may have had its effect: only
-- what may be sent twice is tried again.
local before_sending = { resolve = true, connect = true, refused = true }
local while_sending = { timeout = true, reset = true, closed = true }
local idempotent = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true }

local Response = {}
Response.__index = Response
Response.__name = "drlua.response"

--- The body decoded from JSON; raises kind "invalid" when it is none.
function Response:json()
  local value, e = errors.try(json.decode, self.body)
  if e then
    errors.raise { kind = "invalid", cause = e, body = self.body,
      message = ("the response is not JSON (%s): %s"):format(e.message,
        text.excerpt(self.body, 80)) }
  end
  return value
end

local function seconds(value, name, default)
  local found, message = duration.parse(value == nil and default or value)
  if not found then errors.misuse(5, "http.request: %s: %s", name, message) end
  return found
end

local function escape(value)
  return (tostring(value):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- name=value pairs, by name; a list of values repeats the name.
local function encode_form(fields)
  local names, pairs_ = {}, {}
  for name in pairs(fields) do table.insert(names, name) end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = type(fields[name]) == "table" and fields[name] or { fields[name] }
    for _, value in ipairs(values) do table.insert(pairs_, escape(name) .. "=" .. escape(value)) end
  end
  return table.concat(pairs_, "&")
end

local function has_header(headers, name)
  for _, pair in ipairs(headers) do
    if pair[1]:lower() == name then return true end
  end
  return false
end

local function headers_of(call)
  local headers = {}
  for name, value in pairs(call.headers or {}) do
    if type(name) == "number" then
      table.insert(headers, value)
    else
      table.insert(headers, { name, tostring(value) })
    end
  end
  table.sort(headers, function(a, b) return a[1] < b[1] end)
  return headers
end

-- "Bearer x": what follows the scheme; of "Basic" also the password in it.
local function register_authorization(value)
  local scheme, rest = value:match("^%s*([%w-]+)%s+(.-)%s*$")
  if not scheme then return confidential.register("http_authorization", value) end
  for part in (scheme:lower() == "digest" and "" or rest):gmatch("%S+") do
    confidential.register("http_authorization", part)
  end
  local login = scheme:lower() == "basic" and crypto.unbase64(rest)
  if login then confidential.register("http_password", login:match("^[^:]*:(.*)$")) end
end

local function unescape(value)
  return (value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function register_url(url)
  local login = url:match("^%a[%w+.-]*://([^/?#]*)@")
  local password = login and login:match("^[^:]*:(.*)$")
  if password then
    confidential.register("http_password", unescape(password))
    confidential.register("http_password", password)
  end
  for name, value in (url:match("%?([^#]*)") or ""):gmatch("([^=&]+)=([^&]*)") do
    if confidential.likely(name, value) then
      confidential.register("http_token", unescape(value))
    end
  end
end

-- The credentials among the parts of a call, wherever they came from.
local function register_credentials(call)
  if type(call.url) == "string" then register_url(call.url) end
  for name, value in pairs(type(call.headers) == "table" and call.headers or {}) do
    if type(name) == "number" and type(value) == "table" then name, value = value[1], value[2] end
    if type(value) == "string" and tostring(name):lower():find("authorization$") then
      register_authorization(value)
    elseif confidential.likely(name, value) then
      confidential.register("http_token", value)
    end
  end
  for name, value in pairs(type(call.query) == "table" and call.query or {}) do
    if confidential.likely(name, value) then confidential.register("http_token", value) end
  end
end

-- The body and its type, of whichever option gives one.
local function body_of(call, headers)
  local body, kind = call.body, nil
  if call.json ~= nil then body, kind = json.encode(call.json), "application/json" end
  if call.form then body, kind = encode_form(call.form), "application/x-www-form-urlencoded" end
  if kind and not has_header(headers, "content-type") then
    table.insert(headers, { "Content-Type", kind })
  end
  return body
end

local function validate(call)
  for key in pairs(call) do
    if not known[key] then
      errors.misuse(5, "http.request: unknown option \"%s\"%s", tostring(key),
        nearest.hint(tostring(key), options))
    end
  end
  if type(call.url) ~= "string" then
    errors.misuse(5, "http.request: a url expected, got %s", type(call.url))
  end
  local bodies = (call.body ~= nil and 1 or 0) + (call.json ~= nil and 1 or 0)
    + (call.form ~= nil and 1 or 0)
  if bodies > 1 then
    errors.misuse(5, "http.request: only one of body, json and form is possible")
  end
end

local function place(url)
  local authority = tostring(url):match("^%a+://([^/?#]*)")
  return authority and authority:gsub("^.*@", "") or tostring(url)
end

local function expected(status, expect)
  if expect == nil then return status >= 200 and status < 300 end
  if expect == false then return true end
  if type(expect) == "number" then return status == expect end
  if type(expect) == "string" then
    return tostring(status):find("^" .. expect:gsub("x", "%%d") .. "$") ~= nil
  end
  for _, one in ipairs(expect) do
    if expected(status, one) then return true end
  end
  return false
end

local function kind_of(status)
  if status == 401 or status == 403 or status == 407 then return "denied" end
  if status == 404 or status == 410 then return "missing" end
  if status == 409 or status == 412 then return "exists" end
  if status == 408 or status == 504 then return "timeout" end
  if status == 429 or status == 503 then return "busy" end
  return status >= 500 and "io" or "invalid"
end

-- The url's path may hold a secret (a webhook's), so the sentence names the host.
local function refuse(method, call, response)
  local words = text.excerpt(response.body, 200)
  if words:find("^<") then words = "" end
  errors.raise { kind = kind_of(response.status), status = response.status, body = response.body,
    retryable = response.status == 429 or response.status == 503
      or (response.status >= 500 and (idempotent[method] or call.repeatable)) or false,
    message = ("%s to %s returned %d%s"):format(method, place(call.url), response.status,
      words ~= "" and ": " .. words or "") }
end

local function collect_headers(list)
  local headers = {}
  for _, pair in ipairs(list) do
    local name = pair[1]:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. pair[2] or pair[2]
  end
  return headers
end

-- draft-ietf-httpapi-idempotency-key-header: a service that honours it carries a
-- request out once, however often a resume sends it.
local function name_request(method, headers, token)
  if token and not idempotent[method] and not has_header(headers, "idempotency-key") then
    table.insert(headers, { "Idempotency-Key", ('"%s"'):format(token) })
  end
end

-- The file for the body, and for which statuses: one that is not expected leaves the
-- file as it was.
local function sink_of(call)
  if not call.save_to then return nil end
  local statuses = {}
  for status = 200, 299 do
    if expected(status, call.expect) then table.insert(statuses, status) end
  end
  return { file = call.save_to, statuses = statuses }
end

local function send(method, call, token)
  validate(call)
  local headers = headers_of(call)
  name_request(method, headers, token)
  local url = call.url
  if call.query and next(call.query) then
    url = url .. (url:find("?", 1, true) and "&" or "?") .. encode_form(call.query)
  end
  local response, message, kind = task.await(native.request { method = method, url = url,
    body = body_of(call, headers), headers = headers,
    timeout = seconds(call.timeout, "timeout", "30s"),
    connect_timeout = seconds(call.connect_timeout, "connect_timeout", "3s"), follow = call.follow,
    verify = call.verify, ca_file = call.ca_file, sink = sink_of(call),
    max_body_bytes = call.max_body_bytes, fresh = not call.reuse })
  if not response then
    if kind == "cancelled" then errors.raise { kind = kind, message = message } end
    errors.raise { kind = kind, message = message, retryable = before_sending[kind]
      or (while_sending[kind] and (idempotent[method] or call.repeatable)) or false }
  end
  response.headers = collect_headers(response.headers)
  if not expected(response.status, call.expect) then refuse(method, call, response) end
  return response
end

-- The call with each field read once: what is judged is what is sent, whatever a
-- metatable would give the second time.
local function plain(call)
  local copy = {}
  for name, value in next, call do copy[name] = value end
  for _, name in ipairs(options) do copy[name] = call[name] end
  return copy
end

local function input_of(method, call)
  return { method = method, url = call.url, query = call.query,
    headers = unknown.within(call.headers), json = call.json, form = call.form,
    save_to = call.save_to,
    body = type(call.body) == "string" and #call.body or call.body }
end

--- Sends a request and returns its response. In a run a POST or PATCH has an
-- Idempotency-Key header, the same after a resume. call:
--   url, method ("GET")
--   headers      { Name = value } or { {name, value}, ... }
--   query        { name = value or {values} }, added to the url
--   json, form, body   one of them: a value, fields, a string or { file =, offset =, length = }
--   timeout ("30s"), connect_timeout ("3s")
--   expect       the status that is fine: 204, "2xx" (the default), a list, or false: any
--   follow       true: redirects are followed
--   reuse        true: a connection of an earlier request may be used again. By itself
--                every request resolves the name and connects again, so that a check
--                after a move of DNS sees where the name leads now
--   save_to      path of a file for the body of an expected 2xx response. It is written to
--                PATH.part and renamed when complete: a failure leaves the file as it was
--   ca_file, verify = false, max_body_bytes
--   repeatable   true: sending it twice does no more than once
--   message      true: it only tells people something; sent at least once, and no rollback
--                has to take it back
--   what         text for a person
function http.request(call)
  if type(call) ~= "table" then
    errors.misuse(2, "http.request: a table expected, got %s", type(call))
  end
  if unknown.is(call) then return unknown.new(unknown.origin(call)) end
  call = plain(call)
  register_credentials(call)
  local method = (call.method or "GET"):upper()
  local keeps = call.save_to and not files.is_temporary(call.save_to)
  local read = not keeps and (method == "GET" or method == "HEAD")
  local response = effect.perform({ kind = "http", operation = method, read = read,
    message = call.message, repeatable = call.repeatable or call.message,
    what = call.what or ("%s to %s"):format(method, caption.address(call.url)),
    input = input_of(method, call) }, function(token)
    return send(method, call, token)
  end)
  if unknown.is(response) or getmetatable(response) then return response end
  return setmetatable(response, Response)
end

local function shorthand(method)
  return function(url, call)
    if unknown.is(call) then return unknown.new(unknown.origin(call)) end
    local copy = call and plain(call) or {}
    copy.method, copy.url = method, url
    return http.request(copy)
  end
end

--- http.get(url, call?) and so on: http.request with the method and url given.
http.get, http.head, http.post = shorthand "GET", shorthand "HEAD", shorthand "POST"
http.put, http.patch, http.delete = shorthand "PUT", shorthand "PATCH", shorthand "DELETE"

return http
