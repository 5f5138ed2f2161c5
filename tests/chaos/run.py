"""The proofs that broken connections harm nothing, as one command: `python tests/chaos/run.py [--quick] [--seed N]`."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    runpy.run_module("chaos.main", run_name="__main__")
