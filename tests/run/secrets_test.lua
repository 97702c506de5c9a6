-- run.secrets: masked for eyes, named for the journal, and back.
local t = require "harness"
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
