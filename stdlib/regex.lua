--- Regular expressions as AWS's models write them (Java's, in the main), matched against
-- a whole text.
--
-- Known: literals, ., classes with ranges and &&, \d \w \s \b \p{...}, groups (named,
-- capturing, not capturing), | * + ? {n,m} (greedy, lazy, possessive as greedy), ^ $,
-- look-ahead and look-behind, \1, and the flags i and s. Texts are taken as code points
-- of UTF-8. Categories of Unicode beyond ASCII go by blocks: letters of any script,
-- digits, spaces, marks, punctuation and symbols are distinguished, single odd characters
-- in a block are not.
--
-- A matcher backtracks, so it counts its steps and gives up after STEPS of them.
local unicode = require "regex.unicode"

local regex = {}

local STEPS = 200000

-- The text being matched, and what its groups have caught. One match runs at a time: it
-- neither waits nor calls back.
local text, length, steps, caught

-- Sets: function(code point) -> boolean ------------------------------------------

local function between(first, last)
  return function(c) return c >= first and c <= last end
end

local function either(sets)
  if #sets == 1 then return sets[1] end
  return function(c)
    for i = 1, #sets do
      if sets[i](c) then return true end
    end
    return false
  end
end

local function both(a, b)
  return function(c) return a(c) and b(c) end
end

local function neither(set)
  return function(c) return not set(c) end
end

local function caseless(set)
  return function(c)
    if set(c) then return true end
    if c >= 65 and c <= 90 then return set(c + 32) end
    return c >= 97 and c <= 122 and set(c - 32)
  end
end

local digit = between(48, 57)
local word = either { digit, between(65, 90), between(97, 122), between(95, 95) }
local space = function(c) return c == 32 or c >= 9 and c <= 13 end
local line_end = function(c)
  return c == 10 or c == 13 or c == 0x85 or c == 0x2028 or c == 0x2029
end

local ESCAPED = { d = digit, D = neither(digit), w = word, W = neither(word), s = space,
  S = neither(space),
  h = function(c) return c == 32 or c == 9 end }
local CONTROLS = { n = 10, r = 13, t = 9, f = 12, v = 11, a = 7, e = 27 }

-- Matchers: function(position, continue) -> boolean --------------------------------

local function one(set)
  return function(i, continue)
    local c = text[i]
    return c ~= nil and set(c) and continue(i + 1)
  end
end

