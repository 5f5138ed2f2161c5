"""Clients that come and go for an hour, as one command: `python tests/soak/run.py [--minutes N]`."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    sys.exit(runpy.run_module("tests.soak.main")["main"]())
