--- Approvals: a person says yes before something that cannot be taken back.
--
-- Asked for by `risk = "irreversible"`, by `approve = true | "text" | { text =,
-- people = 2, deadline = "1h" }`, and by dr.approve. Given at the terminal, by
-- `drlua approve RUN STEP` from another one, or by --yes. Every answer is journaled
-- with who and when; the run waits for as many different people as the step names.
local clock = require "native.clock"
local control = require "run.control"
local duration = require "duration"
local nearest = require "nearest"
local value = require "run.value"

local approval = {}

local known = { "deadline", "people", "text" }

local function check(name, wish)
  for key in pairs(wish) do
    local found = false
    for _, k in ipairs(known) do found = found or k == key end
    if not found then
      control.misuse("step \"%s\": unknown field %s of approve%s", name, tostring(key),
        nearest.hint(tostring(key), known))
    end
  end
  local people = wish.people or 1
  if math.type(people) ~= "integer" or people < 1 then
    control.misuse("step \"%s\": approve.people is the number of people who must agree", name)
  end
  local deadline, why
  if wish.deadline ~= nil then
    deadline, why = duration.parse(wish.deadline)
    if not deadline then control.misuse("step \"%s\": approve.deadline: %s", name, why) end
  end
  return { text = wish.text, people = people, deadline = deadline }
end

--- What a step's options ask for: { text, people, deadline }, or nil.
function approval.wanted(name, options)
  local wish = options.approve
  if wish == false then return nil end
  if wish == nil then return options.risk == "irreversible" and { people = 1 } or nil end
  if wish == true then return { people = 1 } end
  if type(wish) == "string" then return { text = wish, people = 1 } end
  if type(wish) == "table" then return check(name, wish) end
  control.misuse("step \"%s\": approve is true, a text, or { text =, people =, deadline = }", name)
end

local function people(list)
  local names, count = {}, 0
  for _, given in ipairs(list or {}) do
    if not names[given.by] then
      names[given.by] = true
      count = count + 1
    end
  end
  return count
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
  return people(s.history.approvals[path]), s.history.refusals[path]
end

-- A path as a word of the shell.
local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

local function grant(s, path, how)
  local given = { by = s.user, host = s.host, how = how, here = true }
  s:record("approved", path, given)
  local list = s.history.approvals[path] or {}
  s.history.approvals[path] = list
  table.insert(list, given)
  s:emit("note", { text = ("approved by %s (%s)"):format(given.by, how), path = path })
end

local function refuse(s, name, path, by)
  s:record("refused", path, { by = by, host = s.host, here = true })
  control.raise("refused", ("step \"%s\" was refused by %s"):format(name, by))
end

local function question(s, st, wish)
  local q = { run = s.id, step = st.name, path = st.path, people = wish.people,
    given = people(s.history.approvals[st.path]),
    text = wish.text or ("step \"%s\" cannot be taken back"):format(st.name),
    risk = st.options and st.options.risk, undo = st.options and st.options.undo ~= nil,
    changes = s:preview(st), deadline = wish.deadline }
  s:record("approval_asked", st.path, { text = q.text, people = q.people, changes = q.changes })
  s:emit("approval_needed", q)
  return q
end

-- Waits at the terminal, or for another terminal, until there are enough.
local function wait(s, st, wish, q, asked)
  while true do
    local count, refusals = fetch(s, st.path)
    if refusals then refuse(s, st.name, st.path, refusals[1].by) end
    if count >= wish.people then return end
    if wish.deadline and s:now() >= asked + wish.deadline then
      control.raise("refused", ("step \"%s\": no approval within %s"):format(st.name, duration.format(wish.deadline)))
    end
    local answer = s.operator:ask_approval(q, 1)
    if answer == "yes" then
      grant(s, st.path, "at the terminal")
      if people(s.history.approvals[st.path]) < wish.people then s.operator:wait_for_others(q) end
    end
    if answer == "no" then refuse(s, st.name, st.path, s.user) end
  end
end

--- Asks for approval of a step (or of dr.approve); returns when it is given, raises
-- a pause when nobody is there to give it, and a control error when it is refused.
function approval.ask(s, st, wish)
  if fetch(s, st.path) >= wish.people then return end
  local asked = s:now()
  local q = question(s, st, wish)
  if s.assume_yes then
    grant(s, st.path, "--yes")
    return
  end
  if not s.operator then
    control.raise("pause", ("step \"%s\" waits for approval: drlua approve %s %s, then drlua resume %s"):format(
      st.name, s.id, quoted(st.path), s.id), { reason = "approval", step = st.name, path = st.path })
  end
  s:waiting(st, "approval")
  local ok, e = xpcall(wait, control.handler, s, st, wish, q, asked)
  s.operator:forget()
  st.waited = (st.waited or 0) + (s:now() - asked)
  s:waiting(st, nil)
  if not ok then error(e, 0) end
end

--- Writes an approval or a refusal into the journal of a run that waits (or will
-- wait) for it. who: { by, host, user }, user being who typed it for `by`.
function approval.give(journal, path, who, answer)
  journal:add(answer == "no" and "refused" or "approved", path,
    { by = who.by, host = who.host, how = who.user and "drlua approve, typed by " .. who.user or "drlua approve",
      at = clock.now() })
end

return approval
