--- The hash chain over a journal's entries, whatever store keeps them.
--
-- Each entry has a number (from 1, without a gap) and a hash: SHA-256, in hex, over the
-- hash of the entry before it and its own fields (engine/crypto/chain.c says how). An entry
-- that was changed, lost or put in between no longer fits, nor does any after it.
local native = require "native.chain"

local chain = {}

--- What stands for the hash of the entry before the first.
chain.START = ("0"):rep(64)

--- The hash of an entry { seq, epoch, time, kind, path, data } after the one whose hash
-- is `former`.
chain.hash = native.hash

--- Whether entries follow each other, and the first of them follows `newest`
-- ({ seq, hash }; nil: the journal's beginning). Returns nil when they do, else
-- { entry = number of the first that does not, text = a sentence }.
function chain.fault(entries, newest)
  local before = newest and newest.seq or 0
  local n = native.fits(entries, before, newest and newest.hash or chain.START)
  if n == #entries then return nil end
  local seq, found = before + n + 1, entries[n + 1].seq
  if math.type(found) == "integer" and found > seq then
    return { entry = seq, text = ("entry %d is missing"):format(seq) }
  end
  return { entry = seq,
    text = ("entry %d does not fit the ones before it: it was damaged or changed"):format(seq) }
end

return chain
