--- Pages of a list, the AWS way: an opaque marker names the next item.
local crypto = require "native.crypto"

local paging = {}

--- Cuts a page out of `items`. options: { token, limit, key = function(item),
-- invalid = function() that raises }. Returns the page and the next token or nil.
function paging.cut(items, options)
  local first = 1
  if options.token then
    local wanted = crypto.unbase64(options.token)
    first = nil
    for i, item in ipairs(items) do
      if options.key(item) == wanted then first = i break end
    end
    if not first then options.invalid() end
  end
  if first == 1 and #items <= options.limit then return items, nil end
  local page = table.move(items, first, math.min(first + options.limit - 1, #items), 1, {})
  local following = items[first + options.limit]
  return page, following and crypto.base64(options.key(following)) or nil
end

return paging
