"""Starts Fathom, deploys store/demo.yml, calls every function as store/demo-calls.json says.

    tools/demo.py --fathom build/release/fathom            stays in the foreground until Ctrl-C
    tools/demo.py --fathom build/release/fathom --smoke    free ports, temporary folder, exit 0 or 1

`./run` builds and calls this. Each entry of demo-calls.json is one call:

    function, method (POST), path (""), query (""), headers ({})
    text or file       the body; a file is named relative to store/
    status (200)       what must come back, and
    checks             a list of {"contains": TEXT}, {"equals": TEXT}, {"matches": REGEX},
                       {"json": {KEY: VALUE}}, {"header": {NAME: TEXT}}, {"starts_with_hex": HEX}
"""

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STORE = ROOT / "store"
DEFAULT_GATEWAY = "http://127.0.0.1:8080"
READY_SECONDS_MAX = 30
CALL_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
SHOWN_LINES_MAX = 8
SHOWN_COLUMNS_MAX = 100


class DemoError(Exception):
    """What went wrong, for a person; ends the demo with exit code 1."""


@dataclass
class Answer:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes
    elapsed_ms: float


# ------------------------------------------------------------------------------------- the daemon


class Daemon:
    """`fathom serve`, from exec to its end; what it said is in the ready file."""

    def __init__(self, fathom: Path, folder: Path, arguments: list[str], log_file: Path | None):
        self.ready_file = folder / "ready.json"
        self.log_file = log_file
        output = log_file.open("wb") if log_file else None
        command = [fathom, "serve", "--ready-file", self.ready_file, *arguments]
        # In a process group of its own: Ctrl-C comes to us alone, and stop() makes one signal of it. Two
        # would cut calls short.
        self.process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, process_group=0
        )

    def wait_ready(self) -> dict:
        give_up = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < give_up:
            try:
                return json.loads(self.ready_file.read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                pass
            if self.process.poll() is not None:
                raise DemoError(f"fathom serve ended with exit code {self.process.returncode}{self.log()}")
            time.sleep(0.02)
        raise DemoError(f"fathom serve was not ready within {READY_SECONDS_MAX} s{self.log()}")

    def wait_end(self) -> None:
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            # A call does not end, or the user does not want to wait for it: the second signal ends it. To
            # kill the daemon would leave the functions to the next one.
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_SECONDS_MAX)

    def log(self) -> str:
        if not self.log_file:
            return ""
        return "\n" + self.log_file.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.wait_end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise DemoError(f"fathom serve did not end within {STOP_SECONDS_MAX} s of SIGTERM{self.log()}")


def run_fathom(fathom: Path, environment: dict, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        [fathom, *arguments], env=environment, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise DemoError(f"fathom {' '.join(arguments)}: exit code {done.returncode}\n{output}")
    return output


# -------------------------------------------------------------------------------------- the calls


def read_calls() -> list[dict]:
    return json.loads((STORE / "demo-calls.json").read_text())


def body_of(call: dict) -> bytes:
    if "file" in call:
        return (STORE / call["file"]).read_bytes()
    return call.get("text", "").encode()


def invoke(api: str, call: dict) -> Answer:
    address = urllib.parse.urlsplit(api)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=CALL_SECONDS_MAX)
    query = f"?{call['query']}" if call.get("query") else ""
    target = f"/function/{call['function']}{call.get('path', '')}{query}"
    started = time.monotonic()
    try:
        connection.request(call.get("method", "POST"), target, body_of(call), call.get("headers", {}))
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    elapsed_ms = (time.monotonic() - started) * 1000
    return Answer(response.status, response.reason, response.headers, body, elapsed_ms)


def complaints(call: dict, answer: Answer):
    """What of the answer is not as the call expects."""
    expected = call.get("status", 200)
    if answer.status != expected:
        yield f"status {answer.status}, expected {expected}: {shorten(answer)}"
        return
    text = answer.body.decode(errors="replace")
    for check in call.get("checks", []):
        for kind, wanted in check.items():
            if not holds(kind, wanted, answer, text):
                yield f"{kind} {wanted!r} does not hold: {shorten(answer)}"


def holds(kind: str, wanted, answer: Answer, text: str) -> bool:
    match kind:
        case "contains":
            return wanted in text
        case "equals":
            return text.rstrip("\n") == wanted.rstrip("\n")
        case "matches":
            return re.search(wanted, text, re.MULTILINE) is not None
        case "starts_with_hex":
            return answer.body.startswith(bytes.fromhex(wanted))
        case "json":
            document = json.loads(text)
            return all(document.get(key) == value for key, value in wanted.items())
        case "header":
            return all(value in (answer.headers.get(name) or "") for name, value in wanted.items())
    raise DemoError(f"store/demo-calls.json: unknown check {kind!r}")


# ------------------------------------------------------------------------------------ what is shown


