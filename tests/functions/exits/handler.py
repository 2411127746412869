"""POST /die ends the process before it answers; everything else answers."""

import os


def handle(event, context):
    if event.path == "/die":
        os._exit(7)
    return {"statusCode": 200, "body": str(os.getpid())}
