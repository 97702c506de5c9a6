--- The verbs about playbooks themselves: list, help, new.
local duration = require "duration"
local errors = require "errors"
local fs = require "native.fs"
local library = require "cli.library"
local options = require "cli.options"
local value = require "run.value"
local version = require "version"
local write = require "cli.write"

local catalogue = {}

--- drlua list
function catalogue.list(parsed)
  local found = 0
  for _, directory in ipairs(library.directories()) do
    for _, path in ipairs(library.paths(directory)) do
      local loaded, e = errors.try(library.load, path)
      found = found + 1
      if parsed.output == "json" then
        write.json { path = path, title = loaded and loaded.definition.title,
          summary = loaded and loaded.definition.summary, error = e and tostring(e) }
      elseif loaded then
        write.out(("%-44s %s\n"):format(path, loaded.definition.summary or loaded.definition.title))
      else
        write.out(("%-44s cannot be loaded: %s\n"):format(path, tostring(e)))
      end
    end
  end
  if found == 0 and parsed.output ~= "json" then
    write.out("no playbooks in ", table.concat(library.directories(), " or "), "\n")
  end
  return 0
end

local GENERAL = [[
drlua PLAYBOOK.lua [--env NAME] [--PARAM VALUE ...]   run a playbook (the verb `run` may be written)
drlua plan      PLAYBOOK.lua [...]   say what it would do; change nothing
drlua check     PLAYBOOK.lua [...]   readiness: would this work if the disaster were now?
drlua rehearse  PLAYBOOK.lua [...]   run it in the embedded simulator, with a disaster and faults
drlua resume RUN | rollback RUN | approve RUN STEP | pause RUN | runs | show RUN | report RUN
drlua verify RUN                     prove that nothing of a run's journal was lost or changed
drlua sim       [--listen 127.0.0.1:4566] [--world FILE]   the simulator, for any AWS client
drlua list | help [VERB|PLAYBOOK] | doc SERVICE[.OPERATION] | new NAME | script FILE.lua [ARG ...]

--env NAME         environment: env/NAME.lua next to the playbook
--PARAM VALUE      a parameter; --set name=value says the same; --no-PARAM takes it away
--yes              answer every approval yes, for one person
--output text|json one JSON object a line on stdout
--state DIR        where runs are kept (default: $DRLUA_STATE, $XDG_STATE_HOME/drlua, ~/.local/state/drlua)
--trace            show where in the code an error came from

Exit codes: 0 done, 1 the run failed, 2 usage or bad input (nothing was started), 3 not ready,
4 paused for an approval, 5 another run holds the lock, 130 interrupted (resumable).
]]

local VERBS = {
  run = "drlua [run] PLAYBOOK.lua [--env NAME] [--PARAM VALUE ...] [--yes]\n\nRuns "
    .. "the playbook. Every step is "
    .. "journaled; after a crash or Ctrl-C, `drlua resume RUN` continues it.\n",
  plan = "drlua plan PLAYBOOK.lua [...] [--iam]\n\nSays what the run would do, reading "
    .. "only. --iam prints the IAM "
    .. "policy that the run needs.\n",
  check = "drlua check PLAYBOOK.lua [...]\n\nRuns the playbook's `ready`, reading only. "
    .. "Exit 0: ready; 3: not ready.\n",
  rehearse = "drlua rehearse PLAYBOOK.lua [--fault KIND:FIELD=VALUE,...] [--policy "
    .. "FILE] [--seed N] [--speed N]\n"
    .. "       [--durations slow|typical|fast|FILE]\n"
    .. "drlua rehearse PLAYBOOK.lua --sweep [--only writes|calls] [--limit N] [--jobs N]\n"
    .. "       [--rollback] [--pairs N] [--point N]\n\nRuns the playbook in the embedded simulator "
    .. "as its rehearsal file says, then checks the file's expectations.\n"
    .. "--durations: how long AWS takes (default: typical)\n--policy: the simulator "
    .. "lets through only what this IAM policy allows (`drlua plan --iam` prints one).\n"
    .. "--sweep runs it again and "
    .. "again, breaking one call or killing drlua at one journal write each "
    .. "time, and compares the ends.\n",
  resume = "drlua resume RUN [--accept-changes] [--from STEP] [--skip STEP --because TEXT]\n"
    .. "       [--settle CALL=done|again] [--optional] [--takeover] [--yes]\n\n"
    .. "Continues a run. RUN is its id, a part of it, or `last` (the newest that is no rehearsal). "
    .. "Finished steps are not run again.\n"
    .. "--settle: answers a call in doubt; the pause prints the command.\n"
    .. "--optional: tries the optional steps that failed once more.\n"
    .. "--takeover: takes the run from a process that cannot be seen from here, on a machine that "
    .. "is lost. Should it live after all, it stops before its next call.\n",
  verify = "drlua verify RUN\n\nProves a run's journal: every entry carries a hash over "
    .. "the one before, and the file "
    .. "head beside the journal notes the newest. Prints the number of entries and the "
    .. "newest hash. Exit 0: whole; 1: "
    .. "the first entry that does not fit is named.\n",
  rollback = "drlua rollback RUN [--settle CALL=done|again] [--accept-changes] [--takeover] "
    .. "[--yes]\n\nUndoes every step that changed something and has an undo, newest first. "
    .. "What cannot be undone\nis listed as work to do by hand; then the exit code is 1. "
    .. "Interrupted, it is continued by\n`drlua resume RUN` or by `drlua rollback RUN`.\n",
  approve = "drlua approve RUN [STEP] [--no] [--as NAME]\n\nAnswers an approval that "
    .. "a run waits for, from any "
    .. "terminal. --as: the name of the person who agrees; it is the account "
    .. "they type from that counts.\n",
  pause = "drlua pause RUN\n\nA living run stops before its next step "
    .. "(exit 4) and can be resumed.\n",
  runs = "drlua runs\n\nLists the runs, newest first.\n",
  show = "drlua show RUN\n\nShows a run's steps, what it leaves, whose approval it waits "
    .. "for, and the command that "
    .. "takes it further.\n",
  report = "drlua report RUN\n\nPrints the run's report (Markdown).\n",
  list = "drlua list\n\nLists the playbooks of ./playbooks and of the installation.\n",
  new = "drlua new NAME\n\nWrites playbooks/NAME.lua, a playbook to start "
    .. "from, and its rehearsal.\n",
  sim = "drlua sim [--listen HOST:PORT] [--open-to-network] [--world FILE] [--speed N] [--seed N]\n"
    .. "          [--durations slow|typical|fast|FILE]\n\n"
    .. "Serves the simulator to any AWS client (AWS_ENDPOINT_URL). Changes under /_sim/ need the "
    .. "token that it prints, or that DRLUA_SIM_TOKEN names.\n",
  doc = "drlua doc [SERVICE[.OPERATION]]\n\nShows AWS's own documentation: "
    .. "the services, one with its "
    .. "operations and waits, or one operation.\n",
  script = "drlua script FILE.lua [ARG ...]\n\nRuns plain Lua with the "
    .. "standard library on its path.\n",
  help = "drlua help [VERB|PLAYBOOK]\n",
}

