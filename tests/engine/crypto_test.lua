--- native.crypto: published vectors, streaming, files, encodings.
local t = require "harness"
local crypto = require "native.crypto"

local function hex(s) return crypto.hex(s) end

t.test("AES-256-GCM: cases 13 to 16 of the GCM specification", function()
  local key = crypto.unhex "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
  local text = crypto.unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    .. "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")
  local zero, nonce = ("\0"):rep(32), crypto.unhex "cafebabefacedbaddecaf888"
  local bound = crypto.unhex "feedfacedeadbeeffeedfacedeadbeefabaddad2"
  local sealed = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    .. "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
  t.equal(hex(crypto.seal(zero, ("\0"):rep(12), "")), "530f8afbc74536b9a963b4f1c4cb738b")
  t.equal(hex(crypto.seal(zero, ("\0"):rep(12), ("\0"):rep(16))),
    "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
  t.equal(hex(crypto.seal(key, nonce, text)), sealed .. "898015ad"
    .. "b094dac5d93471bdec1a502270e3cc6c")
  t.equal(hex(crypto.seal(key, nonce, text:sub(1, 60), bound)), sealed
    .. "76fc6ece0f4e1768cddf8853bb2d551b")
end)

t.test("what was sealed opens with the same key, nonce and bound text alone", function()
  local key, nonce = crypto.random(32), crypto.random(12)
  for _, text in ipairs { "", "x", crypto.random(15), crypto.random(16), crypto.random(70000) } do
    t.equal(crypto.open(key, nonce, crypto.seal(key, nonce, text, "to"), "to"), text)
  end
  local sealed = crypto.seal(key, nonce, "hunter2000", "to")
  t.ok(not sealed:find("hunter2000", 1, true))
  for at = 1, #sealed do
    local flipped = sealed:sub(1, at - 1) .. string.char(sealed:byte(at) ~ 1) .. sealed:sub(at + 1)
    t.equal((crypto.open(key, nonce, flipped, "to")), nil, "byte " .. at)
  end
  for _, case in ipairs { { crypto.random(32), nonce, sealed, "to" },
    { key, crypto.random(12), sealed, "to" }, { key, nonce, sealed, "other" },
    { key, nonce, sealed }, { key, nonce, sealed:sub(1, -2), "to" },
    { key, nonce, "", "to" }, { key, nonce, "short", "to" } } do
    local text, message, kind = crypto.open(case[1], case[2], case[3], case[4])
    t.equal(text, nil)
    t.contains(message, "the seal does not fit")
    t.equal(kind, "invalid")
  end
  t.raises("a key of 32 bytes expected", crypto.seal, "short", nonce, "x")
  t.raises("a nonce of 12 bytes expected", crypto.open, key, "short", sealed)
end)

