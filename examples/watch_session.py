"""Watch a session: how the connection is, the state as it changes, what is evaluated. Survives cuts and restarts.

    python examples/watch_session.py SESSION [URL]

Without a URL the daemon is looked for on this user's unix socket. End it with Ctrl-C; it prints where to continue.
"""

import asyncio
import contextlib
import os
import sys

from stui_sessiond.client import ClientError, Gap, LastingClient
from stui_sessiond.config import load_settings, unix_path


async def show_connection(client: LastingClient) -> None:
    """Print each change of the connection, as a status line would."""
    async for status in client.statuses():
        print("connection", status, f"[{status.health}]" if status.online else status.advice)


async def show_session(client: LastingClient, session_id: str) -> None:
    """Print the state now, and then what happens."""
    async with client.watch(session_id, with_state=True) as events:
        print("state     ", events.state.session_state if events.state else None)
        try:
            async for event in events:
                if isinstance(event, Gap):  # something is missing: look at the present state
                    print("gap       ", event.reason)
                    print("state     ", (await client.restore_session(session_id)).session_state)
                elif event.event == "session.updated" and "session_state" in event.data:
                    print("state     ", event.data["session_state"])
                elif event.event == "evaluation.finished":
                    print("evaluated ", event.data["display"])
                else:
                    print("event     ", event.event)
        finally:
            print("continue   since", events.position)


async def main(session_id: str, url: str) -> None:
    """Show both until Ctrl-C."""
    async with LastingClient(url, client_id=os.environ.get("STUI_CLIENT_ID")) as client, asyncio.TaskGroup() as group:
        group.create_task(show_connection(client))
        group.create_task(show_session(client, session_id))


if __name__ == "__main__":
    if len(sys.argv) < 2:  # noqa: PLR2004 -- the script and the session
        sys.exit("usage: watch_session.py SESSION [URL]")
    mine = unix_path(load_settings(None, os.environ, {}).server)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else f"unix://{mine}"))  # noqa: PLR2004
    except* ClientError as errors:
        sys.exit(f"watch_session: {errors.exceptions[0]}")
