"""./bench: builds the release, runs the benches named, prints tables, and writes rows as JSON.

A bench is a module bench_NAME.py with `run(report, options)`. It adds rows to the report; one row is
one figure of one subject in one case. A figure compared with another subject's says with whose, and
how many times as much it is.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
BENCHES = ["proxy", "start", "watchdog", "memory"]
TARGETS = ["fathom-watchdog", "bench_upstream", "bench_stopwatch"]
NEEDS_FATHOM = ["proxy", "start", "memory"]
STOPWATCH = BUILD / "benchmarks/bench_stopwatch"


@dataclass
class Row:
    bench: str
    case: str
    subject: str
    figure: str
    unit: str
    value: float
    ratio_to: str | None = None
    ratio: float | None = None


class Report:
    """The rows of one bench; prints each table as soon as it is whole."""

    def __init__(self, bench: str):
        self.bench = bench
        self.rows: list[Row] = []

    def add(self, case: str, subject: str, figure: str, unit: str, value: float, to: Row | None = None) -> Row:
        row = Row(self.bench, case, subject, figure, unit, round(value, 3))
        if to is not None and to.value:
            row.ratio_to, row.ratio = to.subject, round(value / to.value, 3)
        self.rows.append(row)
        return row

    def table(self, title: str, rows: list[Row] | None = None) -> None:
        lines = [("case", "subject", "figure", "value", "unit", "compared")]
        for row in rows if rows is not None else self.rows:
            compared = f"{row.ratio:.2f}x {row.ratio_to}" if row.ratio is not None else ""
            lines.append((row.case, row.subject, row.figure, f"{row.value:,.2f}", row.unit, compared))
        widths = [max(len(line[at]) for line in lines) for at in range(6)]
        print(f"\n{self.bench}: {title}")
        for line in lines:
            cells = [cell.rjust(width) if at == 3 else cell.ljust(width)
                     for at, (cell, width) in enumerate(zip(line, widths))]
            print("  " + "  ".join(cells).rstrip())
        sys.stdout.flush()


def median(values) -> float:
    return statistics.median(values)


def stopwatch(*arguments, environment=None) -> float:
    """One figure of benchmarks/stopwatch.cpp."""
    done = subprocess.run([STOPWATCH, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"stopwatch {arguments[0]}: {done.stderr.strip()}")
    return float(done.stdout)


def build(benches: list[str]) -> None:
    targets = TARGETS + (["fathom"] if any(name in NEEDS_FATHOM for name in benches) else [])
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", *targets], cwd=ROOT, check=True)


def machine() -> str:
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} CPUs, Linux {os.uname().release}, load {os.getloadavg()[0]:.2f}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(BENCHES)}; all of them otherwise")
    parser.add_argument("--json", metavar="F", help="write the rows to F")
    parser.add_argument("--rounds", type=int, default=3, help="alternated rounds; the median counts (default 3)")
    parser.add_argument("--seconds", type=float, default=3, help="length of one load (default 3)")
    parser.add_argument("--case", metavar="TEXT", default="", help="only cases whose name has TEXT")
    parser.add_argument("--no-build", action="store_true", help="measure what is built")
    options = parser.parse_args()
    options.names = options.names or BENCHES
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"{unknown[0]}: no such bench; there are {', '.join(BENCHES)}")
    return options


def main() -> int:
    options = parse_arguments()
    if not options.no_build:
        build(options.names)
    os.environ["FATHOM_BUILD"] = str(BUILD)  # for tests/harness.py
    sys.path.insert(0, str(ROOT / "tests"))
    print(f"{machine()}; {options.rounds} alternated rounds, medians")
    rows, failed = [], []
    for name in options.names:
        report = Report(name)
        started = time.monotonic()
        try:
            importlib.import_module(f"bench_{name}").run(report, options)
        except Exception as error:  # one broken bench does not take the others' figures away
            failed.append(name)
            print(f"\n{name}: FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"  ({time.monotonic() - started:.0f} s)")
        rows += report.rows
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 1 if failed else 0
