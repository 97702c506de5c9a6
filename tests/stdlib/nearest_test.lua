local t = require "harness"
local nearest = require "nearest"

t.test("a misspelt name finds its neighbour", function()
  local known = { "describe_db_instances", "describe_db_clusters", "promote_read_replica" }
  t.equal(nearest.to("describe_db_instnaces", known), "describe_db_instances")
  t.equal(nearest.to("DescribeDBInstances", known), "describe_db_instances")
  t.equal(nearest.to("promote_replica", known), "promote_read_replica")
  t.equal(nearest.to("launch_rocket", known), nil)
end)

t.test("the hint is a clause or nothing", function()
  t.equal(nearest.hint("regoin", { "region", "profile" }), "; did you mean region?")
  t.equal(nearest.hint("zzz", { "region" }), "")
end)
