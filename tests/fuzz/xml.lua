local answers = require "answers"
local query, ec2, rest = answers.reader "query", answers.reader "ec2", answers.reader "rest-xml"

return function(data)
  query(data)
  ec2(data)
  rest(data)
end
