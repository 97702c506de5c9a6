-- run.seal: sealed values, and the key beside the journal.
local t = require "harness"
local fs = require "native.fs"
local program = require "program"
local seal = require "run.seal"
local secrets = require "run.secrets"

t.test("sealed and opened again, with the key in a file that is the owner's alone", function()
  local directory = program.directory()
  local sealed = seal.close(directory, "run-1", "token.1", "hunter2000")
  t.ok(not sealed:find("hunter2000", 1, true))
  t.ok(sealed ~= seal.close(directory, "run-1", "token.1", "hunter2000"), "the same seal twice")
  t.equal(seal.open(directory, "run-1", "token.1", sealed), "hunter2000")
  local key = assert(fs.stat(directory .. "/key"))
  t.equal(key.mode & 511, 384)
  t.equal(key.size, 32)
end)

t.test("under another name, in another run, without the key or damaged it does not open", function()
  local directory, other = program.directory(), program.directory()
  local sealed = seal.close(directory, "run-1", "token.1", "hunter2000")
  seal.close(other, "run-1", "token.1", "x")
  for _, case in ipairs { { directory, "run-1", "token.2", sealed },
    { directory, "run-2", "token.1", sealed }, { other, "run-1", "token.1", sealed },
    { program.directory(), "run-1", "token.1", sealed },
    { directory, "run-1", "token.1", sealed:sub(1, -5) }, { directory, "run-1", "token.1", "" },
    { directory, "run-1", "token.1", "no base64!" } } do
    t.equal(seal.open(case[1], case[2], case[3], case[4]), nil)
  end
end)

t.test("a damaged key is never replaced", function()
  local directory = program.directory()
  assert(fs.write(directory .. "/key", "short"))
  t.raises("is no key of a run", seal.close, directory, "run-1", "token.1", "x")
  t.equal(fs.read(directory .. "/key"), "short")
end)

t.test("fingerprints tell values apart, and differ from run to run", function()
  local a, b = program.directory(), program.directory()
  t.equal(seal.fingerprint(a, "x"), seal.fingerprint(a, "x"))
  t.ok(seal.fingerprint(a, "x") ~= seal.fingerprint(a, "y"))
  t.ok(seal.fingerprint(a, "x") ~= seal.fingerprint(b, "x"))
end)

t.test("what a registry observes is kept and restored", function()
  local directory, rows = program.directory(), {}
  local s = secrets.new()
  seal.keep(s, directory, "run-1", function(kind, path, data)
    t.equal({ kind, path }, { "secret", "" })
    table.insert(rows, data)
  end)
  s:observe("token", "hunter2000")
  local text = s:conceal "with hunter2000"
  local again, lost = secrets.new(), secrets.new()
  seal.restore(again, directory, "run-1", rows)
  t.equal(again:reveal(text), "with hunter2000")
  seal.restore(lost, program.directory(), "run-1", rows)
  t.raises("bring the key back", lost.reveal, lost, text)
end)
