--- The hash chain over a journal's entries, whatever store keeps them.
--
-- Each entry has a number (from 1, without a gap) and a hash: SHA-256, in hex, over the
-- hash of the entry before it and its own fields. An entry that was changed, lost or put
-- in between no longer fits, nor does any after it.
local crypto = require "native.crypto"

local chain = {}

--- What stands for the hash of the entry before the first.
chain.START = ("0"):rep(64)

-- Big-endian: two 8-byte integers, an IEEE double, three texts after their lengths.
local LAYOUT = ">i8i8ds8s8s8"

--- The hash of an entry { seq, epoch, time, kind, path, data } after the one whose hash
-- is `former`.
function chain.hash(former, entry)
  return crypto.hex(crypto.sha256(former .. LAYOUT:pack(entry.seq, entry.epoch, entry.time, entry.kind,
    entry.path, entry.data)))
end

local function is_entry(e)
  return math.type(e.seq) == "integer" and math.type(e.epoch) == "integer" and type(e.time) == "number"
    and type(e.kind) == "string" and type(e.path) == "string" and type(e.data) == "string"
end

--- Whether entries follow each other, and the first of them follows `newest`
-- ({ seq, hash }; nil: the journal's beginning). Returns nil when they do, else
-- { entry = number of the first that does not, text = a sentence }.
function chain.fault(entries, newest)
  local seq, hash = newest and newest.seq or 0, newest and newest.hash or chain.START
  for _, entry in ipairs(entries) do
    seq = seq + 1
    if entry.seq ~= seq then
      return { entry = seq, text = ("entry %d is missing"):format(seq) }
    end
    if not is_entry(entry) or entry.hash ~= chain.hash(hash, entry) then
      return { entry = seq, text = ("entry %d does not fit the ones before it: it was damaged or changed"):format(seq) }
    end
    hash = entry.hash
  end
end

return chain
