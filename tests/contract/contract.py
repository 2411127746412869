"""Puts a program through the function contract (docs/function-contract.md).

    python3 tests/contract/contract.py [--without PART,...] [--folder DIR] -- COMMAND ...

COMMAND is a runner with the standard handler, which answers

    /echo                the body it was sent, of any length
    /hold?file=PATH      "held", once PATH exists
    /fail                by throwing or failing: the runner makes it a 500
    /pieces              "one", "two", "three", each sent for itself          (part: streaming)
    /die                 nothing: the whole process ends with status 7        (part: death)
    /die?after=1         the first piece of an answer, then it ends likewise  (parts: death, streaming)

and, before it serves, waits until the file named by CONTRACT_START_AFTER exists and ends with status 7
when CONTRACT_START_DEATH is set (part: start). Parts a runner cannot have are named with --without:
also `parallel` (more than one call at a time), `single` (one at a time with FATHOM_CONCURRENCY=1),
`stay` (keep-alive). tests/contract/functions holds the handler in several languages.
"""

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from dataclasses import dataclass, field
from pathlib import Path

PARTS = ("streaming", "death", "start", "parallel", "single", "stay")
PATIENCE_SECONDS = 30  # nothing takes this long when all is well
QUIET_SECONDS = 0.15  # how long an answer that must not come is waited for
LISTENER = 3


@dataclass
class Subject:
    """What is put through the contract."""

    command: list
    folder: Path = Path.cwd()
    environment: dict = field(default_factory=dict)
    without: tuple = ()


@dataclass
class Answer:
    status: int
    fields: dict
    body: bytes
    is_whole: bool = True


