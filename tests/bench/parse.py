"""Milliseconds that botocore takes to parse a DescribeDBInstances answer.
Usage: parse.py FILE REPEATS"""
import sys
import time

import botocore.parsers
import botocore.session

body = open(sys.argv[1], "rb").read()
model = botocore.session.get_session().get_service_model("rds")
shape = model.operation_model("DescribeDBInstances").output_shape
parser = botocore.parsers.create_parser("query")
answer = {"status_code": 200, "headers": {"Content-Type": "text/xml"}, "body": body}
count = len(parser.parse(answer, shape)["DBInstances"])
best = float("inf")
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    parser.parse(answer, shape)
    best = min(best, time.monotonic() - began)
print("%.3f %d" % (best * 1000, count))
