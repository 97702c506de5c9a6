-- run.store.head: whatever happens to a write, a note that was made is read, or none is.
package.path = "tests/?.lua;" .. package.path -- the harness is two levels up
local t = require "harness"
local fs = require "native.fs"
local head = require "run.store.head"
local program = require "program"
local sys = require "native.sys"

-- Nothing here needs to survive a power cut.
if fs.stat "/dev/shm" then sys.setenv("TMPDIR", "/dev/shm") end

local function hash(n) return ("%x"):format(n % 16):rep(64) end

local function made(upto)
  local path = program.directory() .. "/head"
  assert(head.create(path, 0, hash(0)))
  for n = 1, upto or 0 do head.write(path, n, hash(n)) end
  return path
end

local function put(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

t.test("what was noted last is read, and the file does not grow", function()
  local path = made()
  t.equal(head.read(path), { seq = 0, hash = hash(0) })
  t.equal({ fs.stat(path).mode & 511, fs.stat(path).size }, { 384, 192 })
  for n = 1, 40 do
    head.write(path, n, hash(n))
    t.equal(head.read(path), { seq = n, hash = hash(n) })
  end
  head.write(path, 123456789012, hash(7))
  t.equal(head.read(path), { seq = 123456789012, hash = hash(7) })
  t.equal(fs.stat(path).size, 192)
  assert(head.create(path, 3, hash(3)))
  t.equal(head.read(path), { seq = 3, hash = hash(3) })
end)

t.test("a write that was cut at any byte: the note before it, or the new one", function()
  for last = 1, 2 do
    local path = made(last)
    local before = fs.read(path)
    head.write(path, last + 1, hash(last + 1))
    local after = fs.read(path)
    local seen = {}
    for cut = 0, #after do
      -- Only the line that is written changes.
      local line = (last + 1) % 2 * 96
      local upto = math.max(line, math.min(cut, line + 96))
      put(path, before:sub(1, line) .. after:sub(line + 1, upto) .. before:sub(upto + 1))
      local found = head.read(path)
      t.ok(found and (found.seq == last or found.seq == last + 1), "cut at " .. cut)
      t.equal(found.hash, hash(found.seq))
      seen[found.seq] = true
    end
    t.equal(seen, { [last] = true, [last + 1] = true })
  end
end)

t.test("one damaged byte anywhere: one of the two notes, never another", function()
  local path = made(8)
  local text = fs.read(path)
  local counts = {}
  for at = 1, #text do
    for _, bit in ipairs { 1, 2, 16, 64 } do
      put(path, text:sub(1, at - 1) .. string.char(text:byte(at) ~ bit) .. text:sub(at + 1))
      local found = head.read(path)
      t.ok(found and (found.seq == 7 or found.seq == 8), "byte " .. at)
      t.equal(found.hash, hash(found.seq))
      counts[found.seq] = (counts[found.seq] or 0) + 1
    end
  end
  t.ok(counts[7] > 200 and counts[8] > 200)
end)

t.test("a file that is missing, and files that say nothing", function()
  local path = made(3)
  local text = fs.read(path)
  for what, content in pairs { empty = "", garbage = ("x"):rep(192), zeros = ("\0"):rep(192),
    short = text:sub(1, 50), ["other lengths"] = text:sub(2), joined = text:gsub("\n", " ") } do
    put(path, content)
    t.equal({ head.read(path) }, { nil, "damaged" }, what)
  end
  fs.remove(path)
  t.equal({ head.read(path) }, { nil, "missing" })
  assert(fs.mkdir(path))
  t.equal({ head.read(path) }, { nil, "damaged" })
end)

t.test("a write where the file is gone makes it; where it cannot be, nothing is raised", function()
  local path = made(4)
  fs.remove(path)
  head.write(path, 5, hash(5))
  t.equal(head.read(path), { seq = 5, hash = hash(5) })
  t.equal(fs.stat(path).mode & 511, 384)
  head.write(path .. "/none/head", 6, hash(6))
  t.equal(head.read(path), { seq = 5, hash = hash(5) })
  local ok, message = head.create(path .. "/none/head", 6, hash(6))
  t.equal({ ok, type(message) }, { nil, "string" })
end)