def shorten(answer: Answer) -> str:
    """The answer on a few short lines; binary ones as what they are."""
    if answer.body.startswith(b"\xff\xd8\xff"):
        width, height = jpeg_size(answer.body)
        return f"a JPEG image, {width} x {height}, {size(answer.body)}"
    if answer.body.startswith(b"\x89PNG\r\n"):
        return f"a PNG image, {size(answer.body)}"
    try:
        lines = answer.body.decode().rstrip("\n").split("\n")
    except UnicodeDecodeError:
        return f"{answer.headers.get('Content-Type', 'binary')}, {size(answer.body)}"
    shown = [line if len(line) <= SHOWN_COLUMNS_MAX else line[: SHOWN_COLUMNS_MAX - 1] + "…" for line in lines]
    if len(shown) > SHOWN_LINES_MAX:
        shown = shown[: SHOWN_LINES_MAX - 1] + [f"… {len(lines) - SHOWN_LINES_MAX + 1} more lines"]
    return "\n".join(shown)


def size(data: bytes) -> str:
    return f"{len(data)} B" if len(data) < 1024 else f"{len(data) / 1024:.1f} KiB"


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the start-of-frame segment (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            return width, height
        at += 2 + length
    return 0, 0


def show(call: dict, answer: Answer) -> None:
    sent = call.get("file") or (f"{len(body_of(call))} B" if body_of(call) else "nothing")
    target = call["function"] + call.get("path", "") + (f"?{call['query']}" if call.get("query") else "")
    print(f"\n{target}  <- {sent}")
    print(f"  {answer.status} {answer.reason} in {answer.elapsed_ms:.0f} ms")
    for line in shorten(answer).split("\n"):
        print(f"  | {line}")


def show_where(ready: dict, fathom: Path) -> None:
    name = os.path.relpath(fathom)
    gateway = "" if ready["api"] == DEFAULT_GATEWAY else f" -g {ready['api']}"
    print(f"""
API        {ready['api']}
Metrics    {ready.get('metrics') or 'off'}
User       {ready['username']}, password in {ready['password_file']}

Try, in another terminal:
  curl {ready['api']}/function/banner -d hello
  {name} list{gateway}
Ctrl-C stops Fathom and every function.""", flush=True)


# ------------------------------------------------------------------------------------------ modes


def environment_for(ready: dict, config: Path | None) -> dict:
    chosen = {"OPENFAAS_CONFIG": str(config)} if config else {}
    return os.environ | {"OPENFAAS_URL": ready["api"]} | chosen


def deploy(fathom: Path, ready: dict, environment: dict) -> None:
    password = Path(ready["password_file"]).read_bytes()
    run_fathom(fathom, environment, "login", "--username", ready["username"], "--password-stdin", stdin=password)
    run_fathom(fathom, environment, "deploy", "-f", str(STORE / "demo.yml"))


def smoke(fathom: Path, arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="fathom-smoke-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # started as root, the daemon becomes another user
        ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data", str(folder / "data")]
        daemon = Daemon(fathom, folder, ports + arguments, folder / "log")
        failed = 0
        try:
            ready = daemon.wait_ready()
            deploy(fathom, ready, environment_for(ready, folder / "config"))
            for call in read_calls():
                failed += not smoke_one(ready["api"], call)
            if failed:
                print(f"the daemon said:{daemon.log()}")
        finally:
            daemon.stop()
        return 1 if failed else 0


def smoke_one(api: str, call: dict) -> bool:
    try:
        answer = invoke(api, call)
        wrong = list(complaints(call, answer))
        status, elapsed = str(answer.status), f"{answer.elapsed_ms:.0f} ms"
    except (OSError, http.client.HTTPException, ValueError) as error:
        wrong, status, elapsed = [repr(error)], "-", "-"
    print(f"{'FAILED' if wrong else 'ok':8} {call['function']:16} {status:>4} {elapsed:>9}", flush=True)
    for complaint in wrong:
        print("         " + complaint.replace("\n", "\n         "), flush=True)
    return not wrong


def stay(fathom: Path, arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="fathom-run-") as name:
        daemon = Daemon(fathom, Path(name), arguments, None)
        try:
            ready = daemon.wait_ready()
            print(f"deploying {(STORE / 'demo.yml').relative_to(ROOT)}", flush=True)
            deploy(fathom, ready, environment_for(ready, None))
            for call in read_calls():
                show(call, invoke(ready["api"], call))
            show_where(ready, fathom)
            return daemon.process.wait()
        except KeyboardInterrupt:
            print("\nstopping; calls that run get some seconds, Ctrl-C again cuts them", flush=True)
            daemon.stop()
            return 0 if daemon.process.returncode == 0 else 1
        finally:
            daemon.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run", description=__doc__.split("\n")[0])
    parser.add_argument("--fathom", type=Path, required=True, help="the binary")
    parser.add_argument("--smoke", action="store_true", help="try everything on free ports and exit 0 or 1")
    options, arguments = parser.parse_known_args()
    # Both end the daemon too, also where a script started us in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return (smoke if options.smoke else stay)(options.fathom.resolve(), arguments)
    except DemoError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
