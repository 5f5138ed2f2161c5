"""The Amber image shows its classes, methods and itself."""

from __future__ import annotations

from tests.e2e.amber.bed import COMPILE_ADD, COMPILE_INCREMENT, DEFINE_COUNTER, Image


def test_browse_class_made_by_user_is_complete(image: Image) -> None:
    """A user's class, defined the classic way, shows package, slots, methods and class-side slots."""
    image.value(
        "Object subclass: #Account instanceVariableNames: 'owner balance' classVariableNames: '' package: 'Bank'"
    )
    image.value("Account compile: 'owner ^ owner' protocol: 'accessing'")
    image.value("Account class slots: {#count}")
    image.value("Account class compile: 'count: n count := n' classified: 'counting'")
    image.value("Account comment: 'I hold money.'. Account count: 3")
    assert image.result("browse_class", class_name="Account") == {
        "class_info": {
            "name": "Account",
            "superclass": "Object",
            "comment": "I hold money.",
            "package": "Bank",
            "is_system": False,
            "definition": "Object subclass: #Account\n\tslots: {#owner. #balance}\n\tpackage: 'Bank'.\n"
            "Account class slots: {#count}",
        },
        "instance_methods": [{"name": "owner", "category": "accessing"}],
        "class_methods": [{"name": "count:", "category": "counting"}],
        "instance_vars": ["owner", "balance"],
        "class_vars": {"count": "3"},
    }


def test_browse_class_leaves_out_what_is_not_wanted(image: Image) -> None:
    """The include flags empty their parts; a class of Amber itself is a system class."""
    shown = image.result(
        "browse_class",
        class_name="ForkPool",
        include_methods=False,
        include_instance_vars=False,
        include_class_vars=False,
    )
    assert shown["class_info"]["is_system"] is True
    assert (shown["instance_methods"], shown["class_methods"]) == ([], [])
    assert (shown["instance_vars"], shown["class_vars"]) == ([], {})
    assert image.result("browse_class", class_name="ProtoObject")["class_info"]["superclass"] is None


def test_browse_class_unknown_is_class_not_found(image: Image) -> None:
    """A name of no class, though of another global, is refused with class_not_found."""
    assert image.refusal("browse_class", class_name="NoSuchClass")["code"] == "class_not_found"
    assert image.refusal("browse_class", class_name="Smalltalk")["code"] == "class_not_found"


def test_get_method_shows_source_and_comment(image: Image) -> None:
    """A method comes with source, protocol, argument names and first comment."""
    for code in (DEFINE_COUNTER, COMPILE_INCREMENT, COMPILE_ADD):
        image.value(code)
    increment = image.result("get_method", class_name="Counter", method_name="increment")["method"]
    assert (increment["category"], increment["comment"]) == ("counting", "Adds one.")
    assert increment["source"].startswith("increment")
    add = image.result("get_method", class_name="Counter", method_name="add:to:")["method"]
    assert (add["arguments"], add["comment"], add["is_class_method"]) == (["a", "b"], "", False)
    signal_method = image.result("get_method", class_name="Error", method_name="signal:", is_class_method=True)[
        "method"
    ]
    assert signal_method["is_class_method"] is True


def test_get_method_unknown_is_method_not_found(image: Image) -> None:
    """A missing method, and a missing class, are refused with their own codes."""
    missing = image.refusal("get_method", class_name="Object", method_name="toString")
    assert missing["code"] == "method_not_found"
    missing = image.refusal("get_method", class_name="NoSuchClass", method_name="x")
    assert missing["code"] == "class_not_found"


def test_list_classes_filters_and_counts(image: Image) -> None:
    """Patterns match a part of a name or use wildcards, and the total counts beyond the limit."""
    everything = image.result("list_classes")
    names = [each["name"] for each in everything["classes"]]
    assert names == sorted(names)
    assert len(names) == everything["total_count"] > 200
    ending = image.result("list_classes", pattern="*COLLECTION", limit=1)
    assert [each["name"] for each in ending["classes"]] == ["AssociativeCollection"]
    assert ending["total_count"] == sum(name.endswith("Collection") for name in names) > 1
    containing = image.result("list_classes", pattern="OLLECTIO")["total_count"]
    assert containing == sum("ollectio" in name for name in names)
    assert max(len(each["comment"]) for each in everything["classes"]) == 200


def test_list_classes_hides_private_classes(image: Image, session: str) -> None:
    """The classes behind the variables of a session show up nowhere."""
    image.value(DEFINE_COUNTER)
    before = image.result("list_classes")["total_count"]
    image.value("x := 1", session)
    assert image.result("list_classes")["total_count"] == before
    assert image.value("Object subclasses includes: self class", session) == "false"
    users = image.result("list_classes", include_system=False)["classes"]
    assert {"Demo", "Bank"} >= {each["package"] for each in users}
    assert "Counter" in {each["name"] for each in users}


def test_system_info_of_each_type_has_its_fields(image: Image) -> None:
    """Each type of information has its own fields and All has them all."""
    expected = {
        "Basic": {"dialect", "version", "vm", "class_count", "uptime"},
        "Memory": {"rss", "heap_used", "heap_total"},
        "Packages": {"packages"},
        "Environment": {"platform", "arch", "node_version", "pid"},
    }
    for info_type, fields in expected.items():
        assert set(image.result("system_info", info_type=info_type)["info"]) == fields
    everything = image.result("system_info", info_type="All")["info"]
    assert set(everything) == set.union(*expected.values())
    assert image.result("system_info")["info"]["dialect"] == "Amber"
    assert everything["pid"] == image.process.pid


def test_environment_of_smalltalk_has_no_token(image: Image) -> None:
    """Evaluated code cannot read the token from the environment."""
    assert image.value("process env at: 'STUI_SESSIOND_TOKEN'") == "nil"
