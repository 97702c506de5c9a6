--- One signed STS call in a process of its own: the cold start.
local aws = require "aws"
print(aws.sts { region = "us-west-2" }:get_caller_identity({}).Account)
