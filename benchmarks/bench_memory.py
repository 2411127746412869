"""What the whole platform takes when nothing happens: RSS of daemon and keeper with 0, 10 and 1,000
functions deployed at zero replicas; and the time from exec to ready."""

import time

import harness
from driver import Report, median
from subjects import UPSTREAM, FathomSubject, rss_kib

TOTAL_MIB_MAX = 24
FUNCTION_KIB_MAX = 2
READY_MS_MAX = 50


def ready_ms() -> float:
    """From exec to the ready file, with a data folder that exists already."""
    fathom = harness.Fathom()
    try:
        fathom.start()  # makes the folder, the password, the database
        fathom.stop()
        fathom.ready = {}
        started = time.monotonic()
        process = fathom.launch()
        while not fathom._read_ready() and process.poll() is None:
            time.sleep(0.0005)
        return (time.monotonic() - started) * 1000
    finally:
        fathom.remove()


def settle(subject: FathomSubject) -> list[int]:
    """RSS in KiB of each process, once it has stopped changing."""
    seen = []
    def steady():
        seen.append([rss_kib(pid) for pid in subject.pids()])
        return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3]
    harness.eventually(steady, every=0.3)
    return seen[-1]


def measure_idle(report: Report) -> None:
    subject = FathomSubject()
    try:
        subject.start()
        image = subject.bundle("idle", ["/home/app/function/upstream"], {"upstream": UPSTREAM})
        deployed, totals = 0, {}
        for count in (0, 10, 1000):
            for number in range(deployed, count):
                subject.deploy(f"idle-{number}", image, {"com.openfaas.scale.min": "0"})
                subject.scale(f"idle-{number}", 0)
            deployed = count
            subject.wait_until_gone()
            daemon, keeper = settle(subject)
            totals[count] = daemon + keeper
            case = f"{count} functions"
            report.add(case, "daemon", "rss", "KiB", daemon)
            report.add(case, "keeper", "rss", "KiB", keeper)
            report.add(case, "fathom", "rss", "KiB", daemon + keeper)
        report.add("a function", "fathom", "rss", "KiB", (totals[1000] - totals[10]) / 990)
    finally:
        subject.stop()


def run(report: Report, options) -> None:
    measure_idle(report)
    report.add("exec to ready", "fathom", "ready", "ms", median(ready_ms() for _ in range(options.rounds)))
    report.table(f"idle (at most {TOTAL_MIB_MAX} MiB in all, {FUNCTION_KIB_MAX} KiB a function; "
                 f"ready within {READY_MS_MAX} ms)")
