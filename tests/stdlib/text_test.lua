local t = require "harness"
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
  t.equal(text.fill("${a} and ${ b }, not $${a}, $x", { a = 1, b = "%1" }), "1 and %1, not ${a}, $x")
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

t.test("sizes", function()
  for bytes, written in pairs { [0] = "0 B", [1023] = "1023 B", [1024] = "1 KiB", [1536] = "1.5 KiB",
    [5 * 2 ^ 30 // 1 | 0] = "5 GiB" } do
    t.equal(text.size(bytes), written)
  end
  for written, bytes in pairs { ["512"] = 512, ["1.5GiB"] = 1610612736, ["10 MB"] = 10000000, ["2g"] = 2147483648 } do
    t.equal(text.parse_size(written), bytes)
  end
  local size, message = text.parse_size "many"
  t.equal(size, nil)
  t.contains(message, '"many" is no size')
end)
