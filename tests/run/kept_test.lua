-- run.kept: copies of plain data, and fingerprints of inputs.
local t = require "harness"
local kept = require "run.kept"
local secrets = require "run.secrets"

local function session()
  return { secrets = secrets.new() }
end

t.test("a copy shares nothing with what it is made from", function()
  local from = { a = { b = { 1, 2 } }, n = 1.5, yes = true }
  local copy = kept.copy(from)
  t.equal(copy, from)
  copy.a.b[1] = "changed"
  t.equal(from.a.b[1], 1)
end)

t.test("what has methods, is hidden or too deep is no plain data", function()
  local deep = {}
  local inner = deep
  for _ = 1, 1000 do
    inner.next = {}
    inner = inner.next
  end
  for what, v in pairs {
    handle = setmetatable({}, { __index = {} }), closer = setmetatable({}, { __close = print }),
    hidden = setmetatable({}, { __metatable = false }), deep = deep,
    within = { list = { setmetatable({}, { __call = print }) } },
  } do t.equal(kept.copy(v), nil, what) end
end)

t.test("a fingerprint is the same for the same input, whatever its order", function()
  local s = session()
  local function of(input) return kept.fingerprint(s, { kind = "http", input = input }) end
  t.equal(of { a = 1, b = { 2 } }, of { b = { 2 }, a = 1 })
  for _, other in ipairs { { a = 1, b = { 3 } }, { a = "1", b = { 2 } }, { a = 1 }, {} } do
    t.ok(of(other) ~= of { a = 1, b = { 2 } })
  end
  t.ok(kept.is_same(s, { kind = "http", input = { a = 1 } }, of { a = 1 }))
  t.ok(not kept.is_same(s, { kind = "http", input = { a = 1 } }, of { a = 2 }))
  t.ok(not kept.is_same(s, { kind = "http", input = { a = 1 } }, nil))
end)

t.test("an input that is no plain data goes by the sentence that describes it", function()
  local s = session()
  local function of(what) return kept.fingerprint(s, { kind = "sql", what = what,
    input = { fn = print } }) end
  t.equal(of "make x", of "make x")
  t.ok(of "make x" ~= of "make y")
end)
