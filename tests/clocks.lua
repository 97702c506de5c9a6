--- Clocks that jump, for drlua as a child: see tests/clock_shim.c.
local fs = require "native.fs"
local sys = require "native.sys"

local clocks = {}

-- Built once a process of tests; nobody but a child of a test loads it.
local function build(directory)
  local shim = directory .. "/clock_shim.so"
  local command = ("cc -std=c11 -O1 -Wall -Wextra -Werror -shared -fPIC -o "
    .. "%s tests/clock_shim.c 2>&1"):format(shim)
  local pipe = assert(io.popen(command))
  local said = pipe:read("a")
  if not pipe:close() then error("the clocks' shim does not build: " .. said, 0) end
  return shim
end

--- The variables of a child in `directory` whose clocks jump, and function(real, boot)
-- that sets by how many seconds they are off.
function clocks.of(directory)
  local path = directory .. "/clocks"
  local function set(real, boot)
    assert(fs.write(path, ("%d %d\n"):format(real, boot or 0), { mode = 384, atomic = true }))
  end
  set(0, 0)
  local asan = sys.getenv("ASAN_OPTIONS")
  return { LD_PRELOAD = build(directory), DRLUA_TEST_CLOCKS = path,
    ASAN_OPTIONS = (asan and asan .. ":" or "") .. "verify_asan_link_order=0" }, set
end

--- The text of a playbook's function jump(real, boot), which does the same in the child.
clocks.JUMP = [[
local process = require "process"
local function jump(real, boot)
  process.run { "sh", "-c", 'printf "%s %s\n" "$1" "$2" >"$DRLUA_TEST_CLOCKS.new"; '
    .. 'mv "$DRLUA_TEST_CLOCKS.new" "$DRLUA_TEST_CLOCKS"', "sh", tostring(real),
    tostring(boot or 0), read = true }
end
]]

return clocks