class Caller:
    """One connection to a replica."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # refused already; the answer, if any, is still to be read

    def ask(self, target: str, body: bytes = b"", method: str = "POST", more: str = "") -> None:
        head = f"{method} {target} HTTP/1.1\r\nHost: replica\r\n{more}"
        if body or method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        self.send(head.encode() + b"\r\n" + body)

    def answer(self, method: str = "POST") -> Answer | None:
        """The next answer; None when the connection ends before one."""
        try:
            return self._answer(method)
        except (ConnectionError, BrokenPipeError):
            return None

    def _answer(self, method: str) -> Answer | None:
        status = 100
        while status == 100:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                return None
            status = int(line.split(b" ")[1])
            fields = {}
            while (line := self.stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                fields[name.lower()] = value.strip()
        answer = Answer(status, fields, b"")
        if method != "HEAD" and status not in (204, 304):
            self._body(answer)
        return answer

    def _body(self, answer: Answer) -> None:
        if answer.fields.get("transfer-encoding", "").lower() == "chunked":
            while size := self._piece(answer):
                assert size > 0
        elif "content-length" in answer.fields:
            wanted = int(answer.fields["content-length"])
            answer.body = self.stream.read(wanted)
            answer.is_whole = len(answer.body) == wanted
        else:
            answer.body = self.stream.read()

    def _piece(self, answer: Answer) -> int:
        try:
            line = self.stream.readline()
            if not line.endswith(b"\r\n"):
                answer.is_whole = False
                return 0
            size = int(line.split(b";")[0], 16)
            piece = self.stream.read(size)
            end = self.stream.read(2)
        except ConnectionError:
            answer.is_whole = False
            return 0
        answer.body += piece
        answer.is_whole = len(piece) == size and end == b"\r\n"
        return size if answer.is_whole else 0

    def call(self, target: str, body: bytes = b"", method: str = "POST", more: str = "") -> Answer | None:
        self.ask(target, body, method, more)
        return self.answer(method)

    def is_silent(self) -> bool:
        return not select.select([self.socket], [], [], QUIET_SECONDS)[0]


class Replica:
    """A started subject. Its socket is made before it starts, and our copy closed after."""

    def __init__(self, subject: Subject, folder: str, environment: dict):
        self.path = os.path.join(folder, "replica.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(128)
        # Waits in the backlog from before exec, as the daemon's own.
        self.first = Caller(self.path)
        self.first.ask("/_/ready", method="GET")
        self.log = open(os.path.join(folder, "log"), "w+b")
        self.process = start(subject, listener, self.log, {"TMPDIR": folder} | environment)
        listener.close()

    def caller(self) -> Caller:
        return Caller(self.path)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        self.first.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended, and all it started
        self.process.wait()
        self.log.close()


def start(subject: Subject, listener: socket.socket, log, environment: dict) -> subprocess.Popen:
    """Starts the command with `listener` as descriptor 3 and a clean environment."""
    # The shell moves the descriptor and then becomes the command, so LISTEN_PID is its own pid.
    script = f'exec {LISTENER}<&{listener.fileno()} {listener.fileno()}<&-; LISTEN_PID=$$ exec "$@"'
    if listener.fileno() == LISTENER:
        script = 'LISTEN_PID=$$ exec "$@"'
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "HOSTNAME": "replica"}
    clean |= {"LISTEN_FDS": "1", "FATHOM_LISTEN_FD": str(LISTENER)}
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *map(str, subject.command)],
        cwd=subject.folder,
        env=clean | subject.environment | environment,
        pass_fds=(listener.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def needs(*parts: str):
    """Skips a case when the subject is without one of these parts."""

    def mark(case):
        def run(self):
            missing = [part for part in parts if part in self.subject.without]
            if missing:
                self.skipTest(f"without {', '.join(missing)}")
            case(self)

        run.__name__ = case.__name__
        return run

    return mark


# Each must be refused or cut, never answered whole as a good request: (name, bytes).
BAD_FRAMING = [
    ("both lengths", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("a list of lengths", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\nab"),
    ("a signed length", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"),
    ("a hex length", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na"),
    ("a huge length", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\na"),
    ("an unknown coding", b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("a signed chunk", b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n"),
    ("a chunk without end", b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"),
    ("space before the colon", b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n"),
    ("a folded field", b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n"),
    ("a field without name", b"GET /echo HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n"),
    ("no Host", b"GET /echo HTTP/1.1\r\n\r\n"),
    ("two Hosts", b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    ("HTTP/2.0", b"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("no version", b"GET /echo\r\nHost: x\r\n\r\n"),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    ("a control byte", b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n"),
]  # fmt: skip


class Contract(unittest.TestCase):
    """The contract; a subclass or main() names the subject."""

    subject: Subject

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fathom-contract-")
        self.addCleanup(self.folder.cleanup)

    def replica(self, **environment: str) -> Replica:
        folder = tempfile.mkdtemp(dir=self.folder.name)
        replica = Replica(self.subject, folder, environment)
        self.addCleanup(replica.end)
        return replica

    def ready(self, **environment: str) -> Replica:
        replica = self.replica(**environment)
        answer = replica.first.answer("GET")
        self.assertIsNotNone(answer, f"it ended before it was ready: {self.log_of(replica)}")
        self.assertEqual(answer.status, 200)
        return replica

    def log_of(self, replica: Replica) -> str:
        replica.log.seek(0)
        return replica.log.read().decode(errors="replace")[-2000:]

    def gate(self) -> Path:
        """A file /hold waits for; touch it to let the call go on."""
        return Path(tempfile.mkdtemp(dir=self.folder.name)) / "open"

    def assert_answer(self, answer: Answer | None, status: int, body: bytes | None = None):
        self.assertIsNotNone(answer, "the connection ended without an answer")
        self.assertEqual(answer.status, status, answer.body[:200])
        self.assertTrue(answer.is_whole, "the answer was cut")
        if body is not None:
            self.assertEqual(len(answer.body), len(body))
            self.assertTrue(answer.body == body, "the body is another")

    # ---- start

    def test_answers_ready_that_waits_in_the_backlog_from_before_exec(self):
        self.ready()

    def test_answers_health(self):
        self.assert_answer(self.ready().caller().call("/_/health", method="GET"), 200)

    @needs("start")
    def test_answers_callers_that_came_during_a_slow_start(self):
        gate = self.gate()
        replica = self.replica(CONTRACT_START_AFTER=str(gate))
        early = replica.caller()
        early.ask("/echo", b"early")
        self.assertTrue(early.is_silent())
        self.assertTrue(replica.first.is_silent())
        gate.touch()
        self.assert_answer(replica.first.answer("GET"), 200)
        self.assert_answer(early.answer(), 200, b"early")

    @needs("start")
    def test_death_before_accept_ends_the_callers_and_refuses_new_ones(self):
        replica = self.replica(CONTRACT_START_DEATH="1")
        self.assertIsNone(replica.first.answer("GET"))
        self.assertNotEqual(replica.exit_code(), 0)
        self.assertRaises(ConnectionRefusedError, replica.caller)

    # ---- calls

    def test_returns_a_body_as_it_was_sent(self):
        self.assert_answer(self.ready().caller().call("/echo", b"hello\n"), 200, b"hello\n")

    def test_takes_a_chunked_body(self):
        caller = self.ready().caller()
        caller.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        caller.send(b"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n")
        self.assert_answer(caller.answer(), 200, b"abc0123456789")

    def test_takes_a_chunked_body_that_comes_byte_by_byte(self):
        caller = self.ready().caller()
        message = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        for byte in message:
            caller.send(bytes([byte]))
        self.assert_answer(caller.answer(), 200, b"abc")

    def test_takes_ten_megabytes(self):
        body = os.urandom(1 << 16) * 160
        caller = self.ready().caller()
        # A streaming handler answers while the body still comes, and must be read meanwhile.
        sender = threading.Thread(target=caller.ask, args=("/echo", body))
        sender.start()
        self.assert_answer(caller.answer(), 200, body)
        sender.join()

    def test_takes_a_body_announced_with_expect(self):
        caller = self.ready().caller()
        caller.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
        self.assert_answer(caller.answer(), 200, b"abc")

    def test_answers_head_without_a_body(self):
        caller = self.ready().caller()
        answer = caller.call("/_/health", method="HEAD")
        self.assertIsNotNone(answer)
        self.assertLess(answer.status, 500)
        self.assertTrue(caller.is_silent() or not caller.stream.read(1), "bytes follow the head")

    def test_answers_http_1_0_and_closes(self):
        caller = self.ready().caller()
        caller.send(b"POST /echo HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        answer = caller.answer()
        self.assert_answer(answer, 200, b"abc")
        self.assertNotIn("transfer-encoding", answer.fields)
        self.assertEqual(caller.stream.read(), b"")

    @needs("streaming")
    def test_sends_a_streamed_answer_whole(self):
        self.assert_answer(self.ready().caller().call("/pieces", method="GET"), 200, b"onetwothree")

    def test_makes_a_failing_handler_a_500_and_goes_on(self):
        replica = self.ready()
        self.assert_answer(replica.caller().call("/fail"), 500)
        self.assert_answer(replica.caller().call("/echo", b"still here"), 200, b"still here")

    # ---- connections

    @needs("stay")
    def test_keeps_a_connection_for_further_calls(self):
        caller = self.ready().caller()
        for number in range(20):
            body = b"x" * number
            self.assert_answer(caller.call("/echo", body), 200, body)

    @needs("stay")
    def test_answers_pipelined_calls_in_order(self):
        caller = self.ready().caller()
        calls = [b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % i for i in range(9)]
        caller.send(b"".join(calls))
        for number in range(9):
            self.assert_answer(caller.answer(), 200, b"%d" % number)

    def test_ten_idle_connections_are_in_nobodys_way(self):
        replica = self.ready()
        idle = [replica.caller() for _ in range(10)]
        self.assert_answer(replica.caller().call("/echo", b"eleven"), 200, b"eleven")
        for caller in idle:
            self.assert_answer(caller.call("/echo", b"woken"), 200, b"woken")

    def test_outlives_callers_that_leave_in_the_middle(self):
        replica = self.ready()
        for part in (b"", b"POST /ec", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"):
            caller = replica.caller()
            caller.send(part)
            caller.close()
        for _ in range(3):
            caller = replica.caller()
            caller.socket.setblocking(False)
            caller.ask("/echo", b"x" * (1 << 20))
            caller.close()
        self.assert_answer(replica.caller().call("/echo", b"well"), 200, b"well")

    @needs("parallel")
    def test_serves_several_calls_at_a_time(self):
        replica, gate = self.ready(), self.gate()
        held = [replica.caller() for _ in range(4)]
        for caller in held:
            caller.ask(f"/hold?file={gate}")
        self.assert_answer(replica.caller().call("/echo", b"meanwhile"), 200, b"meanwhile")
        gate.touch()
        for caller in held:
            self.assert_answer(caller.answer(), 200)

    @needs("single")
    def test_serves_one_call_at_a_time_with_concurrency_1(self):
        replica, gate = self.ready(FATHOM_CONCURRENCY="1"), self.gate()
        replica.first.close()
        first, second = replica.caller(), replica.caller()
        first.ask(f"/hold?file={gate}")
        self.assertTrue(first.is_silent())
        second.ask("/echo", b"second")
        self.assertTrue(second.is_silent(), "a second call was served beside the first")
        gate.touch()
        self.assert_answer(first.answer(), 200)
        first.close()
        self.assert_answer(second.answer(), 200, b"second")

    # ---- framing

    def test_refuses_ambiguous_framing(self):
        replica = self.ready()
        for name, message in BAD_FRAMING:
            with self.subTest(name):
                caller = replica.caller()
                caller.send(message)
                caller.socket.shutdown(socket.SHUT_WR)
                answer = caller.answer()
                is_refused = answer is None or answer.status >= 400 or not answer.is_whole
                self.assertTrue(is_refused, answer)
                caller.close()
        self.assert_answer(replica.caller().call("/echo", b"well"), 200, b"well")

    def test_does_not_answer_what_follows_a_refused_request(self):
        caller = self.ready().caller()
        caller.send(BAD_FRAMING[0][1] + b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        first = caller.answer()
        self.assertTrue(first is None or first.status >= 400, first)
        second = caller.answer() if first else None
        self.assertTrue(second is None or second.status >= 400, second)

    # ---- death

    @needs("death")
    def test_death_in_a_call_ends_it_and_refuses_new_ones(self):
        replica = self.ready()
        self.assertIsNone(replica.caller().call("/die"))
        self.assertEqual(replica.exit_code(), 7)
        self.assertRaises(ConnectionRefusedError, replica.caller)

    @needs("death", "streaming")
    def test_death_in_mid_answer_cuts_it(self):
        replica = self.ready()
        answer = replica.caller().call("/die?after=1")
        self.assertTrue(answer is None or not answer.is_whole, "a cut answer looks whole")
        self.assertEqual(replica.exit_code(), 7)

    # ---- the end

    def test_ends_with_0_on_sigterm_when_idle(self):
        replica = self.ready()
        idle = [replica.caller() for _ in range(3)]
        idle[0].call("/echo", b"x")
        replica.stop()
        self.assertEqual(replica.exit_code(), 0)
        self.assertRaises(ConnectionRefusedError, replica.caller)

    def test_finishes_calls_in_flight_on_sigterm(self):
        replica, gate = self.ready(), self.gate()
        held = replica.caller()
        held.ask(f"/hold?file={gate}")
        self.assertTrue(held.is_silent())
        replica.stop()
        self.assertTrue(held.is_silent(), "the call did not outlive the signal")
        gate.touch()
        self.assert_answer(held.answer(), 200)
        self.assertEqual(replica.exit_code(), 0)

    @needs("single")
    def test_answers_the_backlog_on_sigterm(self):
        replica, gate = self.ready(FATHOM_CONCURRENCY="1"), self.gate()
        replica.first.close()
        held = replica.caller()
        held.ask(f"/hold?file={gate}")
        self.assertTrue(held.is_silent())
        waiting = [replica.caller() for _ in range(5)]
        for number, caller in enumerate(waiting):
            caller.ask("/echo", b"%d" % number)
        replica.stop()
        gate.touch()
        self.assert_answer(held.answer(), 200)
        for number, caller in enumerate(waiting):
            self.assert_answer(caller.answer(), 200, b"%d" % number)
        self.assertEqual(replica.exit_code(), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", default="", metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="the command's working directory")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    without = tuple(filter(None, options.without.split(",")))
    if unknown := set(without) - set(PARTS):
        parser.error(f"--without: unknown part {', '.join(unknown)}; known are {', '.join(PARTS)}")

    Contract.subject = Subject(options.command, options.folder.resolve(), without=without)
    names = [name for name in unittest.defaultTestLoader.getTestCaseNames(Contract) if options.case in name]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(map(Contract, names)))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
