--- Journals that a released drlua wrote, as the state directories they came from.
--
-- tests/golden/FORMAT/NAME.sql is a dump of the journal ("-- run ID" in its first line), with
-- @DIR@ for the directory of the playbook NAME.lua and @HOST@ for the machine; NAME.world is
-- what the world had seen by then.
local fs = require "native.fs"
local program = require "program"
local sqlite = require "native.sqlite"
local sys = require "native.sys"

local golden = {}

--- The formats that there are journals of.
golden.formats = { "format1" }

--- A workspace (see program.workspace) with one of the journals in its state directory;
-- `id` is its run's, `path` the run's directory.
function golden.workspace(format, name)
  local from = ("tests/golden/%s/%s"):format(format, name)
  local w = program.workspace { ["a.lua"] = assert(fs.read(from .. ".lua")) }
  local dump = assert(fs.read(from .. ".sql"))
  w.id = dump:match("^%-%- run (%S+)")
  w.path = ("%s/runs/%s"):format(w.env.DRLUA_STATE, w.id)
  assert(os.execute(("mkdir -p -m 700 '%s'"):format(w.path)))
  local db = assert(sqlite.open(w.path .. "/journal.db"))
  assert(db:exec("PRAGMA journal_mode=WAL"))
  dump = dump:gsub("@DIR@", (assert(fs.realpath(w.directory)))):gsub("@HOST@", sys.hostname())
  assert(db:exec(dump))
  db:close()
  assert(fs.write(w.world, assert(fs.read(from .. ".world")), { mode = 384 }))
  return w
end

return golden
