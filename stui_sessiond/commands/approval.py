"""Code that somebody has to see before it runs: the queue, and the commands to decide about it."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import (
    ApprovalNotFoundError,
    ApprovalRejectedError,
    EvaluationForbiddenError,
    TooManyInFlightError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.security.policy import Policy
from stui_sessiond.wire.messages import approval as wire
from stui_sessiond.wire.timestamp import format_time

MAX_WAITING = 1000
"""Requests that may wait for a decision; one more is refused."""

PATIENCE_S = 3600.0
"""After so long without a decision the answer is no."""

SHOWN_CODE_CHARS = 100_000
"""How much of the code is shown to whoever decides; longer code cannot be approved."""

Post = Callable[[SessionId, str, dict[str, Any]], None]
"""Posts an event to a session."""


class _Waiting(msgspec.Struct):
    approval_id: str
    command: str
    code: str
    client_id: str | None
    session_id: str | None
    pattern: str
    at: float
    decision: asyncio.Future[str | None]
    """None: go on. Else why not."""


class Approvals:
    """Decides at once where the policy is clear, and waits for a person where it is not."""

    def __init__(self, policy: Policy, post_to: Post, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._post_to = post_to
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def lets_run(self, code: str, client_id: str | None) -> bool:
        """Tell whether code may run without anybody being asked."""
        return self._policy.judge(code, client_id).verdict == "run"

    async def require(
        self, command: str, code: str, client_id: str | None, session_id: SessionId | None, evaluation: str | None
    ) -> None:
        """Go on only if the code may run; wait for a decision where one is needed.

        Raises:
            EvaluationForbiddenError: the policy forbids it.
            ApprovalRejectedError: somebody said no, or nobody said anything.
            TooManyInFlightError: too much waits already.
        """
        judgement = self._policy.judge(code, client_id)
        if judgement.verdict == "run":
            return
        if judgement.verdict == "forbidden":
            msg = "the operator's policy forbids this code"
            raise EvaluationForbiddenError(msg, pattern=judgement.pattern)
        if len(self._waiting) >= MAX_WAITING or len(code) > SHOWN_CODE_CHARS:
            msg = f"{len(self._waiting)} requests wait for approval already, or the code is too long to be looked at"
            raise TooManyInFlightError(msg)
        waiting = _Waiting(
            approval_id=f"approval_{secrets.token_urlsafe(9)}",
            command=command,
            code=code,
            client_id=client_id,
            session_id=session_id,
            pattern=judgement.pattern or "",
            at=self._clock(),
            decision=asyncio.get_running_loop().create_future(),
        )
        await self._decided(waiting, session_id, evaluation)

    async def _decided(self, waiting: _Waiting, session_id: SessionId | None, evaluation: str | None) -> None:
        approval_id = waiting.approval_id
        self._waiting[approval_id] = waiting
        asked = {"approval_id": approval_id, "evaluation": evaluation, "client_id": waiting.client_id}
        if session_id is not None:
            self._post_to(session_id, "evaluation.approval_needed", asked)
        try:
            async with asyncio.timeout(PATIENCE_S):
                refusal = await waiting.decision
        except TimeoutError:
            refusal = f"nobody decided within {PATIENCE_S:g} s"
        finally:
            del self._waiting[approval_id]
        if refusal is not None:
            msg = f"not approved: {refusal}"
            raise ApprovalRejectedError(msg, approval_id=approval_id)

    # ---- the commands

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("list_approvals", wire.ListApprovals, self.list_approvals),
            Command("approve", wire.Approve, self.approve),
            Command("reject", wire.Reject, self.reject),
        )

    def list_approvals(self, caller: Caller, asked: wire.ListApprovals) -> wire.ListApprovalsResult:
        """Carry out `list_approvals`."""
        del caller, asked
        return wire.ListApprovalsResult(
            [
                wire.ListedApproval(
                    approval_id=one.approval_id,
                    command=one.command,
                    code=one.code,
                    client_id=one.client_id,
                    session_id=one.session_id,
                    pattern=one.pattern,
                    at=format_time(one.at),
                )
                for one in self._waiting.values()
            ]
        )

    def approve(self, caller: Caller, asked: wire.Approve) -> wire.ApproveResult:
        """Carry out `approve`."""
        self._decide(caller, asked.approval_id, None)
        return wire.ApproveResult(asked.approval_id, approved=True)

    def reject(self, caller: Caller, asked: wire.Reject) -> wire.RejectResult:
        """Carry out `reject`."""
        self._decide(caller, asked.approval_id, asked.reason or "rejected")
        return wire.RejectResult(asked.approval_id, rejected=True)

    def _decide(self, caller: Caller, approval_id: str, refusal: str | None) -> None:
        waiting = self._waiting.get(approval_id)
        if waiting is None or waiting.decision.done():
            msg = "nothing waits under this approval_id: it is decided, or its time is over"
            raise ApprovalNotFoundError(msg)
        waiting.decision.set_result(refusal)
        if waiting.session_id is not None:
            told = {"approval_id": approval_id, "approved": refusal is None, "by": caller.client_id, "reason": refusal}
            self._post_to(SessionId(waiting.session_id), "evaluation.decided", told)
