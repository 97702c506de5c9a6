--- Reads every `require` and `#include` and fails on an arrow that points upward
-- (docs/architecture.md has the floors, and the folders of engine), on a file name that
-- says nothing, on long lines, and on C that takes a text with a zero byte; on texts
-- that are cut unmasked, and on output that is not made printable.
local floors = {
  { "^engine/", 1 },
  { "^stdlib/aws/", 3 }, { "^stdlib/aws%.lua$", 3 },
  { "^stdlib/run/", 4, "run" }, { "^stdlib/drlua%.lua$", 4, "run" },
  { "^stdlib/sim/", 4, "sim" },
  { "^stdlib/toolbox/", 5 },
  { "^stdlib/cli/", 6 },
  { "^stdlib/", 2 },
  { "^playbooks/", 6 },
}

-- The folders of engine, lowest first. A file includes those of its own folder and of
-- rows below; folders of one row know nothing of each other. "" is engine/ itself.
local rows = {
  { "base" },
  { "loop" },
  { "crypto", "files", "process", "server", "pq" },
  { "sigv4", "model" },
  { "http", "model/wire" },
  { "model/message" },
  { "model/lua" },
  { "" },
}
local row_of = {}
for number, folders in ipairs(rows) do
  for _, folder in ipairs(folders) do row_of[folder] = number end
end

local LONGEST_LINE = 100

local vague = { util = true, utils = true, helper = true, helpers = true, common = true,
  misc = true, manager = true }

local function floor_of(path)
  for _, row in ipairs(floors) do
    if path:find(row[1]) then return row[2], row[3] end
  end
end

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local found = {}
  for line in pipe:lines() do table.insert(found, line) end
  pipe:close()
  return found
end

local files = lines_of(
  "find engine stdlib playbooks -name '*.lua' -o -name '*.[ch]' | LC_ALL=C sort")
local present = {}
for _, path in ipairs(files) do present[path] = true end

local function module_path(name)
  local path = "stdlib/" .. name:gsub("%.", "/")
  if present[path .. ".lua"] then return path .. ".lua" end
  if present[path .. "/init.lua"] then return path .. "/init.lua" end
end

local faults = 0
local function fault(...)
  faults = faults + 1
  io.stderr:write(string.format(...), "\n")
end

local function check_require(path, number, name)
  local target = module_path(name)
  if not target then return end
  local from, from_room = floor_of(path)
  local to, to_room = floor_of(target)
  if to > from or (to == from and from_room and to_room and from_room ~= to_room) then
    fault("%s:%d: floor %d must not require %s of floor %d", path, number, from, name, to)
  end
end

-- A zero byte cuts a C string short without a word: engine/base/argument.h refuses it.
local cutting = { "luaL_checkstring", "luaL_optstring", "luaL_checkoption" }

local function folder_of(path)
  return path:match("^engine/(.*)/[^/]*$") or ""
end

local function check_include(path, number, name)
  local from, to = folder_of(path), folder_of("engine/" .. name)
  if not present["engine/" .. name] then
    fault("%s:%d: there is no engine/%s: an include is written from engine/ on", path, number, name)
  elseif not row_of[from] then
    fault("%s: the folder is in no row of scripts/lint.lua", path)
  elseif from ~= to and row_of[to] >= row_of[from] then
    fault("%s:%d: %s must not include %s: it is not below", path, number, from, name)
  end
end

