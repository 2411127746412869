"""kill -9 of daemon and keeper, under load and again and again. FATHOM_KILL_CYCLES says how often
(50; `./test --long kill-cycles` does hundreds)."""

import http.client
import os
import signal
import threading

import harness

CYCLES = int(os.environ.get("FATHOM_KILL_CYCLES", 50))
CALLERS = 4


class Load:
    """Callers that never stop asking; answers are right, late or refused, never wrong."""

    def __init__(self, fathom):
        self.fathom = fathom
        self.is_over = threading.Event()
        self.right = 0
        self.wrong = []
        self.threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def _call(self, number):
        sent = f"caller {number}".encode()
        while not self.is_over.is_set():
            try:
                answer = self.fathom.call("echo", sent)
            except (OSError, http.client.HTTPException, KeyError):
                # The daemon is down; ask again as soon as there is an address.
                self.is_over.wait(0.01)
                continue
            if answer.status == 200 and answer.body == sent:
                self.right += 1
            elif answer.status in (200, 404):  # another's answer, or a deployment forgotten
                self.wrong.append(answer)


def replica_pids(fathom) -> set[int]:
    """First processes of the sandboxes and everything in them."""
    keeper = fathom.keeper_pid()
    return {
        pid for pid in fathom.processes()
        if pid not in (keeper, fathom.process.pid) and harness.read_link(pid, "exe") != str(harness.FATHOM)
    }


class Kill(harness.OwnFathomCase):
    def deployed(self) -> harness.Fathom:
        fathom = self.new_fathom("--cores", "2").start()
        fathom.deploy("echo", "report")
        return fathom

    def assert_whole(self, fathom, before):
        try:
            self._assert_whole(fathom, before)
        except OSError as error:
            raise AssertionError(f"{error!r}; exit code {fathom.process.poll()}\n{fathom.log()}") from None

    def _assert_whole(self, fathom, before):
        for name, status in before.items():
            fathom.wait_available(name)
            after = fathom.status(name)
            for field in ("image", "createdAt", "labels", "annotations"):
                self.assertEqual(after.get(field), status.get(field), name)
        self.assertEqual(fathom.call("echo", b"whole").body, b"whole")

    def test_killing_the_daemon_loses_nothing_and_its_replicas_are_adopted(self):
        fathom = self.deployed()
        before = {name: fathom.status(name) for name in ("echo", "report")}
        process = fathom.call("report").json["pid"], replica_pids(fathom)
        with Load(fathom) as load:
            for cycle in range(CYCLES):
                with self.subTest(cycle=cycle):
                    answered = load.right
                    harness.eventually(lambda: load.right > answered + CALLERS)
                    fathom.kill()
                    fathom.start()
                    self.assert_whole(fathom, before)
        self.assertEqual(load.wrong, [])
        # The same processes serve as before the first kill: nothing was started anew.
        self.assertEqual(fathom.call("report").json["pid"], process[0])
        self.assertLessEqual(process[1] - replica_pids(fathom), set())
        self.assertEqual(fathom.stop(), 0, fathom.log())
        self.assertEqual(fathom.traces(), {})

    def test_killing_the_keeper_stops_all_and_all_come_back(self):
        fathom = self.deployed()
        before = {name: fathom.status(name) for name in ("echo", "report")}
        for cycle in range(CYCLES):
            with self.subTest(cycle=cycle):
                replicas = replica_pids(fathom)
                self.assertTrue(replicas)
                old = fathom.keeper_pid()
                os.kill(old, signal.SIGKILL)
                harness.eventually(lambda: not (replicas & set(fathom.processes())))
                harness.eventually(fathom._keeper_pid, lambda pid: pid not in (None, old))
                self.assert_whole(fathom, before)
                self.assertIsNone(fathom.process.poll(), fathom.log())
        self.assertEqual(fathom.stop(), 0, fathom.log())
        self.assertEqual(fathom.traces(), {})

    def test_killing_both_leaves_nothing_once_it_has_started_and_ended_again(self):
        fathom = self.deployed()
        before = {name: fathom.status(name) for name in ("echo", "report")}
        for _ in range(min(CYCLES, 50)):
            everyone = [pid for pid in fathom.processes() if harness.read_link(pid, "exe") == str(harness.FATHOM)]
            for pid in everyone:
                os.kill(pid, signal.SIGKILL)
            fathom.process.wait()
            fathom.start()
            self.assert_whole(fathom, before)
        self.assertEqual(fathom.stop(), 0, fathom.log())
        self.assertEqual(fathom.traces(), {})

    def test_a_removed_function_does_not_come_back_after_a_kill(self):
        fathom = self.deployed()
        self.assertEqual(fathom.cli("remove", "echo").code, 0)
        fathom.kill()
        fathom.start()
        self.assertIsNone(fathom.status("echo"))
        fathom.wait_available("report")
        self.assertEqual(fathom.stop(), 0)
        self.assertEqual(fathom.traces(), {})
