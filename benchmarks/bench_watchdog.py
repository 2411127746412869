"""The watchdog in classic mode: requests a second over one connection, each with a process of its own,
beside a plain loop of posix_spawn and wait of the same program; and its memory when idle."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from driver import BUILD, Report, median, stopwatch
from subjects import rss_kib

WATCHDOG = BUILD / "fathom-watchdog"
PROGRAMS = {"true": ["/bin/true"], "sh": ["/bin/sh", "-c", "exit"]}
RATIO_MIN = 0.8
RSS_KIB_MAX = 1024


class Watchdog:
    def __init__(self, fprocess: str):
        self.folder = Path(tempfile.mkdtemp(prefix="fathom-bench-"))
        self.socket = self.folder / "s"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        listener.listen(64)
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(self.folder), "fprocess": fprocess,
                       "FATHOM_LISTEN_FD": str(listener.fileno())}
        self.process = subprocess.Popen([WATCHDOG], env=environment, pass_fds=[listener.fileno()],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listener.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure_rate(report: Report, name: str, options) -> None:
    watchdog = Watchdog(" ".join(PROGRAMS[name]))
    plain, served = [], []
    try:
        stopwatch("calls", 0.3, watchdog.socket)
        for _ in range(options.rounds):
            plain.append(stopwatch("spawn", options.seconds, *PROGRAMS[name],
                                   environment={"PATH": os.environ["PATH"]}))
            served.append(stopwatch("calls", options.seconds, watchdog.socket))
        after = rss_kib(watchdog.process.pid)
    finally:
        watchdog.stop()
    floor = report.add(name, "spawn and wait", "rate", "1/s", median(plain))
    report.add(name, "fathom-watchdog", "rate", "1/s", median(served), to=floor)
    report.add(name, "fathom-watchdog", "rss_after", "KiB", after)


def measure_idle(report: Report) -> None:
    watchdog = Watchdog("/bin/true")
    try:
        stopwatch("calls", 0.01, watchdog.socket)  # it has started
        report.add("idle", "fathom-watchdog", "rss", "KiB", rss_kib(watchdog.process.pid))
    finally:
        watchdog.stop()


def run(report: Report, options) -> None:
    for name in PROGRAMS:
        measure_rate(report, name, options)
    measure_idle(report)
    report.table(f"a process per request (at least {RATIO_MIN}x; idle at most {RSS_KIB_MAX} KiB)")
