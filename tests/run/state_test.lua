-- run.state and run.store: which runs there are, which one is meant, what cannot be read.
local t = require "harness"
local fs = require "native.fs"
local program = require "program"
local store = require "run.store"
local sys = require "native.sys"

local function place()
  local path = program.directory() .. "/state"
  return store.open(path), path
end

local function begin(kept, rehearsal)
  local id = kept:new_run()
  local j = kept:create(id)
  j:meta("run", { id = id, rehearsal = rehearsal })
  j:close()
  return id
end

t.test("runs in the order they began, and which one is meant", function()
  local kept, path = place()
  local first, second, third = begin(kept), begin(kept), begin(kept, "1")
  t.equal(kept:ids(), { first, second, third })
  t.equal(kept:find "last", second)
  t.equal(kept:find(first), first)
  t.equal(kept:find(first:match "[^-]*$"), first)
  t.raises("3 runs have \"20\" in their name", kept.find, kept, "20")
  t.raises("no run nope in", kept.find, kept, "nope")
  kept:forget(second)
  t.equal(store.look(path):ids(), { first, third })
  t.equal(fs.stat(kept:run(first)).mode, 448)
end)

t.test("the runs of a directory that is not there: none; of one "
  .. "that cannot be read: an error", function()
  local directory = program.directory()
  t.equal(store.look(directory .. "/nothing"):ids(), {})
  assert(fs.symlink("runs", directory .. "/runs"))
  local e = t.raises("the state directory .* cannot be read",
    function() store.look(directory):ids() end)
  t.equal(e.kind, "state")
  for _, verb in ipairs { { "runs" }, { "show", "last" }, { "verify", "last" },
    { "resume", "last" } } do
    table.insert(verb, "--state")
    table.insert(verb, directory)
    local r = program.run(verb)
    t.equal(r.code, 2, r.out)
    t.contains(r.err, "cannot be read")
    t.equal(r.out, "")
  end
end)

t.test("a state directory that another user may not read", function()
  if sys.uid() ~= 0 then t.skip("only root can act as another user") end
  local _, path = place()
  assert(fs.chmod(path:match("^(.*)/"), 493)) -- 0755
  local r = program.run { "runs", "--state", path }
  t.equal({ r.code, r.out }, { 0, ("no runs in %s\n"):format(path) })
  local copy = path .. "-drlua"
  assert(os.execute(("install -m 755 '%s' '%s'"):format(sys.exe(), copy)))
  local pipe = assert(
    io.popen(("setpriv --reuid 65534 --clear-groups '%s' runs --state '%s' 2>&1; echo code $?")
    :format(copy, path)))
  local said = pipe:read "a"
  pipe:close()
  t.contains(said, "cannot be read")
  t.contains(said, "code 2")
end)

t.test("a run that cannot be made leaves nothing behind", function()
  local kept = place()
  local id = kept:new_run()
  assert(fs.mkdir(kept:run(id) .. "/journal.db"))
  local e = t.raises("cannot be used", kept.create, kept, id)
  t.equal(e.kind, "state")
  t.equal(fs.stat(kept:run(id)), nil)
end)

t.test("a store of a kind that there is none of", function()
  for _, open in pairs(store) do
    local e = t.raises("no runs can be kept at postgres://host/db", open, "postgres://host/db")
    t.equal(e.kind, "usage")
  end
end)
