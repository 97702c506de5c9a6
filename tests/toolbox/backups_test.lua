-- Which recovery point is the newest before a time, and jobs that end in any way.
local backups = require "toolbox.backups"
local t = require "harness"

local function vault(points)
  return {
    each = function(_, operation, input, field)
      t.equal({ operation, input, field }, { "list_recovery_points_by_backup_vault",
        { BackupVaultName = "v", ByResourceArn = "arn" }, "RecoveryPoints" })
      local i = 0
      return function()
        i = i + 1
        return points[i]
      end
    end,
  }
end

t.test("by time, not by the list's order; COMPLETED only; at or before", function()
  local points = {
    { RecoveryPointArn = "old", Status = "COMPLETED", CreationDate = 100 },
    { RecoveryPointArn = "later", Status = "COMPLETED", CreationDate = 301 },
    { RecoveryPointArn = "right", Status = "COMPLETED", CreationDate = 300 },
    { RecoveryPointArn = "partial", Status = "PARTIAL", CreationDate = 299 },
    { RecoveryPointArn = "older", Status = "COMPLETED", CreationDate = 50 },
  }
  t.equal(backups.newest_before(vault(points), "v", "arn", 300).RecoveryPointArn, "right")
  t.equal(backups.newest_before(vault(points), "v", "arn", 299.5).RecoveryPointArn, "old")
end)

t.test("none is said with what was passed over", function()
  local points = {
    { RecoveryPointArn = "a", Status = "COMPLETED", CreationDate = 400 },
    { RecoveryPointArn = "b", Status = "EXPIRED", CreationDate = 100 },
  }
  local point, why = backups.newest_before(vault(points), "v", "arn", 300)
  t.equal(point, nil)
  t.equal(why, "vault v has no restorable recovery point of arn from before 1970-01-01T00:05:00Z "
    .. "(1 are later, 1 not completed)")
end)
