"""Parameters and results of the commands about the changes of code that images took, which the daemon keeps."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stui_sessiond.wire.messages import Count, Name, Text

ChangeKind = Literal["method", "method_removed", "class", "class_removed"]


class ListCodeChanges(Struct):
    """Parameters of `list_code_changes`."""

    image_id: Name
    class_name: Name | None = None
    after: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class CodeChange(Struct):
    """One change of code that an image took."""

    change_id: str
    at: str
    kind: ChangeKind
    class_name: str
    selector: str | None
    is_class_method: bool
    category: str | None
    source: str | None
    previous_source: str | None
    origin: Literal["client", "image"]
    client_id: str | None
    session_id: str | None
    instance_id: str
    generation: int
    texts_omitted: bool = False


class ListCodeChangesResult(Struct):
    """Result of `list_code_changes`."""

    image_id: str
    changes: list[CodeChange]
    more: bool


class ReapplyCodeChanges(Struct):
    """Parameters of `reapply_code_changes`."""

    image_id: Name
    change_ids: Annotated[list[Text], Meta(min_length=1, max_length=10_000)] | None = None
    dry_run: bool = False
    force: bool = False


class ReappliedChange(Struct):
    """What became, or would become, of one change."""

    change_id: str
    kind: ChangeKind
    class_name: str
    selector: str | None
    is_class_method: bool
    state: Literal["present", "missing", "different"] | None
    outcome: Literal["applied", "would_apply", "not_needed", "conflict", "by_hand", "failed"]
    reason: str | None = None


class ReapplyCodeChangesResult(Struct):
    """Result of `reapply_code_changes`."""

    image_id: str
    applied: Count
    changes: list[ReappliedChange]
