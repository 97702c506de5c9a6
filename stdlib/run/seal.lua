--- Sealed values in a journal: what a resume has to get back and nobody else may read.
--
-- A run has a key of its own, 32 random bytes in the file `key` (0600) beside its journal,
-- made when it is first needed. A journal that is copied elsewhere, a report and a bundle
-- go without it. A seal is bound to its run and to the name of its value.
local crypto = require "native.crypto"
local errors = require "errors"
local fs = require "native.fs"

local seal = {}

local KEY_SIZE, NONCE_SIZE = 32, 12

local function path_of(directory) return directory .. "/key" end

local function read_key(directory)
  local key = fs.read(path_of(directory))
  return key and #key == KEY_SIZE and key or nil
end

local function make_key(directory)
  local key = crypto.random(KEY_SIZE)
  -- A file that is there already is another process's, or damaged: it is never replaced.
  if fs.stat(path_of(directory)) then
    errors.raise { kind = "state",
      message = ("%s is no key of a run: it is damaged; bring the right one back")
      :format(path_of(directory)) }
  end
  -- 0600
  errors.check("write " .. path_of(directory),
    fs.write(path_of(directory), key, { mode = 384, atomic = true }))
  return key
end

local function bound(id, name) return id .. "\n" .. name end

--- Seals a value (a text) of the run `id` under a name; directory: the run's.
function seal.close(directory, id, name, value)
  local key = read_key(directory) or make_key(directory)
  local nonce = crypto.random(NONCE_SIZE)
  return crypto.base64(nonce .. crypto.seal(key, nonce, value, bound(id, name)))
end

--- The value again, or nil where the key is missing, another run's, or the seal damaged.
function seal.open(directory, id, name, sealed)
  local key, bytes = read_key(directory), crypto.unbase64(sealed)
  if not key or not bytes or #bytes < NONCE_SIZE then return nil end
  return (crypto.open(key, bytes:sub(1, NONCE_SIZE), bytes:sub(NONCE_SIZE + 1), bound(id, name)))
end

--- A keyed digest of a value by which two of them are compared, and which says nothing of
-- them without the run's key.
function seal.fingerprint(directory, value)
  return crypto.hex(crypto.hmac_sha256(read_key(directory) or make_key(directory), value)):sub(1,
    32)
end

--- From here on a session's observed secrets are kept in its journal, sealed, as soon as
-- an entry names them. record: function(kind, path, data) that adds to the journal.
function seal.keep(registry, directory, id, record)
  registry:keep(function(name, value)
    record("secret", "", { name = name, sealed = seal.close(directory, id, name, value) })
  end, {
    close = function(text) return seal.close(directory, id, "", text) end,
    open = function(sealed) return seal.open(directory, id, "", sealed) end,
    digest = function(text) return seal.fingerprint(directory, text) end,
  })
end

--- Takes in the observed secrets of the processes before this one; rows: the journal's
-- entries of kind "secret", decoded.
function seal.restore(registry, directory, id, rows)
  for _, row in ipairs(rows) do
    registry:restore(row.name, seal.open(directory, id, row.name, row.sealed))
  end
end

return seal
