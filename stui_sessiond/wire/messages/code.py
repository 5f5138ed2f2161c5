"""Parameters and results of the commands that find and change code in an image."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from stui_sessiond.wire.messages import Name, Text
from stui_sessiond.wire.messages.development import Relayed

Listed = Annotated[int, Meta(ge=1, le=10_000)]
"""How many rows at most."""


class ListPackages(Relayed, kw_only=True):
    """Parameters of `list_packages`."""

    pattern: str | UnsetType | None = UNSET
    limit: Listed | UnsetType | None = UNSET


class PackageInfo(Struct):
    """A package, from outside."""

    name: str
    class_count: int | None = None


class ListPackagesResult(Struct):
    """Result of `list_packages`."""

    packages: list[PackageInfo]
    total_count: int


class GetHierarchy(Relayed, kw_only=True):
    """Parameters of `get_hierarchy`."""

    class_name: Name
    limit: Listed | UnsetType | None = UNSET


class SubclassInfo(Struct):
    """A class below another one."""

    name: str
    superclass: str


class GetHierarchyResult(Struct):
    """Result of `get_hierarchy`."""

    superclasses: list[str]
    subclasses: list[SubclassInfo]
    total_count: int


class FindMethods(Relayed, kw_only=True):
    """Parameters of `find_methods`."""

    what: Literal["senders", "implementors", "references", "source"]
    text: Name
    package: str | UnsetType | None = UNSET
    limit: Listed | UnsetType | None = UNSET


class FoundMethod(Struct):
    """Where a method is."""

    class_name: str
    selector: str
    is_class_method: bool = False
    category: str | None = None
    package: str | None = None


class FindMethodsResult(Struct):
    """Result of `find_methods`."""

    methods: list[FoundMethod]
    total_count: int


class CompileMethod(Relayed, kw_only=True):
    """Parameters of `compile_method`."""

    class_name: Name
    source: Text
    is_class_method: bool = False
    category: str | UnsetType | None = UNSET
    base_source: str | UnsetType | None = UNSET


class CompileMethodResult(Struct):
    """Result of `compile_method`."""

    class_name: str
    selector: str
    is_class_method: bool = False
    category: str | None = None
    previous_source: str | None = None
    change_id: str | UnsetType = UNSET


class RemoveMethod(Relayed, kw_only=True):
    """Parameters of `remove_method`."""

    class_name: Name
    method_name: Name
    is_class_method: bool = False
    base_source: str | UnsetType | None = UNSET


class RemoveMethodResult(Struct):
    """Result of `remove_method`."""

    removed: bool
    previous_source: str | None = None
    change_id: str | UnsetType = UNSET


class DefineClass(Relayed, kw_only=True):
    """Parameters of `define_class`."""

    class_name: Name
    superclass: Name = "Object"
    instance_vars: list[str] = []  # noqa: RUF012 -- msgspec copies it
    class_vars: list[str] = []  # noqa: RUF012 -- msgspec copies it
    package: str | UnsetType | None = UNSET
    comment: str | UnsetType | None = UNSET
    base_definition: str | UnsetType | None = UNSET


class DefineClassResult(Struct):
    """Result of `define_class`."""

    class_name: str
    definition: str
    previous_definition: str | None = None
    change_id: str | UnsetType = UNSET


class RemoveClass(Relayed, kw_only=True):
    """Parameters of `remove_class`."""

    class_name: Name
    base_definition: str | UnsetType | None = UNSET


class RemoveClassResult(Struct):
    """Result of `remove_class`."""

    removed: bool
    previous_definition: str | None = None
    change_id: str | UnsetType = UNSET
