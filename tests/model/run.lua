--- Random histories of runs, played by the engine and by the model of its rules.
--
-- Usage: drlua script tests/model/run.lua [SEED | N FIRST_SEED]: one history with all it
-- shows, or N of them from a seed on (by default 1000 from 1). A history on which the two
-- differ is shrunk and shown; exit code 1.
local generate = require "model.generate"
local harness = require "harness"
local histories = require "model.histories"

local function report(seed, e)
  print(("seed %d: %s"):format(seed, tostring(e)))
  if e.kind ~= "differ" then print(e.traceback or "") end
  local smallest = histories.shrink(generate.history(seed), 1000, e)
  local _, why = histories.play(smallest)
  print(("shrunk:\n%s\n  %s"):format(generate.text(smallest), tostring(why)))
end

local function one(seed)
  local history = generate.history(seed)
  print(generate.text(history))
  local ok, e = histories.play(history, function(i, plan, state)
    print(("session %d, after %s: %s"):format(i, tostring(state.outcome), harness.show(plan)))
  end)
  if ok then return print("engine and model agree") end
  report(seed, e)
  os.exit(1, true)
end

local function many(n, first)
  local bad = 0
  for seed = first, first + n - 1 do
    local ok, e = histories.play(generate.history(seed))
    if not ok then
      bad = bad + 1
      report(seed, e)
      if bad == 5 then break end
    end
  end
  print(("%d histories from seed %d on: %d differ"):format(n, first, bad))
  os.exit(bad == 0 and 0 or 1, true)
end

local numbers = {}
for i, word in ipairs(arg) do numbers[i] = math.tointeger(tonumber(word)) end
if #arg == 1 then one(numbers[1]) else many(numbers[1] or 1000, numbers[2] or 1) end
