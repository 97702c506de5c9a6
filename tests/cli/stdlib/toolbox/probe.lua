--- Effects for the tests of runs: the world is a file, a line an effect.
--
-- PROBE_WORLD names the file. While PROBE_WORLD.hang exists an effect that has been
-- done does not answer: the moment to kill the run in.
local effect = require "effect"
local errors = require "errors"
local fs = require "native.fs"
local sys = require "native.sys"
local task = require "task"

local probe = {}

local function world() return sys.getenv("PROBE_WORLD") end

local function lines()
  local list = {}
  for line in (fs.read(world()) or ""):gmatch("[^\n]+") do table.insert(list, line) end
  return list
end

local function has(text)
  for _, line in ipairs(lines()) do if line == text then return true end end
  return false
end

local function happen(text)
  fs.write(world(), text .. "\n", { append = true, mode = 384 })
  while fs.stat(world() .. ".hang") do task.sleep(0.02) end
end

local function describe(_, input)
  if fs.stat(world() .. ".blind") then
    errors.raise { kind = "timeout", message = "nobody answers" }
  end
  local id = input.DBInstanceIdentifier
  if not has("create " .. id) then
    errors.raise { kind = "aws", code = "DBInstanceNotFound", message = id .. " not found" }
  end
  return { DBInstances = { { DBInstanceIdentifier = id, DBInstanceStatus = "available" } } }
end

--- An AWS call that a settle rule can look for.
function probe.create(id)
  return effect.perform({ kind = "aws", service = "rds", operation = "CreateDBInstance",
    region = "us-west-2",
    what = "create " .. tostring(id), input = { DBInstanceIdentifier = id },
    call = describe }, function()
    if has("create " .. id) then
      errors.raise { kind = "aws", code = "DBInstanceAlreadyExists", message = id .. " exists" }
    end
    happen("create " .. id)
    return { DBInstance = { DBInstanceIdentifier = id, Port = 5432 } }
  end)
end

--- An AWS call with an idempotency token: the world knows the token.
function probe.start(name)
  return effect.perform({ kind = "aws", service = "backup", operation = "StartReportJob",
    region = "us-west-2",
    what = "start " .. name, input = { Name = name },
    token_member = "IdempotencyToken" }, function(token)
    if not has("start " .. name .. " " .. token) then happen("start " .. name .. " " .. token) end
    return { JobId = token }
  end)
end

--- A call about which nothing can be told afterwards.
function probe.opaque(name, fields)
  local e = { kind = "process", what = "run " .. name, input = { name } }
  for k, v in pairs(fields or {}) do e[k] = v end
  return effect.perform(e, function()
    happen("opaque " .. name)
    return "ran " .. name
  end)
end

--- A call that fails as often as the world file PROBE_WORLD.fail has bytes left.
function probe.flaky(name)
  return effect.perform({ kind = "process", what = "try " .. name, input = { name } }, function()
    local left = fs.read(world() .. ".fail") or ""
    happen("flaky " .. name)
    if #left > 0 then
      fs.write(world() .. ".fail", left:sub(2))
      errors.raise { kind = "invalid", message = name .. " failed" }
    end
    return "ok"
  end)
end

--- A read: a line of the world, counted.
function probe.count()
  return effect.perform({ kind = "file", read = true, what = "count the world",
    input = {} }, function()
    return #lines()
  end)
end

--- A read that hands out a handle, which cannot be kept in a journal.
function probe.handle()
  return effect.perform({ kind = "sql", read = true, what = "connect", input = {} }, function()
    return setmetatable({}, { __index = { close = function() end } })
  end)
end

--- Waits long enough to be interrupted, timed out or killed.
function probe.block(seconds)
  task.sleep(seconds)
end

return probe
