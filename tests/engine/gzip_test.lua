--- native.gzip: round trips, foreign streams, limits, damage.
local t = require "harness"
local crypto = require "native.crypto"
local gzip = require "native.gzip"

t.test("what was compressed comes back, at every level", function()
  for _, data in ipairs { "", "a", ("line of text\n"):rep(100000), crypto.random(100000) } do
    for _, level in ipairs { 0, 1, 9 } do
      t.equal(gzip.decompress(gzip.compress(data, level)) == data, true)
    end
  end
  t.ok(#gzip.compress(("x"):rep(100000)) < 1000)
  t.raises("level from 0 to 9", gzip.compress, "x", 10)
end)

t.test("several members in a row are one text, as gunzip reads them", function()
  t.equal(gzip.decompress(gzip.compress("one ") .. gzip.compress("two")), "one two")
end)

t.test("a zlib stream is read too", function()
  t.equal(gzip.decompress(crypto.unhex("789ccb48cdc9c95728cf2fca49010019ab0452")), nil)
  t.equal(gzip.decompress(crypto.unhex("789ccb48cdc9c95728cf2fca49010018ab045d")), nil)
  t.equal(gzip.decompress(crypto.unhex("789ccb48cdc9c907000" .. "62c0215")), "hello")
end)

t.test("more than the limit is refused", function()
  local small = gzip.compress(("\0"):rep(10000000))
  local value, message, kind = gzip.decompress(small, 1000000)
  t.equal(value, nil)
  t.equal(kind, "full")
  t.contains(message, "1000000")
  t.equal(#gzip.decompress(small, 10000000), 10000000)
end)

t.test("damaged and cut data are called corrupt", function()
  local good = gzip.compress(("some text "):rep(1000))
  for _, bad in ipairs {
    "", "not gzip", good:sub(1, -2), good:sub(1, 15), good:sub(1, 20) .. "\xff\xff" .. good:sub(23),
  } do
    local value, _, kind = gzip.decompress(bad)
    t.equal(value, nil)
    t.equal(kind, "corrupt")
  end
end)
