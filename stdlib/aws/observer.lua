--- What the AWS client tells whoever watches: retries, silent regions, progress of
-- waits and transfers. Nobody watches by default.
local observer = {}

local watcher

--- Installs watcher(event), or none for nil; returns the former one. event.event is
-- "retry" (service, operation, region, attempt, delay, reason), "silent" (service,
-- region, reason), "wait" (service, region, waiter, state, elapsed, next_poll) or
-- "transfer" (what, done_bytes, total_bytes, elapsed). Times are in seconds.
function observer.install(new)
  local former = watcher
  watcher = new
  return former
end

--- True when somebody watches: events need not be made otherwise.
function observer.watched() return watcher ~= nil end

--- Tells the watcher. An error in it is its own affair, and ends no call.
function observer.tell(event)
  if watcher then pcall(watcher, event) end
end

return observer
