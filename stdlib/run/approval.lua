--- Approvals: people say yes before something that cannot be taken back.
--
-- Asked for by `risk = "irreversible"`, by `approve = true | "text" | function(p) |
-- { text = "text" or function(p), people = 2, deadline = "1h" }`, and by dr.approve. A
-- function is a probe: it is called at the moment of asking, may read, and returns what
-- is known then, so that whoever agrees knows what they agree to.
--
-- Given at the terminal, by `drlua approve RUN STEP` from another one, or by --yes. Every
-- answer is journaled with who gave it, when, and what they were shown; the run waits for
-- as many different people as the step names. One account is one person (identity.lua):
-- --yes and several names typed from one account count once.
local clock = require "native.clock"
local control = require "run.control"
local duration = require "duration"
local ending = require "run.ending"
local errors = require "errors"
local identity = require "run.identity"
local nearest = require "nearest"
local scope = require "run.scope"
local sys = require "native.sys"
local task = require "task"
local unknown = require "unknown"
local value = require "run.value"

local approval = {}

-- How long a text may take to be found out: people wait for it.
local TEXT_SECONDS = 60

local known = { "deadline", "people", "text" }

local function misuse(name, text, ...) control.misuse("step \"%s\": " .. text, name, ...) end

local function check_fields(name, wish)
  for key in pairs(wish) do
    local found = false
    for _, k in ipairs(known) do found = found or k == key end
    if not found then
      misuse(name, "unknown field %s of approve%s", tostring(key),
        nearest.hint(tostring(key), known))
    end
  end
end

local function check(name, wish)
  check_fields(name, wish)
  local people, text = not unknown.is(wish.people) and wish.people or 1, wish.text
  if math.type(people) ~= "integer" or people < 1 then
    misuse(name, "approve.people is the number of people who must agree")
  end
  if text ~= nil and type(text) ~= "string" and type(text) ~= "function"
    and not unknown.is(text) then
    misuse(name, "approve.text is a text, or a function that returns one, not a %s", type(text))
  end
  local deadline, why
  if wish.deadline ~= nil then
    deadline, why = duration.parse(wish.deadline)
    if not deadline then misuse(name, "approve.deadline: %s", why) end
  end
  return { text = text, people = people, deadline = deadline }
end

--- What a step's options ask for: { text, people, deadline }, or nil. text may be a
-- function of the parameters.
function approval.wanted(name, options)
  local wish = options.approve
  if wish == false then return nil end
  if wish == nil then return options.risk == "irreversible" and { people = 1 } or nil end
  if wish == true then return { people = 1 } end
  if type(wish) == "string" or type(wish) == "function" or unknown.is(wish) then
    return { text = wish, people = 1 }
  end
  if type(wish) == "table" then return check(name, wish) end
  misuse(name, "approve is true, a text, a function that returns one, or { text =, people =, "
    .. "deadline = }")
end

-- Answers given by others since the run last looked.
local function fetch(s, path)
  for _, kind in ipairs { "approved", "refused" } do
    for _, event in ipairs(s.journal:of_kind(kind, s.approvals_seen[kind])) do
      s.approvals_seen[kind] = event.seq
      local data = value.decode(event.data)
      local list = s.history[kind == "approved" and "approvals" or "refusals"]
      list[event.path] = list[event.path] or {}
      if not data.here then table.insert(list[event.path], data) end
    end
  end
  return identity.count(s.history.approvals[path]), s.history.refusals[path]
end

local function has_agreed(s, path)
  for _, given in ipairs(s.history.approvals[path] or {}) do
    if identity.of(given) == s.user then return true end
  end
  return false
end

local function grant(s, q, how)
  local given = { by = s.user, account = s.user, host = s.host, how = how, here = true,
    shown = q.text }
  s:record("approved", q.path, given)
  s:emit("note", { text = ("approved by %s (%s)"):format(given.by, how), path = q.path })
end

local function refuse(s, q, by)
  s:record("refused", q.path, { by = by, account = s.user, host = s.host, here = true })
  control.raise("refused", ("step \"%s\" was refused by %s"):format(q.step, by))
end

local function plain_text(name) return ("step \"%s\" cannot be taken back"):format(name) end

-- What a function says at this moment. One that fails stops nobody from deciding: they
-- decide knowing that it could not be found out.
local function found_out(s, st, fn)
  local probe = scope.new(s, "probe", st.path .. "/approve", st.here)
  local ok, text = pcall(task.timeout, TEXT_SECONDS, function()
    local result = table.pack(probe:call(fn, control.handler, s.params))
    if not result[1] then error(result[2], 0) end
    return result[2]
  end)
  if ok and type(text) == "string" and text:find("%S") then return text end
  local e = not ok and errors.from(text)
  if e and (control.of(e) or e.kind == "cancelled") then error(e, 0) end
  local got = type(text) == "string" and "nothing" or type(text)
  return ("%s; how things stand now could not be found out: %s"):format(plain_text(st.name),
    e and tostring(e) or ("the function of approve returned %s, not a text"):format(got))
