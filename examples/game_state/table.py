"""Sets the table: a session with the game's state machine, shared with two phones and a board, each with its token.

What it made is kept in a file that only its user can read, so that the links are the same the next time.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from stui_sessiond.client import connect
from stui_sessiond.wire.messages.session import CreateSession

HOST = "table"
"""The client id of who owns the game."""

SEATS = {"p1": "phone-1", "p2": "phone-2", "board": "board"}
"""Client ids by seat; the state machine names them."""

LIFE_S = 86400.0
"""Without a move for so long the game expires."""

MACHINE = Path(__file__).with_name("machine.json")


class Table(msgspec.Struct):
    """A game: its session, and the token of each seat."""

    session: str
    tokens: dict[str, str]

    def link(self, seat: str, page: str, daemon: str, transport: str) -> str:
        """The address that a device opens. What is behind `#` is never sent to a server."""
        said = {
            "seat": seat,
            "client": SEATS[seat],
            "session": self.session,
            "daemon": daemon,
            "transport": transport,
            "token": self.tokens[seat],
        }
        return f"{page}/#{urlencode(said)}"


def find(kept: Path, socket: str, data_dir: Path) -> Table:
    """Find the table of before, or set a new one; the daemon is running."""
    before = msgspec.json.decode(kept.read_bytes(), type=Table) if kept.exists() else None
    session_id = asyncio.run(_session(socket, None if before is None else before.session))
    if before is not None and before.session == session_id:
        return before
    table = Table(session_id, {seat: token(client_id, data_dir) for seat, client_id in SEATS.items()})
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(table))
    return table


async def _session(socket: str, before: str | None) -> str:
    async with connect(f"unix://{socket}", client_id=HOST) as client:
        listed = await client.list_client_sessions(HOST)
        if before in {row.session_id for row in listed.sessions}:
            return str(before)
        wish = CreateSession(HOST, name="Twenty", timeout=LIFE_S, machine=json.loads(MACHINE.read_text("utf-8")))
        session_id = (await client.create_session(wish)).session_id
        for client_id in SEATS.values():
            await client.share_session(session_id, client_id, "viewer")
        return session_id


def token(client_id: str, data_dir: Path) -> str:
    """Make a token for one client id, which may take part in sessions and listen, and run no code."""
    command = [sys.executable, "-m", "stui_sessiond", "token"]
    place = ["--data-dir", str(data_dir)]
    quiet = subprocess.DEVNULL
    subprocess.run([*command, "revoke", client_id, *place], check=False, stdout=quiet, stderr=quiet)
    rights = ["--right", "session", "--right", "observe", "--client", client_id]
    made = subprocess.run(
        [*command, "create", client_id, *rights, *place], check=True, stdout=subprocess.PIPE, stderr=quiet, text=True
    )
    return made.stdout.strip()
