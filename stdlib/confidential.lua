--- Values that must not be shown: any floor says here which they are.
--
-- Whoever holds a credential (a key of AWS, a password, a token) registers it when it
-- comes into use. A run installs its registry of secrets (run/secrets.lua), which then
-- masks the value in everything that leaves the process. What is registered earlier is
-- kept and handed to the registry when it is installed.
local confidential = {}

local LEAST = 6        -- characters; a shorter value would mask half of every text
local LEAST_KEY = 8    -- of AWS's keys, which are long; a simulator's may be a common word
local WINDOW = 262144  -- bytes of a foreign text that are looked at for an excerpt
local EDGE = 65536     -- bytes at a cut in which half of a secret may be left

local known, order = {}, {}
local registry

local strong = { "PASS", "SECRET", "WEBHOOK", "CREDENTIAL", "PRIVATE", "AUTHORIZATION",
  "PLAINTEXT" }
local weak = { "KEY", "TOKEN", "COOKIE" }

-- Where a secret is, or what it is called, is no secret.
local places = { "FILE$", "PATH$", "DIR$", "DIRECTORY$" }
local names = { "NAME$", "_ID$", "KEYID$", "ARN$" }

local function ends_in(name, patterns)
  local upper = tostring(name):upper()
  for _, pattern in ipairs(patterns) do
    if upper:find(pattern) then return true end
  end
  return false
end

local function has_word(name, words)
  local upper = tostring(name):upper()
  for _, word in ipairs(words) do
    if upper:find(word, 1, true) then return true end
  end
  return false
end

--- True for a name (of a variable, a header, a member) that says that its value is a
-- secret.
function confidential.telling(name)
  return not ends_in(name, places) and (has_word(name, strong) or has_word(name, weak))
end

--- True for a value that reads like a word, a number, a region, a name of AWS or an
-- address: masking it would mask half of every text.
function confidential.is_plain(value)
  return not value:find("[^%a]") or not value:find("[^%d.:]") or value:find("^%l%l%-[%l-]+%-%d%l?$")
    ~= nil
    or value:find("^arn:aws[%w-]*:") ~= nil
end

--- True where the name says that the value is a secret, and the value may well be one.
function confidential.likely(name, value)
  if type(value) ~= "string" or tostring(name):lower() == "idempotency-key" then return false end
  if ends_in(name, places) or ends_in(name, names) then return false end
  return has_word(name, strong) or (has_word(name, weak) and not confidential.is_plain(value))
end

--- Registers a value as a secret; name: what it is called in the journal ("sql_password").
-- least: the fewest characters that are masked (default 6). options.plain: it may be
-- handed to a program as an argument. Returns the value. Once known it costs one lookup.
function confidential.register(name, value, least, options)
  if type(value) ~= "string" or known[value] or #value < (least or LEAST) then return value end
  known[value] = true
  -- A presigned URL, of which there may be one a second, is worth nothing without this.
  local signature = value:match("[?&]X%-Amz%-Signature=(%x+)")
  if signature then
    known[value] = nil
    confidential.register(name, signature, least, options)
    return value
  end
  table.insert(order, { name, value, options })
  if registry then registry:observe(name, value, options) end
  return value
end

--- Registers the secret parts of a set of AWS credentials; returns the set.
function confidential.keys(set)
  if type(set) ~= "table" then return set end
  confidential.register("aws_secret_access_key", set.secret_access_key, LEAST_KEY)
  confidential.register("aws_session_token", set.session_token, LEAST_KEY)
  return set
end

--- Registers a bearer token or the like; returns it.
function confidential.token(token)
  return confidential.register("aws_token", token, LEAST_KEY)
end

--- Installs a registry: { observe = function(self, name, value, options), mask =
-- function(self, text) }, or none for nil; returns the former one. It is handed every
-- value that was registered before.
function confidential.install(new)
  local former = registry
  registry = new
  if new then
    for _, each in ipairs(order) do new:observe(each[1], each[2], each[3]) end
  end
  return former
end

--- The text with *** for every secret that is known.
function confidential.mask(text)
  if not registry then return text end
  return registry:mask(text)
end

--- The beginning of a foreign text, masked: as much of it as an excerpt is made from.
function confidential.head(text)
  if #text <= WINDOW then return confidential.mask(text) end
  return confidential.mask(text:sub(1, WINDOW)):sub(1, -EDGE - 1)
end

--- The end of a foreign text, masked.
function confidential.tail(text)
  if #text <= WINDOW then return confidential.mask(text) end
  return confidential.mask(text:sub(-WINDOW)):sub(EDGE + 1)
end

return confidential
