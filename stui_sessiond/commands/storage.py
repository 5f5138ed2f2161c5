"""The commands about what is stored as a whole."""

from collections.abc import Iterable

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ParameterError, StorageError
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.wire.messages import storage as wire
from stui_sessiond.wire.timestamp import format_time

AUTOMATIC = "automatic"
"""The reason of the daemon's own backups, which go when their time is over."""


class StorageCommands:
    """Carries out the storage commands."""

    def __init__(self, storage: SessionStorage) -> None:
        self._storage = storage

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("create_backup", wire.CreateBackup, self.create_backup),)

    async def create_backup(self, caller: Caller, asked: wire.CreateBackup) -> wire.CreateBackupResult:
        """Carry out `create_backup`."""
        del caller
        if asked.reason == AUTOMATIC or asked.reason.endswith("\n"):  # `$` in a pattern lets one newline pass
            msg = f"`reason` cannot be {asked.reason!r}"
            raise ParameterError(msg, field="reason")
        try:
            made = await self._storage.back_up(asked.reason)
        except OSError as error:
            msg = f"the backup could not be made: {error.strerror or error}"
            raise StorageError(msg) from error
        return wire.CreateBackupResult(made.name, format_time(made.made_at), made.sessions, list(made.missing))
