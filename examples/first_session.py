"""A first session: connect, evaluate, save, go away, come back and find everything.

    python examples/first_session.py [URL]

It takes a running daemon (`make run`) with an image connected to it (amber_image/README.md starts one). Without a URL
the daemon is looked for on this user's unix socket.
"""

import asyncio
import os
import sys

from stui_sessiond.client import ClientError, connect
from stui_sessiond.config import load_settings, unix_path
from stui_sessiond.wire.messages.context import ContextSections
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState

ME = "first-session"


async def main(url: str) -> None:
    """Work in a session, leave it, and take it up again over another connection."""
    async with connect(url, client_id=ME) as client:
        # A session is a place to work that outlives the connection, the client and the daemon.
        session_id = (await client.create_session(CreateSession(ME, name="my first"))).session_id
        print("session ", session_id)
        # Code runs in a live Smalltalk image; what it assigns stays there for the session.
        answer = await client.evaluate("answer := 6 * 7", session_id=session_id)
        print("answer  ", answer.result)
        # A Smalltalk error is a result like any other; the stack comes with it.
        failed = await client.evaluate("answer fly", session_id=session_id)
        print("error   ", failed.error.message if failed.error else None)
        # The state is any JSON of the client's own; once this returns it is safe on the disk.
        stored = await client.update_session_state(UpdateSessionState(session_id, {"open": ["workspace"], "line": 3}))
        print("stored  ", f"version {stored.version}")
        # A context belongs to a tool. First what the client knows, then what the image knows, beside it.
        await client.save_context(session_id, ContextSections(workspace={"text": "answer := 6 * 7"}))
        await client.save_context(session_id)
    # Here the client is gone. Some other time, on another connection:
    async with connect(url, client_id=ME) as client:
        restored = await client.restore_session(session_id)
        print("restored", restored.session_state)
        print("context ", restored.workspace_context["text"], "->", restored.workspace_context["bindings"])
        await client.close_session(session_id)


if __name__ == "__main__":
    mine = unix_path(load_settings(None, os.environ, {}).server)
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"unix://{mine}"))
    except ClientError as error:
        sys.exit(f"first_session: {error}")
