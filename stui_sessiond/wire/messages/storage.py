"""Parameters and results of the commands about what is stored as a whole."""

from typing import Annotated

from msgspec import Meta, Struct

Reason = Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")]
"""A word that becomes part of the name of a folder."""


class CreateBackup(Struct):
    """Parameters of `create_backup`."""

    reason: Reason = "manual"


class CreateBackupResult(Struct):
    """Result of `create_backup`."""

    name: str
    made_at: str
    sessions: int
    problems: list[str]