t.test("SHA digests of FIPS 180-4's examples", function()
  t.equal(hex(crypto.sha256("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  t.equal(hex(crypto.sha256("")),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  t.equal(hex(crypto.sha256(("a"):rep(1000000))),
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  t.equal(hex(crypto.sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d")
  t.equal(hex(crypto.sha512("abc")),
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    .. "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")
end)

t.test("MD5 of RFC 1321's examples", function()
  t.equal(hex(crypto.md5("")), "d41d8cd98f00b204e9800998ecf8427e")
  t.equal(hex(crypto.md5("message digest")), "f96b697d7cb7938d525a2f31aaf161d0")
end)

t.test("HMAC-SHA-256 of RFC 4231's cases", function()
  local cases = {
    { ("\x0b"):rep(20), "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "Jefe", "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { ("\xaa"):rep(20), ("\xdd"):rep(50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { ("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
  }
  for _, case in ipairs(cases) do t.equal(hex(crypto.hmac_sha256(case[1], case[2])), case[3]) end
end)

t.test("checksums of the catalogue's check string, in one piece and continued", function()
  local check = "123456789"
  t.equal(crypto.crc32(check), 0xcbf43926)
  t.equal(crypto.crc32c(check), 0xe3069283)
  t.equal(("%016x"):format(crypto.crc64nvme(check)), "ae8b14860a799888")
  for _, name in ipairs { "crc32", "crc32c", "crc64nvme" } do
    local data = crypto.random(1000)
    for _, cut in ipairs { 0, 1, 7, 8, 9, 500, 999, 1000 } do
      local first = crypto[name](data:sub(1, cut))
      t.equal(crypto[name](data:sub(cut + 1), first), crypto[name](data), name)
    end
  end
end)

t.test("CRC-32C of RFC 3720 B.4", function()
  t.equal(crypto.crc32c(("\0"):rep(32)), 0x8a9136aa)
  t.equal(crypto.crc32c(("\xff"):rep(32)), 0x62a8ab43)
  for size = 0, 70 do
    local data = crypto.random(size)
    t.equal(crypto.crc32c_portable(data), crypto.crc32c(data), size .. " bytes by tables")
  end
end)

t.test("a hasher gives what the whole gives, and is used once", function()
  for _, name in ipairs { "sha256", "sha1", "md5", "sha512" } do
    local h = crypto.hasher(name)
    for i = 1, 100 do h:update(("x"):rep(i)) end
    t.equal(h:final(), crypto[name](("x"):rep(5050)), name)
    t.raises("finished", h.update, h, "more")
    t.raises("finished", h.final, h)
  end
  t.equal(hex(crypto.hasher("crc32"):update("12345"):update("6789"):final()), "cbf43926")
  t.equal(hex(crypto.hasher("crc32c"):update("123456789"):final()), "e3069283")
  t.equal(hex(crypto.hasher("crc64nvme"):update("123456789"):final()), "ae8b14860a799888")
  t.raises("invalid option 'sha3'", crypto.hasher, "sha3")
end)

t.test("hash_file reads a file, a range of it, and names what it cannot read", function()
  local path = os.tmpname()
  t.cleanup(function() os.remove(path) end)
  local data = crypto.random(700000)
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
  t.equal(crypto.hash_file("sha256", path), crypto.sha256(data))
  t.equal(crypto.hash_file("md5", path, 1000, 300000), crypto.md5(data:sub(1001, 301000)))
  t.equal(crypto.hash_file("crc32", path, 699990),
    crypto.hasher("crc32"):update(data:sub(-10)):final())
  local value, message, kind = crypto.hash_file("sha256", path .. ".absent")
  t.equal(value, nil)
  t.contains(message, path .. ".absent")
  t.equal(kind, "missing")
end)

t.test("base64 of RFC 4648's examples and back", function()
  local examples = {
    [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
    foobar = "Zm9vYmFy",
  }
  for plain, text in pairs(examples) do
    t.equal(crypto.base64(plain), text)
    t.equal(crypto.unbase64(text), plain)
    t.equal(crypto.unbase64((text:gsub("=", ""))), plain, "without padding")
  end
  t.equal(crypto.unbase64("Zm9v\nYmFy"), "foobar")
  local data = crypto.random(10001)
  t.equal(crypto.unbase64(crypto.base64(data)), data)
  for _, bad in ipairs { "Z", "Zg=", "Zg===", "Zg==Zg==", "Zm9*", "====", "Zm9v=" } do
    local value, _, kind = crypto.unbase64(bad)
    t.equal(value, nil, bad)
    t.equal(kind, "invalid", bad)
  end
end)

t.test("hexadecimal both ways", function()
  t.equal(crypto.hex("\0\x01\xfe\xff"), "0001feff")
  t.equal(crypto.unhex("0001FEff"), "\0\x01\xfe\xff")
  t.equal((crypto.unhex("0")), nil)
  t.equal((crypto.unhex("zz")), nil)
end)

t.test("random bytes and UUIDs do not repeat and have their form", function()
  t.equal(#crypto.random(33), 33)
  t.ok(crypto.random(16) ~= crypto.random(16))
  local uuid = crypto.uuid()
  t.matches(uuid, "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$")
  t.ok(uuid ~= crypto.uuid())
end)

t.test("equal compares bytes", function()
  t.equal(crypto.equal("a\0b", "a\0b"), true)
  t.equal(crypto.equal("a\0b", "a\0c"), false)
  t.equal(crypto.equal("a", "ab"), false)
end)

-- RFC 7515, appendix A.3: the key of its example, as PEM; the signature is random, so it
-- is checked by openssl.
t.test("ES256: the public key, and a signature that openssl accepts", function()
  local pem = "-----BEGIN EC PRIVATE KEY-----\n" .. crypto.base64(crypto.unhex("30310201010420"
    .. "8e9b109e719098bf980487df1f5d77e9cb29606ebed2263b5f57c213df84f4b2"
    .. "a00a06082a8648ce3d030107"))
    .. "\n-----END EC PRIVATE KEY-----\n"
  local signature, x, y = crypto.es256(pem, "text")
  t.equal(hex(x), "7fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445")
  t.equal(hex(y), "c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad")
  t.equal(#signature, 64)
  t.ok(signature ~= crypto.es256(pem, "text"), "random")
  local path = os.tmpname()
  t.cleanup(function()
    for _, name in ipairs { "", ".sig", ".pem" } do os.remove(path .. name) end
  end)
  local function write(name, bytes)
    local file = assert(io.open(path .. name, "wb"))
    file:write(bytes)
    file:close()
  end
  local function integer(bytes) -- DER
    bytes = bytes:gsub("^\0+", "")
    if bytes:byte() >= 128 then bytes = "\0" .. bytes end
    return "\2" .. string.char(#bytes) .. bytes
  end
  local numbers = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
  write("", "text")
  write(".sig", "0" .. string.char(#numbers) .. numbers)
  write(".pem", pem)
  t.ok(os.execute(("openssl dgst -sha256 -prverify %s.pem -signature %s.sig %s >/dev/null")
    :format(path, path, path)))
  local value, _, kind = crypto.es256("no key", "text")
  t.equal({ value, kind }, { nil, "invalid" })
end)
