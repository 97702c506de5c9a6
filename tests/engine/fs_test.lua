-- native.fs: real files in a directory of the test.
local t = require "harness"
local fs = require "native.fs"
local sys = require "native.sys"

local function directory()
  local dir = assert(fs.tempdir("drlua-fs."))
  t.cleanup(function() assert(fs.remove_tree(dir)) end)
  return dir
end

t.test("what is written is read, and the mode is ours alone", function()
  local dir = directory()
  local path = dir .. "/a"
  t.ok(fs.write(path, "one\0two"))
  t.equal(fs.read(path), "one\0two")
  t.equal(fs.stat(path).mode, tonumber("600", 8))
  t.ok(fs.write(path, "three", { mode = tonumber("644", 8) }))
  t.equal(fs.read(path), "three")
  t.equal(fs.stat(path).mode, tonumber("644", 8))
  t.ok(fs.write(path, "+four", { append = true }))
  t.equal(fs.read(path), "three+four")
  t.ok(fs.write(path, "", { atomic = false }))
  t.equal(fs.read(path), "")
  t.equal(fs.list(dir), { "a" })
end)

t.test("a big file and a file of /proc", function()
  local path = directory() .. "/big"
  local data = ("0123456789abcdef"):rep(200000)
  t.ok(fs.write(path, data))
  t.ok(fs.read(path) == data)
  t.contains(fs.read("/proc/self/status"), "VmRSS")
end)

t.test("stat, list, links", function()
  local dir = directory()
  t.ok(fs.mkdir(dir .. "/sub"))
  t.ok(fs.write(dir .. "/file", "12345"))
  t.ok(fs.symlink("file", dir .. "/link"))
  t.equal(fs.list(dir), { "file", "link", "sub" })
  t.equal(fs.stat(dir .. "/link").type, "file")
  t.equal(fs.lstat(dir .. "/link").type, "link")
  t.equal(fs.readlink(dir .. "/link"), "file")
  t.equal(fs.stat(dir .. "/sub").type, "directory")
  t.equal(fs.stat(dir .. "/sub").mode, tonumber("700", 8))
  t.equal(fs.stat(dir .. "/file").size, 5)
  t.equal(fs.stat(dir .. "/file").uid, sys.uid())
  t.equal(fs.realpath(dir .. "/sub/../link"), fs.realpath(dir) .. "/file")
  t.equal(fs.glob(dir .. "/f*"), { dir .. "/file" })
  t.equal(fs.glob(dir .. "/none*"), {})
  t.ok(fs.statfs(dir).free > 0)
  t.ok(fs.chmod(dir .. "/file", tonumber("640", 8)))
  t.equal(fs.stat(dir .. "/file").mode, tonumber("640", 8))
end)

t.test("rename replaces, remove refuses a full directory, remove_tree follows no link", function()
  local dir = directory()
  t.ok(fs.write(dir .. "/a", "a"))
  t.ok(fs.write(dir .. "/b", "b"))
  t.ok(fs.rename(dir .. "/a", dir .. "/b"))
  t.equal(fs.read(dir .. "/b"), "a")
  t.ok(fs.mkdir(dir .. "/tree"))
  t.ok(fs.mkdir(dir .. "/tree/deep"))
  t.ok(fs.symlink(dir .. "/b", dir .. "/tree/deep/link"))
  t.equal(select(3, fs.remove(dir .. "/tree")), "exists")
  t.ok(fs.remove_tree(dir .. "/tree"))
  t.equal(fs.read(dir .. "/b"), "a")
  t.equal(fs.list(dir), { "b" })
  t.ok(fs.remove_tree(dir .. "/never-was"))
end)

t.test("failures name the path and have a kind", function()
  local dir = directory()
  for _, call in ipairs {
    { "missing", fs.read, dir .. "/x" }, { "missing", fs.stat, dir .. "/x" },
    { "missing", fs.list, dir .. "/x" }, { "missing", fs.write, dir .. "/x/y", "" },
    { "exists", fs.mkdir, dir }, { "missing", fs.remove, dir .. "/x" },
    { "missing", fs.realpath, dir .. "/x" }, { "missing", fs.sync, dir .. "/x" },
  } do
    local value, message, kind = call[2](call[3], call[4])
    t.equal(value, nil)
    t.contains(message, dir)
    t.equal(kind, call[1])
  end
  t.raises("unknown option \"moed\"", fs.write, dir .. "/x", "", { moed = 1 })
  t.raises("exclude each other", fs.write, dir .. "/x", "", { append = true, atomic = true })
  t.equal(fs.list(dir), {})
end)

t.test("an atomic write that fails leaves the old file and no draft", function()
  local dir = directory()
  t.ok(fs.mkdir(dir .. "/taken"))
  t.ok(fs.write(dir .. "/taken/x", "x"))
  t.ok(not fs.write(dir .. "/taken", "data"))
  t.equal(fs.list(dir), { "taken" })
end)

t.test("a lock is held by one, until it is closed or collected", function()
  local path = directory() .. "/lock"
  local lock = assert(fs.lock(path))
  local second, message, kind = fs.lock(path)
  t.equal(second, nil)
  t.contains(message, path)
  t.equal(kind, "busy")
  lock:close()
  lock:close()
  t.ok(fs.lock(path))
  collectgarbage()
  collectgarbage()
  local again <close> = assert(fs.lock(path))
  t.equal(tostring(again), "lock (held)")
end)

t.test("a lock knows whether its path still names its file", function()
  local path = directory() .. "/lock"
  local lock <close> = assert(fs.lock(path))
  t.ok(lock:holds(path))
  t.ok(not lock:holds(path .. "x"))
  t.ok(fs.remove(path))
  t.ok(not lock:holds(path))
  local other <close> = assert(fs.lock(path))
  t.ok(other:holds(path) and not lock:holds(path))
  other:close()
  t.ok(not other:holds(path))
end)

t.test("overwrite: in place, and only what is there", function()
  local path = directory() .. "/f"
  local _, message, kind = fs.overwrite(path, 0, "x")
  t.contains(message, path)
  t.equal(kind, "missing")
  t.ok(fs.write(path, "abcdef"))
  local inode = fs.stat(path).ino
  t.ok(fs.overwrite(path, 2, "XY"))
  t.ok(fs.overwrite(path, 5, "Z!"))
  t.ok(fs.overwrite(path, 0, ""))
  t.equal({ fs.read(path), fs.stat(path).ino }, { "abXYeZ!", inode })
  t.raises("the offset is negative", fs.overwrite, path, -1, "x")
end)
