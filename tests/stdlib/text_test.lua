local t = require "harness"
local confidential = require "confidential"
local text = require "text"

t.test("trim, split, lines, starts, ends", function()
  t.equal(text.trim " \t a b \n", "a b")
  t.equal(text.split("a,,b,", ","), { "a", "", "b", "" })
  t.equal(text.split("a.b.c", ".", 2), { "a", "b.c" })
  t.equal(text.split("", ","), { "" })
  t.raises("not empty", text.split, "a", "")
  t.equal(text.lines "a\r\n\nb", { "a", "", "b" })
  t.equal(text.lines "a\n", { "a" })
  t.equal(text.lines "", {})
  t.ok(text.starts("abc", "ab") and not text.starts("abc", "b") and text.starts("abc", ""))
  t.ok(text.ends("abc", "bc") and not text.ends("abc", "b") and text.ends("abc", ""))
end)

t.test("fill puts values in, and names the one that is missing", function()
  t.equal(text.fill("${a} and ${ b }, not $${a}, $x", { a = 1, b = "%1" }),
    "1 and %1, not ${a}, $x")
  local e = t.raises("no value for ${c}", function() return (text.fill("${c}", {})) end)
  t.contains(e.where, "text_test.lua")
end)

t.test("tables line up by characters, numbers to the right", function()
  t.equal(text.table({ { "é", 1, "x" }, { "bcd", 22, "" } }, { "name", "n", "note" }),
    "name   n  note\né      1  x\nbcd   22")
  t.equal(text.table {}, "")
end)

t.test("count, indent, shorten", function()
  t.equal(text.count(1, "row"), "1 row")
  t.equal(text.count(0, "row"), "0 rows")
  t.equal(text.count(2, "copy", "copies"), "2 copies")
  t.equal(text.indent "a\n\nb\n", "  a\n\n  b\n")
  t.equal(text.indent("a\nb", "% "), "% a\n% b")
  t.equal(text.shorten("häßlich", 4), "häß…")
  t.equal(text.shorten("abc", 3), "abc")
end)

t.test("foreign text is made printable: controls, hidden and turning "
  .. "characters, bytes that are no text", function()
  for given, shown in pairs {
    ["plain é € 😀\n\ttext"] = "plain é € 😀\n\ttext", ["\27[2J\27[1;1H"] = "\\x1b[2J\\x1b[1;1H",
    ["a\rb\0c\127"] = "a\\x0db\\x00c\\x7f", ["\u{9b}31m"] = "<U+009B>31m",
    ["\u{202e}fdp.exe"] = "<U+202E>fdp.exe",
    ["\u{2066}\u{2069}\u{200b}\u{feff}\u{2028}"] = "<U+2066><U+2069><U+200B><U+FEFF><U+2028>",
    ["\xff\xfeé\xc3"] = "\\xff\\xfeé\\xc3", ["\u{e0041}"] = "<U+E0041>",
    ["\xed\xa0\x80"] = "\\xed\\xa0\\x80", [""] = "",
  } do t.equal(text.printable(given), shown) end
  t.equal(text.printable_line " a \r\n\tb\27 ", "a b\\x1b")
  t.equal(text.printable(5), "5")
end)

t.test("JSON stays the same JSON", function()
  local json = require "json"
  for _, given in ipairs { "\u{202e}x\u{85}é😀", "\u{e0041}", "plain", "\27\127" } do
    local encoded = json.encode { given }
    local shown = text.printable_json(encoded)
    t.equal(json.decode(shown), { given })
    t.equal(text.printable(shown), shown)
  end
end)

t.test("Markdown shows foreign text as it is", function()
  for given, shown in pairs {
    ["[a](http://x) | `c` *b*"] = "\\[a\\](http://x) \\| \\`c\\` \\*b\\*",
    ["<img src=x onerror=y> &amp;"] =
    "&lt;img src=x onerror=y&gt; &amp;amp;", ["# head\n- list"] = "\\# head - list",
    ["a_b _c_"] = "a_b \\_c\\_", ["1. x"] = "1\\. x", ["12.5 s"] = "12.5 s", ["\\"] = "\\\\",
  } do t.equal(text.markdown(given), shown) end
end)

t.test("what is shortened is masked first: a secret at the edge leaves no part", function()
  local secrets = require "run.secrets"
  local registry = secrets.new()
  registry:add("pw", "hunter 2000 secret")
  local former = confidential.install(registry)
  t.cleanup(function() confidential.install(former) end)
  for before = 0, 30 do
    local given = ("x"):rep(before) .. " hunter 2000 secret" .. ("y"):rep(40)
    for _, shown in ipairs { text.shorten(given, 20), text.excerpt(given, 20),
      text.last_lines("a\n" .. given, 1, 20),
      text.excerpt(given .. ("z"):rep(300000), 20),
      text.last_lines(("z\n"):rep(200000) .. given, 1, 20) } do
      t.ok(not shown:find("hunt", 1, true), shown)
      t.ok(utf8.len(shown) <= 20, shown)
    end
  end
  t.equal(text.excerpt("a  b\n\nc", 20), "a b c")
  t.equal(text.last_lines("one\n two \r\nthree\n\n", 2, 20), "two; three")
end)

t.test("sizes", function()
  for bytes, written in pairs { [0] = "0 B", [1023] = "1023 B", [1024] = "1 KiB",
    [1536] = "1.5 KiB",
    [5 * 2 ^ 30 // 1 | 0] = "5 GiB" } do
    t.equal(text.size(bytes), written)
  end
  for written, bytes in pairs { ["512"] = 512, ["1.5GiB"] = 1610612736, ["10 MB"] = 10000000,
    ["2g"] = 2147483648 } do
    t.equal(text.parse_size(written), bytes)
  end
  local size, message = text.parse_size "many"
  t.equal(size, nil)
  t.contains(message, '"many" is no size')
end)
