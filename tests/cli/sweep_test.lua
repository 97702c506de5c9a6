-- The sweep: rolled back at every point, two disturbances at once, one point again.
local program = require "program"
local t = require "harness"

-- UNDO is what takes the move of the DNS record back.
local PLAYBOOK = [[
local aws, dr = require "aws", require "drlua"
local function point(value)
  aws.route53 {}:change_resource_record_sets { HostedZoneId = "Z1", ChangeBatch = { Changes = {
    { Action = "UPSERT", ResourceRecordSet = { Name = "api.x.example", Type = "CNAME", TTL = 60,
      ResourceRecords = { { Value = value } } } } } } }
end
return dr.playbook { title = "Move", params = {},
  run = function()
    local ecs = aws.ecs { region = "us-west-2" }
    local function scale(n) ecs:update_service { cluster = "c", service = "api", desiredCount = n } end
    dr.parallel {
      function()
        dr.step("Scale", { undo = scale }, function()
          local n = ecs:describe_services { cluster = "c", services = { "api" } }.services[1].desiredCount
          scale(n + 2)
          return n
        end)
      end,
      function()
        dr.step("DNS", { undo = function() UNDO end }, function() point "b.example" end)
      end,
    }
    dr.step("Mark", function()
      aws.cloudwatch { region = "us-west-2" }:put_metric_data { Namespace = "dr",
        MetricData = { { MetricName = "moved", Value = 1 } } }
    end)
  end,
  rehearsal = "rehearsals/move.lua" }
]]

local REHEARSAL = [[
return { title = "small", speed = 240,
  world = { ecs = { { cluster = "c", region = "us-west-2", services = { { name = "api", desired = 1 } } } },
    zones = { { id = "Z1", name = "x.example", records = {
      { Name = "api.x.example", Type = "CNAME", TTL = 60, values = { "a.example" } } } } } } }
]]

local function sweep(undo, ...)
  local w = program.workspace { ["move.lua"] = (PLAYBOOK:gsub("UNDO", undo)),
    ["rehearsals/move.lua"] = REHEARSAL }
  w.env.DRLUA_STDLIB = ""
  return w.run { "rehearse", "move.lua", "--sweep", "--seed", "5", ... }
end

t.test("rolled back at every point, and from the middle of rollbacks: as it was before", function()
  local r = sweep('point "a.example"', "--rollback", "--limit", "16", "--pairs", "6")
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "points tried    22")
  t.contains(r.out, "wrong           0")
end)

t.test("an undo that restores something else is seen", function()
  for _, undo in ipairs { 'point "c.example"', "return" } do
    local r = sweep(undo, "--rollback", "--limit", "2")
    t.equal(r.code, 1, r.out .. r.err)
    t.contains(r.err, "after the rollback route53 in global differs")
  end
end)

t.test("one point again, with what was printed", function()
  local r = sweep('point "a.example"', "--pairs", "3", "--limit", "1", "--point", "4")
  t.equal(r.code, 0, r.out .. r.err)
  t.contains(r.out, "points tried    1")
  t.contains(r.err, "Move · run")
  r = sweep('point "a.example"', "--limit", "2", "--point", "9")
  t.equal(r.code, 2)
  t.contains(r.err, "the sweep has points 1 to 2")
end)
