--- Where runs are kept: their journals, sources and locks.
--
-- A store is what the rest of drlua sees of it, whatever is behind:
--
--     ids()                     the ids of all runs, oldest first
--     find(text)                the id that a person means
--     new_run()                 the id of a new run
--     create(id)                its journal (run/journal.lua)
--     open_run(id, options)     the journal of an existing one; options: readonly, busy_timeout
--     forget(id)                removes a run that did not begin
--     lock(names, id, options)  the run's own lock and others, or none: a set with beat(),
--                               lost() and release() (run/lock.lua); options: takeover
--     run(id)                   a directory for files made from the journal (the report)
--     put(name, text), get(name) small texts kept next to the runs (run/freshness.lua)
--     path                      what messages call the store
--
-- A journal in turn asks its store for little: the entries after a number, the newest
-- value of a name, appending one entry behind a given one, a transaction, and a note of
-- the newest entry outside of it (store/sqlite.lua).
--
-- A directory with SQLite (state.lua) is the store of every place that is no URL.
local errors = require "errors"
local state = require "run.state"

local store = {}

-- scheme of a URL -> module with open(place) and look(place)
local kinds = {}

local function kind_of(place)
  local path = state.path(place)
  local scheme = path:match("^(%l[%l%d+]+)://")
  if not scheme then return state end
  if not kinds[scheme] then
    errors.raise { kind = "usage",
      message = ("no runs can be kept at %s: name a directory"):format(path) }
  end
  return require(kinds[scheme])
end

--- Opens the store at `place` (the option --state; default: see state.path), and makes it
-- where it is missing.
function store.open(place) return kind_of(place).open(place) end

--- Opens it for looking: nothing is made.
function store.look(place) return kind_of(place).look(place) end

return store
