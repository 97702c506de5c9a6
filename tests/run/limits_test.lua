-- run.limits: what a run may touch at most.
local fs = require "native.fs"
local journal = require "run.journal"
local limits = require "run.limits"
local program = require "program"
local t = require "harness"

local function of(own, theirs, params)
  return limits.of({ limits = own }, { limits = theirs }, params or {})
end

t.test("the stricter of playbook and environment holds", function()
  t.equal(of(nil, nil), nil)
  t.equal(of({}, {}), nil)
  t.equal(of({ deletes = 2 }, nil), { deletes = 2 })
  t.equal(of(nil, { deletes = 0 }), { deletes = 0 })
  t.equal(of({ deletes = 2 }, { deletes = 5 }).deletes, 2)
  t.equal(of({ deletes = 5 }, { deletes = "2" }).deletes, 2)
  t.equal(of({ regions = { "us-west-2", "us-east-1" } },
    { regions = { "us-east-1", "eu-west-1" } }).regions,
    { "us-east-1" })
  t.equal(of({ regions = "us-west-2" }, { accounts = { 12345678901 } }),
    { regions = { "us-west-2" }, accounts = { "012345678901" } })
  t.equal(of(function(p) return { regions = { p.dr_region } } end,
    function() return { deletes = 1 } end,
    { dr_region = "us-west-2" }), { regions = { "us-west-2" }, deletes = 1 })
  t.equal(of(function() end, nil), nil)
end)

t.test("limits that are none are refused, each with a sentence", function()
  for _, case in ipairs { { 5, "limits is a table or a function that returns one, not a number" },
    { { deletes = -1 }, "limits.deletes is a whole number from 0 on, not -1" },
    { { deletes = 1.5 }, "limits.deletes is a whole number" },
    { { deletes = {} }, "limits.deletes is a whole number" },
    { { delets = 1 }, "limits: unknown field delets; did you mean deletes?" },
    { { accounts = { "123" } }, "limits.accounts: 123 is none; write" },
    { { regions = { "us_west" } }, "limits.regions: us_west is none; write" },
    { { regions = { a = "us-west-2" } }, "limits.regions is a list of texts" },
    { { accounts = true }, "limits.accounts is a list of texts" } } do
    t.contains(limits.faults(case[1])[1], case[2])
    t.equal(t.raises(nil, of, case[1]).kind, "usage")
    t.contains(t.raises(nil, of, function() return case[1] end).message, case[2])
  end
  local e = t.raises(nil, of, { regions = { "us-west-2" } }, { regions = { "us-east-1" } })
  t.contains(e.message,
    "the playbook allows us-west-2 and the environment us-east-1, so nothing could be changed")
end)

local function session(given, path)
  local j = fs.stat(path) and journal.open(path) or journal.create(path)
  local s = { playbook = { limits = given }, params = {}, journal = j }
  function s:record(kind, where, data) self.journal:add(kind, where, data) end
  return s
end

local function delete(id, fields)
  local e = { kind = "aws", service = "rds", operation = "DeleteDBInstance", region = "us-west-2",
    what = "delete " .. id, input = { DBInstanceIdentifier = id } }
  for k, v in pairs(fields or {}) do e[k] = v end
  return e
end

-- Sends a call as the gate does: checked, then its intent written. Returns the intent.
local function send(s, e, token)
  local intent = { name = "x", what = e.what, token = token, key = token }
  limits.check(s, { path = "S" }, e, intent)
  s:record("intent", "S", intent)
  return intent
end

t.test("deletions are counted over the run and its resumes; a "
  .. "call sent again counts once", function()
  local path = program.directory() .. "/journal.db"
  local s = session({ deletes = 2 }, path)
  t.equal(send(s, delete "a", "t1").deletes, 1)
  send(s, delete "a", "t1")
  send(s, { kind = "aws", operation = "CreateDBInstance", region = "us-west-2" }, "t0")
  s.journal:close()
  -- Resumed by another process, which sends a call in doubt once more.
  s = session({ deletes = 2 }, path)
  send(s, delete "a", "t1")
  send(s, delete "b", "t2")
  local e = t.raises(nil, send, s, delete "c", "t3")
  t.equal(e.kind, "limit")
  t.contains(e.message,
    "this run may delete 2 things at most (limits.deletes), and with delete c it would be 3 "
    .. "(deleted so far: delete a; delete b). It was not sent")
  -- The same again, from yet another process; what is on record may still be sent again.
  s.journal:close()
  s = session({ deletes = 2 }, path)
  t.raises("at most", send, s, delete "c", "t3")
  send(s, delete "b", "t2")
  s.journal:close()
end)

