--- aws.chunked: S3's documented example, round trips, damage.
local t = require "harness"
local chunked = require "aws.chunked"
local crypto = require "native.crypto"
local sigv4 = require "aws.sigv4"

local keys = { access_key_id = "AKIAIOSFODNN7EXAMPLE",
  secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" }

local function chain(signature)
  return chunked.chain { secret_access_key = keys.secret_access_key, region = "us-east-1",
    service = "s3", time = "20130524T000000Z", signature = signature }
end

-- Amazon S3 API Reference, "Transferring payload in multiple chunks", its example.
t.test("S3's documented example: the request, its chunks and the length", function()
  local body = ("a"):rep(66560)
  local length = chunked.length(#body, { chunk_bytes = 65536, signed = true })
  t.equal(length, 66824)
  local request = sigv4.sign {
    method = "PUT", uri = "/examplebucket/chunkObject.txt", region = "us-east-1", service = "s3",
    credentials = keys,
    time = "20130524T000000Z", normalize_path = false, double_encode = false, headers = {
      { "Host", "s3.amazonaws.com" }, { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
      { "x-amz-content-sha256", chunked.SIGNED }, { "Content-Encoding", "aws-chunked" },
      { "x-amz-decoded-content-length", "66560" }, { "Content-Length", tostring(length) },
    },
  }
  t.equal(request.signature, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
  local c = chain(request.signature)
  t.equal(c:next_chunk(body:sub(1, 65536)),
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")
  t.equal(c:next_chunk(body:sub(65537)),
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
  t.equal(c:next_chunk(""), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")
  t.equal(#chunked.encode(body, { chain = chain(request.signature) }), length)
end)

local seed = crypto.hex(crypto.sha256("seed"))

t.test("what was put in chunks comes back, in every form and size", function()
  local trailers = { { "x-amz-checksum-crc32c", "sOO8/Q==" } }
  for _, size in ipairs { 0, 1, 8191, 8192, 8193, 100000 } do
    local body = crypto.random(size)
    for _, form in ipairs { {}, { signed = true }, { trailers = trailers },
      { signed = true, trailers = trailers } } do
      local text = chunked.encode(body,
        { chunk_bytes = 8192, chain = form.signed and chain(seed), trailers = form.trailers })
      t.equal(#text, chunked.length(size, { chunk_bytes = 8192, signed = form.signed,
        trailers = form.trailers }))
      local back, found = chunked.decode(text, form.signed and chain(seed))
      t.ok(back == body)
      t.equal(found, form.trailers or {})
    end
  end
end)

t.test("the wire form of unsigned chunks with a trailer", function()
  t.equal(chunked.encode("hello", { trailers = { { "X-Amz-Checksum-Crc32", "NhCmhg==" } } }),
    "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n")
end)

t.test("damage is found and named", function()
  local body = crypto.random(20000)
  local text = chunked.encode(body, { chunk_bytes = 8192, chain = chain(seed),
    trailers = { { "x-amz-a", "b" } } })
  local function refused(code, damaged)
    local back, message, actual = chunked.decode(damaged, chain(seed))
    t.equal(back, nil)
    t.equal(actual, code, message)
  end
  refused("SignatureDoesNotMatch", text:gsub("chunk%-signature=%x", "chunk-signature=g", 1))
  refused("SignatureDoesNotMatch", text:sub(1, 5000) .. string.char(text:byte(5001) ~ 1)
    .. text:sub(5002))
  refused("SignatureDoesNotMatch", (text:gsub("x%-amz%-a:b", "x-amz-a:c")))
  refused("SignatureDoesNotMatch", chunked.encode(body, { chunk_bytes = 8192 }))
  refused("IncompleteBody", text:sub(1, 8000))
  refused("InvalidRequest", "")
  refused("InvalidRequest", "zz\r\n")
  refused("InvalidRequest", ("f"):rep(40) .. "\r\n")
  t.equal(select(3, chunked.decode("5\r\nhelloXX0\r\n\r\n")), "InvalidRequest")
  t.equal(select(3, chunked.decode("0\r\nno colon\r\n\r\n")), "InvalidRequest")
  math.randomseed(3)
  for _ = 1, 500 do
    local at = math.random(#text)
    chunked.decode(text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1),
      chain(seed))
    chunked.decode(text:sub(1, at))
  end
end)

t.test("chunks that S3 would refuse are refused here", function()
  t.raises("at least 8192", chunked.length, 100, { chunk_bytes = 100 })
end)
