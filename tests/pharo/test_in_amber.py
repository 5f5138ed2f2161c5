"""The plain parts of the Pharo package pass their own tests in a live Smalltalk.

Amber runs them: what they are written in is the Smalltalk that every dialect shares. What is about processes, sockets and
the compiler of Pharo cannot run there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pharo.tonel import Method, SmalltalkClass, read_folder

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "examples" / "pharo" / "src"
PLAIN = [
    "StuiJsonError",
    "StuiJsonReader",
    "StuiJsonWriter",
    "StuiBackoff",
    "StuiKeptAnswer",
    "StuiOutbox",
    "StuiLineSplitter",
    "StuiFailure",
    "StuiDictionary",
    "StuiParameters",
    "StuiNames",
    "StuiObjectRegistry",
    "StuiSourceGuard",
    "StuiJsonReaderTest",
    "StuiJsonWriterTest",
    "StuiBackoffTest",
    "StuiOutboxTest",
    "StuiLineSplitterTest",
    "StuiParametersTest",
    "StuiObjectRegistryTest",
    "StuiSourceGuardTest",
]
DIFFERENT = {"StuiJsonReaderTest>>testSurrogatePair": "Amber counts UTF-16 units"}
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (ROOT / "examples" / "amber_image" / "node_modules").exists(),
    reason="Node and the Amber packages are needed",
)


def plain_source(method: Method) -> str:
    """A method as a compiler takes it: the head of its Tonel form without the class, then the body."""
    head, _, body = method.source.partition(">>")[2].partition("[")
    return head.strip() + "\n" + body[: body.rindex("]")]


def as_json(found: SmalltalkClass) -> dict[str, object]:
    """A class as the runner wants it."""
    return {
        "name": found.name,
        "superclass": found.superclass,
        "slots": found.variables("instVars"),
        "methods": [
            {
                "classSide": each.is_class_side,
                "selector": each.selector,
                "source": plain_source(each),
                "protocol": each.category,
            }
            for each in found.methods
        ],
    }


def run(classes: dict[str, SmalltalkClass]) -> dict[str, str | None]:
    """What becomes of each test."""
    asked = json.dumps({"classes": [as_json(classes[name]) for name in PLAIN]})
    runner = ["node", str(Path(__file__).with_name("amber_run.js"))]
    done = subprocess.run(runner, input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {each["test"]: each["error"] for each in json.loads(done.stdout)}


def test_plain_classes_pass_their_tests() -> None:
    """Every test of the plain classes passes."""
    results = run(read_folder(SOURCES))
    assert len(results) > 30
    assert {test for test, error in results.items() if error is not None} == set(DIFFERENT), results


def test_a_broken_class_fails_its_tests() -> None:
    """A mistake in a class is found: here the reader takes `True` for true."""
    classes = read_folder(SOURCES)
    for method in classes["StuiJsonReader"].methods:
        if method.selector == "isDigit:":
            method.source = re.sub(r"and: 57", "and: 58", method.source)
    assert any(error is not None for test, error in run(classes).items() if test.startswith("StuiJsonReaderTest"))
