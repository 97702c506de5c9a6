-- run.finder: forms found in a text, by either way.
local t = require "harness"
local finder = require "run.finder"

local function marked(f, text)
  return f:replace(text, function(mark) return "<" .. mark .. ">" end,
    function(piece) return piece:upper() end)
end

t.test("longest first, each place once, and no mark is looked into", function()
  local f = finder.new()
  f:add("word", "a")
  f:add("word and more", "word")
  f:add("abc", "too short")
  f:add("word", "known before")
  t.equal(marked(f, "a word, word and more; abc"), "A <a>, <word>; ABC")
  t.equal(marked(f, "wordword"), "<a><a>")
  t.equal(marked(f, "word"), "<a>")
  t.equal(marked(f, ""), "")
  t.equal(f:within "word and more", { "word and more", "word" })
end)

t.test("what is not wanted stays", function()
  local f = finder.new()
  f:add("first", "1")
  f:add("second", "2")
  local function only(mark) return mark == "2" and "*" or nil end
  t.equal(f:replace("first second", only, function(piece) return piece end), "first *")
end)

t.test("few forms in a long text and many in a short one are found "
  .. "alike, also those added later", function()
  local f, text = finder.new(), "begin form-0001 form-0299 end"
  local padded = text .. (" filler"):rep(5000)
  t.equal(marked(f, text), text:upper())
  for i = 1, 300 do
    f:add(("form-%04d"):format(i), tostring(i))
    if i == 1 then t.equal(marked(f, text), "BEGIN <1> FORM-0299 END") end
  end
  t.equal(marked(f, text), "BEGIN <1> <299> END")
  t.equal(marked(f, padded), "BEGIN <1> <299> END" .. (" FILLER"):rep(5000))
  t.equal(f:within(text), f:within(padded))
end)

t.test("texts that held nothing are looked at again when there is another form", function()
  local f = finder.new()
  f:add("other", "o")
  for _ = 1, 3 do t.equal(marked(f, "a new one"), "A NEW ONE") end
  for i = 1, 5000 do marked(f, "text " .. i) end
  f:add("a new one", "n")
  t.equal(marked(f, "a new one"), "<n>")
end)