local function sequence(parts)
  if #parts == 0 then return function(i, continue) return continue(i) end end
  local matcher = parts[#parts]
  for n = #parts - 1, 1, -1 do
    local first, rest = parts[n], matcher
    matcher = function(i, continue)
      return first(i, function(j) return rest(j, continue) end)
    end
  end
  return matcher
end

local function alternatives(list)
  if #list == 1 then return list[1] end
  return function(i, continue)
    for n = 1, #list do
      if list[n](i, continue) then return true end
    end
    return false
  end
end

local function step()
  steps = steps + 1
  if steps > STEPS then error(regex, 0) end
end

-- A repeated set needs no recursion for its characters.
local function repeated_set(set, least, most, lazy)
  return function(i, continue)
    local last = i
    while last <= length and last - i < most and set(text[last]) do last = last + 1 end
    local from, to, by = last, i + least, -1
    if lazy then from, to, by = i + least, last, 1 end
    if last < i + least then return false end
    for at = from, to, by do
      step()
      if continue(at) then return true end
    end
    return false
  end
end

local function repeated(matcher, least, most, lazy)
  local function try(i, count, continue)
    step()
    if count < least then
      return matcher(i, function(j) return try(j, count + 1, continue) end)
    end
    local function more()
      return count < most
        and matcher(i, function(j) return j > i and try(j, count + 1, continue) end)
    end
    if lazy then return continue(i) or more() end
    return more() or continue(i)
  end
  return function(i, continue) return try(i, 0, continue) end
end

local function captured(matcher, number)
  return function(i, continue)
    local before = caught[number]
    local done = matcher(i, function(j)
      local inner = caught[number]
      caught[number] = { i, j - 1 }
      if continue(j) then return true end
      caught[number] = inner
      return false
    end)
    if not done then caught[number] = before end
    return done
  end
end

local function again(number)
  return function(i, continue)
    local range = caught[number]
    if not range then return false end
    for at = range[1], range[2] do
      if text[i] ~= text[at] then return false end
      i = i + 1
    end
    return continue(i)
  end
end

local function always() return true end

local function ahead(matcher, wanted)
  return function(i, continue) return matcher(i, always) == wanted and continue(i) end
end

local function behind(matcher, wanted)
  return function(i, continue)
    local found = false
    for start = i, 1, -1 do
      step()
      if matcher(start, function(j) return j == i end) then
        found = true
        break
      end
    end
    return found == wanted and continue(i)
  end
end

local function at_start(i, continue) return i == 1 and continue(i) end
local function at_end(i, continue) return i == length + 1 and continue(i) end

local function is_word(i) return text[i] ~= nil and word(text[i]) end

local function at_boundary(wanted)
  return function(i, continue) return (is_word(i - 1) ~= is_word(i)) == wanted and continue(i) end
end

-- The parser ------------------------------------------------------------------------

local Parser = {}
Parser.__index = Parser

local function wrong(self, what)
  error(("%s at %d of the expression"):format(what, self.at), 0)
end

function Parser:peek(ahead_by)
  return self.chars[self.at + (ahead_by or 0)]
end

function Parser:take()
  local c = self.chars[self.at]
  if not c then wrong(self, "it ends too early") end
  self.at = self.at + 1
  return c
end

function Parser:skip(word_of)
  for n = 1, #word_of do
    if self:peek(n - 1) ~= word_of:sub(n, n) then return false end
  end
  self.at = self.at + #word_of
  return true
end

function Parser:hex(digits)
  local from = self.at
  if self:skip "{" then
    local value = ""
    while self:peek() ~= "}" do value = value .. self:take() end
    self.at = self.at + 1
    return tonumber(value, 16) or wrong(self, "no number")
  end
  self.at = from + digits
  return tonumber(table.concat(self.chars, "", from, math.min(from + digits - 1, #self.chars)), 16)
    or wrong(self, "no number")
end

function Parser:octal()
  local value = 0
  for _ = 1, 3 do
    local c = self:peek()
    if not (c and c:find "^[0-7]$") then break end
    value = value * 8 + tonumber(self:take())
  end
  return value
end

function Parser:property(negated)
  local name
  if self:skip "{" then
    name = ""
    while self:peek() ~= "}" do name = name .. self:take() end
    self.at = self.at + 1
  else
    name = self:take()
  end
  local set = unicode.property(name) or wrong(self, "the unknown property " .. name)
  return negated and neither(set) or set
end

-- What follows a backslash: a set, or a code point.
function Parser:escaped()
  local c = self:take()
  if ESCAPED[c] then return ESCAPED[c] end
  if CONTROLS[c] then return nil, CONTROLS[c] end
  if c == "p" or c == "P" then return self:property(c == "P") end
  if c == "x" then return nil, self:hex(2) end
  if c == "u" then return nil, self:hex(4) end
  if c == "0" then return nil, self:octal() end
  return nil, utf8.codepoint(c)
end

-- One item of a class: a set, or a code point.
function Parser:class_item()
  local c = self:take()
  if c ~= "\\" then return nil, utf8.codepoint(c) end
  if self:peek() == "b" then
    self.at = self.at + 1
    return nil, 8
  end
  return self:escaped()
end

function Parser:class_range(first)
  if self:peek() ~= "-" or self:peek(1) == "]" or self:peek(1) == nil then
    return between(first, first)
  end
  local from = self.at
  self.at = self.at + 1
  local set, last = self:class_item()
  if set then -- "a-\d": a plain dash
    self.at = from
    return between(first, first)
  end
  return between(first, last)
end

function Parser:class()
  local negated, sets, narrowed = self:skip "^", {}, nil
  if self:peek() == "]" then table.insert(sets, self:class_range(utf8.codepoint(self:take()))) end
  while not self:skip "]" do
    if self:skip "&&" then
      local other = self:skip "[" and self:class()
      if not other then wrong(self, "a class is expected after &&") end
      narrowed = narrowed and both(narrowed, other) or other
    else
      local set, c = self:class_item()
      table.insert(sets, set or self:class_range(c))
    end
  end
  local set = either(sets)
  if narrowed then set = both(set, narrowed) end
  if self.caseless then set = caseless(set) end
  return negated and neither(set) or set
end

local LOOKS = { { "(?=", ahead, true }, { "(?!", ahead, false }, { "(?<=", behind, true },
  { "(?<!", behind, false } }

function Parser:closed(matcher)
  if not self:skip ")" then wrong(self, "a group is not closed") end
  return matcher
end

-- "(?i)" holds to the end of its group, "(?i:...)" for its own.
function Parser:flags()
  local i, s = self.caseless, self.dot_all
  local on = true
  while true do
    local c = self:take()
    if c == "-" then on = false
    elseif c == "i" then self.caseless = on
    elseif c == "s" then self.dot_all = on
    elseif c == ")" then return sequence {}
    elseif c == ":" then
      local matcher = self:closed(self:expression())
      self.caseless, self.dot_all = i, s
      return matcher
    elseif not c:find "[mux]" then wrong(self, "an unknown flag") end
  end
end

function Parser:inside()
  local i, s = self.caseless, self.dot_all
  local matcher = self:closed(self:expression())
  self.caseless, self.dot_all = i, s
  return matcher
end

function Parser:group()
  for _, look in ipairs(LOOKS) do
    if self:skip(look[1]) then return look[2](self:inside(), look[3]) end
  end
  if self:skip "(?:" or self:skip "(?>" then return self:inside() end
  self.at = self.at + 1
  if self:peek() == "?" and self:peek(1) ~= "<" and self:peek(1) ~= "P" then
    self.at = self.at + 1
    return self:flags()
  end
  if self:skip "?P<" or self:skip "?<" then
    while self:take() ~= ">" do end
  end
  self.groups = self.groups + 1
  return captured(self:inside(), self.groups)
end

function Parser:escape()
  local c = self:peek()
  if c == "b" or c == "B" then
    self.at = self.at + 1
    return at_boundary(c == "b")
  end
  if c == "A" or c == "z" or c == "Z" then
    self.at = self.at + 1
    return c == "A" and at_start or at_end
  end
  if c and c:find "[1-9]" then
    self.at = self.at + 1
    return again(tonumber(c))
  end
  local set, code = self:escaped()
  return nil, set or between(code, code)
end

-- One thing that may be repeated: a matcher, or the set of one character.
function Parser:atom()
  local c = self:peek()
  if c == "(" then return self:group() end
  self.at = self.at + 1
  if c == "[" then return nil, self:class() end
  if c == "^" then return at_start end
  if c == "$" then return at_end end
  if c == "." then return nil, self.dot_all and always or neither(line_end) end
  if c == "\\" then return self:escape() end
  local code = utf8.codepoint(c)
  local set = between(code, code)
  return nil, self.caseless and caseless(set) or set
end

function Parser:bounds()
  if self:skip "*" then return 0, math.huge end
  if self:skip "+" then return 1, math.huge end
  if self:skip "?" then return 0, 1 end
  local rest = table.concat(self.chars, "", self.at, math.min(self.at + 24, #self.chars))
  local whole, least, comma, most = rest:match "^({(%d+)(,?)(%d*)})"
  if not whole then return nil end
  self.at = self.at + utf8.len(whole)
  least = math.tointeger(least)
  return least, comma == "" and least or math.tointeger(most) or math.huge
end

function Parser:part()
  local matcher, set = self:atom()
  local least, most = self:bounds()
  while least do
    local lazy = self:skip "?"
    if not lazy then self:skip "+" end
    if set then
      matcher, set = repeated_set(set, least, most, lazy), nil
    else
      matcher = repeated(matcher, least, most, lazy)
    end
    least, most = self:bounds()
  end
  return matcher or one(set)
end

function Parser:expression()
  local list, parts = {}, {}
  while self:peek() and self:peek() ~= ")" do
    if self:skip "|" then
      table.insert(list, sequence(parts))
      parts = {}
    else
      table.insert(parts, self:part())
    end
  end
  table.insert(list, sequence(parts))
  return alternatives(list)
end

local function characters(expression)
  local list = {}
  for _, code in utf8.codes(expression) do table.insert(list, utf8.char(code)) end
  return list
end

local function parse(expression)
  local self = setmetatable({ chars = characters(expression), at = 1, groups = 0 }, Parser)
  local matcher = self:expression()
  if self:peek() then wrong(self, "a parenthesis too many") end
  return matcher
end

local function run(matcher, subject)
  text, caught, steps = { utf8.codepoint(subject, 1, -1) }, {}, 0
  length = #text
  return matcher(1, function(i) return i == length + 1 end)
end

local MOST_BYTES = 100000

--- Compiles an expression: a function(subject) that returns true or false, or nil when it
-- cannot tell (too many steps, a subject that is too long or not UTF-8). Returns nil and a
-- message for an expression that it does not understand.
function regex.compile(expression)
  local ok, matcher = pcall(parse, expression)
  if not ok then return nil, tostring(matcher) end
  return function(subject)
    if #subject > MOST_BYTES or not utf8.len(subject) then return nil end
    local done, found = pcall(run, matcher, subject)
    text, caught = nil, nil
    if done then return found end
    if found ~= regex then error(found, 0) end
    return nil
  end
end

return regex
