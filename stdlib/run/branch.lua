--- dr.parallel and dr.each: branches that run together.
--
-- Each branch has a scope of its own, so that its steps have the same paths on every
-- replay ("parallel.2/Deploy", "each[3]/Restore"). The first failure lets the
-- siblings finish the step they are in; then they stop, and the failure is raised. A
-- rollback's replay goes through every branch, whatever became of the others.
local control = require "run.control"
local errors = require "errors"
local scope = require "run.scope"
local task = require "task"

local branch = {}

-- A pause weighs less than a failure, a stopped sibling less than both.
local function weight(e)
  local word = control.of(e)
  if word == "stop" then return 1 end
  if word == "pause" then return 2 end
  if word then return 4 end
  return e.kind == "cancelled" and 1 or 3
end

local function note_failure(group, e)
  if not group.failure or weight(e) > weight(group.failure) then group.failure = e end
end

local function run_branch(s, here, group, path, fn, ...)
  local sc = scope.new(s, "branch", path, here)
  sc.group = group
  if group.failure and not s.rewinding then return end
  local result = table.pack(sc:call(fn, control.handler, ...))
  if result[1] then return result[2] end
  note_failure(group, errors.from(result[2]))
end

local function run_all(here, functions, limit)
  local group = here and { outer = here }
  local jobs = {}
  for i, job in ipairs(functions) do
    jobs[i] = function() return job(group) end
  end
  local results = task.all(jobs, { limit = limit })
  if group.failure then error(group.failure, 0) end
  return results
end

--- Runs functions together; returns their first values in order.
function branch.parallel(s, here, functions)
  s:halt(here)
  local name, jobs = here:unique("parallel"), {}
  for i, fn in ipairs(functions) do
    if type(fn) ~= "function" then
      control.misuse("dr.parallel takes functions; number %d is a %s", i, type(fn))
    end
    jobs[i] = function(group)
      return run_branch(s, here, group, here:join(("%s.%d"):format(name, i)), fn)
    end
  end
  return run_all(here, jobs)
end

--- Runs fn(item, index) for every item of a list, at most `limit` at a time.
function branch.each(s, here, list, limit, fn)
  s:halt(here)
  local name, jobs = here:unique("each"), {}
  for i, item in ipairs(list) do
    jobs[i] = function(group)
      return run_branch(s, here, group, here:join(("%s[%d]"):format(name, i)), fn, item, i)
    end
  end
  return run_all(here, jobs, limit or #list)
end

--- Raises when a sibling of one of the branches around this scope has failed.
function branch.halt(here)
  local s = here
  while s do
    if s.group and s.group.failure then
      control.raise("stop", "stopped because a parallel step failed")
    end
    s = s.parent
  end
end

return branch
