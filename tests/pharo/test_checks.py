"""The checks of Smalltalk find the mistakes that were planted, and leave right code alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pharo.checks import Package
from tests.pharo.facts import BaseImage
from tests.pharo.tonel import NotTonel, code_lines, read_class, read_folder

HEADER = """\
"
I count.
"
Class {
	#name : #Counter,
	#superclass : #Object,
	#instVars : [
		'count'
	],
	#classVars : [
		'Last'
	],
	#category : #'Demo-Core',
	#package : #Demo,
	#tag : #Core
}

{ #category : #accessing }
Counter class >> last [
	^ Last ifNil: [ Last := 0 ]
]

{ #category : #accessing }
Counter >> count [
	^ count
]
"""
IMAGE = BaseImage(
    [
        "Object\t8 9 10 11 12 13",
        "OrderedCollection\t8 9 10 11 12 13",
        "OrderedCollection class>>new\t8 9 10 11 12 13",
        "OrderedCollection>>addLast:\t8 9 10 11 12 13",
        "Counter class>>new\t8 9 10 11 12 13",
        "Object class>>new\t8 9 10 11 12 13",
        "*>>ifNil:\t8 9 10 11 12 13",
        "*>>+\t8 9 10 11 12 13",
        "*>>do:\t8 9 10 11 12 13",
        "*>>newer\t12 13",
    ]
)


def write(folder: Path, text: str, name: str = "Counter") -> Path:
    """A class file in the folder of its package."""
    path = folder / "Demo" / f"{name}.class.st"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def method(pattern: str, body: str, protocol: str = "counting") -> str:
    """A method of Counter in Tonel."""
    return f"\n{{ #category : #{protocol} }}\nCounter >> {pattern} [\n\t{body}\n]\n"


def problems(folder: Path, text: str) -> list[str]:
    """What the checks say of one class."""
    write(folder, text)
    return Package(read_folder(folder), IMAGE, by_version=frozenset()).problems()


def test_checks_right_code(tmp_path: Path) -> None:
    """Code without mistakes has no problems."""
    text = HEADER + method(
        "increment: step", "| list |\n\tlist := OrderedCollection new.\n\tlist addLast: step.\n\t^ self count + 1"
    )
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("pattern", "body", "wanted"),
    [
        ("add: a", "^ counnt + a", "counnt is declared nowhere"),
        ("add: a", "^ Countr last", "Countr is declared nowhere"),
        ("add: a", "b := a", "b is declared nowhere"),
        ("add: a", "[ :each | each ] do: [ ^ each + a ]. ^ other + 1", "other is declared nowhere"),
        ("add: a", "^ self addd: a", "nobody understands Counter>>addd:"),
        ("add: a", "^ self last + a", "nobody understands Counter>>last"),
        ("add: a", "^ Counter count + a", "nobody understands Counter class>>count"),
        ("add: a", "^ Counter new counnt + a", "nobody understands Counter>>counnt"),
        ("add: a", "^ super count + a", "nobody understands Counter>>count"),
        ("add: a", "^ a frobnicate", "nobody understands *>>frobnicate"),
        ("add: a", "^ a newer", "*>>newer is not in Pharo 8, 9, 10, 11"),
        (
            "add: a",
            "| l |\n\tl := OrderedCollection new.\n\t^ l addFrist: a",
            "nobody understands OrderedCollection>>addFrist:",
        ),
        ("add: a", "| b |\n\t^ a + 1", "the temporary b is never read"),
        ("add: a", "| b |\n\tb := a + 1", "the temporary b is never read"),
        ("add: count", "^ count + 1", "count hides an instance variable"),
        ("count", "^ 2", "is there twice"),
        ("add: a", "\n\t".join(["a do: [ :x | x ]."] * 26), "26 lines"),
        ("add: a", "a\n\t\tdo: 1;\n\t\tundo: 2", "nobody understands *>>undo:"),
    ],
)
def test_checks_find_a_planted_mistake(tmp_path: Path, pattern: str, body: str, wanted: str) -> None:
    """Each mistake is told, and nothing else is."""
    found = problems(tmp_path, HEADER + method(pattern, body))
    assert len(found) == 1, found
    assert wanted in found[0]


@pytest.mark.parametrize(
    ("right", "wrong", "wanted"),
    [
        ("\t#category : #'Demo-Core',\n", "", "has no #category"),
        (",\n\t#tag : #Core", "", "#category does not say what #package and #tag say"),
        ("#package : #Demo", "#package : #Other", "is in the folder of Demo, and says Other"),
        ("#superclass : #Object", "#superclass : #Nothing", "unknown superclass Nothing"),
        ("'count'\n", "'count',\n\t\t'other'\n", "nobody uses the variable other"),
        ('"\nI count.\n"\n', "", "has no comment"),
        ("#name : #Counter", "#name : #Cuonter", "is in the file Counter.class.st"),
    ],
)
def test_checks_find_a_wrong_header(tmp_path: Path, right: str, wrong: str, wanted: str) -> None:
    """What the class header lacks, or says wrongly, is told."""
    assert right in HEADER
    assert any(wanted in each for each in problems(tmp_path, HEADER.replace(right, wrong)))


def test_checks_find_what_is_initialized_twice(tmp_path: Path) -> None:
    """In Pharo `new` sends `initialize`."""
    twice = "\n{ #category : #making }\nCounter class >> new [\n\t^ super new initialize\n]\n"
    found = problems(tmp_path, HEADER + twice)
    assert found == ["Counter class>>new: line 30: new sends initialize by itself"]


def test_checks_find_a_method_without_protocol(tmp_path: Path) -> None:
    """A method needs a protocol."""
    found = problems(tmp_path, HEADER + "\n{ #category : #'' }\nCounter >> one [\n\t^ 1\n]\n")
    assert found == ["Counter>>one: has no protocol"]


@pytest.mark.parametrize(
    "body",
    [
        "^ ( 3 + 4",
        "^ a foo:",
        "a := := 3",
        "^ [ 3 )",
        "^ 3 4",
        "^ #( 1",
        "a foo ; ; bar",
        "| b c",
        "3 := 4",
        "^ 3. ^",
        "^ 3 +",
        "^ 'open",
        "^ { 1. 2",
        "^ #[1 2",
        "^ a foo: [ :x | x",
    ],
)
def test_grammar_refuses(tmp_path: Path, body: str) -> None:
    """Text that is no Smalltalk is refused, and the file is named."""
    path = write(tmp_path, HEADER + method("add: a", body))
    with pytest.raises(NotTonel, match=r"Counter\.class\.st"):
        read_class(path)


def test_grammar_takes_the_whole_language(tmp_path: Path) -> None:
    """Pragmas, cascades, literals of all kinds, blocks with temporaries and unary, binary and keyword messages."""
    body = (
        "<primitive: 60>\n\t| b |\n\tb := #(1 $a #foo foo: true (1 2) 'x''y').\n"
        "\ta foo: 3; bar; + 4.\n"
        "\t^ { a. [ :k :l | | z | z := k + l. z ] value: 16r1F value: 1.5e3. 2r101. -7. #+. #a:b: }"
    )
    found = read_class(write(tmp_path, HEADER + method("add: a", body)))
    sends = {send.selector for send in found.methods[-1].sends()}
    assert sends == {"foo:", "bar", "+", "value:value:"}


def test_reading_a_class(tmp_path: Path) -> None:
    """Header, sides, selectors and arguments come out as they were written."""
    text = HEADER + method("from: a to: b", '"Comment."\n\n\t^ a + b') + method("- other", "^ other")
    found = read_class(write(tmp_path, text))
    assert (found.name, found.superclass, found.comment) == ("Counter", "Object", "I count.")
    assert found.variables("instVars") == ["count"]
    assert found.selectors(class_side=True) == {"last"}
    assert found.selectors(class_side=False) == {"count", "from:to:", "-"}
    keyword = found.methods[2]
    assert (keyword.name, keyword.arguments, code_lines(keyword)) == ("Counter>>from:to:", ["a", "b"], 1)


def test_reading_a_file_without_a_class(tmp_path: Path) -> None:
    """The description of a package is no class."""
    with pytest.raises(NotTonel, match="no class"):
        read_class(write(tmp_path, "Package { #name : #Demo }\n"))
