"""Parameters and results of the commands about code that waits for approval."""

from msgspec import Struct

from stui_sessiond.wire.messages import Name


class ListApprovals(Struct):
    """Parameters of `list_approvals`: none."""


class ListedApproval(Struct):
    """Code that waits for a decision."""

    approval_id: str
    command: str
    code: str
    client_id: str | None
    session_id: str | None
    pattern: str
    at: str


class ListApprovalsResult(Struct):
    """Result of `list_approvals`."""

    approvals: list[ListedApproval]


class Approve(Struct):
    """Parameters of `approve`."""

    approval_id: Name


class ApproveResult(Struct):
    """Result of `approve`."""

    approval_id: str
    approved: bool


class Reject(Struct):
    """Parameters of `reject`."""

    approval_id: Name
    reason: Name | None = None


class RejectResult(Struct):
    """Result of `reject`."""

    approval_id: str
    rejected: bool
