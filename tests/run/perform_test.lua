-- run.perform: an effect is carried out, and what outputs and the journal show of it.
local t = require "harness"
local clock = require "native.clock"
local dr = require "drlua"
local effect = require "effect"
local errors = require "errors"
local live = require "live"
local perform = require "run.perform"
local task = require "task"

local test = live.test

local function calls_of(run)
  local list = {}
  for _, e in ipairs(run.events) do
    if e.event == "call" then table.insert(list, e) end
  end
  return list
end

t.test("the name of an operation, by its kind", function()
  for want, e in pairs {
    ["rds.RebootDBInstance"] = { kind = "aws", service = "rds",
      operation = "RebootDBInstance" },
    ["http.POST"] = { kind = "http", operation = "POST" }, sql = { kind = "sql" },
  } do
    t.equal(perform.name(e), want)
    t.equal(perform.describe(e).name, want)
  end
  t.equal(perform.describe({ kind = "sql", read = true, input = "x", secret = "y" }),
    { kind = "sql", name = "sql", mutating = false })
end)

test("every call is reported: where it was made, how long it took, how it failed",
  function(start)
  local run = start(function()
    dr.step("Outer", function()
      dr.step("S", function()
        effect.perform({ kind = "aws", service = "rds", operation = "RebootDBInstance",
          region = "eu-west-1", account = "1", what = "reboot x", input = {} },
          function() task.sleep(7) end)
        dr.try(effect.perform, { kind = "http", operation = "GET", read = true, input = {} },
          function() errors.raise { kind = "http", status = 404, message = "not there" } end)
      end)
    end)
  end)
  t.equal(run:begin().outcome, "succeeded")
  local list = calls_of(run)
  t.equal(#list, 2)
  local one, two = list[1], list[2]
  t.equal({ one.name, one.region, one.account, one.what, one.mutating, one.step, one.path },
    { "rds.RebootDBInstance", "eu-west-1", "1", "reboot x", true, "S", "Outer/S" })
  t.ok(one.seconds >= 7 and one.seconds < 7.1, "it took " .. one.seconds .. " s")
  t.equal({ one.error, one.status }, {})
  t.equal({ two.name, two.mutating, two.status, two.error },
    { "http.GET", false, 404, { kind = "http", status = 404, message = "not there" } })
end)

test("the function has the call's token, and all its values come back", function(start)
  local got, tokens = nil, {}
  local run = start(function()
    dr.step("S", function()
      got = table.pack(effect.perform({ kind = "http", operation = "POST", what = "a",
        input = {} }, function(token)
        table.insert(tokens, token)
        return 1, nil, "three"
      end))
      effect.perform({ kind = "http", operation = "POST", what = "a", input = {} },
        function(token) table.insert(tokens, token) end)
    end)
  end)
  run:begin()
  t.equal(got, { 1, nil, "three", n = 3 })
  local on_record = run:history().steps.S.order
  t.equal(tokens, { on_record[1].intent.token, on_record[2].intent.token })
  t.ok(tokens[1] ~= tokens[2], "each call has its own token")
end)

test("a failed call: the error reaches the playbook as it was raised", function(start)
  for _, raised in ipairs { "a text", { kind = "aws", code = "Throttling", status = 400,
    message = "slower", request_id = "r-1" } } do
    local e
    local run = start(function()
      dr.step("S", function()
        e = select(2, dr.try(effect.perform, { kind = "http", operation = "POST", what = "a",
          input = {} }, function()
          if type(raised) == "table" then errors.raise(raised) end
          error(raised, 0)
        end))
      end)
    end)
    t.equal(run:begin().outcome, "succeeded")
    local told = calls_of(run)[1].error
    if type(raised) == "string" then
      t.contains(e.message, raised)
      t.contains(told.message, raised)
    else
      t.equal({ e.kind, e.code, e.status, e.message }, { "aws", "Throttling", 400, "slower" })
      t.equal(told, { kind = "aws", code = "Throttling", status = 400, message = "slower",
        request_id = "r-1" })
    end
  end
end)

test("a wait and a transfer show how far they are, each text once; then nothing is waited for",
  function(start)
  for what, case in pairs {
    wait = { { wait = true, what = "wait for db x" }, { "db x", "db x", "db x" } },
    transfer = { { what = "dump" }, { "dump", "dump" } },
  } do
    local left, began = nil, clock.monotonic()
    local run = start(function()
      dr.step("S", function()
        local e = { kind = "http", operation = "GET", read = true, input = {} }
        for k, v in pairs(case[1]) do e[k] = v end
        effect.perform(e, function()
          for _, text in ipairs { "10 %", "10 %", "50 %" } do
            task.sleep(2)
            e.progress(text)
          end
        end)
        left = next(require "run.scope".current().session.waits)
      end)
    end)
    t.equal(run:begin().outcome, "succeeded")
    t.equal(run:told("step_waiting", "what"), case[2], what)
    t.equal(run:told("step_waiting", "progress"), { "10 %", "50 %" }, what)
    t.equal(left, nil)
    t.ok(clock.monotonic() - began >= 6)
  end
end)
