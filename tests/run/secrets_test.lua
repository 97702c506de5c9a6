-- run.secrets: masked for eyes, named for the journal, and back.
local t = require "harness"
local crypto = require "native.crypto"
local secrets = require "run.secrets"

t.test("masked wherever they stand, also inside a URL; longest first", function()
  local s = secrets.new()
  s:add("pw", "p@ss word")
  s:add("long", "p@ss word and more")
  t.equal(s:mask("x p@ss word y"), "x *** y")
  t.equal(s:mask("pg://u:p%40ss%20word@h"), "pg://u:***@h")
  t.equal(s:mask("p@ss word and more"), "***")
  t.equal(s:mask({ a = { "p@ss word" }, ["p@ss word"] = 1 }), { a = { "***" }, ["***"] = 1 })
  t.equal(s:mask(5), 5)
end)

t.test("concealed by name and revealed again", function()
  local s = secrets.new()
  s:add("pw", "hunter2000")
  local concealed = s:conceal({ url = "pg://u:hunter2000@h/hunter2000" })
  t.equal(concealed.url, "pg://u:***{pw}@h/***{pw}")
  t.equal(s:reveal(concealed).url, "pg://u:hunter2000@h/hunter2000")
end)

t.test("a value too short to be told from text is left alone", function()
  local s = secrets.new()
  s:add("pin", "abc")
  t.equal(s:mask("abc"), "abc")
  s:add("none", nil)
  t.equal(s:mask("x"), "x")
end)

