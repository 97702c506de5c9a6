--- The state directory: the store (store.lua) that keeps runs and locks in files.
--
--     STATE/runs/RUN/journal.db     what happened, see journal.lua
--     STATE/runs/RUN/head           number and hash of its newest entry
--     STATE/runs/RUN/report.md      written at the run's end
--     STATE/locks/NAME              see lock.lua
--
-- Directories are 0700, files 0600: a journal names everything a recovery touches.
local clock = require "native.clock"
local errors = require "errors"
local fs = require "native.fs"
local journal = require "run.journal"
local lock = require "run.lock"
local sys = require "native.sys"

local state = {}
state.__index = state

-- Short words that survive a bad telephone line: no two begin alike in sound.
local words = {}
for word in ([[amber anchor apple aspen badge bamboo basil beacon birch bison brass breeze cabin
  candle canyon cedar chalk cherry cider clover cobalt comet copper coral cotton crane cricket
  dawn delta denim dune eagle ember fable falcon fern fjord flint forest garnet ginger glacier
  granite grove harbor hazel heron hickory indigo iris island ivory jade jasper juniper kayak
  kelp kettle lagoon lantern larch lemon lilac linen lotus lunar magnet mango maple marble
  meadow mint mosaic nectar nickel oasis ocean olive onyx orbit orchid otter paddle panda pearl
  pebble pepper pine plum poplar prairie quail quartz raven reef ribbon river robin ruby saddle
  saffron salmon sequoia silver sparrow spruce sulphur summit sunset tango thistle timber topaz
  tulip tundra turtle umber valley velvet violet walnut willow winter yarrow zephyr
  zinc]]):gmatch("%a+") do
  table.insert(words, word)
end

--- The state directory's path: the option, DRLUA_STATE, XDG_STATE_HOME/drlua,
-- ~/.local/state/drlua.
function state.path(option)
  if option then return option end
  local own, xdg = sys.getenv("DRLUA_STATE"), sys.getenv("XDG_STATE_HOME")
  if own and own ~= "" then return own end
  if xdg and xdg ~= "" then return xdg .. "/drlua" end
  local user = sys.user()
  local home = sys.getenv("HOME") or (user and user.home)
  if not home or home == "" then
    errors.raise { kind = "usage",
      message = "no home directory: name a state directory with --state DIR" }
  end
  return home .. "/.local/state/drlua"
end

local function make(path)
  if fs.stat(path) then return end
  local parent = path:match("^(.+)/[^/]+/*$")
  if parent then make(parent) end
  local ok, message, kind = fs.mkdir(path, 448) -- 0700
  if not ok and kind ~= "exists" then
    errors.raise { kind = "state",
      message = ("the state directory %s cannot be made: %s"):format(path, message) }
  end
end

--- Opens the state directory, and makes it where it is missing.
function state.open(option)
  local path = state.path(option)
  make(path)
  if not fs.list(path) then
    errors.raise { kind = "state",
      message = ("the state directory %s cannot be read"):format(path) }
  end
  local self = setmetatable({ path = path }, state)
  make(self:runs())
  make(self:locks())
  return self
end

--- Opens it for reading only: nothing is made.
function state.look(option)
  return setmetatable({ path = state.path(option) }, state)
end

local function record_path(self, name) return ("%s/records/%s.json"):format(self.path, name) end

--- Keeps a small text under a name, beside the runs. Raises when it cannot be written.
function state:put(name, text)
  make(self.path .. "/records")
  local ok, message = fs.write(record_path(self, name), text, { mode = 384, atomic = true })
  if not ok then errors.raise { kind = "state", message = message } end
end

--- The text kept under a name, or nil.
function state:get(name) return (fs.read(record_path(self, name))) end

--- True where something was kept here before.
function state:exists() return fs.stat(self.path) ~= nil end

function state:runs() return self.path .. "/runs" end
function state:locks() return self.path .. "/locks" end

--- The directory of a run.
function state:run(id) return self.path .. "/runs/" .. id end
local function journal_path(self, id) return self:run(id) .. "/journal.db" end

