-- native.chain: what a hash is made of; records that follow each other, and what is none.
local t = require "harness"
local chain = require "native.chain"

local START = ("0"):rep(64)

t.test("a hash over its fields, as another program would compute it", function()
  local entry = { seq = 1, epoch = 2, time = 3.5, kind = "note", path = "", data = '{"text":"ä"}' }
  -- python3: struct.pack(">qqd", 1, 2, 3.5), then each text after struct.pack(">Q", length)
  t.equal(chain.hash(START, entry),
    "10da2ad40f68ae09a3c961888e779211acb2b237b654e3f8908ac7de6c88e817")
end)

local function record(seq, former)
  local r = { seq = seq, epoch = 1, time = seq, kind = "k", path = "p", data = "\0\xff" }
  r.hash = chain.hash(former, r)
  return r
end

t.test("a whole number of seconds is the same time as a float", function()
  local r = record(1, START)
  r.time = 1.0
  t.equal(chain.hash(START, r), r.hash)
end)

t.test("how many records follow", function()
  local a = record(1, START)
  local b = record(2, a.hash)
  t.equal(chain.fits({}, 0, START), 0)
  t.equal(chain.fits({ a, b }, 0, START), 2)
  t.equal(chain.fits({ b }, 1, a.hash), 1)
  t.equal(chain.fits({ b }, 0, a.hash), 0)
  t.equal(chain.fits({ a, a }, 0, START), 1)
  t.equal(chain.fits({ a, "b" }, 0, START), 1)
  b.hash = b.hash:upper()
  t.equal(chain.fits({ a, b }, 0, START), 1)
end)

t.test("misuse is refused", function()
  local r = record(1, START)
  t.raises("a hash has 64 digits", chain.hash, "abc", r)
  t.raises("table expected", chain.hash, START)
  t.raises("table expected", chain.fits, nil, 0, START)
  t.raises("a hash has 64 digits", chain.fits, {}, 0, "")
  for _, name in ipairs { "seq", "epoch", "time", "kind", "path", "data" } do
    for _, wrong in ipairs { true, {}, name == "kind" and 1 or "1" } do
      if name ~= "path" and name ~= "data" or type(wrong) ~= "string" then
        r = record(1, START)
        r[name] = wrong
        t.raises("seq, epoch, time, kind, path and data expected", chain.hash, START, r)
      end
    end
  end
end)
