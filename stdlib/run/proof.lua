--- The proof of a journal: whether all of its entries are there and as they were written.
--
-- The entries are held against each other (chain.lua), and the newest against the note of
-- it that the store keeps outside of the journal. A journal of format 1 has neither: of it
-- only a gap is seen, and that nothing is there.
local chain = require "run.chain"

local proof = {}

local WHOLE = "the whole directory of the run (journal.db, journal.db-wal and head)"

local note_faults = {
  missing = "the file head next to it is missing, so nobody can tell whether its last entries "
    .. "are here; if it was copied, entries may be missing: copy " .. WHOLE,
  damaged = "the file head next to it, which says how many entries there must be, cannot be read",
}

local EMPTY = "it holds no entries: its run had not begun, or they are in a journal.db-wal that "
  .. "was not copied together with it. Copy " .. WHOLE

local LOST = "its newest entry is number %d, and the file head next to it "
  .. "notes %d: the last %d are "
  .. "missing. If it was copied, copy " .. WHOLE .. "; else its write-ahead log was damaged"

local OTHER = "entry %d is not the one that the file head next to it "
  .. "notes: the journal or head was "
  .. "damaged or changed, or one of them belongs to another copy"

-- Holds the entries against the note that was read before them.
local function note_fault(rows, noted, why)
  if not noted then return { text = note_faults[why] } end
  if noted.seq > #rows then
    return { entry = #rows + 1, text = LOST:format(#rows, noted.seq, noted.seq - #rows) }
  end
  if noted.seq > 0 and rows[noted.seq].hash ~= noted.hash then
    return { entry = noted.seq, text = OTHER:format(noted.seq) }
  end
  if #rows == 0 then return { text = EMPTY } end
end

local function plain_fault(store, rows)
  for i, row in ipairs(rows) do
    if row.seq ~= i then return { entry = i, text = ("entry %d is missing"):format(i) } end
  end
  if #rows == 0 or not store:meta("run") then return { text = EMPTY } end
end

--- Reads all entries of a store (store/sqlite.lua); returns them, and the fault if there is
-- one: { entry = the first that does not fit, where it can be named; text = a sentence }.
function proof.read(store)
  local noted, why = store:marked()
  local rows = store:after(0)
  if store.format == 1 then return rows, plain_fault(store, rows) end
  return rows, chain.fault(rows) or note_fault(rows, noted, why)
end

--- A sentence when the newest entries are not those noted outside of the journal: a look
-- that costs little, for lists.
function proof.glance(store)
  if store.format == 1 then return nil end
  local noted, why = store:marked()
  if not noted then return note_faults[why] end
  if noted.seq == 0 then return nil end
  local row = store:after(noted.seq - 1)[1]
  if not row or row.hash ~= noted.hash then return "its last entries are damaged or missing" end
end

--- Raises that a journal cannot be used for its fault.
function proof.refuse(store, fault)
  store:refuse(("%s. Nothing was sent. `drlua verify` and `drlua show` look at it; to continue, "
    .. "bring back a copy of the run's whole directory that `drlua verify` finds whole")
    :format(fault.text), "damaged")
end

return proof
