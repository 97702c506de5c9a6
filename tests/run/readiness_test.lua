-- run.readiness: everything is asked, nothing is changed, and one failed check is enough.
local t = require "harness"
local control = require "run.control"
local dr = require "drlua"
local effect = require "effect"
local gate = require "run.gate"
local live = require "live"
local readiness = require "run.readiness"
local secrets = require "run.secrets"
local time = require "model.time"

-- Asks a playbook whose `ready` is this, in virtual time: ready, { name = outcome }, the
-- error, its word, the checks and the events.
local function ask(ready, registry)
  local former = effect.install(nil)
  t.cleanup(function() effect.install(former) end)
  gate.install()
  return time.run(function()
    local events = {}
    local s = readiness.new { id = "check", playbook = { title = "Test", ready = ready },
      params = { size = 3 }, user = "u", host = "h", secrets = registry or secrets.new(),
      out = function(e) table.insert(events, e) end }
    local is_ready, checks, e, word = s:ask()
    local outcomes = {}
    for _, check in ipairs(checks) do outcomes[check.name] = check.outcome end
    return is_ready, outcomes, e, word, checks, events
  end)
end

t.test("every check is asked, whatever the others said; one that failed is enough", function()
  local asked = {}
  local function check(name, ...)
    local answer = table.pack(...)
    dr.check(name, function()
      table.insert(asked, name)
      return table.unpack(answer, 1, answer.n)
    end)
  end
  local is_ready, outcomes, e, _, checks = ask(function(p)
    check("first", true)
    check("too few", false, "only " .. p.size)
    check("none", nil)
    dr.check("raises", function() error("a mistake") end)
    dr.check("declares", function() dr.fail("not yet") end)
    dr.check("not here", function() dr.skip("no replica") end)
    check("silent")
    check("last", "all of it")
  end)
  t.equal({ is_ready, e }, { false })
  t.equal(asked, { "first", "too few", "none", "silent", "last" })
  t.equal(outcomes, { first = "passed", ["too few"] = "failed", none = "failed",
    raises = "failed", declares = "failed", ["not here"] = "skipped", silent = "passed",
    last = "passed" })
  t.equal({ checks[2].detail, checks[5].detail, checks[6].detail, checks[8].detail },
    { "only 3", "not yet", "no replica", "all of it" })
end)

t.test("ready: what nothing failed in", function()
  for what, body in pairs {
    ["no check at all"] = function() end,
    passed = function() dr.check("a", function() return true end) end,
    skipped = function() dr.check("a", function() dr.skip("not here") end) end,
    ["false of its own"] = function() return false end,
    together = function()
      dr.parallel { function() dr.check("a", function() return true end) end,
        function() dr.check("b", function() return true end) end }
    end,
  } do
    local is_ready, _, e = ask(body)
    t.equal({ is_ready, e }, { true }, what)
  end
end)

t.test("what ends it early: not ready, the error, and the checks so far", function()
  for word, case in pairs {
    failed = { function() dr.fail("the network is down") end, "the network is down" },
    lua = { function() dr.nothing_of_this_name() end, "attempt to call" },
    interrupt = { function() control.raise("interrupt", "interrupted") end, "interrupted" },
    inside = { function()
      dr.check("b", function() control.raise("pause", "paused") end) end, "paused" },
  } do
    local is_ready, outcomes, e, of = ask(function()
      dr.check("a", function() return true end)
      case[1]()
    end)
    t.equal({ is_ready, outcomes }, { false, { a = "passed" } }, word)
    t.contains(e.message, case[2])
    t.equal(of, ({ interrupt = "interrupt", inside = "pause" })[word])
  end
end)

t.test("reads are made, changes are not sent, wherever they stand", function()
  local w = live.world()
  local is_ready = ask(function()
    t.equal(w:read(), 1)
    w:change "a"
    dr.check("reads", function() return w:read() == 2 end)
    dr.check("changes", function()
      w:change "b"
      return true
    end)
    dr.parallel { function() w:change "c" end }
  end)
  t.equal({ is_ready, w.sent, w.reads }, { true, {}, 2 })
end)

t.test("a wait is waited for, and one that is in vain fails its check only", function()
  local looks = 0
  local is_ready, outcomes, e = ask(function()
    dr.check("comes", function()
      return dr.wait_until("it comes", function()
        looks = looks + 1
        return looks > 3 and "there"
      end) == "there"
    end)
    local began = dr.now()
    dr.sleep("90s")
    dr.check("slept", function() return dr.now() - began >= 90 end)
    dr.check("never", function()
      dr.wait_until("it never comes", { timeout = "5m" }, function() return false end)
    end)
    dr.check("after", function() return true end)
  end)
  t.equal({ is_ready, e, looks }, { false, nil, 4 })
  t.equal(outcomes, { comes = "passed", slept = "passed", never = "failed", after = "passed" })
end)

t.test("a secret is masked in what is reported", function()
  local registry = secrets.new()
  registry:add("pw", "hunter2000")
  local _, _, _, _, _, events = ask(function()
    dr.note("with hunter2000")
    dr.check("open", function() return false, "hunter2000 is refused" end)
  end, registry)
  local seen = 0
  for _, e in ipairs(events) do
    t.ok(not tostring(e.text):find("hunter2000", 1, true), e.text)
    seen = seen + (tostring(e.text):find("***", 1, true) and 1 or 0)
  end
  t.equal(seen, 2)
end)
