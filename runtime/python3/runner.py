# Starts a Python function: python3 -I -S -X utf8 runner.py   (in the function's folder)
#
# Kept short on purpose: Python compiles the file it is given at every start, but takes _fathom from
# __pycache__ when somebody compiled it before:   python3 -I -S runner.py --compile
import sys

here = __file__.rpartition("/")[0] or "."
sys.dont_write_bytecode = True
sys.path.insert(0, here)
import _fathom  # noqa: E402

del sys.path[0]  # the function imports its own modules only

if __name__ == "__main__":
    if sys.argv[1:] == ["--compile"]:
        sys.exit(_fathom.compile_ahead(here))
    _fathom.main()