t.test("each of the forms that a value takes on its way is masked, "
  .. "and found again by its name", function()
  local json = require "native.json"
  local value = "p'w&<\"q\\/ é\t€%😀"
  local function percent(kept)
    return (value:gsub("[^%w%-_.~" .. kept .. "]",
      function(c) return ("%%%02x"):format(c:byte()) end))
  end
  local s = secrets.new()
  s:add("pw", value)
  for _, form in ipairs {
    value, percent "", (percent(""):gsub("%%%x%x", string.upper)), percent "/", percent "!'()*",
    json.encode(value), json.encode(json.encode(value)),
    [[p'w&<\"q\\\/ \u00e9\t\u20ac%\ud83d\ude00]],
    [[p'w&<\"q\\/ \u00e9\t\u20ac%\ud83d\ude00]],
    value:gsub("&", "&amp;"):gsub("<", "&lt;"),
    value:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub('"', "&quot;"),
    "E'" .. value:gsub("[\\']", "%0%0") .. "'", "'" .. value:gsub("'", "''") .. "'",
    "'" .. value:gsub("'", "'\\''") .. "'", ("%q"):format(value), crypto.hex(value),
    crypto.hex(value):upper(), "Basic " .. crypto.base64("user:" .. value),
    "Basic " .. crypto.base64("ops:" .. value .. "tail"),
  } do
    local masked = s:mask("[" .. form .. "]")
    t.ok(masked:find("***", 1, true), "not masked: " .. form)
    t.ok(not masked:find("p'w", 1, true) and not masked:find("w&", 1, true), "left: " .. masked)
    t.equal(s:reveal(s:conceal(form)), form)
  end
end)

t.test("of four characters, of several lines, of a list, and a number", function()
  local s = secrets.new()
  s:add("pin", "ab/9")
  t.equal(s:mask("x ab/9 ab%2f9"), "x *** ***")
  t.ok(not s:mask(crypto.base64("me:ab/9")):find(crypto.base64("me:ab/9"), 1, true))
  s:add("key", "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n")
  t.equal(s:mask("line BgkqhkiG9w0B of -----BEGIN KEY-----"), "line *** of -----BEGIN KEY-----")
  s:add("all", { "first-one", "second-one" })
  t.equal(s:mask("first-one second-one"), "*** ***")
  s:add("code", 482911)
  t.equal(s:mask({ 482911, "is 482911", 7 }), { "***", "is ***", 7 })
  t.equal(s:reveal(s:conceal({ 482911, "is 482911" })), { 482911, "is 482911" })
  t.equal(s:within("is 482911"), "code")
  t.equal(s:within("xx second-one"), "all")
  t.ok(secrets.too_short "abc" and not secrets.too_short "abcd")
end)

-- Forms by other programs' rules, and what they come to for one value.
local function others(value)
  local function numbers(form, class)
    return (value:gsub(class or "[&<>\"'\\]", function(c) return form:format(c:byte()) end))
  end
  local function by(form)
    return function(c) return form:format(c:byte()) end
  end
  local function percent(text)
    return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
  end
  local json = require "native.json"
  return {
    go = (json.encode(value):gsub("[&<>]", function(c) return ("\\u%04x"):format(c:byte()) end)),
    net = (value:gsub("[&<>\"'+`]", function(c) return ("\\u%04X"):format(c:byte()) end)
      :gsub("\\([^u])", "\\\\%1")),
    decimal = numbers("&#%d;", "[&<>\"']"), hexadecimal = numbers("&#x%x;", "[&<>\"']"),
    python = value:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"):gsub('"',
      "&quot;"):gsub("'", "&#x27;"),
    go_html = value:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"):gsub('"',
      "&#34;"):gsub("'", "&#39;"),
    repr = "'" .. value:gsub("[\\']", "\\%0") .. "'", c = '"' .. value:gsub('[\\"]', "\\%0") .. '"',
    bytes = "b'" .. value:gsub("[\\']", "\\%0"):gsub("[\x80-\xff]", by("\\x%02x")) .. "'",
    octal = value:gsub("[\\\"]", "\\%0"):gsub("[\x80-\xff]", by("\\%03o")),
    twice = percent(percent(value)),
    twice_lower = percent((percent(value):gsub("%%%x%x", string.lower))),
    shell = (value:gsub("[^%w_%-./:=+@,%%\x80-\xff]", "\\%0")),
  }
end

t.test("forms by other programs: Go and .NET's JSON, entities by "
  .. "number, repr, C, percent twice", function()
  for _, value in ipairs { "p'w&<\"q\\x>/ y+`é", "a&b<c>d e", "quote'only1", 'quote"only1',
    "back\\slash1",
    "ünï-cödé" } do
    local s = secrets.new()
    s:add("pw", value)
    for name, form in pairs(others(value)) do
      local masked = s:mask("[" .. form .. "]")
      t.ok(masked:find("***", 1, true), ("%s of %s is not masked: %s"):format(name, value, form))
      t.ok(#masked <= #"[b'***']", ("%s of %s: left %s"):format(name, value, masked))
      t.equal(s:reveal(s:conceal(form)), form)
    end
  end
end)

t.test("marks that a text held by itself stay text, whatever it is made of", function()
  local s = secrets.new()
  s:add("pw", "hunter2000")
  s:add("mark", "pw}{pw")
  for _, text in ipairs { "hello ***{pw}", "***{}", "***{}pw}", "****{pw}", "***{***{pw}}",
    "*** hunter2000 ***{pw}hunter2000", "***hunter2000{pw}", "***{hunter2000}", "hunter2000***{",
    "***{pw#}", "***{pw", "{pw}", "***{pw}{pw}" } do
    local kept = s:conceal(text)
    t.ok(not kept:find("hunter2000", 1, true), kept)
    t.equal(s:reveal(kept), text)
    t.equal(s:reveal(s:reveal(s:conceal(kept))), text, "concealed twice: " .. text)
    t.ok(not secrets.shown(kept):find("hunter2000", 1, true))
  end
  t.equal(secrets.shown(s:conceal "is hunter2000, ***{pw}"), "is ***, ***{pw}")
  -- Also where there is no secret yet.
  local empty = secrets.new()
  t.equal(s:reveal(empty:conceal "***{pw}"), "***{pw}")
  -- Keys of tables too, and a mark is never looked for in another mark.
  t.equal(s:reveal(s:conceal { ["***{pw}"] = "hunter2000" }), { ["***{pw}"] = "hunter2000" })
  local named = secrets.new()
  named:add("password", "s3cret-value")
  named:add("other", "password")
  t.equal(named:conceal "s3cret-value password", "***{password} ***{other}")
  t.equal(named:reveal "***{password} ***{other}", "s3cret-value password")
end)

t.test("a journal from before marks were escaped is revealed as it was written", function()
  local s = secrets.new { plain_marks = true }
  s:add("pw", "hunter2000")
  t.equal(s:reveal "x ***{pw} ***{}", "x hunter2000 ***{}")
  t.equal(s:conceal "***{x}", "***{x}")
end)

t.test("observed secrets are handed over once, before what names them, and come back", function()
  local s, kept = secrets.new(), {}
  s:observe("sql password", "hunter2000")
  t.equal(s:mask "with hunter2000", "with ***")
  t.equal(kept, {})
  t.equal(s:conceal "early hunter2000", "early ***{sql_password.1}")
  s:keep(function(name, value) table.insert(kept, { name, value }) end)
  t.equal(kept, { { "sql_password.1", "hunter2000" } })
  s:observe("sql password", "hunter2000")
  s:observe("sql password", "second-one")
  s:mask "second-one"
  t.equal(#kept, 1)
  t.equal(s:conceal { "second-one", "hunter2000", "second-one" },
    { "***{sql_password.2}", "***{sql_password.1}", "***{sql_password.2}" })
  t.equal(kept[2], { "sql_password.2", "second-one" })
  t.equal(#kept, 2)
  -- Another process: what was sealed comes first, then what it observes itself.
  local again = secrets.new()
  again:restore("sql_password.1", "hunter2000")
  again:restore("sql_password.2", nil)
  again:observe("sql password", "third-one")
  t.equal(again:conceal "third-one", "***{sql_password.3}")
  t.equal(again:reveal "***{sql_password.1}", "hunter2000")
  local e = t.raises("sealed in the journal", again.reveal, again, { x = "in ***{sql_password.2}" })
  t.equal(e.kind, "state")
end)

t.test("one that cannot be kept is not named", function()
  local s = secrets.new()
  s:observe("token", "hunter2000")
  s:keep(function() error("the disk is full") end)
  t.raises("the disk is full", s.conceal, s, "hunter2000")
  s:keep(function() end)
  t.equal(s:conceal "hunter2000", "***{token.1}")
end)

t.test("however many there are, a short text and a long one are masked alike", function()
  local s = secrets.new()
  for i = 1, 500 do s:add("n" .. i, ("value-%04d/x"):format(i)) end
  local short = "a value-0007/x b value-0499/x"
  t.equal(s:mask(short), "a *** b ***")
  t.equal(s:mask(short .. (" filler"):rep(20000)), "a *** b ***" .. (" filler"):rep(20000))
  t.equal(s:reveal(s:conceal(short)), short)
end)

t.test("values that are sealed where they stand", function()
  local s, boxes = secrets.new(), {}
  local data = { a = secrets.sealed { x = { 1, 2.5, "t" } }, b = secrets.sealed "abc",
    c = secrets.sealed(false), d = 7 }
  t.equal(s:mask(data), { a = "***", b = "***", c = "***", d = 7 })
  t.equal(s:conceal(data), { a = "***", b = "***", c = "***", d = 7 })
  s:keep(function() end, {
    close = function(text)
      table.insert(boxes, text)
      return tostring(#boxes)
    end,
    open = function(sealed) return boxes[tonumber(sealed)] end,
  })
  local kept = s:conceal(data)
  for _, name in ipairs { "a", "b", "c" } do t.matches(kept[name], "^%*%*%*{!%d}$") end
  t.equal(secrets.shown(kept), { a = "***", b = "***", c = "***", d = 7 })
  local clear = { a = { x = { 1, 2.5, "t" } }, b = "abc", c = false, d = 7 }
  t.equal(s:reveal(kept), clear)
  t.equal(s:reveal(data), clear)
  t.raises("bring the key back", s.reveal, s, "***{!9}")
  -- A text that looks like one is a text.
  t.equal(s:reveal(s:conceal "***{!1}"), "***{!1}")
end)

t.test("names of steps: no secret, and the same again when its value has changed", function()
  local s, again = secrets.new(), secrets.new()
  s:add("pw", "hunter2000")
  again:add("pw", "other-word")
  t.equal(s:name_of "with hunter2000", "with ***{pw}")
  t.equal(again:name_of "with other-word", "with ***{pw}")
  t.equal(s:name_of "plain ***{pw}", "plain ***{pw}")
end)

t.test("what may be an argument is masked all the same", function()
  local s = secrets.new()
  s:observe("setting", "ami-0123456789", { plain = true })
  s:observe("password", "pass-word1")
  t.equal(s:mask "ami-0123456789", "***")
  t.equal(s:within "--image=ami-0123456789", nil)
  t.equal(s:within "--x=pass-word1", "password")
end)
