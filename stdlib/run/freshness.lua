--- How fresh a playbook's proofs are: when it was last checked and last rehearsed, with
-- what result, and whether it was edited since.
--
-- `drlua check` keeps its result in the store (one record for each playbook and
-- environment); a rehearsal is a run, with its verdict in its journal.
local crypto = require "native.crypto"
local fs = require "native.fs"
local value = require "run.value"

local freshness = {}

-- A store may hold thousands of runs: a rehearsal older than these counts as none.
local NEWEST_RUNS = 300

local function absolute(path) return fs.realpath(path) or path end

local function digest(text) return crypto.hex(crypto.sha256(text)) end

local function key_of(path, environment)
  local stem = (path:match("([^/]*)%.lua$") or "playbook"):gsub("[^%w_-]", "_")
  local hash = digest(absolute(path) .. "\n" .. (environment or ""))
  return ("check-%s-%s"):format(stem, hash:sub(1, 16))
end

--- Keeps the result of a check. loaded: of cli/library.lua; result: { ready, failed (the
-- names of the checks that failed), at, by, host }.
function freshness.keep_check(store, loaded, result)
  local record = { playbook = absolute(loaded.path), environment = loaded.environment_name,
    sources = {} }
  for k, v in pairs(result) do record[k] = v end
  for path, text in pairs(loaded.sources) do record.sources[absolute(path)] = digest(text) end
  store:put(key_of(loaded.path, loaded.environment_name), value.encode(record))
end

-- The first file that is no longer what its digest says, or nil.
local function edited(sources)
  local paths = {}
  for path in pairs(sources or {}) do table.insert(paths, path) end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local text = fs.read(path)
    if not text or digest(text) ~= sources[path] then return path end
  end
end

--- The last check of a playbook in an environment: { at, ready, failed, edited (a path) },
-- or nil.
function freshness.check(store, path, environment)
  local text = store:get(key_of(path, environment))
  local ok, record = pcall(value.decode, text or "")
  if not ok or type(record) ~= "table" or type(record.at) ~= "number" then return nil end
  return { at = record.at, ready = record.ready, failed = record.failed or {},
    edited = edited(record.sources) }
end

local function passed(verdict)
  for _, e in ipairs(verdict.expectations or {}) do
    if not e.passed then return false end
  end
  return true
end

-- The rehearsal that a run was, of a playbook that is wanted(path), or nil.
local function rehearsal_of(store, id, wanted)
  local j = store:open_run(id, { readonly = true })
  local ok, found = pcall(function()
    local head = j:meta("run")
    if not head or not head.rehearsal or not wanted(head.absolute_path) then return nil end
    local events = j:of_kind("rehearsal")
    local last = events[#events]
    if not last then return nil end
    local sources = {}
    for path, text in pairs(j:sources()) do sources[path] = digest(text) end
    local verdict = value.decode(last.data)
    return { path = head.absolute_path, at = last.time, passed = passed(verdict),
      edited = edited(sources), verdict = verdict, run = id }
  end)
  j:close()
  return ok and found or nil
end

--- The last rehearsal of a playbook that came to its verdict: { at, passed, edited, run,
-- verdict }, or nil. only_passed: of those that passed.
function freshness.rehearsal(store, path, only_passed)
  local listed, ids = pcall(store.ids, store)
  if not listed then return nil end
  path = absolute(path)
  for i = #ids, math.max(1, #ids - NEWEST_RUNS + 1), -1 do
    local ok, found = pcall(rehearsal_of, store, ids[i], function(other) return other == path end)
    if ok and found and (found.passed or not only_passed) then return found end
  end
end

--- The last rehearsal of every playbook: its path -> as of freshness.rehearsal.
function freshness.rehearsals(store)
  local last, ids = {}, store:ids()
  for i = #ids, math.max(1, #ids - NEWEST_RUNS + 1), -1 do
    local ok, found = pcall(rehearsal_of, store, ids[i],
      function(path) return path and not last[path] end)
    if ok and found then last[found.path] = found end
  end
  return last
end

local DAY = 86400

local function ago(seconds)
  if seconds >= 2 * DAY then return ("%d days ago"):format(seconds // DAY) end
  if seconds >= 2 * 3600 then return ("%d hours ago"):format(seconds // 3600) end
  if seconds >= 120 then return ("%d minutes ago"):format(seconds // 60) end
  return "just now"
end

local function line(what, found, verdict, now)
  if not found then return ("never %s here"):format(what) end
  return ("last %s %s: %s%s"):format(what, ago(math.max(0, now - found.at)), verdict, found.edited
    and (", edited since (%s)"):format(found.edited:match("[^/]*$")) or "")
end

local function check_verdict(found)
  if not found then return nil end
  return found.ready and "ready" or ("not ready%s"):format(#found.failed > 0
    and (" (%s)"):format(table.concat(found.failed, "; ")) or "")
end

--- Both as one line: "Last checked 43 days ago: ready, edited since (x.lua); never rehearsed
-- here." now: seconds since the epoch.
function freshness.line(check, rehearsal, now)
  local played = rehearsal and (rehearsal.passed and "passed" or "failed")
  local text = ("%s; %s."):format(line("checked", check, check_verdict(check), now),
    line("rehearsed", rehearsal, played, now))
  return (text:gsub("^%l", string.upper))
end

--- Both as data.
function freshness.data(check, rehearsal)
  return {
    checked = check and { at = check.at, ready = check.ready, failed = check.failed,
      edited = check.edited },
    rehearsed = rehearsal and { at = rehearsal.at, passed = rehearsal.passed,
      edited = rehearsal.edited,
      run = rehearsal.run },
  }
end

return freshness
