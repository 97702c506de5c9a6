--- The head of a journal: number and hash of its newest entry, in a file beside it.
--
-- The journal alone cannot know that its end is missing; this file says how far it
-- came. It is written after each append, over what is there and without an fsync: it
-- may lag behind the journal (after a power cut, or a kill between the two), but is
-- never ahead of it. Two lines take turns, so that a reader, or a cut in the middle of
-- a write, always finds one that is whole.
local crypto = require "native.crypto"
local fs = require "native.fs"

local head = {}

local SIZE = 96 -- bytes of a line

local function line(seq, hash)
  local text = ("%012d %s"):format(seq, hash)
  return ("%-95s\n"):format(("%s %08x"):format(text, crypto.crc32(text)))
end

--- Makes the file, durably; an existing one is replaced. Returns true, or nil, message, kind.
function head.create(path, seq, hash)
  local text = line(seq, hash)
  return fs.write(path, text .. text, { mode = 384, atomic = true })
end

--- Notes the newest entry. Where that fails, the older note stands.
function head.write(path, seq, hash)
  local _, _, kind = fs.overwrite(path, seq % 2 * SIZE, line(seq, hash))
  if kind == "missing" then head.create(path, seq, hash) end
end

local function parse(text)
  local noted, seq, hash, check = text:match("^((%d+) (%x+)) (%x+) *\n$")
  if noted and #hash == 64 and check == ("%08x"):format(crypto.crc32(noted)) then
    return { seq = math.tointeger(seq), hash = hash }
  end
end

--- What is noted: { seq, hash }, or nil and "missing" or "damaged".
function head.read(path)
  local text, _, kind = fs.read(path)
  if not text then return nil, kind == "missing" and kind or "damaged" end
  local first, second = parse(text:sub(1, SIZE)), parse(text:sub(SIZE + 1, 2 * SIZE))
  if first and second then return first.seq > second.seq and first or second end
  if first or second then return first or second end
  return nil, "damaged"
end

return head
