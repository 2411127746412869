"""Runs one file of unittest cases, one line each as it ends, and writes the count as JSON.

    python3 tests/cases.py FILE RESULT.json [WORD ...]     only cases whose name contains a word
"""

import importlib.util
import json
import sys
import time
import unittest
from pathlib import Path


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def _line(self, word, test, more=""):
        elapsed_ms = (time.monotonic() - getattr(self, "_started", time.monotonic())) * 1000
        print(f"{word:8} {test.id().split('.', 1)[-1]}  {elapsed_ms:.0f} ms{more}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("skipped", test, f"  ({reason})")

    def _bad(self, test, error):
        self._line("FAILED", test)
        print("    " + self._exc_info_to_string(error, test).replace("\n", "\n    "), flush=True)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._bad(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self._bad(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._bad(subtest, error)

    def count(self):
        failed = {self._case_id(test) for test, _ in self.failures + self.errors}
        return {"passed": self.passed, "failed": len(failed), "skipped": len(self.skipped)}

    @staticmethod
    def _case_id(test):
        return getattr(test, "test_case", test).id()


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def load(path: Path):
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def main() -> int:
    sys.dont_write_bytecode = True
    path, result_file, words = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:]
    cases = [case for case in flatten(load(path)) if not words or any(word in case.id() for word in words)]
    result = Result()
    unittest.TestSuite(cases).run(result)
    result_file.write_text(json.dumps(result.count()))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
