local jmespath = require "aws.jmespath"
local given = { a = { b = { 1, 2, { c = "x" } } }, s = "text", n = -1.5 }

return function(data) jmespath.search(data, given) end
