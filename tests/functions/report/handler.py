"""Says what it received, and with ?status=N answers with that status."""

import json
import os
import sys


def handle(event, context):
    query = dict(event.query)
    print("report was called with", event.method, event.path, file=sys.stderr, flush=True)
    body = {
        "method": event.method,
        "path": event.path,
        "query": query,
        "headers": dict(event.headers),
        "body": event.body.decode("latin-1"),
        "pid": os.getpid(),
        "files": sorted(os.listdir(".")),
    }
    return {
        "statusCode": int(query.get("status", 200)),
        "body": json.dumps(body),
        "headers": {"Content-Type": "application/json", "X-Own": "kept"},
    }
