--- drlua doc: AWS's services and operations, as the models describe them.
local docs = require "aws.docs"
local options = require "cli.options"
local write = require "cli.write"

local document = {}

--- drlua doc [SERVICE[.OPERATION]]: without a service, the list of them.
function document.doc(parsed)
  local words = parsed.words
  if #words > 2 then options.usage("drlua doc SERVICE[.OPERATION]") end
  local service, operation = (words[1] or ""):match("^([^.]+)%.?(.*)$")
  if words[2] then operation = words[2] end
  local text = docs.text(service, operation ~= "" and operation or nil)
  if parsed.output == "json" then
    write.json { service = service, operation = operation ~= "" and operation or nil, text = text }
  else
    write.out(text)
  end
  return 0
end

return document
