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

t.test("each of the forms that a value takes on its way is masked, and found again by its name", function()
  local json = require "native.json"
  local value = "p'w&<\"q\\/ é\t€%😀"
  local function percent(kept)
    return (value:gsub("[^%w%-_.~" .. kept .. "]", function(c) return ("%%%02x"):format(c:byte()) end))
  end
  local s = secrets.new()
  s:add("pw", value)
  for _, form in ipairs {
    value, percent "", (percent(""):gsub("%%%x%x", string.upper)), percent "/", percent "!'()*", json.encode(value),
    json.encode(json.encode(value)), [[p'w&<\"q\\\/ \u00e9\t\u20ac%\ud83d\ude00]],
    [[p'w&<\"q\\/ \u00e9\t\u20ac%\ud83d\ude00]],
    value:gsub("&", "&amp;"):gsub("<", "&lt;"), value:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub('"', "&quot;"),
    "E'" .. value:gsub("[\\']", "%0%0") .. "'", "'" .. value:gsub("'", "''") .. "'",
    "'" .. value:gsub("'", "'\\''") .. "'", ("%q"):format(value), crypto.hex(value), crypto.hex(value):upper(),
    "Basic " .. crypto.base64("user:" .. value), "Basic " .. crypto.base64("ops:" .. value .. "tail"),
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
