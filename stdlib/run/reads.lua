--- Reads in a run: made again, or handed back.
--
-- Outside of steps the first answer is the answer for good. In a step the reads before
-- its first change are kept with that change's intent, so that what was there before
-- stays what it was on every later attempt; the reads after it are made again. A step
-- with steps inside keeps all its reads for a replay of the same attempt, since the steps
-- that follow depend on them. Probes ask how things stand now.
local control = require "run.control"
local kept = require "run.kept"
local perform = require "run.perform"
local sensitive = require "run.sensitive"
local value = require "run.value"

local reads = {}

-- An attempt may look at much; what it reads beyond this is made again when it is needed.
local KEPT_BYTES = 4 << 20

local function count(step, e)
  local name = ("%s@%s"):format(perform.name(e), e.region or "")
  step.reads[name] = (step.reads[name] or 0) + 1
end

local function come_to_end()
  control.raise("rewound", "the replay has come to the end of what was done")
end

local function hand_back(s, one)
  local copy = kept.copy(one.error or one.values)
  if one.error then error(s.secrets:reveal(copy), 0) end
  return value.unpack(s.secrets:reveal(copy))
end

local function make(s, here, step, e, fn)
  local done = step and perform.follow(s, step, e)
  local result, failed, seconds = perform.call(s, here, e, fn)
  if done then
    if e.wait then step.waited = (step.waited or 0) + seconds end
    done()
  end
  return result, failed
end

local function passing(failed)
  return failed and (control.of(failed) or failed.kind == "cancelled")
end

-- One read as it is kept: a copy, since the playbook may change what it was handed; and its
-- size. What cannot be kept (a handle) is only noted.
local function entry(e, key, result, failed)
  local one = { key = key }
  if failed then
    one.error = kept.copy(failed)
    if one.error then one.error.traceback = nil end
  else
    one.values = kept.copy(value.pack(table.unpack(result, 1, result.n)))
    if one.values then one.values = sensitive.values(e, one.values) end
  end
  if one.error or one.values then
    local plain, text = pcall(value.encode, one)
    if plain then return one, #text end
  end
  return { key = key, handle = true }, 0
end

-- In a step: kept in memory until the step changes something, or a step begins in it.
local function inside(s, here, step, e, fn)
  if step.reads then count(step, e) end
  local key = here:join(here:unique("read " .. perform.name(e)))
  local one = step.record.reads and step.record.reads[key]
  local usable = one and not one.handle
    and (s.rewinding or one.attempt == step.attempt or one.seq <= (step.record.changed or 0))
    and (s.rewinding or s.accept_changes or kept.is_same(s, e, one.input))
  if usable then return hand_back(s, one) end
  if s.rewinding and not (one and one.handle) then come_to_end() end
  local result, failed = make(s, here, step, e, fn)
  if not passing(failed) and not s.rewinding then
    reads.keep(s, step, key, e, result, failed)
  end
  if failed then error(failed, 0) end
  return table.unpack(result, 1, result.n)
end

--- Keeps one read of a step as long as its record may need it.
function reads.keep(s, step, key, e, result, failed)
  if step.options.risk == "read" and not step.record.children then return end
  local one, size = entry(e, key, result, failed)
  one.input = kept.fingerprint(s, e)
  if step.record.children then return s:record("reads", step.path, { reads = { one } }) end
  step.kept_bytes = (step.kept_bytes or 0) + size
  if step.kept_bytes > KEPT_BYTES then one = { key = key, handle = true } end
  local list = step.record.changed and "late" or "early"
  step[list] = step[list] or {}
  table.insert(step[list], one)
end

--- Keeps what a wait in a step ended with, should a step begin inside. path: of the scope.
function reads.keep_wait(step, path, key, values)
  step.waits = step.waits or {}
  table.insert(step.waits, { path = path, key = key, values = values })
end

--- A new attempt begins: nothing is read yet.
function reads.begin(step)
  step.early, step.late, step.waits, step.kept_bytes = nil, nil, nil, nil
end

--- What a step read before its first change and is not on record yet: for that change's
-- intent, or nil. Empties it.
function reads.take(step)
  local early = step.early
  step.early = nil
  return early
end

--- A step begins inside of another: what that has read and waited for so far goes on
-- record, since a replay comes to the step inside by way of it.
function reads.flush(s, step)
  local list = reads.take(step) or {}
  table.move(step.late or {}, 1, #(step.late or {}), #list + 1, list)
  step.late = nil
  if #list > 0 then s:record("reads", step.path, { reads = list }) end
  local waits = step.waits or {}
  step.waits = nil
  for _, wait in ipairs(waits) do
    if pcall(value.encode, wait.values) then
      s:record("seen", wait.path, { key = wait.key, values = wait.values })
    end
  end
end

--- What a read outside of steps answered when the run first made it, or nil; and its key.
function reads.seen(s, here, e)
  local key = here:unique("read " .. perform.name(e))
  return s.history.values[here.path] and s.history.values[here.path][key], key
end

-- An error on record that the playbook had dealt with is handed back; one at which the
-- run ended is asked for again.
local function was_caught(s, here, seen)
  return s.rewinding or (s.history.newest[here.path] or 0) > seen.seq
end

local function outside(s, here, e, fn)
  local seen, key = reads.seen(s, here, e)
  local usable = seen and not seen.handle and (not seen.error or was_caught(s, here, seen))
  if usable then return hand_back(s, seen) end
  if s.rewinding and not (seen and seen.handle) then come_to_end() end
  e.recorded = true
  local result, failed = make(s, here, nil, e, fn)
  if passing(failed) then error(failed, 0) end
  if not s.rewinding then s:record("seen", here.path, (entry(e, key, result, failed))) end
  if failed then error(failed, 0) end
  return table.unpack(result, 1, result.n)
end

-- A probe asks how things stand now.
local function probe(s, here, step, e, fn)
  if step and step.reads then count(step, e) end
  local result, failed = make(s, here, nil, e, fn)
  if failed then error(failed, 0) end
  return table.unpack(result, 1, result.n)
end

--- The gate's part for an effect that changes nothing.
function reads.run(s, here, step, e, fn)
  if here:in_probe() then return probe(s, here, step, e, fn) end
  if step and step.record then return inside(s, here, step, e, fn) end
  return outside(s, here, e, fn)
end

--- The kept reads of a step for its undo: a list of { name, values..., }, and the first
-- answer of each by its name ("rds.DescribeDBInstances").
function reads.of(s, step)
  local list = {}
  for key, one in pairs(step.reads or {}) do
    if one.values then table.insert(list, { key = key, one = one }) end
  end
  table.sort(list, function(a, b) return a.one.position < b.one.position end)
  local found = {}
  for _, row in ipairs(list) do
    local name = row.key:match("read ([^/]-)$"):gsub("#%d+$", "")
    local values = table.pack(value.unpack(s.secrets:reveal(row.one.values)))
    table.insert(found, values[1])
    if found[name] == nil then found[name] = values[1] end
  end
  return found
end


return reads
