-- native.pulse: what computes without waiting is interrupted, and nothing else is.
local t = require "harness"
local pulse = require "native.pulse"

-- Runs fn(coroutine) with a pulse whose function is `beat`.
local function with(beat, fn)
  t.cleanup(pulse.stop)
  t.ok(pulse.start(0.002, beat))
  pulse.running(coroutine.running())
  local values = table.pack(pcall(fn))
  pulse.running(nil)
  return table.unpack(values, 1, values.n)
end

local function spin() while true do end end

t.test("an endless loop is ended by what the function raises, wherever it stands", function()
  for name, endless in pairs {
    plain = spin, caught = function() while true do pcall(spin) end end,
    sort = function() table.sort({ 1, 2 }, spin) end, gsub = function() ("a"):gsub("a", spin) end,
    load = function() load("while true do end")() end,
    close = function() local x <close> = setmetatable({}, { __close = spin }) return x end,
  } do
    local beats = 0
    local ok, e = with(function()
      beats = beats + 1
      if name ~= "caught" or beats > 3 then error(beats > 3 and "enough" or "again", 0) end
      error("again", 0)
    end, name == "caught" and function()
      while true do
        local _, raised = pcall(spin)
        if raised == "enough" then error(raised, 0) end
      end
    end or endless)
    t.equal({ ok, type(e) }, { false, "string" }, name)
  end
end)

t.test("the function hears the source under way, and is asked "
  .. "again until it answers true", function()
  local sources, asked = {}, 0
  local chunk = load("local stop = ... while not stop() do end", "=far")
  local ok, e = with(function(source)
    asked = asked + 1
    sources[source] = true
    if source ~= "=far" then return false end
    if asked > 50 then error("seen", 0) end
    return true
  end, function()
    local function library() for _ = 1, 1000 do end end
    chunk(library)
  end)
  t.equal({ ok, e }, { false, "seen" })
  t.ok(sources["=far"])
end)

t.test("what goes on after a beat goes on unharmed", function()
  local beats, sum = 0, 0
  local ok = with(function()
    beats = beats + 1
    return true
  end, function()
    for i = 1, 20000000 do sum = sum + i end
  end)
  t.equal({ ok, sum }, { true, 200000010000000 })
  t.ok(beats > 0, "no beat")
end)

t.test("without a coroutine that runs, and after the stop, nothing is interrupted", function()
  local beats = 0
  local function beat() beats = beats + 1 return true end
  with(beat, function() end)
  local sum = 0
  for i = 1, 5000000 do sum = sum + i end
  pulse.running(coroutine.running())
  pulse.stop()
  for i = 1, 5000000 do sum = sum + i end
  t.equal(beats, 0)
  t.raises("seconds", pulse.start, 0, print)
  t.raises("seconds", pulse.start, 0 / 0, print)
  t.raises("function expected", pulse.start, 1)
end)

t.test("coroutines made meanwhile, and collected, are no trouble", function()
  local beats, made = 0, 0
  with(function() beats = beats + 1 return true end, function()
    while beats < 20 do
      made = made + coroutine.wrap(function() for _ = 1, 100 do end return 1 end)()
      if made % 1000 == 0 then collectgarbage "step" end
    end
  end)
  t.ok(made > 0)
end)
