--- What a person, or a program, sees of a run while it is under way.
--
-- On a terminal: a line for what has ended, and below it a live line for every step
-- under way, with its elapsed time and budget. Into a pipe: plain lines. With
-- --output json: one JSON object a line on stdout. Everything for eyes alone goes to
-- stderr. Colours only on a terminal, and not with NO_COLOR.
local clock = require "native.clock"
local duration = require "duration"
local sys = require "native.sys"
local task = require "task"
local texts = require "text"
local value = require "run.value"

local screen = {}
screen.__index = screen

local colours = { done = "32", fail = "31", skip = "33", wait = "36", ask = "35", call = "2",
  note = "2", warn = "33",
  start = "1", check = "32" }

--- Makes a screen. output: "text" or "json".
function screen.new(output)
  local tty = output == "text" and sys.isatty(2) and sys.getenv("TERM") ~= "dumb"
  return setmetatable({ json = output == "json", tty = tty, live = {}, order = {}, drawn = 0,
    coloured = tty and (sys.getenv("NO_COLOR") or "") == "" }, screen)
end

local function json_line(event)
  local e = {}
  for k, v in pairs(event) do e[k] = v end
  e.time = clock.format(event.time, "rfc3339")
  for _, field in ipairs { "seconds", "waited", "rto", "rpo", "elapsed" } do
    if math.type(e[field]) == "float" then e[field] = tonumber(("%.3f"):format(e[field])) end
  end
  local ok, text = pcall(value.encode, e)
  if not ok then
    e.result = tostring(e.result)
    ok, text = pcall(value.encode, e)
  end
  io.stdout:write(ok and texts.printable_json(text) or "{}", "\n")
  io.stdout:flush()
end

function screen:paint(word, text)
  local colour = self.coloured and colours[word]
  if not colour then return text end
  return ("\27[%sm%s\27[0m"):format(colour, text)
end

local function clip(text, width)
  text = texts.printable((text:gsub("[\r\n\t]+", " ")))
  if utf8.len(text) and utf8.len(text) > width then
    return text:sub(1, utf8.offset(text, width) - 1) .. "…"
  end
  return text
end

--- Shows a question below everything else, until `asking` is taken away.
function screen:ask(text)
  self.asking = text
  io.stderr:write(texts.printable(text), " ")
  io.stderr:flush()
end

function screen:erase()
  if self.asking and self.tty then io.stderr:write("\r\27[J") end
  if self.drawn > 0 then io.stderr:write(("\r\27[%dA\27[J"):format(self.drawn)) end
  self.drawn = 0
end

local function live_line(entry, now)
  local text = ("%s  %s"):format(entry.name, duration.format(math.floor(now - entry.began)))
  if entry.budget then text = text .. " of " .. duration.format(entry.budget) end
  if entry.waiting then text = text .. "  " .. entry.waiting end
  return text
end

function screen:draw()
  if not self.tty then return end
  if self.asking then return self:ask(self.asking) end
  local width = sys.winsize(2) or 80
  local now, lines = clock.boottime(), {}
  for _, path in ipairs(self.order) do
    local entry = self.live[path]
    if entry then
      table.insert(lines,
        self:paint("start", clip("         … " .. live_line(entry, now), width - 1)))
    end
  end
  self.drawn = #lines
  if #lines > 0 then io.stderr:write(table.concat(lines, "\n"), "\n") end
  io.stderr:flush()
end

local function columns(text) return utf8.len(text) or #text end

