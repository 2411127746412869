"""CPU per proxied call of Fathom, nginx and haproxy, all in front of the same upstream process: a
replica that Fathom keeps. (In front of a copy of it outside the sandbox the peers would be measured
with other wake-ups: the kernel schedules a replica in a group of its own, and on this VM that alone
was a fifth of a call.)

Load comes from wrk. CPU is utime + stime of all of a subject's processes over the load, divided by the
calls that wrk counted. Rounds alternate between the subjects, so that what else happens on the machine
hits all of them.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from driver import Report, median
from subjects import WORKERS, FathomSubject, cpu_seconds, haproxy, nginx

POST = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n'
PAYLOADS = {"20 B": ("/20", None), "64 KiB": ("/64k", None), "1 MiB POST": ("/post", POST)}
CONNECTIONS = [1, 32, 256]


@dataclass
class Load:
    calls: int
    seconds: float
    p99_ms: float
    cpu_us: float  # a call


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit]


def load(subject, path: str, script: Path | None, connections: int, seconds: float) -> Load:
    threads = min(connections, WORKERS)
    command = ["wrk", "--latency", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["-s", str(script)] if script else []
    pids = subject.pids()
    before = cpu_seconds(pids)
    text = subprocess.run(command + [subject.url(path)], capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pids) - before
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{subject.name}: {text}")
    calls, took = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
    p99 = re.search(r"^ +99% +(\S+)", text, re.MULTILINE)[1]
    return Load(int(calls), float(took), milliseconds(p99), spent / max(1, int(calls)) * 1e6)


def measure(report: Report, subjects, payload: str, connections: int, options, folder: Path) -> None:
    path, script_text = PAYLOADS[payload]
    script = None
    if script_text:
        script = folder / "post.lua"
        script.write_text(script_text)
    case = f"{payload}, {connections} conn"
    loads = {subject.name: [] for subject in subjects}
    for _ in range(options.rounds):
        for subject in subjects:
            loads[subject.name].append(load(subject, path, script, connections, options.seconds))

    first = len(report.rows)
    cpu = {name: median(each.cpu_us for each in those) for name, those in loads.items()}
    peers = [report.add(case, name, "cpu_per_call", "us", cpu[name]) for name in cpu if name != "fathom"]
    better = min(peers, key=lambda row: row.value)
    report.add(case, "fathom", "cpu_per_call", "us", cpu["fathom"], to=better)
    for name, those in loads.items():
        report.add(case, name, "calls", "1/s", median(each.calls / each.seconds for each in those))
        report.add(case, name, "p99", "ms", median(each.p99_ms for each in those))
    report.table(case, report.rows[first:])


def run(report: Report, options) -> None:
    for program in ("wrk", "nginx", "haproxy"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is not installed: apt install {program}")
    started = []
    folder = Path(tempfile.mkdtemp(prefix="fathom-bench-"))
    try:
        fathom = FathomSubject()
        started.append(fathom)
        fathom.start().deploy_upstream()
        fathom.fathom.wait_available("upstream")
        replica = fathom.open_replica("upstream")
        started += [nginx(replica), haproxy(replica)]
        for payload in PAYLOADS:
            for connections in CONNECTIONS:
                if options.case in f"{payload}, {connections} conn":
                    measure(report, started, payload, connections, options, folder)
    finally:
        for subject in started:
            subject.stop()
        shutil.rmtree(folder, ignore_errors=True)
