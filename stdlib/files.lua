--- Files and directories. Writing, removing and renaming are effects: a plan stops
-- them. Every failure is raised, with kind "missing" "denied" "exists" "full" ...
local crypto = require "native.crypto"
local effect = require "effect"
local errors = require "errors"
local fs = require "native.fs"

local files = {}

-- Raises what a native returned instead of a value; its message names the path.
local function must(value, message, kind)
  if value ~= nil then return value end
  errors.raise { kind = kind, message = message }
end

local function check_path(path)
  if type(path) ~= "string" or path == "" then
    errors.misuse(3, "a path expected, got %s", tostring(path))
  end
  if path:find("\0", 1, true) then
    errors.misuse(3, "a path cannot have a zero byte in it: %q", path)
  end
end

-- The directories of files.temporary that are there now.
local temporary = {}

-- Whether a link at the path, or above it within the directory, may lead elsewhere.
local function passes_link(path, directory)
  while #path > #directory do
    local found = fs.lstat(path)
    if found and found.type == "link" then return true end
    path = path:match("^(.*)/[^/]*$")
  end
  return false
end

--- True for a path inside of a directory of files.temporary: what happens there is no
-- change, since nothing of it stays, and on a replay it must happen again. A path through
-- a symbolic link is not inside.
function files.is_temporary(path)
  if type(path) ~= "string" or (path .. "/"):find("/../", 1, true) then return false end
  path = path:gsub("/+$", "")
  for directory in pairs(temporary) do
    if path:sub(1, #directory + 1) == directory .. "/" then
      return not passes_link(path, directory)
    end
  end
  return false
end

-- Each of these calls does no more when it is made twice, but for one that says so.
local function perform(operation, read, path, details, fn, once)
  local what = ("%s %s"):format(operation, tostring(path))
  details.path = path
  read = read or (files.is_temporary(path)
    and (details.to == nil or files.is_temporary(details.to))) or false
  return effect.perform({ kind = "file", operation = operation, read = read, what = what,
    input = details,
    repeatable = not once }, function()
    check_path(path)
    return fn()
  end)
end

--- The contents of a file.
function files.read(path)
  return perform("read", true, path, {}, function() return must(fs.read(path)) end)
end

-- What a journal keeps of the data: enough to notice that a resume writes something else.
local function trace_of(data)
  if type(data) ~= "string" then return { bytes = data } end
  return { bytes = #data, sha256 = crypto.hex(crypto.sha256(data)) }
end

--- Writes a file: a crash leaves the old contents or the new. options: `mode` (of a
-- new file, default 0600), `append`.
function files.write(path, data, options)
  options = options or {}
  return perform("write", false, path, trace_of(data), function()
    return must(fs.write(path, data, { mode = options.mode, append = options.append }))
  end, options.append)
end

--- True when there is something at the path (a broken link counts as nothing).
function files.exists(path)
  return perform("look at", true, path, {}, function()
    local found, message, kind = fs.stat(path)
    if found or kind == "missing" then return found ~= nil end
    errors.raise { kind = kind, message = message }
  end)
end

--- {type=, size=, mode=, mtime=, uid=, gid=} of the path, or nil when there is nothing.
function files.stat(path)
  return perform("look at", true, path, {}, function()
    local found, message, kind = fs.stat(path)
    if found or kind == "missing" then return found end
    errors.raise { kind = kind, message = message }
  end)
end

--- The names in a directory, sorted.
function files.list(path)
  return perform("list", true, path, {}, function() return must(fs.list(path)) end)
end

--- The paths that match a shell pattern ("/etc/*.conf"), sorted.
function files.glob(pattern)
  return perform("look for", true, pattern, {}, function()
    return must(fs.glob(pattern))
  end)
end

local function make_all(path, mode)
  local made, message, kind = fs.mkdir(path, mode)
  if made then return true end
  if kind == "missing" then
    make_all(path:match("^(.*)/[^/]+/*$"), mode)
    return must(fs.mkdir(path, mode))
  end
  local found = fs.stat(path)
  if found and found.type == "directory" then return true end
  errors.raise { kind = kind, message = message }
end

--- Makes a directory and those above it; one that is there already is fine.
function files.mkdir(path, mode)
  return perform("make", false, path, {}, function() return make_all(path, mode) end)
end

--- Removes a file or an empty directory; with `all` a directory and what it holds.
-- Nothing there is no failure.
function files.remove(path, all)
  return perform("remove", false, path, { all = all }, function()
    if all then return must(fs.remove_tree(path)) end
    local done, message, kind = fs.remove(path)
    if done or kind == "missing" then return true end
    errors.raise { kind = kind, message = message }
  end)
end

--- Renames within one file system; what had the new name is replaced.
function files.rename(from, to)
  return perform("rename", false, from, { to = to }, function()
    return must(fs.rename(from, to))
  end)
end

--- Runs fn(directory) with a new private directory (mode 0700) that is removed
-- afterwards, whatever happens; returns fn's values. It is no effect: nothing of it
-- stays.
function files.temporary(fn)
  local directory = must(fs.tempdir("drlua."))
  temporary[directory] = true
  local values = table.pack(pcall(fn, directory))
  temporary[directory] = nil
  local removed, message, kind = fs.remove_tree(directory)
  if not values[1] then error(values[2], 0) end
  if not removed then errors.raise { kind = kind, message = message } end
  return table.unpack(values, 2, values.n)
end

return files
