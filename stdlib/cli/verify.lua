--- drlua verify RUN: proves a whole journal, entry by entry.
local options = require "cli.options"
local store = require "run.store"
local write = require "cli.write"

local verify = {}

local OLD = "its journal was written by an older drlua, without hashes: nothing can be proved. "
  .. "They begin when the run is resumed"

-- What is proved of a run: { run, ok, entries, hash, entry (the first that does not
-- fit), error }.
local function prove(kept, id)
  local ok, j = pcall(kept.open_run, kept, id, { readonly = true })
  if not ok then return { run = id, ok = false, error = tostring(j.message or j) } end
  local proof = j:proof()
  j:close()
  local fault = proof.fault or (proof.format == 1 and { text = OLD }) or nil
  return { run = id, ok = not fault, entries = proof.entries, hash = proof.hash,
    entry = fault and fault.entry, error = fault and fault.text }
end

--- drlua verify RUN
function verify.verify(parsed)
  local kept = store.look(parsed.state)
  local id = kept:find(parsed.words[1] or options.usage("name a run; `drlua runs` lists them"))
  local proof = prove(kept, id)
  if parsed.output == "json" then
    write.json(proof)
  elseif proof.ok then
    write.out(("run %s: %d entries, whole. The newest is %s\n"):format(id, proof.entries,
      proof.hash))
  else
    write.out(("run %s is not proved: %s\n"):format(id, proof.error))
  end
  return proof.ok and 0 or 1
end

return verify
