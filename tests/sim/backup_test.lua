local client = require "client"
local sim = require "sim"
local t = require "harness"

local PASSWORD = "a-good-password"
local ROLE = "arn:aws:iam::123456789012:role/backup"
local ARN = "arn:aws:rds:us-east-1:123456789012:db:shop"

local function started(timeline)
  local s = sim.start { speed = 2000,
    world = { instances = { { id = "shop", user = "shop", password = PASSWORD,
    db = "shop", sql = "CREATE TABLE t (i int)" } }, vaults = { { name = "nightly" } },
    timeline = timeline } }
  t.cleanup(function() s:stop() end)
  return s
end

local function ended(s, operation, id_member, id, member)
  return client.until_true("the job's end", function()
    local job = client.ok(s, "backup", operation, { [id_member] = id })
    local status = job[member]
    return status ~= "CREATED" and status ~= "PENDING" and status ~= "RUNNING" and job
  end)
end

local function restored(s, id)
  return ended(s, "DescribeRestoreJob", "RestoreJobId", id, "Status")
end

t.test("a timeline gives recovery points of different ages, each with what was there", function()
  local s = started {
    { instance = "shop", sql = "INSERT INTO t VALUES (1)" },
    { instance = "shop", backup = "nightly", age = "50h" },
    { instance = "shop", sql = "INSERT INTO t VALUES (2)" },
    { instance = "shop", backup = "nightly", age = "26h" },
    { instance = "shop", backup = "nightly", age = "2h", status = "EXPIRED" } }
  local points = client.ok(s, "backup", "ListRecoveryPointsByBackupVault",
    { BackupVaultName = "nightly",
    ByResourceArn = ARN }).RecoveryPoints
  t.equal(#points, 3)
  table.sort(points, function(a, b) return a.CreationDate < b.CreationDate end)
  t.equal({ points[1].Status, points[2].Status, points[3].Status },
    { "COMPLETED", "COMPLETED", "EXPIRED" })
  t.equal(#client.ok(s, "backup", "ListRecoveryPointsByResource",
    { ResourceArn = ARN }).RecoveryPoints, 3)
  client.fails(s, "InvalidRequestException", "backup", "StartRestoreJob", { RecoveryPointArn =
    points[3].RecoveryPointArn, Metadata = { DBInstanceIdentifier = "x" }, IamRoleArn = ROLE })
  local metadata = client.ok(s, "backup", "GetRecoveryPointRestoreMetadata",
    { BackupVaultName = "nightly",
    RecoveryPointArn = points[1].RecoveryPointArn }).RestoreMetadata
  metadata.DBInstanceIdentifier = "restored"
  local id = client.ok(s, "backup", "StartRestoreJob",
    { RecoveryPointArn = points[1].RecoveryPointArn,
    Metadata = metadata, IamRoleArn = ROLE, IdempotencyToken = "once" }).RestoreJobId
  t.equal(client.ok(s, "backup", "StartRestoreJob", { RecoveryPointArn = points[1].RecoveryPointArn,
    Metadata = metadata, IamRoleArn = ROLE, IdempotencyToken = "once" }).RestoreJobId, id)
  local job = restored(s, id)
  t.equal(job.Status, "COMPLETED")
  t.equal(job.CreatedResourceArn, "arn:aws:rds:us-east-1:123456789012:db:restored")
  client.instance(s, "restored")
  t.equal(s:sql("restored", "SELECT count(*) FROM t").rows[1][1], 1)
end)

