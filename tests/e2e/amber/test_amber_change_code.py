"""Clients change the code of the Amber image, and never over what somebody else did meanwhile."""

from __future__ import annotations

import uuid

import pytest

from tests.e2e.amber.bed import Image, Json


@pytest.fixture
def name() -> str:
    """The name of a class that nobody else uses."""
    return f"Made{uuid.uuid4().hex}"


@pytest.fixture
def made(image: Image, name: str) -> str:
    """The name of a class with one variable and one method."""
    image.result("define_class", class_name=name, instance_vars=["count"], package="Made")
    image.result("compile_method", class_name=name, source="next ^ 1", category="counting")
    return name


def source_of(image: Image, name: str, selector: str, **parameters: object) -> str:
    """The source of a method."""
    method = image.result("get_method", class_name=name, method_name=selector, **parameters)["method"]
    text: str = method["source"]
    return text


def definition_of(image: Image, name: str) -> str:
    """The definition of a class."""
    text: str = image.result("browse_class", class_name=name)["class_info"]["definition"]
    return text


# Methods


def test_compile_method_works_at_once(image: Image, made: str) -> None:
    """A method is there, and tells what it replaced; its category stays unless another is given."""
    assert image.result("compile_method", class_name=made, source="twice\r\n\t^ self next * 2") == {
        "class_name": made,
        "selector": "twice",
        "is_class_method": False,
        "category": "as yet unclassified",
        "previous_source": None,
    }
    assert source_of(image, made, "twice") == "twice\n\t^ self next * 2"
    assert image.value(f"{made} new twice") == "2"
    again = image.result("compile_method", class_name=made, source="next ^ 2")
    assert (again["previous_source"], again["category"]) == ("next ^ 1", "counting")
    moved = image.result("compile_method", class_name=made, source="next ^ 2", category="moved")
    assert (moved["previous_source"], moved["category"]) == ("next ^ 2", "moved")
    assert image.value(f"{made} new twice") == "4"


def test_compile_method_into_the_class_side(image: Image, made: str) -> None:
    """Methods of the class side are apart from those of instances."""
    answer = image.result("compile_method", class_name=made, source="next: a by: b ^ a + b", is_class_method=True)
    assert (answer["selector"], answer["is_class_method"]) == ("next:by:", True)
    assert image.value(f"{made} next: 3 by: 4") == "7"
    assert image.refusal("get_method", class_name=made, method_name="next:by:")["code"] == "method_not_found"


@pytest.mark.parametrize(
    ("source", "position", "line"),
    [
        ("bad ^ 3 )", 9, 1),
        ("bad\n\t^ 3 +", 11, 2),
        ("bad\r\n\t^ #[1]", 10, 2),
        ("'\U0001f600' bad", 1, 1),
        ("", 1, 1),
        ("bad\n\t^ count + neverDeclared", 16, 2),
        ('bad\n\t"\U0001f600" ^ neverDeclared', 12, 2),
        ("bad: a\n\ta := 3", 9, 2),
        ("bad ^ [ :x | [ :x | x ] ]", 17, 1),
        ("bad | count | ^ count", 7, 1),
        ("bad: count\n\t^ 1", 6, 1),
    ],
)
def test_compile_method_that_does_not_compile_changes_nothing(
    image: Image, made: str, source: str, position: int, line: int
) -> None:
    """The place of the mistake is told, and the class is as it was."""
    answer = image.refusal("compile_method", class_name=made, source=source)
    assert (answer["code"], answer["details"]) == ("compile_error", {"position": position, "line": line})
    assert [each["name"] for each in image.result("browse_class", class_name=made)["instance_methods"]] == ["next"]


def test_compile_method_with_wrong_javascript_is_a_compile_error(image: Image, made: str) -> None:
    """JavaScript in a method has to compile as well."""
    answer = image.refusal("compile_method", class_name=made, source="bad <inlineJS: 'return ('>")
    assert (answer["code"], answer["details"]["line"]) == ("compile_error", 1)


def test_compile_method_with_the_base_it_has_goes_on(image: Image, made: str) -> None:
    """Line ends do not matter when a base is compared; an empty base says that there was no such method."""
    image.result("compile_method", class_name=made, source="next\n\t^ 1")
    answer = image.result("compile_method", class_name=made, source="next ^ 3", base_source="next\r\n\t^ 1")
    assert answer["previous_source"] == "next\n\t^ 1"
    assert image.result("compile_method", class_name=made, source="other ^ 3", base_source="")["selector"] == "other"


