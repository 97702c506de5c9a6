--- The INI dialect of AWS's shared config and credentials files.
--
-- Rules (AWS SDKs and Tools Reference Guide, "Shared config and credentials
-- files", with the details on which the SDKs' parsers agree):
--   * A line whose first character (after white space, outside a value) is # or ;
--     is a comment; so is what follows white space and # or ; in a property's own
--     line, and what follows the bracket of a section.
--   * A section is [name], [type name] or [type "name with spaces"].
--   * name = value; the name's letters are folded to lower case, the value's are not.
--   * An indented line goes on the property above: when that has a value it is
--     joined with a line feed, else it is a nested property (s3, endpoints by service).
--   * The same section again goes on; the same property again replaces.
local errors = require "errors"

local ini = {}

local function fault(file, line, text, ...)
  errors.raise {
    kind = "invalid", file = file, line = line,
    message = ("%s:%d: %s"):format(file, line, text:format(...)),
  }
end

local function trim(s)
  return s:match("^%s*(.-)%s*$")
end

--- Cuts a comment that begins after white space.
local function without_comment(s)
  local at = s:find("%s[#;]")
  return trim(at and s:sub(1, at - 1) or s)
end

local function parse_header(line, file, number)
  local inside, rest = line:match("^%[([^%]]*)%](.*)$")
  if not inside then fault(file, number, "a section must end with ']': %s", trim(line)) end
  rest = trim(rest)
  if rest ~= "" and not rest:find("^[#;]") then
    fault(file, number, "unexpected text after the section's ']': %s", rest)
  end
  inside = trim(inside)
  local kind, name = inside:match("^(%S+)%s+(.+)$")
  if not kind then return nil, inside end
  return kind, name:match('^"(.*)"$') or name:match("^'(.*)'$") or name
end

--- Values must not show in messages: a file of credentials holds secrets.
local function split_property(text, file, number, nested)
  local name, value = text:match("^([^=]*)=(.*)$")
  local what = nested and "nested property" or "property"
  if not name then fault(file, number, "a %s needs '=': name = value expected", what) end
  name = trim(name)
  if name == "" then fault(file, number, "a %s without a name before '='", what) end
  return name, value
end

local Parser = {}
Parser.__index = Parser

function Parser:header(line, number)
  local kind, name = parse_header(line, self.file, number)
  local key = (kind or "") .. " " .. name
  local section = self.by_key[key]
  if not section then
    section = { kind = kind, name = name, line = number, values = {}, lines = {} }
    self.by_key[key] = section
    table.insert(self.sections, section)
  end
  self.section, self.property = section, nil
end

function Parser:set(line, number)
  if not self.section then fault(self.file, number, "a property before the first [section]") end
  local name, value = split_property(line, self.file, number)
  self.property = name:lower()
  self.section.values[self.property] = without_comment(" " .. value)
  self.section.lines[self.property] = number
end

function Parser:continue(line, number)
  local values = self.section and self.section.values
  if not values or not self.property then
    fault(self.file, number, "an indented line that follows no property")
  end
  local before = values[self.property]
  if type(before) == "string" and before ~= "" then
    values[self.property] = before .. "\n" .. trim(line)
    return
  end
  if type(before) == "string" then values[self.property] = {} end
  local name, value = split_property(line, self.file, number, true)
  values[self.property][name:lower()] = without_comment(" " .. value)
end

function Parser:line(line, number)
  if line:find("^%s*$") or line:find("^%s*[#;]") then return end
  if line:find("^%s") then return self:continue(line, number) end
  if line:find("^%[") then return self:header(line, number) end
  return self:set(line, number)
end

--- Parses text; `file` names it in errors. Returns a list of sections in order:
-- `{ kind = "profile" or nil, name =, line =, values = { name = text or table },
-- lines = { name = line number } }`. Raises kind "invalid" with file and line.
function ini.parse(text, file)
  local parser = setmetatable({ file = file, sections = {}, by_key = {} }, Parser)
  local number = 0
  text = text:gsub("^\xef\xbb\xbf", "")
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    parser:line(line, number)
  end
  return parser.sections
end

return ini