t.test("one call may be too many by itself, or not say how many", function()
  local s = session({ deletes = 2 }, program.directory() .. "/journal.db")
  t.cleanup(function() s.journal:close() end)
  t.raises("it would be 3", send, s,
    delete("x", { operation = "TerminateInstances", service = "ec2",
    input = { InstanceIds = { "1", "2", "3" } } }), "t1")
  t.raises("does not say how many things it deletes, and this run may delete 2 things at most",
    send, s,
    { kind = "process", what = "run kubectl",
      input = { argv = { "kubectl", "delete", "pods", "--all" } } }, "t2")
  -- Refused, they count for nothing.
  send(s, delete "a", "t3")
  send(s, delete "b", "t4")
  t.raises("at most", send, s,
    { kind = "sql", operation = "exec", input = { sql = "drop table a" } }, "t5")
end)

t.test("no deletion at all", function()
  local s = session({ deletes = 0 }, program.directory() .. "/journal.db")
  t.cleanup(function() s.journal:close() end)
  t.raises("may delete 0 things at most .*nothing was deleted so far", send, s, delete "a", "t1")
end)

t.test("without a limit deletions are counted all the same, for a resume that has one", function()
  local path = program.directory() .. "/journal.db"
  local s = session(nil, path)
  send(s, delete "a", "t1")
  send(s, { kind = "process", input = { argv = { "kubectl", "delete", "pods", "--all" } } }, "t2")
  s.journal:close()
  s = session({ deletes = 1 }, path)
  t.raises("it would be 2", send, s, delete "b", "t3")
  s.journal:close()
end)

t.test("the statements of a transaction are counted as they come", function()
  local path = program.directory() .. "/journal.db"
  local s = session({ deletes = 2 }, path)
  local function transaction(token)
    local e = { kind = "sql", operation = "transaction", what = "a transaction", input = {} }
    send(s, e, token)
    return e.part
  end
  local part = transaction "t1"
  part "select 1"
  part "delete from a"
  part "drop table b"
  t.raises("with a transaction it would be 3", part, "truncate c")
  s.journal:close()
  s = session({ deletes = 2 }, path)
  -- The same transaction again counts what it counted before.
  part = transaction "t1"
  part "delete from a"
  part "drop table b"
  t.raises("it would be 3", transaction "t2", "delete from z")
  s.journal:close()
end)

t.test("regions: of AWS and of its command line; global services are in none", function()
  local s = session({ regions = { "us-west-2" } }, program.directory() .. "/journal.db")
  t.cleanup(function() s.journal:close() end)
  local function call(region, global)
    return { kind = "aws", operation = "Modify", what = "modify", region = region, global = global }
  end
  send(s, call "us-west-2", "t1")
  send(s, call("us-east-1", true), "t2")
  local e = t.raises(nil, send, s, call "us-east-1", "t3")
  t.equal(e.message,
    "modify: this run may change things in us-west-2 only, and this call goes to us-east-1. "
    .. "It was not sent")
  local function aws(...)
    return { kind = "process", what = "aws", input = { argv = { "aws", "rds", ... } } }
  end
  send(s, aws("modify-db-instance"), "t4")
  send(s, aws("modify-db-instance", "--region", "us-west-2"), "t5")
  t.raises("goes to us%-east%-1", send, s, aws("modify-db-instance", "--region", "us-east-1"), "t6")
  t.raises("goes to us%-east%-1", send, s, aws("--region=us-east-1", "reboot"), "t7")
end)

t.test("accounts: by the credentials of the call; one that is not known is refused", function()
  local s = session({ accounts = { "111111111111" } }, program.directory() .. "/journal.db")
  t.cleanup(function() s.journal:close() end)
  local function call(account, why)
    return { kind = "aws", operation = "Modify", what = "modify",
      whose = function() return account, why end }
  end
  send(s, call "111111111111", "t1")
  t.raises("in account 111111111111 only, and this call goes to account 222222222222", send, s,
    call "222222222222", "t2")
  t.raises("the account of this call could not be found out: STS is silent", send, s,
    call(nil, "STS is silent"), "t3")
end)
