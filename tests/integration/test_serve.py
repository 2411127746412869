"""`fathom serve`: starting, refusing to start, restarting, ending."""

import os
import socket
import stat
import unittest

import harness


class Serve(harness.OwnFathomCase):
    def refused(self, fathom, *arguments, environment=None) -> harness.Done:
        process = fathom.launch(*arguments, environment=environment)
        code = fathom.wait()
        told = fathom.ready_file.read_text() if fathom.ready_file.exists() else ""
        self.assertEqual(told, "", "it said it was ready")
        return harness.Done(code, fathom.log_file.read_text(errors="replace"))

    def test_the_ready_file_says_where_everything_is(self):
        fathom = self.new_fathom().start()
        self.assertLessEqual({"api", "metrics", "username", "password_file"}, set(fathom.ready))
        self.assertTrue(fathom.api.startswith("http://127.0.0.1:"))
        self.assertEqual(fathom.request("GET", "/system/functions").json, [])
        self.assertGreaterEqual(len(fathom.password), 16)
        mode = stat.S_IMODE(os.stat(fathom.ready["password_file"]).st_mode)
        self.assertEqual(mode & 0o077, 0, "others may read the password")

    def test_sigterm_ends_it_orderly_and_leaves_nothing(self):
        fathom = self.new_fathom().start()
        fathom.deploy("echo", "report")
        self.assertEqual(fathom.call("echo", b"x").body, b"x")
        self.assertEqual(fathom.stop(), 0, fathom.log())
        self.assertEqual(fathom.traces(), {})

    def test_deployments_and_password_survive_a_restart(self):
        fathom = self.new_fathom().start()
        fathom.deploy("echo", "report")
        password, before = fathom.password, fathom.status("report")
        fathom.stop()
        fathom.start()
        self.assertEqual(fathom.password, password)
        fathom.wait_available("echo")
        fathom.wait_available("report")
        after = fathom.status("report")
        for field in ("image", "createdAt", "annotations", "labels"):
            self.assertEqual(after.get(field), before.get(field))
        self.assertEqual(fathom.call("echo", b"still here").body, b"still here")

    def test_what_was_removed_stays_removed(self):
        fathom = self.new_fathom().start()
        fathom.deploy("echo")
        self.assertEqual(fathom.cli("remove", "echo").code, 0)
        fathom.stop()
        fathom.start()
        self.assertEqual(fathom.request("GET", "/system/functions").json, [])

    def test_a_taken_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            fathom = self.new_fathom("--listen", f"127.0.0.1:{port}")
            done = self.refused(fathom)
        self.assertSays(done, f"127.0.0.1:{port}", "--listen", code=3)
        harness.eventually(fathom.traces, lambda traces: not traces)

    def test_a_taken_metrics_port_is_a_warning(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            # With a free port for --listen, --metrics-listen would take a free one too.
            own = f"127.0.0.1:{harness.free_port()}"
            fathom = self.new_fathom("--listen", own, "--metrics-listen", f"127.0.0.1:{port}").start()
            self.assertIsNone(fathom.ready["metrics"])
            self.assertEqual(fathom.request("GET", "/healthz", auth=False).status, 200)
            self.assertIn(str(port), fathom.log_file.read_text())

    def test_a_second_daemon_on_the_same_folder_is_refused_and_the_first_goes_on(self):
        fathom = self.new_fathom().start()
        second = harness.Fathom()
        self.addCleanup(second.remove)
        second.data = fathom.data
        self.assertSays(self.refused(second), str(fathom.data))
        second.data = second.folder / "data"
        self.assertEqual(fathom.request("GET", "/healthz", auth=False).status, 200)

    def test_a_folder_of_a_newer_format_is_refused_with_the_way_back(self):
        fathom = self.new_fathom().start()
        fathom.stop()
        (fathom.data / "FORMAT").write_text("fathom 999\n")
        self.assertSays(self.refused(fathom), "999", str(fathom.data))
        self.assertEqual((fathom.data / "FORMAT").read_text(), "fathom 999\n")

    def test_a_folder_that_is_not_ours_is_refused_and_left_alone(self):
        fathom = self.new_fathom()
        fathom.data.mkdir()
        (fathom.data / "thesis.txt").write_text("precious")
        self.assertSays(self.refused(fathom), str(fathom.data))
        self.assertEqual(os.listdir(fathom.data), ["thesis.txt"])

    def test_a_folder_that_cannot_be_made_is_named(self):
        fathom = self.new_fathom()
        (fathom.folder / "file").write_text("")
        fathom.data = fathom.folder / "file/data"
        self.assertSays(self.refused(fathom), str(fathom.data))

    @unittest.skipIf(os.geteuid() != 0, "needs root to become another user")
    def test_an_unwritable_folder_is_named_with_the_user(self):
        fathom = self.new_fathom()
        fathom.data = harness.Path("/proc/fathom")
        self.assertSays(self.refused(fathom), "/proc/fathom")

    def test_bad_settings_are_named_with_what_is_accepted(self):
        cases = [
            (["--listen", "nonsense"], ["--listen", "nonsense"]),
            (["--cores", "-1"], ["--cores", "-1"]),
            (["--upstream-timeout", "soon"], ["--upstream-timeout", "soon"]),
            (["--log-format", "xml"], ["--log-format", "xml", "json"]),
            (["--no-such-flag"], ["--no-such-flag"]),
        ]
        for arguments, words in cases:
            with self.subTest(arguments=arguments):
                self.assertSays(self.refused(self.new_fathom(*arguments)), *words)

    def test_a_bad_variable_is_named(self):
        done = self.refused(self.new_fathom(), environment={"FATHOM_DRAIN": "whenever"})
        self.assertSays(done, "FATHOM_DRAIN", "whenever")

    def test_a_bad_file_is_named_with_its_line(self):
        fathom = self.new_fathom()
        config = fathom.folder / "fathom.yaml"
        config.write_text("log_level: info\ncores: many\n")
        self.assertSays(self.refused(fathom, "--config", str(config)), "fathom.yaml:2", "cores", "many")

    def test_flags_beat_the_environment_and_that_the_file(self):
        fathom = self.new_fathom()
        config = fathom.folder / "fathom.yaml"
        config.write_text("in_flight_max: 7\ncores: 3\ndrain: 4s\n")
        done = fathom.cli("config", "explain", "--config", config, "--in-flight-max", "9",
                          environment={"FATHOM_IN_FLIGHT_MAX": "8", "FATHOM_CORES": "5"})
        self.assertEqual(done.code, 0, done.output)
        lines = {line.split()[0]: line for line in done.output.splitlines() if line.strip()}
        for name, value, source in [("in_flight_max", "9", "--in-flight-max"), ("cores", "5", "FATHOM_CORES"),
                                    ("drain", "4s", "fathom.yaml:3"), ("log_level", "info", "default")]:
            self.assertIn(value, lines[name].split())
            self.assertIn(source, lines[name])

    def test_a_call_in_flight_is_finished_before_the_end(self):
        fathom = self.new_fathom().start()
        fathom.deploy("report")
        with fathom.connect() as caller:
            caller.sendall(b"POST /function/report HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            harness.eventually(lambda: in_flight(fathom) >= 1)
            fathom.process.terminate()
            harness.eventually(lambda: is_refusing(fathom))
            caller.sendall(b"cd")
            self.assertTrue(caller.recv(65536).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(fathom.wait(), 0)

    def test_a_second_signal_ends_it_at_once_and_leaves_nothing(self):
        fathom = self.new_fathom("--cores", "2").start()
        fathom.deploy("report")
        callers = [self.enterContext(fathom.connect()) for _ in range(4)]
        for caller in callers:
            caller.sendall(b"POST /function/report HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        harness.eventually(lambda: in_flight(fathom) >= len(callers))
        fathom.process.terminate()
        harness.eventually(lambda: is_refusing(fathom))
        fathom.process.terminate()
        self.assertEqual(fathom.wait(), 1, fathom.log())
        self.assertIn("serve.cut_short", fathom.log_file.read_text())
        harness.eventually(fathom.traces, lambda traces: not traces)
        fathom.start()
        fathom.wait_available("report")

    def test_a_second_daemon_leaves_the_ready_file_of_the_first(self):
        fathom = self.new_fathom().start()
        before = fathom.ready_file.read_text()
        second = harness.subprocess.run(
            [harness.FATHOM, "serve", "--data", fathom.data, "--ready-file", fathom.ready_file,
             "--listen", "127.0.0.1:0"], capture_output=True, timeout=60)
        self.assertEqual(second.returncode, 4)
        self.assertEqual(fathom.ready_file.read_text(), before)


def in_flight(fathom) -> float:
    lines = [line for line in fathom.metrics().splitlines() if "in_flight" in line and line[0] != "#"]
    return max((float(line.rsplit(" ", 1)[1]) for line in lines), default=0)


def is_refusing(fathom) -> bool:
    try:
        with socket.create_connection(fathom.address, timeout=1):
            return False
    except OSError:
        return True
