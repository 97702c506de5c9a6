local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: paused",
  run = function(p)
    dr.step("Prepare", function() probe.opaque("prepare") end)
    dr.step("Promote", { risk = "irreversible" }, function() probe.opaque("promote") end)
  end,
}
