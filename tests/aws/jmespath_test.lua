--- aws.jmespath: how expressions meet Lua values, faults, and any text at all.
-- The language itself is covered by the official compliance files
-- (tests/conformance/jmespath.lua); here are its corners and what is our own.
local t = require "harness"
local jmespath = require "aws.jmespath"
local json = require "native.json"

local search = jmespath.search

local answer = {
  Reservations = {
    { Instances = { { InstanceId = "i-1", State = { Name = "running" }, Tags = {} },
                    { InstanceId = "i-2", State = { Name = "stopped" } } } },
    { Instances = { { InstanceId = "i-3", State = { Name = "running" } } } },
  },
}

t.test("the expressions of AWS's waiters and paginators", function()
  t.equal(search("Reservations[].Instances[].InstanceId", answer), { "i-1", "i-2", "i-3" })
  t.equal(search("Reservations[].Instances[?State.Name=='running'].InstanceId[]", answer),
    { "i-1", "i-3" })
  t.equal(search("length(Reservations[]) > `0`", answer), true)
  t.equal(search("NextToken", answer), nil)
  t.equal(search("Reservations[-1].Instances[0].InstanceId", answer), "i-3")
  t.equal(search("contains(Reservations[].Instances[].State.Name, 'stopped')", answer), true)
  t.equal(search("length(services[?!(length(deployments) == `1` && "
    .. "runningCount == desiredCount)]) == `0`", {
    services = { { deployments = { {} }, runningCount = 2, desiredCount = 2 } },
  }), true)
end)

t.test("an expression compiled once serves many values", function()
  local get = jmespath.compile("a.b || 'none'")
  t.equal(get { a = { b = "x" } }, "x")
  t.equal(get { a = {} }, "none")
  t.equal(get(nil), "none")
  t.equal(get(json.null), "none")
end)

t.test("null is nil outside and json.null inside", function()
  t.equal(search("a", { a = json.null }), nil)
  t.equal(search("[a, b]", { b = 1 }), { json.null, 1 })
  t.equal(search("{x: a}", { b = 1 }), { x = json.null })
  t.equal(search("a == null", { a = json.null }), true)
  t.equal(search("l[*]", { l = { 1, json.null, 2 } }), { 1, 2 })
  t.equal(search("length(l)", { l = { 1, json.null, 2 } }), 3)
  t.equal(search("type(l[1])", { l = { 1, json.null } }), "null")
end)

t.test("an unmarked empty table is a list where one is wanted", function()
  t.equal(search("l[*].x", { l = {} }), {})
  t.equal(search("length(l)", { l = {} }), 0)
  t.equal(search("l[].x", { l = {} }), {})
  t.equal(search("keys(l)", { l = {} }), {})
  t.equal(search("type(l)", { l = {} }), "object")
  t.equal(search("type(l)", { l = json.array {} }), "array")
  t.equal(search("l.*", { l = json.array {} }), nil)
  t.equal(search("type([])", json.array {}), "array")
end)

t.test("integers stay integers", function()
  t.equal(search("length(l)", { l = { "a" } }), 1)
  t.equal(search("`1700000000123456`", {}), 1700000000123456)
  t.equal(search("ceil(`1.5`)", {}), 2)
  t.equal(search("to_number('12')", {}), 12)
  t.equal(search("sum(l)", { l = { 1, 2 } }), 3)
  t.equal(search("to_string(`{\"a\": [1, null]}`)", {}), '{"a":[1,null]}')
end)

t.test("objects are walked in the order of their keys", function()
  local object = {}
  for i = 1, 50 do object[("k%02d"):format(i)] = i end
  for _ = 1, 5 do
    local values = search("*", object)
    for i = 1, 50 do t.equal(values[i], i) end
  end
end)

t.test("sort_by keeps the order of equals; keys must be of one kind", function()
  local rows = {}
  for i = 1, 40 do rows[i] = { k = i % 3, n = i } end
  local sorted = search("sort_by(@, &k)[].n", rows)
  for i = 2, 40 do
    local a, b = sorted[i - 1], sorted[i]
    t.ok(a % 3 < b % 3 or a % 3 == b % 3 and a < b)
  end
  t.equal(t.raises("numbers or all strings", search, "sort_by(@, &k)",
    { { k = 1 }, { k = "a" } }).code, "invalid-type")
end)

t.test("text is counted and turned by characters", function()
  t.equal(search("length('héé')", {}), 3)
  t.equal(search("reverse('aé𝄞')", {}), "𝄞éa")
end)

t.test("faults say where and what", function()
  local function fault(expression, code, pattern, value)
    t.equal(t.raises(pattern, search, expression, value or {}).code, code, expression)
  end
  fault("foo.", "syntax", "at 5 of \"foo%.\": unexpected the end")
  fault("foo bar", "syntax", "at 5 of \"foo bar\": unexpected \"bar\"")
  fault("foo[", "syntax", "unexpected the end")
  fault("'abc", "syntax", "at 1: ' is not closed")
  fault("`{bad`", "syntax", "at 1: {bad is not JSON")
  fault("a = b", "syntax", "at 3: unexpected \"=\"")
  fault("\"length\"(@)", "syntax", "not quoted")
  fault("&a", "syntax", "unexpected \"&\"")
  fault("nosuch(@)", "unknown-function", "there is no function nosuch%(%)")
  fault("length(@, @)", "invalid-arity", "length%(%) takes 1 argument, not 2")
  fault("not_null()", "invalid-arity", "1 argument or more")
  fault("abs('x')", "invalid-type", "argument 1 must be number, not string")
  fault("abs(&x)", "invalid-type", "an expression")
  fault("@[::0]", "invalid-value", "step cannot be 0", { 1 })
  fault(("("):rep(600) .. "a" .. (")"):rep(600), "syntax", "nested more than 500 deep")
  fault(("[99999999999999999999]"), "syntax", "too large")
end)

t.test("any text compiles or is refused with a code", function()
  math.randomseed(11)
  local pieces = {
    "a", "[", "]", "*", ".", "?", "|", "||", "&", "&&", "!", "=", "==", "<", "(", ")", "{", "}",
    ":", ",", "`1`", "'x'", '"q"', "`", "'", '"', "\\", " ", "0", "-1", "@", "length(", "sort_by(",
    "\0", "\xff", "é",
  }
  local values = { {}, { a = { { a = 1 }, { a = "x" } } }, { 1, 2, 3 }, "text", 7 }
  for _ = 1, 20000 do
    local parts = {}
    for i = 1, math.random(12) do parts[i] = pieces[math.random(#pieces)] end
    local text = table.concat(parts)
    local ok, e = pcall(search, text, values[math.random(#values)])
    t.ok(ok or type(e) == "table" and e.code, text .. ": " .. tostring(e))
  end
end)
