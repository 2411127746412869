"""The standard handler of tests/contract/contract.py."""

import os
import time


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)


if "CONTRACT_START_AFTER" in os.environ:
    wait_for(os.environ["CONTRACT_START_AFTER"])
if "CONTRACT_START_DEATH" in os.environ:
    os._exit(7)


def die_after_a_piece():
    yield "half of it"
    os._exit(7)


def handle(event, context):
    if event.path == "/echo":
        return event.body
    if event.path == "/hold":
        wait_for(event.query["file"])
        return "held"
    if event.path == "/pieces":
        return (piece for piece in ("one", "two", "three"))
    if event.path == "/die":
        return die_after_a_piece() if event.query.get("after") else os._exit(7)
    if event.path == "/fail":
        raise ValueError("asked to fail")
    return {"statusCode": 404}
