--- The scheduler: tasks are coroutines that wait for operations of the loop.
local errors = require "errors"
local loop = require "native.loop"
local pulse = require "native.pulse"
local timer = require "native.timer"

local task = {}

local Task = {}
Task.__index = Task
Task.__name = "drlua.task"

local current            -- the task that runs now
local waiting = {}       -- operation -> task that awaits it
local queue, head, tail = {}, 1, 0 -- tasks ready to run

-- What a coroutine yields when its task waits: one made with task.nest hands it on to the
-- coroutine around it.
local WAIT = {}

-- Coroutines within a task, and which one resumed each; false while nobody does.
local nested = setmetatable({}, { __mode = "k" })

local function enqueue(t)
  if t.queued or t.ended then return end
  t.queued = true
  tail = tail + 1
  queue[tail] = t
end

local function dequeue()
  if head > tail then return nil end
  local t = queue[head]
  queue[head] = nil
  head = head + 1
  if head > tail then head, tail = 1, 0 end
  t.queued = false
  return t
end

local function cancelled_error()
  return errors.new { kind = "cancelled", message = "cancelled" }
end

local function trace(value)
  local e = errors.from(value)
  if not e.traceback then e.traceback = debug.traceback(tostring(e), 2) end
  return e
end

local function finish(t, ok, ...)
  t.ended, t.ok, t.values = true, ok, table.pack(...)
  t.co = nil
  for _, waiter in ipairs(t.waiters) do enqueue(waiter) end
  t.waiters = {}
end

local function body(t, fn, ...)
  finish(t, xpcall(fn, trace, ...))
end

local function resume(t)
  local outer = current
  current, t.running = t, true
  pulse.running(t.co)
  local ok, message = coroutine.resume(t.co)
  pulse.running(outer and coroutine.running()) -- of the task, or within it
  current, t.running = outer, false
  if not ok then finish(t, false, trace(message)) end
end

--- True where the current task can wait: not in a function that C calls (a comparator of
-- table.sort, what string.gsub is given, __tostring), and not in a coroutine that does not
-- hand its waits on.
function task.can_wait()
  local t, co = current, coroutine.running()
  if not t then return false end
  while co ~= t.co do
    if not nested[co] or not coroutine.isyieldable(co) then return false end
    co = nested[co]
  end
  return coroutine.isyieldable(co)
end

-- Raises where the current task cannot wait, before anything is begun that must be undone.
local function must_wait(level)
  if task.can_wait() then return end
  errors.misuse(level + 1,
    current and "waiting is not possible here: in a function that string.gsub, table.sort "
    .. "or tostring calls, or in a coroutine made by hand (use "
    .. "task.spawn). Collect first, then call"
    or "waiting is possible in a task only, not at a file's top level")
end

-- Suspends the current task until somebody enqueues it; a cancel raises, after
-- release(what) when that is given.
local function park(release, what)
  local t = current
  if t.cancelled then
    if release then release(what) end
    error(cancelled_error(), 0)
  end
  t.release, t.released = release, what
  coroutine.yield(WAIT)
  t.release, t.released = nil, nil
  if t.cancelled then error(cancelled_error(), 0) end
end

--- Resumes a coroutine that is a part of the current task, as coroutine.resume does: while
-- what it does waits, the task waits. It may be any coroutine that no task was made of.
function task.nest(co, ...)
  local outer = coroutine.running()
  nested[co] = outer
  pulse.running(co)
  local result = table.pack(coroutine.resume(co, ...))
  while result[1] and result[2] == WAIT do
    coroutine.yield(WAIT)
    pulse.running(co)
    result = table.pack(coroutine.resume(co))
  end
  nested[co] = false
  pulse.running(outer)
  return table.unpack(result, 1, result.n)
end

local function give_up(op)
  waiting[op] = nil
  op:cancel()
end

--- Suspends the current task until the operation is done; returns its values.
-- A native that failed to start one gave nil, message, kind: passed through.
function task.await(op, ...)
  if op == nil or type(op) == "boolean" then return op, ... end
  if op:done() then return op:result() end
  if not task.can_wait() then
    op:cancel()
    must_wait(2)
  end
  waiting[op] = current
  park(give_up, op)
  return op:result()
end

--- Starts fn(...) as a new task and returns it. It inherits the field
-- `context` of the task that starts it, which is for layers above.
function task.spawn(fn, ...)
  local t = setmetatable({ waiters = {}, context = current and current.context }, Task)
  local arguments = table.pack(...)
  t.co = coroutine.create(function()
    body(t, fn, table.unpack(arguments, 1, arguments.n))
  end)
  enqueue(t)
  return t
end

--- Waits for the task's end; returns its values or raises its error.
function Task:wait()
  if not self.ended then must_wait(2) end
  while not self.ended do
    table.insert(self.waiters, current)
    park()
  end
  if not self.ok then error(self.values[1], 0) end
  return table.unpack(self.values, 1, self.values.n)
end

--- Ends the task at the point where it waits: an error of kind "cancelled" is
-- raised there. Harmless on one that has ended.
function Task:cancel()
  if self.ended or self.cancelled then return end
  self.cancelled = true
  if self.release then self.release(self.released) end
  enqueue(self)
end

