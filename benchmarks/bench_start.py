"""From zero replicas to the first answer, beside the floor: plain posix_spawn of the same program with
its socket as descriptor 3, until it has answered one request."""

import os
import shutil
import tempfile
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import harness
from driver import ROOT, Report, median, stopwatch
from subjects import UPSTREAM, FathomSubject

FUNCTIONS = ROOT / "benchmarks/functions"
OVER_FLOOR_MS_MAX = 2.0


@dataclass
class Language:
    name: str
    folder: Path
    lang: str = ""  # for `fathom deploy`; empty: a bundle made here, or fprocess
    fprocess: str = ""
    floor: list = field(default_factory=list)  # the same program, started by hand in `folder`


def node() -> str:
    return shutil.which("node") or "node"


def languages(runtime: Path) -> list[Language]:
    """`runtime`: the runners as the daemon wrote them, compiled ahead and all."""
    python = ["/usr/bin/python3", "-I", "-S", "-X", "utf8", runtime / "python3/runner.py"]
    return [
        Language("C++", UPSTREAM.parent, floor=[UPSTREAM]),
        Language("Python", FUNCTIONS / "python", lang="python3", floor=python),
        Language("Node", FUNCTIONS / "node", lang="node", floor=[node(), runtime / "node/runner.cjs"]),
        Language("shell", FUNCTIONS / "shell", fprocess="./hello.sh", floor=[runtime / "fathom-watchdog"]),
    ]


def function_name(language: Language) -> str:
    return language.name.lower().replace("+", "p")


def deploy(subject: FathomSubject, language: Language) -> None:
    name = function_name(language)
    labels = {"com.openfaas.scale.min": "0"}
    if not language.lang and not language.fprocess:
        return subject.deploy_upstream(name, labels)
    stack = subject.fathom.folder / f"{name}.yml"
    what = f"lang: {language.lang}" if language.lang else f"fprocess: {language.fprocess}"
    stack.write_text(
        f"version: 1.0\nprovider: {{name: openfaas}}\nfunctions:\n  {name}:\n    {what}\n"
        f"    handler: {language.folder}\n    image: {name}:latest\n"
        f"    labels: {{com.openfaas.scale.min: \"0\"}}\n")
    subject.fathom.login()
    done = subject.fathom.cli("deploy", "-f", stack)
    if done.code != 0:
        raise RuntimeError(f"deploy {name}: {done.output}")


def start_by_hand(language: Language, folder: Path) -> float:
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder),
             "fprocess": language.fprocess or "cat"}
    return stopwatch("start", language.folder, "/", *language.floor, environment=clean) / 1000


def start_in_fathom(subject: FathomSubject, language: Language) -> float:
    name = function_name(language)
    subject.scale(name, 0)
    subject.wait_until_gone()
    url = urllib.parse.urlsplit(subject.fathom.api)
    return stopwatch("first", url.hostname, url.port, f"/function/{name}/") / 1000


def measure(report: Report, subject: FathomSubject, language: Language, rounds: int, folder: Path) -> None:
    deploy(subject, language)
    start_by_hand(language, folder), start_in_fathom(subject, language)  # fill the page cache
    floors, starts = [], []
    for _ in range(rounds):
        floors.append(start_by_hand(language, folder))
        starts.append(start_in_fathom(subject, language))
    subject.scale(function_name(language), 0)
    first = len(report.rows)
    floor = report.add(language.name, "posix_spawn", "first_answer", "ms", median(floors))
    report.add(language.name, "fathom", "first_answer", "ms", median(starts), to=floor)
    report.add(language.name, "fathom", "over_floor", "ms", median(starts) - median(floors))
    report.table(f"{language.name} (over the floor at most {OVER_FLOOR_MS_MAX} ms)", report.rows[first:])


def run(report: Report, options) -> None:
    subject = FathomSubject()
    folder = Path(tempfile.mkdtemp(prefix="fathom-bench-"))
    try:
        subject.start()
        for language in languages(subject.fathom.data / "runtime"):
            if options.case in language.name:
                measure(report, subject, language, 7 * options.rounds, folder)
    except harness.subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{error}\n{subject.fathom.log()}") from None
    finally:
        subject.stop()
        shutil.rmtree(folder, ignore_errors=True)
