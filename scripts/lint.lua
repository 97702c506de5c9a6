--- Reads every `require` and `#include` and fails on an arrow that points upward
-- (docs/architecture.md has the floors), and on a file name that says nothing.
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

local files = lines_of("find engine stdlib playbooks -name '*.lua' -o -name '*.[ch]' | LC_ALL=C sort")
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

-- A zero byte cuts a C string short without a word: engine/argument.h refuses it.
local cutting = { "luaL_checkstring", "luaL_optstring", "luaL_checkoption" }

local function check_c(path)
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    for _, name in ipairs(cutting) do
      if line:find(name .. "(", 1, true) and not path:find("/argument%.c$") then
        fault("%s:%d: %s takes a text with a zero byte: use argument.h", path, number, name)
      end
    end
  end
end

for _, path in ipairs(files) do
  if path:find("%.[ch]$") then check_c(path) end
  local stem = path:match("([^/]*)%.%w+$")
  if vague[stem] then fault("%s: a name that says nothing of its job", path) end
  if path:find("%.lua$") then
    local number = 0
    for line in io.lines(path) do
      number = number + 1
      for name in line:gmatch("require%s*%(?%s*[\"']([%w_.]+)[\"']") do check_require(path, number, name) end
    end
  end
end

print(("lint: %d files, %d faults"):format(#files, faults))
os.exit(faults == 0 and 0 or 1, true)