--- The current task, or nil outside of any.
function task.current() return current end

--- Lets the other ready tasks run first.
function task.yield()
  must_wait(2)
  local t = current
  tail = tail + 1
  queue[tail] = t
  t.queued = true
  park()
end

--- Waits for so many seconds.
function task.sleep(seconds)
  return task.await(timer.after(seconds))
end

-- Runs every ready task once. One that is at work already, and lets others breathe, is
-- left for later.
local function run_ready()
  local later
  for _ = head, tail do
    local t = dequeue()
    if not t then break end
    if t.running then
      later = later or {}
      table.insert(later, t)
    elseif not t.ended then
      resume(t)
    end
  end
  for _, t in ipairs(later or {}) do enqueue(t) end
end

-- Waits for operations; the tasks of those that are done are ready.
local function wait_for_operations(seconds)
  for _, op in ipairs(loop.wait(seconds)) do
    local t = waiting[op]
    if t then
      waiting[op] = nil
      enqueue(t)
    end
  end
end

-- Runs every ready task once; then one turn of the loop.
local function turn(main)
  run_ready()
  -- What others still wait for need not come.
  if main.ended then return true end
  local idle = head > tail
  if idle and loop.pending() == 0 then return false end
  wait_for_operations(idle and math.huge or 0)
  return true
end

-- So many times others are let run when a task breathes: what one sets off is done by the
-- next (a signal ends a run by several tasks), and one that is always ready does not keep
-- the others from their work.
local ROUNDS = 8

--- For a task that computes without waiting: lets the other tasks do what is ready, and
-- raises an error of kind "cancelled" when the task was cancelled.
function task.breathe()
  local t = current
  if not t then return end
  for _ = 1, ROUNDS do
    wait_for_operations(0)
    run_ready()
    if t.cancelled then error(cancelled_error(), 0) end
  end
end

--- Runs fn(...) as the main task until it ends; returns its values or raises its
-- error. Inside a task it is a plain call.
function task.run(fn, ...)
  if current then return fn(...) end
  local main = task.spawn(fn, ...)
  while not main.ended do
    if not turn(main) and not main.ended and head > tail then
      errors.raise { kind = "invalid",
        message = "deadlock: every task waits, and nothing is under way" }
    end
  end
  return main:wait()
end

-- Cancels the tasks and waits for the end of all. A cancel of the current task that
-- comes meanwhile is kept: it takes effect where that task waits next.
local function cancel_all(tasks)
  for _, t in ipairs(tasks) do t:cancel() end
  for _, t in ipairs(tasks) do
    while not t.ended do
      table.insert(t.waiters, current)
      coroutine.yield(WAIT)
    end
  end
end

-- Waits for a task; a cancel of the current one ends all tasks first.
local function wait_or_cancel(t, tasks)
  local ok, e = pcall(function()
    while not t.ended do
      table.insert(t.waiters, current)
      park()
    end
  end)
  if ok then return end
  cancel_all(tasks)
  error(e, 0)
end

--- Runs functions together, at most `options.limit` at a time. Returns their
-- first values in order. All end before the first error (by position) is raised.
function task.all(functions, options)
  if #functions > 0 then must_wait(2) end
  local limit = options and options.limit or #functions
  local tasks, results, failure, next_index = {}, {}, nil, 1
  local function worker()
    while next_index <= #functions do
      local index = next_index
      next_index = index + 1
      local ok, value = xpcall(functions[index], trace)
      if ok then
        results[index] = value
      elseif not failure or index < failure.index then
        failure = { index = index, error = value }
      end
      if current.cancelled then break end
    end
  end
  for i = 1, math.min(math.max(limit, 1), #functions) do tasks[i] = task.spawn(worker) end
  for _, t in ipairs(tasks) do wait_or_cancel(t, tasks) end
  if failure then error(failure.error, 0) end
  return results
end

--- Runs functions together; the first to end wins: its values are returned or
-- its error raised, the others are cancelled.
function task.race(functions)
  must_wait(2)
  local tasks = {}
  for i, fn in ipairs(functions) do tasks[i] = task.spawn(fn) end
  local winner
  local ok, e = pcall(function()
    while not winner do
      for _, t in ipairs(tasks) do
        if t.ended then winner = t break end
        table.insert(t.waiters, current)
      end
      if not winner then park() end
    end
  end)
  cancel_all(tasks)
  if not ok then error(e, 0) end
  return winner:wait()
end

--- Runs fn(...) for at most so many seconds; then it is cancelled and an error of
-- kind "timeout" raised.
function task.timeout(seconds, fn, ...)
  local arguments = table.pack(...)
  return task.race {
    function() return fn(table.unpack(arguments, 1, arguments.n)) end,
    function()
      task.sleep(seconds)
      errors.raise { kind = "timeout", message = ("no end within %g s"):format(seconds) }
    end,
  }
end

--- A condition that tasks wait for: c:wait() suspends, c:notify() wakes all.
function task.condition()
  local waiters = {}
  return {
    wait = function()
      must_wait(2)
      table.insert(waiters, current)
      park()
    end,
    notify = function()
      local woken = waiters
      waiters = {}
      for _, t in ipairs(woken) do enqueue(t) end
    end,
  }
end

return task
