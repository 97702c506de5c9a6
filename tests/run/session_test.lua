-- run.session: the run's clock, and what a session keeps to itself.
local t = require "harness"
local clock = require "native.clock"
local secrets = require "run.secrets"
local session = require "run.session"

local function new(out)
  return session.new { id = "x", secrets = secrets.new(), out = out or function() end,
    playbook = {}, params = {} }
end

t.test("a real clock that jumps, both ways, changes no duration", function()
  local real = clock.now
  t.cleanup(function() clock.now = real end)
  local s = new()
  local before = s:now()
  for _, jump in ipairs { 86400, -86400 } do
    clock.now = function() return real() + jump end
    local passed = s:now() - before
    t.ok(passed >= 0 and passed < 60, "passed: " .. passed)
  end
end)

t.test("a suspended machine: the time asleep has passed", function()
  local boot = clock.boottime
  t.cleanup(function() clock.boottime = boot end)
  local s = new()
  local before = s:now()
  clock.boottime = function() return boot() + 3600 end
  t.ok(s:now() - before >= 3600)
  -- A wait whose end came meanwhile is over at once.
  s:sleep_until(before + 1800)
end)

t.test("events are masked, with run and time", function()
  local seen = {}
  local s = new(function(e) table.insert(seen, e) end)
  s.secrets:add("pw", "hunter2000")
  s:emit("note", { text = "with hunter2000" })
  t.equal(seen[1].text, "with ***")
  t.equal(seen[1].run, "x")
  t.equal(seen[1].event, "note")
end)

t.test("two sessions at once do not know of each other", function()
  local a, b = new(), new()
  local _, first = a:execute(function() return a:time() end)
  local ok, second = b:execute(function() return b:time() end)
  t.ok(ok and first and second)
end)
