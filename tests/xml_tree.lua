--- A small XML reader for tests: a second opinion on what the codec writes. Elements
-- become { name, attributes, children sorted by their text } so that the order of
-- siblings does not matter. Not for anything but well-formed test data.
local xml_tree = {}

local function unescape(s)
  return (s:gsub("&#x(%x+);", function(h) return utf8.char(tonumber(h, 16)) end)
    :gsub("&#(%d+);", function(d) return utf8.char(tonumber(d)) end)
    :gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&apos;", "'"):gsub("&amp;", "&"))
end

local function attributes_of(text)
  local list = {}
  for name, value in text:gmatch('([%w:_%-]+)%s*=%s*"([^"]*)"') do
    list[#list + 1] = name .. "=" .. unescape(value)
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function flat(node)
  local kids = {}
  for i, kid in ipairs(node.kids) do kids[i] = type(kid) == "table" and flat(kid) or kid end
  table.sort(kids)
  return ("<%s %s>%s</>"):format(node.name, node.attributes, table.concat(kids))
end

local function add_text(node, text)
  if text:find("%S") then node.kids[#node.kids + 1] = unescape(text) end
end

function xml_tree.tree(text)
  local root = { name = "", attributes = "", kids = {} }
  local stack, at = { root }, 1
  while true do
    local first, last, close, name, rest, empty = text:find("<(/?)([%w:_%-?!]+)([^>]-)(/?)>", at)
    if not first then break end
    add_text(stack[#stack], text:sub(at, first - 1))
    if close == "/" then
      stack[#stack] = nil
    elseif not name:find("^[?!]") then
      local node = { name = name, attributes = attributes_of(rest), kids = {} }
      table.insert(stack[#stack].kids, node)
      if empty ~= "/" then stack[#stack + 1] = node end
    end
    at = last + 1
  end
  return flat(root)
end

return xml_tree
