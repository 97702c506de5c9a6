-- run.questions: what the operator is asked, what an answer leads to, and the pauses without.
local t = require "harness"
local dr = require "drlua"
local live = require "live"
local value = require "run.value"

local test = live.test

-- What the journal has of an operator's answers: data, in order.
local function recorded(run)
  local list = {}
  for _, event in ipairs(run:entries()) do
    if event.kind == "operator" then table.insert(list, value.decode(event.data)) end
  end
  return list
end

local function failing(start, w)
  return start(function()
    dr.step("S", function() w:change "a" end)
    dr.step("T", function() w:change "b" end)
  end)
end

test("after a failure: each choice, what follows, and what is on record", function(start)
  for choice, want in pairs {
    stop = { "failed", { "a" }, 0 }, retry = { "succeeded", { "a", "a", "b" }, 1 },
    skip = { "succeeded", { "a", "b" }, 1 },
  } do
    local w = live.world { a = { "refused" } }
    local run = failing(start, w)
    local result = run:begin { operator = { ask_failure = function(_, st, e)
      t.equal({ st.name, e.message }, { "S", "refused" })
      return choice, "because"
    end } }
    t.equal({ result.outcome, w.sent, #recorded(run) }, want, choice)
    if want[3] == 1 then
      local answer = recorded(run)[1]
      t.equal({ answer.choice, answer.reason, answer.by }, { choice, "because", run.session.user })
    end
  end
end)

test("nobody is asked with --yes, without a terminal, and among parallel branches",
  function(start)
  for what, case in pairs { yes = { true, true, false }, none = { false, false, false },
    parallel = { false, true, true } } do
    local asked = 0
    local operator = { ask_failure = function()
      asked = asked + 1
      return "skip", "x"
    end }
    local run = start(function()
      local function fails() dr.step("S", function() dr.fail "no" end) end
      if case[3] then dr.parallel { fails, function() end } else fails() end
    end)
    local result = run:begin { assume_yes = case[1], operator = case[2] and operator or nil }
    t.equal({ result.outcome, asked }, { "failed", 0 }, what)
  end
end)

test("a call in doubt: the operator's word is asked once, used once, and on record",
  function(start)
  for word, sent in pairs { done = { "a" }, again = { "a", "a", "a" } } do
    local w = live.world { a = { "lost", "lost" } }
    local asked = {}
    local operator = { ask_failure = function() return "retry" end,
      ask_settled = function(_, st, what, intent)
        table.insert(asked, { st.name, what, intent.key })
        return word
      end }
    local run = start(function() dr.step("S", function() w:change "a" end) end)
    t.equal(run:begin({ operator = operator }).outcome, "succeeded", word)
    t.equal(w.sent, sent)
    for _, one in ipairs(asked) do t.equal(one, { "S", "a", "S/http.POST" }) end
    t.equal(#asked, #sent == 1 and 1 or 2, "asked once for each time without a response")
    local settled = {}
    for _, one in ipairs(recorded(run)) do
      if one.settled then table.insert(settled, one.settled .. " " .. one.call) end
    end
    t.equal(#settled, #asked)
    t.equal(settled[1], word .. " S/http.POST")
  end
end)

test("without an operator: a pause that names every call in doubt and the command for each",
  function(start)
  local w = live.world { a = { "lost" }, b = { "lost" } }
  local run = start(function()
    dr.parallel { function()
      dr.step("It's one", function()
        dr.sleep(1)
        w:change "a"
      end)
    end, function()
      dr.step("Two", function()
        dr.sleep(2)
        w:change "b"
      end)
    end }
  end)
  run:begin()
  local sent = #w.sent
  local function pauses(settle, says, not_a_word_of)
    local result = run:resume { settle = settle }
    t.equal({ result.outcome, result.code }, { "paused", 4 })
    for _, part in ipairs(says) do t.contains(result.message, part) end
    if not_a_word_of then t.ok(not result.message:find(not_a_word_of, 1, true), result.message) end
  end
  pauses(nil, { "drlua resume " .. run.id, [[--settle 'parallel.1/It'\''s one/http.POST=done']],
    "Also without a response: b (--settle 'parallel.2/Two/http.POST=done')" })
  t.equal(#w.sent, sent, "nothing is sent again before the answer")
  pauses({ "Two=done" }, { [[It'\''s one]] }, "Also without a response")
  t.equal(run:resume({ settle = { "It's one=done", "Two=done" } }).outcome, "succeeded")
  t.equal(#w.sent, sent)
end)

test("an edited playbook: the steps not come to are listed; only yes lets it go on",
  function(start)
  for answer, want in pairs { yes = { "succeeded", { "a", "b", "c" } },
    no = { "paused", { "a", "b" } }, ["y"] = { "paused", { "a", "b" } } } do
    local w, second, broken = live.world(), "B", true
    local run = start(function()
      dr.step("A", function() w:change "a" end)
      dr.step(second, function() w:change(second == "B" and "b" or "c") end)
      if broken then dr.fail "later" end
    end)
    run:begin()
    second, broken = "C", false
    local result = run:resume { accept_changes = true,
      operator = { confirm = function() return answer end } }
    t.equal({ result.outcome, w.sent }, want, answer)
    t.contains(table.concat(run:told "note", "\n"),
      'the edited playbook comes to step "C", which is not on record and will be run. On record '
      .. 'and not come to so far: "B" (succeeded)')
  end
end)