@pytest.mark.parametrize(
    ("source", "base", "present"),
    [
        ("next ^ 5", "next ^ 4", "next ^ 1"),
        ("next ^ 5", "", "next ^ 1"),
        ("next ^ 5", "next ^  1", "next ^ 1"),
        ("fresh ^ 5", "fresh ^ 4", None),
    ],
)
def test_compile_method_over_another_is_a_conflict(
    image: Image, made: str, source: str, base: str, present: str | None
) -> None:
    """What the image has is told, and nothing is changed."""
    answer = image.refusal("compile_method", class_name=made, source=source, base_source=base)
    assert (answer["code"], answer["details"]) == ("code_conflict", {"present": present})
    assert source_of(image, made, "next") == "next ^ 1"


def test_remove_method_tells_what_was_there(image: Image, made: str) -> None:
    """A method is gone, on the side that was meant; a second time there is nothing to remove."""
    image.result("compile_method", class_name=made, source="next ^ 9", is_class_method=True)
    answer = image.result("remove_method", class_name=made, method_name="next", is_class_method=True)
    assert answer == {"removed": True, "previous_source": "next ^ 9"}
    assert source_of(image, made, "next") == "next ^ 1"
    answer = image.refusal("remove_method", class_name=made, method_name="next", base_source="next ^ 2")
    assert (answer["code"], answer["details"]) == ("code_conflict", {"present": "next ^ 1"})
    assert image.result("remove_method", class_name=made, method_name="next", base_source="next ^ 1")["removed"]
    assert image.refusal("remove_method", class_name=made, method_name="next")["code"] == "method_not_found"
    assert image.error(f"{made} new next")["class"] == "MessageNotUnderstood"


def test_remove_method_of_a_trait_is_refused(image: Image) -> None:
    """What a class has from a trait is not the class's to remove."""
    answer = image.refusal("remove_method", class_name="Behavior", method_name="methodAt:")
    assert (answer["code"], "TBehaviorProvider" in answer["error"]) == ("method_not_found", True)
    assert source_of(image, "Behavior", "methodAt:")


# Classes


def test_define_class_makes_what_was_asked_for(image: Image, name: str) -> None:
    """A class has its variables, its package and its comment, and its definition makes it again."""
    answer = image.result(
        "define_class",
        class_name=name,
        instance_vars=["first", "second"],
        class_vars=["Registry"],
        package="Made-Here",
        comment="I'm made.",
    )
    assert answer == {
        "class_name": name,
        "definition": f"Object subclass: #{name}\n\tslots: {{#first. #second}}\n\tpackage: 'Made-Here'.\n"
        f"{name} class slots: {{#Registry}}",
        "previous_definition": None,
    }
    shown = image.result("browse_class", class_name=name)
    assert shown["class_info"]["definition"] == answer["definition"]
    assert (shown["class_info"]["comment"], shown["class_info"]["package"]) == ("I'm made.", "Made-Here")
    assert (shown["instance_vars"], list(shown["class_vars"])) == (["first", "second"], ["Registry"])
    image.value(answer["definition"])
    assert definition_of(image, name) == answer["definition"]
    without_side = image.result("define_class", class_name=name, instance_vars=["first"])["definition"]
    assert image.value(f"{name} definition") == f"'{without_side.replace(chr(39), chr(39) * 2)}'"


def test_define_class_again_keeps_methods_package_and_comment(image: Image, made: str) -> None:
    """What is not mentioned stays; instances keep what they hold."""
    image.result("define_class", class_name=made, instance_vars=["count"], comment="Mine")
    image.result("compile_method", class_name=made, source="count ^ count")
    image.result("compile_method", class_name=made, source="count: n count := n")
    image.value("kept := nil", made)
    image.value(f"kept := {made} new count: 5; yourself", made)
    before = definition_of(image, made)
    answer = image.result("define_class", class_name=made, instance_vars=["count", "more"])
    assert answer["previous_definition"] == before
    info = image.result("browse_class", class_name=made)["class_info"]
    assert (info["package"], info["comment"]) == ("Made", "Mine")
    assert image.value("kept count", made) == "5"
    assert source_of(image, made, "next") == "next ^ 1"


def test_define_class_under_another_superclass_moves_it(image: Image, made: str, name: str) -> None:
    """Methods, comment and class side go along, and so do subclasses."""
    image.result("compile_method", class_name=made, source="registry ^ 7", is_class_method=True)
    for other in ("Above", "Below"):
        superclass = "Object" if other == "Above" else made
        image.result("define_class", class_name=f"{other}{name[4:]}", superclass=superclass)
    answer = image.result("define_class", class_name=made, superclass=f"Above{name[4:]}", instance_vars=["count"])
    assert answer["definition"].startswith(f"Above{name[4:]} subclass: #{made}\n")
    assert image.value(f"{made} new next + {made} registry + Below{name[4:]} new next") == "9"
    hierarchy = image.result("get_hierarchy", class_name=f"Above{name[4:]}")
    assert [each["name"] for each in hierarchy["subclasses"]] == [made, f"Below{name[4:]}"]


