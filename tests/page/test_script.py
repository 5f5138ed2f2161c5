"""The scripts of the operator's page: each can be read, and the parts that only decide decide rightly."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import find_node

PAGE = Path(__file__).parents[2] / "stui_sessiond" / "web" / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))
CASES = sorted(Path(__file__).parent.glob("*.test.mjs"))


def test_every_script_can_be_read(tmp_path: Path) -> None:
    """Node takes each as a module, which is strict."""
    assert len(SCRIPTS) > 10
    for script in SCRIPTS:
        copy = tmp_path / f"{script.stem}.mjs"
        copy.write_bytes(script.read_bytes())
        checked = subprocess.run([find_node(), "--check", str(copy)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pure_parts(case: Path) -> None:
    """The tests that are written in JavaScript pass."""
    done = subprocess.run([find_node(), "--test", str(case)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
