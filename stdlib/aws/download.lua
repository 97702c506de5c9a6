--- An S3 object to a file: ranges fetched side by side, taken up again after a cut,
-- verified.
--
-- Parts are written in place into PATH.part; PATH.state beside it lists which are
-- there, of which version of the object (its ETag). A second call for the same
-- object continues from it; another version starts over. When all parts are there the
-- whole is checked against what S3 knows of it (a checksum of the whole object, a
-- "sha256" in its metadata, or the ETag where that is an MD5), synced and renamed.
local caller = require "aws.caller"
local crypto = require "native.crypto"
local effect = require "effect"
local errors = require "errors"
local files = require "files"
local fs = require "native.fs"
local json = require "native.json"
local nearest = require "nearest"
local observer = require "aws.observer"
local task = require "task"
local unknown = require "unknown"

local download = {}

local PART_BYTES = 8 * 1024 * 1024
local TOGETHER = 8
local PART_DEADLINE = 120
local TRIES = 5

local OPTIONS = { Bucket = true, Key = true, VersionId = true, path = true, part_bytes = true,
  together = true,
  on_progress = true, sha256 = true, verify = true, RequestPayer = true,
  ExpectedBucketOwner = true }

local function check(request)
  for name in pairs(request) do
    if not OPTIONS[name] then
      local known = {}
      for each in pairs(OPTIONS) do table.insert(known, each) end
      caller.misuse(nil, "s3:download: unknown option %s%s", tostring(name),
        nearest.hint(tostring(name), known))
    end
  end
  for _, name in ipairs { "Bucket", "Key", "path" } do
    if type(request[name]) ~= "string" and not unknown.is(request[name]) then
      caller.misuse(nil, "s3:download needs %s", name)
    end
  end
end

local function source(request)
  return { Bucket = request.Bucket, Key = request.Key, VersionId = request.VersionId,
    RequestPayer = request.RequestPayer, ExpectedBucketOwner = request.ExpectedBucketOwner }
end

local function with(base, more)
  for k, v in pairs(more) do base[k] = v end
  return base
end

local function name_of(request) return ("s3://%s/%s"):format(request.Bucket, request.Key) end

-- What is on disk of an earlier try, or a fresh start.
local function load_state(job)
  local text = fs.stat(job.state_path) and fs.read(job.state_path)
  local ok, state = pcall(json.decode, text or "")
  local same = ok and type(state) == "table" and state.etag == job.head.ETag
    and state.size == job.size
    and state.part_bytes == job.part_bytes and fs.stat(job.part_path)
  if not same then
    return { etag = job.head.ETag, size = job.size, part_bytes = job.part_bytes, done = "" }
  end
  return state
end

local function save_state(job)
  local text = json.encode { etag = job.state.etag, size = job.state.size,
    part_bytes = job.state.part_bytes,
    done = table.concat(job.marks) }
  errors.check("write " .. job.state_path,
    fs.write(job.state_path, text, { mode = 384, atomic = true }))
end

local function open_part(job)
  local mode = fs.stat(job.part_path) and job.state.done ~= "" and "r+b" or "w+b"
  local file, message = io.open(job.part_path, mode)
  if not file then
    errors.raise { kind = "io", message = ("cannot write %s: %s"):format(job.part_path, message) }
  end
  return file
end

local function progress(job)
  local event = { event = "transfer", what = "download " .. name_of(job.request),
    done_bytes = job.done_bytes,
    total_bytes = job.size, elapsed = job.client.clock.monotonic() - job.started,
    resumed_bytes = job.resumed_bytes }
  observer.tell(event)
  if job.effect.progress then job.effect.progress(observer.share(event)) end
  if job.request.on_progress then job.request.on_progress(event) end
end

local function length_of(job, index)
  return math.min(job.part_bytes, job.size - (index - 1) * job.part_bytes)
end

