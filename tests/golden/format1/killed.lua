local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: killed",
  run = function(p)
    dr.step("Before", function() probe.opaque("before") return 1 end)
    dr.step("Create", function() return probe.create("db").DBInstance.Port end)
    dr.step("After", function() probe.opaque("after") end)
  end,
}
