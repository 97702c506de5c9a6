local answers = require "answers"
local json = require "native.json"
local rpc, rest = answers.reader "json", answers.reader "rest-json"

return function(data)
  rpc(data)
  rest(data)
  local value = json.decode(data)
  if value ~= nil then
    local text = json.encode(value, { sort = true })
    if text and json.encode((json.decode(text)), { sort = true }) ~= text then
      error("FUZZ: not the same after a round")
    end
  end
end
