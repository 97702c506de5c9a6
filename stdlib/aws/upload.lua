--- A file to S3: one request when it is small, parts side by side when it is not.
-- Every part carries its CRC-32, which S3 checks; parts that were sent stay unless
-- the upload fails, which then removes them (parts left behind cost money).
local caller = require "aws.caller"
local effect = require "effect"
local errors = require "errors"
local fs = require "native.fs"
local observer = require "aws.observer"
local task = require "task"
local unknown = require "unknown"

local upload = {}

local PART_BYTES = 8 * 1024 * 1024
local MOST_PARTS = 10000
local TOGETHER = 4
local PART_DEADLINE = 300

local OWN = { path = true, part_bytes = true, together = true, on_progress = true }

local function name_of(request) return ("s3://%s/%s"):format(request.Bucket, request.Key) end

local function check(request)
  for _, name in ipairs { "Bucket", "Key", "path" } do
    if type(request[name]) ~= "string" and not unknown.is(request[name]) then
      caller.misuse(nil, "s3:upload needs %s", name)
    end
  end
end

-- The caller's members that belong to the object (Metadata, ServerSideEncryption...).
local function members(request, more)
  local input = {}
  for name, value in pairs(request) do
    if not OWN[name] then input[name] = value end
  end
  for name, value in pairs(more) do input[name] = value end
  return input
end

local function progress(job, bytes)
  job.done_bytes = job.done_bytes + bytes
  local event = { event = "transfer", what = "upload " .. name_of(job.request),
    done_bytes = job.done_bytes,
    total_bytes = job.size, elapsed = job.client.clock.monotonic() - job.started }
  observer.tell(event)
  if job.effect.progress then job.effect.progress(observer.share(event)) end
  if job.request.on_progress then job.request.on_progress(event) end
end

local function read(job, first, length)
  if length == 0 then return "" end
  local data
  local ok, message = job.file:seek("set", first)
  if ok then data, message = job.file:read(length) end
  if not data or #data ~= length then
    errors.raise { kind = "io", message = ("cannot read %s: %s"):format(job.request.path,
      message or "it became shorter while it was being uploaded") }
  end
  return data
end

local function send_whole(job)
  local output = job.client:direct("PutObject",
    members(job.request, { Body = read(job, 0, job.size),
    ChecksumAlgorithm = "CRC32" }), { timeout = PART_DEADLINE })
  progress(job, job.size)
  return { etag = output.ETag, version_id = output.VersionId, parts = 1 }
end

local IN_PARTS = { "SSECustomerAlgorithm", "SSECustomerKey", "RequestPayer", "ExpectedBucketOwner" }

local function place(job, more)
  local input = { Bucket = job.request.Bucket, Key = job.request.Key, UploadId = job.id }
  for _, name in ipairs(IN_PARTS) do input[name] = job.request[name] end
  for name, value in pairs(more) do input[name] = value end
  return input
end

local function send_part(job, number)
  local first = (number - 1) * job.part_bytes
  local data = read(job, first, math.min(job.part_bytes, job.size - first))
  local output = job.client:direct("UploadPart", place(job, { PartNumber = number, Body = data,
    ChecksumAlgorithm = "CRC32" }), { timeout = PART_DEADLINE })
  progress(job, #data)
  return { PartNumber = number, ETag = output.ETag, ChecksumCRC32 = output.ChecksumCRC32 }
end

local function send_parts(job)
  local work = {}
  for number = 1, math.ceil(job.size / job.part_bytes) do
    work[number] = function() return send_part(job, number) end
  end
  local parts = task.all(work, { limit = job.request.together or TOGETHER })
  local output = job.client:direct("CompleteMultipartUpload",
    place(job, { MultipartUpload = { Parts = parts } }))
  return { etag = output.ETag, version_id = output.VersionId, parts = #parts }
end

local function send_in_parts(job)
  job.part_bytes = math.max(job.request.part_bytes or PART_BYTES, math.ceil(job.size / MOST_PARTS))
  job.id = job.client:direct("CreateMultipartUpload",
    members(job.request, { ChecksumAlgorithm = "CRC32" })).UploadId
  local ok, result = pcall(send_parts, job)
  if ok then return result end
  local input = { Bucket = job.request.Bucket, Key = job.request.Key, UploadId = job.id }
  local aborted, why = errors.try(job.client.direct, job.client, "AbortMultipartUpload", input)
  local e = errors.from(result)
  if not aborted then
    e.message = ("%s; its parts are still stored and cost money (upload %s: %s)"):format(e.message,
      job.id, why.message)
  end
  error(e, 0)
end

local function transfer(client, request, e)
  local stat = errors.check("read " .. request.path, fs.stat(request.path))
  local file, message = io.open(request.path, "rb")
  if not file then errors.raise { kind = "missing", message = "cannot read " .. message } end
  local job = { client = client, request = request, size = stat.size, file = file, done_bytes = 0,
    effect = e,
    started = client.clock.monotonic() }
  local whole = stat.size <= (request.part_bytes or PART_BYTES)
  local ok, result = pcall(whole and send_whole or send_in_parts, job)
  file:close()
  if not ok then error(result, 0) end
  result.bytes, result.seconds = stat.size, client.clock.monotonic() - job.started
  return result
end

--- Uploads `{ path, Bucket, Key }` and any further member of PutObject (Metadata,
-- ServerSideEncryption, StorageClass...); also part_bytes, together, on_progress.
-- Returns `{ etag, version_id, bytes, parts, seconds }`.
function upload.run(client, request)
  check(request)
  local e = { kind = "aws", read = false, repeatable = true, input = request, service = "s3",
    operation = "PutObject", region = client.region or nil, undecided = client.undecided or nil,
    what = ("upload %s to %s"):format(request.path, name_of(request)),
    whose = function() return require("aws.whose").account(client) end }
  return effect.perform(e, function() return transfer(client, request, e) end)
end

return upload
