local t = require "harness"
local task = require "task"

-- Ends when it is cancelled; calls fn then.
local function until_cancelled(fn)
  local ok, e = pcall(task.sleep, 60)
  fn()
  if not ok then error(e, 0) end
end

t.test("a cancel that comes while a race ends its losers is not lost", function()
  local me
  local steps = {}
  me = task.spawn(function()
    local value = task.race {
      function() return "won" end,
      function() until_cancelled(function() me:cancel() end) end,
    }
    table.insert(steps, value)
    task.sleep(0)
    table.insert(steps, "beyond the cancel")
  end)
  t.raises("cancelled", me.wait, me)
  t.equal(steps, { "won" })
end)

t.test("a cancelled group ends whole, and its cancel holds", function()
  local me
  local ended, beyond = 0, false
  local function member()
    until_cancelled(function()
      ended = ended + 1
      me:cancel()
    end)
  end
  me = task.spawn(function()
    pcall(task.all, { member, member, member })
    task.sleep(0)
    beyond = true
  end)
  task.yield()
  task.yield()
  me:cancel()
  t.raises("cancelled", me.wait, me)
  t.equal({ ended, beyond }, { 3, false })
end)

t.test("a timeout ends what it watches before it is reported", function()
  local ended = false
  local e = t.raises("no end within 0.01 s", task.timeout, 0.01, until_cancelled,
    function() ended = true end)
  t.equal({ e.kind, ended }, { "timeout", true })
  t.equal(task.timeout(60, function() return "in time" end), "in time")
end)
