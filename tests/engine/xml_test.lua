local t = require "harness"
local xml = require "native.xml"

t.test("elements, attributes, text, layout", function()
  t.equal(xml.parse '<?xml version="1.0"?>\n<a x="1" y="&lt;&#65;">\n  <b/>\n  <b> two </b>\n  <c>\n</c>\n</a>\n', {
    name = "a", attrs = { x = "1", y = "<A" },
    { name = "b", attrs = {} }, { name = "b", attrs = {}, " two " }, { name = "c", attrs = {}, "\n" } })
  t.equal(xml.parse "<a>x<b/> y <![CDATA[<&>]]></a>",
    { name = "a", attrs = {}, "x", { name = "b", attrs = {} }, " y <&>" })
  t.equal(xml.parse '<n:a xmlns:n="urn:x">é</n:a>', { name = "n:a", attrs = { ["xmlns:n"] = "urn:x" }, "é" })
  t.equal(xml.parse '<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>', { name = "a", attrs = {}, "é" })
end)

t.test("faults tell line and column", function()
  for _, case in ipairs {
    { "<a>\n<b></a>", "XML line 2 column 6: mismatched tag" }, { "", "XML line 1 column 1: no element found" },
    { "<a/><b/>", "XML line 1 column 5: junk after document element" },
    { "<a>&none;</a>", "XML line 1 column 4: undefined entity" },
  } do
    t.equal({ xml.parse(case[1]) }, { nil, case[2], "invalid" })
  end
end)

t.test("no document type: neither entities without end nor files", function()
  local laughs = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
  local file = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
  for _, document in ipairs { laughs, file, "<!DOCTYPE a><a/>" } do
    local value, message = xml.parse(document)
    t.equal(value, nil)
    t.contains(message, "a document type is not accepted")
  end
end)

t.test("depth has a limit", function()
  t.ok(xml.parse(("<a>"):rep(200) .. ("</a>"):rep(200)))
  local value, message = xml.parse(("<a>"):rep(201) .. ("</a>"):rep(201))
  t.equal(value, nil)
  t.contains(message, "nested too deep")
  t.equal(xml.parse(("<a>"):rep(100000)), nil)
end)

t.test("escape, and back", function()
  local text = "a<b>&\"c'\r\n\té"
  t.equal(xml.escape(text), "a&lt;b&gt;&amp;&quot;c&#39;&#13;\n\té")
  t.equal(xml.parse("<a>" .. xml.escape(text) .. "</a>")[1], text)
  t.equal(xml.parse('<a x="' .. xml.escape '"<&>\'' .. '"/>').attrs.x, '"<&>\'')
  t.ok(xml.parse("<a>" .. xml.escape "\1\0" .. "</a>"))
end)

t.test("a large document", function()
  local parts = {}
  for i = 1, 50000 do parts[i] = ("<item n=\"%d\">%d</item>"):format(i, i) end
  local value = xml.parse("<list>" .. table.concat(parts) .. "</list>")
  t.equal(#value, 50000)
  t.equal(value[50000], { name = "item", attrs = { n = "50000" }, "50000" })
end)
