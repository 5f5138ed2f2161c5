"""Parameters and results of the commands about evaluations: under way, ended, on many images."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from stui_sessiond.wire.messages import Count, Name, Number, Seconds, Text
from stui_sessiond.wire.messages.development import Page, SmalltalkError


class InterruptEvaluation(Struct):
    """Parameters of `interrupt_evaluation`."""

    session_id: Name
    evaluation: Text | None = None
    tool_id: Name | None = None
    force: bool = False


class Interruption(Struct):
    """What became of one evaluation that was to be interrupted."""

    evaluation: str
    outcome: Literal["interrupted", "cancelled", "ended", "not_interrupted"]
    state_lost: bool = False
    reason: str | None = None


class InterruptEvaluationResult(Struct):
    """Result of `interrupt_evaluation`."""

    session_id: str
    evaluations: list[Interruption]


class ListEvaluations(Struct):
    """Parameters of `list_evaluations`."""

    session_id: Name
    tool_id: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    before: Text | None = None


class ListedEvaluation(Struct):
    """One row of `list_evaluations`."""

    evaluation: str
    command: str
    status: str
    client_id: str | None
    tool_id: str | None
    code: str | None
    truncated: bool
    accepted_at: str
    finished_at: str | None
    duration: Number | None
    has_error: bool
    display: str | None
    image_id: str | None
    instance_id: str | None
    debugger_id: str | UnsetType = UNSET


class ListEvaluationsResult(Struct):
    """Result of `list_evaluations`."""

    session_id: str
    evaluations: list[ListedEvaluation]
    more: bool


class GetResultPage(Struct):
    """Parameters of `get_result_page`."""

    session_id: Name
    evaluation: Text
    start: Count = 0
    count: Page = 20_000


class GetResultPageResult(Struct):
    """Result of `get_result_page`."""

    session_id: str
    evaluation: str
    text: str
    start: int
    total_chars: int
    more: bool


class GetErrorReport(Struct):
    """Parameters of `get_error_report`."""

    session_id: Name
    evaluation: Text | None = None
    debugger_id: Text | None = None


class GetErrorReportResult(Struct):
    """Result of `get_error_report`."""

    session_id: str
    evaluation: str
    code: str | None
    at: str
    image_id: str | None
    instance_id: str | None
    error: SmalltalkError
    text: str


class EvaluateOn(Struct):
    """Parameters of `evaluate_on`."""

    code: str
    image_ids: Annotated[list[Name], Meta(min_length=1, max_length=256)] | None = None
    timeout: Seconds = 30.0


class AnswerGroup(Struct):
    """Images that gave the same answer."""

    image_ids: list[str]
    kind: Literal["value", "error", "failed"]
    result: Any
    result_type: str | None
    error: SmalltalkError | UnsetType = UNSET
    code: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET


class EvaluateOnResult(Struct):
    """Result of `evaluate_on`: the largest group first."""

    groups: list[AnswerGroup]
    images_asked: int
    execution_times: dict[str, Number]
