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


def settle(subject: FathomSubject) -> dict[str, int]:
    """KiB, once they have stopped changing: daemon, keeper, its helpers, and the PSS of all together."""
    seen = []

    def steady() -> bool:
        pids, keeper = subject.pids(), subject.fathom.keeper_pid()
        daemon = subject.fathom.process.pid
        seen.append({
            "daemon": rss_kib(daemon),
            "keeper": rss_kib(keeper),
            "helpers": sum(rss_kib(pid) for pid in pids if pid not in (daemon, keeper)),
            "pss": sum(rss_kib(pid, "Pss") for pid in pids),
        })
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
            deployed = count
            subject.wait_until_gone()
            kib = settle(subject)
            totals[count] = kib["daemon"] + kib["keeper"]
            case = f"{count} functions"
            for part in ("daemon", "keeper", "helpers"):
                report.add(case, part, "rss", "KiB", kib[part])
            report.add(case, "daemon + keeper", "rss", "KiB", totals[count])
            report.add(case, "all processes", "pss", "KiB", kib["pss"])
        report.add("a function", "daemon + keeper", "rss", "KiB", (totals[1000] - totals[10]) / 990)
    finally:
        subject.stop()


def run(report: Report, options) -> None:
    measure_idle(report)
    report.add("exec to ready", "fathom", "ready", "ms", median(ready_ms() for _ in range(options.rounds)))
    report.table(f"idle (at most {TOTAL_MIB_MAX} MiB in all, {FUNCTION_KIB_MAX} KiB a function; "
                 f"ready within {READY_MS_MAX} ms)")
