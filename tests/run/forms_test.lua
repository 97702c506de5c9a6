-- run.forms: each form leads back to the value by the rules of those who write it, and each
-- mark stands for the same form for ever.
local t = require "harness"
local crypto = require "native.crypto"
local forms = require "run.forms"
local json = require "native.json"

local VALUES = { "p'w&<\"q\\/ é\t€%😀", "a b", "x+y/z=", "line\nbreak", "100%", "ünï", "it's",
  "a\"b", "</script>", "$HOME`id`", "\1\2 end" }

local function by_mark(value)
  local found = {}
  for _, one in ipairs(forms.of(value)) do
    t.equal(found[one[1]], nil, "a mark is given twice: " .. one[1])
    found[one[1]] = one[2]
  end
  return found
end

local function unpercent(s)
  return (s:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end))
end

local function unplus(s) return unpercent((s:gsub("%+", " "))) end

local function unjson(s) return json.decode('"' .. s .. '"') end

local named = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

local function unmarkup(s)
  return (s:gsub("&(#?x?)(%w+);", function(how, rest)
    if how == "" then return named[rest] end
    return utf8.char(tonumber(rest, how == "#x" and 16 or 10))
  end))
end

local function unhex(s)
  return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
end

local function undouble(class)
  return function(s) return (s:gsub("(" .. class .. ")%1", "%1")) end
end

local c_named = { a = "\a", b = "\b", t = "\t", n = "\n", v = "\v", f = "\f", r = "\r" }

-- C's rules: \x41, \101, \n, and the backslash before anything else.
local function unsource(s)
  local out, i = {}, 1
  while i <= #s do
    local text, after = s:match("^\\x(%x%x)()", i)
    local code = text and tonumber(text, 16)
    if not code then
      text, after = s:match("^\\([0-7][0-7][0-7])()", i)
      code = text and tonumber(text, 8)
    end
    if not code then text, after = s:match("^\\(.)()", i) end
    if not text then text, after = s:sub(i, i), i + 1 end
    table.insert(out, code and string.char(code) or after == i + 2 and c_named[text] or text)
    i = after
  end
  return table.concat(out)
end

local function unlua(s) return assert(load('return "' .. s .. '"'))() end

-- As a real shell reads it.
local function unshell(quote)
  return function(s)
    local pipe = assert(io.popen("printf %s " .. quote .. s .. quote))
    local text = pipe:read "a"
    pipe:close()
    return text
  end
end

-- What turns the forms of these marks back; two numbers: the marks from one to the other.
local decoders = {
  { { "%", "/1", "/2", "/3", "/4", "/5" }, unpercent }, { { "+", "/6" }, unplus },
  { { '"', "/7", "/8", "/9", 20, 29 }, unjson },
  { { '""' }, function(s) return unjson(unjson(s)) end },
  { { "/10", "/11", "/12", 30, 61 }, unmarkup }, { { "/13" }, undouble "'" },
  { { "/14" }, undouble "[\\']" }, { { "/15", "/16" }, unshell "'" }, { { "/17" }, unlua },
  { { "/18", "/19" }, unhex }, { { 62, 77 }, unsource },
  { { 79, 90 }, function(s) return unplus(unpercent(s)) end },
}

local function marks_of(list)
  local all = {}
  for i, mark in ipairs(list) do
    if type(mark) == "string" then table.insert(all, mark) end
    if type(mark) == "number" and type(list[i + 1]) == "number" then
      for n = mark, list[i + 1] do table.insert(all, "/" .. n) end
    end
  end
  return all
end

t.test("a form that is decoded by its own rules is the value again", function()
  for _, value in ipairs(VALUES) do
    local found = by_mark(value)
    for _, case in ipairs(decoders) do
      for _, mark in ipairs(marks_of(case[1])) do
        t.ok(found[mark], ("%s of %q is missing"):format(mark, value))
        t.equal(case[2](found[mark]), value, ("%s of %q, %s"):format(mark, value, found[mark]))
      end
    end
  end
end)

t.test("a shell's word with its special characters escaped", function()
  for _, value in ipairs(VALUES) do
    -- What bash's printf %q does with these is another form ($'...').
    if not value:find "%c" then t.equal(unshell ""(by_mark(value)["/78"]), value) end
  end
end)

t.test("inside of a base64 text, wherever the value begins and whatever is around it", function()
  for _, value in ipairs { "hunter2000", "p'w&<\"q\\", "abcd", "ünï-cödé", "\255\254\253\252>>" } do
    local found = by_mark(value)
    for before = 0, 8 do
      for after = 0, 2 do
        local text = crypto.base64(("x"):rep(before) .. value .. ("y"):rep(after))
        local mark = before % 3
        t.contains(text, found["=" .. mark])
        t.contains(text:gsub("%+", "-"):gsub("/", "_"), found["-" .. mark])
        t.ok(#found["=" .. mark] >= #value, "little of it is left: " .. found["=" .. mark])
      end
    end
  end
end)

t.test("a value that nothing escapes has few forms, under the marks of any other", function()
  local function marks(value)
    local list = {}
    for mark in pairs(by_mark(value)) do table.insert(list, mark) end
    table.sort(list)
    return list
  end
  local few = { "", "-0", "-1", "-2", "/18", "/19", "=0", "=1", "=2" }
  t.equal(marks "hunter_20.00-x", few)
  for c in ("!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~ "):gmatch "." do
    t.ok(#marks("hunter" .. c) > #few, c)
  end
  t.ok(#marks "hüntér" > #few)
  t.equal({ by_mark("ab")["/18"], by_mark("jk")["/19"] }, { "6162", "6A6B" })
end)

t.test("the marks of old journals keep their meaning; new ones come behind them", function()
  local lines, of = {}, forms.of(VALUES[1])
  for i = 1, 101 do lines[i] = of[i][1] .. "=" .. of[i][2] end
  t.equal(crypto.hex(crypto.sha256(table.concat(lines, "\n"))),
    "a7c5c9ffdb2fe2b22ec5b5631854355dd5f31c7e2dce0b7c61c9cf2e107b83f9")
end)

t.test("a value that is not UTF-8 has its forms, too", function()
  local value = "p&w\255\192'x"
  local found = by_mark(value)
  for mark, decode in pairs { ["%"] = unpercent, ["/18"] = unhex, ["/13"] = undouble "'" } do
    t.equal(decode(found[mark]), value)
  end
end)
