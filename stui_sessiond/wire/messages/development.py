"""Parameters and results of the commands that are relayed to a live image.

The same Structs are read from the client, sent to the image, read from the image and sent to the client: nothing is
forwarded raw.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from stui_sessiond.wire.messages import Count, Json, Key, Name, Number, Seconds, Text

Page = Annotated[int, Meta(ge=1, le=1_000_000)]
"""How many characters of a long text come at once."""


class Relayed(Struct, kw_only=True):
    """What every relayed request may carry: which session, tool and image it is for, and how long to wait."""

    session_id: Name | UnsetType | None = UNSET
    tool_id: Name | UnsetType | None = UNSET
    image_id: Name | UnsetType | None = UNSET
    timeout: Seconds | UnsetType | None = UNSET


class Ping(Relayed, kw_only=True):
    """Parameters of `ping`."""

    message: str | UnsetType | None = UNSET


class PingResult(Struct):
    """Result of `ping`."""

    message: str | None = None
    status: str = "ready"
    uptime: Number = 0


class Evaluate(Relayed, kw_only=True):
    """Parameters of `evaluate`."""

    code: str
    context: Json | UnsetType | None = UNSET
    return_string: bool = True
    evaluation_mode: Literal["Execute", "Display"] = "Execute"
    on_error: Literal["report", "suspend"] | UnsetType | None = UNSET
    keep: bool | UnsetType | None = UNSET
    page_chars: Page | UnsetType | None = UNSET
    receiver_handle: Text | UnsetType | None = UNSET
    idempotency_key: Key | UnsetType | None = UNSET


class StackFrame(Struct, omit_defaults=True, rename={"class_": "class"}):
    """One context of a Smalltalk stack, the newest first."""

    index: int
    class_: str | None = None
    selector: str | None = None
    receiver: str | None = None
    line: int | None = None


class SmalltalkError(Struct, omit_defaults=True, rename={"class_": "class"}):
    """An error that Smalltalk code raised."""

    class_: str
    message: str | None = None
    signaler: str | None = None
    stack: list[StackFrame] = []
    debugger_id: str | None = None
    position: int | None = None
    line: int | None = None


class EvaluateResult(Struct):
    """Result of `evaluate`. A Smalltalk error is a result, not a protocol error."""

    result: Any
    result_type: str | None
    execution_time: Number
    has_error: bool
    display: str | UnsetType = UNSET
    error: SmalltalkError | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET
    handle: str | UnsetType = UNSET
    evaluation: str | UnsetType = UNSET
    total_chars: int | UnsetType = UNSET


class Inspect(Relayed, kw_only=True):
    """Parameters of `inspect`."""

    target: Text | UnsetType | None = UNSET
    handle: Text | UnsetType | None = UNSET
    path: Annotated[list[str], Meta(max_length=64)] | UnsetType | None = UNSET
    depth: Annotated[int, Meta(ge=0, le=5)] = 1
    start: Count | UnsetType | None = UNSET
    count: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    keep: bool | UnsetType | None = UNSET
    include_private: bool = False


class ObjectInfo(Struct):
    """An object, from outside."""

    class_name: str
    string_representation: str
    hash: int | None = None
    size: int | None = None


class Variable(Struct, omit_defaults=True):
    """What an instance variable or an element holds."""

    class_name: str
    string_representation: str
    instance_vars: "dict[str, Variable] | UnsetType" = UNSET
    cycle: bool | UnsetType = UNSET


class InspectResult(Struct):
    """Result of `inspect`."""

    object_info: ObjectInfo
    instance_vars: dict[str, Variable]
    methods: list[str] | UnsetType = UNSET
    elements_total: int | UnsetType = UNSET
    more: bool | UnsetType = UNSET
    handle: str | UnsetType = UNSET


class BrowseClass(Relayed, kw_only=True):
    """Parameters of `browse_class`."""

    class_name: Name
    include_methods: bool = True
    include_instance_vars: bool = True
    include_class_vars: bool = True


class ClassInfo(Struct):
    """A class, from outside."""

    name: str
    superclass: str | None = None
    comment: str | None = None
    package: str | None = None
    is_system: bool = False
    definition: str | UnsetType = UNSET


class MethodName(Struct):
    """A method in a list."""

    name: str
    category: str | None = None


class BrowseClassResult(Struct):
    """Result of `browse_class`."""

    class_info: ClassInfo
    instance_methods: list[MethodName] = []
    class_methods: list[MethodName] = []
    instance_vars: list[str] = []
    class_vars: Json = {}


class GetMethod(Relayed, kw_only=True):
    """Parameters of `get_method`."""

    class_name: Name
    method_name: Name
    is_class_method: bool = False


class Method(Struct):
    """A method with its source."""

    name: str
    source: str
    category: str | None = None
    is_class_method: bool = False
    arguments: list[str] = []
    comment: str | None = None


class GetMethodResult(Struct):
    """Result of `get_method`."""

    method: Method


class ListClasses(Relayed, kw_only=True):
    """Parameters of `list_classes`."""

    pattern: str | UnsetType | None = UNSET
    package: str | UnsetType | None = UNSET
    include_system: bool = True
    limit: Count | UnsetType | None = UNSET


class ListClassesResult(Struct):
    """Result of `list_classes`."""

    classes: list[ClassInfo]
    total_count: int


class SystemInfo(Relayed, kw_only=True):
    """Parameters of `system_info`."""

    info_type: Literal["Basic", "Memory", "Packages", "Environment", "All"] = "Basic"


class SystemInfoResult(Struct):
    """Result of `system_info`."""

    info: Json


class Debug(Relayed, kw_only=True):
    """Parameters of `debug`."""

    operation: str | Json
    debugger_id: Text | UnsetType | None = UNSET
    frame: Count | UnsetType | None = UNSET
    expression: Text | UnsetType | None = UNSET
    context: Json | UnsetType | None = UNSET
    idempotency_key: Key | UnsetType | None = UNSET


class DebugResult(Struct):
    """Result of `debug`."""

    result: Any
    debug_info: Json = {}


class CodeCompletion(Relayed, kw_only=True):
    """Parameters of `code_completion`."""

    code: str
    cursor_position: Count
    limit: Count | UnsetType | None = UNSET


class Suggestion(Struct):
    """One way to go on typing."""

    text: str
    kind: Literal["class", "method", "variable", "selector", "package"]
    detail: str | None = None
    score: Number | None = None


class CodeCompletionResult(Struct):
    """Result of `code_completion`."""

    suggestions: list[Suggestion]


class CaptureContext(Relayed, kw_only=True):
    """Parameters of `capture_context`, which only the daemon sends."""


class CaptureContextResult(Struct):
    """Result of `capture_context`: the sections of a context as the image knows them now."""

    workspace: Json = {}
    inspector: Json = {}
    object_registry: Json = {}


class Interrupt(Struct):
    """Parameters of `interrupt`, which only the daemon sends."""

    request_id: Text
    session_id: Name | UnsetType | None = UNSET
    tool_id: Name | UnsetType | None = UNSET
    force: bool = False


class InterruptResult(Struct):
    """Result of `interrupt`."""

    interrupted: bool
    state_lost: bool = False


class ReleaseHandles(Struct):
    """Parameters of `release_handles`."""

    session_id: Name
    handles: Annotated[list[Text], Meta(min_length=1, max_length=1000)]


class ReleaseHandlesResult(Struct):
    """Result of `release_handles`."""

    released: int


class ReleaseSession(Struct):
    """Parameters of `release_session`, which only the daemon sends."""

    session_id: str


class ReleaseSessionResult(Struct):
    """Result of `release_session`."""

    released: bool = True
