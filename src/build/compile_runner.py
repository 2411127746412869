"""Compiles a Python runner while Fathom is built:  compile_runner.py SOURCE COMPILED PATH

PATH is where the source stands in a sandbox, for tracebacks. The compiled file names no time and is
believed unseen: it is embedded and written together with its source, and replaced together with it.
"""
import py_compile
import sys

source, compiled, path = sys.argv[1:]
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile(source, compiled, path, doraise=True, invalidation_mode=mode)
