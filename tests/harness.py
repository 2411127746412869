"""The real binary under test: starts `fathom serve` on free ports in a folder of its own, talks to it
over REST, raw sockets and the command line, and says what it left behind.

    class Echo(harness.FathomCase):          # one daemon for the class, tests/functions/stack.yml deployed
        functions = ["echo"]
        def test_answers_what_it_was_sent(self):
            answer = self.fathom.call("echo", b"hello")
            self.assertEqual(answer.body, b"hello")

FATHOM_BUILD names the build folder (./test sets it; build/dev otherwise). No test sleeps for a fixed
time: `eventually` asks until something holds, and says what it saw last when it never does.
"""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("FATHOM_BUILD", ROOT / "build/dev"))
FATHOM = BUILD / "fathom"
FUNCTIONS = ROOT / "tests/functions"
# Sanitized builds and shared machines are slow; nothing waits this long when all is well.
PATIENCE_SECONDS = 60


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Done:
    """How a command ended."""

    code: int
    output: str  # standard output and error, as a person sees them


def eventually(question, wanted=bool, patience=PATIENCE_SECONDS, every=0.05):
    """The first answer of question() for which wanted(answer) holds."""
    give_up = time.monotonic() + patience
    while True:
        answer = question()
        if wanted(answer):
            return answer
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {patience} s; the last answer was {answer!r}")
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -------------------------------------------------------------------------------------- the daemon


class Fathom:
    """One data folder and the `fathom serve` that has it, or had."""

    def __init__(self, arguments=()):
        self.folder = Path(tempfile.mkdtemp(prefix="fathom-test-"))
        self.folder.chmod(0o755)  # the daemon may run as another user
        self.data = self.folder / "data"
        self.log_file = self.folder / "log"
        self.arguments = list(arguments)
        self.mark = uuid.uuid4().hex  # in the environment of every process that is ours
        self.process = None
        self.ready = {}

    # ---- life

    def launch(self, *arguments, environment=None) -> subprocess.Popen:
        """Starts `fathom serve`; the caller waits for what should come of it."""
        ready_file = self.folder / f"ready-{uuid.uuid4().hex}.json"
        command = [FATHOM, "serve", "--data", self.data, "--ready-file", ready_file]
        command += self.arguments + list(arguments)
        if "--listen" not in command:
            command += ["--listen", "127.0.0.1:0"]
        if "--metrics-listen" not in command:
            command += ["--metrics-listen", "127.0.0.1:0"]
        self.ready_file, self.ready = ready_file, {}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log_file.open("ab"),
            stderr=subprocess.STDOUT,
            env=os.environ | {"FATHOM_TEST_MARK": self.mark} | (environment or {}),
            start_new_session=True,
        )
        return self.process

    def start(self, *arguments, environment=None) -> "Fathom":
        process = self.launch(*arguments, environment=environment)
        try:
            eventually(lambda: self._read_ready() or process.poll() is not None, every=0.01)
        except AssertionError as error:
            raise AssertionError(f"never ready: {error}\n{self.log()}") from None
        if not self.ready:
            raise AssertionError(f"fathom serve ended with {process.returncode}\n{self.log()}")
        return self

    def _read_ready(self) -> bool:
        try:
            self.ready = json.loads(self.ready_file.read_text())
            return True
        except (FileNotFoundError, json.JSONDecodeError):
            return False

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9 of the daemon alone; keeper and replicas go on."""
        self.process.kill()
        self.process.wait()
        self.ready = {}

    def wait(self) -> int:
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"fathom serve did not end\n{self.log()}") from None

    def remove(self) -> None:
        """Stops whatever is left and deletes the folder; for the end of a test, however it ended."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not self.mounts() or self._unmount())
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmount(self) -> bool:
        for point in self.mounts():
            subprocess.run(["umount", "--lazy", point], capture_output=True)
        return not self.mounts()

    def log(self) -> str:
        keeper = self.data / "keeper/keeper.log"
        text = self.log_file.read_text(errors="replace")
        try:
            text += "\n-- keeper.log\n" + keeper.read_text(errors="replace")
        except OSError:
            pass
        return text[-8000:]

    # ---- addresses

    @property
    def api(self) -> str:
        return self.ready["api"]

    @property
    def address(self) -> tuple[str, int]:
        url = urllib.parse.urlsplit(self.api)
        return url.hostname, url.port

    @property
    def password(self) -> str:
        return Path(self.ready["password_file"]).read_text().strip()

    # ---- REST

    def request(self, method, target, body=None, headers=None, auth=True, api=None) -> Answer:
        url = urllib.parse.urlsplit(api or self.api)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if auth:
            pair = f"{self.ready['username']}:{self.password}".encode()
            headers.setdefault("Authorization", "Basic " + base64.b64encode(pair).decode())
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def call(self, function, body=b"", method="POST", path="", headers=None) -> Answer:
        return self.request(method, f"/function/{function}{path}", body, headers, auth=False)

    def metrics(self) -> str:
        return self.request("GET", "/metrics", auth=False, api=self.ready["metrics"]).text

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE_SECONDS)

    # ---- the command line

    def cli(self, *arguments, stdin=b"", environment=None, cwd=None) -> Done:
        """Any verb, logged in with this daemon; the person's own ~/.openfaas stays out of it."""
        own = {"OPENFAAS_CONFIG": str(self.folder / "config"), "HOME": str(self.folder)}
        if self.ready:
            own["OPENFAAS_URL"] = self.api
        return run_cli(*arguments, stdin=stdin, environment=own | (environment or {}), cwd=cwd)

    def login(self) -> None:
        done = self.cli("login", "--username", self.ready["username"], "--password-stdin",
                        stdin=self.password.encode())
        if done.code != 0:
            raise AssertionError(f"login: {done}")

    def deploy(self, *functions, stack=None) -> None:
        """Deploys functions of tests/functions/stack.yml and waits until each is ready."""
        self.login()
        chosen = ["--regex", f"^({'|'.join(functions)})$"] if functions else []
        done = self.cli("deploy", "-f", str(stack or FUNCTIONS / "stack.yml"), *chosen)
        if done.code != 0:
            raise AssertionError(f"deploy: {done.output}\n{self.log()}")
        for name in functions:
            self.wait_available(name)

    def status(self, function) -> dict | None:
        answer = self.request("GET", f"/system/function/{function}")
        return answer.json if answer.status == 200 else None

    def wait_available(self, function, replicas=1) -> None:
        def available():
            return (self.status(function) or {}).get("availableReplicas", 0)

        try:
            eventually(available, lambda count: count >= replicas)
        except AssertionError as error:
            raise AssertionError(f"{function}: {error}\n{self.log()}") from None

    # ---- what it leaves behind

    def processes(self) -> dict[int, str]:
        """Every live process of this data folder: by our mark, by its cgroup, by its folders."""
        groups = self.cgroup_name()
        found = {}
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            if is_ours(pid, self.mark, groups, str(self.data)):
                found[pid] = read_proc(pid, "cmdline").replace("\0", " ").strip()
        return found

    def cgroup_name(self) -> str | None:
        try:
            own = (self.data / "keeper").stat()
        except OSError:
            return None
        return f"fathom-{own.st_dev:x}-{own.st_ino:x}"

    def cgroups(self) -> list[str]:
        name = self.cgroup_name()
        if name is None:
            return []
        return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if name in folder]

    def mounts(self) -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if str(self.data) in line]

    def sockets(self) -> list[str]:
        folder = self.data / "keeper/s"
        return sorted(os.listdir(folder)) if folder.is_dir() else []

    def traces(self) -> dict[str, object]:
        """What must all be empty after an orderly stop."""
        found = {
            "processes": self.processes(),
            "cgroups": self.cgroups(),
            "mounts": self.mounts(),
            "sockets": self.sockets(),
        }
        return {kind: what for kind, what in found.items() if what}

    def namespaces(self) -> set[str]:
        """Mount and PID namespaces that our processes live in and we do not."""
        own = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "pid")}
        found = set()
        for pid in self.processes():
            for kind in ("mnt", "pid"):
                try:
                    found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
                except OSError:
                    pass
        return found - own

    def keeper_pid(self) -> int:
        """The one process whose working folder is DATA/keeper."""
        return eventually(self._keeper_pid)

    def _keeper_pid(self) -> int | None:
        for pid in self.processes():
            if read_link(pid, "cwd") == str(self.data / "keeper") and read_link(pid, "exe") == str(FATHOM):
                if "FATHOM_TEST_MARK" in read_proc(pid, "environ"):
                    return pid
        return None


