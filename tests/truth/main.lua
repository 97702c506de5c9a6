--- Holds drlua against responses that were recorded from AWS:
--   drlua script tests/truth/main.lua FOLDER
-- FOLDER has one JSON file a response, at any depth (docs/truth.md). Exit code 0 when all
-- holds; the last line is "N passed, N failed".
local judge = require "judge"

local folder = arg[1]
if not folder then
  io.stderr:write("usage: drlua script tests/truth/main.lua FOLDER\n")
  os.exit(2, true)
end

local result, why = judge.run(folder)
if not result then
  io.stderr:write(why, "\n")
  os.exit(2, true)
end
judge.report(result, print)
os.exit(result.failed == 0 and 0 or 1, true)
