"""The lasting client for scripts without `async`.

    with blocking.connect("tcp://127.0.0.1:7447", client_id="me") as client:
        print(client.evaluate("3 + 4", session_id=session_id).result)

The connection lives in a thread of its own, so it is kept while the script does something else. Results and errors are
those of `LastingClient`. Ctrl-C ends the wait for an answer like any other; the block still closes the connection.
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from stui_sessiond.client.commands import Commands
from stui_sessiond.client.ending import left
from stui_sessiond.client.failure import ConnectionFailedError
from stui_sessiond.client.history import Visit
from stui_sessiond.client.lasting import LastingClient
from stui_sessiond.client.outbox import Update
from stui_sessiond.client.patience import Patience
from stui_sessiond.client.status import Status
from stui_sessiond.client.watch import Item, Watch
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.connection import StateAt

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

CONNECT_TIMEOUT_S = 30.0
"""The protocol's connect timeout."""

_STOP_S = 5.0
"""How long the thread may take to end; it ends with the program anyway."""


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="stui-client", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine over there and wait for it; what interrupts the wait cancels it."""
        if self._loop.is_closed():
            work.close()
            msg = "the client was closed"
            raise ConnectionFailedError(msg, left())
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def end(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine unless it is too late for it."""
        if self._loop.is_closed():
            work.close()
        else:
            self.run(work)

    def stop(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_S)


