-- run.chain: what no longer fits, and what it costs to know.
local t = require "harness"
local chain = require "run.chain"
local clock = require "native.clock"

local function chained(n)
  local rows, hash = {}, chain.START
  for i = 1, n do
    local row = { seq = i, epoch = 1, time = i + 0.5, kind = "step_succeeded", path = "Step " .. i,
      data = ('{"name":"Step %d","reads":{},"seconds":0.1,"values":{"n":1}}'):format(i) }
    row.hash = chain.hash(hash, row)
    hash, rows[i] = row.hash, row
  end
  return rows
end

local other = { seq = 77, epoch = 2, time = 1.25, kind = "note", path = "x", data = "{}",
  hash = ("a"):rep(64) }

t.test("an entry that was changed, lost or put in between: the first that does not fit", function()
  for name, value in pairs(other) do
    for _, wrong in ipairs { value, true, {} } do
      local rows = chained(9)
      rows[5][name] = wrong
      t.equal(chain.fault(rows).entry, 5, name)
    end
    local rows = chained(9)
    rows[5][name] = nil
    t.equal(chain.fault(rows).entry, 5, name)
  end
  local rows = chained(9)
  table.remove(rows, 5)
  t.equal(chain.fault(rows), { entry = 5, text = "entry 5 is missing" })
  rows = chained(9)
  table.insert(rows, 5, rows[4])
  t.equal(chain.fault(rows).entry, 5)
  rows = chained(9)
  rows[5], rows[6] = rows[6], rows[5]
  t.equal(chain.fault(rows).entry, 5)
end)

t.test("what fits: nothing, all, and what follows an entry that is known", function()
  t.equal(chain.fault({}), nil)
  local rows = chained(9)
  t.equal(chain.fault(rows), nil)
  local rest = table.move(rows, 5, 9, 1, {})
  t.equal(chain.fault(rest, rows[4]), nil)
  t.equal(chain.fault(rest, rows[3]).entry, 4)
  t.equal(chain.fault(rest).entry, 1)
end)

t.test("forty thousand entries are proved in well under a second", function()
  local rows = chained(40000)
  local began = clock.monotonic()
  t.equal(chain.fault(rows), nil)
  local took = clock.monotonic() - began
  rows[39999].data = rows[39999].data .. " "
  t.equal(chain.fault(rows).entry, 39999)
  print(("# 40000 entries proved in %.3f s"):format(took))
  t.ok(took < 3, took)
end)
