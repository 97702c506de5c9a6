--- Control errors: how a run is brought to a stop from inside.
--
-- They pass through every step, and no playbook can catch them (dr.try, pcall and
-- xpcall hand them on): a pause, an interrupt, a sibling's failure, a divergence,
-- a journal that cannot be written.
local errors = require "errors"

local control = {}

--- Raises one. what: "pause" "interrupt" "stop" "diverged" "journal" "rewound" "skip".
function control.raise(what, message, fields)
  local e = { kind = "control", control = what, message = message }
  for k, v in pairs(fields or {}) do e[k] = v end
  errors.raise(e)
end

--- The word of a control error, or nil for any other value.
function control.of(e)
  return errors.is(e) and e.kind == "control" and e.control or nil
end

--- True for what no playbook may catch: a control error, and the end of a task.
function control.passes(e)
  return errors.is(e) and (e.kind == "control" or e.kind == "cancelled")
end

-- Sources of playbooks and environments, by the name they were loaded under.
local playbook_sources = {}
-- The same as they are written in places ("file:line"), where long paths are cut.
local playbook_files = {}

--- Remembers that frames of this source are the playbook's.
function control.register_source(name)
  playbook_sources[name] = true
  playbook_files[debug.getinfo(load("", name), "S").short_src] = true
end

--- True for the source of code of a playbook, as debug.getinfo names it.
function control.is_playbook(source) return playbook_sources[source] == true end

--- "file:line" of the innermost frame of a playbook on the stack, or nil.
function control.where(level)
  for l = (level or 1) + 1, 1000 do
    local info = debug.getinfo(l, "Sl")
    if not info then return nil end
    if playbook_sources[info.source] and info.currentline > 0 then
      return ("%s:%d"):format(info.short_src, info.currentline)
    end
  end
end

--- Raises a misuse of the language, with the playbook's file and line.
function control.misuse(text, ...)
  errors.raise { kind = "misuse", message = select("#", ...) > 0 and text:format(...) or text,
    where = control.where(2) }
end

-- "toolbox.databases" for a place in stdlib/toolbox/databases.lua.
local function module_of(place)
  local path = place:match("^(.*)%.lua:%d+$") or place
  return ((path:match("stdlib/(.*)$") or path:match("[^/]*$")):gsub("/", "."))
end

-- An error of the library is the playbook's, at the line that called it: that is where
-- somebody can mend it.
local function place(e, here)
  if not here then return end
  if not e.where then
    e.at = e.at or here
  elseif not playbook_files[e.where:match("^(.*):%d+$")] then
    if e.kind == "lua" then e.message = ("%s (in %s)"):format(e.message, module_of(e.where)) end
    e.library, e.where = e.where, here
  end
end

--- A message handler for xpcall: an error object that knows its place in the
-- playbook and its traceback.
function control.handler(raised)
  local e = errors.from(raised)
  place(e, control.where(2))
  if not e.traceback then e.traceback = debug.traceback(tostring(e), 2) end
  return e
end

--- Calls fn(...) like errors.try, but hands control errors on.
function control.try(fn, ...)
  local function pack(ok, ...)
    if ok then return ... end
    local e = errors.from((...))
    if control.of(e) or e.kind == "cancelled" then error(e, 0) end
    return nil, e
  end
  return pack(xpcall(fn, control.handler, ...))
end

return control