def run_cli(*arguments, stdin=b"", environment=None, cwd=None) -> Done:
    done = subprocess.run(
        [FATHOM, *map(str, arguments)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | (environment or {}),
        cwd=cwd,
        timeout=300,
    )
    return Done(done.returncode, done.stdout.decode(errors="replace"))


def is_ours(pid: int, mark: str, groups: str | None, data: str) -> bool:
    if read_proc(pid, "stat").rpartition(")")[2][1:2] in ("Z", ""):
        return False
    if mark in read_proc(pid, "environ") and read_link(pid, "exe") == str(FATHOM):
        return True
    if groups is not None and groups in read_proc(pid, "cgroup"):
        return True
    return read_link(pid, "cwd").startswith(data) or data in read_proc(pid, "mountinfo")


def read_proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def read_link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def rss_kib(pid: int) -> int:
    match = re.search(r"^VmRSS:\s+(\d+) kB", read_proc(pid, "status"), re.MULTILINE)
    return int(match[1]) if match else 0


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


# --------------------------------------------------------------------------------------- test cases


class FathomCase(unittest.TestCase):
    """One daemon for the whole class. `functions` of tests/functions/stack.yml are deployed."""

    functions: list[str] = []
    arguments: list[str] = []

    @classmethod
    def setUpClass(cls):
        cls.fathom = Fathom(cls.arguments)
        cls.addClassCleanup(cls.fathom.remove)
        cls.fathom.start()
        if cls.functions:
            cls.fathom.deploy(*cls.functions)

    def assertSays(self, done: Done, *words, code=None):
        """The command failed (with `code`) and its message has every word."""
        self.assertNotEqual(done.code, 0, done.output)
        if code is not None:
            self.assertEqual(done.code, code, done.output)
        for word in words:
            self.assertIn(word, done.output)


class OwnFathomCase(unittest.TestCase):
    """A daemon for each test, which starts it itself."""

    def new_fathom(self, *arguments) -> Fathom:
        fathom = Fathom(arguments)
        self.addCleanup(fathom.remove)
        return fathom

    assertSays = FathomCase.assertSays