def test_define_class_over_another_is_a_conflict(image: Image, made: str, name: str) -> None:
    """What the image has is told, and nothing is changed."""
    present = definition_of(image, made)
    for base in ("", present + " "):
        answer = image.refusal("define_class", class_name=made, instance_vars=["x"], base_definition=base)
        assert (answer["code"], answer["details"]) == ("code_conflict", {"present": present})
    answer = image.refusal("define_class", class_name=f"Other{name[4:]}", base_definition="was")
    assert (answer["code"], answer["details"]) == ("code_conflict", {"present": None})
    assert definition_of(image, made) == present
    image.result("define_class", class_name=made, instance_vars=["x"], base_definition=present.replace("\n", "\r"))
    image.result("define_class", class_name=f"Other{name[4:]}", base_definition="")


def test_define_class_that_its_methods_do_not_fit_is_put_back(image: Image, made: str) -> None:
    """A variable that a method uses cannot be taken away: the class is as it was."""
    image.result("compile_method", class_name=made, source="count ^ count")
    before = definition_of(image, made)
    answer = image.refusal("define_class", class_name=made, instance_vars=["other"])
    assert answer["code"] == "compile_error"
    assert "count" in answer["error"]
    assert definition_of(image, made) == before
    assert image.value(f"{made} new count") == "nil"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"class_name": "lower"}, "class_name"),
        ({"class_name": "With Space"}, "class_name"),
        ({"class_name": "Smalltalk"}, "class_name"),
        ({"class_name": "OrderedCollection"}, "class_name"),
        ({"class_name": "TThenable"}, "class_name"),
        ({"class_name": "Fresh", "superclass": "TThenable"}, "superclass"),
        ({"class_name": "Fresh", "superclass": "Object class"}, "superclass"),
        ({"class_name": "Object", "superclass": "Number"}, "superclass"),
        ({"class_name": "Fresh", "instance_vars": ["a b"]}, "instance_vars"),
        ({"class_name": "Fresh", "instance_vars": ["self"]}, "instance_vars"),
        ({"class_name": "Fresh", "instance_vars": ["a", "a"]}, "instance_vars"),
        ({"class_name": "Fresh", "superclass": "Queue", "instance_vars": ["read"]}, "instance_vars"),
        ({"class_name": "Fresh", "instance_vars": "a"}, "instance_vars"),
        ({"class_name": "Fresh", "class_vars": [3]}, "class_vars"),
        ({"class_name": "Fresh", "package": ""}, "package"),
    ],
)
def test_define_class_bad_parameter_is_named(image: Image, parameters: Json, field: str) -> None:
    """What cannot be defined is refused with the parameter that is wrong, and nothing is made."""
    answer = image.refusal("define_class", **parameters)
    assert (answer["code"], answer["details"]) == ("invalid_parameters", {"field": field})
    assert image.refusal("browse_class", class_name="Fresh")["code"] == "class_not_found"


def test_remove_class_tells_what_was_there(image: Image, made: str) -> None:
    """A class is gone with its methods; its name is free again."""
    present = definition_of(image, made)
    answer = image.refusal("remove_class", class_name=made, base_definition=present + "x")
    assert (answer["code"], answer["details"]) == ("code_conflict", {"present": present})
    answer = image.result("remove_class", class_name=made, base_definition=present)
    assert answer == {"removed": True, "previous_definition": present}
    assert image.refusal("remove_class", class_name=made)["code"] == "class_not_found"
    assert image.error(made)["class"] == "UnknownVariableError"
    assert image.result("define_class", class_name=made)["previous_definition"] is None
    assert image.result("browse_class", class_name=made)["instance_methods"] == []


def test_remove_class_that_others_need_is_refused(image: Image, made: str) -> None:
    """A class with subclasses stays, and so does a trait that is used."""
    image.result("define_class", class_name=f"{made}Below", superclass=made)
    for name, user in ((made, f"{made}Below"), ("TBehaviorProvider", "Behavior")):
        answer = image.refusal("remove_class", class_name=name)
        assert (answer["code"], user in answer["error"]) == ("invalid_parameters", True)
        assert definition_of(image, name)


@pytest.mark.parametrize("command", ["compile_method", "remove_method", "remove_class", "define_class"])
def test_change_of_unknown_class_is_class_not_found(image: Image, command: str) -> None:
    """A class that is not there is named."""
    parameters: dict[str, Json] = {
        "compile_method": {"class_name": "NoSuchClass", "source": "x"},
        "remove_method": {"class_name": "NoSuchClass", "method_name": "x"},
        "remove_class": {"class_name": "NoSuchClass"},
        "define_class": {"class_name": "Fresh", "superclass": "NoSuchClass"},
    }
    answer = image.refusal(command, **parameters[command])
    assert (answer["code"], answer["details"]) == ("class_not_found", {"class_name": "NoSuchClass"})
