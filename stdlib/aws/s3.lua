--- S3 as operators use it: what an S3 client has beyond its operations.
local s3 = { methods = { s3 = {} } }

local methods = s3.methods.s3

--- Iterates over the objects of a bucket under a prefix, of all pages: Key, Size,
-- LastModified, ETag. With delimiter = "/" only those directly under it.
-- s3:list("bucket", "backups/", { delimiter = "/", start_after = nil })
function methods.list(self, bucket, prefix, options)
  options = options or {}
  return self:each("list_objects_v2",
    { Bucket = bucket, Prefix = prefix, Delimiter = options.delimiter,
    StartAfter = options.start_after }, "Contents")
end

--- The "folders" directly under a prefix, as a list of texts that end with "/".
function methods.folders(self, bucket, prefix)
  local list = {}
  for found in self:each("list_objects_v2", { Bucket = bucket, Prefix = prefix, Delimiter = "/" },
    "CommonPrefixes") do
    table.insert(list, found.Prefix)
  end
  return list
end

--- What is known of an object without fetching it; nil when there is none.
function methods.head(self, bucket, key, options)
  local errors = require "errors"
  local found, e = errors.try(self.head_object, self, { Bucket = bucket, Key = key,
    VersionId = options and options.version, ChecksumMode = "ENABLED" })
  if found then return found end
  -- A HEAD has no body, so there is only the status to tell.
  if e.status == 404 then return nil end
  error(e, 0)
end

--- The newest object under a prefix by LastModified, or nil. matching: a Lua pattern
-- for the key; before: only objects older than this time (seconds since the epoch).
function methods.newest(self, bucket, prefix, options)
  options = options or {}
  local best
  for object in self:list(bucket, prefix) do
    local wanted = (not options.matching or object.Key:find(options.matching))
      and (not options.before or object.LastModified < options.before)
    if wanted and (not best or object.LastModified > best.LastModified) then best = object end
  end
  return best
end

--- Downloads an object to a file: see aws/download.lua.
function methods.download(self, request) return require("aws.download").run(self, request) end

--- Uploads a file: see aws/upload.lua.
function methods.upload(self, request) return require("aws.upload").run(self, request) end

return s3