end

--- The text that is shown for a wish at this moment.
function approval.text(s, st, wish)
  if type(wish.text) == "function" then return found_out(s, st, wish.text) end
  return wish.text or plain_text(st.name)
end

local function names_of(list)
  local names = {}
  for i, given in ipairs(list or {}) do names[i] = given.by end
  return #names > 0 and names or nil
end

local function question(s, st, wish)
  local q = { run = s.id, step = st.name, path = st.path, people = wish.people,
    given = identity.count(s.history.approvals[st.path]),
    by = names_of(s.history.approvals[st.path]), text = approval.text(s, st, wish),
    risk = st.options and st.options.risk, undo = st.options and st.options.undo and true or false,
    changes = s:preview(st), deadline = wish.deadline }
  s:record("approval_asked", st.path, { text = q.text, people = q.people, changes = q.changes })
  s:emit("approval_needed", q)
  return q
end

-- One look for an answer, a second long: this terminal's, unless its account has agreed.
local function ask_here(s, q)
  if not has_agreed(s, q.path) then return s.operator:ask_approval(q, 1) end
  task.sleep(1)
end

-- Waits at the terminal, or for another terminal, until there are enough.
local function wait(s, wish, q, asked)
  while true do
    local count, refusals = fetch(s, q.path)
    if refusals then refuse(s, q, refusals[1].by) end
    if count >= wish.people then return end
    if wish.deadline and s:now() >= asked + wish.deadline then
      control.raise("refused", ("step \"%s\": no approval within %s"):format(q.step,
        duration.format(wish.deadline)))
    end
    local answer = ask_here(s, q)
    if answer == "yes" then
      grant(s, q, "at the terminal")
      if identity.count(s.history.approvals[q.path]) < wish.people then
        s.operator:wait_for_others(q)
      end
    end
    if answer == "no" then refuse(s, q, s.user) end
  end
end

-- --yes is one person's. A rehearsal has nobody else to ask, and nothing to lose.
local function assume(s, wish, q)
  if not has_agreed(s, q.path) then grant(s, q, "--yes") end
  if sys.getenv("DRLUA_REHEARSAL")
    or identity.count(s.history.approvals[q.path]) >= wish.people then
    return true
  end
  if s.operator then s.operator:wait_for_others(q) end
  return false
end

local function pause(s, wish, q)
  local others = wish.people > 1 and (" (%d of %d people have agreed; each by a "
    .. "different account)"):format(
    identity.count(s.history.approvals[q.path]), wish.people) or ""
  control.raise("pause",
    ("step \"%s\" waits for approval%s: drlua approve %s %s, then drlua resume %s"):format(
      q.step, others, s.id, ending.quoted(q.path), s.id),
    { reason = "approval", step = q.step, path = q.path })
end

-- The approval was given before, in another process. What was known then may be old: how
-- things stand as the step begins is noted as well.
local function note_change(s, st, wish)
  if type(wish.text) ~= "function" or (st.record and next(st.record.calls)) then return end
  s:note("as the approved step begins: " .. found_out(s, st, wish.text), st)
end

--- Asks for approval of a step (or of dr.approve); returns when it is given, raises
-- a pause when nobody is there to give it, and a control error when it is refused.
function approval.ask(s, st, wish)
  if fetch(s, st.path) >= wish.people then return note_change(s, st, wish) end
  local asked = s:now()
  local q = question(s, st, wish)
  if s.assume_yes and assume(s, wish, q) then return end
  if not s.operator then pause(s, wish, q) end
  s:waiting(st, "approval")
  local ok, e = xpcall(wait, control.handler, s, wish, q, asked)
  s.operator:forget()
  st.waited = (st.waited or 0) + (s:now() - asked)
  s:waiting(st, nil)
  if not ok then error(e, 0) end
end

--- What people were last shown for the step at `path`: { text, people, changes }, or nil.
function approval.shown(journal, path)
  local last
  for _, event in ipairs(journal:of_kind("approval_asked")) do
    if event.path == path then last = event end
  end
  return last and value.decode(last.data)
end

--- Writes an approval or a refusal into the journal of a run that waits (or will
-- wait) for it. who: { by (a name, as the person gave it), account (theirs), host }.
function approval.give(journal, path, who, answer)
  local shown = approval.shown(journal, path)
  journal:add(answer == "no" and "refused" or "approved", path,
    { by = who.by, account = who.account, host = who.host,
    how = who.by ~= who.account and "drlua approve, typed by " .. who.account or "drlua approve",
    shown = shown and shown.text, at = clock.now() })
end

return approval
