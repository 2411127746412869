"""What ./bench puts load on: Fathom, nginx and haproxy in front of the same upstream; and how much
CPU and memory their processes take."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
from pathlib import Path

import harness  # tests/harness.py
from driver import BUILD, ROOT

PEERS = ROOT / "benchmarks/peers"
UPSTREAM = BUILD / "benchmarks/bench_upstream"
WORKERS = os.cpu_count() or 1
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: list[int]) -> float:
    """utime + stime of all threads, as /proc/PID/stat has them."""
    total = 0
    for pid in pids:
        fields = harness.read_proc(pid, "stat").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_kib(pid: int, figure: str = "Rss") -> int:
    """Rss, or Pss: what is shared counts in part only."""
    match = re.search(rf"^{figure}:\s+(\d+) kB", harness.read_proc(pid, "smaps_rollup"), re.MULTILINE)
    return int(match[1]) if match else 0


def with_children(pid: int) -> list[int]:
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            pids += with_children(int(child))
    return pids


def accepts(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Peer:
    """nginx or haproxy with its configuration of benchmarks/peers/, filled in."""

    def __init__(self, name: str, template: str, command: list[str], upstream: Path):
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"fathom-bench-{name}-"))
        self.folder.chmod(0o755)
        self.port = harness.free_port()
        text = (PEERS / template).read_text()
        for key, value in (("WORKERS", WORKERS), ("PORT", self.port), ("UPSTREAM", upstream), ("FOLDER", self.folder)):
            text = text.replace(f"@{key}@", str(value))
        config = self.folder / template
        config.write_text(text)
        command = [word.replace("CONFIG", str(config)).replace("FOLDER", str(self.folder)) for word in command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        harness.eventually(lambda: accepts(self.port))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def pids(self) -> list[int]:
        return with_children(self.process.pid)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def nginx(upstream: Path) -> Peer:
    return Peer("nginx", "nginx.conf", ["nginx", "-e", "stderr", "-p", "FOLDER", "-c", "CONFIG"], upstream)


def haproxy(upstream: Path) -> Peer:
    return Peer("haproxy", "haproxy.cfg", ["haproxy", "-q", "-f", "CONFIG"], upstream)


class FathomSubject:
    """`fathom serve` of the release, with as many cores as the peers have workers."""

    name = "fathom"

    def __init__(self):
        self.fathom = harness.Fathom(["--cores", str(WORKERS)])

    def start(self) -> "FathomSubject":
        self.fathom.start()
        return self

    def url(self, path: str, function: str = "upstream") -> str:
        return f"{self.fathom.api}/function/{function}{path}"

    def pids(self) -> list[int]:
        """Daemon, keeper, and what the keeper holds ready; functions are not the platform."""
        own = str(harness.FATHOM)
        return [pid for pid in self.fathom.processes() if harness.read_link(pid, "exe") == own]

    def rest(self, method: str, target: str, body=None, headers=None):
        answer = self.fathom.request(method, target, body, headers)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status} {answer.text.strip()}")
        return answer

    def bundle(self, name: str, command: list[str], files: dict[str, Path], environment=None) -> str:
        """Sends a bundle made here; its reference."""
        manifest = {"format": 1, "name": name, "language": "", "command": command,
                    "environment": environment or {}}
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            text = json.dumps(manifest).encode()
            info = tarfile.TarInfo("fathom.json")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
            for path, file in files.items():
                info = tarfile.TarInfo(f"function/{path}")
                info.size = file.stat().st_size
                info.mode = 0o755 if os.access(file, os.X_OK) else 0o644
                with file.open("rb") as content:
                    tar.addfile(info, content)
        answer = self.rest("POST", f"/system/bundles?name={name}", archive.getvalue(),
                           {"Content-Type": "application/x-tar"})
        return answer.json["reference"]

    def deploy(self, name: str, image: str, labels=None, environment=None) -> None:
        self.rest("POST", "/system/functions", {
            "service": name, "image": image, "labels": labels or {}, "envVars": environment or {}})

    def deploy_upstream(self, name: str = "upstream", labels=None) -> None:
        image = self.bundle(name, ["/home/app/function/upstream"], {"upstream": UPSTREAM})
        self.deploy(name, image, labels)

    def open_replica(self, function: str) -> Path:
        """The socket of its replica, made reachable for the peers' users."""
        sockets = self.fathom.data / "keeper/s"
        (found,) = sockets.glob(f"{function}-*.sock")
        found.chmod(0o777)
        for folder in (self.fathom.data, sockets.parent, sockets):
            folder.chmod(0o755)
        return found

    def scale(self, name: str, replicas: int) -> None:
        self.rest("POST", f"/system/scale-function/{name}", {"serviceName": name, "replicas": replicas})

    def replica_count(self) -> int:
        """Processes of functions that are alive."""
        return len(set(self.fathom.processes()) - set(self.pids()))

    def wait_until_gone(self) -> None:
        harness.eventually(lambda: self.replica_count() == 0, every=0.02)

    def stop(self) -> None:
        self.fathom.remove()
