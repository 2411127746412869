"""The function contract, kept by every runner of ours."""

import os
import shutil
import socket
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from contract import Contract, Subject  # noqa: E402

ROOT = HERE.parent.parent
BUILD = Path(os.environ.get("FATHOM_BUILD", ROOT / "build/dev"))
FUNCTIONS = HERE / "functions"
WATCHDOG = BUILD / "fathom-watchdog"
CPP = BUILD / "sdk_contract_function"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need(program: Path | str | None, name: str) -> None:
    if not program or not Path(program).exists():
        raise unittest.SkipTest(f"{name} is not there: {program}")


class Python(Contract):
    subject = Subject(
        ["/usr/bin/python3", "-I", "-S", "-X", "utf8", ROOT / "runtime/python3/runner.py"], FUNCTIONS / "python3"
    )


class Node(Contract):
    @classmethod
    def setUpClass(cls):
        node = shutil.which("node", path="/usr/bin:/usr/local/bin")
        need(node, "Node")
        cls.subject = Subject([node, ROOT / "runtime/node/runner.cjs"], FUNCTIONS / "node")


class Cpp(Contract):
    subject = Subject([CPP], BUILD)

    @classmethod
    def setUpClass(cls):
        need(CPP, "the C++ function")


class WatchdogClassic(Contract):
    subject = Subject(
        [WATCHDOG],
        FUNCTIONS / "shell",
        {"fprocess": "sh ./handler.sh", "healthcheck_interval": "0s"},
        without=("streaming", "death", "start", "single"),
    )

    @classmethod
    def setUpClass(cls):
        need(WATCHDOG, "the watchdog")


class WatchdogHttp(Contract):
    @classmethod
    def setUpClass(cls):
        need(WATCHDOG, "the watchdog")

    def setUp(self):
        super().setUp()
        port = free_port()
        self.subject = Subject(
            [WATCHDOG],
            FUNCTIONS / "http",
            {
                "mode": "http",
                "fprocess": f"/usr/bin/python3 server.py {port}",
                "upstream_url": f"http://127.0.0.1:{port}",
               
                "healthcheck_interval": "0s",
            },
            without=("streaming", "death", "start", "single"),
        )


del Contract  # it is the base, not a case
