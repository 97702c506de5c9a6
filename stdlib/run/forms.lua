--- The forms that a secret value takes on its way: in a URL, in JSON, in XML and HTML,
-- in source text of a language, in base64 and hex.
--
-- Each form has a mark of its own, by which a journal names it: a form keeps its mark
-- for ever, since old journals hold it. New forms go to the end of `more`.
local crypto = require "native.crypto"

local forms = {}

local function percent(s, kept)
  return (s:gsub("[^%w%-_.~" .. (kept or "") .. "]",
    function(c) return ("%%%02X"):format(c:byte()) end))
end

local function lower(s) return (s:gsub("%%%x%x", string.lower)) end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\b"] = "\\b",
  ["\f"] = "\\f" }

-- As it stands inside a JSON string.
local function json(s)
  return (s:gsub('[%c"\\]', function(c) return short[c] or ("\\u%04x"):format(c:byte()) end))
end

local function utf16(code, digits)
  local form = "\\u" .. digits
  if code < 0x10000 then return form:format(code) end
  return (form .. form):format(0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF))
end

-- JSON whose encoder leaves nothing but ASCII; digits: "%04x" or "%04X".
local function ascii(s, digits)
  if not utf8.len(s) then return s end
  return (s:gsub(utf8.charpattern, function(c)
    local code = utf8.codepoint(c)
    return code >= 128 and utf16(code, digits or "%04x") or nil
  end))
end

-- The characters of a class by their number: \u0026. digits: "%04x" or "%04X".
local function numbered(s, class, digits)
  return (s:gsub(class, function(c) return utf16(c:byte(), digits) end))
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&apos;" }

-- What the value comes to inside a base64 text, after `before` other bytes (modulo 3):
-- without the letters that share bits with its neighbours.
local function base64(s, before)
  local text = crypto.base64(("\0"):rep(before) .. s):gsub("=", "")
  local whole = (#s + before) % 3 == 0 and #text or #text - 1
  return text:sub(({ [0] = 1, 3, 4 })[before], whole)
end

-- The first ones, in the order of their marks /1 to /19.
local function first(s)
  local uri = percent(s, "!'()*")
  return {
    lower(percent(s)), percent(s, "/"), lower(percent(s, "/")), uri, lower(uri),
    (uri:gsub("%%20", "+")), (json(s):gsub("/", "\\/")), ascii(json(s)),
    (ascii(json(s)):gsub("/", "\\/")), (s:gsub("[&<>\"']", entities)), (s:gsub("[&<>]", entities)),
    (s:gsub('[&<>"]', entities)), (s:gsub("'", "''")), (s:gsub("[\\']", "%0%0")),
    (s:gsub("'", "'\\''")), (s:gsub("'", "'\"'\"'")),
    ("%q"):format(s):sub(2, -2), crypto.hex(s), crypto.hex(s):upper(),
  }
end

-- Go's encoder (and PHP's, with its flags) writes <, > and & by their numbers; .NET's
-- also quotes, + and `.
local function careful_json(s, list)
  local bare = (s:gsub('[%c\\]', function(c) return short[c] or ("\\u%04x"):format(c:byte()) end))
  local go = numbered(json(s), "[&<>]", "%04x")
  table.insert(list, go)
  table.insert(list, ascii(go))
  table.insert(list, (numbered(json(s), "[&<>]", "%04X")))
  table.insert(list, numbered(json(s), "[&<>']", "%04x"))
  for _, digits in ipairs { "%04x", "%04X" } do
    table.insert(list, numbered(bare, "[&<>'\"]", digits))
    table.insert(list, numbered(bare, "[&<>'\"+`]", digits))
    table.insert(list, ascii(numbered(bare, "[&<>'\"+`]", digits), digits))
  end
end

-- HTML and XML: each usual way to write quotes, alone and with every other character by
-- its number.
local function markup(s, list)
  for _, quote in ipairs { '"', "&quot;", "&#34;", "&#x22;" } do
    for _, apostrophe in ipairs { "'", "&apos;", "&#39;", "&#039;", "&#x27;" } do
      table.insert(list,
        (s:gsub("[&<>\"']", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = quote,
        ["'"] = apostrophe })))
    end
  end
  for _, form in ipairs { "&#%d;", "&#x%x;", "&#x%X;" } do
    local function by_number(c) return form:format(utf8.codepoint(c)) end
    local special = s:gsub("[&<>\"']", by_number)
    table.insert(list, special)
    if utf8.len(s) then
      table.insert(list, (special:gsub("[\xC2-\xF4][\x80-\xBF]*", by_number)))
      table.insert(list, (s:gsub("[&<>\"']", entities):gsub("[\xC2-\xF4][\x80-\xBF]*", by_number)))
      table.insert(list, (s:gsub(utf8.charpattern, by_number)))
    end
  end
end

local c_short = { ["\a"] = "\\a", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\v"] = "\\v",
  ["\f"] = "\\f",
  ["\r"] = "\\r" }

-- Source text: the backslash, these quotes and control characters escaped, and the bytes
-- above ASCII by `byte`, where it is given.
local function source(s, quotes, byte)
  s = s:gsub("[\\%c" .. quotes .. "]", function(c)
    return c_short[c] or (c:find("%c") and (byte or "\\x%02x"):format(c:byte())) or "\\" .. c
  end)
  return byte and (s:gsub("[\x80-\xFF]", function(c) return byte:format(c:byte()) end)) or s
end

local function source_texts(s, list)
  for _, quotes in ipairs { "", "'", '"', "\"'" } do
    for _, byte in ipairs { false, "\\x%02x", "\\x%02X", "\\%03o" } do
      table.insert(list, source(s, quotes, byte))
    end
  end
  table.insert(list, (s:gsub("[^%w_%-./:=+@,%%\x80-\xFF]", "\\%0"))) -- bash's printf %q
end

-- A URL inside another one.
local function twice_percent(s, list)
  for _, once in ipairs { percent(s), lower(percent(s)), percent(s, "/"), lower(percent(s, "/")),
    percent(s, "!'()*"), (percent(s):gsub("%%20", "+")) } do
    table.insert(list, percent(once))
    table.insert(list, percent(once, "/"))
  end
end

local function base64_forms(s, list)
  for before = 0, 2 do
    local form = base64(s, before)
    table.insert(list, { "=" .. before, form })
    table.insert(list, { "-" .. before, (form:gsub("%+", "-"):gsub("/", "_")) })
  end
end

--- Every form of a value: a list of { mark, form }. Two may be alike.
function forms.of(s)
  local list = { { "", s } }
  base64_forms(s, list)
  -- Nothing escapes these characters.
  if not s:find("[^%w_.%-]") then
    table.insert(list, { "/18", crypto.hex(s) })
    table.insert(list, { "/19", crypto.hex(s):upper() })
    return list
  end
  for _, form in ipairs { { "%", percent(s) }, { "+", (percent(s):gsub("%%20", "+")) },
    { '"', json(s) },
    { '""', json(json(s)) } } do table.insert(list, form) end
  local more = first(s)
  careful_json(s, more)
  markup(s, more)
  source_texts(s, more)
  twice_percent(s, more)
  for i, form in ipairs(more) do table.insert(list, { "/" .. i, form }) end
  return list
end

return forms
