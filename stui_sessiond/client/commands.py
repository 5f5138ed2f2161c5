"""Which commands can a client call, by name and with typed results?

Written once for all kinds of client: each only has to say what `ask` does.
"""

import abc
from collections.abc import Sequence
from typing import Literal, TypeVar

from msgspec import UNSET

from stui_sessiond.client.overview import OverviewCommands
from stui_sessiond.wire.messages import (
    Position,
    approval,
    code,
    connection,
    context,
    development,
    evaluation,
    event,
    history,
    image,
    kept,
    mirror,
    operation,
    session,
    shared_state,
    sharing,
)

T = TypeVar("T")


class Commands(OverviewCommands):
    """The commands of the contract. All of them may raise what `ask` raises."""

    @abc.abstractmethod
    async def ask(self, parameters: object, wanted: type[T]) -> T:
        """Call the command whose parameters these are (`CreateSession` calls `create_session`)."""

    # ---- sessions

    async def create_session(self, parameters: session.CreateSession) -> session.CreateSessionResult:
        """Start a session."""
        return await self.ask(parameters, session.CreateSessionResult)

    async def restore_session(self, session_id: str, *, reopen: bool = False) -> session.RestoreSessionResult:
        """Get a stored session whole."""
        return await self.ask(session.RestoreSession(session_id, reopen=reopen), session.RestoreSessionResult)

    async def update_session_state(self, parameters: session.UpdateSessionState) -> session.UpdateSessionStateResult:
        """Change a session's state."""
        return await self.ask(parameters, session.UpdateSessionStateResult)

    async def rename_session(self, session_id: str, name: str | None) -> session.RenameSessionResult:
        """Give a session another name, or none."""
        return await self.ask(session.RenameSession(session_id, name), session.RenameSessionResult)

    async def close_session(self, session_id: str, *, save_state: bool = True) -> session.CloseSessionResult:
        """End a session."""
        return await self.ask(session.CloseSession(session_id, save_state), session.CloseSessionResult)

    async def get_session_info(self, session_id: str) -> session.GetSessionInfoResult:
        """Tell about a session."""
        return await self.ask(session.GetSessionInfo(session_id), session.GetSessionInfoResult)

    async def list_client_sessions(
        self, client_id: str, *, include_inactive: bool = False
    ) -> session.ListClientSessionsResult:
        """List a client's active sessions."""
        asked = session.ListClientSessions(client_id, include_inactive)
        return await self.ask(asked, session.ListClientSessionsResult)

    async def get_session_statistics(self) -> session.GetSessionStatisticsResult:
        """Tell how the daemon is."""
        return await self.ask(session.GetSessionStatistics(), session.GetSessionStatisticsResult)

    # ---- what a session was before

    async def get_session_history(
        self, session_id: str, limit: int | None = None, before_version: int | None = None
    ) -> history.GetSessionHistoryResult:
        """List a session's versions, the newest first."""
        asked = history.GetSessionHistory(session_id, limit, before_version)
        return await self.ask(asked, history.GetSessionHistoryResult)

    async def get_session_at(
        self, session_id: str, version: int | None = None, name: str | None = None
    ) -> history.GetSessionAtResult:
        """Get a session as it was at a version or snapshot."""
        return await self.ask(history.GetSessionAt(session_id, version, name), history.GetSessionAtResult)

    async def snapshot_session(self, session_id: str, name: str) -> history.SnapshotSessionResult:
        """Give the present version a name."""
        return await self.ask(history.SnapshotSession(session_id, name), history.SnapshotSessionResult)

    async def list_snapshots(self, session_id: str) -> history.ListSnapshotsResult:
        """List the versions that have names."""
        return await self.ask(history.ListSnapshots(session_id), history.ListSnapshotsResult)

    async def revert_session(self, parameters: history.RevertSession) -> history.RevertSessionResult:
        """Make an earlier version the newest."""
        return await self.ask(parameters, history.RevertSessionResult)

    # ---- shared states

    async def declare_machine(self, parameters: shared_state.DeclareMachine) -> shared_state.DeclareMachineResult:
        """Give a session a state machine, or take it away."""
        return await self.ask(parameters, shared_state.DeclareMachineResult)

    async def get_machine(self, session_id: str) -> shared_state.GetMachineResult:
        """Tell who one is in a shared state, what one sees of it and what leads on."""
        return await self.ask(shared_state.GetMachine(session_id), shared_state.GetMachineResult)

    async def apply_transition(self, parameters: shared_state.ApplyTransition) -> shared_state.ApplyTransitionResult:
        """Change a shared state by one of its machine's transitions."""
        return await self.ask(parameters, shared_state.ApplyTransitionResult)

    # ---- contexts

    async def save_context(
        self,
        session_id: str,
        sections: context.ContextSections | None = None,
        tool_id: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> context.SaveContextResult:
        """Store a tool's context; without sections, what the image knows of the tool."""
        asked = context.SaveContext(session_id, tool_id, sections, idempotency_key)
        return await self.ask(asked, context.SaveContextResult)

    async def load_context(self, session_id: str, tool_id: str | None = None) -> context.LoadContextResult:
        """Get a tool's stored context."""
        return await self.ask(context.LoadContext(session_id, tool_id), context.LoadContextResult)

    async def get_context_summary(self, session_id: str, tool_id: str | None = None) -> context.GetContextSummaryResult:
        """Count what is in the stored contexts."""
        return await self.ask(context.GetContextSummary(session_id, tool_id), context.GetContextSummaryResult)

    async def clear_context(self, session_id: str, tool_id: str | None = None) -> context.ClearContextResult:
        """Remove stored contexts."""
        return await self.ask(context.ClearContext(session_id, tool_id), context.ClearContextResult)

    # ---- the live image

    async def evaluate(
        self,
        code: str,
        *,
        session_id: str,
        tool_id: str | None = None,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        on_error: Literal["report", "suspend"] | None = None,
        keep: bool = False,
        page_chars: int | None = None,
    ) -> development.EvaluateResult:
        """Run Smalltalk code in the session's image.

        Args:
            code: Smalltalk source.
            session_id: says which image, and whose variables.
            tool_id: whose variables within the session.
            timeout_s: how long the daemon waits for the image; without end if None.
            idempotency_key: names this evaluation, so that it runs once however often it is sent.
            on_error: `suspend` keeps the process of code that met an error, for `debug`.
            keep: keep the value in the image; the result has a `handle` for it.
            page_chars: return at most so much of a printed result; `get_result_page` reads on.
        """
        asked = development.Evaluate(
            code=code,
            session_id=session_id,
            tool_id=tool_id,
            timeout=UNSET if timeout_s is None else timeout_s,
            idempotency_key=UNSET if idempotency_key is None else idempotency_key,
            on_error=UNSET if on_error is None else on_error,
            keep=True if keep else UNSET,
            page_chars=UNSET if page_chars is None else page_chars,
        )
        return await self.ask(asked, development.EvaluateResult)

    async def evaluate_on(
        self, code: str, image_ids: Sequence[str] | None = None, *, timeout_s: float = 30.0
    ) -> evaluation.EvaluateOnResult:
        """Run code in several images, or in all, outside of sessions; equal answers come once."""
        named = None if image_ids is None else list(image_ids)
        return await self.ask(evaluation.EvaluateOn(code, named, timeout_s), evaluation.EvaluateOnResult)

    async def interrupt_evaluation(
        self, session_id: str, name: str | None = None, *, tool_id: str | None = None, force: bool = False
    ) -> evaluation.InterruptEvaluationResult:
        """End an evaluation, all of a tool, or all of a session.

        Args:
            session_id: the session.
            name: the evaluation's name, such as its idempotency key; all if None.
            tool_id: only those of this tool.
            force: end it even if the image loses all its objects by that.
        """
        asked = evaluation.InterruptEvaluation(session_id, name, tool_id, force)
        return await self.ask(asked, evaluation.InterruptEvaluationResult)

    async def list_evaluations(
        self, session_id: str, *, tool_id: str | None = None, limit: int = 50, before: str | None = None
    ) -> evaluation.ListEvaluationsResult:
        """List what was evaluated in a session, the newest first."""
        asked = evaluation.ListEvaluations(session_id, tool_id, limit, before)
        return await self.ask(asked, evaluation.ListEvaluationsResult)

    async def get_result_page(
        self, session_id: str, name: str, start: int = 0, count: int = 20_000
    ) -> evaluation.GetResultPageResult:
        """Read on in the long result of an evaluation."""
        asked = evaluation.GetResultPage(session_id, name, start, count)
        return await self.ask(asked, evaluation.GetResultPageResult)

    async def get_error_report(
        self, session_id: str, name: str | None = None, *, debugger_id: str | None = None
    ) -> evaluation.GetErrorReportResult:
        """Read about the error that an evaluation met, or at which a process waits or waited."""
        asked = evaluation.GetErrorReport(session_id, name, debugger_id)
        return await self.ask(asked, evaluation.GetErrorReportResult)

    async def inspect(
        self,
        target: str | None = None,
        *,
        session_id: str,
        tool_id: str | None = None,
        handle: str | None = None,
        path: Sequence[str] = (),
        keep: bool = False,
    ) -> development.InspectResult:
        """Look into the object that an expression or a handle gives, or the one to which a path leads from there."""
        asked = development.Inspect(
            target=UNSET if target is None else target,
            session_id=session_id,
            tool_id=tool_id,
            handle=UNSET if handle is None else handle,
            path=list(path) or UNSET,
            keep=True if keep else UNSET,
        )
        return await self.ask(asked, development.InspectResult)

    # ---- what the image keeps for a session

    async def list_handles(self, session_id: str) -> kept.ListHandlesResult:
        """List the objects that images keep for a session."""
        return await self.ask(kept.ListHandles(session_id), kept.ListHandlesResult)

    async def release_handles(self, session_id: str, handles: Sequence[str]) -> development.ReleaseHandlesResult:
        """Let the image forget objects."""
        return await self.ask(development.ReleaseHandles(session_id, list(handles)), development.ReleaseHandlesResult)

    async def list_debuggers(self, session_id: str) -> kept.ListDebuggersResult:
        """List the processes that wait at an error."""
        return await self.ask(kept.ListDebuggers(session_id), kept.ListDebuggersResult)

    async def take_debugger(
        self, session_id: str, debugger_id: str, action: Literal["take", "take_over", "release"] = "take"
    ) -> kept.TakeDebuggerResult:
        """Take a suspended process into one's own hands, take it over, or let it go."""
        return await self.ask(kept.TakeDebugger(session_id, debugger_id, action), kept.TakeDebuggerResult)

    # ---- code in the image

    async def browse_class(self, parameters: development.BrowseClass) -> development.BrowseClassResult:
        """Tell about a class."""
        return await self.ask(parameters, development.BrowseClassResult)

    async def get_method(self, parameters: development.GetMethod) -> development.GetMethodResult:
        """Get a method with its source."""
        return await self.ask(parameters, development.GetMethodResult)

    async def list_classes(self, parameters: development.ListClasses) -> development.ListClassesResult:
        """List the image's classes."""
        return await self.ask(parameters, development.ListClassesResult)

    async def complete_code(self, parameters: development.CodeCompletion) -> development.CodeCompletionResult:
        """Tell how code could go on (`code_completion`)."""
        return await self.ask(parameters, development.CodeCompletionResult)

    async def system_info(self, parameters: development.SystemInfo) -> development.SystemInfoResult:
        """Tell about the image."""
        return await self.ask(parameters, development.SystemInfoResult)

    async def debug(self, parameters: development.Debug) -> development.DebugResult:
        """Do something in a debugger."""
        return await self.ask(parameters, development.DebugResult)

    # ---- code

    async def list_packages(self, parameters: code.ListPackages) -> code.ListPackagesResult:
        """List the image's packages."""
        return await self.ask(parameters, code.ListPackagesResult)

    async def get_hierarchy(self, parameters: code.GetHierarchy) -> code.GetHierarchyResult:
        """Show what is above and below a class."""
        return await self.ask(parameters, code.GetHierarchyResult)

    async def find_methods(self, parameters: code.FindMethods) -> code.FindMethodsResult:
        """Find senders, implementors, references, or text in sources."""
        return await self.ask(parameters, code.FindMethodsResult)

    async def compile_method(self, parameters: code.CompileMethod) -> code.CompileMethodResult:
        """Compile a method into a class."""
        return await self.ask(parameters, code.CompileMethodResult)

    async def remove_method(self, parameters: code.RemoveMethod) -> code.RemoveMethodResult:
        """Remove a method."""
        return await self.ask(parameters, code.RemoveMethodResult)

    async def define_class(self, parameters: code.DefineClass) -> code.DefineClassResult:
        """Define a class, or change what defines it."""
        return await self.ask(parameters, code.DefineClassResult)

    async def remove_class(self, parameters: code.RemoveClass) -> code.RemoveClassResult:
        """Remove a class."""
        return await self.ask(parameters, code.RemoveClassResult)

    async def list_code_changes(
        self, image_id: str, class_name: str | None = None, *, after: str | None = None, limit: int = 100
    ) -> mirror.ListCodeChangesResult:
        """List the changes of code that an image took, the oldest first."""
        return await self.ask(mirror.ListCodeChanges(image_id, class_name, after, limit), mirror.ListCodeChangesResult)

    async def reapply_code_changes(
        self,
        image_id: str,
        change_ids: Sequence[str] | None = None,
        *,
        dry_run: bool = False,
        force: bool = False,
    ) -> mirror.ReapplyCodeChangesResult:
        """Make the changes again that an image lost."""
        chosen = None if change_ids is None else list(change_ids)
        asked = mirror.ReapplyCodeChanges(image_id, chosen, dry_run, force)
        return await self.ask(asked, mirror.ReapplyCodeChangesResult)

    # ---- images

    async def list_images(self) -> image.ListImagesResult:
        """List the images the daemon has seen."""
        return await self.ask(image.ListImages(), image.ListImagesResult)

    async def list_image_sessions(
        self, image_id: str | None = None, *, include_orphaned: bool = True
    ) -> image.ListImageSessionsResult:
        """List the sessions of images, or of one."""
        asked = image.ListImageSessions(image_id, include_orphaned)
        return await self.ask(asked, image.ListImageSessionsResult)

    async def get_image_session_stats(self, image_id: str) -> image.GetImageSessionStatsResult:
        """Count an image's sessions and what it did."""
        return await self.ask(image.GetImageSessionStats(image_id), image.GetImageSessionStatsResult)

    async def get_image_connection_status(self, image_id: str) -> image.GetImageConnectionStatusResult:
        """Tell what is the matter with an image; answered at once, however the image is."""
        return await self.ask(image.GetImageConnectionStatus(image_id), image.GetImageConnectionStatusResult)

    async def cleanup_image_sessions(self, parameters: image.CleanupImageSessions) -> image.CleanupImageSessionsResult:
        """Close an image's sessions that nobody needs; takes the right `admin`."""
        return await self.ask(parameters, image.CleanupImageSessionsResult)

    async def switch_image_context(
        self,
        session_id: str,
        to_image_id: str,
        from_image_id: str | None = None,
        *,
        preserve_context: bool = True,
    ) -> image.SwitchImageContextResult:
        """Move a session to another image; the answer says what went along and what stayed."""
        asked = image.SwitchImageContext(session_id, to_image_id, from_image_id, preserve_context)
        return await self.ask(asked, image.SwitchImageContextResult)

    # ---- what happened

    async def get_request_status(
        self, session_id: str, idempotency_key: str | None = None, *, request_id: str | None = None
    ) -> event.GetRequestStatusResult:
        """Tell what became of a request."""
        asked = event.GetRequestStatus(session_id, idempotency_key, request_id)
        return await self.ask(asked, event.GetRequestStatusResult)

    async def get_digest(self, session_id: str, since: Position | None = None) -> event.GetDigestResult:
        """Tell what happened to a session since a position, or since the oldest event that is kept."""
        return await self.ask(event.GetDigest(session_id, since), event.GetDigestResult)

    # ---- several clients in one session

    async def share_session(
        self, session_id: str, client_id: str, role: Literal["editor", "none", "viewer"]
    ) -> sharing.ShareSessionResult:
        """Let another client in, or out again with role `none`."""
        return await self.ask(sharing.ShareSession(session_id, client_id, role), sharing.ShareSessionResult)

    async def get_presence(self, session_id: str) -> sharing.GetPresenceResult:
        """Tell who is there, and who drives."""
        return await self.ask(sharing.GetPresence(session_id), sharing.GetPresenceResult)

    async def drive_session(
        self,
        session_id: str,
        action: Literal["hand_over", "release", "request", "take_over"],
        to_client_id: str | None = None,
    ) -> sharing.DriveSessionResult:
        """Ask to drive, hand it over, take it over, or let go of it."""
        return await self.ask(sharing.DriveSession(session_id, action, to_client_id), sharing.DriveSessionResult)

    async def detach_client(
        self, session_id: str, client_id: str, connection_id: str | None = None
    ) -> sharing.DetachClientResult:
        """End another client's subscriptions to a session."""
        return await self.ask(sharing.DetachClient(session_id, client_id, connection_id), sharing.DetachClientResult)

    # ---- code that waits for approval

    async def list_approvals(self) -> approval.ListApprovalsResult:
        """List the code that waits for somebody to decide; takes the right `admin`."""
        return await self.ask(approval.ListApprovals(), approval.ListApprovalsResult)

    async def approve(self, approval_id: str) -> approval.ApproveResult:
        """Let code that waits run; takes the right `admin`."""
        return await self.ask(approval.Approve(approval_id), approval.ApproveResult)

    async def reject(self, approval_id: str, reason: str | None = None) -> approval.RejectResult:
        """Do not let code that waits run; takes the right `admin`."""
        return await self.ask(approval.Reject(approval_id, reason), approval.RejectResult)

    # ---- the daemon

    async def ping(self, message: str | None = None) -> development.PingResult:
        """Ask the daemon for a sign of life."""
        return await self.ask(development.Ping(message=message), development.PingResult)

    async def set_log_level(
        self, level: Literal["debug", "info", "warning", "error", "default"], logger: str | None = None
    ) -> operation.SetLogLevelResult:
        """Change from which level on the daemon, or a part of it, logs; takes the right `admin`."""
        return await self.ask(operation.SetLogLevel(level, logger), operation.SetLogLevelResult)

    async def get_log_levels(self) -> operation.GetLogLevelsResult:
        """Tell from which level on the daemon logs; takes the right `admin`."""
        return await self.ask(operation.GetLogLevels(), operation.GetLogLevelsResult)

    async def describe(self, command: str | None = None) -> connection.DescribeResult:
        """Tell what the daemon can do."""
        return await self.ask(connection.Describe(command), connection.DescribeResult)


class SubscribingCommands(Commands):
    """The commands for who keeps the subscriptions of a connection in their own hands."""

    async def subscribe(
        self,
        session_id: str | None = None,
        since: Position | None = None,
        *,
        topics: Sequence[str] | None = None,
        positions: dict[str, Position] | None = None,
        deltas: bool = False,
        with_state: bool = False,
    ) -> connection.SubscribeResult:
        """Get events from now on, or from a position on."""
        named = None if topics is None else list(topics)
        asked = connection.Subscribe(session_id, named, since, positions, deltas, with_state)
        return await self.ask(asked, connection.SubscribeResult)

    async def unsubscribe(
        self, session_id: str | None = None, *, topics: Sequence[str] | None = None
    ) -> connection.UnsubscribeResult:
        """Get no more of them."""
        asked = connection.Unsubscribe(session_id, None if topics is None else list(topics))
        return await self.ask(asked, connection.UnsubscribeResult)
