"""The proofs that the storage keeps its promises, as one command: `python tests/crash/run.py [--quick]`."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    runpy.run_module("crash.main", run_name="__main__")
