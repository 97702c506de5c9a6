-- run.store: what any store does for the rest of drlua, and which place is of which kind.
local t = require "harness"
local fs = require "native.fs"
local program = require "program"
local store = require "run.store"
local sys = require "native.sys"

local function place() return program.directory() .. "/state" end

local function mode(path) return fs.stat(path).mode & 511 end

t.test("open makes what is missing, for its owner only; look makes nothing", function()
  local path = place() .. "/deep/er"
  local looked = store.look(path)
  t.equal(looked:ids(), {})
  t.equal(looked:get "x", nil)
  t.raises("no run last in", looked.find, looked, "last")
  t.equal(fs.stat(path), nil)
  t.equal(looked:exists(), false)
  local kept = store.open(path)
  t.equal({ kept.path, kept:exists(), mode(path) }, { path, true, 448 })
  t.equal(store.open(path):ids(), {})
end)

t.test("which places are directories, and which are URLs that nothing is kept at", function()
  local directory = program.directory()
  for _, name in ipairs { "a:b", "s3:", "http:/x", "Postgres", "x y", "1://" } do
    store.open(directory .. "/" .. name)
    t.ok(fs.stat(directory .. "/" .. name .. "/runs"), name)
  end
  for _, url in ipairs { "postgres://host/db", "s3://bucket/x", "https://u:p@h/", "pg+ssl://h",
    "file:///tmp/x" } do
    for name, fn in pairs { open = store.open, look = store.look } do
      local e = t.raises("no runs can be kept at", fn, url)
      t.equal(e.kind, "usage", name)
      t.contains(e.message, "name a directory")
    end
  end
end)

t.test("without a place: DRLUA_STATE says where, also when that is a URL", function()
  local former = sys.getenv "DRLUA_STATE"
  t.cleanup(function() sys.setenv("DRLUA_STATE", former) end)
  local path = place()
  sys.setenv("DRLUA_STATE", path)
  t.equal({ store.open().path, store.look().path }, { path, path })
  t.equal(store.look("/other").path, "/other")
  sys.setenv("DRLUA_STATE", "s3://bucket")
  t.raises("no runs can be kept at s3://bucket", store.open)
end)

t.test("a run's journal: made once, found again by another, gone when it is forgotten", function()
  local path = place()
  local kept = store.open(path)
  local id = kept:new_run()
  t.equal(kept:ids(), {}, "a run without a journal is none yet")
  local j = kept:create(id)
  j:meta("run", { id = id })
  j:close()
  local other = store.look(path)
  t.equal({ other:ids(), other:find "last" }, { { id }, id })
  local found = other:open_run(id, { readonly = true })
  t.equal(found:meta("run"), { id = id })
  found:close()
  t.ok(kept:new_run() > id, "a later run sorts behind it")
  assert(fs.write(kept:run(id) .. "/report.md", "text"))
  kept:forget(id)
  t.equal({ other:ids(), (fs.stat(kept:run(id))) }, { {} })
end)

t.test("locks are the same for all who open the place, and each run has its own", function()
  local path = place()
  local first, second = store.open(path), store.open(path)
  local a, b = first:new_run(), second:new_run()
  t.ok(a ~= b)
  local held = first:lock({ "shop", "web/eu" }, a)
  for _, names in ipairs { { "shop" }, { "other", "web/eu" } } do
    t.equal(t.raises("is locked: run " .. a:gsub("%p", "%%%0"), second.lock, second, names, b).kind,
      "locked")
  end
  t.equal(t.raises("is locked", second.lock, second, {}, a).kind, "locked")
  -- Nothing is left of a set of which one could not be had.
  local free = second:lock({ "other" }, b)
  t.equal({ held:lost(), free:lost() }, {})
  free:release()
  held:release()
  second:lock({ "shop", "other", "web/eu" }, b):release()
end)

t.test("small texts: as they were given, replaced as a whole, and an error where they cannot be",
  function()
    local path = place()
    local kept = store.open(path)
    t.equal(kept:get "a", nil)
    for _, text in ipairs { "first", ("x"):rep(100000), "", "two\nlines\0ä" } do
      kept:put("a", text)
      t.equal(store.look(path):get "a", text)
    end
    kept:put("b", "other")
    t.equal({ #kept:get "a", kept:get "b" }, { 12, "other" })
    t.equal(kept:ids(), {})
    for _, name in ipairs(fs.list(path .. "/records")) do
      t.equal(mode(path .. "/records/" .. name), 384, name)
    end
    fs.remove_tree(path .. "/records")
    assert(fs.write(path .. "/records", "in the way"))
    t.equal(t.raises(nil, kept.put, kept, "a", "x").kind, "state")
    t.equal(kept:get "a", nil)
  end)
