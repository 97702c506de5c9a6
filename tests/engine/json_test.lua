local json = require "native.json"
local t = require "harness"

t.test("integers are exact, floats read back as they were", function()
  for _, text in ipairs { "0", "-1", "9223372036854775807", "-9223372036854775808",
    "1700000000123456" } do
    local value = json.decode(text)
    t.equal(math.type(value), "integer")
    t.equal(json.encode(value), text)
  end
  for _, value in ipairs { 0.1, 1e300, -2.5e-8, 1 / 3, 123456789.125, 5e-324 } do
    t.equal(json.decode(json.encode(value)), value)
  end
  t.equal(math.type(json.decode("9223372036854775808")), "float")
  t.equal(math.type(json.decode("1.0")), "float")
  t.equal(json.encode(1.0), "1.0")
end)

t.test("empty arrays stay arrays, null stays null", function()
  t.equal(json.encode(json.decode('{"a":[],"b":{},"c":null}'), { sort = true }),
    '{"a":[],"b":{},"c":null}')
  t.equal(json.encode(json.array {}), "[]")
  t.equal(json.encode {}, "{}")
  t.equal(json.decode("null"), json.null)
  t.equal(json.is_array(json.decode "[]"), true)
  t.equal(json.is_array {}, false)
end)

t.test("text of every kind", function()
  t.equal(json.decode([["\u00e9\ud83d\ude00\n\/\"\\"]]), "é😀\n/\"\\")
  t.equal(json.decode([["\ud83d x"]]), "\u{fffd} x")
  t.equal(json.encode("\0\1\n\"\\é"), [["\u0000\u0001\n\"\\é"]])
  t.equal(json.decode(json.encode(("x"):rep(100000))), ("x"):rep(100000))
end)

t.test("indent and sort", function()
  t.equal(json.encode({ b = { 1, 2 }, a = {} }, { indent = 2, sort = true }),
    '{\n  "a": {},\n  "b": [\n    1,\n    2\n  ]\n}')
end)

t.test("what is not JSON is refused with the place", function()
  for _, text in ipairs { "", "{", "[1,", "[1,]", '{"a"}', '{"a":1,}', "tru", "01", "-012",
    "+1", ".5", '"\\x"', '"a', "1 2",
    '{"a":1 "b":2}', "[1 2]", '"\n"', "nul", "-", "1e", "\xff" } do
    local value, why, kind = json.decode(text)
    t.equal(value, nil, text)
    t.contains(why, "at byte")
    t.equal(kind, "invalid")
  end
  t.contains(select(2, json.decode(("["):rep(10000))), "deep")
end)

t.test("what has no JSON is refused", function()
  for _, value in ipairs { print, { print }, 0 / 0, 1 / 0, { [1.5] = 1 }, { [true] = 1 },
    io.stdout } do
    local text, why, kind = json.encode(value)
    t.equal(text, nil)
    t.ok(#why > 0)
    t.equal(kind, "invalid")
  end
  local loop = {}
  loop[1] = loop
  t.contains(select(2, json.encode(loop)), "deep")
end)