t.test("a backup job makes a real recovery point; its token starts it once", function()
  local s = started()
  s:sql("shop", "INSERT INTO t VALUES (5)")
  local input = { BackupVaultName = "nightly", ResourceArn = ARN, IamRoleArn = ROLE,
    IdempotencyToken = "once" }
  local first = client.ok(s, "backup", "StartBackupJob", input)
  t.equal(client.ok(s, "backup", "StartBackupJob", input).BackupJobId, first.BackupJobId)
  local done = {}
  for _, call in ipairs(s.calls:list { operation = "StartBackupJob" }) do
    table.insert(done, call.done)
  end
  t.equal(done, { true, false }, "carried out")
  local job = ended(s, "DescribeBackupJob", "BackupJobId", first.BackupJobId, "State")
  t.equal(job.State, "COMPLETED")
  t.equal(job.RecoveryPointArn, first.RecoveryPointArn)
  local point = client.ok(s, "backup", "DescribeRecoveryPoint",
    { BackupVaultName = "nightly", RecoveryPointArn =
    job.RecoveryPointArn })
  t.equal(point.Status, "COMPLETED")
  t.equal(client.ok(s, "backup", "DescribeBackupVault",
    { BackupVaultName = "nightly" }).NumberOfRecoveryPoints, 1)
  t.equal(#client.ok(s, "backup", "ListBackupJobs", { ByState = "COMPLETED" }).BackupJobs, 1)
  t.equal(#client.ok(s, "backup", "ListProtectedResources").Results, 1)
  client.fails(s, "InvalidRequestException", "backup", "DeleteBackupVault",
    { BackupVaultName = "nightly" })
  client.ok(s, "backup", "DeleteRecoveryPoint", { BackupVaultName = "nightly",
    RecoveryPointArn = job.RecoveryPointArn })
  client.ok(s, "backup", "DeleteBackupVault", { BackupVaultName = "nightly" })
end)

t.test("a restore job can end in every way that AWS's can", function()
  local s = started { { instance = "shop", backup = "nightly" } }
  local arn = client.ok(s, "backup", "ListRecoveryPointsByResource",
    { ResourceArn = ARN }).RecoveryPoints[1]
    .RecoveryPointArn
  for _, status in ipairs { "ABORTED", "PARTIAL", "FAILED" } do
    s:fault { kind = "outcome", service = "backup", operation = "StartRestoreJob", count = 1,
      status = status,
      message = "because" }
    local id = client.ok(s, "backup", "StartRestoreJob",
      { RecoveryPointArn = arn, IamRoleArn = ROLE, Metadata = {
      DBInstanceIdentifier = "other" } }).RestoreJobId
    local job = restored(s, id)
    t.equal({ job.Status, job.StatusMessage }, { status, "because" })
  end
  local id = client.ok(s, "backup", "StartRestoreJob",
    { RecoveryPointArn = arn, IamRoleArn = ROLE, Metadata = {
    DBInstanceIdentifier = "shop" } }).RestoreJobId
  local job = restored(s, id)
  t.equal(job.Status, "FAILED")
  t.contains(job.StatusMessage, "already exists")
end)

t.test("a copy job takes a point to another region, where it restores", function()
  local s = started { { instance = "shop", sql = "INSERT INTO t VALUES (1)" },
    { instance = "shop", backup = "nightly",
    age = "3h" } }
  local west = { region = "us-west-2" }
  client.ok(s, "backup", "CreateBackupVault", { BackupVaultName = "far" }, west)
  local arn = client.ok(s, "backup", "ListRecoveryPointsByResource",
    { ResourceArn = ARN }).RecoveryPoints[1]
    .RecoveryPointArn
  local id = client.ok(s, "backup", "StartCopyJob",
    { RecoveryPointArn = arn, SourceBackupVaultName = "nightly",
    DestinationBackupVaultArn = "arn:aws:backup:us-west-2:123456789012:backup-vault:far",
    IamRoleArn = ROLE }).CopyJobId
  local copied = client.until_true("the copy", function()
    local job = client.ok(s, "backup", "DescribeCopyJob", { CopyJobId = id }).CopyJob
    return job.State == "COMPLETED" and job.DestinationRecoveryPointArn
  end)
  local job = client.ok(s, "backup", "StartRestoreJob",
    { RecoveryPointArn = copied, IamRoleArn = ROLE, Metadata = {
    DBInstanceIdentifier = "shop" } }, west).RestoreJobId
  client.until_true("the restore", function()
    return client.ok(s, "backup", "DescribeRestoreJob", { RestoreJobId = job }, west).Status
      == "COMPLETED"
  end)
  t.equal(s:sql("shop", "SELECT count(*) FROM t", { region = "us-west-2" }).rows[1][1], 1)
end)

t.test("what is not there is refused", function()
  local s = started()
  client.fails(s, "ResourceNotFoundException", "backup", "DescribeBackupVault",
    { BackupVaultName = "none" })
  client.fails(s, "AlreadyExistsException", "backup", "CreateBackupVault",
    { BackupVaultName = "nightly" })
  client.fails(s, "ResourceNotFoundException", "backup", "DescribeRestoreJob",
    { RestoreJobId = "none" })
  client.fails(s, "ResourceNotFoundException", "backup", "StartBackupJob",
    { BackupVaultName = "nightly",
    ResourceArn = "arn:aws:rds:us-east-1:123456789012:db:none", IamRoleArn = ROLE })
end)

t.test("a vault's name has 2 to 50 letters, digits, hyphens and underscores", function()
  local s = sim.start {}
  t.cleanup(function() s:stop() end)
  for _, name in ipairs { "!!", "a", "a b", ("a"):rep(51) } do
    client.fails(s, "InvalidParameterValueException", "backup", "CreateBackupVault",
      { BackupVaultName = name })
  end
  client.ok(s, "backup", "CreateBackupVault", { BackupVaultName = "Nightly_1-x" })
end)

t.test("restore metadata are the original's, and RDS's own rules hold for them", function()
  local s = sim.start { speed = 5000, world = { vaults = { { name = "nightly" } },
    subnet_groups = { { name = "private" } },
    instances = { { id = "big", class = "db.r6g.xlarge", multi_az = true, subnet_group = "private",
      security_groups = { "sg-1", "sg-2" }, deletion_protection = true, tags = { team = "a" } } },
    timeline = { { instance = "big", backup = "nightly", age = "2h" } } } }
  t.cleanup(function() s:stop() end)
  local point = client.ok(s, "backup", "ListRecoveryPointsByBackupVault", {
    BackupVaultName = "nightly" })
    .RecoveryPoints[1]
  t.ok(point.InitiationDate < point.CreationDate and point.CreationDate < point.CompletionDate)
  local metadata = client.ok(s, "backup", "GetRecoveryPointRestoreMetadata", {
    BackupVaultName = "nightly",
    RecoveryPointArn = point.RecoveryPointArn }).RestoreMetadata
  t.equal({ metadata.DBInstanceClass, metadata.MultiAZ, metadata.DBSubnetGroupName,
    metadata.VpcSecurityGroupIds, metadata.AvailabilityZone, metadata.DBParameterGroupName },
    { "db.r6g.xlarge", "true", "private", '["sg-1","sg-2"]', "us-east-1a", nil })
  local function outcome(changes, tags)
    local given = {}
    for k, v in pairs(metadata) do given[k] = v end
    for k, v in pairs(changes) do given[k] = v or nil end
    local job = client.ok(s, "backup", "StartRestoreJob", {
      RecoveryPointArn = point.RecoveryPointArn,
      IamRoleArn = "arn:aws:iam::123456789012:role/backup", Metadata = given,
      CopySourceTagsToRestoredResource = tags }).RestoreJobId
    return client.until_true("the job's end", function()
      local state = client.ok(s, "backup", "DescribeRestoreJob", { RestoreJobId = job })
      return state.Status ~= "PENDING" and state.Status ~= "RUNNING" and state
    end)
  end
  local failed = outcome { DBInstanceIdentifier = "verbatim" }
  t.equal(failed.Status, "FAILED")
  t.contains(failed.StatusMessage,
    "Requesting a specific availability zone is not valid for Multi-AZ instances.")
  t.equal(outcome { AvailabilityZone = false }.Status, "FAILED") -- its name is taken
  t.equal(outcome({ DBInstanceIdentifier = "whole", AvailabilityZone = false }, true).Status,
    "COMPLETED")
  local shape = s:instance("whole").shape
  t.equal({ shape.DBInstanceClass, shape.MultiAZ, #shape.VpcSecurityGroups, shape.TagList[1].Key,
    shape.DBParameterGroups[1].DBParameterGroupName:match("^default%.") },
    { "db.r6g.xlarge", true, 2, "team", "default." })
  t.equal(outcome { DBInstanceIdentifier = "bare", AvailabilityZone = false }.Status, "COMPLETED")
  t.equal(s:instance("bare").shape.TagList, {})
end)

t.test("a recovery point is CREATING until its job ends", function()
  local s = sim.start { speed = 1, world = { vaults = { { name = "nightly" } },
    durations = { ["backup.start"] = 10, ["rds.snapshot"] = 500 }, instances = { {
    id = "shop" } } } }
  t.cleanup(function() s:stop() end)
  client.ok(s, "backup", "StartBackupJob", { BackupVaultName = "nightly",
    ResourceArn = "arn:aws:rds:us-east-1:123456789012:db:shop",
    IamRoleArn = "arn:aws:iam::123456789012:role/backup" })
  local function point()
    return client.ok(s, "backup", "ListRecoveryPointsByBackupVault", {
      BackupVaultName = "nightly" })
      .RecoveryPoints[1]
  end
  local function reached(status)
    return client.until_true(status, function()
      s.clock:advance(20)
      local one = point()
      return one and one.Status == status and one
    end)
  end
  t.equal(reached("CREATING").CompletionDate, nil)
  t.ok(reached("COMPLETED").CompletionDate)
end)
