-- Our JSON, with lua-cjson as a judge of what it accepts and writes.
local t = require "harness"
local cjson = require "cjson"
local json = require "json"

t.test("integers, floats, null, empty arrays and objects survive", function()
  local written = '{"a":[],"b":{},"c":9007199254740993,"d":1.0,"e":null,"f":[null,1],"g":-0.5}'
  local value = json.decode(written)
  t.equal(math.type(value.c), "integer")
  t.equal(math.type(value.d), "float")
  t.ok(value.e == json.null)
  t.equal(json.encode(value, { sort = true }), written)
  t.equal(json.encode(json.array {}), "[]")
  t.ok(json.is_array(value.a) and not json.is_array(value.b))
  t.equal(json.decode "null", json.null)
end)

t.test("faults are raised with their place", function()
  for _, bad in ipairs { "", '"\1"' } do
    t.equal(t.raises(nil, json.decode, bad).kind, "invalid")
  end
  for _, bad in ipairs { "{", '{"a":}', "[1,]", "nul", "[1] 2" } do
    local e = t.raises(nil, json.decode, bad)
    t.equal(e.kind, "invalid", bad)
    t.ok(not pcall(cjson.decode, bad), bad)
  end
  t.contains(t.raises(nil, json.decode, '{"a":'), "byte 6")
  t.raises("a string expected", json.decode, nil)
  t.equal(t.raises(nil, json.encode, { print }).kind, "invalid")
  local cycle = {}
  cycle[1] = cycle
  t.equal(t.raises(nil, json.encode, cycle).kind, "invalid")
end)

t.test("numbers are read as RFC 8259 writes them, of any length", function()
  for _, bad in ipairs { "1.", "-", "-.5", ".5", "+1", "01", "-01", "1.e5", "1e", "1e+", "1.5E-",
    "0x10", "1-2", "--1",
    "1..2", "1e5.5", "NaN", "Infinity", "[1.]", '{"a":1.}', "1.,2" } do
    t.equal(t.raises("byte %d", json.decode, bad).kind, "invalid", bad)
  end
  local long = ("1234567890"):rep(20)
  for text, value in pairs { ["0"] = 0, ["-0.0"] = -0.0, ["10"] = 10, ["1.5"] = 1.5, ["1E5"] = 1e5,
    ["1e-05"] = 1e-5, ["-12.50e+1"] = -125.0, ["9223372036854775807"] = math.maxinteger,
    ["9223372036854775808"] = 2.0 ^ 63, [long] = tonumber(long .. ".0"),
    ["0." .. long] = tonumber("0." .. long),
    ["-" .. ("9"):rep(63)] = -1e63, [("9"):rep(64) .. "e-64"] = 1.0 } do
    t.equal(json.decode(text), value, text)
    t.equal(json.decode("[" .. text .. "]"), { value }, text)
  end
end)

t.test("cjson reads what we write, and we what it writes", function()
  local value = { name = "häß\0\"\\\n/", list = { 1, 2.5, "x", true, { a = { b = "c" } } },
    big = 1e300, small = 1e-7 }
  local theirs = cjson.decode(json.encode(value))
  t.equal({ theirs.name, theirs.big, theirs.small, theirs.list[2] },
    { value.name, 1e300, 1e-7, 2.5 })
  t.equal(json.decode(cjson.encode(value)), value)
end)

t.test("the two share one null, so that their values mix", function()
  t.ok(cjson.null == json.null)
  t.equal(json.encode(cjson.decode '{"a":null}'), '{"a":null}')
end)

t.test("lines", function()
  t.equal(json.lines '{"a":1}\n\n[2]\r\n"x"', { { a = 1 }, { 2 }, "x" })
end)
