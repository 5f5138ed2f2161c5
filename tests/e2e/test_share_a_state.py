"""The how-to `share-a-state.md` does what it says, against a real daemon."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.e2e.harness import ROOT, Daemon, clean_environment, folder

HOW_TO = ROOT / "docs" / "how-to" / "share-a-state.md"


def test_example_of_the_how_to_runs() -> None:
    """The machine is accepted; the coin is hidden, the lie is refused, the truth is not."""
    text = HOW_TO.read_text("utf-8")
    (machine,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with folder() as home, Daemon(home) as daemon:
        (home / "coin.json").write_text(machine, "utf-8")
        shown = subprocess.run(
            [sys.executable, "-c", program, daemon.url, str(home / "coin.json")],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert shown.stderr == ""
    seen, refused, over = shown.stdout.splitlines()
    assert seen == "bob sees {'guess': '', 'status': 'open'}"
    assert refused.startswith("refused: ")
    assert "guard" in refused
    assert over == "over: {'guess': 'heads', 'status': 'over', 'coin': 'heads', 'won': True}"
