--- Who may use the simulator's own interface, /_sim/.
--
-- It can run SQL and load worlds, so neither a web page nor another user of the machine
-- may reach it: a page sends an Origin or, by DNS rebinding, a foreign Host; another user
-- does not have the token. Reads are free to whoever calls by a loopback name, as long as
-- the simulator listens on loopback only.
local crypto = require "native.crypto"

local guard = {}

--- A new token: 32 hexadecimal digits.
function guard.token() return crypto.hex(crypto.random(16)) end

--- Whether a host, as a Host header or --listen names it (without the port), can only be
-- this machine.
function guard.loopback(host)
  return host == "localhost" or host == "::1" or host:match("^127%.%d+%.%d+%.%d+$") ~= nil
end

-- "127.0.0.1:4566" -> "127.0.0.1", "[::1]:4566" -> "::1".
local function host_of(http)
  local value = (http:header("host") or ""):lower()
  return value:match("^%[([%x:]+)%]:?%d*$") or value:match("^([^:]*):?%d*$") or value
end

local function same(a, b)
  return crypto.equal(crypto.sha256(a), crypto.sha256(b))
end

--- The key with which a webhook, which cannot send a header, may post to one sink: it
-- stands in the sink's URL and opens nothing else.
function guard.sink_key(token, name)
  return crypto.hex(crypto.hmac_sha256(token, "sink " .. name)):sub(1, 32)
end

local function holds_token(sim, http)
  local given = (http:header("authorization") or ""):match("^[Bb]earer +(%S+)$")
  return given ~= nil and same(given, sim.token)
end

local function holds_sink_key(sim, http, query)
  local name = http.method == "POST" and http.target:match("^/_sim/sink/([^?]+)")
  return name and query.key and same(query.key, guard.sink_key(sim.token, name)) or false
end

--- nil when a request carries no Origin; else 403 and why.
function guard.from_page(http)
  local origin = http:header("origin")
  if not origin then return nil end
  return 403, ("the simulator does not serve web pages, and this request has the Origin %s")
    :format(origin)
end

local function is_json(http)
  local kind = http:header("content-type")
  if not kind then return http.method == "DELETE" and #(http.body or "") == 0 end
  return kind:lower():match("^%s*application/json%s*$")
    or kind:lower():match("^%s*application/json%s*;")
end

--- nil when a request under /_sim/ may pass, else a status and a sentence. query: its
-- parameters.
function guard.refuses(sim, http, query)
  local host, reads = host_of(http), http.method == "GET" or http.method == "HEAD"
  if not sim.open_to_network and not guard.loopback(host) then
    return 403, ("/_sim/ answers to loopback names only (127.0.0.1), not to the Host \"%s\"")
      :format(host)
  end
  if not reads and not is_json(http) then
    return 415, ("%s /_sim/ needs the header Content-Type: application/json"):format(http.method)
  end
  local health = reads and http.target:find("^/_sim/health/")
  if health or reads and not sim.open_to_network then return nil end
  if holds_token(sim, http) or holds_sink_key(sim, http, query) then return nil end
  return 401, "the header Authorization: Bearer TOKEN is missing, or it is not this simulator's "
    .. "token (printed at the start, or taken from DRLUA_SIM_TOKEN)"
end

return guard
