--- What a program or a request is shown as: in a plan, an approval, a call's line and the
-- report. Secrets are masked before anything is cut.
local confidential = require "confidential"
local text = require "text"

local caption = {}

local WORD, WORDS, PATH = 60, 200, 120

-- A word as one would type it to a shell; a long one (a script) is cut.
local function typed(word)
  word = text.shorten((confidential.mask(tostring(word)):gsub("%s+", " ")), WORD)
  if word ~= "" and not word:find("[^%w%%+,./:=@_~^-]") then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- The command line of a program: "kubectl delete ns shop".
function caption.command(argv)
  local words = { (tostring(argv[1]):match("[^/]*$")) }
  for i = 2, #argv do words[i] = typed(argv[i]) end
  return text.shorten(table.concat(words, " "), WORDS)
end

-- Texts that look as if drawn at random, as the keys in a webhook's path do: long, and
-- changing often between letters and digits, or of both cases and digits, or very long.
local function looks_random(segment)
  if #segment < 16 then return false end
  local changes = 0
  for _ in segment:gmatch("%a+%d") do changes = changes + 1 end
  for _ in segment:gmatch("%d+%a") do changes = changes + 1 end
  local mixed = segment:find("%u") and segment:find("%l") and segment:find("%d")
  return changes >= 3 or mixed ~= nil or not segment:find("[^%w]") and #segment >= 24
end

--- Host and path of a URL, without a login, without the query, and with "..." for segments
-- that may be a key: "hooks.example.com/services/T0/B0/...".
function caption.address(url)
  url = confidential.mask(tostring(url))
  local host, path = url:match("^%a[%w+.-]*://([^/?#]*)([^?#]*)")
  if not host then return text.shorten(url, PATH) end
  local segments = text.split(path, "/")
  for i, segment in ipairs(segments) do
    if looks_random(segment) then segments[i] = "..." end
  end
  path = table.concat(segments, "/")
  return text.shorten(host:gsub("^.*@", "") .. (path == "/" and "" or path), PATH)
end

return caption