local function shown_default(p)
  if p.secret then return "" end
  if p.type == "duration" and type(p.default) == "number" then return duration.format(p.default) end
  if type(p.default) == "table" then return value.encode(p.default) end
  return tostring(p.default)
end

local function describe(loaded)
  local d = loaded.definition
  write.out(d.title, "\n")
  if d.summary then write.out("  ", d.summary, "\n") end
  if d.description then write.out("\n", d.description, "\n") end
  if d.targets then
    local parts = {}
    for name, v in pairs(d.targets) do
      if type(v) ~= "table" then table.insert(parts, name:upper() .. " " .. tostring(v)) end
    end
    table.sort(parts)
    write.out("  targets: ", table.concat(parts, ", "), "\n")
  end
  write.out("\nParameters:\n")
  for _, p in ipairs(d.params) do
    local facts = {}
    if p.required then table.insert(facts, "required") end
    if p.default ~= nil then table.insert(facts, "default " .. shown_default(p)) end
    if p.choices then
      local texts = {}
      for i, c in ipairs(p.choices) do texts[i] = tostring(c) end
      table.insert(facts, "one of " .. table.concat(texts, " "))
    end
    if p.secret then table.insert(facts, "secret") end
    if p.env then table.insert(facts, "from $" .. p.env) end
    write.out(("  --%-20s %-9s %s%s\n"):format(p.name:gsub("_", "-"), p.type, p.help or "",
      #facts > 0 and " (" .. table.concat(facts, "; ") .. ")" or ""))
  end
end

--- drlua help [VERB|PLAYBOOK]
function catalogue.help(parsed)
  local topic = parsed.words and parsed.words[1]
  if not topic then
    write.out("drlua ", version, "\n\n", GENERAL)
  elseif VERBS[topic] then
    write.out(VERBS[topic])
  else
    describe(library.load(library.find(topic)))
  end
  return 0
end

function catalogue.version()
  write.out("drlua ", version, "\n")
  return 0
end

local TEMPLATE = [[
-- %s
--
--     drlua plan playbooks/%s.lua
--     drlua playbooks/%s.lua
local aws = require "aws"
local dr = require "drlua"

return dr.playbook {
  title   = "%s",
  summary = "What this brings back, in one sentence.",
  targets = { rto = "4h", rpo = "1h" },

  params = {
    { "region", type = "region", default = "us-east-1", help = "where to work" },
  },

  -- drlua check: what must hold before the day.
  ready = function(p)
    dr.check("AWS answers", function()
      aws.sts { region = p.region }:get_caller_identity {}
    end)
  end,

  run = function(p)
    dr.step("Look at what is there", { risk = "read", budget = "5m" }, function()
      return aws.sts { region = p.region }:get_caller_identity {}.Account
    end)
  end,
}
]]

local REHEARSAL = [[
-- The rehearsal of playbooks/%s.lua: drlua rehearse playbooks/%s.lua
return {
  title = "An empty world",
  world = {}, -- instances, replicas, zones ...: what there is before the disaster
  -- disaster = { kind = "region_down", region = "us-east-1" },

  -- What must be true in the end.
  expect = function(state)
    state.expect("it looked at what is there", state.count("sts", "GetCallerIdentity") > 0)
  end,
}
]]

local function save(path, text)
  local directory = path:match("^(.*)/")
  -- 0755
  if not fs.stat(directory) then errors.check("make " .. directory, fs.mkdir(directory, 493)) end
  errors.check("write " .. path, fs.write(path, text, { mode = 420 })) -- 0644
  write.out(path, "\n")
end

--- drlua new NAME: a playbook and its rehearsal.
function catalogue.new(parsed)
  local name = parsed.words[1]
  if not name or not name:find("^[%w_-]+$") then
    options.usage("new: give the playbook a name of letters, digits, - and _")
  end
  local stem = name:gsub("-", "_")
  local path = ("playbooks/%s.lua"):format(stem)
  local rehearsal = ("playbooks/rehearsals/%s.lua"):format(stem)
  for _, one in ipairs { path, rehearsal } do
    if fs.stat(one) then options.usage("%s exists already", one) end
  end
  local title = stem:gsub("_", " "):gsub("^%l", string.upper)
  save(path, TEMPLATE:format(title, stem, stem, title))
  save(rehearsal, REHEARSAL:format(stem, stem))
  return 0
end

return catalogue
