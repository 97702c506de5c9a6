--- The call log: what was asked of the simulator, in the order of arrival.
--
-- A load test makes millions of calls, so what calls have in common (all but the
-- time) is kept once, and a call costs two slots of a ring. The oldest calls fall
-- out beyond LIMIT.
local clock = require "native.clock"

local calls = {}

local LIMIT = 100000

local Calls = {}
Calls.__index = Calls

function calls.new()
  return setmetatable({ times = {}, kinds = {}, known = {}, first = 1, last = 0 }, Calls)
end

local reads = {
  Describe = true, Get = true, List = true, Batch = false, Test = true, Lookup = true,
  Search = true, Assume = true, Download = true, Head = true, Query = true, Scan = true,
  Select = true, Check = true,
}
local exceptions = { BatchGetItem = true, BatchGetImage = true, GetPipelineState = true }

--- Whether an operation changes something: known by its name's first word. nil: a request
-- that asks for no operation of AWS's changes nothing.
function calls.mutating(operation)
  if not operation or exceptions[operation] then return false end
  return not reads[operation:match("^%u%l+") or ""]
end

local function slot(index) return (index - 1) % LIMIT + 1 end

--- Enters a call that has arrived; returns its index.
function Calls:open(time)
  local n = self.last + 1
  self.last = n
  self.times[slot(n)], self.kinds[slot(n)] = time, false
  if n - self.first >= LIMIT then self.first = self.first + 1 end
  return n
end

--- Says what call `index` was and how it ended. status 0: no answer was sent. done:
-- the operation was carried out, even if its answer was lost or said otherwise.
function Calls:close(index, account, region, service, operation, status, code, done)
  if index < self.first then return end
  local key = ("%s %s %s %s %d %s %s"):format(account, region, service, operation, status, code,
    done)
  local kind = self.known[key]
  if not kind then
    kind = {
      account = account, region = region, service = service, operation = operation,
      mutating = calls.mutating(operation), status = status, error = code, done = done or false,
    }
    self.known[key] = kind
  end
  self.kinds[slot(index)] = kind
end

--- The calls as tables, oldest first; `match` (optional) filters by equal fields.
function Calls:list(match)
  local found = {}
  for i = self.first, self.last do
    local kind = self.kinds[slot(i)]
    local wanted = kind
    for k, v in pairs(match or {}) do wanted = wanted and tostring(kind[k]) == tostring(v) end
    if wanted then
      local call = { time = clock.format(self.times[slot(i)], "rfc3339") }
      for k, v in pairs(kind) do call[k] = v end
      table.insert(found, call)
    end
  end
  return found
end

--- Forgets everything.
function Calls:clear()
  self.first = self.last + 1
end

return calls
