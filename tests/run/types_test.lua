-- run.types: what a text or a value of an environment file becomes, and what it does not.
local t = require "harness"
local types = require "run.types"

-- For each type: what is given, and what it becomes. Integers and floats are different.
local accepted = {
  string = { { "a", "a" }, { "", "" }, { 7, "7" }, { 1.5, "1.5" } },
  int = { { "42", 42 }, { " -7 ", -7 }, { "+3", 3 }, { 5, 5 }, { 5.0, 5 },
    { "9223372036854775807", math.maxinteger } },
  number = { { "2.5", 2.5 }, { "-1", -1 }, { 3, 3 }, { "0", 0 } },
  bool = { { true, true }, { false, false }, { "YES", true }, { "on", true }, { "1", true },
    { "true", true }, { "No", false }, { "off", false }, { "0", false }, { "False", false } },
  duration = { { "90s", 90 }, { "1h 30m", 5400 }, { "45", 45 }, { 45, 45 }, { 0, 0 },
    { "7d", 604800 } },
  time = { { "2026-11-21T03:10:00Z", 1795230600.0 }, { "2026-11-21T04:10:00+01:00", 1795230600.0 },
    { "1795230600", 1795230600 }, { "1795230600.674", 1795230600.674 }, { 1795230600.5,
    1795230600.5 }, { 0, 0 } },
  region = { { "us-east-1", "us-east-1" }, { "ap-southeast-2", "ap-southeast-2" },
    { "us-gov-west-1", "us-gov-west-1" }, { "us-isob-east-1", "us-isob-east-1" } },
  list = { { "a, b ,c", { "a", "b", "c" } }, { "a,,b,", { "a", "b" } }, { "", {} },
    { "one", { "one" } }, { '["a,b",2]', { "a,b", 2 } }, { ' {"k":1}', { k = 1 } },
    { { 1, { 2 } }, { 1, { 2 } } } },
}

-- Texts that stay what they are, because they have the form of their type.
local unchanged = {
  arn = { "arn:aws:sns:us-east-1:123456789012:t", "arn:aws:s3:::bucket/key with blanks",
    "arn:aws-us-gov:rds:us-gov-west-1:123456789012:db:shop",
    "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "arn:aws:iam::123456789012:role/path/name" },
  url = { "https://x/y?z#a", "postgres://u:p@h:5432/d", "svn+ssh://h/p" },
}

local refused = {
  string = { true, {} },
  int = { "1.5", 1.5, "x", "", "12a", "99999999999999999999", true, {}, math.huge },
  number = { "nan", "inf", "1e999", "x", "", 0 / 0, -math.huge, true, {} },
  bool = { "maybe", "", 1, 0, 2.5, {} },
  duration = { "soon", "", "-5", -5, "5x", "1h-", math.huge, 0 / 0, true, {} },
  time = { "2026-11-21T03:10:00", "2026-11-21", "yesterday", "", "20261121", -1, 0 / 0, math.huge,
    true, {} },
  region = { "virginia", "us-east", "US-EAST-1", "us-east-1a", "us-east-1 ", "", 1, true },
  arn = { "arn:x", "arn:aws:s3::bucket", "arn:aws:s3:::", " arn:aws:s3:::b", "", 1, {} },
  url = { "x", "example.com/x", "https://", "https://a b", "//x", "", 1, {} },
  list = { "[1", "{", '{"a":', 5, true },
}

t.test("each type takes what people write for it", function()
  for name, cases in pairs(accepted) do
    for _, case in ipairs(cases) do
      t.equal(types[name](case[1]), case[2], ("%s from %s"):format(name, t.show(case[1])))
    end
  end
  for name, texts in pairs(unchanged) do
    for _, text in ipairs(texts) do t.equal(types[name](text), text, name) end
  end
end)

t.test("what is not of a type gives nil and what was expected, never a guess", function()
  for name, cases in pairs(refused) do
    for _, given in ipairs(cases) do
      local v, expected = types[name](given)
      local what = ("%s from %s"):format(name, t.show(given))
      t.equal(v, nil, what)
      t.equal(type(expected), "string", what)
    end
  end
end)

t.test("every type refuses what is of no use to any, without an error", function()
  for name, convert in pairs(types) do
    for _, given in ipairs { print, coroutine.create(print) } do
      local v, expected = convert(given)
      t.equal({ v, type(expected) }, { nil, "string" }, name)
    end
  end
end)

t.test("a list that a playbook changes is not the text's, and two texts share none", function()
  local first, second = types.list "a,b", types.list "a,b"
  table.insert(first, "c")
  t.equal(second, { "a", "b" })
  t.equal(types.list "a,b", { "a", "b" })
end)
