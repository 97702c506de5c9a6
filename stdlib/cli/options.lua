--- The command line, read once: verb, playbook or run, options, parameters.
--
-- Options known to drlua may stand anywhere. Where a playbook is named every other
-- --NAME VALUE is a parameter of it (an underscore may be typed as a dash).
local errors = require "errors"
local nearest = require "nearest"

local options = {}

-- Options that every verb takes; true: takes a value.
local common = { output = true, state = true, trace = false, help = false }
local for_playbook = { env = true, set = true, yes = false }

--- The verbs: what they work on, their own options, and how many words they take (1
-- where they work on something, else none).
options.verbs = {
  run = { on = "playbook", own = {} },
  plan = { on = "playbook", own = { iam = false } },
  check = { on = "playbook", own = {} },
  rehearse = { on = "playbook",
    own = { fault = true, seed = true, sweep = false, speed = true, only = true,
    limit = true, jobs = true, policy = true, durations = true, rollback = false, pairs = true,
    point = true } },
  resume = { on = "run",
    own = { yes = false, ["accept-changes"] = false, from = true, skip = true, because = true,
    settle = true, set = true, takeover = false, optional = false } },
  rollback = { on = "run",
    own = { yes = false, ["accept-changes"] = false, settle = true, set = true,
    takeover = false } },
  approve = { on = "run", words = 2, own = { no = false, as = true } },
  pause = { on = "run", own = {} },
  runs = { own = {} },
  show = { on = "run", own = {} },
  report = { on = "run", own = {} },
  verify = { on = "run", own = {} },
  list = { own = {} },
  help = { words = 1, own = {} },
  new = { words = 1, own = {} },
  doc = { words = 2, own = {} },
  sim = { own = { listen = true, world = true, speed = true, seed = true, durations = true,
    ["open-to-network"] = false } },
  script = { raw = true },
  version = { own = {} },
}

local short = { h = "help", y = "yes", o = "output" }

function options.usage(text, ...)
  errors.raise { kind = "usage", message = select("#", ...) > 0 and text:format(...) or text }
end

local function known_of(verb)
  local known = {}
  for name, takes in pairs(common) do known[name] = takes end
  if verb.on == "playbook" then
    for name, takes in pairs(for_playbook) do known[name] = takes end
  end
  for name, takes in pairs(verb.own or {}) do known[name] = takes end
  return known
end

local function names_of(known)
  local names = {}
  for name in pairs(known) do table.insert(names, "--" .. name) end
  return names
end

-- Reads one option at index i; returns the index of the next word.
local function read_option(parsed, verb, known, words, i)
  local word = words[i]
  local name, value = word:match("^%-%-([^=]+)=(.*)$")
  name = name or word:match("^%-%-(.+)$") or short[word:match("^%-(%a)$") or ""]
  if not name then options.usage("unknown option %s", word) end
  local takes = known[name]
  if takes == nil and verb.on ~= "playbook" and not known.set then
    options.usage("unknown option --%s%s", name, nearest.hint("--" .. name, names_of(known)))
  end
  if takes == false then
    if value then options.usage("--%s takes no value", name) end
    parsed[name] = true
    return i + 1
  end
  if not value then
    value = words[i + 1]
    -- A parameter without a value is a switch; an option of ours needs its value.
    if value == nil or value:find("^%-%-%a") then
      if takes then options.usage("--%s needs a value", name) end
      value = nil
    else
      i = i + 1
    end
  end
  if takes then
    parsed[name] = parsed[name] and type(parsed[name]) == "table" and parsed[name] or value
    if name == "set" or name == "fault" or name == "settle" then
      parsed.lists[name] = parsed.lists[name] or {}
      table.insert(parsed.lists[name], value)
    end
  else
    local parameter = name:gsub("-", "_")
    parsed.params[parameter] = value or "true"
    parsed.switches[parameter] = value == nil or nil
  end
  return i + 1
end

local function add_sets(parsed)
  for _, pair in ipairs(parsed.lists.set or {}) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    if not name then options.usage("--set takes name=value, not \"%s\"", pair) end
    parsed.params[name:gsub("-", "_")] = value
  end
end

local function check_words(parsed, verb)
  local most = verb.words or (verb.on and 1 or 0)
  local extra = parsed.words[most + 1]
  if not extra or parsed.help then return end
  if verb.on == "playbook" then
    options.usage("%s: one playbook at a time; parameters are given as --NAME VALUE", extra)
  end
  options.usage("drlua %s takes %s; remove \"%s\" (`drlua help %s`)", parsed.verb,
    most == 0 and "no arguments" or most == 1 and "one argument" or "two arguments", extra,
    parsed.verb)
end

local function check(parsed, verb)
  check_words(parsed, verb)
  if parsed.output and parsed.output ~= "text" and parsed.output ~= "json" then
    options.usage("--output is text or json, not %s", parsed.output)
  end
  parsed.output = parsed.output or "text"
  if parsed.state == "" then options.usage("--state needs a directory") end
end

-- The verb of a command line, and the words after it.
local function verb_of(words)
  local first = words[1]
  if first == nil or first == "-h" or first == "--help" then return "help", {} end
  if first == "--version" then return "version", {} end
  if options.verbs[first] then return first, table.move(words, 2, #words, 1, {}) end
  for _, word in ipairs(words) do
    if word:find("%.lua$") and not word:find("^%-") then return "run", words end
  end
  if first:find("^%-") then
    options.usage("name a verb or a playbook; `drlua help` lists the verbs")
  end
  local names = {}
  for name in pairs(options.verbs) do table.insert(names, name) end
  table.sort(names)
  options.usage("no verb and no playbook is named %s%s (`drlua help` lists the verbs)", first,
    nearest.hint(first, names))
end

--- Reads the words after the program's name. Returns { verb, words (without options),
-- params, and each option by its name }.
function options.parse(words)
  local name, rest = verb_of(words)
  local verb = options.verbs[name]
  local parsed = { verb = name, words = {}, params = {}, switches = {}, lists = {} }
  if verb.raw then
    parsed.words = rest
    return parsed
  end
  local known, i = known_of(verb), 1
  while i <= #rest do
    if rest[i]:find("^%-.") then
      i = read_option(parsed, verb, known, rest, i)
    else
      table.insert(parsed.words, rest[i])
      i = i + 1
    end
  end
  add_sets(parsed)
  check(parsed, verb)
  return parsed
end

return options
