"""What does the audit log say of the start and the end of a daemon?"""

import asyncio
import os

from stui_sessiond import __version__, config
from stui_sessiond.security.audit import AuditLog, Word
from stui_sessiond.settings import ServerSettings
from stui_sessiond.storage.audit_log import FileAudit

AUDIT_START_S = 1.0
"""How long a start waits for the disk of the audit log; a full one keeps no daemon from starting."""


async def note_start(audit: AuditLog, server: ServerSettings, server_id: str) -> None:
    """Write down that a daemon starts, and where it listens, before anybody is let in."""
    if isinstance(audit, FileAudit):
        audit.open()
    said: dict[str, Word] = {
        "version": __version__,
        "server_id": server_id,
        "process": os.getpid(),
        "auth": server.auth,
    }
    places: dict[str, Word] = {"http": server.http, "lines": server.lines, "unix": str(config.unix_path(server))}
    audit.record("daemon.started", details={**said, **places})
    if isinstance(audit, FileAudit):
        await asyncio.get_running_loop().run_in_executor(None, audit.flush, AUDIT_START_S)


async def note_stop(audit: AuditLog, server_id: str, outcome: str) -> None:
    """Write down that it ended, and how."""
    audit.record("daemon.stopped", outcome=outcome, details={"server_id": server_id})
    if isinstance(audit, FileAudit):
        await asyncio.get_running_loop().run_in_executor(None, audit.close)
