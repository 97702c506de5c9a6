local t = require "harness"
local effect = require "effect"
local files = require "files"
local fs = require "native.fs"

t.test("a directory of our own, and everything in it", function()
  local seen
  local a, b = files.temporary(function(dir)
    seen = dir
    t.ok(files.mkdir(dir .. "/x/y/z"))
    t.ok(files.mkdir(dir .. "/x/y/z"))
    t.ok(files.write(dir .. "/x/f", "one"))
    t.ok(files.write(dir .. "/x/f", "+two", { append = true }))
    t.equal(files.read(dir .. "/x/f"), "one+two")
    t.equal(files.stat(dir .. "/x/f").size, 7)
    t.equal(files.stat(dir .. "/x/none"), nil)
    t.equal(files.list(dir .. "/x"), { "f", "y" })
    t.equal(files.glob(dir .. "/x/f*"), { dir .. "/x/f" })
    files.rename(dir .. "/x/f", dir .. "/g")
    t.ok(files.exists(dir .. "/g") and not files.exists(dir .. "/x/f"))
    files.remove(dir .. "/g")
    files.remove(dir .. "/g")
    t.equal(t.raises("remove", files.remove, dir .. "/x").kind, "exists")
    files.remove(dir .. "/x", true)
    t.equal(t.raises("^read /.*/g: No such file or directory$", files.read, dir .. "/g").kind,
      "missing")
    t.equal(t.raises(nil, files.mkdir, "/proc/x/y").kind, "missing")
    t.raises("zero byte", files.write, dir .. "/name\0.txt", "x")
    t.equal(files.list(dir), {})
    return 1, 2
  end)
  t.equal({ a, b }, { 1, 2 })
  t.ok(not files.exists(seen))
  t.raises("broken", files.temporary, function(dir) seen = dir error("broken", 0) end)
  t.ok(not files.exists(seen))
  t.raises("a path expected", files.read, nil)
end)

t.test("what a link in a directory of our own leads to is not inside of it", function()
  local former, reads
  files.temporary(function(outside)
    files.temporary(function(dir)
      fs.mkdir(dir .. "/deep")
      assert(fs.symlink(outside .. "/kept", dir .. "/file"))
      assert(fs.symlink(outside, dir .. "/deep/folder"))
      assert(fs.symlink(outside .. "/not-there", dir .. "/dangling"))
      for path, inside in pairs { ["/x"] = true, ["/deep/x"] = true, ["/not/yet"] = true,
        ["/file"] = false, ["/file/"] = false, ["/deep/folder/x"] = false,
        ["/deep//folder/x"] = false, ["/dangling"] = false,
        ["/deep/../x"] = false } do
        t.equal(files.is_temporary(dir .. path), inside, path)
      end
      reads = {}
      former = effect.install(function(e) table.insert(reads, e.read) end)
      files.write(dir .. "/file", "x")
      files.rename(dir .. "/x", dir .. "/deep/folder/x")
      effect.install(former)
      t.equal(reads, { false, false })
    end)
  end)
end)

t.test("changes pass the gate, and a stopped one does nothing", function()
  local kinds = {}
  local former = effect.install(function(e)
    table.insert(kinds, e.operation .. (e.read and " read" or " change"))
    return "stopped"
  end)
  t.cleanup(function() effect.install(former) end)
  t.equal(files.write("/nowhere/x", "data"), "stopped")
  files.read "/nowhere/x"
  files.remove "/nowhere/x"
  files.mkdir "/nowhere/x"
  files.rename("/nowhere/x", "/nowhere/y")
  t.equal(kinds, { "write change", "read read", "remove change", "make change", "rename change" })
end)

t.test("the gate can tell one text from another of its length, and what is "
  .. "done twice by doing it twice", function()
  local seen = {}
  local former = effect.install(function(e) table.insert(seen, e) return true end)
  t.cleanup(function() effect.install(former) end)
  files.write("/nowhere/x", "one")
  files.write("/nowhere/x", "two")
  files.write("/nowhere/x", "one", { append = true })
  t.equal({ seen[1].input.bytes, seen[2].input.bytes }, { 3, 3 })
  t.ok(seen[1].input.sha256 ~= seen[2].input.sha256)
  t.equal(seen[1].input.sha256, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
  t.equal({ seen[1].repeatable, seen[2].repeatable, seen[3].repeatable }, { true, true, false })
end)
