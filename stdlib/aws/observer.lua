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

local function size(bytes)
  for _, unit in ipairs { { "GiB", 2 ^ 30 }, { "MiB", 2 ^ 20 }, { "KiB", 2 ^ 10 } } do
    if bytes >= unit[2] then return ("%.1f %s"):format(bytes / unit[2], unit[1]) end
  end
  return ("%d bytes"):format(bytes)
end

--- How far a transfer is, in steps of 5%: "40% of 3.2 GiB".
function observer.share(event)
  if event.total_bytes == 0 then return "100%" end
  local percent = event.done_bytes * 100 // event.total_bytes // 5 * 5
  return ("%d%% of %s"):format(percent, size(event.total_bytes))
end

--- Tells the watcher. An error in it is its own affair, and ends no call.
function observer.tell(event)
  if watcher then pcall(watcher, event) end
end

return observer
