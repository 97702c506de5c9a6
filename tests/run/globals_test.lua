-- run.globals: undefined globals found in the compiled chunk, with their lines.
local t = require "harness"
local globals = require "run.globals"

local function names(source, known)
  local list = {}
  for _, access in ipairs(globals.undefined(assert(load(source, "@x", "t")),
    known or { print = true })) do
    table.insert(list, ("%s:%d%s"):format(access.name, access.line, access.written and "=" or ""))
  end
  return list
end

t.test("reads and writes, at the top and in nested functions", function()
  t.equal(names [[print(1)
local a = foo
local function f()
  return function() bar.x = baz(1) end
end]],
    { "foo:2", "bar:4", "baz:4" })
  t.equal(names "x = 1\nprint(x)", { "x:1=", "x:2" })
  t.equal(names "local print = 1\nreturn print", {})
end)

t.test("lines far apart and long functions", function()
  local source = "local t = {}\n" .. ("t.a = 1\n"):rep(400) .. ("\n"):rep(500) .. "late()\n"
  t.equal(names(source), { "late:902" })
end)

t.test("fields, methods and strings are no globals", function()
  t.equal(names "local t = {}\nt.foo = t.bar\nt:go('undefined')\ngoto done\n::done::", {})
end)
