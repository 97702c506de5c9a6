local dr = require "drlua"
local probe = require "toolbox.probe"
return dr.playbook { title = "Golden: parallel",
  run = function(p)
    dr.parallel {
      function()
        dr.step("Left", function() probe.opaque("left") return "l" end)
        dr.step("Left again", function() probe.opaque("left again") end)
      end,
      function()
        dr.step("Right", function()
          while probe.count() < 1 do probe.block(0.02) end
          return probe.create("right").DBInstance.Port
        end)
      end,
    }
    dr.step("After", function() probe.opaque("after") end)
  end,
}
