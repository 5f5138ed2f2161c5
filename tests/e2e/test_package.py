"""Is what is shipped the same each time it is built, and does it have what it needs?"""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT


def build(folder: Path) -> dict[str, str]:
    """Build wheel and source distribution; give the SHA-256 of each."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1795000000"}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_package_is_the_same_each_time(tmp_path: Path) -> None:
    """Wheel and source distribution are equal, byte for byte."""
    first, second = build(tmp_path / "one"), build(tmp_path / "two")
    assert first == second
    assert sorted(name.rpartition(".")[2] for name in first) == ["gz", "whl"]


def test_wheel_has_the_contract(tmp_path: Path) -> None:
    """An installed daemon reads its descriptors from inside the package, and brings no tests along."""
    build(tmp_path)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {f"stui_sessiond/web/page/{name}" for name in ("index.html", "style.css", "icon.svg", "app.js")} <= set(
        names
    )
    assert "stui_sessiond/protocol/commands/evaluate.json" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.parametrize("name", ["runtime", "development", "bench"])
def test_requirements_are_locked_with_hashes(name: str) -> None:
    """Every package has a version and at least one hash, and nothing says where it has to come from."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    packages = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    assert len(packages) > 8
    assert all(line.endswith("\\") for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text
    assert not [line for line in text.splitlines() if line.startswith("--")]