-- Words for runs of one minute, in the order of the alphabet, so that ids sort by time:
-- after `last` (nil: the first run of the minute) comes one a little further on.
local function word_after(last)
  local index = 0
  for i, word in ipairs(words) do if word == last then index = i end end
  if last == nil then return words[math.random(#words // 3)] end
  if words[index + 1] and index > 0 then return words[index + 1] end
  local number = tonumber(last:match("-(%d+)$") or 1)
  return ("%s-%03d"):format(words[#words], number + 1)
end

--- Makes the directory of a new run; returns its id, such as 20261121-0741-kelp.
function state:new_run()
  local stamp = clock.format(clock.now(), "compact"):gsub("^(%d+)T(%d%d%d%d).*$", "%1-%2")
  local last
  for _, name in ipairs(fs.list(self:runs()) or {}) do
    local word = name:match("^" .. stamp:gsub("%-", "%%-") .. "%-(.+)$")
    if word and (not last or word > last) then last = word end
  end
  for _ = 1, 1000 do
    last = word_after(last)
    local id = stamp .. "-" .. last
    local ok, message, kind = fs.mkdir(self:run(id), 448)
    if ok then return id end
    if kind ~= "exists" then
      errors.raise { kind = "state",
        message = ("no run can be recorded in the state directory %s: %s"):format(self.path,
          message) }
    end
  end
  errors.raise { kind = "state", message = "more runs in this minute than there are names" }
end

--- Makes the journal of a new run; where that fails nothing of the run stays.
function state:create(id)
  local ok, j = pcall(journal.create, journal_path(self, id))
  if ok then return j end
  fs.remove_tree(self:run(id))
  errors.raise { kind = "state", message = errors.from(j).message }
end

--- Removes the directory of a run that did not begin.
function state:forget(id) fs.remove_tree(self:run(id)) end

--- Opens the journal of a run; options as of journal.open.
function state:open_run(id, options) return journal.open(journal_path(self, id), options) end

--- Takes locks for a run: its own, and those of `names`. options: takeover. See lock.lua.
function state:lock(names, id, options)
  local all = table.move(names, 1, #names, 1, {})
  table.insert(all, lock.of_run(id))
  return lock.take(self:locks(), all, id, options)
end

-- The names in runs/: none where there is no such directory yet.
local function run_names(self)
  local names, message, kind = fs.list(self:runs())
  if not names and kind ~= "missing" then
    errors.raise { kind = "state",
      message = ("the state directory %s cannot be read: %s"):format(self.path, message) }
  end
  return names or {}
end

--- The ids of all runs, oldest first. Raises when they cannot be read.
function state:ids()
  local ids = {}
  for _, name in ipairs(run_names(self)) do
    local found, _, kind = fs.stat(journal_path(self, name))
    if found or kind == "denied" then table.insert(ids, name) end
  end
  table.sort(ids)
  return ids
end

local function is_rehearsal(self, id)
  local ok, rehearsal = pcall(function()
    local j = self:open_run(id, { readonly = true })
    local head = j:meta("run")
    j:close()
    return head and head.rehearsal
  end)
  return ok and rehearsal
end

-- Somebody who says `last` in a disaster does not mean the rehearsal that came after.
local function last(self, ids)
  for i = #ids, 1, -1 do
    if not is_rehearsal(self, ids[i]) then return ids[i] end
  end
  return ids[#ids]
end

--- The id that a person means: the whole of it, its word, a part that only one run
-- has, or "last": the newest that is no rehearsal, where there is one.
function state:find(text)
  local ids, found = self:ids(), {}
  if text == "last" and #ids > 0 then return last(self, ids) end
  for _, id in ipairs(ids) do
    if id == text then return id end
    if id:find(text, 1, true) then table.insert(found, id) end
  end
  if #found == 1 then return found[1] end
  if #found > 1 then
    errors.raise { kind = "usage", message = ("%d runs have \"%s\" in their name: %s"):format(
      #found, text, table.concat(found, ", ", math.max(1, #found - 4))) }
  end
  errors.raise { kind = "usage",
    message = ("no run %s in %s; `drlua runs` lists them"):format(text, self.path) }
end

return state
