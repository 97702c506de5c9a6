-- run.planner: what a plan says, and the preview of an approval.
local t = require "harness"
local program = require "program"

-- Plans a playbook whose `run` is this text; returns the result and its steps by path.
local function plan(body, more)
  local w = program.workspace { ["a.lua"] = program.playbook(body, more) }
  local r = w.run { "plan", "a.lua", "--output", "json" }
  local steps = {}
  for _, e in ipairs(program.events(r.out)) do
    if e.plan then steps[e.path or e.step] = e.plan end
  end
  t.equal(w.effects(), {})
  return r, steps, w
end

-- The changes of a step, in words.
local function changes(step)
  local list = {}
  for _, row in ipairs(step and step.changes or {}) do table.insert(list, row.what) end
  return list
end

t.test("what is known only after the run may be a text, a list, a handle", function()
  local r, steps = plan [[
    local made = dr.step("Make", function() return probe.opaque("it") end)
    dr.approve("go on with " .. made)
    dr.step("Tag", function()
      if #made.tags > 0 then probe.opaque("tag") end
      for _ in pairs(made.list) do probe.opaque("pair") end
      local list = #made.list > 0 and made.list or nil
      if list then probe.opaque("list") end
      local kept <close> = made.handle
    end)
    dr.step("Say " .. made.name .. "!", function() probe.opaque("say") end)]]
  t.equal(r.code, 0, r.out .. r.err)
  t.equal(changes(steps.Tag), { "run tag", "run pair", "run list" })
  t.ok(steps["Approval: go on with (known after run)"], r.out)
  t.equal(changes(steps["Say (known after run)!"]), { "run say" })
end)

-- What the approval of each step says it would change, by path.
local function asked(body)
  local w = program.workspace { ["a.lua"] = program.playbook(body) }
  local r = w.run { "a.lua", "--yes", "--output", "json" }
  t.equal(r.code, 0, r.out .. r.err)
  local seen = {}
  for _, e in ipairs(program.events(r.out)) do
    if e.event == "approval_needed" then seen[e.path] = e.changes or {} end
  end
  return seen
end

t.test("each of several steps of one name is asked for with its own changes", function()
  t.equal(asked [[
    for i = 1, 3 do
      dr.step("Drop it", { approve = true }, function() probe.opaque("drop " .. i) end)
    end
    dr.parallel {
      function() dr.step("Drop it", { approve = true }, function() probe.opaque("left") end) end,
      function() dr.step("Drop it", { approve = true }, function() probe.opaque("right") end) end,
    }
    dr.step("Outer", function()
      dr.step("Drop it", { approve = true }, function() probe.opaque("inner") end)
      dr.step("Drop it", { approve = true }, function() probe.opaque("again") end)
    end)]], {
    ["Drop it"] = { "run drop 1" }, ["Drop it#2"] = { "run drop 2" }, ["Drop it#3"] = { "run drop 3" },
    ["parallel.1/Drop it"] = { "run left" }, ["parallel.2/Drop it"] = { "run right" },
    ["Outer/Drop it"] = { "run inner" }, ["Outer/Drop it#2"] = { "run again" },
  })
end)
