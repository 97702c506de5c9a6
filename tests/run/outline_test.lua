-- run.outline: the control planes of a plan, its longest way, and its steps as data.
local t = require "harness"
local dr = require "drlua"
local outline = require "run.outline"
local planning = require "planning"

local function planned(fields)
  local one = { name = "S", path = "S", options = {}, changes = {}, reads = {}, waits = {},
    planes = {}, order = {} }
  for k, v in pairs(fields or {}) do one[k] = v end
  return one
end

t.test("the region whose control plane a call needs", function()
  for _, case in ipairs {
    { "rds", "PromoteReadReplica", "eu-west-1", "rds in eu-west-1" },
    { "s3", "PutObject", "eu-west-1", "s3 in eu-west-1" },
    { "s3", "GetBucketPolicy", "eu-west-1", "s3 in eu-west-1" },
    { "s3", "CreateBucket", "eu-west-1", "s3 in us-east-1" },
    { "s3", "DeleteBucketPolicy", "eu-west-1", "s3 in us-east-1" },
    { "s3", "PutBucketReplication", "eu-west-1", "s3 in us-east-1" },
    { "s3", "PutPublicAccessBlock", "eu-west-1", "s3 in us-east-1" },
    { "route53", "ChangeResourceRecordSets", "eu-west-1", "route53 in us-east-1" },
    { "iam", "CreateRole", nil, "iam in us-east-1" },
    { "globalaccelerator", "UpdateEndpointGroup", "eu-west-1", "globalaccelerator in us-west-2" },
    { "ec2", "RunInstances", nil, "ec2 in ?" },
  } do
    local one = planned()
    for _ = 1, 2 do
      outline.add_plane(one, { kind = "aws", service = case[1], operation = case[2],
        region = case[3] })
    end
    t.equal(one.order, { case[4] }, case[2])
    t.equal(one.planes[case[4]].service, case[1])
    t.equal(one.planes[case[4]].region, case[4]:match "in (.*)$")
  end
  local one = planned()
  outline.add_plane(one, { kind = "http", service = "rds", region = "eu-west-1" })
  t.equal(one.order, {})
end)

t.test("which steps need each control plane, and which are in the failed region", function()
  local function with(number, planes, fields)
    local one = planned(fields)
    one.number = number
    for _, region in ipairs(planes) do
      outline.add_plane(one, { kind = "aws", service = "rds", operation = "X", region = region })
    end
    return one
  end
  local steps = { with(1, { "us-east-1" }), with(2, { "us-west-2", "us-east-1" }), with(3, {}),
    with(4, { "eu-west-1" }, { skipped = "its condition does not hold" }) }
  local function planes(failed)
    local list = {}
    for _, plane in ipairs(outline.planes(steps, failed)) do
      table.insert(list, { plane.region, plane.failed or false, table.unpack(plane.steps) })
    end
    return list
  end
  t.equal(planes(nil), { { "us-east-1", false, 1, 2 }, { "us-west-2", false, 2 } })
  t.equal(planes "us-east-1", { { "us-east-1", true, 1, 2 }, { "us-west-2", false, 2 } })
  t.equal(planes "eu-west-1", planes(nil))
  t.equal(outline.planes({}, "us-east-1"), {})
end)

-- A step of so many minutes.
local function step(name, minutes, options)
  local all = { budget = minutes and minutes .. "m" }
  for k, v in pairs(options or {}) do all[k] = v end
  dr.step(name, all, function() end)
end

local function together(...)
  local list = {}
  for i, names in ipairs { ... } do
    list[i] = function()
      for _, one in ipairs(names) do step(one[1], one[2]) end
    end
  end
  dr.parallel(list)
end

-- name -> a playbook's run, its minutes, the steps on its longest way, and whether some
-- step on any way has no budget.
local spans = {
  nothing = { function() end, 0, {}, false },
  row = { function() step("A", 1) step("B", 2) end, 3, { "A", "B" }, false },
  ["one without a budget"] = { function() step("A", 1) step("B") end, 1, { "A", "B" }, true },
  ["skipped, and done already"] = { function()
    step("A", 1)
    step("B", 8, { when = false })
    step("C", 8, { done = function() return true end })
  end, 1, { "A" }, false },
  ["the longest branch"] = { function()
    step("A", 1)
    together({ { "B", 2 } }, { { "C", 1 }, { "D", 4 } }, { { "E", 3 } })
    step("F", 1)
  end, 7, { "A", "C", "D", "F" }, false },
  ["a short branch without a budget"] = { function() together({ { "A", 5 } }, { { "B" } }) end, 5,
    { "A" }, true },
  ["two groups one after the other"] = { function()
    together({ { "A", 2 } }, { { "B", 1 } })
    together({ { "C", 1 } }, { { "D", 3 } })
  end, 5, { "A", "D" }, false },
  ["a group in a branch"] = { function()
    dr.parallel {
      function()
        step("A", 1)
        together({ { "B", 4 } }, { { "C", 5 } })
      end,
      function() step("D", 5) end,
    }
  end, 6, { "A", "C" }, false },
  ["a list"] = { function() dr.each({ 1, 7, 3 }, function(n) step("N" .. n, n) end) end, 7,
    { "N7" }, false },
  ["steps inside of a step"] = { function()
    dr.step("A", { budget = "5m" }, function() step("B", 3) end)
  end, 5, { "A" }, false },
  ["a pause is part of a step without a budget"] = { function()
    dr.step("A", function() dr.sleep("4m") end)
  end, 4, { "A" }, true },
  ["what comes after the service is back"] = { function()
    step("A", 1)
    dr.recovered()
    step("B")
  end, 1, { "A" }, false },
}

t.test("how long a plan takes, on which way, and whether that is open", function()
  for name, case in pairs(spans) do
    local found = t.ok(planning.look(case[1]))
    t.equal({ found.expected // 60, found.expected % 60 == 0, found.critical, found.open_ended },
      { case[2], true, case[3], case[4] }, name)
  end
end)

t.test("a step as data: what there is of it, and no empty lists", function()
  t.equal(outline.step(planned { number = 4 }), { number = 4, step = "S" })
  local row = { kind = "aws", service = "rds", operation = "X", region = "r", account = "1",
    what = "w", resource = "Id=a", name = "kept inside" }
  t.equal(outline.step(planned { number = 1, name = "S", path = "Outer/S", waits = { "w" },
    options = { risk = "read", budget = 60, approve = { people = 2 }, undo = print,
      optional = true }, changes = { row }, reads = { row }, order = { "rds in r" },
    notes = { "n" }, stop = "no" }), {
    number = 1, step = "S", path = "Outer/S", risk = "read", budget = 60, approval = true,
    undo = true, optional = true, waits = { "w" }, notes = { "n" }, stop = "no",
    control_planes = { "rds in r" },
    changes = { { kind = "aws", service = "rds", operation = "X", region = "r", account = "1",
      what = "w", resource = "Id=a" } },
    reads = { { kind = "aws", service = "rds", operation = "X", region = "r", account = "1",
      what = "w", resource = "Id=a" } } })
end)

t.test("a plan may be more than was seen after a change, a wait or a stop, not after a read",
  function()
    for _, case in ipairs { { {}, false }, { { reads = { {} } }, false },
      { { skipped = "x" }, false }, { { notes = { "x" } }, false }, { { changes = { {} } }, true },
      { { waits = { "x" } }, true }, { { stop = "x" }, true } } do
      t.equal(outline.is_partial(planned(case[1])), case[2], t.show(case[1]))
    end
  end)
