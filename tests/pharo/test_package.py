"""The Pharo package is right as far as can be told without Pharo: every file parses, names and messages are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from stui_sessiond.wire.messages import code, development
from tests.pharo.checks import Package
from tests.pharo.facts import BaseImage
from tests.pharo.tonel import Method, SmalltalkClass, parse, read_folder, string_value, text_of, walk

ROOT = Path(__file__).resolve().parents[2]
PHARO = ROOT / "examples" / "pharo"
SOURCES = PHARO / "src"
CLASSES = read_folder(SOURCES)
BY_VERSION = frozenset({"StuiPlatform"})
AT_ONCE = {"ping", "interrupt"}
WORDS = {"handles", "receiver_handle", "suspend", "transcript", "code_changed"}

ANSWERS: list[tuple[str, type]] = [
    ("StuiDispatcher>>pingAnswer:", development.PingResult),
    ("StuiOutcome>>asResult", development.EvaluateResult),
    ("StuiErrorReport>>asDictionary", development.SmalltalkError),
    ("StuiStack>>dictionaryOf:index:", development.StackFrame),
    ("StuiBrowser>>listPackages:", code.ListPackagesResult),
    ("StuiBrowser>>getHierarchy:", code.GetHierarchyResult),
    ("StuiFinder>>findMethods:", code.FindMethodsResult),
    ("StuiFinder>>describe:", code.FoundMethod),
    ("StuiCodeChanger>>compileMethod:", code.CompileMethodResult),
    ("StuiCodeChanger>>removeMethod:", code.RemoveMethodResult),
    ("StuiCodeChanger>>defineClass:", code.DefineClassResult),
    ("StuiCodeChanger>>removeClass:", code.RemoveClassResult),
]
NESTED = {"StuiBrowser>>listPackages:": {"name", "class_count"}, "StuiBrowser>>getHierarchy:": {"name", "superclass"}}


def method(name: str) -> Method:
    """A method by its name."""
    owner = name.partition(">>")[0].split()[0]
    return next(each for each in CLASSES[owner].methods if each.name == name)


def named_keys(found: Method) -> set[str]:
    """The texts that name something in a dictionary: every other one in braces, and arguments of `with:` and `at:`."""
    keys: set[str] = set()
    for node in walk(found.body):
        if node.type == "dynamic_array":
            parts = [child for child in node.named_children if child.type != "comment"]
            keys |= {string_value(each) for each in parts[::2] if each.type == "string"}
    for send in found.sends():
        if send.selector in {"with:value:", "with:value:with:value:", "at:put:"}:
            keys |= {string_value(each) for each in send.arguments[::2] if each.type == "string"}
    return keys


def words(found: Method) -> list[str]:
    """The words of the literal array in a method, in order."""
    return [text_of(node).strip("'#") for node in walk(found.body) if node.type in {"string", "symbol"}]


def test_package_has_no_problems() -> None:
    """Every file parses; names are declared, messages understood in Pharo 8 to 13, methods short."""
    package = Package(CLASSES, BaseImage.read(), by_version=BY_VERSION)
    assert package.problems() == []


def test_nothing_is_there_that_nobody_uses() -> None:
    """Every method is sent by somebody, or is for people or for the image to send."""
    sent_from_outside = {
        "baseline:", "unload", "connectTo:port:", "settings", "startUp:", "shutDown:", "defaultAction", "useTls",
        "imageId:", "imageName:", "persistent:", "defaultTimeLimit",
    }  # fmt: skip
    sent = {send.selector for each in CLASSES.values() for found in each.methods for send in found.sends()}
    named = {
        text_of(node).strip("#'")
        for each in CLASSES.values()
        for found in each.methods
        for node in walk(found.body)
        if node.type == "symbol"
    }
    unused = {
        found.name
        for each in CLASSES.values()
        for found in each.methods
        if found.selector not in sent | named | sent_from_outside and not found.selector.startswith("test")
    }
    assert unused == set()


def test_core_does_not_know_the_tests() -> None:
    """The package loads without its tests."""
    tests = {name for name, each in CLASSES.items() if each.path.parent.name == "Stui-Tests"}
    for each in CLASSES.values():
        if each.name not in tests:
            used = {text_of(node) for found in each.methods for node in walk(found.body) if node.type == "identifier"}
            assert not used & tests, each.name


@pytest.mark.parametrize("name", [name for name, each in CLASSES.items() if each.path.parent.name == "Stui"])
def test_class_says_what_it_is_for(name: str) -> None:
    """A class has a comment in the first person, of a sentence or more."""
    assert re.match(r"I(?:'m)? \w+", CLASSES[name].comment), CLASSES[name].comment


def test_every_relayed_command_is_carried_out() -> None:
    """The table of the dispatcher has what the protocol relays to images, and nothing that it does not know."""
    descriptors = [json.loads(path.read_text()) for path in (ROOT / "protocol" / "commands").glob("*.json")]
    relayed = {
        each["command"]
        for each in descriptors
        if each["sender"] in {"daemon", "both"} or {"tool_id", "image_id", "timeout"} <= each["parameters"].keys()
    }
    table = words(method("StuiDispatcher class>>commands"))
    assert set(table[::3]) | AT_ONCE >= relayed - {"hello"}
    assert set(table[::3]) <= {each["command"] for each in descriptors}


def test_dispatcher_names_what_there_is() -> None:
    """Each command's class implements the message that it is sent."""
    table = words(method("StuiDispatcher class>>commands"))
    for command, owner, selector in zip(table[::3], table[1::3], table[2::3], strict=True):
        chain = Package(CLASSES, BaseImage.read(), by_version=BY_VERSION).chain(owner)
        assert any(selector in each.selectors(class_side=False) for each in chain), command


