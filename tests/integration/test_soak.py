"""A mixed load for FATHOM_SOAK_SECONDS (10; `./test --long soak` takes minutes): every answer is right,
and memory and descriptors of the daemon are level between the middle and the end."""

import os
import random
import threading
import time

import harness

SECONDS = float(os.environ.get("FATHOM_SOAK_SECONDS", 10))
CALLERS = 8
RSS_GROWTH_KIB_MAX = 8 * 1024


class Soak(harness.FathomCase):
    functions = ["echo", "report"]

    def test_a_mixed_load_is_answered_right_and_costs_nothing_lasting(self):
        end = time.monotonic() + SECONDS
        wrong, calls = [], []

        def caller(seed):
            dice = random.Random(seed)
            count = 0
            while time.monotonic() < end and not wrong:
                complaint = one_call(self.fathom, dice)
                count += 1
                if complaint:
                    wrong.append(complaint)
            calls.append(count)

        threads = [threading.Thread(target=caller, args=(seed,)) for seed in range(CALLERS)]
        for thread in threads:
            thread.start()
        time.sleep(SECONDS / 2)
        middle = self.measure()
        for thread in threads:
            thread.join()
        after = self.measure()
        self.assertEqual(wrong, [])
        self.assertGreater(sum(calls), CALLERS)
        self.assertLess(after["rss_kib"], middle["rss_kib"] + RSS_GROWTH_KIB_MAX)
        harness.eventually(lambda: self.measure()["descriptors"], lambda now: now <= middle["descriptors"] + 8)

    def measure(self):
        pid = self.fathom.process.pid
        return {"rss_kib": harness.rss_kib(pid), "descriptors": harness.descriptors(pid)}


def one_call(fathom, dice) -> str | None:
    """One random call; what was wrong with its answer."""
    match dice.randrange(4):
        case 0:
            sent = dice.randbytes(dice.randrange(1, 100_000))
            got = fathom.call("echo", sent)
            return None if got.body == sent else f"echo: {got.status}, {len(got.body)} of {len(sent)} bytes"
        case 1:
            status = dice.choice([200, 201, 404, 500])
            got = fathom.call("report", path=f"/?status={status}")
            return None if got.status == status else f"report: {got.status} instead of {status}: {got.text}"
        case 2:
            with fathom.connect() as gone:  # a caller that leaves in the middle
                gone.sendall(b"POST /function/report HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
            return None
        case _:
            got = fathom.call("nobody")
            return None if got.status == 404 else f"nobody: {got.status}"
