"""What ./test runs: builds a preset, then units (ctest), tidy, and integration tests (tests/**/test_*.py).

Every test case counts once. The last line is `N passed, N failed, N skipped`; the exit code is 1
when anything failed. `./test` calls this after it has installed what is missing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
CORES = os.cpu_count() or 2
# A file of integration tests that takes longer than this hangs.
FILE_SECONDS_MAX = 600
LONG_FILE_SECONDS_MAX = 6 * 3600


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Tally") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def stage(title: str) -> None:
    print(f"\n== {title}", flush=True)


def build(preset: str, *targets: str) -> bool:
    stage(f"build {preset}")
    return subprocess.run([ROOT / "tools/build", preset, *targets]).returncode == 0


# ------------------------------------------------------------------------------------------- units


def run_units(preset: str, words: list[str]) -> Tally:
    """Every case registered with CTest, each in a process of its own."""
    stage(f"unit tests ({preset})")
    with tempfile.TemporaryDirectory(prefix="fathom-test-") as folder:
        junit = Path(folder) / "units.xml"
        command = ["ctest", "--preset", preset, "--parallel", str(CORES), "--output-junit", str(junit)]
        if words:
            command += ["--tests-regex", "|".join(re.escape(word) for word in words)]
        subprocess.run(command, cwd=ROOT)
        if not junit.exists():
            print("ctest wrote no results")
            return Tally(failed=1)
        return count_junit(junit)


def count_junit(path: Path) -> Tally:
    tally = Tally()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if case.get("status") == "run":
            tally.passed += 1
        elif case.get("status") == "disabled" or (
            skipped is not None and "SKIP" in (skipped.get("message") or "")
        ):
            tally.skipped += 1
        else:  # failed, or could not even be started
            tally.failed += 1
    return tally


# ------------------------------------------------------------------------------------ integration


def integration_files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))


def run_file(path: Path, preset: str, words: list[str], settings: dict[str, str]) -> Tally:
    """One file of unittest cases in a process of its own, so that a hang or crash ends only it."""
    with tempfile.TemporaryDirectory(prefix="fathom-test-") as folder:
        result = Path(folder) / "result.json"
        environment = os.environ | settings | {"FATHOM_BUILD": str(ROOT / "build" / preset)}
        seconds_max = LONG_FILE_SECONDS_MAX if settings else FILE_SECONDS_MAX
        try:
            subprocess.run(
                [PYTHON, ROOT / "tests/cases.py", path, result, *words],
                env=environment,
                timeout=seconds_max,
            )
        except subprocess.TimeoutExpired:
            print(f"FAILED   {path.name} took longer than {seconds_max} s and was stopped")
        if not result.exists():
            return Tally(failed=1)
        return Tally(**json.loads(result.read_text()))


def run_integration(preset: str, words: list[str], settings: dict[str, str] | None = None) -> Tally:
    tally = Tally()
    for path in integration_files():
        stage(f"{path.relative_to(ROOT)} ({preset})")
        tally.add(run_file(path, preset, words, settings or {}))
    return tally


# ------------------------------------------------------------------------------------------- tidy


def run_tidy() -> Tally:
    stage("tidy")
    import tidy

    tally = Tally()
    for rule, complaints in tidy.check(ROOT):
        print(f"{'FAILED' if complaints else 'ok':8} {rule}")
        for complaint in complaints:
            print(f"         {complaint}")
        tally.add(Tally(failed=1) if complaints else Tally(passed=1))
    return tally


# ------------------------------------------------------------------------------------ long proofs


def long_fuzz(options: argparse.Namespace) -> Tally:
    """Each libFuzzer target for --minutes (default 5), two at a time. Short form: its seeds, in the unit tests."""
    if not build("fuzz", "fuzzers"):
        return Tally(failed=1)
    targets = sorted(
        path for path in (ROOT / "build/fuzz").rglob("*_fuzz") if os.access(path, os.X_OK) and path.is_file()
    )
    tally = Tally()
    for first in range(0, len(targets), CORES):
        pair = targets[first : first + CORES]
        stage(f"fuzz {', '.join(target.name for target in pair)}: {options.minutes} min")
        started = [start_fuzzer(target, options.minutes) for target in pair]
        for target, process, log in started:
            code = process.wait()
            text = log.read_text(errors="replace")
            runs = re.search(r"Done (\d+) runs", text)
            print(f"{'ok' if code == 0 else 'FAILED':8} {target.name}  {runs[0] if runs else ''}")
            if code != 0:
                print(text[-6000:])
            tally.add(Tally(passed=1) if code == 0 else Tally(failed=1))
    if not targets:
        print("there is no fuzz target")
        tally.failed += 1
    return tally


def start_fuzzer(target: Path, minutes: float):
    """What it finds is kept in build/fuzz/corpus/TARGET, and crashes in build/fuzz/findings/."""
    corpus = ROOT / "build/fuzz/corpus" / target.name
    findings = ROOT / "build/fuzz/findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "fuzz/seeds" / target.name
    log = findings / f"{target.name}.log"
    command = [target, f"-max_total_time={int(minutes * 60)}", "-timeout=10", "-rss_limit_mb=2048",
               f"-artifact_prefix={findings}/{target.name}-", corpus]
    command += [seeds] if seeds.is_dir() else []
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)
    return target, process, log


def long_kill_cycles(options: argparse.Namespace) -> Tally:
    """Hundreds of kill -9 of daemon and keeper under load. Short form: 50 of each."""
    if not build(options.preset):
        return Tally(failed=1)
    settings = {"FATHOM_KILL_CYCLES": str(options.cycles)}
    return run_file(ROOT / "tests/integration/test_crash.py", options.preset, ["Kill"], settings)


def long_soak(options: argparse.Namespace) -> Tally:
    """Mixed load for --minutes: nothing lost, memory and descriptors level. Short form: 10 s."""
    if not build(options.preset):
        return Tally(failed=1)
    settings = {"FATHOM_SOAK_SECONDS": str(int(options.minutes * 60))}
    return run_file(ROOT / "tests/integration/test_soak.py", options.preset, [], settings)


def long_clang_tidy(options: argparse.Namespace) -> Tally:
    """clang-tidy over every file. No short form: a minute a core for each dozen files."""
    if not build("dev"):
        return Tally(failed=1)
    code = subprocess.run([PYTHON, ROOT / "tests/clang_tidy.py", "--all"]).returncode
    return Tally(failed=1) if code else Tally(passed=1)


LONG = {
    "fuzz": long_fuzz,
    "soak": long_soak,
    "kill-cycles": long_kill_cycles,
    "clang-tidy": long_clang_tidy,
}


# ------------------------------------------------------------------------------------------- main


def parse() -> argparse.Namespace:
    long_help = "\n".join(f"  {name:12} {proof.__doc__}" for name, proof in LONG.items())
    parser = argparse.ArgumentParser(
        prog="./test",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Builds and tests. The last line is `N passed, N failed, N skipped`.",
        epilog=f"long proofs:\n{long_help}",
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only tests whose name contains one of them")
    parser.add_argument("--quick", action="store_true", help="unit tests only")
    parser.add_argument("--preset", default="dev", choices=["dev", "asan", "tsan", "release"])
    parser.add_argument("--long", choices=sorted(LONG), metavar="NAME", help="a long proof, see below")
    parser.add_argument("--minutes", type=float, default=5, help="of fuzz (each target) and soak; default 5")
    parser.add_argument("--cycles", type=int, default=500, help="of kill-cycles; default 500")
    return parser.parse_args()


def run(options: argparse.Namespace) -> Tally:
    if options.long:
        return LONG[options.long](options)
    if not build(options.preset):
        return Tally(failed=1)
    tally = run_units(options.preset, options.words)
    if not options.quick:
        if not options.words:
            tally.add(run_tidy())
        tally.add(run_integration(options.preset, options.words))
    return tally


def main() -> int:
    sys.path.insert(0, str(ROOT / "tests"))
    sys.dont_write_bytecode = True
    started = time.monotonic()
    try:
        tally = run(parse())
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    print(f"\ntook {time.monotonic() - started:.0f} s")
    print(tally, flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
