-- run.params: declarations, conversion, sources, faults.
local t = require "harness"
local params = require "run.params"
local sys = require "native.sys"

local function declare(list)
  local faults = {}
  local declared = params.declare(list, faults)
  return declared, table.concat(faults, "; ")
end

local function one(declaration, given)
  declaration[1] = "x"
  local declared, faults = declare { declaration }
  t.equal(faults, "")
  return params.resolve(declared, { x = given }).x
end

t.test("every type, from text and from an environment file", function()
  t.equal(one({}, "a"), "a")
  t.equal(one({ type = "int" }, "42"), 42)
  t.equal(one({ type = "number" }, "2.5"), 2.5)
  t.equal(one({ type = "bool" }, "yes"), true)
  t.equal(one({ type = "bool" }, "off"), false)
  t.equal(one({ type = "duration" }, "1h30m"), 5400)
  t.equal(one({ type = "time" }, "2026-11-21T03:10:00Z"), 1795230600.0)
  t.equal(one({ type = "region" }, "us-gov-west-1"), "us-gov-west-1")
  t.equal(one({ type = "arn" }, "arn:aws:sns:us-east-1:123456789012:t"), "arn:aws:sns:us-east-1:123456789012:t")
  t.equal(one({ type = "url" }, "https://x/y"), "https://x/y")
  t.equal(one({ type = "enum", choices = { "a", "b" } }, "b"), "b")
  t.equal(one({ type = "list" }, "a, b,c"), { "a", "b", "c" })
  t.equal(one({ type = "list" }, '[{"n":1}]'), { { n = 1 } })
  t.equal(one({ type = "list" }, { k = 1 }), { k = 1 })
end)

t.test("what a type is not", function()
  for _, case in ipairs { { { type = "int" }, "1.5" }, { { type = "int" }, "x" }, { { type = "number" }, "nan" },
    { { type = "bool" }, "maybe" }, { { type = "duration" }, "soon" }, { { type = "time" }, "2026-11-21 03:10" },
    { { type = "region" }, "virginia" }, { { type = "arn" }, "arn:x" }, { { type = "url" }, "x" },
    { { type = "list" }, "[1" }, { { choices = { "a" } }, "b" }, { { pattern = "^%d$" }, "12" } } do
    t.equal(t.raises("^x: ", one, table.unpack(case)).kind, "usage")
  end
end)

t.test("a secret's value is in no fault", function()
  local e = t.raises("^x: a whole number expected, not this value$", one, { type = "int", secret = true }, "hunter2")
  t.ok(not tostring(e):find("hunter2"))
end)

t.test("sources: command line, variable, environment file, default", function()
  local declared = declare { { "x", env = "DRLUA_TEST_X", default = "default" } }
  t.equal(params.resolve(declared, {}).x, "default")
  t.equal(params.resolve(declared, {}, { x = "file" }).x, "file")
  sys.setenv("DRLUA_TEST_X", "variable")
  t.equal(params.resolve(declared, {}, { x = "file" }).x, "variable")
  t.equal(params.resolve(declared, { x = "given" }, { x = "file" }).x, "given")
  sys.setenv("DRLUA_TEST_X", nil)
  sys.setenv("DRLUA_PARAM_X", "by name")
  t.equal(params.resolve(declared, {}).x, "by name")
  sys.setenv("DRLUA_PARAM_X", nil)
end)

t.test("faults of declarations", function()
  local _, faults = declare { { "a", typ = "int" }, { "b", type = "integer" }, { "state" }, { "c" }, { "c" }, "d",
    { "e", type = "enum" }, { "f", required = true, default = 1 } }
  for _, part in ipairs { "parameter a: unknown field typ; did you mean type?", "parameter b: unknown type integer",
    "parameter state: this name is an option of drlua itself", "parameter c is declared twice",
    "parameter 6 is a string", "parameter e: an enum needs its choices", "parameter f: it is required" } do
    t.contains(faults, part)
  end
end)

t.test("required unless a default, required = false or optional = true", function()
  local declared = declare { { "a" }, { "b", required = false }, { "c", optional = true },
    { "d", default = 1, type = "int" } }
  local e = t.raises("a is missing: give %-%-a$", params.resolve, declared, {})
  t.equal(#e.faults, 1)
  t.equal(params.resolve(declared, { a = "1" }), { a = "1", d = 1 })
end)
