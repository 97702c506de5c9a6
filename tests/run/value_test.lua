-- run.value: journal values to text and back, exactly.
local t = require "harness"
local errors = require "errors"
local value = require "run.value"

local function back(v) return value.decode(value.encode(v)) end

t.test("numbers stay what they are", function()
  for _, n in ipairs { 0, -1, 9007199254740993, math.maxinteger, math.mininteger, 0.5, 1.0, -0.1,
    1e300, 2.5e-10,
    1700000000.123456 } do
    t.equal(back(n), n)
    t.equal(math.type(back(n)), math.type(n))
  end
  t.equal(back(math.huge), math.huge)
  t.equal(back(-math.huge), -math.huge)
  local nan = back(0 / 0)
  t.ok(nan ~= nan)
end)

t.test("strings: controls, quotes, backslashes, bytes that are no text", function()
  for _, s in ipairs { "", "a\"b\\c\n\r\t\0d", "\\u0041", "äöü €", "\xff\xfe", "\127",
    "{\"$bytes\":1}" } do
    t.equal(back(s), s)
  end
end)

t.test("tables: lists, records, empty lists, other keys, null", function()
  t.equal(back { 1, "a", true, { x = { 1 } } }, { 1, "a", true, { x = { 1 } } })
  t.equal(back { [3] = "x", y = 1 }, { [3] = "x", y = 1 })
  t.equal(back { ["$odd"] = 1 }, { ["$odd"] = 1 })
  t.equal(back { [true] = 1, [2.5] = 2 }, { [true] = 1, [2.5] = 2 })
  t.ok(back { a = value.null }.a == value.null)
  local empty = value.decode("[]")
  t.ok(value.is_array(empty))
  t.equal(value.encode { list = empty, record = {} }, '{"list":[],"record":{}}')
  t.equal(value.encode { b = 1, a = 2 }, '{"a":2,"b":1}')
end)

t.test("several values, nil among them", function()
  t.equal(table.pack(value.unpack(back(value.pack(nil, 1, nil)))), { n = 3, [2] = 1 })
  t.equal(select("#", value.unpack(back(value.pack()))), 0)
end)

t.test("error objects stay error objects", function()
  local e = back(errors.new { kind = "aws", code = "X", message = "no" })
  t.ok(errors.is(e))
  t.equal(tostring(e), "no")
  t.equal(e.code, "X")
end)

t.test("anything else is refused, with its place", function()
  t.raises("^the result%.a%[2%]%.fn is a function", value.encode, { a = { 1, { fn = print } } },
    "the result")
  t.raises("contains itself", function()
    local loop = {}
    loop.loop = loop
    value.encode(loop)
  end)
  t.raises("an object with methods", value.encode, setmetatable({}, { __index = {} }))
  t.raises("a thread", value.encode, coroutine.create(print))
end)

t.test("damaged text is an error of kind corrupt", function()
  for _, text in ipairs { "", "{", '{"a":', "[1,]", "nope", '"x' } do
    t.equal(t.raises("damaged", value.decode, text).kind, "corrupt")
  end
end)
