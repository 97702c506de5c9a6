--- The words of a JMESPath expression.
--
-- lexer.scan(text) -> list of tokens { kind =, value =, at = }, the last of kind
-- "end". Kinds: name quoted number literal, and the signs themselves, of which
-- "[?" and "[]" are one each.
local errors = require "errors"
local json = require "native.json"

local lexer = {}

--- Raises a fault in an expression; `code` is the specification's word for it:
-- syntax, invalid-type, invalid-value, invalid-arity, unknown-function.
function lexer.fault(code, text, ...)
  errors.raise { kind = "invalid", code = code, message = "JMESPath: " .. text:format(...) }
end

local pairs_of_signs = { ["[?"] = true, ["[]"] = true, ["||"] = true, ["&&"] = true, ["=="] = true,
  ["!="] = true, ["<="] = true, [">="] = true }
local signs = {}
for sign in ("[].*,:@(){}|&<>!"):gmatch(".") do signs[sign] = true end

local function decode(text, at)
  local value, message = json.decode(text)
  if value == nil then
    lexer.fault("syntax", "at %d: %s is not JSON: %s", at, text, message)
  end
  return value
end

-- The end of a quoted run from `at`: the position of the next `quote` that no
-- backslash precedes.
local function closing(text, at, quote)
  local i = at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == quote then return i end
    i = i + (c == "\\" and 2 or 1)
  end
  lexer.fault("syntax", "at %d: %s is not closed", at, quote)
end

local function quoted(text, at)
  local close = closing(text, at, '"')
  return { kind = "quoted", value = decode(text:sub(at, close), at), at = at }, close + 1
end

local function raw_string(text, at)
  local close = closing(text, at, "'")
  return { kind = "literal", value = text:sub(at + 1, close - 1):gsub("\\'", "'"), at = at },
    close + 1
end

local function literal(text, at)
  local close = closing(text, at, "`")
  local inside = text:sub(at + 1, close - 1):gsub("\\`", "`"):match("^%s*(.-)%s*$")
  local value = decode(inside, at)
  if value == json.null then value = nil end
  return { kind = "literal", value = value, at = at }, close + 1
end

local openers = { ['"'] = quoted, ["'"] = raw_string, ["`"] = literal }

local function next_token(text, at)
  local name = text:match("^[%a_][%w_]*", at)
  if name then return { kind = "name", value = name, at = at }, at + #name end
  local number = text:match("^%-?%d+", at)
  if number then
    return { kind = "number", value = math.tointeger(tonumber(number))
      or lexer.fault("syntax", "at %d: %s is too large", at, number), at = at }, at + #number
  end
  local first = text:sub(at, at)
  if openers[first] then return openers[first](text, at) end
  local two = text:sub(at, at + 1)
  if pairs_of_signs[two] then return { kind = two, at = at }, at + 2 end
  if signs[first] then return { kind = first, at = at }, at + 1 end
  lexer.fault("syntax", "at %d: unexpected %q", at, first)
end

function lexer.scan(text)
  local tokens, at = {}, text:match("^[ \t\r\n]*()")
  while at <= #text do
    local token
    token, at = next_token(text, at)
    table.insert(tokens, token)
    at = text:match("^[ \t\r\n]*()", at)
  end
  table.insert(tokens, { kind = "end", at = #text + 1 })
  return tokens
end

return lexer
