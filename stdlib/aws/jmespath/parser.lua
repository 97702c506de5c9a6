--- Parses a JMESPath expression into nodes, by operator precedence (Pratt).
--
-- A node is { kind, ... }; the interpreter (aws.jmespath) lists them. Projections
-- hold what is on their left and what is applied to each element: how far to the
-- right that reaches is decided by the precedence PROJECTION_STOP.
local lexer = require "aws.jmespath.lexer"

local parser = {}

local MAX_DEPTH = 500
local PROJECTION_STOP = 10
local precedence = {
  ["|"] = 1, ["||"] = 2, ["&&"] = 3,
  ["=="] = 5, ["!="] = 5, ["<"] = 5, ["<="] = 5, [">"] = 5, [">="] = 5,
  ["[]"] = 9, ["*"] = 20, ["[?"] = 21, ["."] = 40, ["!"] = 45, ["{"] = 50, ["["] = 55, ["("] = 60,
}
local comparators = { ["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true,
  [">="] = true }
local current = { kind = "current" }

local Parser = {}
Parser.__index = Parser

function Parser:peek(ahead)
  return self.tokens[self.position + (ahead or 0)] or self.tokens[#self.tokens]
end

function Parser:take()
  local token = self:peek()
  self.position = self.position + 1
  return token
end

local function describe(token)
  if token.kind == "end" then return "the end" end
  if token.kind == "literal" then return "a literal" end
  return ("%q"):format(tostring(token.value or token.kind))
end

function Parser:unexpected(token)
  lexer.fault("syntax", "at %d of %q: unexpected %s", token.at, self.text, describe(token))
end

function Parser:expect(kind)
  local token = self:take()
  if token.kind ~= kind then
    lexer.fault("syntax", "at %d of %q: %q expected, got %s", token.at, self.text, kind,
      describe(token))
  end
  return token
end

function Parser:accept(kind)
  if self:peek().kind == kind then return self:take() end
end

local prefix, infix = {}, {}

--- An expression whose operators bind more tightly than `least`.
function Parser:expression(least)
  self.depth = self.depth + 1
  if self.depth > MAX_DEPTH then
    lexer.fault("syntax", "%q is nested more than %d deep", self.text, MAX_DEPTH)
  end
  local token = self:take()
  local rule = prefix[token.kind] or self:unexpected(token)
  local left = rule(self, token)
  while (precedence[self:peek().kind] or 0) > least do
    token = self:take()
    rule = infix[token.kind] or self:unexpected(token)
    left = rule(self, left, token)
  end
  self.depth = self.depth - 1
  return left
end

--- What a projection applies to each of its elements.
function Parser:projected(least)
  local token = self:peek()
  if (precedence[token.kind] or 0) < PROJECTION_STOP then return current end
  if token.kind == "[" or token.kind == "[?" then return self:expression(least) end
  if token.kind == "." then
    self:take()
    return self:dotted(least)
  end
  self:unexpected(token)
end

--- What may follow a dot.
function Parser:dotted(least)
  local token = self:peek()
  if token.kind == "name" or token.kind == "quoted" or token.kind == "*" then
    return self:expression(least)
  end
  if token.kind == "[" then
    self:take()
    return self:multi_list()
  end
  if token.kind == "{" then
    self:take()
    return self:multi_hash()
  end
  self:unexpected(token)
end

function Parser:multi_list()
  local list = { kind = "list" }
  repeat table.insert(list, self:expression(0)) until not self:accept(",")
  self:expect("]")
  return list
end

function Parser:multi_hash()
  local hash = { kind = "hash", keys = {} }
  repeat
    local key = self:take()
    if key.kind ~= "name" and key.kind ~= "quoted" then self:unexpected(key) end
    self:expect(":")
    table.insert(hash.keys, key.value)
    table.insert(hash, self:expression(0))
  until not self:accept(",")
  self:expect("}")
  return hash
end

--- [1] or [1:2:3] after its bracket, of `left`.
function Parser:index(left)
  local parts, colons = {}, 0
  while true do
    if self:peek().kind == "number" then
      if parts[colons + 1] then self:unexpected(self:peek()) end
      parts[colons + 1] = self:take().value
    elseif self:peek().kind == ":" and colons < 2 then
      self:take()
      colons = colons + 1
    else
      break
    end
  end
  self:expect("]")
  if colons == 0 then return { kind = "index", left, index = parts[1] } end
  local slice = { kind = "slice", left, start = parts[1], stop = parts[2], step = parts[3] }
  return { kind = "project", slice, self:projected(precedence["*"]) }
end

function Parser:brackets(left)
  local kind = self:peek().kind
  if kind == "number" or kind == ":" then return self:index(left) end
  if kind == "*" and self:peek(1).kind == "]" then
    self:take()
    self:take()
    return { kind = "project", left, self:projected(precedence["*"]) }
  end
end

function Parser:flatten(left)
  return { kind = "project", { kind = "flatten", left }, self:projected(precedence["[]"]) }
end

function Parser:filter(left)
  local condition = self:expression(0)
  self:expect("]")
  return { kind = "filter", left, self:projected(precedence["[?"]), condition }
end

function prefix.name(self, token)
  if self:peek().kind == "(" then
    self:take()
    return self:call(token)
  end
  return { kind = "field", name = token.value }
end

function prefix.quoted(self, token)
  if self:peek().kind == "(" then
    lexer.fault("syntax", "at %d of %q: a function's name is not quoted", token.at, self.text)
  end
  return { kind = "field", name = token.value }
end

function prefix.literal(_, token) return { kind = "literal", value = token.value } end
prefix["@"] = function() return current end
prefix["!"] = function(self) return { kind = "not", self:expression(precedence["!"]) } end
prefix["*"] = function(self)
  return { kind = "values", current, self:projected(precedence["*"]) }
end
prefix["[]"] = function(self) return self:flatten(current) end
prefix["[?"] = function(self) return self:filter(current) end
prefix["["] = function(self) return self:brackets(current) or self:multi_list() end
prefix["{"] = function(self) return self:multi_hash() end

prefix["("] = function(self)
  local inside = self:expression(0)
  self:expect(")")
  return { kind = "group", inside }
end

--- A function's arguments, after the parenthesis; &expression only here.
function Parser:call(name)
  local call = { kind = "call", name = name.value, at = name.at }
  if self:accept(")") then return call end
  repeat
    if self:accept("&") then
      table.insert(call, { kind = "reference", self:expression(0) })
    else
      table.insert(call, self:expression(0))
    end
  until not self:accept(",")
  self:expect(")")
  return call
end

infix["."] = function(self, left)
  if self:peek().kind == "*" then
    self:take()
    return { kind = "values", left, self:projected(precedence["*"]) }
  end
  return { kind = "sub", left, self:dotted(precedence["."]) }
end

infix["["] = function(self, left)
  return self:brackets(left) or self:unexpected(self:peek())
end
infix["[]"] = Parser.flatten
infix["[?"] = Parser.filter
infix["|"] = function(self, left)
  return { kind = "pipe", left, self:expression(precedence["|"]) }
end
infix["||"] = function(self, left)
  return { kind = "or", left, self:expression(precedence["||"]) }
end
infix["&&"] = function(self, left)
  return { kind = "and", left, self:expression(precedence["&&"]) }
end
for sign in pairs(comparators) do
  infix[sign] = function(self, left)
    return { kind = "compare", left, self:expression(precedence[sign]), sign = sign }
  end
end

--- The tree of an expression; raises kind "invalid", code "syntax".
function parser.parse(text)
  local self = setmetatable({ text = text, tokens = lexer.scan(text), position = 1, depth = 0 },
    Parser)
  local tree = self:expression(0)
  if self:peek().kind ~= "end" then self:unexpected(self:peek()) end
  return tree
end

return parser