local function check_width(path, number, line)
  if (utf8.len(line) or #line) > LONGEST_LINE then
    fault("%s:%d: longer than %d columns", path, number, LONGEST_LINE)
  end
end

-- The closing bracket of the long text that is open at the end of the line, or nil;
-- `closing`: the one at its beginning.
local function open_text(line, closing)
  local at = 1
  while true do
    local start, stop, equals
    if closing then
      start, stop = line:find(closing, at, true)
    else
      start, stop, equals = line:find("%[(=*)%[", at)
    end
    if not start then return closing end
    closing = equals and "]" .. equals .. "]"
    at = stop + 1
  end
end

-- Texts in long brackets, which are often programs of other languages, may be wider.
local function check_lua_width(path)
  local number, closing = 0, nil
  for line in io.lines(path) do
    number = number + 1
    local before = closing
    closing = open_text(line, closing)
    if not before and not closing then check_width(path, number, line) end
  end
end

local function check_c(path)
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    check_width(path, number, line)
    local name = line:match('^#include "([^"]+)"')
    if name then check_include(path, number, name) end
    for _, cut in ipairs(cutting) do
      if line:find(cut .. "(", 1, true) and not path:find("/argument%.c$") then
        fault("%s:%d: %s takes a text with a zero byte: use base/argument.h", path, number, cut)
      end
    end
  end
end

-- A secret that is cut in two is not recognized any more, so texts are masked before they
-- are shortened: by text.shorten, excerpt and last_lines. What is cut elsewhere is no
-- foreign text, or was masked.
local cut_on_purpose = { ["stdlib/text.lua"] = true, ["stdlib/confidential.lua"] = true,
  ["stdlib/cli/screen.lua"] = "events are masked",
  ["stdlib/cli/sweep.lua"] = "outputs of runs are masked",
  ["stdlib/aws/constraints.lua"] = "masked in the line before",
  ["stdlib/run/lock.lua"] = "a file's name", ["stdlib/run/value.lua"] = "a path in a value",
  ["stdlib/run/secrets.lua"] = true }
local LONGEST_WORD = 39 -- of an identifier that is cut to its size

local function cuts_text(line)
  if line:find("sha%d+%(") or line:find("digest%(") or line:find("hmac")
    or line:find("mask(", 1, true) then
    return false
  end
  local n = tonumber(line:match(":sub%(1, (%d+)%)") or line:match(":sub%(%-(%d+)%)"))
  return n and n > LONGEST_WORD or line:find("utf8.offset(", 1, true) ~= nil
end

-- What goes to a terminal goes through cli/write.lua or the screen, which make it printable.
local writers = { ["stdlib/cli/write.lua"] = true, ["stdlib/cli/screen.lua"] = true,
  ["stdlib/sim/init.lua"] = true }

-- Words that no engineer says aloud, and what to say instead.
local stilted = { shall = "should", afresh = "again", anew = "again", bears = "has",
  ["hangs on"] = "depends on", ["gone on with"] = "is resumed", told = "reported",
  ["tells of"] = "describes", ["none of our business"] = "is not an error" }

local function check_words(path)
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    for word, better in pairs(stilted) do
      if line:lower():find("%f[%w_]" .. word .. "%f[^%w_]") then
        fault("%s:%d: \"%s\": say \"%s\"", path, number, word, better)
      end
    end
  end
end

local function check_lua(path)
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    for name in line:gmatch("require%s*%(?%s*[\"']([%w_.]+)[\"']") do
      check_require(path, number, name)
    end
    if cuts_text(line) and not cut_on_purpose[path] and not path:find("^stdlib/sim/") then
      fault("%s:%d: a text is cut that may hold a secret: use text.shorten or mask it first", path,
        number)
    end
    if line:find("io%.std%a+:write") and not writers[path]
      and not line:find("printable(", 1, true) then
      fault("%s:%d: writes past cli/write.lua, which makes foreign text printable", path, number)
    end
  end
end

for _, path in ipairs(files) do
  if path:find("%.[ch]$") then check_c(path) end
  local stem = path:match("([^/]*)%.%w+$")
  if vague[stem] then fault("%s: a name that says nothing of its job", path) end
  if path:find("%.lua$") then check_lua(path) end
end

for _, path in ipairs(
  lines_of("find README.md docs engine stdlib playbooks -type f | LC_ALL=C sort")) do
  check_words(path)
end

local folders = "engine stdlib playbooks tests scripts"
for _, path in ipairs(lines_of("find " .. folders .. " -name '*.lua' | LC_ALL=C sort")) do
  check_lua_width(path)
end

print(("lint: %d files, %d faults"):format(#files, faults))
os.exit(faults == 0 and 0 or 1, true)
