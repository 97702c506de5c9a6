"""Makes calls with boto3 and prints the answers.

Usage: calls.py URL < calls.json     calls: [[service, region, operation, input], ...]
Prints a JSON list: each answer without its metadata, or {"error": code}. Times are
seconds since the epoch."""
import datetime
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k != "ResponseMetadata"}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if hasattr(value, "read"):
        return value.read().decode("latin-1")
    return value


def call(url, service, region, operation, given):
    client = boto3.client(service, region_name=region, endpoint_url=url,
                          config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}))
    try:
        return plain(getattr(client, operation)(**given))
    except ClientError as error:
        return {"error": error.response["Error"]["Code"]}


json.dump([call(sys.argv[1], *each) for each in json.load(sys.stdin)], sys.stdout)
