-- run.params: declarations, conversion, sources, faults.
local t = require "harness"
local json = require "json"
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
  t.equal(one({ type = "arn" }, "arn:aws:sns:us-east-1:123456789012:t"),
    "arn:aws:sns:us-east-1:123456789012:t")
  t.equal(one({ type = "url" }, "https://x/y"), "https://x/y")
  t.equal(one({ type = "enum", choices = { "a", "b" } }, "b"), "b")
  t.equal(one({ type = "list" }, "a, b,c"), { "a", "b", "c" })
  t.equal(one({ type = "list" }, '[{"n":1}]'), { { n = 1 } })
  t.equal(one({ type = "list" }, { k = 1 }), { k = 1 })
end)

t.test("what a type is not", function()
  for _, case in ipairs { { { type = "int" }, "1.5" }, { { type = "int" }, "x" },
    { { type = "number" }, "nan" }, { { type = "bool" }, "maybe" },
    { { type = "duration" }, "soon" }, { { type = "time" }, "2026-11-21 03:10" },
    { { type = "region" }, "virginia" }, { { type = "arn" }, "arn:x" }, { { type = "url" }, "x" },
    { { type = "list" }, "[1" }, { { choices = { "a" } }, "b" }, { { pattern = "^%d$" }, "12" } } do
    t.equal(t.raises("^x: ", one, table.unpack(case)).kind, "usage")
  end
end)

t.test("a secret's value is in no fault", function()
  local e = t.raises("^x: a whole number expected, not this value %(given on the command line%)$",
    one,
    { type = "int", secret = true }, "hunter2")
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
  local _, faults = declare { { "a", typ = "int" }, { "b", type = "integer" }, { "state" }, { "c" },
    { "c" }, "d",
    { "e", type = "enum" }, { "f", required = true, default = 1 } }
  for _, part in ipairs { "parameter a: unknown field typ; did you mean type?",
    "parameter b: unknown type integer", "parameter state: this name is an option of drlua itself",
    "parameter c is declared twice",
    "parameter 6 is a string", "parameter e: an enum needs its choices",
    "parameter f: it is required" } do
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

t.test("times: what AWS prints, and seconds since the epoch with or without a fraction", function()
  for given, at in pairs { ["1795610171"] = 1795610171, ["1795610171.674"] = 1795610171.674,
    [" 1795610171.5 "] = 1795610171.5, ["2026-11-25T12:36:11.674Z"] = 1795610171.674,
    ["2026-11-25T14:36:11+02:00"] = 1795610171.0 } do
    t.equal(one({ type = "time" }, given), at, given)
  end
  for _, at in ipairs { 1795610171, 1795610171.674 } do t.equal(one({ type = "time" }, at), at) end
  for _, wrong in ipairs { "1795610171,5", "17956.1", "-1795610171", "true", 0 / 0, math.huge,
    -5 } do
    t.raises("^x: a time with its zone, such as .*, or seconds since the epoch expected", one,
      { type = "time" }, wrong)
  end
end)

t.test("a parameter without its value is one fault, not two", function()
  local declared = declare { { "at", type = "time" }, { "n", type = "int" } }
  local e = t.raises("^%-%-at needs a value; n: a whole number", params.resolve, declared,
    { at = "true", n = "x" },
    nil, nil, { at = true })
  t.equal(#e.faults, 2)
end)

t.test("a parameter is taken away on the command line and in an environment", function()
  local declared = declare { { "url", type = "url", required = false },
    { "size", default = "small" },
    { "drill", type = "bool", default = true }, { "must" } }
  local file = { url = "https://prometheus", size = "large", must = "here" }
  local function values(given, switches, environment)
    return params.resolve(declared, given, environment or file, "castmatch", switches)
  end
  t.equal(values({}), { url = "https://prometheus", size = "large", must = "here", drill = true })
  local away = { no_url = "true", no_size = "true", no_drill = "true" }
  local gone = values(away, { no_url = true, no_size = true, no_drill = true })
  t.equal(gone, { must = "here", drill = false })
  t.equal(values({}, nil, { url = false, size = json.null, must = "here" }),
    { must = "here", drill = true })
  t.raises("^must is required: it cannot be taken away %(given on the command line%)", values,
    { no_must = "true" },
    { no_must = true })
  t.raises("^must is required: it cannot be taken away %(from environment castmatch%)", values, {},
    nil,
    { must = false })
  t.raises("^url: a URL %(https://...%) expected, or %-%-no%-url to take "
    .. "it away, not \"\" %(given on", values,
    { url = "" })
  t.raises("^%-%-no%-url takes no value: it takes url away", values, { no_url = "x" })
  t.raises("^give %-%-url or %-%-no%-url, not both", values, { no_url = "true", url = "https://x" },
    { no_url = true })
  t.raises("^unknown parameter %-%-no%-uri", values, { no_uri = "true" }, { no_uri = true })
  -- What was taken away stays away when the run is resumed, also from its default.
  t.equal(params.again(declared, params.without_secrets(declared, gone), {}, file, "castmatch"),
    gone)
end)

t.test("a parameter that is declared as no_... is itself", function()
  local declared = declare { { "proxy", required = false }, { "no_proxy", required = false } }
  t.equal(params.resolve(declared, { no_proxy = "localhost" }), { no_proxy = "localhost" })
end)

t.test("a fault says where the value came from", function()
  local declared = declare { { "x", type = "int", env = "DRLUA_TEST_X", required = false } }
  local function fault(pattern, ...) t.raises("^x: a whole number expected, not \"z\" %(" .. pattern
    .. "%)$",
    params.resolve, declared, ...) end
  fault("given on the command line", { x = "z" })
  fault("from environment shop", {}, { x = "z" }, "shop")
  sys.setenv("DRLUA_TEST_X", "z")
  fault("from the variable DRLUA_TEST_X", {}, { x = 1 })
  sys.setenv("DRLUA_TEST_X", nil)
  declared = declare { { "x", type = "int", default = "z" } }
  fault("its default", {})
end)

t.test("again: what the run began with, and secrets from where they came", function()
  local declared = declare { { "size", default = "small" }, { "zone", required = false },
    { "password", secret = true, env = "DRLUA_TEST_PW" },
    { "key", secret = true, required = false } }
  local function again(given, environment)
    return params.again(declared, { size = "large" }, given, environment, "shop")
  end
  -- The environment of today gives secrets only.
  t.equal(again({}, { password = "abcdef", size = "other", zone = "Z1" }),
    { size = "large", password = "abcdef" })
  sys.setenv("DRLUA_TEST_PW", "from-variable")
  t.equal(again({}, { password = "abcdef" }).password, "from-variable")
  local values, exposed = again({ key = "typed-here" }, { password = "abcdef" })
  t.equal(values.key, "typed-here")
  t.equal(exposed, { "key" })
  sys.setenv("DRLUA_TEST_PW", nil)
  t.raises("^password is missing", again, {}, {})
  t.raises("^%-%-size: a run keeps the parameters it began with; only secrets are given again",
    again,
    { size = "x" }, { password = "abcdef" })
end)
