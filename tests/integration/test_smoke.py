"""What `./run --smoke` does after building, with the binary under test."""

import subprocess
import unittest

import harness


class Smoke(unittest.TestCase):
    def test_every_sample_function_answers(self):
        done = subprocess.run(
            ["/usr/bin/python3", harness.ROOT / "tools/demo.py", "--fathom", harness.FATHOM, "--smoke"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        )
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreaterEqual(done.stdout.count("ok "), 7)
