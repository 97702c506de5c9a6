-- run.identity: which account answers for what is typed.
local fs = require "native.fs"
local identity = require "run.identity"
local sys = require "native.sys"
local t = require "harness"

-- The account of a process with this uid, login and variable.
local function account(uid, login, sudo_user)
  local real = { uid = sys.uid, getenv = sys.getenv, user = sys.user, read = fs.read }
  t.cleanup(function()
    sys.uid, sys.getenv, sys.user, fs.read = real.uid, real.getenv, real.user, real.read
  end)
  local names = { [0] = "root", [1000] = "ann", [1001] = "bob" }
  function sys.uid() return uid end
  function sys.user(id) return names[id] and { name = names[id] } end
  function sys.getenv(name) return name == "SUDO_USER" and sudo_user or nil end
  function fs.read(path) return path == "/proc/self/loginuid" and login or nil end
  local found = identity.account()
  sys.uid, sys.getenv, sys.user, fs.read = real.uid, real.getenv, real.user, real.read
  return found
end

t.test("the account that logged in, through sudo and su", function()
  t.equal(account(0, "1000\n", "bob"), "ann")
  t.equal(account(1001, "1000\n"), "ann")
  t.equal(account(0, "0\n", "bob"), "root")
  t.equal(account(0, "4242\n"), "4242")
end)

t.test("where nobody logged in: the account behind root's sudo, else the process's", function()
  local unset = "4294967295\n"
  t.equal(account(0, unset, "bob"), "bob")
  t.equal(account(0, nil, "bob"), "bob")
  t.equal(account(0, unset, ""), "root")
  t.equal(account(0, unset), "root")
  t.equal(account(1000, unset), "ann")
  -- A plain account can set the variable to anything.
  t.equal(account(1000, unset, "bob"), "ann")
  t.equal(account(4242, unset), "4242")
end)

t.test("people are counted by account", function()
  t.equal(identity.count(nil), 0)
  t.equal(identity.count { { by = "ann", account = "ann" }, { by = "bob", account = "ann" } }, 1)
  t.equal(identity.count { { by = "boss", account = "ann" }, { by = "boss", account = "bob" } }, 2)
  t.equal(identity.count { { by = "ann" }, { by = "bob" }, { by = "ann" } }, 2)
end)
