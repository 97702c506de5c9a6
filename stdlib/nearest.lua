--- The nearest of the known names, for errors that name what was meant.
local nearest = {}

local function plain(name)
  return (name:lower():gsub("[%s_-]", ""))
end

-- Edit distance with swaps of neighbours (optimal string alignment); gives up
-- beyond `limit`.
local function distance(a, b, limit)
  if math.abs(#a - #b) > limit then return limit + 1 end
  local before, previous, row = {}, {}, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    row[0] = i
    local least = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local cost = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        cost = math.min(cost, before[j - 2] + 1)
      end
      row[j] = cost
      least = math.min(least, cost)
    end
    if least > limit then return limit + 1 end
    before, previous, row = previous, row, before
  end
  return previous[#b]
end

-- Words in common count where letters are too far apart ("describe_instances"
-- for "describe_db_instances").
local function shared_words(a, b)
  local known, count, total = {}, 0, 0
  for word in b:lower():gmatch("%w+") do known[word] = true total = total + 1 end
  local mine = 0
  for word in a:lower():gmatch("%w+") do
    mine = mine + 1
    if known[word] then count = count + 1 end
  end
  return count / math.max(mine, total, 1)
end

--- The name in the list `known` that is nearest to `name`, or nil when none is near.
function nearest.to(name, known)
  local wanted = plain(name)
  local limit = math.max(2, #wanted // 3)
  local best, best_distance
  for _, candidate in ipairs(known) do
    local d = distance(wanted, plain(candidate), best_distance and best_distance - 1 or limit)
    if d <= limit and (not best_distance or d < best_distance) then
      best, best_distance = candidate, d
    end
    if d == 0 then return candidate end
  end
  if best then return best end
  local best_share = 0.6
  for _, candidate in ipairs(known) do
    local share = shared_words(name, candidate)
    if share > best_share then best, best_share = candidate, share end
  end
  return best
end

--- "; did you mean X?" for the nearest known name, or an empty string.
function nearest.hint(name, known)
  local found = nearest.to(name, known)
  return found and ("; did you mean %s?"):format(found) or ""
end

return nearest
