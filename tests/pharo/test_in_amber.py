"""The plain parts of the Pharo package pass their own tests in a live Smalltalk.

Amber runs them: what they are written in is the Smalltalk that every dialect shares. What is about processes, sockets
and the compiler of Pharo cannot run there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    "StuiPlatform",
    "StuiPrinter",
    "StuiParts",
    "StuiInspector",
    "StuiValueEncoder",
    "StuiRequest",
    "StuiRun",
    "StuiCurrentRun",
    "StuiTranscriptBuffer",
    "StuiUnprintable",
    "StuiTransport",
    "StuiSettings",
    "StuiLink",
    "StuiRecordedTransport",
    "StuiRecordedSettings",
    "StuiRecordedIdentity",
    "StuiImpatientLink",
    "StuiJsonReaderTest",
    "StuiConversationTest",
    "StuiPrinterTest",
    "StuiInspectorTest",
    "StuiValueEncoderTest",
    "StuiTranscriptBufferTest",
    "StuiJsonWriterTest",
    "StuiBackoffTest",
    "StuiOutboxTest",
    "StuiLineSplitterTest",
    "StuiParametersTest",
    "StuiObjectRegistryTest",
    "StuiSourceGuardTest",
]
DIFFERENT = {
    "StuiJsonReaderTest>>testSurrogatePair": "Amber counts UTF-16 units",
    "StuiValueEncoderTest>>testEverythingElseIsPrinted": "points print otherwise, and there are no fractions",
    "StuiInspectorTest>>testDictionary": "symbols are strings",
    "StuiInspectorTest>>testWhatIsInspectedCanBeWritten": "there are no processes",
}
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
        "classSlots": found.variables("classInstVars"),
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


RUNNER = ["node", str(Path(__file__).with_name("amber_run.js"))]


def asked(classes: dict[str, SmalltalkClass], what: str) -> str:
    """The first line for the runner."""
    return json.dumps({"run": what, "classes": [as_json(classes[name]) for name in PLAIN]}) + "\n"


def run(classes: dict[str, SmalltalkClass]) -> dict[str, str | None]:
    """What becomes of each test."""
    done = subprocess.run(
        RUNNER, input=asked(classes, "tests"), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return {each["test"]: each["error"] for each in json.loads(done.stdout)}


class Reader:
    """The package's JSON reader and writer, alive in Amber."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self, text: str) -> str | None:
        """What the writer makes of what the reader took; None when it refused the text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert set(answer) in ({"written"}, {"refused"})
        written = answer.get("written")
        assert written is None or isinstance(written, str)
        return written


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """One Amber for all examples."""
    with subprocess.Popen(RUNNER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(asked(read_folder(SOURCES), "texts"))
        yield Reader(process)
        process.stdin.close()


def test_plain_classes_pass_their_tests() -> None:
    """Every test of the plain classes passes."""
    results = run(read_folder(SOURCES))
    assert len(results) > 75
    assert {test for test, error in results.items() if error is not None} == set(DIFFERENT), results


def test_a_broken_class_fails_its_tests() -> None:
    """A mistake in a class is found: here the reader takes `True` for true."""
    classes = read_folder(SOURCES)
    for method in classes["StuiJsonReader"].methods:
        if method.selector == "isDigit:":
            method.source = re.sub(r"and: 57", "and: 58", method.source)
    assert any(error is not None for test, error in run(classes).items() if test.startswith("StuiJsonReaderTest"))


TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.decimals(-1000, 1000, places=3).map(float)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
SCRAPS = st.lists(st.sampled_from(list("{}[]\",:0123456789.-+eEtrufalsn\\ /ud8\t\n#@'()")), max_size=12).map("".join)


@given(value=VALUES, indent=st.sampled_from([None, 1]))
@settings(max_examples=200, deadline=None)
def test_json_comes_out_as_it_went_in(reader: Reader, value: object, indent: int | None) -> None:
    """What Python writes, the package reads; what it writes, Python reads as the same."""
    written = reader.read(json.dumps(value, indent=indent))
    assert written is not None
    assert json.loads(written) == value


@given(value=VALUES, scrap=SCRAPS, place=st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_json_reader_takes_what_is_json_and_nothing_else(
    reader: Reader, value: object, scrap: str, place: float
) -> None:
    """Text with a scrap in it is taken exactly when a strict reader takes it."""
    text = json.dumps(value, ensure_ascii=False)
    where = int(place * len(text))
    text = text[:where] + scrap + text[where:]
    try:
        msgspec.json.decode(text.encode())
        is_json = True
    except msgspec.DecodeError:
        is_json = False
    if "e" not in text.lower() and "\\u" not in text:  # numbers out of range, and halves of pairs, are limits of ours
        assert (reader.read(text) is not None) == is_json
