local answers = require "answers"
local codec = require "native.model"
local rpc = answers.reader "smithy-rpc-v2-cbor"

return function(data)
  rpc(data)
  codec.uncbor(data)
end
