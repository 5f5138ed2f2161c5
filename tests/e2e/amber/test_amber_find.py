"""The Amber image finds packages, classes above and below, and methods."""

from __future__ import annotations

import pytest

from tests.e2e.amber.bed import Image, Json


@pytest.fixture(scope="module")
def zoo(image: Image) -> Image:
    """The image with some classes of its own."""
    for code in (
        "Object subclass: #Animal slots: {#name} package: 'Zoo'",
        "Animal subclass: #Dog slots: {} package: 'Zoo'",
        "Animal subclass: #Cat slots: {} package: 'Zoo'",
        "Dog subclass: #Puppy slots: {} package: 'Zoo-Young'",
        "Animal compile: 'speak ^ self subclassResponsibility' protocol: 'speaking'",
        "Dog compile: 'speak ^ ''Woof''' protocol: 'speaking'",
        "Dog class compile: 'speak ^ self new speak' protocol: 'speaking'",
        "Cat compile: 'chase ^ Dog new speak, '' runs''' protocol: 'hunting'",
        "Number compile: 'timesSpeak ^ self + Puppy new speak size' protocol: '*Zoo-Young'",
    ):
        image.value(code)
    return image


def methods(image: Image, what: str, text: str, **parameters: object) -> list[tuple[str, str, bool]]:
    """The methods that are found: class, selector, whether of the class side."""
    found = image.result("find_methods", what=what, text=text, **parameters)
    return [(each["class_name"], each["selector"], each["is_class_method"]) for each in found["methods"]]


def test_list_packages_counts_classes(zoo: Image) -> None:
    """Packages come by name, with how many classes they have; a pattern is a part of the name."""
    everything = zoo.result("list_packages")
    names = [each["name"] for each in everything["packages"]]
    assert names == sorted(names)
    assert len(names) == everything["total_count"]
    found = zoo.result("list_packages", pattern="ZOO")
    assert found["packages"] == [{"name": "Zoo", "class_count": 3}, {"name": "Zoo-Young", "class_count": 1}]
    assert "Hidden" not in names


def test_list_packages_limit_cuts_and_counts_all(zoo: Image) -> None:
    """The total is of all that match."""
    assert zoo.result("list_packages", pattern="zoo", limit=1) == {
        "packages": [{"name": "Zoo", "class_count": 3}],
        "total_count": 2,
    }


def test_list_classes_of_a_package(zoo: Image) -> None:
    """Only the classes of the package are listed."""
    found = zoo.result("list_classes", package="Zoo")
    assert [each["name"] for each in found["classes"]] == ["Animal", "Cat", "Dog"]
    assert zoo.result("list_classes", package="Zoo", pattern="D*")["total_count"] == 1
    assert zoo.result("list_classes", package="No-Such-Package")["classes"] == []


def test_get_hierarchy_shows_above_and_below(zoo: Image) -> None:
    """Superclasses begin with the nearest; each subclass comes after its superclass."""
    assert zoo.result("get_hierarchy", class_name="Animal") == {
        "superclasses": ["Object", "ProtoObject"],
        "subclasses": [
            {"name": "Cat", "superclass": "Animal"},
            {"name": "Dog", "superclass": "Animal"},
            {"name": "Puppy", "superclass": "Dog"},
        ],
        "total_count": 3,
    }
    cut = zoo.result("get_hierarchy", class_name="Animal", limit=1)
    assert (len(cut["subclasses"]), cut["total_count"]) == (1, 3)
    assert zoo.result("get_hierarchy", class_name="Puppy")["superclasses"][0] == "Dog"
    assert zoo.result("get_hierarchy", class_name="Dog class")["superclasses"][0] == "Animal class"
    assert zoo.result("get_hierarchy", class_name="TThenable")["superclasses"] == []


def test_get_hierarchy_of_object_has_all_classes_once(zoo: Image) -> None:
    """The whole image is below Object, and no class that stands for a session's variables."""
    below = zoo.result("get_hierarchy", class_name="Object")
    names = [each["name"] for each in below["subclasses"]]
    assert below["total_count"] == len(names) == len(set(names)) > 150
    seen = {"Object"}
    for each in below["subclasses"]:
        assert each["superclass"] in seen
        seen.add(each["name"])
    listed = {each["name"] for each in zoo.result("list_classes")["classes"]}
    assert set(names) <= listed


def test_get_hierarchy_of_unknown_class_is_refused(zoo: Image) -> None:
    """A name of no class is told."""
    answer = zoo.refusal("get_hierarchy", class_name="Unicorn")
    assert (answer["code"], answer["details"]) == ("class_not_found", {"class_name": "Unicorn"})


def test_find_methods_answers_each_question(zoo: Image) -> None:
    """Implementors, senders, references to a class, and text, on both sides of a class."""
    assert methods(zoo, "implementors", "speak") == [
        ("Animal", "speak", False),
        ("Dog", "speak", False),
        ("Dog", "speak", True),
    ]
    assert methods(zoo, "senders", "speak") == [
        ("Cat", "chase", False),
        ("Dog", "speak", True),
        ("Number", "timesSpeak", False),
    ]
    assert methods(zoo, "references", "Dog") == [("Cat", "chase", False)]
    assert methods(zoo, "source", "'Woof'") == [("Dog", "speak", False)]
    assert methods(zoo, "source", "woof'") == []
    assert methods(zoo, "senders", "noSuchSelectorAnywhere") == []


def test_find_methods_tells_category_and_package(zoo: Image) -> None:
    """An extension belongs to the package that made it; a package narrows the search."""
    found = zoo.result("find_methods", what="senders", text="speak", package="Zoo-Young")
    assert found == {
        "methods": [
            {
                "class_name": "Number",
                "selector": "timesSpeak",
                "is_class_method": False,
                "category": "*Zoo-Young",
                "package": "Zoo-Young",
            }
        ],
        "total_count": 1,
    }
    found = zoo.result("find_methods", what="implementors", text="printOn:", limit=3)
    assert (len(found["methods"]), found["total_count"] > 3) == (3, True)


@pytest.mark.parametrize(
    ("command", "parameters", "field"),
    [
        ("find_methods", {"text": "x"}, "what"),
        ("find_methods", {"what": "friends", "text": "x"}, "what"),
        ("find_methods", {"what": "senders"}, "text"),
        ("find_methods", {"what": "senders", "text": ""}, "text"),
        ("find_methods", {"what": "senders", "text": "x", "limit": 0}, "limit"),
        ("find_methods", {"what": "senders", "text": "x", "limit": 10_001}, "limit"),
        ("find_methods", {"what": "senders", "text": "x", "package": 3}, "package"),
        ("list_packages", {"limit": 0}, "limit"),
        ("list_packages", {"pattern": 3}, "pattern"),
        ("get_hierarchy", {}, "class_name"),
        ("get_hierarchy", {"class_name": "Object", "limit": -1}, "limit"),
    ],
)
def test_find_bad_parameter_is_named(zoo: Image, command: str, parameters: Json, field: str) -> None:
    """A parameter of the wrong kind or size is refused with its name."""
    answer = zoo.refusal(command, **parameters)
    assert (answer["code"], answer["details"]) == ("invalid_parameters", {"field": field})
