--- Finds many texts inside another one, and puts marks in their place: for the registry of
-- secrets, whose forms are looked for in everything that leaves the process.
local finder = {}
finder.__index = finder

--- The fewest characters of a form.
finder.SHORTEST = 4

local CLEAN_TEXTS = 2000
local NONE = {}

--- Makes a finder. marks: form -> its mark, for reading.
function finder.new()
  return setmetatable({ marks = {}, order = {}, heads = {}, clean = {}, cleans = 0 }, finder)
end

-- Longest first.
local function insert(self, form)
  local low, high = 1, #self.order + 1
  while low < high do
    local middle = (low + high) // 2
    local other = self.order[middle]
    if #other > #form or (#other == #form and other < form) then
      low = middle + 1
    else
      high = middle
    end
  end
  table.insert(self.order, low, form)
end

--- Adds a form with its mark, unless it is known or too short.
function finder:add(form, mark)
  if #form < finder.SHORTEST or self.marks[form] then return end
  self.clean, self.cleans = {}, 0
  self.marks[form] = mark
  insert(self, form)
  local head = form:sub(1, finder.SHORTEST)
  self.heads[head] = self.heads[head] or {}
  table.insert(self.heads[head], form)
end

-- The forms that are in a text, longest first: looked for one by one, or, where there
-- are more forms than places in the text, by what begins at each place.
local function candidates(self, text)
  local found = {}
  if #self.order <= #text then
    for _, form in ipairs(self.order) do
      if text:find(form, 1, true) then table.insert(found, form) end
    end
    return found
  end
  for at = 1, #text - finder.SHORTEST + 1 do
    for _, form in ipairs(self.heads[text:sub(at, at + finder.SHORTEST - 1)] or NONE) do
      if text:sub(at, at + #form - 1) == form then table.insert(found, form) end
    end
  end
  table.sort(found, function(a, b)
    if #a == #b then return a < b end
    return #a > #b
  end)
  return found
end

-- Puts marks in place of a form in those pieces of a text that are clear.
local function split(pieces, form, mark)
  local list = {}
  for _, piece in ipairs(pieces) do
    local text, from = piece.clear, 1
    local at = text and text:find(form, 1, true)
    while at do
      if at > from then table.insert(list, { clear = text:sub(from, at - 1) }) end
      table.insert(list, { mark = mark })
      from = at + #form
      at = text:find(form, from, true)
    end
    if not text or from == 1 then
      table.insert(list, piece)
    elseif from <= #text then
      table.insert(list, { clear = text:sub(from) })
    end
  end
  return list
end

-- Short texts without a secret, which come again and again (names of steps and calls),
-- until there is another secret.
local function remember_clean(self, text)
  if #text > 64 then return end
  if self.cleans >= CLEAN_TEXTS then self.clean, self.cleans = {}, 0 end
  self.clean[text], self.cleans = true, self.cleans + 1
end

--- The forms that are in a text, longest first; one may come twice.
finder.within = candidates

--- The text with with(mark) in place of every form (nil: it stays), and clear(piece) in
-- place of what is between them. A mark is never looked into.
function finder:replace(text, with, clear)
  if #self.order == 0 or self.clean[text] then return clear(text) end
  local found = candidates(self, text)
  if #found == 0 then
    remember_clean(self, text)
    return clear(text)
  end
  local pieces = { { clear = text } }
  for i, form in ipairs(found) do
    local mark = form ~= found[i - 1] and with(self.marks[form])
    if mark then pieces = split(pieces, form, mark) end
  end
  for i, piece in ipairs(pieces) do pieces[i] = piece.mark or clear(piece.clear) end
  return table.concat(pieces)
end

return finder
