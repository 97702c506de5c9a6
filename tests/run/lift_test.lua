-- run.lift: Lua's own functions over unknown values, and none of it in a run.
local t = require "harness"
local duration = require "duration"
local json = require "json"
local lift = require "run.lift"
local program = require "program"
local task = require "task"
local text = require "text"
local time = require "time"
local unknown = require "unknown"

local u = unknown.new("it")

-- What each comes to with an unknown value in it: unknown, and what it prints as.
local cases = {
  format = { function() return ("%s and %d of %5.1f%%"):format("a", u, 2) end,
    "a and (known after run) of   2.0%" },
  format_of = { function() return string.format(u, 1) end, "(known after run)" },
  concat = { function() return table.concat({ "a", u, 1 }, ",") end, "a,(known after run),1" },
  upper = { function() return u:upper() end }, upper_of = { function() return string.upper(u) end },
  rep = { function() return ("x"):rep(u) end }, gsub = { function() return (("x"):gsub("x",
    u)) end },
  find = { function() return (("x"):find(u)) end }, max = { function() return math.max(1, u) end },
  floor = { function() return math.floor(u / 2) end },
    tonumber = { function() return tonumber(u) end },
  char = { function() return string.char(u) end }, len = { function() return utf8.len(u) end },
  date = { function() return os.date("!%Y", u) end },
  time = { function() return os.time { year = u, month = 1, day = 1 } end },
  remove = { function() return table.remove(u) end },
  trim = { function() return text.trim(u) end }, lines = { function() return text.lines(u) end },
  split = { function() return text.split("a,b", u) end },
    parse = { function() return duration.parse(u) end },
  length = { function() return duration.format(u) end },
    at = { function() return time.format(u) end },
  json = { function() return json.encode { a = { u } } end },
    decode = { function() return json.decode(u) end },
}

t.test("every function that takes text or numbers hands an unknown value on", function()
  for name, case in pairs(cases) do
    local found = lift.during(case[1])
    t.ok(unknown.is(found), name)
    if case[2] then t.equal(tostring(found), case[2], name) end
  end
end)

t.test("a list with something unknown in it is not sorted, and one that is unknown keeps nothing",
  function()
  lift.during(function()
    local list = { 3, u, 1 }
    table.sort(list)
    t.equal({ list[1], list[3] }, { 3, 1 })
    table.insert(u, 1)
    t.equal(#u, 1)
  end)
end)

t.test("other values go the same way as ever", function()
  local function known()
    local list = { 3, 1 }
    table.sort(list)
    table.insert(list, 9)
    return { ("%d-%s"):format(1, "x"), table.concat(list, ","), math.max(1, 2), tonumber("12", 8),
      (("abc"):gsub("b", "x")),
      json.encode { a = 1 }, duration.parse("1m"), text.trim " a ", os.date("!%Y", 0),
        table.remove(list) }
  end
  local plain = known()
  t.equal(lift.during(known), plain)
  t.equal(select("#", lift.during(function() return nil, nil end)), 2)
  t.raises("string expected, got no value", lift.during, string.rep)
end)

t.test("afterwards all functions are Lua's own again: after an error, and after two at once",
  function()
  local kept = { string.format, table.concat, table.sort, tonumber, json.encode, os.date }
  local function now() return { string.format, table.concat, table.sort, tonumber, json.encode,
    os.date } end
  t.raises("broken", lift.during, error, "broken", 0)
  t.equal(now(), kept)
  task.all {
    function() lift.during(function() task.sleep(0.01) t.ok(string.format ~= kept[1]) end) end,
    function() lift.during(function() task.sleep(0.03) t.ok(string.format ~= kept[1]) end) end,
  }
  t.equal(now(), kept)
  pcall(task.timeout, 0.01, lift.during, function() task.sleep(1) end)
  t.equal(now(), kept)
end)

t.test("an approval shows the changes that a plan shows, and the run is as it was", function()
  local w = program.workspace { ["a.lua"] = program.playbook [[
    dr.step("Move", { approve = true }, function()
      local made = probe.opaque("make")
      if next { made } and tostring(made) ~= "x" then probe.opaque(("use %s"):format(made)) end
      for i = 1, #made do probe.opaque("item " .. tonumber(i) .. " " .. tostring(type(made))) end
    end)]] }
  local planned
  for _, e in ipairs(program.events(w.run({ "plan", "a.lua", "--output", "json" }).out)) do
    planned = e.plan and e.plan.changes or planned
  end
  local r = w.run { "a.lua", "--yes", "--output", "json" }
  local asked
  for _, e in ipairs(program.events(r.out)) do asked = e.event == "approval_needed" and e.changes
    or asked end
  for i, row in ipairs(planned) do planned[i] = row.what end
  t.equal(planned, { "run make", "run use (known after run)", "run item 1 table" })
  t.equal(asked, planned)
  t.equal(w.effects()[2], "opaque use ran make")
end)
