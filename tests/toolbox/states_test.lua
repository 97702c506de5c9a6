local states = require "toolbox.states"
local t = require "harness"

t.test("statuses are serving, passing, resting, terminal or unknown", function()
  for status, kind in pairs { available = "serving", ["backing-up"] = "serving",
    ["storage-optimization"] = "serving",
    modifying = "passing", rebooting = "passing", renaming = "passing", creating = "passing",
    stopped = "resting",
    failed = "terminal", ["restore-error"] = "terminal", ["insufficient-capacity"] = "terminal",
    ["brand-new-status"] = "unknown", ["not there yet"] = "unknown" } do
    t.equal(states.kind(status), kind, status)
    t.equal(states.serves(status), kind == "serving", status)
    t.equal(states.is_terminal(status), kind == "terminal", status)
  end
  t.equal(states.takes_changes "backing-up", false)
  t.equal(states.takes_changes "storage-optimization", true)
end)

t.test("a refusal is busy by its text, not by its code alone", function()
  for message, busy in pairs {
    ["Database instance is not in available state."] = true,
    ["Instance shop is not in available state."] = true,
    ["Instance cannot currently reboot due to an in-progress management operation."] = true,
    ["Cannot create a snapshot because the database instance shop is not currently in the "
      .. "available state."] = true,
    ["DB Instance is not a read replica."] = false,
    ["Instance shop is already being deleted."] = false,
  } do
    t.equal(states.is_busy { code = "InvalidDBInstanceState", message = message }, busy, message)
    t.equal(states.is_busy { code = "InvalidParameterValue", message = message }, false)
  end
  t.equal(states.is_busy { message = "no code" }, false)
end)
