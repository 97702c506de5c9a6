--- Models whose answers hold every kind of member, for the fuzz targets: one for each
-- protocol.
local model = require "aws.model"

local answers = {}

local shapes = {
  S = { type = "string" }, I = { type = "integer" }, D = { type = "double" },
  T = { type = "timestamp" }, H = { type = "timestamp", timestampFormat = "rfc822" },
  B = { type = "blob" }, Y = { type = "boolean" },
  Doc = { type = "structure", document = true, members = {} },
  Names = { type = "list", member = { shape = "S", locationName = "item" } },
  Flat = { type = "list", flattened = true, member = { shape = "Tree" } },
  Map = { type = "map", key = { shape = "S" }, value = { shape = "Tree" } },
  FlatMap = { type = "map", flattened = true, key = { shape = "S", locationName = "k" },
    value = { shape = "S", locationName = "v" } },
  One = { type = "structure", union = true,
    members = { s = { shape = "S" }, i = { shape = "I" } } },
  Tree = { type = "structure", members = {
    s = { shape = "S" }, i = { shape = "I" }, d = { shape = "D" }, t = { shape = "T" },
    h = { shape = "H" }, b = { shape = "B" }, y = { shape = "Y" }, names = { shape = "Names" },
    flat = { shape = "Flat" }, map = { shape = "Map" }, fm = { shape = "FlatMap" },
    one = { shape = "One" }, kid = { shape = "Tree" },
    a = { shape = "S", xmlAttribute = true, locationName = "x:a" }, doc = { shape = "Doc" } } },
  Gone = { type = "structure", exception = true, error = { code = "Gone", httpStatusCode = 404 },
    members = { message = { shape = "S" }, tree = { shape = "Tree" } } },
  Events = { type = "structure", eventstream = true, members = { e = { shape = "Event" } } },
  Event = { type = "structure", event = true,
    members = { tree = { shape = "Tree", eventpayload = true },
    n = { shape = "I", eventheader = true } } },
  Stream = { type = "structure", members = { events = { shape = "Events" } }, payload = "events" },
}

--- @return a function that reads `data` as an answer of each kind, and what comes of a
-- success as a request too
function answers.reader(protocol)
  local m = model.from_table { shapes = shapes,
    metadata = { protocol = protocol, apiVersion = "1", targetPrefix = "P", jsonVersion = "1.1" },
    operations = {
      Get = { input = { shape = "Tree" }, output = { shape = "Tree", resultWrapper = "GetResult" },
        http = { method = "POST", requestUri = "/" }, errors = { { shape = "Gone" } } },
      Follow = { output = { shape = "Stream" }, http = { method = "POST", requestUri = "/f" } } } }
  return function(data)
    m:parse("Get", { status = 404, headers = {}, body = data })
    m:parse("Follow", { status = 200, headers = {}, body = data })
    m:route("POST", "/" .. data:sub(1, 20), {}, data)
    m:parse_request("Get", { method = "POST", target = "/", headers = {}, body = data })
    local output = m:parse("Get", { status = 200, headers = {}, body = data })
    if output then
      local answer = m:serialize_response("Get", output)
      if answer and not m:parse("Get", answer) then
        error("FUZZ: an answer of ours cannot be read")
      end
    end
  end
end

return answers
