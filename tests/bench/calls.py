"""Calls a second of boto3. Usage: calls.py URL COUNT IN_FLIGHT; prints the rate and the
peak memory in MiB. In flight by threads, as its users do it."""
import resource
import sys
import threading
import time

import boto3
from botocore.config import Config

url, count, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rds = boto3.client(
    "rds", region_name="us-west-2", endpoint_url=url, aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="secret", config=Config(max_pool_connections=max(10, in_flight)))
rds.describe_db_instances(DBInstanceIdentifier="app-dr")


def worker(share):
    for _ in range(share):
        rds.describe_db_instances(DBInstanceIdentifier="app-dr")["DBInstances"]


threads = [threading.Thread(target=worker, args=(max(1, count // in_flight),)) for _ in range(in_flight)]
began = time.monotonic()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seconds = time.monotonic() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print("%.0f %.1f" % (max(1, count // in_flight) * in_flight / seconds, peak))
