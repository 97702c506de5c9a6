--- AWS's documentation of services, operations and members, offline.
--
-- The texts are too long to live in the program: they are one archive beside it
-- (docs.bin, made by scripts/compile_models.lua in the form of the models' archive),
-- of which only the service asked for is read. Where the file is not installed,
-- every answer is nil.
local native = require "native.model"
local sys = require "native.sys"

local documentation = {}

local function directory_of(path) return path:match("^(.*)/[^/]*$") or "." end

--- Where the archive may be: DRLUA_DOCS, beside the program or above (a build), or
-- where `make install` puts it.
local function places()
  local here = directory_of(sys.exe())
  return {
    os.getenv("DRLUA_DOCS") or "", here .. "/docs.bin", here .. "/../docs.bin",
    here .. "/../share/drlua/docs.bin",
  }
end

local function open()
  for _, path in ipairs(places()) do
    local file = path ~= "" and io.open(path, "rb")
    if file then return file end
  end
end

local function read_at(file, offset, size)
  if not file:seek("set", offset) then return nil end
  local bytes = file:read(size)
  return bytes and #bytes == size and bytes or nil
end

--- The packed entry of a service: its index is a sorted table of offsets and lengths
-- of names and entries.
local function entry(file, service)
  local head = read_at(file, 0, 8)
  if not head or head:sub(1, 4) ~= "DRMA" then return nil end
  local low, high = 0, string.unpack("<I4", head, 5)
  while low < high do
    local middle = (low + high) // 2
    local row = read_at(file, 8 + middle * 16, 16)
    if not row then return nil end
    local name_at, name_size, at, size = string.unpack("<I4I4I4I4", row)
    local name = read_at(file, name_at, name_size)
    if not name then return nil end
    if name == service then return read_at(file, at, size) end
    if name < service then low = middle + 1 else high = middle end
  end
end

local cache = setmetatable({}, { __mode = "v" })

local function load(service)
  if cache[service] then return cache[service] end
  local file = open()
  if not file then return nil end
  local packed = entry(file, service)
  file:close()
  local texts = packed and native.unpack(packed)
  cache[service] = texts
  return texts
end

--- The shape that a member leads to: through lists and maps to what they hold.
local function inner(texts, name)
  local shape = texts.shapes[name]
  while shape and shape.of do
    name = shape.of
    shape = texts.shapes[name]
  end
  return shape
end

local function member(shape, name) return shape and shape.members and shape.members[name] end

--- Walks from an operation's input, else its output, down the members' names.
local function descend(texts, root, path)
  local shape, found = inner(texts, root), nil
  for _, name in ipairs(path) do
    found = member(shape, name)
    if not found then return nil end
    shape = inner(texts, found.shape)
  end
  return found
end

--- AWS's text, in the HTML that it is written in.
-- @param service AWS's name of it; then nothing more (the service's own text), an
--   operation, and names of members on the way down from its input or output
-- @return the text, and the list of allowed values where there is one; nil when there
--   is none or the texts are not installed
function documentation.html(service, operation, ...)
  local texts = load(service)
  if not texts then return nil end
  if not operation then return texts.text end
  local op = texts.operations[operation]
  if not op then return nil end
  local path = { ... }
  if #path == 0 then return op.text end
  local found = descend(texts, op.input, path) or descend(texts, op.output, path)
  if not found then return nil end
  local shape = inner(texts, found.shape)
  return found.text or (shape and shape.text), shape and shape.enum
end

local ENTITIES = { lt = "<", gt = ">", quot = '"', apos = "'", amp = "&", nbsp = " " }

--- HTML as plain text: paragraphs by empty lines, list items by dashes.
function documentation.plain(html)
  local text = html:gsub("%s+", " "):gsub("<br%s*/?>", "\n"):gsub("</p>", "\n\n"):gsub("<li>%s*",
    "\n- ")
    :gsub("<p>", ""):gsub("<[^>]+>", "")
  text = text:gsub("&(%a+);", ENTITIES):gsub("&#(%d+);",
    function(d) return utf8.char(tonumber(d)) end)
  text = text:gsub("[ \t]*\n[ \t]*", "\n"):gsub("\n\n\n+", "\n\n")
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- AWS likes to begin with a remark about something else.
local function without_remarks(html)
  local rest = html:gsub("<note>.-</note>", ""):gsub("<important>.-</important>", "")
  return rest:find("%w") and rest or html
end

--- The first sentence of the text, past remarks, on one line; nil when there is none.
function documentation.summary(...)
  local html = documentation.html(...)
  if not html then return nil end
  local flat = documentation.plain(without_remarks(html)):gsub("%s+", " ")
  return flat:match("^(.-%.)%s") or flat
end

--- The same as html, as plain text.
function documentation.text(...)
  local html, enum = documentation.html(...)
  return html and documentation.plain(html), enum
end

return documentation
