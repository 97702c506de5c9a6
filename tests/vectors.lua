--- What the conformance runners share: finding a folder of vectors, reading it,
-- counting, and the last line.
--
--     local suite = vectors.open("sigv4", arg[1])   ends the program when absent
--     suite:case(name, fn)                          fn raises or returns a failure's text
--     suite:finish()                                prints the total, sets the exit code
local errors = require "errors"

local vectors = {}
local suite = {}
suite.__index = suite

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function suite_of(name, dir)
  if not dir then
    io.stderr:write("usage: drlua script tests/conformance/NAME.lua DIR\n")
    os.exit(2, true)
  end
  local path = dir:gsub("/+$", "") .. "/" .. name
  if exists(path) then
    return setmetatable({ name = name, path = path, passed = 0, failed = 0 }, suite)
  end
  print(name .. ": skipped, no folder " .. path)
end

--- The suite of DIR/NAME. Prints "NAME: skipped" and exits 0 when there is none.
function vectors.open(name, dir)
  return suite_of(name, dir) or os.exit(0, true)
end

--- Runs several folders of one runner: a list of { name, fn(suite) }.
function vectors.together(dir, parts)
  local failed = 0
  for _, part in ipairs(parts) do
    local self = suite_of(part[1], dir)
    if self then
      part[2](self)
      self:total()
      failed = failed + self.failed
    end
  end
  os.exit(failed == 0 and 0 or 1, true)
end

--- A file's bytes, or nil when it does not exist.
function vectors.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read("a")
  file:close()
  return bytes
end

--- Whether two decoded JSON values are the same: 1 and 1.0 are, {} and [] are not
-- when both are marked or unmarked differently.
function vectors.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if next(a) == nil and next(b) == nil then return getmetatable(a) == getmetatable(b) end
  for k, v in pairs(a) do
    if not vectors.same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

--- The same, where an empty list and an empty object are alike.
function vectors.alike(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not vectors.alike(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

--- Paths below the suite's folder that end in `ending`, sorted.
function suite:find(ending)
  local found = {}
  local pipe = assert(io.popen(("find '%s' -type f -name '*%s' | LC_ALL=C sort"):format(self.path,
    ending)))
  for line in pipe:lines() do table.insert(found, line) end
  pipe:close()
  return found
end

--- Runs one case; prints a line only when it fails, or always under VERBOSE.
function suite:case(name, fn, ...)
  local ok, failure = pcall(fn, ...)
  if not ok then failure = tostring(errors.from(failure)) end
  if failure then
    self.failed = self.failed + 1
    print(("FAIL %s/%s: %s"):format(self.name, name, failure))
  else
    self.passed = self.passed + 1
    if os.getenv("VERBOSE") then print(("pass %s/%s"):format(self.name, name)) end
  end
end

function suite:total()
  print(("%s: %d passed, %d failed"):format(self.name, self.passed, self.failed))
end

function suite:finish()
  self:total()
  os.exit(self.failed == 0 and 0 or 1, true)
end

return vectors