def _blocking(
    command: Callable[Concatenate[Commands, P], Coroutine[Any, Any, R]],
) -> "Callable[Concatenate[BlockingClient, P], R]":
    @functools.wraps(command)
    def call(self: "BlockingClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(command(self.commands, *args, **kwargs))

    return call


class BlockingWatch:
    """The events of one session: `for item in watch`, where an item is an `EventMessage` or a `Gap`."""

    def __init__(self, loop: _Loop, watch: Watch) -> None:
        self._loop = loop
        self._watch = watch

    @property
    def position(self) -> Position | None:
        """Of the last item that was taken."""
        return self._watch.position

    @property
    def state(self) -> StateAt | None:
        """The state when the watch began, if it was asked for."""
        return self._watch.state

    def __iter__(self) -> Iterator[Item]:
        return self.within(None)

    def within(self, timeout_s: float | None) -> Iterator[Item]:
        """Go through the items until none has come for `timeout_s` seconds."""
        while True:
            try:
                yield self.take(timeout_s)
            except (TimeoutError, EOFError):
                return

    def take(self, timeout_s: float | None = None) -> Item:
        """Wait for the next item.

        Raises:
            TimeoutError: none came within `timeout_s`.
            EOFError: the client was closed.
        """
        return self._loop.run(self._take(timeout_s))

    async def _take(self, timeout_s: float | None) -> Item:
        async with asyncio.timeout(timeout_s):
            try:
                return await anext(self._watch)
            except StopAsyncIteration:
                msg = "the client was closed"
                raise EOFError(msg) from None


class BlockingClient:
    """The commands of `LastingClient`, each waiting for its result. May be used from several threads."""

    def __init__(self, loop: _Loop, client: LastingClient, commands: Commands | None = None) -> None:
        self.commands = commands or client
        self._loop = loop
        self._client = client

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Wait for a coroutine of the client."""
        return self._loop.run(work)

    def ask(self, parameters: object, wanted: type[T]) -> T:
        """Call the command whose parameters these are; see `LastingClient.ask`."""
        return self.run(self.commands.ask(parameters, wanted))

    def within(self, timeout_s: float | None = None, *, wait: bool = True) -> "BlockingClient":
        """Give the same commands with another patience; see `LastingClient.within`."""
        return BlockingClient(self._loop, self._client, self._client.within(timeout_s, wait=wait))

    @property
    def status(self) -> Status:
        """How the connection is now."""
        return self._client.status

    def visits(self) -> tuple[Visit, ...]:
        """Tell of the last connections, oldest first."""
        return self._client.visits()

    def connected(self, timeout_s: float | None = None) -> None:
        """Wait until there is a connection; see `LastingClient.connected`."""
        self.run(self._client.connected(timeout_s))

    def save(self, update: Update) -> None:
        """Store an update some time soon, without waiting; see `LastingClient.save`."""
        self.run(self._save(update))

    async def _save(self, update: Update) -> None:
        self._client.save(update)

    def flush(self) -> None:
        """Wait until no update waits any more."""
        self.run(self._client.flush())

    @contextmanager
    def watch(
        self, session_id: str, since: Position | None = None, *, deltas: bool = False, with_state: bool = False
    ) -> Iterator[BlockingWatch]:
        """Get the events of a session for the time of the block; see `LastingClient.watch`."""
        watching = self._client.watch(session_id, since, deltas=deltas, with_state=with_state)
        watch = self.run(watching.__aenter__())
        try:
            yield BlockingWatch(self._loop, watch)
        finally:
            self._loop.end(_leave(watching))

    create_session = _blocking(Commands.create_session)
    restore_session = _blocking(Commands.restore_session)
    update_session_state = _blocking(Commands.update_session_state)
    rename_session = _blocking(Commands.rename_session)
    declare_machine = _blocking(Commands.declare_machine)
    get_machine = _blocking(Commands.get_machine)
    apply_transition = _blocking(Commands.apply_transition)
    close_session = _blocking(Commands.close_session)
    get_session_info = _blocking(Commands.get_session_info)
    list_client_sessions = _blocking(Commands.list_client_sessions)
    get_session_statistics = _blocking(Commands.get_session_statistics)
    get_session_history = _blocking(Commands.get_session_history)
    get_session_at = _blocking(Commands.get_session_at)
    snapshot_session = _blocking(Commands.snapshot_session)
    list_snapshots = _blocking(Commands.list_snapshots)
    revert_session = _blocking(Commands.revert_session)
    save_context = _blocking(Commands.save_context)
    load_context = _blocking(Commands.load_context)
    get_context_summary = _blocking(Commands.get_context_summary)
    clear_context = _blocking(Commands.clear_context)
    evaluate = _blocking(Commands.evaluate)
    evaluate_on = _blocking(Commands.evaluate_on)
    interrupt_evaluation = _blocking(Commands.interrupt_evaluation)
    list_evaluations = _blocking(Commands.list_evaluations)
    get_result_page = _blocking(Commands.get_result_page)
    get_error_report = _blocking(Commands.get_error_report)
    inspect = _blocking(Commands.inspect)
    list_handles = _blocking(Commands.list_handles)
    release_handles = _blocking(Commands.release_handles)
    list_debuggers = _blocking(Commands.list_debuggers)
    take_debugger = _blocking(Commands.take_debugger)
    browse_class = _blocking(Commands.browse_class)
    get_method = _blocking(Commands.get_method)
    list_classes = _blocking(Commands.list_classes)
    complete_code = _blocking(Commands.complete_code)
    set_log_level = _blocking(Commands.set_log_level)
    get_log_levels = _blocking(Commands.get_log_levels)
    system_info = _blocking(Commands.system_info)
    debug = _blocking(Commands.debug)
    list_packages = _blocking(Commands.list_packages)
    get_hierarchy = _blocking(Commands.get_hierarchy)
    find_methods = _blocking(Commands.find_methods)
    compile_method = _blocking(Commands.compile_method)
    remove_method = _blocking(Commands.remove_method)
    define_class = _blocking(Commands.define_class)
    remove_class = _blocking(Commands.remove_class)
    list_code_changes = _blocking(Commands.list_code_changes)
    reapply_code_changes = _blocking(Commands.reapply_code_changes)
    list_images = _blocking(Commands.list_images)
    list_image_sessions = _blocking(Commands.list_image_sessions)
    get_image_session_stats = _blocking(Commands.get_image_session_stats)
    get_image_connection_status = _blocking(Commands.get_image_connection_status)
    cleanup_image_sessions = _blocking(Commands.cleanup_image_sessions)
    switch_image_context = _blocking(Commands.switch_image_context)
    get_request_status = _blocking(Commands.get_request_status)
    get_digest = _blocking(Commands.get_digest)
    share_session = _blocking(Commands.share_session)
    get_presence = _blocking(Commands.get_presence)
    drive_session = _blocking(Commands.drive_session)
    detach_client = _blocking(Commands.detach_client)
    list_sessions = _blocking(Commands.list_sessions)
    list_connections = _blocking(Commands.list_connections)
    list_running_evaluations = _blocking(Commands.list_running_evaluations)
    get_store_status = _blocking(Commands.get_store_status)
    get_figures = _blocking(Commands.get_figures)
    list_approvals = _blocking(Commands.list_approvals)
    approve = _blocking(Commands.approve)
    reject = _blocking(Commands.reject)
    ping = _blocking(Commands.ping)
    describe = _blocking(Commands.describe)


@contextmanager
def connect(
    url: str,
    *,
    client_id: str | None = None,
    token: str | None = None,
    patience: Patience | None = None,
    timeout_s: float | None = CONNECT_TIMEOUT_S,
) -> Iterator[BlockingClient]:
    """Connect, and stay connected for the time of the block.

    Args:
        url: where the daemon is.
        client_id: the name of this client.
        token: proof of identity, where the daemon wants one.
        patience: how long to wait for what, later on.
        timeout_s: how long to wait for the first connection; None for as long as it takes.

    Raises:
        ValueError: the URL is no address of a daemon.
        OfflineError: nobody answered in time.
        ConnectionFailedError: the daemon does not let us in; the text says what to do.
    """
    loop = _Loop()
    try:
        client = loop.run(_start(url, client_id, token, patience))
        try:
            loop.run(client.connected(timeout_s))
            yield BlockingClient(loop, client)
        finally:
            loop.run(client.close())
    finally:
        loop.stop()


async def _start(url: str, client_id: str | None, token: str | None, patience: Patience | None) -> LastingClient:
    return await LastingClient(url, client_id=client_id, token=token, patience=patience).__aenter__()


async def _leave(watching: Any) -> None:  # noqa: ANN401 -- what `asynccontextmanager` gives
    await watching.__aexit__(None, None, None)
