--- The sandbox that playbooks run in.
--
-- Ordinary Lua, without the ways around the gate: no native modules, no writing of
-- files or starting of programs by io and os, no bytecode, no C libraries, no debug
-- library. Reading an undefined global is an error with file and line. Files of a
-- playbook are read once and remembered, so that the journal can keep them.
local clock = require "native.clock"
local crypto = require "native.crypto"
local confidential = require "confidential"
local control = require "run.control"
local errors = require "errors"
local facade = require "run.facade"
local fs = require "native.fs"
local globals = require "run.globals"
local lift = require "run.lift"
local nearest = require "nearest"
local routines = require "run.routines"
local scope = require "run.scope"
local secrets = require "run.secrets"
local printable = require("text").printable
local strict = require "strict"

local sandbox = {}
sandbox.__index = sandbox

-- What playbooks may require of the standard library, besides toolbox.*.
local open = { drlua = true, aws = true, sql = true, http = true, process = true, json = true,
  files = true,
  text = true, time = true, duration = true, nearest = true, errors = true, ["aws.sigv4"] = true }

local function withheld(name, instead)
  return function()
    control.misuse("%s is not for playbooks: %s", name, instead)
  end
end

local function reading_io()
  local room = {}
  function room.open(path, mode)
    mode = mode or "r"
    if not mode:find("^rb?$") then
      control.misuse("io.open(%q, %q) writes past the gate: use files.write", tostring(path), mode)
    end
    return io.open(path, mode)
  end
  function room.lines(path, ...)
    if path == nil then control.misuse("io.lines needs a file's name here") end
    return io.lines(path, ...)
  end
  room.type = io.type
  for name, instead in pairs { popen = "use process.run", output = "use files.write",
    write = "use dr.note",
    input = "use io.open", read = "use io.open", tmpfile = "use files.write",
      close = "close the file itself" } do
    room[name] = withheld("io." .. name, instead)
  end
  return room
end

local function now()
  local here = scope.current()
  return here and here.session.time and here.session:time() or clock.now()
end

local function variable(name)
  local here = scope.current()
  return secrets.variable(name, here and here.session.secrets)
end

local function quiet_os()
  local room = { clock = os.clock, difftime = os.difftime, getenv = variable }
  -- By the run's clock: the same again on a replay.
  function room.time(t) return t and os.time(t) or math.floor(now()) end
  function room.date(format, t) return os.date(format or "!%Y-%m-%dT%H:%M:%SZ", math.floor(t
    or now())) end
  for name, instead in pairs { execute = "use process.run", exit = "use dr.fail",
    remove = "use files.remove",
    rename = "use files.rename", tmpname = "use files", setlocale = "", setenv = "" } do
    room[name] = withheld("os." .. name, instead)
  end
  return room
end

-- The same numbers again on a replay, in another attempt and in another process, since a
-- resumed step must make the calls it made: each is drawn from the run, the place in it
-- and how many were drawn there before.
local function random(...)
  local here = scope.current()
  if not here then return math.random(...) end
  local step = here:innermost_step()
  local drawn = (here.drawn or 0) + 1
  here.drawn = drawn
  local generation = step and step.record and step.record.generation or 0
  local hash = crypto.sha256(table.concat({ here.session.nonce or "", here.path, generation,
    drawn }, "\0"))
  math.randomseed(string.unpack("<i8i8", hash))
  local ok, number = pcall(math.random, ...)
  math.randomseed()
  if not ok then control.misuse("math.random: %s", tostring(number)) end
  return number
end

local function hand_on(ok, ...)
  if not ok and control.passes((...)) then error((...), 0) end
  return ok, ...
end

-- The metatables that playbooks made: only those are theirs to look at and to change.
-- Through the library's own (of strings, of errors, of handles) a function of a playbook
-- would be called by the library, outside of any step.
local own_metatables = setmetatable({}, { __mode = "k" })