-- A line too long for `width` columns, broken between words.
local function broken(text, width)
  local lines, line = {}, nil
  local indent = text:match("^ *")
  for word in text:gmatch("%S+") do
    if line and columns(line) + 1 + columns(word) > width then
      table.insert(lines, line)
      line = nil
    end
    line = line and line .. " " .. word or indent .. (#lines > 0 and "  " or "") .. word
  end
  table.insert(lines, line)
  return lines
end

local function wrapped(text, width)
  local lines = {}
  for piece in (text .. "\n"):gmatch("(.-)\n") do
    local parts = columns(piece) > width and broken(piece, width) or { piece }
    table.move(parts, 1, #parts, #lines + 1, lines)
  end
  return lines
end

local MARGIN = 16 -- the time (UTC) and the word before every line

function screen:line(at, word, text)
  self:erase()
  local head = clock.format(math.floor(at), "rfc3339"):sub(12)
  local width = self.tty and math.max((sys.winsize(2) or 80) - MARGIN, 30) or math.huge
  for _, piece in ipairs(wrapped(texts.printable(text), width)) do
    io.stderr:write(("%s %s %s\n"):format(head, self:paint(word, ("%-5s"):format(word)), piece))
    head, word = (" "):rep(9), ""
  end
  self:draw()
end

--- A sentence that belongs to no moment; its further lines are indented.
function screen:say(text)
  self:erase()
  io.stderr:write((texts.printable(text):gsub("\n", "\n  ")), "\n")
  self:draw()
end

local show = {}

function show.run_started(self, e)
  self:say(("%s · run %s%s%s"):format(e.title, e.run, e.environment and " · environment "
    .. e.environment or "",
    e.resumed and " · resumed" or e.rolling_back and " · rolling back" or ""))
  local targets = {}
  if e.targets and e.targets.rto then
    table.insert(targets, "RTO " .. duration.format(e.targets.rto))
  end
  if e.targets and e.targets.rpo then
    table.insert(targets, "RPO " .. duration.format(e.targets.rpo))
  end
  if #targets > 0 then self:say("targets: " .. table.concat(targets, ", ")) end
end

function show.step_started(self, e)
  self.live[e.path] = { name = e.step, began = clock.boottime(), budget = e.budget }
  table.insert(self.order, e.path)
  self:line(e.time, "start", e.step .. (e.continued and " (resuming)" or e.attempt and e.attempt > 1
    and (" (attempt %d)"):format(e.attempt) or "") .. (e.budget and ", budget "
    .. duration.format(e.budget) or ""))
end

local function forget(self, path)
  self.live[path] = nil
  for i = #self.order, 1, -1 do if self.order[i] == path then table.remove(self.order, i) end end
end

function show.step_succeeded(self, e)
  forget(self, e.path)
  local waited = e.waited and e.waited >= 1
    and (", %s of it waiting"):format(duration.format(e.waited)) or ""
  self:line(e.time, "done", ("%s  %s%s"):format(e.step, duration.format(e.seconds), waited))
end

function show.step_skipped(self, e)
  forget(self, e.path)
  self:line(e.time, "skip", ("%s: %s"):format(e.step, e.reason))
end

function show.step_failed(self, e)
  forget(self, e.path)
  self:line(e.time, e.optional and "warn" or "fail", ("%s: %s%s"):format(e.step, e.error,
    e.optional and " (optional: going on)" or ""))
end

function show.step_waiting(self, e)
  local text = ("waiting for %s%s"):format(e.what, e.progress and " (" .. e.progress .. ")" or "")
  if self.live[e.path] then self.live[e.path].waiting = text end
  if self.tty then
    self:erase()
    self:draw()
  else
    self:line(e.time, "wait", ("%s: %s"):format(e.step, text))
  end
end

function show.approval_needed(self, e)
  local lines = { ("approval needed for \"%s\""):format(e.step), e.text }
  for _, change in ipairs(e.changes or {}) do table.insert(lines, "- " .. change) end
  table.insert(lines, e.undo and "it can be taken back with drlua rollback"
    or "this step has no undo")
  if e.people > 1 then
    table.insert(lines,
      ("%d people must agree, each by a different account; %d have%s"):format(e.people,
      e.given, e.by and " (" .. table.concat(e.by, ", ") .. ")" or ""))
  end
  self:line(e.time, "ask", table.concat(lines, "\n"))
end

function show.call(self, e)
  if not e.mutating then return end
  local failed = e.error and ("failed: %s"):format(e.error.message) or duration.format(e.seconds)
  self:line(e.time, "call",
    ("%s  %s"):format(e.what or (e.name .. (e.region and " in " .. e.region or "")), failed))
end

function show.note(self, e)
  if e.check then
    return self:line(e.time, e.outcome == "failed" and "fail" or e.outcome == "skipped" and "skip"
      or "check",
      e.check .. (e.text and ": " .. e.text or ""))
  end
  if e.measure then
    local parts = {}
    if e.rows then table.insert(parts, e.rows .. " rows") end
    if e.seconds then table.insert(parts, duration.format(e.seconds)) end
    return self:line(e.time, "note",
      ("%s: %s%s"):format(e.measure:upper(), table.concat(parts, ", "),
      e.text and " (" .. e.text .. ")" or ""))
  end
  if e.text then self:line(e.time, e.overrun and "warn" or "note", e.text) end
end

--- Takes an event of a session.
function screen:event(e)
  if self.json then return json_line(e) end
  local fn = show[e.event]
  if fn then fn(self, e) end
end

--- Starts redrawing the live lines every second; returns a function that stops it.
function screen:start()
  if not self.tty then return function() end end
  local ticker = task.spawn(function()
    pcall(function()
      while true do
        task.sleep(1)
        if not self.asking then
          self:erase()
          self:draw()
        end
      end
    end)
  end)
  return function()
    ticker:cancel()
    self:erase()
  end
end

return screen
