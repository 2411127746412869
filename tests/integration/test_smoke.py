"""What `./run --smoke` does after building, with the binary under test: as who we are, and as nobody."""

import os
import shutil
import subprocess
import tempfile
import unittest

import harness

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
SMOKE = ["/usr/bin/python3", harness.ROOT / "tools/demo.py", "--fathom", harness.FATHOM, "--smoke"]


def nobody_can_run_it() -> bool:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return False
    return subprocess.run([*AS_NOBODY, "test", "-x", harness.FATHOM]).returncode == 0


class Smoke(unittest.TestCase):
    def smoke(self, *before, environment=None):
        done = subprocess.run(
            [*before, *SMOKE], env=environment, timeout=300, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreaterEqual(done.stdout.count("ok "), 9)

    def test_every_sample_function_answers(self):
        self.smoke()

    @unittest.skipUnless(nobody_can_run_it(), "needs root, setpriv, and a tree that others may read")
    def test_every_sample_function_answers_without_privileges(self):
        with tempfile.TemporaryDirectory(prefix="fathom-nobody-") as home:
            os.chown(home, NOBODY, NOBODY)
            self.smoke(*AS_NOBODY, environment={"HOME": home, "TMPDIR": home, "PATH": os.environ["PATH"]})