def test_capabilities_are_those_of_the_protocol() -> None:
    """The words beside the commands are the ones that IMAGES.md lists."""
    page = (ROOT / "protocol" / "IMAGES.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` \| \w+ ", page.partition("## What an image has to keep to")[0], re.MULTILINE))
    assert set(words(method("StuiDispatcher class>>capabilities"))) == WORDS | AT_ONCE
    assert listed == WORDS


def test_debug_operations_are_those_of_the_protocol() -> None:
    """The debugger has all operations of the descriptor that IMAGES.md describes, and implements each."""
    page = (ROOT / "protocol" / "IMAGES.md").read_text()
    rows = page.partition("| `operation` | does |")[2].partition("`frame` is the")[0]
    wanted = {
        word for row in rows.splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    table = words(method("StuiDebugging class>>operations"))
    assert set(table[::2]) == wanted
    assert set(table[1::2]) <= CLASSES["StuiDebugging"].selectors(class_side=False)


@pytest.mark.parametrize(("name", "struct"), ANSWERS)
def test_answer_has_the_shape_of_the_protocol(name: str, struct: type) -> None:
    """The names in an answer are fields of the Struct that the daemon reads, and none that is needed lacks."""
    fields = msgspec.structs.fields(struct)
    keys = named_keys(method(name)) - NESTED.get(name, set())
    assert keys <= {field.encode_name for field in fields}
    assert {field.encode_name for field in fields if field.required} <= keys


def test_project_files() -> None:
    """Metacello finds the sources, Tonel its format, and each package says its name."""
    assert "'srcDirectory' : 'src'" in (PHARO / ".project").read_text()
    assert "#format : #tonel" in (SOURCES / ".properties").read_text()
    assert "#baseline : 'Stui'" in (PHARO / ".smalltalk.ston").read_text()
    folders = {path.name for path in SOURCES.iterdir() if path.is_dir()}
    assert folders == {"BaselineOfStui", "Stui", "Stui-Tests"}
    for folder in folders:
        text = (SOURCES / folder / "package.st").read_text()
        assert parse(text.encode()).child_count == 1
        assert folder in text


def test_baseline_loads_the_packages() -> None:
    """The baseline names the packages that there are."""
    assert {"Stui", "Stui-Tests"} <= set(words(method("BaselineOfStui>>baseline:")))


def test_no_package_but_the_base_image_is_needed() -> None:
    """Every global that the core uses is its own or in the base image."""
    image = BaseImage.read()
    for each in CLASSES.values():
        for name in globals_of(each):
            assert name in CLASSES or image.knows_class(name), name


def globals_of(found: SmalltalkClass) -> set[str]:
    """Capitalised names in a class that are not its own variables."""
    shared = set(found.variables("classVars"))
    names = {text_of(node) for each in found.methods for node in walk(each.body) if node.type == "identifier"}
    return {name for name in names if name[0].isupper()} - shared
