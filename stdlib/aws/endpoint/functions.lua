--- The functions of endpoint rules.
--
-- nil is "not set". What is not of the form that a function wants gives nil, or
-- false where the question is yes or no.
--
-- Source: Smithy 2.0, "Rules engine standard library" and "AWS rules engine library
-- functions".
local region = require "aws.region"

local functions = {}

local function split(text, separator)
  local parts, from = {}, 1
  while true do
    local at = text:find(separator, from, true)
    table.insert(parts, text:sub(from, (at or 0) - 1))
    if not at then return parts end
    from = at + 1
  end
end

functions["aws.partition"] = function(name)
  return name and region.partition(name)
end

functions["aws.parseArn"] = function(text)
  if not text then return nil end
  local partition, service, area, account, resource = text:match(
    "^arn:([^:]+):([^:]+):([^:]*):([^:]*):(.+)$")
  if not partition then return nil end
  return {
    partition = partition, service = service, region = area, accountId = account,
    resourceId = split((resource:gsub(":", "/")), "/"),
  }
end

local function is_label(text)
  return #text >= 1 and #text <= 63 and text:find("^[%w-]+$") ~= nil
    and text:sub(1, 1) ~= "-" and text:sub(-1) ~= "-"
end

function functions.isValidHostLabel(text, subdomains)
  if not text then return false end
  if not subdomains then return is_label(text) end
  for _, label in ipairs(split(text, ".")) do
    if not is_label(label) then return false end
  end
  return true
end

functions["aws.isVirtualHostableS3Bucket"] = function(bucket, subdomains)
  if not bucket or #bucket < 3 or #bucket > 63 or bucket:find("%u") then return false end
  if bucket:find("^%d+%.%d+%.%d+%.%d+$") then return false end
  return functions.isValidHostLabel(bucket, subdomains)
end

function functions.isSet(v) return v ~= nil end
functions["not"] = function(v) return not v end
function functions.stringEquals(a, b) return a ~= nil and a == b end
functions.booleanEquals = functions.stringEquals

--- Position start (from 0) up to stop, from the end when reverse; of ASCII only.
function functions.substring(text, start, stop, reverse)
  if not text or start >= stop or #text < stop or text:find("[\x80-\xff]") then return nil end
  if reverse then return text:sub(#text - stop + 1, #text - start) end
  return text:sub(start + 1, stop)
end

function functions.uriEncode(text)
  return text and (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function is_address(host)
  local a, b, c, d = host:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if a then return math.max(tonumber(a), tonumber(b), tonumber(c), tonumber(d)) <= 255 end
  return host:find("^%[[%x:.]+%]$") ~= nil
end

function functions.parseURL(text)
  if not text then return nil end
  local scheme, authority, path = text:match("^(https?)://([^/?#]+)([^?#]*)$")
  if not scheme then return nil end
  local host, port = authority:match("^(%[[^%]]*%])(.*)$")
  if not host then host, port = authority:match("^([^:]*)(.*)$") end
  if port ~= "" and not port:find("^:%d+$") then return nil end
  return {
    scheme = scheme, authority = authority, path = path,
    normalizedPath = path:sub(-1) == "/" and path or path .. "/",
    isIp = is_address(host),
  }
end

--- A member by a path: "name", "name[2]", "[0]", "a.b".
function functions.getAttr(v, path)
  for part in path:gmatch("[^.]+") do
    local name, index = part:match("^([^%[]*)%[(%d+)%]$")
    if v == nil then return nil end
    if index then
      if name ~= "" then v = v[name] end
      v = v and v[tonumber(index) + 1]
    else
      v = v[part]
    end
  end
  return v
end

function functions.split(text, delimiter, limit)
  if not text or delimiter == "" then return nil end
  local parts, rest = {}, text
  while limit == nil or limit == 0 or #parts + 1 < limit do
    local first, last = rest:find(delimiter, 1, true)
    if not first then break end
    table.insert(parts, rest:sub(1, first - 1))
    rest = rest:sub(last + 1)
  end
  table.insert(parts, rest)
  return parts
end

function functions.coalesce(...)
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if v ~= nil then return v end
  end
end

function functions.ite(condition, yes, no)
  if condition then return yes end
  return no
end

return functions