-- One range, tried a few times: a cut connection costs a part, not the download.
local function fetch(job, index)
  local first = (index - 1) * job.part_bytes
  local length = length_of(job, index)
  local failure
  for try = 1, TRIES do
    local output, e = job.client:try_direct("GetObject",
      with(source(job.request), { IfMatch = job.head.ETag,
      Range = ("bytes=%d-%d"):format(first, first + length - 1) }), { timeout = PART_DEADLINE })
    if output and #output.Body == length then return output.Body end
    failure = e or errors.new { kind = "corrupt", retryable = true,
      message = ("%s: %d of %d bytes of a part came")
      :format(name_of(job.request), #output.Body, length) }
    if not failure.retryable then break end
    job.client.clock.sleep(0.2 * 2 ^ (try - 1) * (0.5 + job.client.clock.random()))
  end
  if failure.status == 412 then
    failure = errors.new { kind = "aws", code = failure.code, status = 412, cause = failure,
      message = name_of(job.request) .. " was replaced while it was being downloaded: start again" }
  end
  error(failure, 0)
end

local function write(job, index, body)
  local file = job.file
  local ok, message = file:seek("set", (index - 1) * job.part_bytes)
  if ok then ok, message = file:write(body) end
  if ok then ok, message = file:flush() end
  if not ok then
    errors.raise { kind = "full", message = ("cannot write %s: %s"):format(job.part_path, message) }
  end
  job.marks[index] = "1"
  job.done_bytes = job.done_bytes + #body
  save_state(job)
  progress(job)
end

local function fetch_all(job)
  local work = {}
  for index = 1, #job.marks do
    if job.marks[index] == "0" then
      table.insert(work, function() write(job, index, fetch(job, index)) end)
    end
  end
  task.all(work, { limit = job.request.together or TOGETHER })
end

-- Verification

local function hash_ranges(path, bytes)
  local file = assert(io.open(path, "rb"))
  local digests, count = {}, 0
  while true do
    local hasher, left, any = crypto.hasher("md5"), bytes, false
    while left > 0 do
      local piece = file:read(math.min(left, 1024 * 1024))
      if not piece then break end
      hasher:update(piece)
      left, any = left - #piece, true
    end
    if not any then break end
    count = count + 1
    digests[count] = hasher:final()
  end
  file:close()
  return crypto.hex(crypto.md5(table.concat(digests))) .. "-" .. count
end

local WHOLE = { ChecksumSHA256 = "sha256", ChecksumSHA1 = "sha1", ChecksumCRC32 = "crc32",
  ChecksumCRC32C = "crc32c",
  ChecksumCRC64NVME = "crc64nvme" }
local WIDTH = { crc32 = ">I4", crc32c = ">I4", crc64nvme = ">i8" }

local function digest(name, path)
  local value = errors.check("read " .. path, crypto.hash_file(name, path))
  return WIDTH[name] and math.type(value) and WIDTH[name]:pack(value) or value
end

local function whole_checksum(head, path)
  if head.ChecksumType == "COMPOSITE" then return nil end
  for member, name in pairs(WHOLE) do
    local expected = head[member]
    if expected and not expected:find("-", 1, true) then
      return crypto.base64(digest(name, path)) == expected, name, expected
    end
  end
  return nil
end

-- An ETag is an MD5 unless the object is encrypted with KMS or a customer's key, or is in
-- a directory bucket; of
-- several parts, the MD5 of their MD5s. The first part tells the parts' size.
local function etag_checksum(job, path)
  local head = job.head
  local tag = head.ETag and head.ETag:gsub('"', "")
  if job.request.Bucket:find "%-%-x%-s3$" then return nil end
  if not tag or head.SSECustomerAlgorithm
    or (head.ServerSideEncryption or "AES256") ~= "AES256" then
    return nil
  end
  local parts = tag:match("^%x+%-(%d+)$")
  if not parts then
    if not tag:find("^%x+$") or #tag ~= 32 then return nil end
    return crypto.hex(digest("md5", path)) == tag, "ETag (MD5)", tag
  end
  local first = job.client:try_direct("HeadObject", with(source(job.request), { PartNumber = 1 }))
  if not first or not first.ContentLength or first.ContentLength == 0 then return nil end
  if math.ceil(job.size / first.ContentLength) ~= tonumber(parts) then return nil end
  return hash_ranges(path, first.ContentLength) == tag, "ETag (MD5 of parts)", tag
end

local function stored_sha256(job)
  local metadata = job.head.Metadata or {}
  local value = job.request.sha256 or metadata.sha256 or metadata["sha-256"]
  return value and value:lower()
end

--- How the file was verified, in words; raises when it differs. "not verified" when
-- S3 knows nothing to compare with but the length.
local function verify(job)
  local sha256 = stored_sha256(job)
  local good, by, expected
  if sha256 then
    good, by, expected = crypto.hex(digest("sha256", job.part_path)) == sha256, "sha256", sha256
  end
  if good == nil then good, by, expected = whole_checksum(job.head, job.part_path) end
  if good == nil then good, by, expected = etag_checksum(job, job.part_path) end
  if good == nil then return "length only" end
  if good then return by end
  fs.remove(job.state_path)
  errors.raise { kind = "corrupt",
    message = ("%s: the downloaded file does not match its %s (%s); it was left as %s")
    :format(name_of(job.request), by, expected, job.part_path) }
end

local function finish(job)
  job.file:close()
  job.file = nil
  local verified = job.request.verify == false and "not verified" or verify(job)
  errors.check("sync " .. job.part_path, fs.sync(job.part_path))
  errors.check("rename " .. job.part_path, fs.rename(job.part_path, job.request.path))
  fs.remove(job.state_path)
  return { path = job.request.path, bytes = job.size, etag = job.head.ETag, verified = verified,
    version_id = job.head.VersionId, metadata = job.head.Metadata,
    resumed_bytes = job.resumed_bytes,
    seconds = job.client.clock.monotonic() - job.started }
end

local function prepare(client, request)
  local head = client:direct("HeadObject", with(source(request), { ChecksumMode = "ENABLED" }))
  local job = { client = client, request = request, head = head, size = head.ContentLength or 0,
    part_bytes = request.part_bytes or PART_BYTES, part_path = request.path .. ".part",
    state_path = request.path .. ".state", started = client.clock.monotonic(), marks = {},
    done_bytes = 0 }
  job.state = load_state(job)
  for index = 1, math.ceil(job.size / job.part_bytes) do
    job.marks[index] = job.state.done:sub(index, index) == "1" and "1" or "0"
    if job.marks[index] == "1" then job.done_bytes = job.done_bytes + length_of(job, index) end
  end
  job.resumed_bytes = job.done_bytes
  return job
end

local function transfer(client, request, e)
  local job = prepare(client, request)
  job.effect = e
  job.file = open_part(job)
  local ok, result = pcall(function()
    progress(job)
    fetch_all(job)
    return finish(job)
  end)
  if job.file then job.file:close() end
  if not ok then error(result, 0) end
  return result
end

--- Downloads `{ Bucket, Key, VersionId, path }`; also part_bytes, together (parts at
-- a time), on_progress(event), sha256 (expected, in hex), verify = false. Returns
-- `{ path, bytes, etag, verified, metadata, resumed_bytes, seconds }`.
function download.run(client, request)
  check(request)
  local e = { kind = "file", read = files.is_temporary(request.path), repeatable = true,
    input = request, service = "s3", operation = "GetObject", region = client.region or nil,
    undecided = client.undecided or nil,
    what = ("download %s to %s"):format(name_of(request), request.path) }
  return effect.perform(e, function() return transfer(client, request, e) end)
end

return download
