"""What the pinned botocore itself answers to endpoint vectors.

Reads JSON lines {"service", "params"}, writes JSON lines {"url"} or {"error"}, by
botocore's own rule engine on the rule sets of the pinned models (build/botocore).
For telling a fault of ours from vectors that were made for another release of the
models. Usage: PYTHONPATH=build VENV/bin/python peer_endpoint.py < questions"""
import glob
import gzip
import json
import sys

from botocore.endpoint_provider import EndpointProvider

DATA = "build/botocore/data/"
with open(DATA + "partitions.json") as file:
    PARTITIONS = json.load(file)
providers = {}


def provider(service):
    if service not in providers:
        path = sorted(glob.glob(DATA + service + "/*/endpoint-rule-set-1.json.gz"))[-1]
        with gzip.open(path) as rules:
            providers[service] = EndpointProvider(json.load(rules), PARTITIONS)
    return providers[service]


for line in sys.stdin:
    question = json.loads(line)
    try:
        found = provider(question["service"]).resolve_endpoint(**question["params"])
        answer = {"url": found.url}
    except Exception as error:  # whatever it raises is its answer
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
