local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: failed",
  run = function(p)
    local count, at = probe.count(), dr.now()
    dr.step("Make", function()
      probe.start("job")
      return probe.create("db").DBInstance.Port
    end)
    dr.step("Look at " .. count, function() return { count, at } end)
    dr.step("Fail once", function()
      if not os.getenv("GO") then dr.fail("not yet") end
    end)
    dr.step("After", function() probe.opaque("after") end)
  end,
}
