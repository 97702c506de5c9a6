--- Finds the undefined globals of a file before it runs.
--
-- A misspelt name inside a step would show itself in the middle of a recovery. The
-- compiler knows every access to a global: it is a GETTABUP or SETTABUP on the upvalue
-- _ENV. They are read from the dump of the compiled chunk (format of Lua 5.4,
-- ldump.c), which is never loaded again.
local globals = {}

local GETTABUP, SETTABUP = 11, 15
local ABSOLUTE = -128 -- in lineinfo: look the line up in abslineinfo

local Reader = {}
Reader.__index = Reader

function Reader:byte()
  local b = self.text:byte(self.at)
  self.at = self.at + 1
  return b
end

function Reader:size()
  local n = 0
  while true do
    local b = self:byte()
    n = n << 7 | b & 0x7f
    if b & 0x80 ~= 0 then return n end
  end
end

function Reader:skip(n) self.at = self.at + n end

function Reader:string()
  local n = self:size()
  if n == 0 then return nil end
  local s = self.text:sub(self.at, self.at + n - 2)
  self.at = self.at + n - 1
  return s
end

function Reader:code()
  local list = {}
  for i = 1, self:size() do
    list[i] = string.unpack("<I4", self.text, self.at)
    self.at = self.at + 4
  end
  return list
end

function Reader:constants()
  local list = {}
  for i = 1, self:size() do
    local kind = self:byte()
    if kind == 0x03 or kind == 0x13 then
      self:skip(8)
    elseif kind == 0x04 or kind == 0x14 then
      list[i] = self:string()
    end
  end
  return list
end

function Reader:lines(first)
  local deltas, absolute = {}, {}
  for i = 1, self:size() do
    deltas[i] = string.unpack("<i1", self.text, self.at)
    self.at = self.at + 1
  end
  for _ = 1, self:size() do
    local pc = self:size()
    absolute[pc + 1] = self:size()
  end
  local lines, line = {}, first
  for i, delta in ipairs(deltas) do
    line = delta == ABSOLUTE and absolute[i] or line + delta
    lines[i] = line
  end
  return lines
end

local function accesses(code, constants, lines, upvalues, found)
  for pc, instruction in ipairs(code) do
    local op = instruction & 0x7f
    local a, b, c = instruction >> 7 & 0xff, instruction >> 16 & 0xff, instruction >> 24 & 0xff
    if op == GETTABUP and upvalues[b + 1] == "_ENV" then
      table.insert(found, { name = constants[c + 1], line = lines[pc] })
    elseif op == SETTABUP and upvalues[a + 1] == "_ENV" then
      table.insert(found, { name = constants[b + 1], line = lines[pc], written = true })
    end
  end
end

local function read_function(reader, found)
  reader:string() -- source
  local first = reader:size()
  reader:size() -- last line
  reader:skip(3)
  local code, constants = reader:code(), reader:constants()
  reader:skip(3 * reader:size()) -- upvalues
  for _ = 1, reader:size() do read_function(reader, found) end
  local lines = reader:lines(first)
  for _ = 1, reader:size() do -- local variables
    reader:string()
    reader:size()
    reader:size()
  end
  local upvalues = {}
  for i = 1, reader:size() do upvalues[i] = reader:string() or "" end
  accesses(code, constants, lines, upvalues, found)
end

-- Signature, version 5.4, official format, and the sizes that this reader expects.
local HEADER = "\27Lua\x54\0\x19\x93\r\n\x1a\n\4\8\8"

--- The accesses to globals of a chunk that are not in `known`, by line: a list of
-- { name, line, written }. Empty when the dump has a form that is not understood.
function globals.undefined(chunk, known)
  local reader = setmetatable({ text = string.dump(chunk), at = 1 }, Reader)
  if reader.text:sub(1, #HEADER) ~= HEADER then return {} end
  reader:skip(#HEADER + 16 + 1) -- the two check numbers; the count of upvalues
  local found, undefined = {}, {}
  read_function(reader, found)
  for i, access in ipairs(found) do
    access.position = i
    if access.name and (access.written or not known[access.name]) then
      table.insert(undefined, access)
    end
  end
  table.sort(undefined, function(x, y)
    if x.line == y.line then return x.position < y.position end
    return x.line < y.line
  end)
  return undefined
end

return globals
