--- Text: trimming, splitting, filling in, laying out, making foreign text fit to be
-- shown; sizes in bytes.
local confidential = require "confidential"
local errors = require "errors"

local text = {}

--- Without white space at both ends.
function text.trim(s)
  return s:match("^%s*(.-)%s*$")
end

--- True when s begins with the plain text `prefix`.
function text.starts(s, prefix)
  return s:sub(1, #prefix) == prefix
end

--- True when s ends with the plain text `suffix`.
function text.ends(s, suffix)
  return suffix == "" or s:sub(-#suffix) == suffix
end

--- The parts of s between the plain text `separator`; empty parts are kept. At most
-- `limit` parts, the last with the rest.
function text.split(s, separator, limit)
  if separator == "" then errors.misuse(2, "text.split: a separator that is not empty expected") end
  local parts, from = {}, 1
  while not limit or #parts + 1 < limit do
    local first, last = s:find(separator, from, true)
    if not first then break end
    table.insert(parts, s:sub(from, first - 1))
    from = last + 1
  end
  table.insert(parts, s:sub(from))
  return parts
end

--- The lines of s, without their ends ("\n" or "\r\n"); a last empty one is left out.
function text.lines(s)
  local lines = {}
  for line in (s:sub(-1) == "\n" and s or s .. "\n"):gmatch("(.-)\r?\n") do
    table.insert(lines, line)
  end
  if s == "" then lines = {} end
  return lines
end

--- Fills `${name}` with values.name; `$${` stands for `${`. A name without a value
-- is an error that names it.
function text.fill(template, values)
  local parts, from = {}, 1
  while true do
    local first, last, dollars, name = template:find("(%$+){([^}]*)}", from)
    if not first then break end
    table.insert(parts, template:sub(from, first - 1))
    if #dollars > 1 then
      table.insert(parts, dollars:sub(2) .. "{" .. name .. "}")
    else
      local value = values[text.trim(name)]
      if value == nil then errors.misuse(2, "text.fill: no value for ${%s}", name) end
      table.insert(parts, tostring(value))
    end
    from = last + 1
  end
  table.insert(parts, template:sub(from))
  return table.concat(parts)
end

--- "1 row", "2 rows"; plural: when an s is not enough.
function text.count(n, noun, plural)
  return ("%s %s"):format(n, n == 1 and noun or plural or noun .. "s")
end

--- Every line of s with `prefix` (default two blanks) before it.
function text.indent(s, prefix)
  return ((prefix or "  ")
    .. s:gsub("\n([^\n])", "\n" .. (prefix or "  "):gsub("%%", "%%%%") .. "%1"))
end

--- s cut to `width` characters, with "…" where something was left out. Secrets are masked
-- first, so that none is cut in two.
function text.shorten(s, width)
  s = confidential.mask(s)
  local length = utf8.len(s)
  if not length then
    return #s <= width and s or s:sub(1, math.max(width - 3, 0)) .. "..."
  end
  if length <= width then return s end
  return s:sub(1, utf8.offset(s, math.max(width, 1)) - 1) .. "…"
end

--- The beginning of a foreign text of any length in one line of at most `width`
-- characters, for a message: masked before it is touched.
function text.excerpt(s, width)
  return text.shorten(text.trim(confidential.head(s):gsub("%s+", " ")), width)
end

--- The last `count` lines of a foreign text in one line, likewise.
function text.last_lines(s, count, width)
  local lines, last = text.lines(text.trim(confidential.tail(s))), {}
  for i = math.max(1, #lines - count + 1), #lines do table.insert(last, text.trim(lines[i])) end
  return text.shorten(table.concat(last, "; "), width)
end

-- Characters that move, hide or turn what stands around them: C1 controls, joiners and
-- other marks of no width, line separators, controls of the direction, tags.
local hidden = { { 0x80, 0x9F }, { 0xAD, 0xAD }, { 0x61C, 0x61C }, { 0x180E, 0x180E },
  { 0x200B, 0x200F },
  { 0x2028, 0x202E }, { 0x2060, 0x206F }, { 0xFEFF, 0xFEFF }, { 0xFFF9, 0xFFFB },
  { 0xE0000, 0xE007F } }

local function is_hidden(code)
  for _, range in ipairs(hidden) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

-- Calls byte(c) for control characters and for bytes that are no UTF-8, and wide(code)
-- for hidden characters; puts in what they return.
local function replace_unprintable(s, byte, wide)
  local out, at = {}, 1
  while at <= #s do
    local good, bad = utf8.len(s, at)
    local stop = good and #s or bad - 1
    table.insert(out,
      (s:sub(at, stop):gsub("[%c\127]", byte):gsub("[\xC2-\xF4][\x80-\xBF]+", function(c)
      local code = utf8.codepoint(c)
      return is_hidden(code) and wide(code) or nil
    end)))
    if not good then table.insert(out, byte(s:sub(bad, bad))) end
    at = stop + (good and 1 or 2)
  end
  return table.concat(out)
end

local function escaped_byte(c)
  if c ~= "\n" and c ~= "\t" then return ("\\x%02x"):format(c:byte()) end
  return c
end

--- Foreign text as a terminal or a report may have it: control characters but \n and \t,
-- and bytes that are no UTF-8, are written \x1b; characters that hide, or turn the
-- direction of writing, U+202E.
function text.printable(s)
  s = tostring(s)
  if not s:find("[%c\127-\255]") then return s end
  return replace_unprintable(s, escaped_byte, function(code) return ("<U+%04X>"):format(code) end)
end

--- The same in one line.
function text.printable_line(s)
  s = tostring(s)
  if not s:find("[%c\127-\255]") then return text.trim(s) end
  return text.printable(text.trim(s:gsub("%s*[\r\n]+%s*", " "):gsub("\t", " ")))
end

local function json_number(code)
  if code < 0x10000 then return ("\\u%04x"):format(code) end
  return ("\\u%04x\\u%04x"):format(0xD800 + (code - 0x10000 >> 10),
    0xDC00 + (code - 0x10000 & 0x3FF))
end

--- A text of JSON in which hidden characters are written by their numbers: the same
-- JSON, fit for a terminal.
function text.printable_json(s)
  if not s:find("[\127-\255]") then return s end
  return (s:gsub("\127", "\\u007f"):gsub("[\xC2-\xF4][\x80-\xBF]+", function(c)
    local code = utf8.len(c) == 1 and utf8.codepoint(c)
    return code and is_hidden(code) and json_number(code) or nil
  end))
end

local markdown = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

-- Inside a word an underscore is no markup.
local function outer_underscores(word)
  if not (" " .. word .. " "):find("_%W") and not (" " .. word):find("%W_") then return nil end
  return (word:gsub("_", "\\_"))
end

--- Foreign text as one line of Markdown that shows it as it is: no markup of Markdown or
-- HTML in it, no line end.
function text.markdown(s)
  s = text.printable_line(s)
  if not s:find("[^%w .,:()/-]") and not s:find("^%-") and not s:find("^%d") then return s end
  return (s:gsub("[&<>]", markdown):gsub("[\\`*|%[%]~]", "\\%0")
    :gsub("%S+", outer_underscores):gsub("^([#+%-=])", "\\%1")
    :gsub("^(%d+)([.)])%f[%s]", "%1\\%2"))
end

local function width_of(s)
  return utf8.len(s) or #s
end

--- Lays rows (lists of values) out in columns, two blanks between them; columns of
-- numbers are set to the right. `heads`: titles of the columns, or nil. Returns text
-- without a last line end.
function text.table(rows, heads)
  local lines, widths, numeric = {}, {}, {}
  for _, row in ipairs(rows) do
    for i = 1, #row do
      widths[i] = math.max(widths[i] or 0, width_of(tostring(row[i])))
      numeric[i] = numeric[i] ~= false and type(row[i]) == "number"
    end
  end
  for i, head in ipairs(heads or {}) do widths[i] = math.max(widths[i] or 0, width_of(head)) end
  local function add(row)
    local cells = {}
    for i = 1, #widths do
      local cell = tostring(row[i] == nil and "" or row[i])
      local pad = (" "):rep(widths[i] - width_of(cell))
      cells[i] = numeric[i] and pad .. cell or cell .. pad
    end
    table.insert(lines, (table.concat(cells, "  "):gsub("%s+$", "")))
  end
  if heads then add(heads) end
  for _, row in ipairs(rows) do add(row) end
  return table.concat(lines, "\n")
end

local units = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" }
local factors = { b = 1, kib = 2 ^ 10, mib = 2 ^ 20, gib = 2 ^ 30, tib = 2 ^ 40, pib = 2 ^ 50,
  k = 2 ^ 10, m = 2 ^ 20, g = 2 ^ 30, t = 2 ^ 40, kb = 1e3, mb = 1e6, gb = 1e9, tb = 1e12,
  pb = 1e15 }

--- Text of a number of bytes: "512 B", "1.5 GiB".
function text.size(bytes)
  local unit = 1
  while math.abs(bytes) >= 1024 and unit < #units do
    bytes, unit = bytes / 1024, unit + 1
  end
  local number = bytes == math.floor(bytes) and ("%d"):format(bytes) or ("%.1f"):format(bytes)
  return number .. " " .. units[unit]
end

--- Bytes of "512", "10 MB" (10^6), "1.5GiB" or "2g" (2^30); nil and a sentence for
-- anything else.
function text.parse_size(s)
  local number, unit = tostring(s):match("^%s*(%d+%.?%d*)%s*(%a*)%s*$")
  local factor = unit and (unit == "" and 1 or factors[unit:lower()])
  if not factor then
    return nil, ('"%s" is no size: write "512 MiB" or "10 GB"'):format(tostring(s))
  end
  return math.tointeger(tonumber(number) * factor) or math.floor(tonumber(number) * factor + 0.5)
end

return text
