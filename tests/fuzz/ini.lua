local ini = require "aws.ini"

return function(data) ini.parse(data, "fuzz") end