-- A collector's finalizer may not be a way to be called outside of any run.
local function safe_setmetatable(t, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    control.misuse("a finalizer (__gc) is not for playbooks: what must happen is a step")
  end
  local former = getmetatable(t)
  if former ~= nil and not own_metatables[former] then
    control.misuse("the metatable of a %s of the library cannot be changed", type(t))
  end
  if type(meta) == "table" then own_metatables[meta] = true end
  return setmetatable(t, meta)
end

local function safe_getmetatable(value)
  local meta = getmetatable(value)
  if type(value) ~= "table" or type(meta) ~= "table" then return type(value) == "table" and meta
    or nil end
  return own_metatables[meta] and meta or nil
end

local function protected_call(fn, ...) return hand_on(pcall(fn, ...)) end
local function protected_call_with(fn, handler, ...)
  return hand_on(xpcall(fn, function(e)
    if control.passes(e) then return e end
    return handler(e)
  end, ...))
end

-- The keys of a table in an order that is the same in every process, since a resumed step
-- must make the same calls in the same order, and Lua seeds its hashes per process:
-- numbers, texts, false and true. Other keys (tables) have no order to go by.
local function sorted_keys(t)
  local numbers, texts, others = {}, {}, {}
  local in_order = true
  for key in next, t do
    local kind = type(key)
    if kind == "number" then
      numbers[#numbers + 1] = key
      in_order = in_order and key == #numbers
    elseif kind == "string" then
      texts[#texts + 1] = key
    elseif kind ~= "boolean" then
      others[#others + 1] = key
    end
  end
  if not in_order then table.sort(numbers) end
  table.sort(texts)
  local keys = table.move(texts, 1, #texts, #numbers + 1, numbers)
  for _, key in ipairs { false, true } do
    if rawget(t, key) ~= nil then keys[#keys + 1] = key end
  end
  return table.move(others, 1, #others, #keys + 1, keys)
end

-- As `next` does it, a key whose value went away meanwhile is passed over.
local function sorted_pairs(t)
  local meta = getmetatable(t)
  if type(meta) == "table" and meta.__pairs ~= nil then return pairs(t) end
  if type(t) ~= "table" then
    error(("bad argument #1 to 'pairs' (table expected, got %s)"):format(t == nil and "nil"
      or type(t)), 2)
  end
  local keys, i = sorted_keys(t), 0
  return function()
    while true do
      i = i + 1
      local key = keys[i]
      if key == nil then return nil end
      local v = rawget(t, key)
      if v ~= nil then return key, v end
    end
  end, t, nil
end

local function plain_copy(library)
  local copy = {}
  for k, v in pairs(library) do copy[k] = v end
  return copy
end

local function run_math()
  local room = plain_copy(math)
  room.random, room.randomseed = random, function() end
  return room
end

local function base(self)
  local env = {
    assert = assert, error = error, getmetatable = safe_getmetatable, ipairs = ipairs, next = next,
    pairs = sorted_pairs,
    rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select,
    setmetatable = safe_setmetatable, tonumber = tonumber, tostring = tostring, type = type,
      _VERSION = _VERSION,
    pcall = protected_call, xpcall = protected_call_with,
    collectgarbage = withheld("collectgarbage", "it runs by itself"),
    math = run_math(), string = plain_copy(string), table = plain_copy(table),
      utf8 = plain_copy(utf8),
    coroutine = routines.library(), io = reading_io(), os = quiet_os(),
      debug = { traceback = debug.traceback },
    dofile = withheld("dofile", "use require"), loadfile = withheld("loadfile", "use require"),
  }
  env._G = env
  lift.globals(env)
  env.string.dump = withheld("string.dump", "bytecode is never loaded")
  env.package = { loaded = {}, path = "", cpath = "", config = package.config,
    loadlib = withheld("package.loadlib", "C libraries cannot be loaded") }
  function env.load(chunk, name, mode, scope_of)
    if mode ~= nil
      and mode ~= "t" then control.misuse("load takes source text only here (mode \"t\")") end
    if name == nil and type(chunk) == "string" then name = chunk end
    name = name == nil and "=(load)" or tostring(name)
    if not name:find("^@stdlib/") then control.register_source(name) end
    return load(chunk, name, "t", scope_of or env)
  end
  function env.print(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    self.print(table.concat(parts, "\t"))
  end
  function env.require(name) return self:require(name) end
  return env
end

--- Makes a room. options.environment: the table that `require "env"` gives.
function sandbox.new(options)
  local environment = options and options.environment or {}
  local self = setmetatable({ sources = {}, loaded = {}, environment = environment }, sandbox)
  self.print = function(text)
    local here = scope.current()
    if here and here.session.note then return here.session:note(text) end
    io.stderr:write(printable(confidential.mask(text)), "\n")
  end
  self.env = base(self)
  strict.guard(self.env)
  return self
end

local function names_of(env)
  local names = {}
  for name in next, env do table.insert(names, name) end
  return names
end

local function refuse_undefined(self, path, chunk)
  local known = {}
  for name in next, self.env do known[name] = true end
  local first = globals.undefined(chunk, known)[1]
  if not first then return end
  local text = first.written and ("assignment to global \"%s\": write local before it")
    or "undefined global \"%s\": a missing local or require" .. nearest.hint(first.name,
      names_of(self.env))
  errors.raise { kind = "usage", where = ("%s:%d"):format(path, first.line),
    message = text:format(first.name) }
end

-- Loads and runs a file as the room's, with every effect refused meanwhile.
local function run_file(self, path, text, refuse)
  control.register_source("@" .. path)
  self.sources[path] = text
  -- A byte order mark and a #! line are no Lua; lines keep their numbers.
  local code = text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", "")
  local chunk, message = load(code, "@" .. path, "t", self.env)
  if not chunk then
    local where, what = message:match("^(.-:%d+): (.*)$")
    errors.raise { kind = "usage", message = what or message, where = where }
  end
  refuse_undefined(self, path, chunk)
  local loading = scope.new({ gate = refuse, secrets = nil }, "load", "", nil)
  local result = table.pack(loading:call(chunk, control.handler))
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

local function beside(self, name)
  local relative = name:gsub("%.", "/")
  for _, directory in ipairs(self.directories or {}) do
    local stem = ("%s/%s"):format(directory, relative)
    for _, path in ipairs { stem .. ".lua", stem .. "/init.lua" } do
      local text = fs.read(path)
      if text then return path, text end
    end
  end
end

local function refuse_module(name)
  local why = name:find("^native%.") and "native modules are the standard library's own"
    or "it is a part of drlua's inside"
  control.misuse("require \"%s\": %s", name, why)
end

local function inside(name)
  return name:find("^native%.") or name:find("^run%.") or name:find("^sim%.") or name:find("^cli%.")
    or name == "sim" or name == "effect" or name == "task" or name == "strict" or name == "unknown"
      or name == "cjson"
end

--- `require` inside the room: the playbook's own files, then the standard library as
-- far as it is open.
function sandbox:require(name)
  if type(name) ~= "string" then control.misuse("require takes a module's name") end
  if self.loaded[name] ~= nil then return self.loaded[name] end
  if name == "env" then return self.environment end
  local library = { string = 1, table = 1, math = 1, utf8 = 1, coroutine = 1, io = 1, os = 1 }
  if library[name] then return self.env[name] end
  if inside(name) then refuse_module(name) end
  if open[name] or name:find("^toolbox%.") then
    local ok, module = pcall(require, name)
    if ok then
      self.loaded[name] = name == "aws" and facade.aws(module) or facade.module(name, module)
      return self.loaded[name]
    end
    if not tostring(module):find("module '" .. name .. "' not found", 1, true) then error(module,
      0) end
  end
  local path, text = beside(self, name)
  if not path then
    control.misuse(
      "require \"%s\": there is no such module, neither next to the playbook nor in drlua", name)
  end
  local module = run_file(self, path, text, self.refuse)
  if module == nil then module = true end
  self.loaded[name] = module
  return module
end

--- Runs a file in the room and returns its values. refuse: the gate meanwhile.
function sandbox:load(path, refuse)
  local text, message, kind = fs.read(path)
  if not text then
    errors.raise { kind = "usage", message = kind == "missing"
      and ("there is no file %s"):format(path)
      or ("%s cannot be read: %s"):format(path, message) }
  end
  if text:byte(1) == 27 then
    errors.raise { kind = "usage", message = path .. " is compiled Lua: a playbook is source text" }
  end
  local directory = path:match("^(.*)/[^/]*$") or "."
  self.directories, self.refuse = { directory, directory .. "/.." }, refuse
  return run_file(self, path, text, refuse)
end

return sandbox
