"""Runs clang-tidy-19 with .clang-tidy over the sources of a build; exits 1 on any finding.

    python3 tests/clang_tidy.py               files that differ from main
    python3 tests/clang_tidy.py --all         every file (`./test --long clang-tidy`)
    python3 tests/clang_tidy.py src/http      what is below a folder

Reads build/dev/compile_commands.json, so build dev first.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/dev"


def sources() -> list[Path]:
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    files = {Path(command["directory"], command["file"]).resolve() for command in commands}
    return sorted(path for path in files if ROOT in path.parents and BUILD not in path.parents)


def changed() -> set[Path]:
    def names(*arguments):
        output = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True).stdout
        return {ROOT / name for name in output.splitlines()}

    return names("diff", "--name-only", "main...") | names("diff", "--name-only", "HEAD") | names(
        "ls-files", "--others", "--exclude-standard"
    )


def check(path: Path) -> tuple[Path, str]:
    run = subprocess.run(
        ["clang-tidy-19", "--quiet", "-p", BUILD, path], capture_output=True, text=True, cwd=ROOT
    )
    return path, run.stdout.strip() if run.returncode != 0 else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true", help="every file of the build")
    options = parser.parse_args()
    chosen = sources()
    if options.folders:
        roots = [folder.resolve() for folder in options.folders]
        chosen = [path for path in chosen if any(root == path or root in path.parents for root in roots)]
    elif not options.all:
        chosen = [path for path in chosen if path in changed()]
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, findings in pool.map(check, chosen):
            print(f"{'FAILED' if findings else 'ok':8} {path.relative_to(ROOT)}", flush=True)
            if findings:
                print(findings)
                failed += 1
    print(f"{len(chosen)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
