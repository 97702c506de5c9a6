--- Runs the test files, each in a process of its own, and counts.
--
-- Usage: drlua script tests/run.lua [FILTER...]: only files whose path contains
-- one of the filters. Ends with the line "N passed, N failed, N skipped".
local sys = require "native.sys"

local program = sys.exe()

local function lines(command)
  local pipe = assert(io.popen(command))
  local found = {}
  for line in pipe:lines() do table.insert(found, line) end
  pipe:close()
  return found
end

local function wanted(path)
  if #arg == 0 then return true end
  for _, filter in ipairs(arg) do
    if path:find(filter, 1, true) then return true end
  end
  return false
end

-- For what the harness cannot end itself: a file that hangs outside the loop.
local FILE_SECONDS = 1200

local passed, failed, skipped = 0, 0, {}
local output = os.tmpname()

local function run(path)
  local ok, bad = 0, 0
  -- Into a file, not a pipe: a process that a broken test left behind would hold that open.
  local good, how, code = os.execute(("exec timeout --foreground -k 10 %d %s script %s >%s 2>&1 </dev/null"):format(
    FILE_SECONDS, program, path, output))
  if code == 130 or how == "signal" and code == 2 then os.exit(130) end
  for line in io.lines(output) do
    if line:find("^ok ") then
      ok = ok + 1
    elseif line:find("^skip ") then
      table.insert(skipped, line)
    else
      if line:find("^not ok ") then bad = bad + 1 end
      print("  " .. line)
    end
  end
  if not good then
    bad = bad + 1
    print(("  %s ended by %s %d"):format(path, how, code))
  end
  passed, failed = passed + ok, failed + bad
  print(("%s %s: %d passed, %d failed"):format(bad == 0 and "pass" or "FAIL", path, ok, bad))
  io.stdout:flush()
end

sys.setenv("DRLUA_TESTS", "1")
for _, path in ipairs(lines("find tests -name '*_test.lua' | LC_ALL=C sort")) do
  if wanted(path) then run(path) end
end
for _, line in ipairs(skipped) do print(line) end
os.remove(output)
print(("%d passed, %d failed, %d skipped"):format(passed, failed, #skipped))
os.exit(failed == 0 and 0 or 1, true)
