-- A canary in a secret parameter, looked for everywhere in every form it can take.
local crypto = require "native.crypto"
local fs = require "native.fs"
local program = require "program"
local t = require "harness"

local CANARY = 'cAn4ry-7f3"q\\o/t+e é&x'

local function encoded(text)
  local percent = text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end)
  return { text, (text:gsub('["\\]', "\\%0")), percent,
    crypto.base64(text):sub(1, -5), crypto.base64("x" .. text):sub(3, -5), crypto.base64("xy" .. text):sub(5, -5) }
end

local function everything(w, texts)
  for _, path in ipairs(fs.glob(w.directory .. "/state/runs/*/*") or {}) do
    local found = fs.stat(path)
    if found and found.type == "file" then table.insert(texts, fs.read(path)) end
  end
  return table.concat(texts, "\n")
end

local function hidden(w, r)
  local all = everything(w, { r.out, r.err })
  for i, form in ipairs(encoded(CANARY)) do
    t.ok(not all:find(form, 1, true), ("form %d of the secret is shown: %s"):format(i, form))
  end
end

local PARAMS = 'params = { { "pw", secret = true, env = "CANARY" } },'

t.test("no form of a secret is shown or kept: as JSON, in a URL, as base64 at any place", function()
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local process = require "process"
    local got = dr.step("Read back", function()
      return process.run { "sh", "-c", 'for before in "" x xy; do printf %s "$before$PW" | base64 -w0; done',
        env = { PW = p.pw } }.stdout
    end)
    dr.note(got)
    local json = require "json"
    dr.step("As JSON", function() return json.encode { pw = p.pw, inner = json.encode { p.pw } } end)
    dr.step("Kept", function() if not got:find("Y0FuNHJ5", 1, true) then dr.fail("lost") end end)
    dr.step("Fails", function() error("with " .. p.pw) end)
  ]], PARAMS) }
  for _, output in ipairs { "text", "json" } do
    local r = w.run({ "a.lua", "--trace", "--output", output }, { env = { CANARY = CANARY } })
    t.equal(r.code, 1)
    t.contains(r.out .. r.err, "with ***")
    hidden(w, r)
  end
end)

t.test("a program gets a secret only by name, and never as an argument", function()
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local process = require "process"
    dr.step("Environment", function()
      local seen = process.run { "sh", "-c",
        "cat /proc/$$/environ; echo; echo ${CANARY:-unset} ${DRLUA_PARAM_PW:-unset}" }
      if not seen.stdout:find("unset unset", 1, true) then dr.fail("the child has it") end
    end)
    dr.step("Argument", function() process.run { "true", "--password=" .. p.pw } end)]], PARAMS) }
  for _, name in ipairs { "CANARY", "DRLUA_PARAM_PW" } do
    local r = w.run({ "a.lua" }, { env = { [name] = CANARY } })
    t.equal(r.code, 1)
    t.contains(r.out, "the secret pw is among the arguments")
    hidden(w, r)
  end
end)

t.test("the secret's own process keeps it to itself: no core, not readable by others", function()
  local w = program.workspace { ["a.lua"] = program.playbook([[
    local process = require "process"
    dr.step("Limits", function()
      return process.run { "sh", "-c", "grep 'core file' /proc/$PPID/limits; stat -c %u /proc/$PPID/environ" }.stdout
    end)]], PARAMS) }
  local r = w.run({ "a.lua", "--output", "json" }, { env = { CANARY = CANARY } })
  t.equal(r.code, 0, r.err)
  t.contains(r.out, "Max core file size        0 ")
end)
